//! What commands carry, item by item.

use serde::{Deserialize, Serialize};
use tidemark_protocol::types::{BrokerId, LeaderEpoch, PartitionIndex, TopicId};

use crate::metadata::image::ConfigResource;

/// What a starting broker found on its disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Recovery {
    /// The last run ended in order. Believed only with the right `previous_epoch`.
    Clean,
    /// The last run ended anyhow, and everything it called durable is there: the broker keeps its ELR places, but for
    /// topics with `tidemark.flush=async`.
    Intact,
    /// As intact, but torn tails were cut: elected from an ELR only when no other member can be.
    Suspect,
    /// Nothing of it can be relied upon: a wiped or foreign disk, damage below what was called durable.
    Wiped,
}

/// The ISR that a leader wants for one partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IsrProposal {
    /// The topic.
    pub topic_id: TopicId,
    /// Which of its partitions.
    pub index: PartitionIndex,
    /// Leader epoch in which the sender leads.
    pub leader_epoch: LeaderEpoch,
    /// State of the partition that the sender knows.
    pub partition_epoch: i32,
    /// Members and the broker epochs in which they caught up (KIP-903).
    pub isr: Vec<(BrokerId, i64)>,
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
