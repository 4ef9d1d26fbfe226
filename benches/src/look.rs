//! What a cluster says of itself: brokers, leaders and replicas in sync by Metadata, the controller by DescribeQuorum.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::describe_quorum_request::{PartitionData, TopicData};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::{
    CreateTopicsRequest, DescribeQuorumRequest, ElectLeadersRequest, MetadataRequest, TopicName,
};
use tidemark_protocol::error_code::ErrorCode;

use crate::clock;
use crate::cluster::text;
use crate::connection::{Connection, LoadError};

const METADATA_VERSION: i16 = 9;
const CREATE_TOPICS_VERSION: i16 = 5;
const ELECT_LEADERS_VERSION: i16 = 2;
const DESCRIBE_QUORUM_VERSION: i16 = 1;
const METADATA_TOPIC: &str = "__cluster_metadata";
/// Shortest and longest time between two looks.
const LOOK_EVERY: (Duration, Duration) = (Duration::from_millis(5), Duration::from_millis(250));
/// Looking takes at most this part of the time, so that whoever looks is no load.
const LOOK_SHARE: u32 = 8;
/// Time limit of requests that have one.
const TIMEOUT_MS: i32 = 10_000;

/// One topic as a broker tells it.
#[derive(Clone, Debug, Default)]
pub struct Look {
    /// Addresses of the brokers that live.
    pub brokers: BTreeMap<i32, String>,
    /// Leader (−1: none) and number of replicas in sync, by partition.
    pub partitions: BTreeMap<i32, (i32, usize)>,
}

impl Look {
    /// Whether so many brokers live and so many partitions have a leader and as many replicas in sync as brokers.
    pub fn is_whole(&self, brokers: usize, partitions: usize) -> bool {
        self.brokers.len() == brokers
            && self.partitions.len() == partitions
            && self.partitions.values().all(|(leader, in_sync)| *leader >= 0 && *in_sync == brokers)
    }

    /// The partitions a broker leads.
    pub fn led_by(&self, id: i32) -> Vec<i32> {
        self.partitions
            .iter()
            .filter(|(_, (leader, _))| *leader == id)
            .map(|(partition, _)| *partition)
            .collect()
    }
}

/// Asks for one topic.
///
/// # Errors
/// Of the connection; a topic that is not known yet is one without partitions.
pub fn look(connection: &mut Connection, topic: &str) -> Result<Look, LoadError> {
    let topic = MetadataRequestTopic::default().with_name(Some(TopicName(text(topic))));
    let request =
        MetadataRequest::default().with_topics(Some(vec![topic])).with_allow_auto_topic_creation(false);
    let response = connection.call(METADATA_VERSION, &request)?;
    let brokers = response.brokers.iter().map(|b| (b.node_id.0, format!("{}:{}", b.host, b.port))).collect();
    let partitions = response
        .topics
        .iter()
        .flat_map(|topic| &topic.partitions)
        .map(|p| (p.partition_index, (p.leader_id.0, p.isr_nodes.len())))
        .collect();
    Ok(Look { brokers, partitions })
}

/// The node that leads the metadata quorum, as the asked one knows it; −1: none.
///
/// # Errors
/// Of the connection; the broker's.
pub fn controller(connection: &mut Connection) -> Result<i32, LoadError> {
    let topic = TopicData::default()
        .with_topic_name(TopicName(text(METADATA_TOPIC)))
        .with_partitions(vec![PartitionData::default()]);
    let request = DescribeQuorumRequest::default().with_topics(vec![topic]);
    let response = connection.call(DESCRIBE_QUORUM_VERSION, &request)?;
    LoadError::check("DescribeQuorum", response.error_code)?;
    let partition = response.topics.first().and_then(|topic| topic.partitions.first());
    let partition = partition.ok_or_else(|| LoadError::Protocol("the quorum has no partition".to_owned()))?;
    LoadError::check("DescribeQuorum", partition.error_code)?;
    Ok(partition.leader_id.0)
}

/// Gives every partition back to its preferred leader.
///
/// # Errors
/// Of the connection; the broker's, except that there is nothing to do.
pub fn elect_preferred(connection: &mut Connection) -> Result<(), LoadError> {
    let request = ElectLeadersRequest::default().with_topic_partitions(None).with_timeout_ms(TIMEOUT_MS);
    let response = connection.call(ELECT_LEADERS_VERSION, &request)?;
    LoadError::check("ElectLeaders", response.error_code)
}

/// Creates a topic; one that is there already was created by an attempt whose answer was lost.
///
/// # Errors
/// Of the connection; the broker's.
pub fn create(
    connection: &mut Connection,
    topic: &str,
    partitions: i32,
    replicas: i16,
) -> Result<(), LoadError> {
    let topic = CreatableTopic::default()
        .with_name(TopicName(text(topic)))
        .with_num_partitions(partitions)
        .with_replication_factor(replicas);
    let request = CreateTopicsRequest::default().with_topics(vec![topic]).with_timeout_ms(TIMEOUT_MS);
    let response = connection.call(CREATE_TOPICS_VERSION, &request)?;
    let answered = response.topics.first().map_or(0, |topic| topic.error_code);
    if answered == ErrorCode::TopicAlreadyExists.code() {
        return Ok(());
    }
    LoadError::check("CreateTopics", answered)
}

/// Repeats what it is given until there is a result; errors mean not yet. Waits in between for as long as makes it a small part
/// of the time.
///
/// # Errors
/// The last one, when `patience` has passed.
pub fn until<T>(
    what: &str,
    patience: Duration,
    mut attempt: impl FnMut() -> Result<Option<T>, LoadError>,
) -> Result<(T, Instant), LoadError> {
    let deadline = clock::now() + patience;
    loop {
        let begun = clock::now();
        let last = match attempt() {
            Ok(Some(result)) => return Ok((result, clock::now())),
            Ok(None) => String::new(),
            Err(error) => format!(": {error}"),
        };
        if clock::now() > deadline {
            return Err(LoadError::Protocol(format!("{what}: not within {patience:?}{last}")));
        }
        let (shortest, longest) = LOOK_EVERY;
        clock::sleep(((clock::now() - begun) * LOOK_SHARE).clamp(shortest, longest));
    }
}
