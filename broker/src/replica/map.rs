//! [`ReplicaMap`]: the partitions of this broker by name and by id, as an immutable value.
//!
//! The replica manager publishes a new one after each change; cloning one and changing a topic costs that topic, not
//! the map. A topic is in both indexes or in none.

use std::sync::Arc;

use imbl::OrdMap;
use tidemark_protocol::types::{PartitionIndex, TopicId, TopicIdPartition};

use crate::partition::PartitionHandle;

/// The partitions of this broker.
#[derive(Clone, Debug, Default)]
pub struct ReplicaMap {
    topics: OrdMap<TopicId, Arc<TopicReplicas>>,
    ids: OrdMap<Arc<str>, TopicId>,
}

/// The partitions of one topic that this broker holds.
#[derive(Clone, Debug)]
pub struct TopicReplicas {
    /// Identity.
    pub id: TopicId,
    /// Name.
    pub name: Arc<str>,
    /// By index; `None` where this broker holds no replica.
    partitions: Vec<Option<PartitionHandle>>,
}

impl ReplicaMap {
    /// The topic of this name.
    pub fn topic(&self, name: &str) -> Option<&Arc<TopicReplicas>> {
        self.topics.get(self.ids.get(name)?)
    }

    /// The topic of this id.
    pub fn topic_by_id(&self, id: TopicId) -> Option<&Arc<TopicReplicas>> {
        self.topics.get(&id)
    }

    /// The partition of this name and index.
    pub fn partition(&self, topic: &str, index: PartitionIndex) -> Option<&PartitionHandle> {
        self.topic(topic)?.partition(index)
    }

    /// The partition of this id and index.
    pub fn partition_by_id(&self, id: TopicIdPartition) -> Option<&PartitionHandle> {
        self.topic_by_id(id.topic_id)?.partition(id.partition)
    }

    /// All topics, by id.
    pub fn topics(&self) -> impl Iterator<Item = &Arc<TopicReplicas>> {
        self.topics.values()
    }

    /// All partitions of this broker.
    pub fn partitions(&self) -> impl Iterator<Item = &PartitionHandle> {
        self.topics().flat_map(|topic| topic.partitions())
    }

    /// Adds a partition.
    pub(super) fn insert(&mut self, handle: PartitionHandle) {
        let id = handle.id();
        let index = usize::try_from(id.partition).expect("partitions count from 0");
        if !self.topics.contains_key(&id.topic_id) {
            let name = Arc::clone(&handle.tp().topic);
            self.ids.insert(Arc::clone(&name), id.topic_id);
            let topic = TopicReplicas { id: id.topic_id, name, partitions: Vec::new() };
            self.topics.insert(id.topic_id, Arc::new(topic));
        }
        let topic = self.topics.get_mut(&id.topic_id).expect("it was inserted if it was missing");
        // Copies the topic once, then changes the copy in place for each further partition.
        let topic = Arc::make_mut(topic);
        if topic.partitions.len() <= index {
            topic.partitions.resize(index + 1, None);
        }
        topic.partitions[index] = Some(handle);
    }

    /// Takes a partition out, and its topic with the last one.
    pub(super) fn remove(&mut self, id: TopicIdPartition) -> Option<PartitionHandle> {
        let topic = Arc::make_mut(self.topics.get_mut(&id.topic_id)?);
        let removed = topic.partitions.get_mut(usize::try_from(id.partition).ok()?)?.take();
        if topic.partitions.iter().any(Option::is_some) {
            return removed;
        }
        // A topic of the same name may have been created since; the name is its own then.
        let name = Arc::clone(&topic.name);
        if self.ids.get(&name) == Some(&id.topic_id) {
            self.ids.remove(&name);
        }
        self.topics.remove(&id.topic_id);
        removed
    }
}

impl TopicReplicas {
    /// The partition of this index.
    pub fn partition(&self, index: PartitionIndex) -> Option<&PartitionHandle> {
        self.partitions.get(usize::try_from(index).ok()?)?.as_ref()
    }

    /// The partitions held here.
    pub fn partitions(&self) -> impl Iterator<Item = &PartitionHandle> {
        self.partitions.iter().flatten()
    }
}

#[cfg(test)]
mod tests;
