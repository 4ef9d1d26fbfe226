//! [`Hosting`]: which topics have replicas on which broker, so that what happens to a broker costs what it holds.
//!
//! Follows from the partitions' replicas and is written with them, by [`apply`](super::apply) alone. By topic, not by
//! partition: an entry for each broker of a topic is small beside the topic, and the partitions lie side by side there.

use std::collections::BTreeMap;

use imbl::OrdMap;
use tidemark_protocol::types::{BrokerId, TopicId};
use uuid::Uuid;

/// Number of replicas by broker and topic; nothing is kept for none.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Hosting {
    replicas: OrdMap<(BrokerId, TopicId), usize>,
}

impl Hosting {
    /// Topics with a replica on this broker, in the order of their ids.
    pub(super) fn topics_of(&self, broker: BrokerId) -> impl Iterator<Item = TopicId> + '_ {
        self.of(broker).map(|(topic, _)| topic)
    }

    /// How many replicas this broker has.
    pub(super) fn replicas_of(&self, broker: BrokerId) -> usize {
        self.of(broker).map(|(_, replicas)| replicas).sum()
    }

    fn of(&self, broker: BrokerId) -> impl Iterator<Item = (TopicId, usize)> + '_ {
        let all = (broker, TopicId(Uuid::nil()))..=(broker, TopicId(Uuid::max()));
        self.replicas.range(all).map(|((_, topic), replicas)| (*topic, *replicas))
    }

    /// Notes replicas of one topic; a broker may occur many times.
    pub(super) fn add(&mut self, topic: TopicId, brokers: impl Iterator<Item = BrokerId>) {
        for (broker, added) in counted(brokers) {
            *self.replicas.entry((broker, topic)).or_insert(0) += added;
        }
    }

    /// Forgets replicas of one topic that were noted.
    pub(super) fn remove(&mut self, topic: TopicId, brokers: impl Iterator<Item = BrokerId>) {
        for (broker, removed) in counted(brokers) {
            let key = (broker, topic);
            let held = self.replicas.get(&key).copied().unwrap_or(0);
            debug_assert!(held >= removed, "only what was noted is forgotten");
            match held.saturating_sub(removed) {
                0 => self.replicas.remove(&key),
                left => self.replicas.insert(key, left),
            };
        }
    }
}

/// One update of the map for each broker, however many partitions a topic has.
fn counted(brokers: impl Iterator<Item = BrokerId>) -> BTreeMap<BrokerId, usize> {
    let mut counts = BTreeMap::new();
    for broker in brokers {
        *counts.entry(broker).or_insert(0) += 1;
    }
    counts
}

#[cfg(test)]
mod tests;
