//! [`ClusterImage`]: what the cluster is, at one point of the metadata log.
//!
//! Written only by [`apply`](super::apply); read everywhere. Cloning is O(1) (persistent maps), so a published image
//! never changes under its readers. Every topic named in the name index exists in the id index and the other way round.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use imbl::OrdMap;
use serde::{Deserialize, Serialize};
use tidemark_protocol::types::{
    BrokerId, LeaderEpoch, PartitionIndex, ProducerId, TopicId, TopicIdPartition, TopicPartition,
};
use uuid::Uuid;

use super::client_quota::QuotaMap;
use super::hosting::Hosting;

mod brokers;

/// A list of brokers, shared between a partition's fields and between images.
pub type BrokerIds = Arc<[BrokerId]>;

/// Overrides of one resource: Kafka's names to Kafka's plain values.
pub type ConfigMap = Arc<BTreeMap<String, String>>;

/// The cluster at one point of the metadata log.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ClusterImage {
    /// Index of the last applied log entry; 0 before the first. Set by [`ClusterImage::set_version`].
    pub version: u64,
    /// Identity of the cluster; empty until the cluster is initialised.
    pub cluster_id: String,
    /// Registered brokers.
    pub brokers: OrdMap<BrokerId, Arc<BrokerRegistration>>,
    /// Brokers that are being emptied; each is registered.
    pub drains: OrdMap<BrokerId, Drain>,
    /// Topics by identity.
    pub topics: OrdMap<TopicId, Arc<TopicImage>>,
    /// Identity of each topic by name.
    pub topic_ids: OrdMap<Arc<str>, TopicId>,
    /// Overrides by resource; a resource without overrides has no entry.
    pub configs: OrdMap<ConfigResource, ConfigMap>,
    /// Client quotas; an entity without any has no entry.
    pub quotas: QuotaMap,
    /// Finalised feature levels (KIP-584).
    pub features: OrdMap<String, i16>,
    /// First producer id that no broker was given.
    pub next_producer_id: ProducerId,
    /// Which topics have replicas on which broker; follows from `topics`.
    pub(super) hosting: Hosting,
    /// Names that contain `.` or `_`, by the form in which both are `_`: such names collide in metric names, so Kafka
    /// refuses a second one.
    pub(super) colliding_names: OrdMap<String, Arc<str>>,
}

/// A topic and its partitions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TopicImage {
    /// Identity.
    pub id: TopicId,
    /// Name.
    pub name: Arc<str>,
    /// Partitions by index; a topic has at least one.
    pub partitions: Vec<PartitionImage>,
}

/// Replication state of a partition as the controller knows it (KIP-455, KIP-966).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PartitionImage {
    /// Assigned brokers, preferred leader first.
    pub replicas: BrokerIds,
    /// In-sync replicas, a subset of `replicas`.
    pub isr: BrokerIds,
    /// Eligible leader replicas (KIP-966).
    pub elr: BrokerIds,
    /// The last members of an ELR that became empty.
    pub last_known_elr: BrokerIds,
    /// Leading broker; −1 when there is none.
    pub leader: BrokerId,
    /// Counts leaders.
    pub leader_epoch: LeaderEpoch,
    /// Counts changes of this structure.
    pub partition_epoch: i32,
    /// Replicas that a running reassignment adds.
    pub adding: BrokerIds,
    /// Replicas that a running reassignment removes.
    pub removing: BrokerIds,
}

/// A broker as it registered itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BrokerRegistration {
    /// Node id.
    pub id: BrokerId,
    /// Index of the log entry that registered this incarnation.
    pub epoch: i64,
    /// Chosen anew at every start of the process.
    pub incarnation: Uuid,
    /// Rack, if set.
    pub rack: Option<String>,
    /// Where clients and peers reach it.
    pub endpoints: Vec<Endpoint>,
    /// Identities of its data directories.
    pub directories: Vec<Uuid>,
    /// Fenced brokers lead nothing and serve nobody.
    pub fenced: bool,
    /// Set while the broker hands over its leaderships to stop.
    pub in_controlled_shutdown: bool,
    /// It cut a torn tail when it started: elected from an ELR only when no other member can be.
    pub is_suspect: bool,
    /// Of its static configuration, what the controller's decisions depend on
    /// ([`REPLICATION_KEYS`](super::replication_rules::REPLICATION_KEYS)).
    pub statics: BTreeMap<String, String>,
}

/// What is asked of a broker that is being emptied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drain {
    /// Its replicas move away too, and it is forgotten once it has none and has stopped.
    pub leaves: bool,
    /// Replicas it held when it was asked.
    pub replicas: u32,
}

/// An address of a broker for one listener.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// Name of the listener.
    pub listener: String,
    /// Host as advertised.
    pub host: String,
    /// Port as advertised.
    pub port: u16,
}

/// What configuration can be attached to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum ConfigResource {
    /// A topic by name.
    Topic(String),
    /// One broker.
    Broker(BrokerId),
    /// The default for all brokers (the empty broker name).
    BrokerDefault,
    /// A group by id (KIP-848 and later).
    Group(String),
    /// A subscription of client metrics (KIP-714).
    ClientMetrics(String),
}

impl ConfigResource {
    /// Kafka's resource type: 2 topic, 4 broker, 16 client metrics, 32 group.
    pub fn type_code(&self) -> i8 {
        match self {
            ConfigResource::Topic(_) => 2,
            ConfigResource::Broker(_) | ConfigResource::BrokerDefault => 4,
            ConfigResource::ClientMetrics(_) => 16,
            ConfigResource::Group(_) => 32,
        }
    }

    /// Kafka's resource name; empty for the brokers' default.
    pub fn name(&self) -> String {
        match self {
            ConfigResource::Topic(name)
            | ConfigResource::Group(name)
            | ConfigResource::ClientMetrics(name) => name.clone(),
            ConfigResource::Broker(id) => id.to_string(),
            ConfigResource::BrokerDefault => String::new(),
        }
    }
}

impl fmt::Display for ConfigResource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self {
            ConfigResource::Topic(_) => "topic",
            ConfigResource::Broker(_) => "broker",
            ConfigResource::BrokerDefault => return f.write_str("default broker"),
            ConfigResource::Group(_) => "group",
            ConfigResource::ClientMetrics(_) => "client-metrics",
        };
        write!(f, "{kind} {}", self.name())
    }
}

impl ClusterImage {
    /// An empty image of the cluster with this identity.
    pub fn new(cluster_id: impl Into<String>) -> Self {
        ClusterImage { cluster_id: cluster_id.into(), ..ClusterImage::default() }
    }

    /// The topic of this name.
    pub fn topic(&self, name: &str) -> Option<&Arc<TopicImage>> {
        self.topics.get(self.topic_ids.get(name)?)
    }

    /// The topic of this identity.
    pub fn topic_by_id(&self, id: TopicId) -> Option<&Arc<TopicImage>> {
        self.topics.get(&id)
    }

    /// The partition by name and index.
    pub fn partition(&self, tp: &TopicPartition) -> Option<&PartitionImage> {
        self.topic(&tp.topic)?.partition(tp.partition)
    }

    /// The partition by identity and index.
    pub fn partition_by_id(&self, tp: &TopicIdPartition) -> Option<&PartitionImage> {
        self.topic_by_id(tp.topic_id)?.partition(tp.partition)
    }

    /// Topics in the order of their names.
    pub fn topics_by_name(&self) -> impl Iterator<Item = &Arc<TopicImage>> {
        self.topic_ids.values().filter_map(|id| self.topics.get(id))
    }

    /// Overrides of a resource, if it has any.
    pub fn config(&self, resource: &ConfigResource) -> Option<&ConfigMap> {
        self.configs.get(resource)
    }

    /// Overrides of a resource; empty if it has none.
    pub fn overrides(&self, resource: &ConfigResource) -> &BTreeMap<String, String> {
        static NONE: BTreeMap<String, String> = BTreeMap::new();
        self.configs.get(resource).map_or(&NONE, |overrides| overrides)
    }

    /// Overrides of a topic, if it has any.
    pub fn topic_config(&self, name: &str) -> Option<&ConfigMap> {
        self.configs.get(&ConfigResource::Topic(name.to_owned()))
    }

    /// Number of all partitions.
    pub fn partition_count(&self) -> usize {
        self.topics.values().map(|topic| topic.partitions.len()).sum()
    }

    /// Says which log entry the image now reflects; the quorum calls it after applying an entry's records.
    pub fn set_version(&mut self, index: u64) {
        assert!(index >= self.version, "the metadata log is applied in order");
        self.version = index;
    }
}

impl TopicImage {
    /// The partition of this index.
    pub fn partition(&self, index: PartitionIndex) -> Option<&PartitionImage> {
        usize::try_from(index).ok().and_then(|index| self.partitions.get(index))
    }

    /// Replicas of partition 0: what Kafka calls the topic's replication factor.
    pub fn replication_factor(&self) -> usize {
        self.partitions.first().map_or(0, |partition| partition.replicas.len())
    }
}

impl PartitionImage {
    /// A new partition: the first usable replica leads, the usable ones are in sync.
    pub fn new(replicas: &[BrokerId], isr: &[BrokerId]) -> Self {
        let none: BrokerIds = Arc::from([]);
        let replicas: BrokerIds = Arc::from(replicas);
        let isr = if *isr == *replicas { Arc::clone(&replicas) } else { Arc::from(isr) };
        PartitionImage {
            leader: isr.first().copied().unwrap_or(-1),
            replicas,
            isr,
            elr: Arc::clone(&none),
            last_known_elr: Arc::clone(&none),
            leader_epoch: 0,
            partition_epoch: 0,
            adding: Arc::clone(&none),
            removing: none,
        }
    }

    /// How many replicas there shall be: those that a reassignment is still adding do not count. The min ISR is limited
    /// by it, so that a partition of one replica stays writable while it moves.
    pub fn replication_factor(&self) -> usize {
        self.replicas.len() - self.adding.len()
    }

    /// Whether a reassignment is under way (KIP-455).
    pub fn is_moving(&self) -> bool {
        !self.adding.is_empty() || !self.removing.is_empty()
    }

    /// Whether this broker holds a replica.
    pub fn has_replica(&self, broker: BrokerId) -> bool {
        self.replicas.contains(&broker)
    }
}

impl BrokerRegistration {
    /// Registered, unfenced and not shutting down.
    pub fn is_usable(&self) -> bool {
        !self.fenced && !self.in_controlled_shutdown
    }

    /// The address for a listener.
    pub fn endpoint(&self, listener: &str) -> Option<&Endpoint> {
        self.endpoints.iter().find(|endpoint| endpoint.listener == listener)
    }
}

#[cfg(test)]
mod tests;
