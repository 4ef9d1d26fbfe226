//! The cluster's metadata as a deterministic state machine: `decide(image, command) → records`, `apply(record)`.
//!
//! The quorum (broker/src/controller) is the only writer. Everybody else reads published [`ClusterImage`]s.
//! What always holds: `decide` and `apply` read no clock, no randomness and no iteration order of a hash map, so every
//! voter that applies the same log holds an equal image ([`ClusterImage::state_hash`]).
//!
//! ```text
//!   Command ──decide──▶ records ──apply──▶ ClusterImage ──delta──▶ what a broker starts, stops, reconfigures
//!      │                                        │
//!      └─ ids, placement: chosen by proposer    └─ settings: BrokerSettings, TopicSettings, GroupSettings
//! ```

pub mod apply;
pub mod balance;
pub mod broker_config;
pub mod client_metrics;
pub mod client_quota;
pub mod command;
pub mod config_def;
pub mod config_layers;
pub mod config_value;
pub mod decide;
pub mod delta;
pub mod drain;
pub mod events;
pub mod features;
pub mod group_config;
pub mod hosting;
pub mod image;
pub mod partition_change;
pub mod placement;
pub mod quota_filter;
pub mod record;
pub mod replication_rules;
pub mod replication_throttle;
pub mod reply;
pub mod sessions;
pub mod snapshot;
pub mod suggestion;
pub mod topic_config;
pub mod topic_name;
pub mod units;
pub mod upkeep;

pub use broker_config::{BrokerConfigs, BrokerSettings, NodeFacts};
pub use client_quota::{QuotaAlteration, QuotaEntity, QuotaKey};
pub use command::{
    Command, ConfigAlteration, ConfigOp, ConfigOpKind, Election, IsrProposal, NewPartitions, NewTopic,
    Recovery, TopicKey, TopicPartitions, TopicReassignment,
};
pub use config_layers::ConfigLayers;
pub use config_value::{ConfigEntry, ConfigProblem, ConfigSource, ConfigSynonym, ConfigType};
pub use decide::{Outcome, decide};
pub use delta::{ClusterDelta, delta};
pub use group_config::GroupSettings;
pub use image::{
    BrokerIds, BrokerRegistration, ClusterImage, ConfigResource, Drain, Endpoint, PartitionImage, TopicImage,
};
pub use quota_filter::QuotaFilter;
pub use record::{DecodeError, MetadataRecord};
pub use reply::{AlteredPartition, Failure, PartitionState, Reply};
pub use sessions::{BrokerSessions, Heartbeat, HeartbeatReply};
pub use topic_config::TopicSettings;
