//! How a record changes the image: the only writer of [`ClusterImage`].
//!
//! Applying is total: a record that names what the image does not hold changes nothing. `decide` never makes one, so
//! debug builds assert it.

use std::collections::BTreeMap;
use std::sync::Arc;

use tidemark_protocol::types::{BrokerId, PartitionIndex, TopicId};

use super::image::{BrokerRegistration, ClusterImage, ConfigResource, PartitionImage, TopicImage};
use super::record::MetadataRecord;
use super::topic_name;

impl ClusterImage {
    /// Applies one record. Records come from [`decide`](super::decide) on this very image, so they always fit.
    pub fn apply(&mut self, record: &MetadataRecord) {
        match record {
            MetadataRecord::Cluster { cluster_id } => self.cluster_id.clone_from(cluster_id),
            MetadataRecord::FeatureLevel { name, level: 0 } => {
                self.features.remove(name);
            }
            MetadataRecord::FeatureLevel { name, level } => {
                self.features.insert(name.clone(), *level);
            }
            MetadataRecord::RegisterBroker { registration, restarts_leaders } => {
                self.apply_registration(registration, *restarts_leaders);
            }
            MetadataRecord::Topic { id, name, partitions } => self.apply_topic(*id, name, partitions),
            MetadataRecord::AddPartitions { topic_id, partitions } => {
                self.apply_partitions(*topic_id, partitions);
            }
            MetadataRecord::RemoveTopic { id } => self.apply_removal(*id),
            MetadataRecord::Config { resource, changes } => self.apply_config(resource, changes),
            MetadataRecord::ProducerIds { next_producer_id } => self.next_producer_id = *next_producer_id,
            MetadataRecord::PartitionChange { topic_id, index, partition } => {
                self.apply_partition_change(*topic_id, *index, partition);
            }
            MetadataRecord::ClientQuota { entity, quotas } if quotas.is_empty() => {
                self.quotas.remove(entity);
            }
            MetadataRecord::ClientQuota { entity, quotas } => {
                self.quotas.insert(entity.clone(), Arc::new(quotas.clone()));
            }
            MetadataRecord::BrokerChange { id, fenced, in_controlled_shutdown } => {
                debug_assert!(self.brokers.contains_key(id));
                if let Some(broker) = self.brokers.get_mut(id) {
                    let broker = Arc::make_mut(broker);
                    (broker.fenced, broker.in_controlled_shutdown) = (*fenced, *in_controlled_shutdown);
                }
            }
            MetadataRecord::UnregisterBroker { id } => {
                self.brokers.remove(id);
                self.drains.remove(id);
            }
            MetadataRecord::Drain { id, drain } => {
                debug_assert!(self.brokers.contains_key(id));
                match drain {
                    Some(drain) => self.drains.insert(*id, *drain),
                    None => self.drains.remove(id),
                };
            }
        }
    }

    fn apply_registration(&mut self, registration: &BrokerRegistration, restarts_leaders: bool) {
        self.brokers.insert(registration.id, Arc::new(registration.clone()));
        if restarts_leaders {
            self.restart_leaders(registration.id);
        }
    }

    /// A leader that lost its memory must not be taken for the one before: next leader epoch wherever it leads.
    fn restart_leaders(&mut self, leader: BrokerId) {
        let led: Vec<TopicId> = self
            .topics_of_broker(leader)
            .filter(|topic| topic.partitions.iter().any(|partition| partition.leader == leader))
            .map(|topic| topic.id)
            .collect();
        for id in led {
            let topic = Arc::make_mut(self.topics.get_mut(&id).expect("the id was just read from this map"));
            for partition in topic.partitions.iter_mut().filter(|partition| partition.leader == leader) {
                partition.leader_epoch += 1;
                partition.partition_epoch += 1;
            }
        }
    }

    fn apply_topic(&mut self, id: TopicId, name: &Arc<str>, partitions: &[PartitionImage]) {
        debug_assert!(!self.topics.contains_key(&id) && !self.topic_ids.contains_key(name));
        let topic = TopicImage { id, name: Arc::clone(name), partitions: partitions.to_vec() };
        self.hosting.add(id, replicas_of(partitions));
        self.topics.insert(id, Arc::new(topic));
        self.topic_ids.insert(Arc::clone(name), id);
        if topic_name::can_collide(name) {
            self.colliding_names.insert(topic_name::normal_form(name), Arc::clone(name));
        }
    }

    fn apply_partitions(&mut self, topic_id: TopicId, partitions: &[PartitionImage]) {
        debug_assert!(self.topics.contains_key(&topic_id));
        if let Some(topic) = self.topics.get_mut(&topic_id) {
            Arc::make_mut(topic).partitions.extend_from_slice(partitions);
            self.hosting.add(topic_id, replicas_of(partitions));
        }
    }

    fn apply_partition_change(&mut self, topic_id: TopicId, index: PartitionIndex, changed: &PartitionImage) {
        debug_assert!(self.topics.contains_key(&topic_id));
        let Some(topic) = self.topics.get_mut(&topic_id) else { return };
        let at = usize::try_from(index).unwrap_or(usize::MAX);
        if let Some(partition) = Arc::make_mut(topic).partitions.get_mut(at) {
            if partition.replicas != changed.replicas {
                self.hosting.remove(topic_id, partition.replicas.iter().copied());
                self.hosting.add(topic_id, changed.replicas.iter().copied());
            }
            partition.clone_from(changed);
        }
    }

    fn apply_removal(&mut self, id: TopicId) {
        debug_assert!(self.topics.contains_key(&id));
        let Some(topic) = self.topics.remove(&id) else { return };
        self.hosting.remove(id, replicas_of(&topic.partitions));
        self.topic_ids.remove(&topic.name);
        self.configs.remove(&ConfigResource::Topic(topic.name.to_string()));
        if topic_name::can_collide(&topic.name) {
            self.colliding_names.remove(&topic_name::normal_form(&topic.name));
        }
    }

    fn apply_config(&mut self, resource: &ConfigResource, changes: &BTreeMap<String, Option<String>>) {
        let mut overrides = self.configs.get(resource).map(|map| (**map).clone()).unwrap_or_default();
        for (name, value) in changes {
            match value {
                Some(value) => overrides.insert(name.clone(), value.clone()),
                None => overrides.remove(name),
            };
        }
        if overrides.is_empty() {
            self.configs.remove(resource);
        } else {
            self.configs.insert(resource.clone(), Arc::new(overrides));
        }
    }
}

fn replicas_of(partitions: &[PartitionImage]) -> impl Iterator<Item = BrokerId> {
    partitions.iter().flat_map(|partition| partition.replicas.iter().copied())
}

#[cfg(test)]
mod tests;
