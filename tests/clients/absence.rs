//! What happens to topics while a node is away: when it is back its image and its files agree with everybody's.

use std::collections::BTreeSet;
use std::time::Duration;

use rdkafka::admin::NewPartitions;
use tidemark_storage::disk::{Disk, OsDisk};
use tidemark_tests::cluster::Cluster;
use tidemark_tests::librdkafka::{PATIENCE, admin_options, produce_numbers};

/// Directories of the partitions of these topics on a node: what is being deleted has another name.
fn directories(cluster: &Cluster, node: i32, topics: &[&str]) -> BTreeSet<String> {
    let names = OsDisk.read_dir(cluster.dir(node)).expect("the node's directory");
    let is_of = |name: &String| {
        name.rsplit_once('-').is_some_and(|(topic, _)| topics.contains(&topic)) && !name.ends_with("-delete")
    };
    names.into_iter().filter(is_of).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn topics_made_deleted_and_grown_while_a_node_is_down_are_so_on_its_disk_when_it_is_back() {
    let mut cluster = Cluster::start().await;
    let producer = cluster.producer();
    for topic in ["deleted", "grown", "again"] {
        cluster.create_topic(topic, 1).await;
        produce_numbers(&producer, topic, 0..20, 1).await;
        cluster.all_in_sync(Some(topic)).await;
    }
    cluster.stop_node(3).await;
    let admin = cluster.admin();
    let deleted = admin.delete_topics(&["deleted", "again"], &admin_options()).await.expect("an answer");
    assert!(deleted.iter().all(Result::is_ok), "{deleted:?}");
    let grown = admin.create_partitions(&[NewPartitions::new("grown", 3)], &admin_options()).await;
    assert!(grown.expect("an answer").iter().all(Result::is_ok));
    // A client that knows the new partitions, and nothing of the leader epochs of a topic that is gone.
    let producer = cluster.producer();
    for (topic, values) in [("again", 100..130), ("made", 0..30)] {
        cluster.create_topic(topic, 1).await;
        produce_numbers(&producer, topic, values, 1).await;
    }
    produce_numbers(&producer, "grown", 20..50, 3).await;
    cluster.start_node(3).await;
    let topics = ["deleted", "grown", "again", "made"];
    for topic in &topics[1..] {
        cluster.all_in_sync(Some(topic)).await;
    }
    let expected: BTreeSet<String> =
        ["again-0", "grown-0", "grown-1", "grown-2", "made-0"].map(str::to_owned).into();
    let agree = async {
        while (1..=3).any(|node| directories(&cluster, node, &topics) != expected) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    if tokio::time::timeout(PATIENCE, agree).await.is_err() {
        panic!("{:?}", (1..=3).map(|node| directories(&cluster, node, &topics)).collect::<Vec<_>>());
    }
    assert_eq!(cluster.read("again", 0, 30).await, (100..130).collect::<Vec<_>>());
    assert_eq!(cluster.read("made", 0, 30).await, (0..30).collect::<Vec<_>>());
    cluster.stop().await;
}
