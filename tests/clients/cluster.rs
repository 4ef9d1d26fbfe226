//! Three brokers in this process: what one is given all have, and any of them may stop.

use rdkafka::consumer::{CommitMode, Consumer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use tidemark_tests::cluster::Cluster;
use tidemark_tests::librdkafka::{PATIENCE, numbers, produce_numbers, receive};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_node_may_stop_while_producers_go_on_and_comes_back_in_sync() {
    let mut cluster = Cluster::start().await;
    cluster.create_topic("t", 3).await;
    cluster.all_in_sync(Some("t")).await;
    let producer = cluster.producer();
    produce_numbers(&producer, "t", 0..300, 3).await;
    let mut next = 300;
    for id in 1..=3 {
        let running = {
            let producer = producer.clone();
            tokio::spawn(async move { produce_numbers(&producer, "t", next..next + 300, 3).await })
        };
        cluster.stop_node(id).await;
        running.await.expect("nothing is refused while a node stops");
        produce_numbers(&producer, "t", next + 300..next + 600, 3).await;
        cluster.start_node(id).await;
        cluster.all_in_sync(Some("t")).await;
        next += 600;
    }
    for partition in 0..3 {
        let expected: Vec<i32> = (0..next).filter(|i| i % 3 == partition).collect();
        assert_eq!(cluster.read("t", partition, expected.len()).await, expected);
    }
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_group_committed_outlives_its_coordinator() {
    let mut cluster = Cluster::start().await;
    cluster.create_topic("t", 1).await;
    produce_numbers(&cluster.producer(), "t", 0..100, 1).await;
    let consumer = cluster.consumer("g");
    consumer.subscribe(&["t"]).expect("a subscription");
    assert_eq!(numbers(&receive(&consumer, 60).await.expect("records")), (0..60).collect::<Vec<_>>());
    let mut upto = TopicPartitionList::new();
    upto.add_partition_offset("t", 0, Offset::Offset(60)).expect("a list");
    consumer.commit(&upto, CommitMode::Sync).expect("committed");
    drop(consumer);
    cluster.all_in_sync(Some("__consumer_offsets")).await;
    for id in 1..=3 {
        cluster.stop_node(id).await;
        let consumer = cluster.consumer("g");
        let committed = tokio::task::spawn_blocking(move || {
            let mut asked = TopicPartitionList::new();
            asked.add_partition("t", 0);
            consumer.committed_offsets(asked, PATIENCE).expect("an answer").elements()[0].offset()
        });
        assert_eq!(committed.await.expect("no panic"), Offset::Offset(60), "without node {id}");
        cluster.start_node(id).await;
        cluster.all_in_sync(Some("__consumer_offsets")).await;
    }
    cluster.stop().await;
}
