//! The replicas of this broker: which partitions it holds, kept in step with the cluster's metadata.

pub mod manager;
pub mod map;

mod reconcile;
mod start;

pub use manager::{ReplicaManager, ShutdownReport};
pub use map::{ReplicaMap, TopicReplicas};
pub use start::{ReplicaOptions, StartError};
