//! [`Reply`]: what the proposer of a command learns, item by item in request order.

use serde::{Deserialize, Serialize};
use thiserror::Error;
use tidemark_protocol::error_code::ErrorCode;
use tidemark_protocol::types::{BrokerId, LeaderEpoch, PartitionIndex, ProducerId, TopicId};

use super::image::{BrokerIds, ConfigResource};

/// Answer to a [`Command`](super::Command); results are in the order of the request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Reply {
    /// To `InitializeCluster`.
    Initialized(Result<(), Failure>),
    /// To `RegisterBroker`: the broker epoch.
    BrokerRegistered(Result<i64, Failure>),
    /// To `CreateTopics`.
    TopicsCreated(Vec<TopicResult>),
    /// To `DeleteTopics`.
    TopicsDeleted(Vec<TopicResult>),
    /// To `CreatePartitions`.
    PartitionsCreated(Vec<TopicResult>),
    /// To `AlterConfigs`.
    ConfigsAltered(Vec<ConfigResult>),
    /// To `AllocateProducerIds`.
    ProducerIdsAllocated(Result<ProducerIdBlock, Failure>),
    /// To `ElectLeaders`.
    LeadersElected(Vec<PartitionResults>),
    /// To `ReassignPartitions`.
    PartitionsReassigned(Vec<PartitionResults>),
    /// To `AlterClientQuotas`.
    QuotasAltered(Vec<Result<(), Failure>>),
    /// To `FenceBroker`, `UnfenceBroker`, `BeginControlledShutdown`, `UnregisterBroker`, `QuarantineReplicas`, `DrainBroker`
    /// and `UndrainBroker`.
    BrokerChanged(Result<(), Failure>),
    /// To `AlterPartition`, unless its sender is stale.
    PartitionsAltered(Result<Vec<AlteredPartition>, Failure>),
}

/// Why an item was refused.
#[derive(Clone, Debug, PartialEq, Eq, Error, Serialize, Deserialize)]
#[error("{message}")]
pub struct Failure {
    /// Kafka's code.
    #[serde(with = "crate::error_code_as_number")]
    pub code: ErrorCode,
    /// Kafka's text where it has one.
    pub message: String,
}

impl Failure {
    /// A failure of this code with this text.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Failure { code, message: message.into() }
    }
}

/// What became of one topic.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TopicResult {
    /// Name; `None` when deletion by an unknown id was asked.
    pub name: Option<String>,
    /// Identity; zero when unknown.
    pub id: TopicId,
    /// Partitions and replication factor afterwards, or the failure.
    pub result: Result<TopicShape, Failure>,
}

/// Size of a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopicShape {
    /// Number of partitions.
    pub partitions: i32,
    /// Replicas of partition 0.
    pub replication_factor: i16,
}

/// What became of the partitions of one topic.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PartitionResults {
    /// Name of the topic.
    pub topic: String,
    /// Partition by partition.
    pub partitions: Vec<(PartitionIndex, Result<(), Failure>)>,
}

/// What became of one resource.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ConfigResult {
    /// The resource.
    pub resource: ConfigResource,
    /// The failure, if it was refused.
    pub result: Result<(), Failure>,
}

/// A block of producer ids; the owner hands them out one by one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProducerIdBlock {
    /// First id.
    pub first: ProducerId,
    /// Number of ids.
    pub len: i32,
}

/// What became of the ISR that a leader wanted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AlteredPartition {
    /// The topic.
    pub topic_id: TopicId,
    /// Which of its partitions.
    pub index: PartitionIndex,
    /// What it is from now on, or the failure. NEW_LEADER_ELECTED tells of a change that was made.
    pub result: Result<PartitionState, Failure>,
}

/// Leader and in-sync replicas of a partition.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PartitionState {
    /// Leading broker; −1 when there is none.
    pub leader: BrokerId,
    /// Counts leaders.
    pub leader_epoch: LeaderEpoch,
    /// In-sync replicas.
    pub isr: BrokerIds,
    /// Counts changes of the partition.
    pub partition_epoch: i32,
}
