//! Which overrides a topic may have: each value by its row, then the rules between keys, in Kafka's words.

use std::collections::BTreeMap;

use super::{TopicSettings, table};
use crate::metadata::config_layers::ConfigLayers;
use crate::metadata::config_value::ConfigProblem;

/// Validates a full set of overrides of one topic: names, values, and the rules between keys over the broker's layers.
/// `before` are the overrides until now (none for a new topic).
pub fn validate(
    before: &BTreeMap<String, String>,
    after: &BTreeMap<String, String>,
    layers: &ConfigLayers<'_>,
) -> Result<(), ConfigProblem> {
    for (name, value) in after {
        let key = table::find(name).ok_or_else(|| ConfigProblem {
            key: name.clone(),
            message: format!("Unknown topic config name: {name}"),
        })?;
        key.def.check(value)?;
    }
    let settings = TopicSettings::resolve(after, layers);
    check_compaction_lags(&settings)?;
    check_remote_storage(before, &settings, layers)?;
    // A broker's default for local retention must not forbid short retention to topics without remote storage.
    if settings.remote_storage_enable || after.contains_key("local.retention.ms") {
        let (local, total) = (settings.local_retention_ms, settings.retention_ms);
        check_local("local.retention.ms", local, "retention.ms", total)?;
    }
    if settings.remote_storage_enable || after.contains_key("local.retention.bytes") {
        let (local, total) = (settings.local_retention_bytes, settings.retention_bytes);
        check_local("local.retention.bytes", local, "retention.bytes", total)?;
    }
    Ok(())
}

fn refuse(key: &str, message: impl Into<String>) -> Result<(), ConfigProblem> {
    Err(ConfigProblem { key: key.to_owned(), message: message.into() })
}

fn check_compaction_lags(settings: &TopicSettings) -> Result<(), ConfigProblem> {
    let (min, max) = (settings.min_compaction_lag_ms, settings.max_compaction_lag_ms);
    if min <= max {
        return Ok(());
    }
    let message = format!(
        "conflict topic config setting min.compaction.lag.ms ({min}) > max.compaction.lag.ms ({max})"
    );
    refuse("min.compaction.lag.ms", message)
}

fn check_local(name: &str, local: i64, total_name: &str, total: i64) -> Result<(), ConfigProblem> {
    if local == -2 || total < 0 {
        return Ok(());
    }
    let invalid =
        |what: String| refuse(name, format!("Invalid value {local} for configuration {name}: {what}"));
    if local == -1 {
        return invalid(format!("Value must not be -1 as {total_name} value is set as {total}."));
    }
    if local > total {
        return invalid(format!("Value must not be more than {total_name} property value: {total}"));
    }
    Ok(())
}

/// Remote storage needs a tier, keeps its data until deletion is allowed, and without copies nothing may leave the disk
/// before its time.
fn check_remote_storage(
    before: &BTreeMap<String, String>,
    settings: &TopicSettings,
    layers: &ConfigLayers<'_>,
) -> Result<(), ConfigProblem> {
    let key = "remote.storage.enable";
    let has_tier = layers.get("remote.log.storage.system.enable").is_some_and(|(value, _)| value == "true");
    if !settings.remote_storage_enable {
        let was_enabled = before.get(key).is_some_and(|value| value.trim().eq_ignore_ascii_case("true"));
        if was_enabled && !settings.remote_log_delete_on_disable {
            return refuse(key, TURNING_OFF);
        }
        return Ok(());
    }
    if !has_tier {
        return refuse(key, NO_TIER);
    }
    if settings.remote_log_copy_disable {
        let follows = |local: i64, total: i64| local == -2 || local == total;
        if !follows(settings.local_retention_ms, settings.retention_ms) {
            return refuse("local.retention.ms", copy_disabled("local.retention.ms", "retention.ms"));
        }
        if !follows(settings.local_retention_bytes, settings.retention_bytes) {
            return refuse(
                "local.retention.bytes",
                copy_disabled("local.retention.bytes", "retention.bytes"),
            );
        }
    }
    Ok(())
}

const NO_TIER: &str = "Tiered Storage functionality is disabled in the broker. Topic cannot be configured with remote \
                       log storage.";

const TURNING_OFF: &str = "It is invalid to disable remote storage without deleting remote data. If you want to keep \
                           the remote data and turn to read only, please set \
                           `remote.storage.enable=true,remote.log.copy.disable=true`. If you want to disable remote \
                           storage and delete all remote data, please set \
                           `remote.storage.enable=false,remote.log.delete.on.disable=true`.";

fn copy_disabled(local: &str, total: &str) -> String {
    format!(
        "When `remote.log.copy.disable` is set to true, the `{local}` and `{total}` must be set to the identical value \
         because there will be no more logs copied to the remote storage."
    )
}
