//! The features of this software (KIP-584): names and the levels it can run at.
//!
//! A level is *finalised* by the cluster ([`ClusterImage::features`](super::ClusterImage::features)) and only then
//! changes behaviour. Only features whose behaviour is here are listed: clients act on them.

use std::collections::BTreeMap;

use tidemark_protocol::error_code::ErrorCode;
use tidemark_protocol::types::BrokerId;

use super::reply::Failure;

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

/// What a request wants a feature to do, with Kafka's codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpgradeType {
    /// 1: only to a higher level.
    Upgrade,
    /// 2: also to a lower level, if nothing is lost.
    SafeDowngrade,
    /// 3: also to a lower level.
    UnsafeDowngrade,
}

impl UpgradeType {
    /// Reads Kafka's code.
    pub fn from_code(code: i8) -> Option<Self> {
        match code {
            1 => Some(UpgradeType::Upgrade),
            2 => Some(UpgradeType::SafeDowngrade),
            3 => Some(UpgradeType::UnsafeDowngrade),
            _ => None,
        }
    }
}

/// Whether a feature can be finalised at `level`, on `controller`. Every feature has one level so far, so what is legal
/// changes nothing; the words are Kafka's.
pub fn check_update(
    controller: BrokerId,
    name: &str,
    level: i16,
    upgrade: Option<UpgradeType>,
) -> Result<(), Failure> {
    let refuse = |why: String| {
        let message = format!("Invalid update version {level} for feature {name}. {why}");
        Err(Failure::new(ErrorCode::InvalidUpdateVersion, message))
    };
    if upgrade.is_none() {
        return refuse("The controller does not support the given upgrade type.".to_owned());
    }
    if level < 0 {
        return refuse("A feature version cannot be less than 0.".to_owned());
    }
    match FEATURES.iter().find(|feature| feature.name == name) {
        None if level == 0 => refuse(format!("Feature {name} not found.")),
        None => refuse(format!("Local controller {controller} does not support this feature.")),
        Some(feature) if !(feature.min..=feature.max).contains(&level) => refuse(format!(
            "Local controller {controller} only supports versions {}-{}",
            feature.min, feature.max
        )),
        Some(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests;
