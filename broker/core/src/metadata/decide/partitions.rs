//! How a command's changes of partitions become records: every one of them through [`PartitionChange`].

use std::sync::Arc;

use tidemark_protocol::types::{BrokerId, PartitionIndex, TopicId};

use super::Draft;
use crate::metadata::image::{PartitionImage, TopicImage};
use crate::metadata::partition_change::PartitionChange;
use crate::metadata::record::MetadataRecord;
use crate::metadata::replication_rules::ReplicationRules;

impl Draft {
    /// Pushes what a partition changed to. Whoever still holds the topic makes this copy all its partitions.
    pub(super) fn change(&mut self, topic_id: TopicId, index: PartitionIndex, partition: PartitionImage) {
        self.push(MetadataRecord::PartitionChange { topic_id, index, partition });
    }

    /// Topics of which a broker holds replicas.
    pub(super) fn topics_of(&self, broker: BrokerId) -> Vec<Arc<TopicImage>> {
        self.image.topics_of_broker(broker).cloned().collect()
    }

    /// Topics of all brokers.
    pub(super) fn all_topics(&self) -> Vec<Arc<TopicImage>> {
        self.image.topics.values().cloned().collect()
    }

    /// Changes the partitions of these topics for which `ask` asks something. Brokers are as the records so far say.
    pub(super) fn sweep(
        &mut self,
        topics: &[Arc<TopicImage>],
        ask: impl for<'a> Fn(PartitionChange<'a>) -> Option<PartitionChange<'a>>,
    ) {
        let defaults = ReplicationRules::of_cluster(&self.image);
        for topic in topics {
            let rules = defaults.with_overrides_of(&self.image, &topic.name);
            let change = |(index, partition)| {
                let asked = ask(PartitionChange::new(&self.image, partition, rules))?;
                Some((index, asked.build()?))
            };
            let changes: Vec<(PartitionIndex, PartitionImage)> =
                (0..).zip(&topic.partitions).filter_map(change).collect();
            for (index, partition) in changes {
                self.change(topic.id, index, partition);
            }
        }
    }

    /// Does what follows from new rules: an ELR that is needed no more goes, a replica that may lead now does, and a
    /// reassignment completes with those in sync that are enough now.
    pub(super) fn follow_rules(&mut self, topics: &[Arc<TopicImage>]) {
        self.sweep(topics, |change| {
            let partition = change.current();
            (partition.leader < 0 || !partition.elr.is_empty() || partition.is_moving()).then_some(change)
        });
    }

    /// Does what follows for all topics when the rules of those without overrides are no more what they were `before`.
    pub(super) fn follow_rules_since(&mut self, before: ReplicationRules) {
        if before != ReplicationRules::of_cluster(&self.image) {
            let topics = self.all_topics();
            self.follow_rules(&topics);
        }
    }
}
