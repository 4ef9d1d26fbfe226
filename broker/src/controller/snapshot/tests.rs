//! Snapshot files: round trip, damage, and what a crash between two of them leaves.

use std::collections::BTreeMap;

use proptest::prelude::*;
use tidemark_core::metadata::{Command, decide};
use tidemark_storage::disk::sim::SimDisk;
use uuid::Uuid;

use super::super::quorum::Voter;
use super::*;

fn image() -> ClusterImage {
    let command = Command::InitializeCluster {
        cluster_id: "AAAAAAAAAAAAAAAAAAAAAQ".to_owned(),
        features: BTreeMap::from([("metadata.version".to_owned(), 7)]),
    };
    let mut image = ClusterImage::default();
    for record in decide(&image, &command, 3).records {
        image.apply(&record);
    }
    image.set_version(3);
    image
}

fn head() -> SnapshotHead {
    let mut sessions = Sessions::default();
    sessions.admit(Uuid::from_u128(5), 1, 3);
    let voter =
        Voter { broker_id: 1, directory_id: Uuid::from_u128(2), address: String::new(), may_vote: true };
    SnapshotHead {
        position: Some(LogPosition { term: 1, index: 3 }),
        members_position: Some(LogPosition { term: 0, index: 0 }),
        members: StoredMembers { configs: vec![[1].into()], nodes: [(1, voter)].into() },
        sessions,
    }
}

#[test]
fn a_snapshot_reads_back_as_it_was() {
    assert_eq!(decode(&encode(&head(), &image())).unwrap(), (head(), image()));
}

proptest! {
    #[test]
    fn a_damaged_snapshot_is_refused(at in any::<prop::sample::Index>(), bit in 0u8..8, cut in any::<prop::sample::Index>()) {
        let mut bytes = encode(&head(), &image()).to_vec();
        let cut = cut.index(bytes.len());
        prop_assert!(decode(&bytes[..cut]).is_err());
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        prop_assert!(decode(&bytes).is_err());
    }
}

#[test]
fn a_power_failure_while_saving_leaves_the_old_or_the_new_one() {
    let dir = Path::new("/metadata");
    for step in 1..12 {
        let sim = SimDisk::new(step);
        let disk: Arc<dyn Disk> = Arc::new(sim.clone());
        disk.create_dir_all(dir).unwrap();
        disk.sync_dir(Path::new("/")).unwrap();
        let mut snapshots = SnapshotDir::open(&disk, dir).unwrap();
        let (old, new) = (Bytes::from(vec![1; 9000]), Bytes::from(vec![2; 9000]));
        snapshots.save(LogPosition { term: 1, index: 10 }, &old).unwrap();
        sim.power_off_at(step);
        let saved = snapshots.save(LogPosition { term: 1, index: 20 }, &new);
        let disk: Arc<dyn Disk> = Arc::new(sim.crash());
        let found = SnapshotDir::open(&disk, dir).unwrap().read().unwrap().expect("one of them is there");
        assert!(found == new || (saved.is_err() && found == old), "step {step}");
    }
}
