//! Failover on real processes: how long writes and metadata stand still when a node dies, that a leader which stood still tells
//! nothing old, and that a rolling restart reaches no client.
//!
//! Three nodes of three processes reach each other directly; librdkafka writes to a few partitions all the time. What is told of
//! a round is read from the times at which its writes were acknowledged.

mod load;
mod rolling;

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::describe_quorum_request::{PartitionData, TopicData};
use kafka_protocol::messages::{
    ApiKey, CreateTopicsRequest, CreateTopicsResponse, DescribeQuorumRequest, DescribeQuorumResponse,
    TopicName,
};
use kafka_protocol::protocol::StrBytes;
use tokio::time::Instant;

use crate::chaos::ensemble::Ensemble;
use crate::chaos::wire;
use crate::client::Client;
use load::Load;

/// Partitions that are written to, all of them with three replicas.
const PARTITIONS: i32 = 6;
const TOPIC: &str = "failover";
/// How long the cluster may take to be whole again.
const WHOLE_TIME_MAX: Duration = Duration::from_secs(60);
/// How long the writer waits for a node that stands still.
const PAUSE_PATIENCE: Duration = Duration::from_secs(2);
/// Between two looks at the cluster.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// The settings of README for a quick failover.
pub const TUNED: [(&str, &str); 2] =
    [("broker.session.timeout.ms", "600"), ("broker.heartbeat.interval.ms", "100")];

/// What to run.
#[derive(Clone, Debug)]
pub struct Options {
    /// The broker.
    pub binary: PathBuf,
    /// First of the ports.
    pub port: u16,
    /// How many times each.
    pub rounds: u32,
    /// Sessions as [`TUNED`].
    pub tuned: bool,
}

/// A cluster under load.
struct Stage {
    ensemble: Ensemble,
    load: Load,
}

impl Stage {
    async fn new(options: &Options, dir: &Path, patience: Option<Duration>) -> Result<Stage, String> {
        let keys: &[(&str, &str)] = if options.tuned { &TUNED } else { &[] };
        let ensemble = Ensemble::direct(&options.binary, dir, options.port, keys).await;
        let mut ensemble = ensemble.map_err(|error| error.to_string())?;
        for id in 1..=3 {
            ensemble.start(id).map_err(|error| error.to_string())?;
        }
        let first = ensemble.members[0].address();
        until("the cluster is there", || create_topic(first, TOPIC, PARTITIONS).is_ok()).await?;
        until("all is in sync", || is_whole(&[first])).await?;
        let load = Load::start(ensemble.bootstrap(), TOPIC, PARTITIONS, patience);
        load.is_acknowledged_since(Instant::now()).await;
        Ok(Stage { ensemble, load })
    }

    fn addresses(&self) -> Vec<SocketAddr> {
        self.ensemble.members.iter().map(|member| member.address()).collect()
    }

    /// Starts a node again and returns once all replicas are in sync, as all nodes see it.
    async fn restore(&mut self, id: i32) -> Result<(), String> {
        self.ensemble.start(id).map_err(|error| error.to_string())?;
        let all = self.addresses();
        until("all is in sync again", || is_whole(&all)).await
    }

    /// A node that leads partitions, and which.
    fn leader(&self, nth: u32) -> Result<(i32, Vec<i32>), String> {
        let partition = i32::try_from(nth).unwrap_or(0) % PARTITIONS;
        let view = wire::view(self.addresses()[0]).map_err(|error| error.to_string())?;
        let leads = |index: i32| view.get(&format!("{TOPIC}/{index}")).map_or(-1, |placed| placed.leader);
        let leader = leads(partition);
        Ok((leader, (0..PARTITIONS).filter(|index| leads(*index) == leader).collect()))
    }
}

/// kill -9 of a leader, `rounds` times: how long until each of its partitions took writes again, the slowest of each round.
///
/// # Errors
/// The cluster does not come or come back.
pub async fn leaders(options: &Options, dir: &Path) -> Result<Vec<Duration>, String> {
    let mut stage = Stage::new(options, dir, None).await?;
    let mut times = Vec::new();
    for round in 0..options.rounds {
        let (leader, partitions) = stage.leader(round)?;
        let killed = Instant::now();
        stage.ensemble.member(leader).kill().await;
        times.push(stage.load.outage(&partitions, killed).await);
        stage.restore(leader).await?;
    }
    stage.load.finish().await?;
    Ok(times)
}

/// kill -9 of the active controller, `rounds` times: how long until a topic could be created.
///
/// # Errors
/// As [`leaders`].
pub async fn controllers(options: &Options, dir: &Path) -> Result<Vec<Duration>, String> {
    let mut stage = Stage::new(options, dir, None).await?;
    let mut times = Vec::new();
    for round in 0..options.rounds {
        let controller = controller(stage.addresses()[0]).map_err(|error| error.to_string())?;
        let others: Vec<SocketAddr> =
            stage.ensemble.members.iter().filter(|m| m.id != controller).map(|m| m.address()).collect();
        let killed = Instant::now();
        stage.ensemble.member(controller).kill().await;
        let name = format!("after-{round}");
        let mut asked = others.iter().cycle();
        until("a topic can be created", || {
            create_topic(*asked.next().expect("two are left"), &name, 1).is_ok()
        })
        .await?;
        times.push(killed.elapsed());
        stage.restore(controller).await?;
    }
    stage.load.finish().await?;
    Ok(times)
}

/// SIGSTOP of a leader until others lead and have committed more, then SIGCONT: what it is asked meanwhile it must not answer
/// with an end that is out of date. Returns how often it refused.
///
/// # Errors
/// As [`leaders`]; a stale answer.
pub async fn pauses(options: &Options, dir: &Path) -> Result<u32, String> {
    let mut stage = Stage::new(options, dir, Some(PAUSE_PATIENCE)).await?;
    let mut refused = 0;
    for round in 0..options.rounds {
        let (leader, partitions) = stage.leader(round)?;
        let partition = partitions[0];
        let address = stage.ensemble.member(leader).address();
        let mut readers: Vec<load::Reader> =
            (0..4).map(|_| load::Reader::open(address, TOPIC, partition)).collect::<Result<_, _>>()?;
        let paused = Instant::now();
        stage.ensemble.member(leader).pause();
        stage.load.outage(&[partition], paused).await;
        let committed = stage.load.committed(partition);
        readers.iter_mut().try_for_each(load::Reader::ask)?;
        stage.ensemble.member(leader).resume();
        for reader in readers {
            match reader.answer()? {
                None => refused += 1,
                Some(end) if end > committed => {}
                Some(end) => {
                    return Err(format!(
                        "round {round}: node {leader} stood still while offset {committed} of {partition} was committed \
                         elsewhere, and tells {end} as the end"
                    ));
                }
            }
        }
        let all = stage.addresses();
        until("all is in sync again", || is_whole(&all)).await?;
    }
    stage.load.finish().await?;
    Ok(refused)
}

pub use rolling::{Rolled, Stopped, roll};

/// Waits until something holds that nobody announces.
async fn until(what: &str, mut holds: impl FnMut() -> bool) -> Result<(), String> {
    let wait = async {
        while !holds() {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    let waited = tokio::time::timeout(WHOLE_TIME_MAX, wait).await;
    waited.map_err(|_| format!("not within {WHOLE_TIME_MAX:?}: {what}"))
}

/// Whether each of these nodes sees every partition led and in sync.
fn is_whole(nodes: &[SocketAddr]) -> bool {
    nodes
        .iter()
        .all(|node| wire::view(*node).is_ok_and(|view| !view.is_empty() && wire::broken(&view).is_empty()))
}

fn create_topic(node: SocketAddr, name: &str, partitions: i32) -> io::Result<()> {
    const TOPIC_ALREADY_EXISTS: i16 = 36;
    let topic = CreatableTopic::default()
        .with_name(TopicName(StrBytes::from_string(name.to_owned())))
        .with_num_partitions(partitions)
        .with_replication_factor(if name == TOPIC { 3 } else { 2 });
    let request = CreateTopicsRequest::default().with_topics(vec![topic]).with_timeout_ms(30_000);
    let answer: CreateTopicsResponse = Client::connect(node)?.call(ApiKey::CreateTopics, 5, &request)?;
    match answer.topics.first().map(|topic| topic.error_code) {
        Some(0 | TOPIC_ALREADY_EXISTS) => Ok(()),
        code => Err(io::Error::other(format!("CreateTopics of {name} answered {code:?}"))),
    }
}

/// The node whose controller is the active one.
fn controller(node: SocketAddr) -> io::Result<i32> {
    let topic = TopicData::default()
        .with_topic_name(TopicName(StrBytes::from_static_str("__cluster_metadata")))
        .with_partitions(vec![PartitionData::default().with_partition_index(0)]);
    let request = DescribeQuorumRequest::default().with_topics(vec![topic]);
    let answer: DescribeQuorumResponse = Client::connect(node)?.call(ApiKey::DescribeQuorum, 0, &request)?;
    let partition = answer.topics.first().and_then(|topic| topic.partitions.first());
    partition.map(|partition| partition.leader_id.0).ok_or_else(|| io::Error::other("no quorum"))
}
