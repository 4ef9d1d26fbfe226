//! [`delta`]: what one broker has to do when the image changes.

use std::collections::BTreeSet;
use std::sync::Arc;

use imbl::ordmap::DiffItem;
use tidemark_protocol::types::{BrokerId, PartitionIndex, TopicId, TopicIdPartition, TopicPartition};

use super::image::{ClusterImage, ConfigResource, PartitionImage, TopicImage};

/// The difference between two images as one broker sees it. Costs what changed, not what exists.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ClusterDelta {
    /// Replicas that this broker holds no longer: the topic went, or the replica went to other brokers. The data goes too.
    pub stop: Vec<StoppedReplica>,
    /// Replicas of this broker that are new, or whose partition changed (leader, epochs, ISR).
    pub start: Vec<AssignedReplica>,
    /// Topics of which this broker holds replicas and whose overrides changed.
    pub reconfigure: BTreeSet<Arc<str>>,
    /// Whether brokers' dynamic configuration changed, so that every topic's defaults may have.
    pub broker_config_changed: bool,
    /// Names of topics that were deleted, whoever held them: groups forget their offsets.
    pub deleted_topics: Vec<(Arc<str>, TopicId)>,
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
pub fn delta(old: &ClusterImage, new: &ClusterImage, me: BrokerId) -> ClusterDelta {
    let mut delta = ClusterDelta::default();
    for change in old.topics.diff(&new.topics) {
        match change {
            DiffItem::Add(_, topic) => delta.compare(None, Some(topic), me),
            DiffItem::Update { old, new } => delta.compare(Some(old.1), Some(new.1), me),
            DiffItem::Remove(id, topic) => {
                delta.compare(Some(topic), None, me);
                delta.deleted_topics.push((Arc::clone(&topic.name), *id));
            }
        }
    }
    for change in old.configs.diff(&new.configs) {
        let (DiffItem::Add(resource, _)
        | DiffItem::Remove(resource, _)
        | DiffItem::Update { new: (resource, _), .. }) = change;
        delta.configure(new, resource, me);
    }
    delta
}

impl ClusterDelta {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        *self == ClusterDelta::default()
    }

    /// Notes what differs between two states of one topic.
    fn compare(&mut self, old: Option<&Arc<TopicImage>>, new: Option<&Arc<TopicImage>>, me: BrokerId) {
        let Some(topic) = new.or(old) else { return };
        let count = |topic: Option<&Arc<TopicImage>>| topic.map_or(0, |topic| topic.partitions.len());
        for at in 0..count(old).max(count(new)) {
            let index = PartitionIndex::try_from(at).expect("partition indexes are 32 bits");
            let held = |topic: Option<&Arc<TopicImage>>| {
                topic.and_then(|topic| topic.partitions.get(at)).filter(|p| p.has_replica(me)).cloned()
            };
            let id = TopicIdPartition { topic_id: topic.id, partition: index };
            let tp = TopicPartition::new(Arc::clone(&topic.name), index);
            match (held(old), held(new)) {
                (Some(_), None) => self.stop.push(StoppedReplica { id, tp }),
                (None, Some(partition)) => {
                    self.start.push(AssignedReplica { id, tp, partition, new: true });
                }
                (Some(before), Some(partition)) if before != partition => {
                    self.start.push(AssignedReplica { id, tp, partition, new: false });
                }
                (Some(_), Some(_)) | (None, None) => {}
            }
        }
    }

    fn configure(&mut self, new: &ClusterImage, resource: &ConfigResource, me: BrokerId) {
        self.configs.push(resource.clone());
        match resource {
            ConfigResource::Topic(name) => {
                let topic = new.topic(name);
                let held = |topic: &&Arc<TopicImage>| topic.partitions.iter().any(|p| p.has_replica(me));
                if let Some(topic) = topic.filter(held) {
                    self.reconfigure.insert(Arc::clone(&topic.name));
                }
            }
            ConfigResource::BrokerDefault => self.broker_config_changed = true,
            ConfigResource::Broker(id) => self.broker_config_changed |= *id == me,
            ConfigResource::Group(_) | ConfigResource::ClientMetrics(_) => {}
        }
    }
}

#[cfg(test)]
mod tests;
