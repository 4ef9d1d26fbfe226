//! What the image says about brokers: which may lead, and what each of them holds.

use std::collections::BTreeMap;
use std::sync::Arc;

use tidemark_protocol::types::BrokerId;

use super::{BrokerRegistration, ClusterImage, PartitionImage, TopicImage};

impl ClusterImage {
    /// Brokers that may lead and be in sync: registered, unfenced, not shutting down.
    pub fn usable_brokers(&self) -> impl Iterator<Item = &Arc<BrokerRegistration>> {
        self.brokers.values().filter(|broker| broker.is_usable())
    }

    /// Whether this broker may lead and be in sync.
    pub fn is_usable(&self, broker: BrokerId) -> bool {
        self.brokers.get(&broker).is_some_and(|broker| broker.is_usable())
    }

    /// Whether this broker may be given partitions to lead: usable, and not being emptied.
    pub fn may_lead(&self, broker: BrokerId) -> bool {
        self.is_usable(broker) && !self.drains.contains_key(&broker)
    }

    /// Brokers that may be given partitions to lead.
    pub fn leading_brokers(&self) -> impl Iterator<Item = &Arc<BrokerRegistration>> {
        self.usable_brokers().filter(|broker| !self.drains.contains_key(&broker.id))
    }

    /// Whether this broker is to go for good.
    pub fn is_leaving(&self, broker: BrokerId) -> bool {
        self.drains.get(&broker).is_some_and(|drain| drain.leaves)
    }

    /// Brokers that are to go for good.
    pub fn leaving_brokers(&self) -> impl Iterator<Item = BrokerId> + '_ {
        self.drains.iter().filter(|(_, drain)| drain.leaves).map(|(id, _)| *id)
    }

    /// Topics with a replica on this broker, in the order of their ids. Costs what it returns.
    pub fn topics_of_broker(&self, broker: BrokerId) -> impl Iterator<Item = &Arc<TopicImage>> {
        self.hosting.topics_of(broker).filter_map(|id| self.topics.get(&id))
    }

    /// How many replicas are assigned to this broker.
    pub fn replicas_of_broker(&self, broker: BrokerId) -> usize {
        self.hosting.replicas_of(broker)
    }

    /// Whether this broker leads any partition.
    pub fn leads_any(&self, broker: BrokerId) -> bool {
        self.topics_of_broker(broker).any(|topic| topic.partitions.iter().any(|p| p.leader == broker))
    }

    /// Brokers that new replicas can be assigned to, even though a fenced one is in sync only later. One that is about
    /// to stop gets none, nor one that leaves.
    pub fn placeable_brokers(&self) -> impl Iterator<Item = &Arc<BrokerRegistration>> {
        self.brokers
            .values()
            .filter(|broker| (broker.fenced || !broker.in_controlled_shutdown) && !self.is_leaving(broker.id))
    }

    /// Replicas that a leader may take into the ISR, with the broker epochs they must show for it (KIP-903).
    pub fn eligible_replicas(&self, partition: &PartitionImage) -> BTreeMap<BrokerId, i64> {
        let usable = partition.replicas.iter().filter_map(|id| self.brokers.get(id));
        usable.filter(|broker| broker.is_usable()).map(|broker| (broker.id, broker.epoch)).collect()
    }
}
