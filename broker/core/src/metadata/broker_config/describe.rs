//! What DescribeConfigs says of a broker.

use std::collections::BTreeMap;

use super::table::{self, BROKER_CONFIGS, BrokerConfigKey, FALLBACKS};
use crate::metadata::config_layers::ConfigLayers;
use crate::metadata::config_value::{ConfigEntry, ConfigSource, ConfigSynonym, ConfigType};

/// Facts of the node that brokers report under Kafka's names but that are set elsewhere in `tidemark.toml`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NodeFacts {
    /// Reported read-only, as `node.id`, `listeners`, `log.dirs`, with static source.
    pub values: BTreeMap<&'static str, String>,
}

/// All keys of a broker, sorted by name. `facts` supplies what is not set by `kafka.*`.
pub fn describe(layers: &ConfigLayers<'_>, facts: &NodeFacts) -> Vec<ConfigEntry> {
    debug_assert!(facts.values.keys().all(|name| table::find(name).is_some()));
    BROKER_CONFIGS.iter().map(|key| entry(key, layers, facts)).collect()
}

/// What is set dynamically for all brokers (DescribeConfigs of the empty broker name).
pub fn describe_default(layers: &ConfigLayers<'_>) -> Vec<ConfigEntry> {
    let only = ConfigLayers { dynamic_default: layers.dynamic_default, ..ConfigLayers::default() };
    let is_set = |key: &&BrokerConfigKey| only.get(key.def.name).is_some();
    let of_default = |key: &BrokerConfigKey| {
        let mut entry = entry(key, &only, &NodeFacts::default());
        entry.synonyms.retain(|synonym| synonym.source == ConfigSource::DynamicDefaultBroker);
        entry
    };
    BROKER_CONFIGS.iter().filter(is_set).map(of_default).collect()
}

fn entry(key: &BrokerConfigKey, layers: &ConfigLayers<'_>, facts: &NodeFacts) -> ConfigEntry {
    let name = key.def.name;
    let fact = facts.values.get(name).map(|value| (value.as_str(), ConfigSource::StaticBroker));
    let set = layers.get(name).or(fact);
    let value = set.map(|(value, _)| value).or(key.def.default);
    let sensitive = key.def.kind == ConfigType::Password;
    let mut synonyms = Vec::new();
    if let Some((value, source)) = fact {
        synonyms.push(ConfigSynonym { name, value: Some(value.to_owned()), source });
    }
    let fallbacks = FALLBACKS.iter().find(|(of, _)| *of == name).map_or(&[][..], |(_, others)| others);
    let names: Vec<&'static str> = std::iter::once(name).chain(fallbacks.iter().copied()).collect();
    synonyms.extend(server_synonyms(&names, layers));
    ConfigEntry {
        name,
        value: value.filter(|_| !sensitive).map(str::to_owned),
        source: set.map_or(ConfigSource::Default, |(_, source)| source),
        synonyms: if sensitive { Vec::new() } else { synonyms },
        kind: key.def.kind,
        read_only: !key.set.is_dynamic(),
        sensitive,
        documentation: key.def.doc,
    }
}

/// The values of these broker keys, layer by layer, then their defaults; none converted.
pub(in crate::metadata) fn server_synonyms(
    names: &[&'static str],
    layers: &ConfigLayers<'_>,
) -> Vec<ConfigSynonym> {
    let synonym = |name, value: &str, source| ConfigSynonym { name, value: Some(value.to_owned()), source };
    let mut synonyms = Vec::new();
    for (layer, source) in layers.by_strength() {
        let set = names.iter().filter_map(|name| Some((*name, layer.get(*name)?)));
        synonyms.extend(set.map(|(name, value)| synonym(name, value, source)));
    }
    let defaults = names.iter().filter_map(|name| Some((*name, table::find(name)?.def.default?)));
    synonyms.extend(defaults.map(|(name, value)| synonym(name, value, ConfigSource::Default)));
    synonyms
}
