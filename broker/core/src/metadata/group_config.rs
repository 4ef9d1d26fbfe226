//! Group configuration (KIP-848, KIP-932, KIP-1071): keys, bounds, typed effective values, description.

pub mod table;

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::broker_config;
use super::config_def::Typed;
use super::config_layers::ConfigLayers;
use super::config_value::{ConfigEntry, ConfigProblem, ConfigSource, ConfigSynonym};
use table::{GROUP_CONFIGS, GroupConfigKey};

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
    pub fn resolve(overrides: &BTreeMap<String, String>, layers: &ConfigLayers<'_>) -> Self {
        let values = Typed(|name| {
            let key = table::find(name).expect("only keys of the table are asked for");
            Cow::Borrowed(effective(key, overrides, layers).0)
        });
        GroupSettings {
            consumer_session_timeout_ms: values.number("consumer.session.timeout.ms"),
            consumer_heartbeat_interval_ms: values.number("consumer.heartbeat.interval.ms"),
            consumer_assignment_interval_ms: values.number("consumer.assignment.interval.ms"),
        }
    }
}

/// Validates a full set of overrides of one group: names, values, the brokers' bounds, and session over heartbeat.
pub fn validate(after: &BTreeMap<String, String>, layers: &ConfigLayers<'_>) -> Result<(), ConfigProblem> {
    for (name, value) in after {
        let key = table::find(name).ok_or_else(|| ConfigProblem {
            key: name.clone(),
            message: format!("Unknown group config name: {name}"),
        })?;
        key.def.check(value)?;
        check_bounds(key, value, layers)?;
    }
    for kind in ["consumer", "share", "streams"] {
        let number = |name: &str| {
            let key = table::find(name).expect("every kind of group has both keys");
            effective(key, after, layers).0.parse::<i64>().expect("effective values were checked")
        };
        let session = format!("{kind}.session.timeout.ms");
        let heartbeat = format!("{kind}.heartbeat.interval.ms");
        if number(&session) <= number(&heartbeat) {
            let message = format!("{session} must be greater than {heartbeat}");
            return Err(ConfigProblem { key: session, message });
        }
    }
    Ok(())
}

/// The bounds that the brokers set for all groups.
fn check_bounds(key: &GroupConfigKey, value: &str, layers: &ConfigLayers<'_>) -> Result<(), ConfigProblem> {
    let Some(bounds) = &key.bounds else { return Ok(()) };
    let number: i64 = value.trim().parse().expect("the value was checked as a number");
    let refuse = |relation: &str, bound: &str| {
        let message = format!("{} must be {relation} or equal to {bound}", key.def.name);
        Err(ConfigProblem { key: key.def.name.to_owned(), message })
    };
    let bound = |name: &str, built_in: i64| {
        let set = broker_config::table::find(name).map(|_| broker_config::effective(layers, name));
        set.and_then(|text| text.parse().ok()).unwrap_or(built_in)
    };
    if bounds.min.is_some_and(|(name, built_in)| number < bound(name, built_in)) {
        return refuse("greater than", bounds.min.map_or("", |(name, _)| name));
    }
    if bounds.max.is_some_and(|(name, built_in)| number > bound(name, built_in)) {
        return refuse("less than", bounds.max.map_or("", |(name, _)| name));
    }
    Ok(())
}

/// All keys of a group, sorted by name.
pub fn describe(overrides: &BTreeMap<String, String>, layers: &ConfigLayers<'_>) -> Vec<ConfigEntry> {
    GROUP_CONFIGS.iter().map(|key| entry(key, overrides, layers)).collect()
}

fn entry(
    key: &GroupConfigKey,
    overrides: &BTreeMap<String, String>,
    layers: &ConfigLayers<'_>,
) -> ConfigEntry {
    let name = key.def.name;
    let (value, source) = effective(key, overrides, layers);
    let mut synonyms = Vec::new();
    if let Some(value) = overrides.get(name) {
        synonyms.push(ConfigSynonym { name, value: Some(value.clone()), source: ConfigSource::Group });
    }
    if let Some(synonym) = key.synonym {
        synonyms.extend(broker_config::describe::server_synonyms(&[synonym], layers));
    }
    ConfigEntry {
        name,
        value: Some(value.to_owned()),
        source,
        synonyms,
        kind: key.def.kind,
        read_only: false,
        sensitive: false,
        documentation: key.def.doc,
    }
}

/// The strongest legal value of a key and where it is set.
fn effective<'a>(
    key: &GroupConfigKey,
    overrides: &'a BTreeMap<String, String>,
    layers: &ConfigLayers<'a>,
) -> (&'a str, ConfigSource) {
    let legal = |value: &&str| key.def.check(value).is_ok();
    if let Some(value) = overrides.get(key.def.name).map(String::as_str).filter(legal) {
        return (value, ConfigSource::Group);
    }
    let of_broker = key.synonym.and_then(|name| layers.get(name)).filter(|(value, _)| legal(value));
    of_broker.unwrap_or((key.def.default.unwrap_or_default(), ConfigSource::Default))
}

#[cfg(test)]
mod tests;
