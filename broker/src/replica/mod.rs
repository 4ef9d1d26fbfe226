//! The replicas of this broker: which partitions it holds, kept in step with the cluster's metadata.

pub mod fetcher;
pub mod isr_proposer;
pub mod manager;
pub mod map;
pub mod messages;
pub mod quarantine;
pub mod scrub;
pub mod serving;
pub mod stepped;
pub mod throttles;

pub(crate) mod fetch_session;
pub(crate) mod followees;
mod reconcile;
mod start;

pub use manager::{Opening, ReplicaManager, ShutdownReport};
pub use map::{ReplicaMap, TopicReplicas};
pub use start::{JOURNAL_DIR, ReplicaOptions, StartError};
