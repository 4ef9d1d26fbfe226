use tidemark_storage::disk::sim::SimDisk;

use super::*;
use crate::peer::{Myself, PeerClients};

const ME: RaftId = 1;

/// At the first start the voter has only just learnt that it is the quorum; later it knows from its log.
#[tokio::test]
async fn a_voter_alone_has_no_ticks_on_its_first_start_nor_later() {
    let disk: Arc<dyn Disk> = Arc::new(SimDisk::new(1));
    let dir = Path::new("/data/metadata");
    disk.create_dir_all(dir).unwrap();
    for run in 0..3 {
        let me = Myself {
            cluster_id: String::new(),
            node_id: 1,
            directory_id: Uuid::from_u128(2),
            incarnation: Uuid::from_u128(run),
        };
        let clients = PeerClients::new(Arc::new(arc_swap::ArcSwap::from_pointee(me)));
        let (failure, _) = watch::channel(None);
        let hashes = Hashes::new(failure.clone());
        let seat = Seat {
            id: ME,
            voter: Voter {
                broker_id: 1,
                directory_id: Uuid::from_u128(2),
                address: String::new(),
                may_vote: true,
            },
            session: Uuid::from_u128(run),
            network: Network::new(ME, clients, hashes.clone()),
            beginning: Beginning::Found,
            hashes,
            failure,
        };
        let (quorum, _image, is_new) = RaftQuorum::open(&disk, dir, &seat).await.unwrap();
        assert_eq!(is_new, run == 0);
        assert_eq!(quorum.take_seat(&seat, is_new).await.unwrap(), Ticks::Off, "run {run}");
        assert!(quorum.is_leader());
        quorum.stop().await;
    }
}
