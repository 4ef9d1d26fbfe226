//! What a cluster says of itself: brokers, topics, partitions and their leaders.

use std::collections::BTreeMap;
use std::time::Duration;

use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::metadata_response::MetadataResponseTopic;
use kafka_protocol::messages::{MetadataRequest, MetadataResponse};
use kafka_protocol::protocol::StrBytes;
use tidemark_protocol::error_code::ErrorCode;
use tidemark_protocol::types::{BrokerId, PartitionIndex};
use uuid::Uuid;

use super::error::ClientError;
use super::retry::Retry;
use super::{Client, To};

/// How long a broker may take to create a topic on its own; one that never does so says "unknown" for ever.
const CREATE_TIME_MAX: Duration = Duration::from_secs(5);

/// One answer.
#[derive(Clone, Debug)]
pub struct Metadata {
    /// Topics by name, those with an error too.
    pub topics: BTreeMap<String, Topic>,
}

/// A topic.
#[derive(Clone, Debug)]
pub struct Topic {
    /// Its id; nil when the broker told none.
    pub id: Uuid,
    /// Whether it belongs to the brokers themselves.
    pub is_internal: bool,
    /// Why nothing more is known.
    pub error: Option<ErrorCode>,
    /// By index.
    pub partitions: BTreeMap<PartitionIndex, Partition>,
}

/// A partition.
#[derive(Clone, Debug)]
pub struct Partition {
    /// −1 for none.
    pub leader: BrokerId,
    /// −1 when not told.
    pub leader_epoch: i32,
    /// In order of preference.
    pub replicas: Vec<BrokerId>,
    /// In sync.
    pub isr: Vec<BrokerId>,
}

impl Client {
    /// Metadata of `topics`, or of all; `create` lets the broker create those that are missing.
    pub async fn metadata(&self, topics: Option<&[String]>, create: bool) -> Result<Metadata, ClientError> {
        let wanted =
            |topic: &String| MetadataRequestTopic::default().with_name(Some(super::topic_name(topic)));
        let response: MetadataResponse = self
            .call(To::Any, |_| {
                MetadataRequest::default()
                    .with_topics(topics.map(|topics| topics.iter().map(wanted).collect()))
                    .with_allow_auto_topic_creation(create)
            })
            .await?;
        self.learn_brokers(response.brokers.iter().map(|b| (b.node_id.0, &*b.host, b.port)));
        let topics = response.topics.into_iter().map(|topic| (name_of(&topic), Topic::from(topic))).collect();
        Ok(Metadata { topics })
    }

    /// One topic, once all its partitions have leaders; an error when it does not exist and is not created.
    pub async fn topic(&self, name: &str, create: bool) -> Result<Topic, ClientError> {
        let mut retry = Retry::new(if create { self.timeout().min(CREATE_TIME_MAX) } else { self.timeout() });
        loop {
            let mut metadata = self.metadata(Some(&[name.to_owned()]), create).await?;
            let topic = metadata.topics.remove(name).ok_or_else(|| missing(name))?;
            let error = match topic.error {
                // Kafka calls a missing topic a retriable error; without creation it is an answer.
                Some(ErrorCode::UnknownTopicOrPartition) if !create => return Err(missing(name)),
                Some(code) => {
                    ClientError::Kafka { code, message: format!("topic {name}: {}", code.message()) }
                }
                None if topic.partitions.values().any(|partition| partition.leader < 0) => {
                    let message = format!("a partition of topic {name} has no leader");
                    ClientError::Kafka { code: ErrorCode::LeaderNotAvailable, message }
                }
                None => return Ok(topic),
            };
            retry.after(error).await?;
        }
    }
}

fn missing(name: &str) -> ClientError {
    ClientError::Kafka {
        code: ErrorCode::UnknownTopicOrPartition,
        message: format!("there is no topic {name:?} here"),
    }
}

fn name_of(topic: &MetadataResponseTopic) -> String {
    topic.name.as_ref().map_or_else(String::new, |name| name.0.to_string())
}

impl From<MetadataResponseTopic> for Topic {
    fn from(topic: MetadataResponseTopic) -> Topic {
        let ids = |brokers: &[kafka_protocol::messages::BrokerId]| brokers.iter().map(|id| id.0).collect();
        let partitions = topic.partitions.iter().map(|partition| {
            let value = Partition {
                leader: partition.leader_id.0,
                leader_epoch: partition.leader_epoch,
                replicas: ids(&partition.replica_nodes),
                isr: ids(&partition.isr_nodes),
            };
            (partition.partition_index, value)
        });
        Topic {
            id: topic.topic_id,
            is_internal: topic.is_internal,
            error: ErrorCode::from_code(topic.error_code).filter(|code| code.is_error()),
            partitions: partitions.collect(),
        }
    }
}

/// A Kafka string of ours.
pub fn text(value: &str) -> StrBytes {
    StrBytes::from_string(value.to_owned())
}
