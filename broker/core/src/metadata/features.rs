//! The features of this software (KIP-584): names and the levels it can run at.
//!
//! A level is *finalised* by the cluster ([`ClusterImage::features`](super::ClusterImage::features)) and only then
//! changes behaviour. Only features whose behaviour is here are listed: clients act on them.

use std::collections::BTreeMap;

/// A feature and the levels that this software can run at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Feature {
    /// Kafka's name.
    pub name: &'static str,
    /// Lowest level.
    pub min: i16,
    /// Highest level.
    pub max: i16,
}

/// What this software supports. Tools conclude Kafka's version from `metadata.version`: level 30 is 4.3.
pub const FEATURES: &[Feature] = &[Feature { name: "metadata.version", min: 30, max: 30 }];

/// The levels that a new cluster starts with: the highest of each.
pub fn of_new_cluster() -> BTreeMap<String, i16> {
    FEATURES.iter().map(|feature| (feature.name.to_owned(), feature.max)).collect()
}

#[cfg(test)]
mod tests;
