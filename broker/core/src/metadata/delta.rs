//! [`delta`]: what one broker has to do when the image changes.

use std::collections::BTreeSet;
use std::sync::Arc;

use tidemark_protocol::types::{BrokerId, TopicIdPartition, TopicPartition};

use super::image::{ClusterImage, ConfigResource, PartitionImage};

/// The difference between two images as one broker sees it. Costs what changed, not what exists.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ClusterDelta {
    /// Replicas that this broker holds no longer; `deleted` tells whether the whole topic went.
    pub stop: Vec<StoppedReplica>,
    /// Replicas of this broker that are new, or whose partition changed (leader, epochs, ISR).
    pub start: Vec<AssignedReplica>,
    /// Topics of which this broker holds replicas and whose overrides changed.
    pub reconfigure: BTreeSet<Arc<str>>,
    /// Whether brokers' dynamic configuration changed, so that every topic's defaults may have.
    pub broker_config_changed: bool,
    /// Names of topics that were deleted, whoever held them: groups forget their offsets.
    pub deleted_topics: Vec<(Arc<str>, tidemark_protocol::types::TopicId)>,
    /// All resources whose overrides changed.
    pub configs: Vec<ConfigResource>,
}

/// A replica to stop.
#[derive(Clone, Debug, PartialEq)]
pub struct StoppedReplica {
    /// Identity.
    pub id: TopicIdPartition,
    /// Name.
    pub tp: TopicPartition,
    /// The topic was deleted: the data goes too.
    pub deleted: bool,
}

/// A replica to run, and what the partition now is.
#[derive(Clone, Debug, PartialEq)]
pub struct AssignedReplica {
    /// Identity.
    pub id: TopicIdPartition,
    /// Name.
    pub tp: TopicPartition,
    /// The partition as of the new image.
    pub partition: PartitionImage,
    /// It was not assigned to this broker before.
    pub new: bool,
}

impl AssignedReplica {
    /// Whether `me` leads the partition.
    pub fn leads(&self, me: BrokerId) -> bool {
        self.partition.leader == me
    }
}

/// What broker `me` has to do to get from `old` to `new`.
pub fn delta(_old: &ClusterImage, _new: &ClusterImage, _me: BrokerId) -> ClusterDelta {
    unimplemented!("lands next")
}
