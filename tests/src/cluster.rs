//! Several brokers in this process, each with a directory and a disk of its own, and clients that know them all.
//!
//! A directory outlives a stop of its node, so that the node can be started again on the same data, or on what a test
//! made of it meanwhile.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{Consumer, StreamConsumer};
use rdkafka::metadata::MetadataPartition;
use rdkafka::producer::FutureProducer;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use tempfile::TempDir;
use tidemark_broker::broker::{Broker, StartError};
use tidemark_broker::clock::Clock;
use tidemark_broker::config::{Layers, NodeConfig};
use tidemark_storage::disk::{Disk, OsDisk};

use crate::librdkafka::{PATIENCE, admin_options, numbers, receive};

/// How often a state is looked at that nobody announces.
const LOOK_EACH: Duration = Duration::from_millis(50);

/// Nodes with ids from 1 on.
pub struct Cluster {
    nodes: Vec<Member>,
    settings: Vec<(String, String)>,
    seeds: String,
}

struct Member {
    dir: TempDir,
    /// Its `tidemark.toml`, which names its peer port and its seeds; kept outside its data.
    file: String,
    disk: Arc<dyn Disk>,
    kafka: u16,
    /// `None` while it is stopped.
    broker: Option<Broker>,
}

impl Member {
    fn new(disk: Arc<dyn Disk>, port: u16, seeds: &str) -> Member {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let file = format!("[peer]\nbind = \"127.0.0.1:{port}\"\n[cluster]\nseeds = \"{seeds}\"\n");
        Member { dir, file, disk, kafka: free_port(), broker: None }
    }
}

impl Cluster {
    /// Three nodes that have found each other.
    pub async fn start() -> Cluster {
        Cluster::start_on(vec![Arc::new(OsDisk), Arc::new(OsDisk), Arc::new(OsDisk)], &[]).await
    }

    /// A node on each of these disks, with settings as `--set` takes them (`{id}` in a value is the node's id); returns once they have found each other.
    pub async fn start_on(disks: Vec<Arc<dyn Disk>>, settings: &[(&str, &str)]) -> Cluster {
        let peers: Vec<u16> = disks.iter().map(|_| free_port()).collect();
        let settings = settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let seeds: Vec<String> = peers.iter().map(|port| format!("127.0.0.1:{port}")).collect();
        let seeds = seeds.join(",");
        let member = |(disk, port): (_, &u16)| Member::new(disk, *port, &seeds);
        let nodes = disks.into_iter().zip(&peers).map(member).collect();
        let mut cluster = Cluster { nodes, settings, seeds: seeds.clone() };
        let starts = (1..).zip(&cluster.nodes).map(|(id, _)| cluster.broker_on(id));
        let brokers = join_all(starts).await;
        for (node, broker) in cluster.nodes.iter_mut().zip(brokers) {
            node.broker = Some(broker.expect("the broker starts"));
        }
        cluster.all_in_sync(None).await;
        cluster
    }

    /// Adds a node with the next id, which finds the others.
    pub async fn add_node(&mut self) {
        self.nodes.push(Member::new(Arc::new(OsDisk), free_port(), &self.seeds));
        let id = i32::try_from(self.nodes.len()).expect("a few nodes");
        self.start_node(id).await;
    }

    /// Adds a node with the next id that serves clients and never votes.
    pub async fn add_broker(&mut self) {
        let mut node = Member::new(Arc::new(OsDisk), free_port(), &self.seeds);
        node.file.push_str("[node]\nroles = \"broker\"\n");
        self.nodes.push(node);
        let id = i32::try_from(self.nodes.len()).expect("a few nodes");
        self.start_node(id).await;
    }

    /// Stops a node in good order.
    pub async fn stop_node(&mut self, id: i32) {
        let broker = self.member_mut(id).broker.take().expect("it runs");
        broker.stop().await;
    }

    /// Starts a stopped node on what its directory holds.
    pub async fn start_node(&mut self, id: i32) {
        self.try_start_node(id).await.expect("the broker starts");
    }

    /// Starts a stopped node on what its directory holds, or says why it refuses.
    pub async fn try_start_node(&mut self, id: i32) -> Result<(), StartError> {
        let broker = self.broker_on(id).await?;
        self.member_mut(id).broker = Some(broker);
        Ok(())
    }

    /// Tries to start another process as the node `id`, on an empty directory of its own, and says how it is refused.
    pub async fn refused_double(&self, id: i32) -> String {
        let double = Member::new(Arc::new(OsDisk), free_port(), &self.seeds);
        match self.broker_of(id, &double).await {
            Ok(_) => panic!("a second node {id} was let in"),
            Err(error) => error.to_string(),
        }
    }

    /// Stops all nodes that run.
    pub async fn stop(mut self) {
        let brokers: Vec<Broker> = self.nodes.iter_mut().filter_map(|node| node.broker.take()).collect();
        join_all(brokers.into_iter().map(Broker::stop)).await;
    }

    /// Where a node keeps its data.
    pub fn dir(&self, id: i32) -> &Path {
        self.member(id).dir.path()
    }

    /// Where a node takes clients.
    pub fn address(&self, id: i32) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.member(id).kafka))
    }

    /// Where a node takes the other nodes; it is one of those that began the cluster.
    pub fn peer_address(&self, id: i32) -> &str {
        self.seeds.split(',').nth(id as usize - 1).expect("one of the first nodes")
    }

    /// A client's settings with the addresses of all nodes.
    pub fn client(&self, options: &[(&str, &str)]) -> ClientConfig {
        let servers: Vec<String> =
            self.nodes.iter().map(|node| format!("127.0.0.1:{}", node.kafka)).collect();
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", servers.join(","));
        for (key, value) in options {
            config.set(*key, *value);
        }
        config
    }

    /// An idempotent producer.
    pub fn producer(&self) -> FutureProducer {
        let options = [("linger.ms", "5"), ("enable.idempotence", "true"), ("message.timeout.ms", "60000")];
        self.client(&options).create().expect("good settings")
    }

    /// An admin client.
    pub fn admin(&self) -> AdminClient<DefaultClientContext> {
        self.client(&[]).create().expect("good settings")
    }

    /// Creates a topic that every node of three holds.
    pub async fn create_topic(&self, topic: &str, partitions: i32) {
        self.create(NewTopic::new(topic, partitions, TopicReplication::Fixed(3))).await;
    }

    /// Creates a topic.
    pub async fn create(&self, wanted: NewTopic<'_>) {
        let created = self.admin().create_topics(&[wanted], &admin_options()).await.expect("an answer");
        assert!(created.iter().all(Result::is_ok), "{created:?}");
    }

    /// A consumer that begins at the earliest offset and commits only when told.
    pub fn consumer(&self, group: &str) -> StreamConsumer {
        let options = [
            ("group.id", group),
            ("auto.offset.reset", "earliest"),
            ("enable.auto.commit", "false"),
            ("session.timeout.ms", "10000"),
            ("heartbeat.interval.ms", "200"),
        ];
        self.client(&options).create().expect("good settings")
    }

    /// The first `count` records of a partition, whose values are numbers.
    pub async fn read(&self, topic: &str, partition: i32, count: usize) -> Vec<i32> {
        let consumer = self.consumer("reader");
        let mut assigned = TopicPartitionList::new();
        assigned.add_partition_offset(topic, partition, Offset::Beginning).expect("a list");
        consumer.assign(&assigned).expect("assigned");
        numbers(&receive(&consumer, count).await.expect("records come"))
    }

    /// Returns once all running nodes are known, and all partitions of `topic` are in sync on all of them.
    pub async fn all_in_sync(&self, topic: Option<&str>) {
        let running = (1..).zip(&self.nodes).filter(|(_, node)| node.broker.is_some());
        let ids: Vec<i32> = running.map(|(id, _)| id).collect();
        self.in_sync_on(topic, &ids).await;
    }

    /// Returns once these nodes are known and no others, and all partitions of `topic` are in sync on them alone.
    pub async fn in_sync_on(&self, topic: Option<&str>, ids: &[i32]) {
        let ids: BTreeSet<i32> = ids.iter().copied().collect();
        let consumer: Arc<StreamConsumer> = Arc::new(self.consumer("looks"));
        let wait = async {
            loop {
                let (asked, topic, ids) = (Arc::clone(&consumer), topic.map(str::to_owned), ids.clone());
                let whole = tokio::task::spawn_blocking(move || {
                    let Ok(metadata) = asked.fetch_metadata(topic.as_deref(), PATIENCE) else { return false };
                    let topics = metadata.topics().iter().filter(|_| topic.is_some());
                    let mut partitions = topics.flat_map(|topic| topic.partitions());
                    let known: BTreeSet<i32> = metadata.brokers().iter().map(|broker| broker.id()).collect();
                    let isr = |p: &MetadataPartition| p.isr().iter().copied().collect::<BTreeSet<i32>>();
                    known == ids && partitions.all(|p| isr(p) == ids && p.leader() > 0)
                });
                if whole.await.expect("no panic") {
                    return;
                }
                tokio::time::sleep(LOOK_EACH).await;
            }
        };
        tokio::time::timeout(PATIENCE, wait).await.expect("all replicas come in sync");
    }

    fn member(&self, id: i32) -> &Member {
        &self.nodes[id as usize - 1]
    }

    fn member_mut(&mut self, id: i32) -> &mut Member {
        &mut self.nodes[id as usize - 1]
    }

    async fn broker_on(&self, id: i32) -> Result<Broker, StartError> {
        self.broker_of(id, self.member(id)).await
    }

    async fn broker_of(&self, id: i32, node: &Member) -> Result<Broker, StartError> {
        let dir = node.dir.path();
        let mut layers = Layers::default();
        layers.add_file("tidemark.toml", &node.file);
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
        for (key, value) in &self.settings {
            layers.add_set(&format!("{key}={}", value.replace("{id}", &id.to_string())));
        }
        let config = NodeConfig::from_layers(&layers).expect("a good configuration");
        Broker::start(&config, Arc::clone(&node.disk), Clock::system()).await
    }
}

/// A port nobody listens on just now. Below those that the system gives to clients: one of these would be taken again
/// while its node is stopped.
fn free_port() -> u16 {
    const FIRST: u16 = 26_000;
    const COUNT: u16 = 6_000;
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let begin = (std::process::id() % u32::from(COUNT)) as u16;
    let candidates = (0..COUNT).map(|_| {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        FIRST + (begin.wrapping_mul(37) % COUNT + step % COUNT) % COUNT
    });
    let mut free = candidates.filter(|port| std::net::TcpListener::bind(("127.0.0.1", *port)).is_ok());
    free.next().expect("one of thousands of ports is free")
}
