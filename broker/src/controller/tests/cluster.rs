//! Three controllers on simulated disks and real sockets: they form one quorum, and it outlives any of them.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tidemark_storage::disk::sim::SimDisk;
use tokio::sync::watch;

use super::super::formation::{self, Formation};
use super::*;
use crate::peer::{Myself, PeerClients, PeerListener, Services};
use crate::transport;

/// Longer than any election.
const PATIENCE: Duration = Duration::from_secs(20);

struct Node {
    id: i32,
    disk: SimDisk,
    address: String,
    seeds: Vec<String>,
    may_vote: bool,
    voters: usize,
    running: Option<Running>,
}

struct Running {
    controller: Controller,
    stop: watch::Sender<bool>,
    listener: tokio::task::JoinHandle<()>,
    _held: DataDir,
}

impl Node {
    fn new(id: i32, seeds: &[String]) -> Node {
        let port = transport::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = port.local_address().unwrap().to_string();
        Node {
            id,
            disk: SimDisk::new(id.unsigned_abs().into()),
            address,
            seeds: seeds.to_vec(),
            may_vote: true,
            voters: 3,
            running: None,
        }
    }

    /// Starts the node as a process would, finding its cluster first if its directory is empty.
    async fn start(&mut self, run: u128) {
        let disk: Arc<dyn Disk> = Arc::new(self.disk.clone());
        let held = DataDir::hold(&disk, Path::new("/data")).unwrap();
        let directory_id =
            held.identity().map_or(Uuid::from_u128(1000 + run), |identity| identity.directory_id);
        let me = Arc::new(ArcSwap::from_pointee(Myself {
            cluster_id: held.identity().map_or_else(String::new, |identity| identity.cluster_id.clone()),
            node_id: self.id,
            directory_id,
            incarnation: Uuid::from_u128(run),
        }));
        let (stop, stopping) = watch::channel(false);
        let port = transport::bind(self.address.parse().unwrap()).unwrap();
        let services = Arc::new(Services::default());
        let listener = PeerListener::open(port, Arc::clone(&me), Arc::clone(&services)).unwrap();
        let listener = tokio::spawn(listener.serve(stopping));
        let peers = Peers::new(PeerClients::new(me), services, self.address.clone());
        let formation = match held.identity() {
            Some(_) => Formation::Found,
            None => formation::find(&peers.clients, &self.address, &self.seeds, self.may_vote).await,
        };
        let (cluster_id, raft_id) = match &formation {
            Formation::Refused(why) => panic!("{why}"),
            Formation::Found => (Uuid::from_u128(11), None),
            Formation::Join { cluster_id, raft_id } => {
                (TopicId::parse(cluster_id).unwrap().0, Some(*raft_id))
            }
        };
        let held = held.open(&disk, self.id, None, &Fresh { cluster_id, directory_id, raft_id }).unwrap();
        peers.clients.join_cluster(&held.identity().cluster_id);
        let options = StartOptions {
            disk,
            data_dir: held.path().to_owned(),
            identity: held.identity().clone(),
            incarnation: Uuid::from_u128(run),
            peers,
            beginning: if held.identity().raft_id == 1 { Beginning::Found } else { Beginning::Follow },
            seeds: self.seeds.clone(),
            may_vote: self.may_vote,
            voters: self.voters,
            clock: Clock::system(),
            timing: Timing::default(),
        };
        let controller = Controller::start(options).await.unwrap();
        self.running = Some(Running { controller, stop, listener, _held: held });
    }

    /// Ends the node at once; its disk loses what was not synced.
    async fn crash(&mut self) {
        let running = self.running.take().unwrap();
        running.stop.send_replace(true);
        running.controller.shutdown().await;
        running.listener.await.unwrap();
        drop(running._held);
        self.disk = self.disk.crash();
    }

    fn handle(&self) -> ControllerHandle {
        self.running.as_ref().unwrap().controller.handle()
    }
}

/// Waits for a condition that the quorum brings about by itself.
async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let wait = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("never: {what}"));
}

/// Three nodes, of which the first founds the cluster.
async fn three() -> Vec<Node> {
    let mut nodes = vec![Node::new(1, &[])];
    let seeds = [nodes[0].address.clone()];
    nodes.extend([Node::new(2, &seeds), Node::new(3, &seeds)]);
    for (run, node) in (1..).zip(&mut nodes) {
        node.start(run).await;
    }
    for node in &nodes {
        let handle = node.handle();
        eventually("three voters", || handle.members().voters.len() == 3).await;
    }
    nodes
}

#[tokio::test]
async fn one_node_founds_and_two_join_until_there_are_three_voters() {
    let nodes = three().await;
    let handles: Vec<_> = nodes.iter().map(Node::handle).collect();
    assert_eq!(handles.iter().filter(|handle| handle.is_leader()).count(), 1);
    for (at, handle) in handles.iter().enumerate() {
        // Whoever leads, each of them decides, and sees what it decided.
        let name = format!("topic-{at}");
        handle.register_broker(Registration { id: at as i32 + 1, ..registration() }).await.unwrap().unwrap();
        assert!(create_topic(handle, &name, 100 + at as u128).await);
        assert!(handle.image().topic(&name).is_some());
    }
    let version = handles.iter().map(|handle| handle.image().version).max().unwrap();
    for handle in &handles {
        handle.wait_version(version).await;
        assert_eq!(handle.image().brokers.len(), 3);
        assert_eq!(handle.image().state_hash(), handles[0].image().state_hash());
    }
}

#[tokio::test]
async fn seeds_that_are_all_new_wait_for_the_first_to_found() {
    let addresses: Vec<String> = (1..=3).map(|id| Node::new(id, &[]).address).collect();
    let mut nodes: Vec<Node> = (1..=3)
        .map(|id| Node { address: addresses[id as usize - 1].clone(), ..Node::new(id, &addresses) })
        .collect();
    let [first, second, third] = &mut nodes[..] else { unreachable!() };
    tokio::join!(first.start(1), second.start(2), third.start(3));
    let handle = nodes[2].handle();
    eventually("three voters", || handle.members().voters.len() == 3).await;
    assert!(create_topic_after_registering(&handle).await);
}

async fn create_topic_after_registering(handle: &ControllerHandle) -> bool {
    handle.register_broker(registration()).await.unwrap().unwrap();
    create_topic(handle, "t", 5).await
}

#[tokio::test]
async fn the_quorum_outlives_its_leader_and_the_leader_comes_back() {
    let mut nodes = three().await;
    let leader = nodes.iter().position(|node| node.handle().is_leader()).unwrap();
    let others: Vec<usize> = (0..3).filter(|at| *at != leader).collect();
    let handle = nodes[others[0]].handle();
    handle.register_broker(registration()).await.unwrap().unwrap();
    assert!(create_topic(&handle, "before", 1).await);
    nodes[leader].crash().await;
    assert!(create_topic(&handle, "without", 2).await);
    nodes[leader].start(10).await;
    let back = nodes[leader].handle();
    eventually("the one that was away has caught up", || back.image().topic("without").is_some()).await;
    assert!(create_topic(&back, "again", 3).await);
    assert!(back.image().topic("before").is_some());
}

#[tokio::test]
async fn a_node_that_lost_its_disk_takes_its_old_place_under_a_new_id() {
    let mut nodes = three().await;
    let leader = nodes.iter().position(|node| node.handle().is_leader()).unwrap();
    let lost = (leader + 1) % 3;
    let old = nodes[lost].handle().metrics().id;
    nodes[lost].crash().await;
    nodes[lost].disk = SimDisk::new(77);
    nodes[lost].seeds = vec![nodes[leader].address.clone()];
    nodes[lost].start(20).await;
    let handle = nodes[leader].handle();
    eventually("the old voter is replaced", || {
        let members = handle.members();
        members.voters.len() == 3 && members.get(old).is_none()
    })
    .await;
    assert!(create_topic_after_registering(&nodes[lost].handle()).await);
}

#[tokio::test]
async fn five_may_vote_and_who_may_not_listens_and_proposes_all_the_same() {
    let mut nodes = vec![Node { voters: 5, ..Node::new(1, &[]) }];
    let seeds = [nodes[0].address.clone()];
    nodes.extend((2..=6).map(|id| Node { voters: 5, may_vote: id != 3, ..Node::new(id, &seeds) }));
    for (run, node) in (1..).zip(&mut nodes) {
        node.start(run).await;
    }
    let listener = nodes[2].handle();
    for node in &nodes {
        let handle = node.handle();
        eventually("five voters", || handle.members().voters.len() == 5).await;
    }
    let members = listener.members();
    assert!(members.voters.values().all(|voter| voter.broker_id != 3), "{members:?}");
    assert!(create_topic_after_registering(&listener).await);
}
