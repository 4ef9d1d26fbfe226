use std::path::{Path, PathBuf};

use tidemark_core::metadata::{BrokerConfigs, ConfigResource, PartitionImage, TopicImage};
use tidemark_protocol::types::Now;
use tidemark_storage::disk::{Disk, SimDisk};
use tidemark_storage::log::{LogContext, LogOptions};
use tidemark_storage::metrics::LogMetrics;
use tidemark_storage::tail::TailBudget;

use super::*;
use crate::clock::Clock;
use crate::partition::testing::{ME, batch, committed, topic_id};
use crate::partition::{Acks, Append, AppendWait, PartitionError, ProduceError};
use crate::runtime::{RuntimeConfig, Runtimes};

/// More than any of these tests needs.
const PATIENCE: Duration = Duration::from_secs(30);

/// A replica manager over a simulated disk, with threads of its own.
struct Node {
    disk: SimDisk,
    log: Arc<LogContext>,
    images: watch::Sender<Arc<ClusterImage>>,
    manager: Arc<ReplicaManager>,
}

impl Node {
    async fn start(disk: SimDisk, image: ClusterImage) -> Node {
        Node::start_with(disk, image, 2).await
    }

    async fn start_with(disk: SimDisk, image: ClusterImage, log_threads: usize) -> Node {
        let tail = Arc::new(TailBudget::new(1 << 20));
        let log = LogContext::new(
            Arc::new(disk.clone()),
            tail,
            Arc::new(LogMetrics::default()),
            LogOptions::default(),
        );
        let config =
            RuntimeConfig { network_threads: 0, log_threads, sync_threads: 2, background_threads: 1 };
        let options = ReplicaOptions {
            me: ME,
            dir: PathBuf::from("/data"),
            log: Arc::clone(&log),
            clock: Clock::manual(Now { mono: Duration::from_secs(1), wall_ms: 1_700_000_000_000 }),
            runtimes: Runtimes::start(config).unwrap(),
            configs: BrokerConfigs::default(),
        };
        let (images, watch) = watch::channel(Arc::new(image));
        let manager = Opening::begin(options, watch).unwrap().take_roles().await;
        Node { disk, log, images, manager }
    }

    async fn apply(&self, image: ClusterImage) {
        let version = image.version;
        self.images.send_replace(Arc::new(image));
        self.manager.wait_applied(version).await;
    }

    fn partition(&self, topic: &str, index: i32) -> PartitionHandle {
        self.manager.partition(topic, index).expect("the partition is in the map")
    }

    async fn append(&self, topic: &str, index: i32, value: &str) -> i64 {
        self.partition(topic, index).append_one(batch(value), Acks::All).await.unwrap().base_offset
    }

    async fn read(&self, topic: &str, index: i32) -> Vec<String> {
        committed(&self.partition(topic, index).ready_view().await.unwrap())
    }
}

/// An image with these topics, all led by this broker.
fn image(version: u64, topics: &[(u128, &str, usize)]) -> ClusterImage {
    let mut image = ClusterImage::new("cluster");
    for (id, name, partitions) in topics {
        let (id, name): (_, Arc<str>) = (topic_id(*id), Arc::from(*name));
        let partitions = vec![PartitionImage::new(&[ME], &[ME]); *partitions];
        image.topic_ids.insert(Arc::clone(&name), id);
        image.topics.insert(id, Arc::new(TopicImage { id, name, partitions }));
    }
    image.set_version(version);
    image
}

/// The image after a partition went to another broker.
fn moved(mut image: ClusterImage, topic: &str, index: usize) -> ClusterImage {
    let id = image.topic_ids[topic];
    let mut topic = TopicImage::clone(&image.topics[&id]);
    topic.partitions[index] = PartitionImage::new(&[ME + 1], &[ME + 1]);
    image.topics.insert(id, Arc::new(topic));
    image
}

#[tokio::test]
async fn a_topic_can_be_used_as_soon_as_its_version_is_applied() {
    let node = Node::start(SimDisk::new(1), image(1, &[])).await;
    assert!(node.manager.partition("a", 0).is_none());
    node.apply(image(2, &[(1, "a", 2)])).await;
    assert_eq!(node.append("a", 1, "x").await, 0);
    node.apply(image(3, &[(1, "a", 3), (2, "b", 1)])).await;
    assert_eq!(node.append("a", 2, "x").await, 0);
    assert_eq!(node.append("b", 0, "x").await, 0);
    assert_eq!(node.append("a", 1, "y").await, 1, "what existed goes on");
}

#[tokio::test]
async fn a_topic_created_again_in_the_same_image_starts_empty() {
    let node = Node::start(SimDisk::new(1), image(1, &[(1, "a", 4)])).await;
    let old = node.partition("a", 0);
    for index in 0..4 {
        node.append("a", index, "old").await;
    }
    node.apply(image(2, &[(2, "a", 4)])).await;
    for index in 0..4 {
        assert_eq!(node.append("a", index, "new").await, 0);
        assert_eq!(node.read("a", index).await, ["new"]);
    }
    assert_eq!(old.append_one(batch("late"), Acks::All).await, Err(ProduceError::Closed));
    assert!(matches!(old.ready_view().await, Err(PartitionError::Closed)));
}

#[tokio::test]
async fn a_thousand_partitions_start_without_opening_a_log() {
    let all = [(1, "a", 600), (2, "b", 400)];
    let node = Node::start(SimDisk::new(1), image(1, &all)).await;
    assert_eq!(node.manager.map().partitions().count(), 1000);
    assert_eq!(node.append("a", 599, "x").await, 0);
    assert_eq!(node.append("b", 0, "x").await, 0);
    assert!(node.manager.shutdown(PATIENCE).await.clean);
    let node = Node::start(node.disk.crash(), image(1, &all)).await;
    assert!(node.partition("a", 0).view().is_none(), "what is not on disk is opened on first use only");
    assert_eq!(node.read("a", 599).await, ["x"]);
    assert_eq!(node.read("a", 0).await, [""; 0]);
    // The sweep opens the other one that has files, and none of the 998 that have none.
    while node.partition("b", 0).view().is_none() {
        tokio::task::yield_now().await;
    }
    assert_eq!(node.manager.metrics().opened_logs.get(), 3);
}

#[tokio::test]
async fn marks_survive_another_number_of_log_threads() {
    let all = [(1, "a", 20)];
    let mut disk = SimDisk::new(1);
    for (round, threads) in [1, 4, 2, 3].into_iter().enumerate() {
        let node = Node::start_with(disk.clone(), image(1, &all), threads).await;
        for index in 0..20 {
            assert_eq!(node.append("a", index, "x").await, i64::try_from(round).unwrap());
        }
        assert_eq!(node.log.metrics.recovery_scanned_bytes.get(), 0, "with {threads} threads");
        assert!(node.manager.shutdown(PATIENCE).await.clean);
        disk = disk.crash();
    }
}

#[tokio::test]
async fn acked_records_survive_a_power_loss_of_a_busy_node() {
    let node = Node::start(SimDisk::new(1), image(1, &[(1, "a", 8)])).await;
    let mut acked = [0; 8];
    for round in 0..10 {
        let mut waits = Vec::new();
        for (index, acked) in acked.iter_mut().enumerate() {
            let (wait, replies) = AppendWait::new(5);
            for reply in replies {
                let append = Append { batch: batch(&round.to_string()), acks: Acks::All, reply };
                node.partition("a", i32::try_from(index).unwrap()).append(append);
            }
            waits.push((wait, acked));
        }
        for (mut wait, acked) in waits {
            (&mut wait).await;
            *acked += wait.into_results().into_iter().flatten().filter(Result::is_ok).count();
        }
    }
    let node = Node::start(node.disk.crash(), image(1, &[(1, "a", 8)])).await;
    for (index, acked) in acked.iter().enumerate() {
        assert_eq!(node.read("a", i32::try_from(index).unwrap()).await.len(), *acked);
    }
}

#[tokio::test]
async fn a_shutdown_answers_what_comes_late() {
    let node = Node::start(SimDisk::new(1), image(1, &[(1, "a", 1)])).await;
    node.append("a", 0, "x").await;
    let handle = node.partition("a", 0);
    assert!(node.manager.shutdown(PATIENCE).await.clean);
    assert_eq!(handle.append_one(batch("late"), Acks::Leader).await, Err(ProduceError::Closed));
    assert_eq!(handle.delete_records(None).await, Err(PartitionError::Closed));
    assert!(!node.manager.shutdown(PATIENCE).await.clean, "a second one has nothing to close");
}

#[tokio::test]
async fn a_failed_directory_is_told_and_is_not_clean() {
    let node = Node::start(SimDisk::new(1), image(1, &[(1, "a", 8)])).await;
    for index in 0..8 {
        node.append("a", index, "x").await;
    }
    let mut failure = node.manager.failure();
    assert!(failure.borrow_and_update().is_none());
    node.disk.fail_sync(1);
    let refused = node.partition("a", 0).append_one(batch("lost"), Acks::All).await.unwrap_err();
    assert!(matches!(refused, ProduceError::Storage(_)), "{refused:?}");
    assert!(failure.borrow_and_update().is_some());
    for index in 0..8 {
        let refused = node.partition("a", index).append_one(batch("later"), Acks::Leader).await.unwrap_err();
        assert!(matches!(refused, ProduceError::Storage(_)), "{refused:?}");
        assert_eq!(committed(&node.partition("a", index).view().unwrap()), ["x"]);
    }
    assert!(!node.manager.shutdown(PATIENCE).await.clean);
}

#[tokio::test]
async fn a_changed_setting_reaches_the_partitions_of_its_topic_only() {
    let node = Node::start(SimDisk::new(1), image(1, &[(1, "a", 2), (2, "b", 1)])).await;
    let mut changed = image(2, &[(1, "a", 2), (2, "b", 1)]);
    let overrides = [("max.message.bytes".to_owned(), "1234".to_owned())].into();
    changed.configs.insert(ConfigResource::Topic("a".to_owned()), Arc::new(overrides));
    node.apply(changed).await;
    let size = |topic, index| node.partition(topic, index).config().rules.max_message_bytes;
    assert_eq!((size("a", 0), size("a", 1)), (1234, 1234));
    assert_ne!(size("b", 0), 1234);
    node.apply(image(3, &[(1, "a", 2), (2, "b", 1)])).await;
    assert_eq!(size("a", 0), size("b", 0), "a removed override is gone");
}

#[tokio::test]
async fn a_replica_that_went_to_other_brokers_leaves_no_files() {
    let node = Node::start(SimDisk::new(1), image(1, &[(1, "a", 2)])).await;
    node.append("a", 0, "x").await;
    node.append("a", 1, "y").await;
    node.apply(moved(image(2, &[(1, "a", 2)]), "a", 0)).await;
    assert!(node.manager.partition("a", 0).is_none());
    assert!(!node.disk.exists(Path::new("/data/a-0")), "it is renamed before the image counts as applied");
    assert_eq!(node.read("a", 1).await, ["y"], "the topic's other partition stays");
    node.apply(image(3, &[(1, "a", 2)])).await;
    assert_eq!(node.read("a", 0).await, [""; 0], "when it comes back it starts anew");
}

#[tokio::test]
async fn what_moved_away_while_the_node_was_down_is_removed_at_its_start() {
    let node = Node::start(SimDisk::new(1), image(1, &[(1, "a", 2)])).await;
    node.append("a", 0, "x").await;
    node.append("a", 1, "y").await;
    assert!(node.manager.shutdown(PATIENCE).await.clean);
    let node = Node::start(node.disk.crash(), moved(image(2, &[(1, "a", 2)]), "a", 0)).await;
    while node.disk.exists(Path::new("/data/a-0")) {
        tokio::task::yield_now().await;
    }
    assert_eq!(node.read("a", 1).await, ["y"]);
    assert!(node.manager.shutdown(PATIENCE).await.clean);
    let node = Node::start(node.disk.crash(), image(3, &[(1, "a", 2)])).await;
    assert_eq!(node.append("a", 0, "z").await, 0, "no mark of the old replica is left");
}

#[tokio::test]
async fn leftovers_of_deleted_topics_are_removed_at_the_start() {
    let node = Node::start(SimDisk::new(1), image(1, &[(1, "gone", 1), (2, "kept", 1)])).await;
    node.append("gone", 0, "x").await;
    node.append("kept", 0, "x").await;
    assert!(node.manager.shutdown(PATIENCE).await.clean);
    let node = Node::start(node.disk.crash(), image(2, &[(2, "kept", 1)])).await;
    while node.disk.exists(Path::new("/data/gone-0")) {
        tokio::task::yield_now().await;
    }
    assert_eq!(node.read("kept", 0).await, ["x"]);
    assert!(node.manager.shutdown(PATIENCE).await.clean);
    // Metadata without any topic may themselves be what is missing.
    let node = Node::start(node.disk.crash(), image(3, &[])).await;
    assert!(node.disk.exists(Path::new("/data/kept-0-stray")));
}
