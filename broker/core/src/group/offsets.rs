//! The committed offsets of all groups of a shard. Changed by replay alone.

use std::collections::BTreeMap;
use std::sync::Arc;

use tidemark_protocol::types::PartitionIndex;

use super::request::CommittedOffset;

/// Offsets of one group by topic and partition.
pub(super) type GroupOffsets = BTreeMap<Arc<str>, BTreeMap<PartitionIndex, CommittedOffset>>;

/// Offsets by group, topic and partition. No group and no topic here is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct OffsetStore {
    groups: BTreeMap<Arc<str>, GroupOffsets>,
}

impl OffsetStore {
    /// Sets or forgets an offset; gives back what was there.
    pub fn put(
        &mut self,
        group_id: &Arc<str>,
        topic: &Arc<str>,
        partition: PartitionIndex,
        offset: Option<CommittedOffset>,
    ) -> Option<CommittedOffset> {
        match offset {
            Some(offset) => {
                let topics = self.groups.entry(group_id.clone()).or_default();
                topics.entry(topic.clone()).or_default().insert(partition, offset)
            }
            None => self.remove(group_id, topic, partition),
        }
    }

    fn remove(&mut self, group_id: &str, topic: &str, partition: PartitionIndex) -> Option<CommittedOffset> {
        let topics = self.groups.get_mut(group_id)?;
        let partitions = topics.get_mut(topic)?;
        let before = partitions.remove(&partition);
        if partitions.is_empty() {
            topics.remove(topic);
        }
        if topics.is_empty() {
            self.groups.remove(group_id);
        }
        before
    }

    /// One offset.
    pub fn get(&self, group_id: &str, topic: &str, partition: PartitionIndex) -> Option<&CommittedOffset> {
        self.groups.get(group_id)?.get(topic)?.get(&partition)
    }

    /// All offsets of a group, if it has any.
    pub fn group(&self, group_id: &str) -> Option<&GroupOffsets> {
        self.groups.get(group_id)
    }

    /// All groups that have offsets.
    pub fn groups(&self) -> impl Iterator<Item = (&Arc<str>, &GroupOffsets)> {
        self.groups.iter()
    }
}
