//! What DescribeConfigs says of a topic.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::table::{TOPIC_CONFIGS, TopicConfigKey};
use crate::metadata::broker_config::describe::server_synonyms;
use crate::metadata::config_layers::ConfigLayers;
use crate::metadata::config_value::{ConfigEntry, ConfigSource, ConfigSynonym};

/// All keys of a topic, sorted by name, with value, source and synonyms. The replication factor caps the default of
/// `min.insync.replicas`.
pub fn describe(
    overrides: &BTreeMap<String, String>,
    layers: &ConfigLayers<'_>,
    replication_factor: usize,
) -> Vec<ConfigEntry> {
    let shown = TOPIC_CONFIGS.iter().filter(|key| !key.hidden);
    shown.map(|key| entry(key, overrides, layers, replication_factor)).collect()
}

fn entry(
    key: &TopicConfigKey,
    overrides: &BTreeMap<String, String>,
    layers: &ConfigLayers<'_>,
    replication_factor: usize,
) -> ConfigEntry {
    let name = key.def.name;
    let (value, source) = super::effective(key, overrides, layers);
    let mut value = value.map(Cow::into_owned);
    let mut synonyms = Vec::new();
    if let Some(value) = overrides.get(name) {
        synonyms.push(ConfigSynonym { name, value: Some(value.clone()), source: ConfigSource::Topic });
    }
    synonyms.extend(server_synonyms(key.synonyms, layers));
    if name == "min.insync.replicas" && source == ConfigSource::Default {
        value = value.map(|value| capped(&value, replication_factor));
    }
    ConfigEntry {
        name,
        value,
        source,
        synonyms,
        kind: key.def.kind,
        read_only: false,
        sensitive: false,
        documentation: key.def.doc,
    }
}

/// The default of `min.insync.replicas` where there are fewer replicas than that.
fn capped(value: &str, replication_factor: usize) -> String {
    let number: usize = value.parse().expect("the default is a number");
    number.min(replication_factor.max(1)).to_string()
}
