//! Which brokers get the replicas of new partitions: round robin over racks, from a start the caller draws.

use thiserror::Error;
use tidemark_protocol::types::BrokerId;

use super::image::ClusterImage;

/// Fewer usable brokers than replicas asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("{replication_factor} replicas on {usable} usable brokers")]
pub struct TooFewBrokers {
    /// As asked.
    pub replication_factor: usize,
    /// As there are.
    pub usable: usize,
}

/// Replicas for `partitions` new partitions, the first of which has index `first`. Pure: `seed` picks the start.
pub fn place(
    _image: &ClusterImage,
    _first: usize,
    _partitions: usize,
    _replication_factor: usize,
    _seed: u64,
) -> Result<Vec<Vec<BrokerId>>, TooFewBrokers> {
    unimplemented!("lands next")
}
