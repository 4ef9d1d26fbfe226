//! What a cluster does by itself: internal topics grow with it, and leaders return to where they are preferred.

use std::sync::Arc;
use std::time::Duration;

use rdkafka::consumer::{CommitMode, Consumer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use tidemark_storage::disk::OsDisk;
use tidemark_tests::cluster::Cluster;
use tidemark_tests::librdkafka::{PATIENCE, produce_numbers, receive};

/// Partitions of a topic as (leader, replicas, ISR), each list sorted.
type Shape = Vec<(i32, Vec<i32>, Vec<i32>)>;

fn shape(cluster: &Cluster, topic: &str) -> Shape {
    let consumer = cluster.consumer("looks");
    let Ok(metadata) = consumer.fetch_metadata(Some(topic), PATIENCE) else { return Vec::new() };
    let sorted = |ids: &[i32]| {
        let mut ids = ids.to_vec();
        ids.sort_unstable();
        ids
    };
    let partitions = metadata.topics().iter().flat_map(|topic| topic.partitions());
    partitions.map(|p| (p.leader(), sorted(p.replicas()), sorted(p.isr()))).collect()
}

async fn until(cluster: &Cluster, topic: &str, what: &str, holds: impl Fn(&Shape) -> bool) {
    let wait = async {
        while !holds(&tokio::task::block_in_place(|| shape(cluster, topic))) {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(2 * PATIENCE, wait).await.unwrap_or_else(|_| panic!("never: {what}"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_offsets_topic_of_one_node_has_three_replicas_once_there_are_three() {
    let mut cluster = Cluster::start_on(vec![Arc::new(OsDisk)], &[]).await;
    cluster.create(rdkafka::admin::NewTopic::new("t", 1, rdkafka::admin::TopicReplication::Fixed(1))).await;
    produce_numbers(&cluster.producer(), "t", 0..10, 1).await;
    let consumer = cluster.consumer("g");
    consumer.subscribe(&["t"]).unwrap();
    receive(&consumer, 10).await.unwrap();
    let mut upto = TopicPartitionList::new();
    upto.add_partition_offset("t", 0, Offset::Offset(7)).unwrap();
    consumer.commit(&upto, CommitMode::Sync).unwrap();
    drop(consumer);
    let alone = tokio::task::block_in_place(|| shape(&cluster, "__consumer_offsets"));
    assert!(alone.iter().all(|(_, replicas, _)| *replicas == [1]), "{alone:?}");
    cluster.add_node().await;
    cluster.add_node().await;
    until(&cluster, "__consumer_offsets", "three replicas in sync", |partitions| {
        !partitions.is_empty()
            && partitions.iter().all(|(_, replicas, isr)| *replicas == [1, 2, 3] && isr == replicas)
    })
    .await;
    let asked = cluster.consumer("g");
    let committed = tokio::task::spawn_blocking(move || {
        let mut list = TopicPartitionList::new();
        list.add_partition("t", 0);
        asked.committed_offsets(list, PATIENCE).unwrap().elements()[0].offset()
    });
    assert_eq!(committed.await.unwrap(), Offset::Offset(7));
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leaders_return_to_their_preferred_replicas_by_themselves() {
    let disk = || -> Arc<dyn tidemark_storage::disk::Disk> { Arc::new(OsDisk) };
    let settings = [("kafka.leader.imbalance.check.interval.seconds", "1")];
    let mut cluster = Cluster::start_on(vec![disk(), disk(), disk()], &settings).await;
    cluster.create_topic("t", 3).await;
    cluster.all_in_sync(Some("t")).await;
    let leads_one_each = |partitions: &Shape| {
        let mut leaders: Vec<i32> = partitions.iter().map(|(leader, _, _)| *leader).collect();
        leaders.sort_unstable();
        leaders == [1, 2, 3]
    };
    until(&cluster, "t", "one leader each", leads_one_each).await;
    cluster.stop_node(1).await;
    until(&cluster, "t", "others lead", |partitions| partitions.iter().all(|(leader, _, _)| *leader > 1))
        .await;
    cluster.start_node(1).await;
    until(&cluster, "t", "one leader each again", leads_one_each).await;
    cluster.stop().await;
}
