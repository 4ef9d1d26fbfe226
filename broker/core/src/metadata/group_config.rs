//! Group configuration (KIP-848, KIP-932, KIP-1071): keys, bounds, typed effective values, description.

use std::collections::BTreeMap;

use super::broker_config::ConfigLayers;
use super::config_value::{ConfigEntry, ConfigProblem};

/// Effective configuration of a group, as far as consumer groups use it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupSettings {
    /// `consumer.session.timeout.ms`.
    pub consumer_session_timeout_ms: i32,
    /// `consumer.heartbeat.interval.ms`.
    pub consumer_heartbeat_interval_ms: i32,
    /// `consumer.assignment.interval.ms`.
    pub consumer_assignment_interval_ms: i32,
}

impl GroupSettings {
    /// Effective values: the group's overrides over the broker's layers over the defaults.
    pub fn resolve(_overrides: Option<&BTreeMap<String, String>>, _layers: &ConfigLayers<'_>) -> Self {
        unimplemented!("lands next")
    }
}

/// Validates a full set of overrides of one group.
pub fn validate(_after: &BTreeMap<String, String>, _layers: &ConfigLayers<'_>) -> Result<(), ConfigProblem> {
    unimplemented!("lands next")
}

/// All keys of a group, sorted by name.
pub fn describe(
    _overrides: Option<&BTreeMap<String, String>>,
    _layers: &ConfigLayers<'_>,
) -> Vec<ConfigEntry> {
    unimplemented!("lands next")
}
