//! Topics and their configs as librdkafka's admin client makes, alters and removes them, and its wrong calls.

use rdkafka::admin::{
    AlterConfig, ConfigSource, NewPartitions, NewTopic, ResourceSpecifier, TopicReplication,
};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::RDKafkaErrorCode;
use tidemark_tests::librdkafka::{PATIENCE, admin_options};

use crate::node::Node;

/// A config's value, and whether it is set on the topic itself.
async fn config(node: &Node, topic: &str, key: &str) -> (String, bool) {
    let described = node
        .admin()
        .describe_configs(&[ResourceSpecifier::Topic(topic)], &admin_options())
        .await
        .expect("an answer");
    let resource = described.into_iter().next().expect("one resource").expect("a description");
    let entry = resource.get(key).expect("a described key");
    (entry.value.clone().expect("a value"), entry.source == ConfigSource::DynamicTopic)
}

fn partitions(node: &Node, topic: &str) -> Option<usize> {
    let consumer: BaseConsumer = node.client(&[]).create().expect("good settings");
    let metadata = consumer.fetch_metadata(None, PATIENCE).expect("metadata");
    metadata.topics().iter().find(|one| one.name() == topic).map(|one| one.partitions().len())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn topics_are_made_altered_grown_and_deleted() {
    let node = Node::start().await;
    node.create_topic("made", 2, &[("retention.ms", "3600000")]).await;
    assert_eq!(partitions(&node, "made"), Some(2));
    assert_eq!(config(&node, "made", "retention.ms").await, ("3600000".to_owned(), true));
    assert_eq!(config(&node, "made", "cleanup.policy").await, ("delete".to_owned(), false));

    let change = AlterConfig::new(ResourceSpecifier::Topic("made")).set("max.message.bytes", "2000000");
    let altered = node.admin().alter_configs(&[change], &admin_options()).await.expect("an answer");
    altered.into_iter().next().expect("one resource").expect("it is allowed");
    assert_eq!(config(&node, "made", "max.message.bytes").await.0, "2000000");
    // AlterConfigs, unlike IncrementalAlterConfigs, takes back what it does not name.
    assert_eq!(config(&node, "made", "retention.ms").await, ("604800000".to_owned(), false));

    let grown = node.admin().create_partitions(&[NewPartitions::new("made", 5)], &admin_options()).await;
    assert_eq!(grown.expect("an answer"), [Ok("made".to_owned())]);
    assert_eq!(partitions(&node, "made"), Some(5));

    let deleted = node.admin().delete_topics(&["made"], &admin_options()).await;
    assert_eq!(deleted.expect("an answer"), [Ok("made".to_owned())]);
    assert_eq!(partitions(&node, "made"), None);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_calls_get_kafkas_errors_and_change_nothing() {
    let node = Node::start().await;
    node.create_topic("there", 3, &[]).await;
    let admin = node.admin();
    let new = |name| NewTopic::new(name, 1, TopicReplication::Fixed(1));
    let wanted = [
        (new("there"), RDKafkaErrorCode::TopicAlreadyExists),
        (new("no spaces!"), RDKafkaErrorCode::InvalidTopic),
        (new("bad-value").set("retention.ms", "soon"), RDKafkaErrorCode::InvalidConfig),
        (new("bad-key").set("retention.moons", "3"), RDKafkaErrorCode::InvalidConfig),
        (NewTopic::new("copies", 1, TopicReplication::Fixed(9)), RDKafkaErrorCode::InvalidReplicationFactor),
        (NewTopic::new("none", 0, TopicReplication::Fixed(1)), RDKafkaErrorCode::InvalidPartitions),
    ];
    for (topic, code) in wanted {
        let name = topic.name.to_owned();
        let answer = admin.create_topics(&[topic], &admin_options()).await.expect("an answer");
        assert_eq!(answer, [Err((name, code))]);
    }
    let deleted = admin.delete_topics(&["absent"], &admin_options()).await.expect("an answer");
    assert_eq!(deleted, [Err(("absent".to_owned(), RDKafkaErrorCode::UnknownTopicOrPartition))]);
    let fewer = admin.create_partitions(&[NewPartitions::new("there", 2)], &admin_options()).await;
    assert_eq!(fewer.expect("an answer"), [Err(("there".to_owned(), RDKafkaErrorCode::InvalidPartitions))]);
    for name in ["bad-value", "bad-key", "copies", "none", "absent"] {
        assert_eq!(partitions(&node, name), None, "{name}");
    }
    assert_eq!(partitions(&node, "there"), Some(3));
    node.stop().await;
}
