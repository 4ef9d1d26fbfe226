//! Kafka's broker keys: those we honour or report, their layers, typed effective values, validation, description.

use std::collections::BTreeMap;
use std::sync::Arc;

use tidemark_protocol::types::BrokerId;

use super::config_value::{ConfigEntry, ConfigProblem, ConfigSource};
use super::image::ClusterImage;

/// The static configuration of a broker: what `kafka.*` of its file, environment and command line say, validated, in
/// Kafka's plain units.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BrokerConfigs {
    statics: Arc<BTreeMap<String, String>>,
}

/// The layers behind a topic's or broker's values, strongest first. Static and dynamic maps hold Kafka's broker keys.
#[derive(Clone, Copy, Debug, Default)]
pub struct ConfigLayers<'a> {
    /// Dynamic configuration of this broker.
    pub dynamic_broker: Option<&'a BTreeMap<String, String>>,
    /// Dynamic configuration of all brokers.
    pub dynamic_default: Option<&'a BTreeMap<String, String>>,
    /// Static configuration.
    pub statics: Option<&'a BTreeMap<String, String>>,
}

/// Facts of the node that brokers report under Kafka's names but that are set elsewhere in `tidemark.toml`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NodeFacts {
    /// Reported read-only, as `node.id`, `listeners`, `log.dirs`, with static source.
    pub values: BTreeMap<&'static str, String>,
}

/// Effective configuration of a broker.
#[derive(Clone, Debug, PartialEq)]
pub struct BrokerSettings {
    /// `num.partitions`.
    pub num_partitions: i32,
    /// `default.replication.factor`.
    pub default_replication_factor: i16,
    /// `auto.create.topics.enable`.
    pub auto_create_topics: bool,
    /// `delete.topic.enable`.
    pub delete_topic_enable: bool,
}

impl BrokerConfigs {
    /// Validates `kafka.*`: all problems at once; unknown keys come with a suggestion. Human units are accepted.
    pub fn parse(_raw: &BTreeMap<String, String>) -> Result<Self, Vec<ConfigProblem>> {
        unimplemented!("lands next")
    }

    /// The keys that were set, with plain values.
    pub fn statics(&self) -> &Arc<BTreeMap<String, String>> {
        &self.statics
    }

    /// The layers of broker `id` as of `image`.
    pub fn layers<'a>(&'a self, _image: &'a ClusterImage, _id: BrokerId) -> ConfigLayers<'a> {
        unimplemented!("lands next")
    }

    /// Effective values of broker `id` as of `image`.
    pub fn settings(&self, _image: &ClusterImage, _id: BrokerId) -> BrokerSettings {
        unimplemented!("lands next")
    }
}

impl<'a> ConfigLayers<'a> {
    /// The value of a broker key and the layer that sets it; `None` leaves it to the default.
    pub fn get(&self, name: &str) -> Option<(&'a str, ConfigSource)> {
        let layers = [
            (self.dynamic_broker, ConfigSource::DynamicBroker),
            (self.dynamic_default, ConfigSource::DynamicDefaultBroker),
            (self.statics, ConfigSource::StaticBroker),
        ];
        layers.into_iter().find_map(|(layer, source)| Some((layer?.get(name)?.as_str(), source)))
    }
}

impl BrokerSettings {
    /// Effective values from the layers.
    pub fn resolve(_layers: &ConfigLayers<'_>) -> Self {
        unimplemented!("lands next")
    }
}

/// All keys of a broker, sorted by name. `facts` supplies what is not set by `kafka.*`.
pub fn describe(_layers: &ConfigLayers<'_>, _facts: &NodeFacts) -> Vec<ConfigEntry> {
    unimplemented!("lands next")
}

/// What is set dynamically for all brokers (DescribeConfigs of the empty broker name).
pub fn describe_default(_layers: &ConfigLayers<'_>) -> Vec<ConfigEntry> {
    unimplemented!("lands next")
}
