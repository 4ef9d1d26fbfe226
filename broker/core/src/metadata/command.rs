//! [`Command`]: what is proposed to the metadata quorum.
//!
//! Whatever depends on chance, on a clock or on one node's files (topic ids, placement, static broker settings) is
//! chosen by the proposer and travels in the command; [`decide`](super::decide) validates it. Encoded as records are.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tidemark_protocol::types::{BrokerId, PartitionIndex, TopicId};
use uuid::Uuid;

use super::client_quota::QuotaAlteration;
use super::image::{ConfigResource, Endpoint};
use super::record::{self, DecodeError};

/// A proposal to change the cluster.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Command {
    /// Gives a new cluster its identity and features; refused on an initialised one with another identity.
    InitializeCluster {
        /// The identity.
        cluster_id: String,
        /// Finalised features.
        features: BTreeMap<String, i16>,
    },
    /// A broker came up. A new incarnation gets a new epoch and restarts the partitions it leads.
    RegisterBroker {
        /// Node id.
        id: BrokerId,
        /// The cluster it believes to be in.
        cluster_id: String,
        /// Chosen anew at every start of the process.
        incarnation: Uuid,
        /// Rack, if set.
        rack: Option<String>,
        /// Where it is reached.
        endpoints: Vec<Endpoint>,
        /// Its data directories.
        directories: Vec<Uuid>,
        /// Whether it starts fenced: without new replicas until it is unfenced. A single node does not.
        fenced: bool,
    },
    /// Creates topics.
    CreateTopics {
        /// The topics, in request order.
        topics: Vec<NewTopic>,
        /// Static broker configuration of the proposer: the defaults behind the topics' own.
        statics: BTreeMap<String, String>,
    },
    /// Deletes topics.
    DeleteTopics {
        /// By name or by id, in request order.
        topics: Vec<TopicKey>,
    },
    /// Adds partitions to topics.
    CreatePartitions {
        /// The topics, in request order.
        topics: Vec<NewPartitions>,
    },
    /// Changes configuration.
    AlterConfigs {
        /// The resources, in request order.
        alterations: Vec<ConfigAlteration>,
        /// Static broker configuration of the proposer: the defaults behind the resources' own.
        statics: BTreeMap<String, String>,
    },
    /// Hands a block of producer ids to a broker.
    AllocateProducerIds {
        /// The broker.
        broker: BrokerId,
        /// Its epoch; a stale one is refused.
        broker_epoch: i64,
    },
    /// Elects leaders.
    ElectLeaders {
        /// How.
        election: Election,
        /// Of these partitions, in request order; `None` for all.
        partitions: Option<Vec<TopicPartitions>>,
    },
    /// Starts, replaces or cancels reassignments.
    ReassignPartitions {
        /// The topics, in request order.
        topics: Vec<TopicReassignment>,
        /// Whether a target may have more or fewer replicas than the partition (KIP-860).
        allow_replication_factor_change: bool,
    },
    /// Changes client quotas.
    AlterClientQuotas {
        /// The entities, in request order.
        items: Vec<QuotaAlteration>,
    },
}

/// How a leader is elected (KIP-460).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Election {
    /// The first replica, if it is in sync.
    Preferred,
    /// Any replica of a partition without a leader, even one that lacks records.
    Unclean,
}

impl Election {
    /// Kafka's code.
    pub fn from_code(code: i8) -> Option<Self> {
        match code {
            0 => Some(Election::Preferred),
            1 => Some(Election::Unclean),
            _ => None,
        }
    }
}

/// Partitions of one topic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopicPartitions {
    /// Name of the topic.
    pub topic: String,
    /// Indexes.
    pub partitions: Vec<PartitionIndex>,
}

/// Targets of reassignments in one topic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopicReassignment {
    /// Name of the topic.
    pub topic: String,
    /// Target replicas by partition; `None` cancels what is running.
    pub partitions: Vec<(PartitionIndex, Option<Vec<BrokerId>>)>,
}

/// A topic to create, as asked, with what the proposer chose.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NewTopic {
    /// Name, not yet validated.
    pub name: String,
    /// Identity, chosen at random by the proposer.
    pub id: TopicId,
    /// Partitions as asked; −1 takes the default.
    pub partitions: i32,
    /// Replication factor as asked; −1 takes the default.
    pub replication_factor: i16,
    /// Replicas per partition as asked; not empty means "manual".
    pub manual: Vec<(PartitionIndex, Vec<BrokerId>)>,
    /// Replicas per partition chosen by the proposer; unused when `manual` is set or the request is invalid.
    pub placement: Vec<Vec<BrokerId>>,
    /// Overrides as asked.
    pub configs: Vec<(String, Option<String>)>,
}

/// Partitions to add to a topic.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NewPartitions {
    /// Name of the topic.
    pub topic: String,
    /// Partitions afterwards, in all.
    pub count: i32,
    /// Replicas of the new partitions as asked, if manual.
    pub manual: Option<Vec<Vec<BrokerId>>>,
    /// Replicas of the new partitions chosen by the proposer.
    pub placement: Vec<Vec<BrokerId>>,
}

/// A topic by name or by identity.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum TopicKey {
    /// By name.
    Name(String),
    /// By identity.
    Id(TopicId),
}

/// Changes to one resource: all or nothing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ConfigAlteration {
    /// The resource.
    pub resource: ConfigResource,
    /// Legacy AlterConfigs: overrides that are not named vanish. Only `Set` operations are legal then.
    pub replace: bool,
    /// The operations, in request order.
    pub ops: Vec<ConfigOp>,
}

/// One operation on one key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigOp {
    /// The key.
    pub name: String,
    /// What to do.
    pub kind: ConfigOpKind,
    /// The operand; `Delete` needs none.
    pub value: Option<String>,
}

/// Operations of IncrementalAlterConfigs (KIP-339).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ConfigOpKind {
    /// Sets the override.
    Set,
    /// Removes the override.
    Delete,
    /// Adds values to a list.
    Append,
    /// Removes values from a list.
    Subtract,
}

impl ConfigOpKind {
    /// Kafka's operation code.
    pub fn from_code(code: i8) -> Option<Self> {
        Some(match code {
            0 => ConfigOpKind::Set,
            1 => ConfigOpKind::Delete,
            2 => ConfigOpKind::Append,
            3 => ConfigOpKind::Subtract,
            _ => return None,
        })
    }
}

impl Command {
    /// The form that is proposed and stored.
    pub fn encode(&self) -> Vec<u8> {
        record::encode(self)
    }

    /// Reads that form.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        record::decode(bytes)
    }
}
