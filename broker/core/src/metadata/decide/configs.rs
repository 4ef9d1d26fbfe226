//! Configuration changes: each resource all or nothing, validated on the merged result.

use std::collections::{BTreeMap, BTreeSet};

use tidemark_protocol::error_code::ErrorCode;

use super::Draft;
use crate::metadata::broker_config::{self, DynamicProblem};
use crate::metadata::command::{ConfigAlteration, ConfigOp, ConfigOpKind};
use crate::metadata::config_def::list_parts;
use crate::metadata::config_layers::ConfigLayers;
use crate::metadata::config_value::ConfigType;
use crate::metadata::image::{ClusterImage, ConfigResource};
use crate::metadata::record::MetadataRecord;
use crate::metadata::replication_rules::ReplicationRules;
use crate::metadata::reply::{ConfigResult, Failure};
use crate::metadata::{client_metrics, group_config, topic_config, topic_name};

/// The longest value, as in Kafka.
pub const VALUE_LEN_MAX: usize = i16::MAX as usize;

/// What a request that names a key twice is told.
pub(super) const DUPLICATE_KEYS: &str = "Error due to duplicate config keys";

type Overrides = BTreeMap<String, String>;

pub(super) fn alter(
    draft: &mut Draft,
    alterations: &[ConfigAlteration],
    statics: &Overrides,
) -> Vec<ConfigResult> {
    let mut seen = BTreeSet::new();
    let twice: BTreeSet<&ConfigResource> =
        alterations.iter().map(|item| &item.resource).filter(|resource| !seen.insert(*resource)).collect();
    alterations
        .iter()
        .map(|item| {
            let result = if twice.contains(&item.resource) {
                Err(invalid_request("Each resource must appear at most once."))
            } else {
                alter_one(draft, item, statics)
            };
            ConfigResult { resource: item.resource.clone(), result }
        })
        .collect()
}

fn alter_one(draft: &mut Draft, item: &ConfigAlteration, statics: &Overrides) -> Result<(), Failure> {
    check_resource(&draft.image, &item.resource)?;
    check_ops(item)?;
    let before = draft.image.overrides(&item.resource).clone();
    let layers = ConfigLayers::of_cluster(&draft.image, statics);
    let mut after = if item.replace { Overrides::new() } else { before.clone() };
    for op in &item.ops {
        perform(op, &item.resource, &mut after, &layers)?;
    }
    validate(&item.resource, &before, &after, &layers)?;
    let changes = difference(&before, &after);
    if changes.is_empty() {
        return Ok(());
    }
    let rules_change = ReplicationRules::depend_on(changes.keys());
    draft.push(MetadataRecord::Config { resource: item.resource.clone(), changes });
    if rules_change {
        let topics = match &item.resource {
            ConfigResource::Topic(name) => draft.image.topic(name).cloned().into_iter().collect(),
            ConfigResource::Broker(_) | ConfigResource::BrokerDefault => draft.all_topics(),
            ConfigResource::Group(_) | ConfigResource::ClientMetrics(_) => Vec::new(),
        };
        draft.follow_rules(&topics);
    }
    Ok(())
}

fn check_resource(image: &ClusterImage, resource: &ConfigResource) -> Result<(), Failure> {
    match resource {
        ConfigResource::Topic(name) if name.is_empty() => {
            Err(invalid_request("Default topic resources are not allowed."))
        }
        ConfigResource::Topic(name) => {
            topic_name::check(name).map_err(|text| Failure::new(ErrorCode::InvalidTopicException, text))?;
            if image.topic_ids.contains_key(name.as_str()) {
                return Ok(());
            }
            let message = format!("The topic '{name}' does not exist.");
            Err(Failure::new(ErrorCode::UnknownTopicOrPartition, message))
        }
        ConfigResource::Broker(id) if *id < 0 => {
            Err(invalid_request(format!("Invalid negative broker ID {id}.")))
        }
        ConfigResource::Broker(id) if !image.brokers.contains_key(id) => {
            let message = format!("No broker with id {id} found.");
            Err(Failure::new(ErrorCode::BrokerIdNotRegistered, message))
        }
        ConfigResource::Broker(_) | ConfigResource::BrokerDefault => Ok(()),
        ConfigResource::Group(name) if name.is_empty() => {
            Err(invalid_request("Default group resources are not allowed."))
        }
        ConfigResource::Group(_) => Ok(()),
        ConfigResource::ClientMetrics(name) if name.is_empty() => {
            Err(invalid_request("Subscription name can't be empty"))
        }
        ConfigResource::ClientMetrics(_) => Ok(()),
    }
}

/// Checks that need no state: keys at most once, values where they belong and not too long.
fn check_ops(item: &ConfigAlteration) -> Result<(), Failure> {
    let mut seen = BTreeSet::new();
    if !item.ops.iter().all(|op| seen.insert(op.name.as_str())) {
        return Err(invalid_request(DUPLICATE_KEYS));
    }
    let is_null = |op: &&ConfigOp| op.value.is_none() && op.kind != ConfigOpKind::Delete;
    let nulls: Vec<&str> = item.ops.iter().filter(is_null).map(|op| op.name.as_str()).collect();
    if !nulls.is_empty() {
        return Err(invalid_request(format!("Null value not supported for : {}", nulls.join(", "))));
    }
    if item.replace && item.ops.iter().any(|op| op.kind != ConfigOpKind::Set) {
        return Err(invalid_request("A full replacement can only set values."));
    }
    item.ops.iter().filter_map(|op| op.value.as_deref()).try_for_each(check_len)
}

/// Refuses values longer than Kafka's records could hold.
pub(super) fn check_len(value: &str) -> Result<(), Failure> {
    if value.len() <= VALUE_LEN_MAX {
        return Ok(());
    }
    let message = format!(
        "The configuration value cannot be added because it exceeds the maximum value size of {VALUE_LEN_MAX} bytes."
    );
    Err(Failure::new(ErrorCode::InvalidConfig, message))
}

fn perform(
    op: &ConfigOp,
    resource: &ConfigResource,
    after: &mut Overrides,
    layers: &ConfigLayers<'_>,
) -> Result<(), Failure> {
    let operand = op.value.as_deref().unwrap_or_default();
    match op.kind {
        ConfigOpKind::Set => {
            after.insert(op.name.clone(), operand.to_owned());
        }
        ConfigOpKind::Delete => {
            after.remove(&op.name);
        }
        ConfigOpKind::Append | ConfigOpKind::Subtract => {
            let current = list_value(op, resource, after, layers)?;
            let operand = list_parts(operand);
            let mut parts = list_parts(&current);
            if op.kind == ConfigOpKind::Append {
                for part in operand {
                    if !parts.contains(&part) {
                        parts.push(part);
                    }
                }
            } else {
                parts.retain(|part| !operand.contains(part));
            }
            let changed = parts.join(",");
            // What changes nothing makes no override.
            if after.contains_key(&op.name) || changed != current {
                after.insert(op.name.clone(), changed);
            }
        }
    }
    Ok(())
}

/// The list that an append or subtract works on: the override, or what holds without one.
fn list_value(
    op: &ConfigOp,
    resource: &ConfigResource,
    after: &Overrides,
    layers: &ConfigLayers<'_>,
) -> Result<String, Failure> {
    let name = op.name.as_str();
    let kind = match resource {
        ConfigResource::Topic(_) => topic_config::table::find(name).map(|key| key.def.kind),
        ConfigResource::Group(_) => group_config::table::find(name).map(|key| key.def.kind),
        // Kafka changes the lists of a subscription as a whole only.
        ConfigResource::ClientMetrics(_) => None,
        _ => broker_config::table::find(name).map(|key| key.def.kind),
    };
    if kind != Some(ConfigType::List) {
        let verb = if op.kind == ConfigOpKind::Append { "APPEND" } else { "SUBTRACT" };
        let message = format!("Can't {verb} to key {name} because its type is not LIST.");
        return Err(Failure::new(ErrorCode::InvalidConfig, message));
    }
    let current = match resource {
        ConfigResource::Topic(_) => topic_config::effective_value(name, after, layers),
        _ => after
            .get(name)
            .cloned()
            .or_else(|| Some(layers.get(name)?.0.to_owned()))
            .or_else(|| Some(broker_config::table::find(name)?.def.default?.to_owned())),
    };
    Ok(current.unwrap_or_default())
}

fn validate(
    resource: &ConfigResource,
    before: &Overrides,
    after: &Overrides,
    layers: &ConfigLayers<'_>,
) -> Result<(), Failure> {
    match resource {
        ConfigResource::Topic(_) => topic_config::validate(before, after, layers)
            .map_err(|problem| Failure::new(ErrorCode::InvalidConfig, problem.message)),
        ConfigResource::Group(_) => group_config::validate(after, layers)
            .map_err(|problem| Failure::new(ErrorCode::InvalidConfig, problem.message)),
        ConfigResource::Broker(_) => validate_broker(after, layers),
        ConfigResource::BrokerDefault => {
            validate_broker(after, &ConfigLayers { dynamic_default: None, ..*layers })
        }
        ConfigResource::ClientMetrics(_) => client_metrics::validate(after),
    }
}

fn validate_broker(after: &Overrides, layers: &ConfigLayers<'_>) -> Result<(), Failure> {
    broker_config::validate_dynamic(after, layers).map_err(|problem| match problem {
        DynamicProblem::Unknown(problem) => Failure::new(ErrorCode::InvalidConfig, problem.message),
        DynamicProblem::Refused(problem) => invalid_request(problem.message),
    })
}

/// What has to be set and removed to get from one set to the other.
fn difference(before: &Overrides, after: &Overrides) -> BTreeMap<String, Option<String>> {
    let removed = before.keys().filter(|name| !after.contains_key(*name)).map(|name| (name.clone(), None));
    let set = after
        .iter()
        .filter(|(name, value)| before.get(*name) != Some(value))
        .map(|(name, value)| (name.clone(), Some(value.clone())));
    removed.chain(set).collect()
}

fn invalid_request(message: impl Into<String>) -> Failure {
    Failure::new(ErrorCode::InvalidRequest, message)
}

#[cfg(test)]
mod tests;
