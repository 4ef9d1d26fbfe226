//! A broker in this process with its directory, and the clients the tests use against it.
//!
//! The directory outlives a stop of the broker, so that a test can start it again on the same data.

use std::sync::Arc;

use futures_util::future::try_join_all;
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{Consumer, StreamConsumer};
use rdkafka::error::KafkaError;
use rdkafka::message::OwnedMessage;
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use tempfile::TempDir;
use tidemark_broker::broker::Broker;
use tidemark_broker::clock::Clock;
use tidemark_broker::config::{Layers, NodeConfig};
use tidemark_storage::disk::OsDisk;
use tidemark_tests::librdkafka::{PATIENCE, admin_options, receive};

/// A broker and its directory.
pub struct Node {
    dir: TempDir,
    broker: Broker,
}

impl Node {
    /// Starts a broker on an empty directory.
    pub async fn start() -> Node {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let broker = broker_on(&dir).await;
        Node { dir, broker }
    }

    /// Stops the broker in good order and starts another on the same directory; the port is a new one.
    pub async fn restart(self) -> Node {
        self.broker.stop().await;
        let broker = broker_on(&self.dir).await;
        Node { dir: self.dir, broker }
    }

    /// Stops the broker, so that its threads end before the directory goes.
    pub async fn stop(self) {
        self.broker.stop().await;
    }

    /// A client's settings with this broker's address and what is common to all of them.
    pub fn client(&self, options: &[(&str, &str)]) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", self.broker.addresses().listeners[0].1.to_string());
        for (key, value) in options {
            config.set(*key, *value);
        }
        config
    }

    /// An admin client.
    pub fn admin(&self) -> AdminClient<DefaultClientContext> {
        self.client(&[]).create().expect("the settings of an admin client are good")
    }

    /// Creates a topic with these configs.
    pub async fn create_topic(&self, topic: &str, partitions: i32, configs: &[(&str, &str)]) {
        let mut wanted = NewTopic::new(topic, partitions, TopicReplication::Fixed(1));
        for (key, value) in configs {
            wanted = wanted.set(key, value);
        }
        let created = self.admin().create_topics(&[wanted], &admin_options()).await.expect("an answer");
        assert_eq!(created, [Ok(topic.to_owned())]);
    }

    /// A producer with acks=all and these settings.
    pub fn producer(&self, options: &[(&str, &str)]) -> FutureProducer {
        let mut config = self.client(&[("linger.ms", "10"), ("message.timeout.ms", "20000")]);
        for (key, value) in options {
            config.set(*key, *value);
        }
        config.create().expect("the settings of a producer are good")
    }

    /// Produces the numbers `from..to`, spread over the partitions in turn.
    pub async fn produce_numbers(&self, topic: &str, from: i32, to: i32, partitions: i32) {
        let producer = self.producer(&[]);
        let values: Vec<(i32, String)> = (from..to).map(|i| (i % partitions, i.to_string())).collect();
        let sends = values.iter().map(|(partition, value)| {
            let record = FutureRecord::<(), _>::to(topic).partition(*partition).payload(value);
            producer.send(record, PATIENCE)
        });
        try_join_all(sends).await.expect("all are acknowledged");
    }

    /// Reads `count` records of a partition from an offset on.
    pub async fn read(&self, topic: &str, partition: i32, from: i64, count: usize) -> Vec<OwnedMessage> {
        try_read(self, topic, partition, from, count).await.expect("records come")
    }

    /// A consumer of a group that starts at the earliest offset and commits only when told.
    pub fn group_config(&self, group: &str) -> ClientConfig {
        self.client(&[
            ("group.id", group),
            ("auto.offset.reset", "earliest"),
            ("enable.auto.commit", "false"),
            ("session.timeout.ms", "10000"),
            ("heartbeat.interval.ms", "200"),
        ])
    }

    /// First and end offset of a partition.
    pub fn bounds(&self, topic: &str, partition: i32) -> (i64, i64) {
        let consumer: StreamConsumer = self.group_config("bounds").create().expect("good settings");
        consumer.fetch_watermarks(topic, partition, PATIENCE).expect("offsets")
    }
}

/// Reads as `Node::read` does, and hands out what the client reports instead of a record.
pub async fn try_read(
    node: &Node,
    topic: &str,
    partition: i32,
    from: i64,
    count: usize,
) -> Result<Vec<OwnedMessage>, KafkaError> {
    let mut config = node.group_config("reader");
    let consumer: StreamConsumer = config.set("auto.offset.reset", "error").create()?;
    let mut assigned = TopicPartitionList::new();
    assigned.add_partition_offset(topic, partition, Offset::Offset(from))?;
    consumer.assign(&assigned)?;
    receive(&consumer, count).await
}

async fn broker_on(dir: &TempDir) -> Broker {
    let mut layers = Layers::default();
    for (key, value) in [
        ("node.id", "1"),
        ("node.data_dir", dir.path().to_str().expect("a path in UTF-8")),
        ("listener.PLAINTEXT.bind", "127.0.0.1:0"),
        ("admin.bind", "off"),
        ("peer.bind", "off"),
        ("kafka.auto.create.topics.enable", "false"),
        ("kafka.offsets.topic.replication.factor", "1"),
        ("kafka.offsets.topic.num.partitions", "4"),
        ("kafka.group.initial.rebalance.delay.ms", "0"),
    ] {
        layers.add_set(&format!("{key}={value}"));
    }
    let config = NodeConfig::from_layers(&layers).expect("a good configuration");
    Broker::start(&config, Arc::new(OsDisk), Clock::system()).await.expect("the broker starts")
}
