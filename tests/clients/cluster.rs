//! Three brokers in this process: what one is given all have, and any of them may stop.

use std::sync::Arc;

use futures_util::future::{join_all, try_join_all};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{CommitMode, Consumer, StreamConsumer};
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use tempfile::TempDir;
use tidemark_broker::broker::Broker;
use tidemark_broker::clock::Clock;
use tidemark_broker::config::{Layers, NodeConfig};
use tidemark_storage::disk::OsDisk;

use crate::node::{PATIENCE, admin_options, numbers, receive};

/// Nodes with ids from 1 on; `None` where one is stopped.
struct Cluster {
    nodes: Vec<Member>,
}

struct Member {
    dir: TempDir,
    kafka: u16,
    broker: Option<Broker>,
}

impl Cluster {
    /// Three nodes that have found each other.
    async fn start() -> Cluster {
        let peers: Vec<u16> = (0..3).map(|_| free_port()).collect();
        let mut nodes = Vec::new();
        for _ in 0..3 {
            let dir = tempfile::tempdir().expect("a temporary directory");
            nodes.push(Member { dir, kafka: free_port(), broker: None });
        }
        let starts = nodes.iter().zip(1..).map(|(node, id)| broker_on(id, node, &peers));
        let brokers = join_all(starts).await;
        for (node, broker) in nodes.iter_mut().zip(brokers) {
            node.broker = Some(broker);
        }
        let cluster = Cluster { nodes };
        cluster.all_in_sync(None).await;
        cluster
    }

    async fn stop_node(&mut self, id: i32) {
        let broker = self.nodes[id as usize - 1].broker.take().expect("it runs");
        broker.stop().await;
    }

    async fn start_node(&mut self, id: i32) {
        let node = &self.nodes[id as usize - 1];
        // Its own peers are in its metadata; as seeds the others do.
        let broker = broker_on(id, node, &[]).await;
        self.nodes[id as usize - 1].broker = Some(broker);
    }

    async fn stop(mut self) {
        let brokers: Vec<Broker> = self.nodes.iter_mut().filter_map(|node| node.broker.take()).collect();
        join_all(brokers.into_iter().map(Broker::stop)).await;
    }

    fn client(&self, options: &[(&str, &str)]) -> ClientConfig {
        let servers: Vec<String> =
            self.nodes.iter().map(|node| format!("127.0.0.1:{}", node.kafka)).collect();
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", servers.join(","));
        for (key, value) in options {
            config.set(*key, *value);
        }
        config
    }

    fn producer(&self) -> FutureProducer {
        let options = [("linger.ms", "5"), ("enable.idempotence", "true"), ("message.timeout.ms", "60000")];
        self.client(&options).create().expect("good settings")
    }

    async fn create_topic(&self, topic: &str, partitions: i32) {
        let admin: AdminClient<DefaultClientContext> = self.client(&[]).create().expect("good settings");
        let wanted = NewTopic::new(topic, partitions, TopicReplication::Fixed(3));
        let created = admin.create_topics(&[wanted], &admin_options()).await.expect("an answer");
        assert_eq!(created, [Ok(topic.to_owned())]);
    }

    fn consumer(&self, group: &str) -> StreamConsumer {
        let options = [
            ("group.id", group),
            ("auto.offset.reset", "earliest"),
            ("enable.auto.commit", "false"),
            ("session.timeout.ms", "10000"),
            ("heartbeat.interval.ms", "200"),
        ];
        self.client(&options).create().expect("good settings")
    }

    /// Returns once all running nodes are known, and all partitions of `topic` are in sync on all of them.
    async fn all_in_sync(&self, topic: Option<&str>) {
        let running = self.nodes.iter().filter(|node| node.broker.is_some()).count();
        let consumer: Arc<StreamConsumer> = Arc::new(self.consumer("looks"));
        let wait = async {
            loop {
                let (asked, topic) = (Arc::clone(&consumer), topic.map(str::to_owned));
                let whole = tokio::task::spawn_blocking(move || {
                    let Ok(metadata) = asked.fetch_metadata(topic.as_deref(), PATIENCE) else { return false };
                    let topics = metadata.topics().iter().filter(|_| topic.is_some());
                    let mut partitions = topics.flat_map(|topic| topic.partitions());
                    metadata.brokers().len() == running
                        && partitions.all(|p| p.isr().len() == running && p.leader() > 0)
                });
                if whole.await.expect("no panic") {
                    return;
                }
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(PATIENCE, wait).await.expect("all replicas come in sync");
    }
}

async fn produce(producer: &FutureProducer, topic: &str, values: std::ops::Range<i32>, partitions: i32) {
    let values: Vec<(i32, String)> = values.map(|i| (i % partitions, i.to_string())).collect();
    let sends = values.iter().map(|(partition, value)| {
        producer.send(FutureRecord::<(), _>::to(topic).partition(*partition).payload(value), PATIENCE)
    });
    try_join_all(sends).await.expect("all are acknowledged");
}

async fn read(cluster: &Cluster, topic: &str, partition: i32, count: usize) -> Vec<i32> {
    let consumer = cluster.consumer("reader");
    let mut assigned = TopicPartitionList::new();
    assigned.add_partition_offset(topic, partition, Offset::Beginning).expect("a list");
    consumer.assign(&assigned).expect("assigned");
    numbers(&receive(&consumer, count).await.expect("records come"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_node_may_stop_while_producers_go_on_and_comes_back_in_sync() {
    let mut cluster = Cluster::start().await;
    cluster.create_topic("t", 3).await;
    cluster.all_in_sync(Some("t")).await;
    let producer = cluster.producer();
    produce(&producer, "t", 0..300, 3).await;
    let mut next = 300;
    for id in 1..=3 {
        let running = {
            let producer = producer.clone();
            tokio::spawn(async move { produce(&producer, "t", next..next + 300, 3).await })
        };
        cluster.stop_node(id).await;
        running.await.expect("nothing is refused while a node stops");
        produce(&producer, "t", next + 300..next + 600, 3).await;
        cluster.start_node(id).await;
        cluster.all_in_sync(Some("t")).await;
        next += 600;
    }
    for partition in 0..3 {
        let expected: Vec<i32> = (0..next).filter(|i| i % 3 == partition).collect();
        assert_eq!(read(&cluster, "t", partition, expected.len()).await, expected);
    }
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_group_committed_outlives_its_coordinator() {
    let mut cluster = Cluster::start().await;
    cluster.create_topic("t", 1).await;
    produce(&cluster.producer(), "t", 0..100, 1).await;
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

/// A port nobody listens on just now.
fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    listener.local_addr().expect("a bound socket has an address").port()
}

async fn broker_on(id: i32, node: &Member, peers: &[u16]) -> Broker {
    let mut layers = Layers::default();
    let dir = node.dir.path();
    if let Some(own) = peers.get(id as usize - 1) {
        let seeds: Vec<String> = peers.iter().map(|port| format!("127.0.0.1:{port}")).collect();
        let text =
            format!("[peer]\nbind = \"127.0.0.1:{own}\"\n[cluster]\nseeds = \"{}\"\n", seeds.join(","));
        tokio::fs::write(dir.join("tidemark.toml"), text).await.expect("written");
    }
    let text = tokio::fs::read_to_string(dir.join("tidemark.toml")).await.expect("written before");
    layers.add_file("tidemark.toml", &text);
    for (key, value) in [
        ("node.id", id.to_string()),
        ("node.data_dir", dir.to_str().expect("a path in UTF-8").to_owned()),
        ("listener.PLAINTEXT.bind", format!("127.0.0.1:{}", node.kafka)),
        ("admin.bind", "off".to_owned()),
        ("kafka.auto.create.topics.enable", "false".to_owned()),
        ("kafka.offsets.topic.replication.factor", "3".to_owned()),
        ("kafka.offsets.topic.num.partitions", "4".to_owned()),
        ("kafka.group.initial.rebalance.delay.ms", "0".to_owned()),
    ] {
        layers.add_set(&format!("{key}={value}"));
    }
    let config = NodeConfig::from_layers(&layers).expect("a good configuration");
    Broker::start(&config, Arc::new(OsDisk), Clock::system()).await.expect("the broker starts")
}
