//! A controller on a simulated and on a real disk: what `submit` answered stays, and strangers are refused.

use std::collections::BTreeMap;
use std::path::Path;

use tidemark_core::metadata::{NewTopic, TopicKey};
use tidemark_protocol::types::TopicId;
use tidemark_storage::disk::OsDisk;
use tidemark_storage::disk::sim::SimDisk;

use super::*;
use crate::data_dir::{DataDir, Fresh};
use crate::peer::{Myself, PeerClients, Services};

mod cluster;

fn fresh() -> Fresh {
    Fresh { cluster_id: Uuid::from_u128(11), directory_id: Uuid::from_u128(12), raft_id: None }
}

/// A node that nobody reaches.
fn no_peers() -> Peers {
    let me = Myself {
        cluster_id: String::new(),
        node_id: 1,
        directory_id: Uuid::from_u128(12),
        incarnation: Uuid::nil(),
    };
    let clients = PeerClients::new(Arc::new(arc_swap::ArcSwap::from_pointee(me)));
    Peers::new(clients, Arc::new(Services::default()), String::new())
}

fn options(disk: Arc<dyn Disk>, held: &DataDir, run: u128) -> StartOptions {
    StartOptions {
        disk,
        data_dir: held.path().to_owned(),
        identity: held.identity().clone(),
        incarnation: Uuid::from_u128(run),
        peers: no_peers(),
        beginning: Beginning::Found,
        seeds: Vec::new(),
        may_vote: true,
        voters: 3,
        clock: Clock::system(),
        timing: Timing::default(),
    }
}

/// Starts a controller in `data_dir` of the disk; `run` names the run of the process.
async fn start(disk: Arc<dyn Disk>, data_dir: &Path, run: u128) -> Result<(Controller, DataDir), StartError> {
    let held = DataDir::open(&disk, data_dir, 1, None, &fresh()).expect("the directory opens");
    Ok((Controller::start(options(disk, &held, run)).await?, held))
}

async fn start_sim(disk: &SimDisk, run: u128) -> Controller {
    start(Arc::new(disk.clone()), Path::new("/data"), run).await.expect("it starts").0
}

fn registration() -> Registration {
    let endpoint = Endpoint { listener: "PLAINTEXT".to_owned(), host: "localhost".to_owned(), port: 9092 };
    Registration {
        id: 1,
        rack: None,
        endpoints: vec![endpoint],
        directories: vec![Uuid::from_u128(12)],
        statics: BTreeMap::new(),
        fenced: false,
        previous_epoch: -1,
        recovery: Recovery::Intact,
    }
}

fn create(name: &str, id: u128) -> Command {
    let topic = NewTopic {
        name: name.to_owned(),
        id: TopicId(Uuid::from_u128(id)),
        partitions: 2,
        replication_factor: 1,
        manual: Vec::new(),
        placement: vec![vec![1], vec![1]],
        configs: Vec::new(),
    };
    Command::CreateTopics { topics: vec![topic], statics: BTreeMap::new() }
}

async fn create_topic(handle: &ControllerHandle, name: &str, id: u128) -> bool {
    match handle.submit(create(name, id)).await {
        Ok(Reply::TopicsCreated(results)) => results[0].result.is_ok(),
        Ok(other) => panic!("an answer to another command: {other:?}"),
        Err(_) => false,
    }
}

#[tokio::test]
async fn a_reply_comes_after_the_image_that_shows_it() {
    let disk = SimDisk::new(1);
    let controller = start_sim(&disk, 1).await;
    let handle = controller.handle();
    assert!(handle.is_leader());
    assert_eq!(handle.image().cluster_id, tidemark_protocol::types::base64_uuid(Uuid::from_u128(11)));
    let epoch = handle.register_broker(registration()).await.unwrap().unwrap();
    assert_eq!(handle.image().brokers[&1].epoch, epoch);
    for i in 0..20 {
        assert!(create_topic(&handle, &format!("topic-{i}"), 100 + i).await);
        assert!(handle.image().topic(&format!("topic-{i}")).is_some());
    }
    assert_eq!(handle.metrics().applied_index, Some(handle.image().version));
    controller.shutdown().await;
    assert!(matches!(handle.submit(create("late", 9)).await, Err(SubmitError::Stopped(_))));
}

#[tokio::test]
async fn a_restart_keeps_everything_and_registers_anew() {
    let disk = SimDisk::new(2);
    let controller = start_sim(&disk, 1).await;
    let first = controller.handle().register_broker(registration()).await.unwrap().unwrap();
    assert!(create_topic(&controller.handle(), "kept", 5).await);
    let before = controller.handle().image();
    controller.shutdown().await;

    let controller = start_sim(&disk, 2).await;
    let handle = controller.handle();
    assert_eq!(handle.image().topics, before.topics);
    assert_eq!(handle.image().brokers, before.brokers);
    let second = handle.register_broker(registration()).await.unwrap().unwrap();
    assert!(second > first, "{second} after {first}");
    assert!(
        handle.image().topic("kept").unwrap().partitions[0].leader_epoch > 0,
        "a new incarnation leads anew"
    );
    controller.shutdown().await;
}

/// 60 seeds: topics are created by several submitters at once until the power fails; then all that was answered is there.
#[tokio::test]
async fn what_submit_answered_survives_a_power_failure() {
    for seed in 0..60 {
        let disk = SimDisk::new(seed);
        let controller = start_sim(&disk, 1).await;
        let handle = controller.handle();
        handle.register_broker(registration()).await.unwrap().unwrap();
        disk.power_off_at(1 + seed * 3 % 50);
        let submitters = (0..4u128).map(|submitter| {
            let handle = handle.clone();
            async move {
                let mut answered = Vec::new();
                for i in 0.. {
                    let name = format!("topic-{submitter}-{i}");
                    if !create_topic(&handle, &name, 1000 * submitter + i + 1).await {
                        return answered;
                    }
                    answered.push(name);
                }
                answered
            }
        });
        let answered: Vec<String> = futures_util::future::join_all(submitters).await.concat();
        assert!(handle.failure().borrow().is_some(), "the failure is told");
        controller.shutdown().await;

        let controller = start_sim(&disk.crash(), 2).await;
        let image = controller.handle().image();
        for name in &answered {
            assert!(image.topic(name).is_some(), "seed {seed}: {name} is lost");
        }
        controller.shutdown().await;
    }
}

#[tokio::test]
async fn starting_survives_power_failures_at_any_step() {
    for step in 1..60 {
        let disk = SimDisk::new(step);
        disk.power_off_at(step);
        let shared: Arc<dyn Disk> = Arc::new(disk.clone());
        if let Ok(held) = DataDir::open(&shared, Path::new("/data"), 1, None, &fresh())
            && let Ok(controller) = Controller::start(options(shared, &held, 1)).await
        {
            controller.shutdown().await;
        }
        let controller = start_sim(&disk.crash(), 2).await;
        let image = controller.handle().image();
        assert!(!image.cluster_id.is_empty(), "step {step}");
        controller.shutdown().await;
    }
}

#[tokio::test]
async fn a_snapshot_lets_the_log_be_purged_and_a_restart_reads_both() {
    let disk = SimDisk::new(3);
    let controller = start_sim(&disk, 1).await;
    let handle = controller.handle();
    handle.register_broker(registration()).await.unwrap().unwrap();
    assert!(create_topic(&handle, "early", 5).await);
    // More entries than a snapshot takes, submitted side by side so that consensus batches them.
    for _ in 0..12 {
        let submits = (0..1000).map(|_| {
            handle.submit(Command::DeleteTopics { topics: vec![TopicKey::Name("none".to_owned())] })
        });
        for result in futures_util::future::join_all(submits).await {
            result.unwrap();
        }
    }
    while handle.metrics().purged_index.is_none() {
        tokio::task::yield_now().await;
    }
    assert!(create_topic(&handle, "late", 6).await);
    let before = handle.image();
    assert!(handle.metrics().snapshot_index > Some(9000), "{:?}", handle.metrics());
    controller.shutdown().await;

    let disk = disk.crash();
    let names = disk.read_dir(Path::new("/data/metadata")).unwrap();
    assert_eq!(names.iter().filter(|name| name.ends_with(".snap")).count(), 1, "{names:?}");
    let controller = start_sim(&disk, 2).await;
    assert_eq!(controller.handle().image().topics, before.topics);
    assert!(controller.handle().image().topic("late").is_some());
    controller.shutdown().await;
}

#[tokio::test]
async fn a_full_disk_makes_changes_wait_and_loses_none() {
    let disk = SimDisk::new(4);
    let controller = start_sim(&disk, 1).await;
    let handle = controller.handle();
    handle.register_broker(registration()).await.unwrap().unwrap();
    disk.set_capacity(disk.used());
    let names: Vec<String> = (0..2000).map(|i| format!("topic-{i:0200}")).collect();
    let submits = names.iter().zip(1..).map(|(name, id)| create_topic(&handle, name, id));
    let all = futures_util::future::join_all(submits);
    let mut all = std::pin::pin!(all);
    let early = tokio::time::timeout(Duration::from_millis(300), &mut all).await;
    assert!(early.is_err(), "more than what fits on the disk was answered");
    disk.set_capacity(u64::MAX);
    assert!(all.await.into_iter().all(|created| created));
    assert!(handle.failure().borrow().is_none());
    controller.shutdown().await;
    let controller = start_sim(&disk.crash(), 2).await;
    assert_eq!(controller.handle().image().topics.len(), 2000);
    controller.shutdown().await;
}

#[tokio::test]
async fn a_failed_sync_stops_the_controller_for_good() {
    let disk = SimDisk::new(5);
    let controller = start_sim(&disk, 1).await;
    let handle = controller.handle();
    handle.register_broker(registration()).await.unwrap().unwrap();
    disk.fail_sync(1);
    assert!(!create_topic(&handle, "unsure", 5).await);
    let error = handle.submit(create("later", 6)).await.expect_err("nothing is tried after a failed sync");
    assert!(matches!(&error, SubmitError::Stopped(why) if why.contains("metadata failed")), "{error}");
    assert!(handle.failure().borrow().as_ref().is_some_and(|why| why.contains("metadata failed")));
    controller.shutdown().await;
}

#[tokio::test]
async fn the_metadata_of_another_cluster_are_refused() {
    let disk = SimDisk::new(6);
    start_sim(&disk, 1).await.shutdown().await;
    let shared: Arc<dyn Disk> = Arc::new(disk);
    let held = DataDir::open(&shared, Path::new("/data"), 1, None, &fresh()).unwrap();
    let mut options = options(shared, &held, 2);
    options.identity.cluster_id = "AAAAAAAAAAAAAAAAAAAAAQ".to_owned();
    let error = Controller::start(options).await.err().expect("it is another cluster's");
    assert!(matches!(error, StartError::OtherCluster { .. }), "{error}");
}

#[tokio::test]
async fn a_proposal_that_is_repeated_acts_once_and_gets_the_same_reply() {
    let disk = SimDisk::new(7);
    let controller = start_sim(&disk, 1).await;
    let handle = controller.handle();
    handle.register_broker(registration()).await.unwrap().unwrap();
    let proposal = Proposal { session: handle.incarnation(), sequence: 1_000, command: create("once", 5) };
    let first = handle.propose(proposal.clone()).await.unwrap();
    let second = handle.propose(proposal).await.unwrap();
    assert_eq!(first, second);
    assert!(matches!(&first, Reply::TopicsCreated(results) if results[0].result.is_ok()), "{first:?}");
    controller.shutdown().await;
}

/// A start has to fit into the broker's 200 ms; alone it needs a few syncs. The bound is generous for a loaded machine.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_real_directory_comes_up_without_waiting_for_an_election() {
    let folder = tempfile::tempdir().unwrap();
    for run in 1..4 {
        let clock = crate::clock::Clock::system();
        let (controller, _held) = start(Arc::new(OsDisk), folder.path(), run).await.unwrap();
        let took = clock.now().mono;
        println!("run {run}: up after {took:?}");
        assert!(took < Duration::from_secs(2), "{took:?}");
        controller.shutdown().await;
    }
}
