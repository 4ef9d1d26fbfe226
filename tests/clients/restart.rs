//! What is there after a stop and a start on the same directory: records, topics, configs, committed offsets.

use rdkafka::admin::ResourceSpecifier;
use rdkafka::consumer::{CommitMode, Consumer, StreamConsumer};
use rdkafka::message::Message;
use rdkafka::producer::FutureRecord;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use tidemark_tests::librdkafka::{PATIENCE, admin_options, numbers, receive};

use crate::node::Node;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_loses_nothing() {
    let node = Node::start().await;
    node.create_topic("kept", 2, &[("retention.ms", "3600000")]).await;
    node.produce_numbers("kept", 0, 200, 2).await;
    let producer = node.producer(&[("enable.idempotence", "true"), ("compression.type", "zstd")]);
    let record = FutureRecord::to("kept").partition(0).key("key").payload("200");
    producer.send(record, PATIENCE).await.expect("an acknowledgement");
    drop(producer);

    let consumer: StreamConsumer = node.group_config("kept").create().expect("good settings");
    consumer.subscribe(&["kept"]).expect("a subscription");
    receive(&consumer, 1).await.expect("a record");
    let mut offsets = TopicPartitionList::new();
    for (partition, offset) in [(0, 60), (1, 30)] {
        offsets.add_partition_offset("kept", partition, Offset::Offset(offset)).expect("a partition");
    }
    consumer.commit(&offsets, CommitMode::Sync).expect("a commit");
    drop(consumer);

    let node = node.restart().await;
    assert_eq!(node.bounds("kept", 0), (0, 101));
    assert_eq!(node.bounds("kept", 1), (0, 100));
    let even = node.read("kept", 0, 0, 101).await;
    assert_eq!(numbers(&even), (0..=200).step_by(2).collect::<Vec<_>>());
    assert_eq!(even[100].key(), Some(&b"key"[..]));
    let described = node
        .admin()
        .describe_configs(&[ResourceSpecifier::Topic("kept")], &admin_options())
        .await
        .expect("an answer");
    let configs = described.into_iter().next().expect("one resource").expect("a description");
    assert_eq!(configs.get("retention.ms").and_then(|entry| entry.value.as_deref()), Some("3600000"));

    let consumer: StreamConsumer = node.group_config("kept").create().expect("good settings");
    consumer.subscribe(&["kept"]).expect("a subscription");
    let rest = receive(&consumer, 41 + 70).await.expect("the rest of both partitions");
    let first = |partition| rest.iter().find(|record| record.partition() == partition).map(Message::offset);
    assert_eq!((first(0), first(1)), (Some(60), Some(30)));
    drop(consumer);

    // The log goes on where it ended.
    node.produce_numbers("kept", 201, 203, 2).await;
    assert_eq!((node.bounds("kept", 0), node.bounds("kept", 1)), ((0, 102), (0, 101)));
    node.stop().await;
}
