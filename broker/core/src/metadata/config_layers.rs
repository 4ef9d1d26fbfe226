//! [`ConfigLayers`]: the broker configurations behind a topic's, group's or broker's own values.

use std::collections::BTreeMap;

use tidemark_protocol::types::BrokerId;

use super::config_value::ConfigSource;
use super::image::{ClusterImage, ConfigResource};

/// The layers, strongest first. All maps hold Kafka's broker keys and plain values.
#[derive(Clone, Copy, Debug, Default)]
pub struct ConfigLayers<'a> {
    /// Dynamic configuration of this broker.
    pub dynamic_broker: Option<&'a BTreeMap<String, String>>,
    /// Dynamic configuration of all brokers.
    pub dynamic_default: Option<&'a BTreeMap<String, String>>,
    /// Static configuration.
    pub statics: Option<&'a BTreeMap<String, String>>,
}

impl<'a> ConfigLayers<'a> {
    /// The layers of one broker.
    pub fn of_broker(image: &'a ClusterImage, id: BrokerId, statics: &'a BTreeMap<String, String>) -> Self {
        let dynamic_broker = Some(image.overrides(&ConfigResource::Broker(id)));
        ConfigLayers { dynamic_broker, ..ConfigLayers::of_cluster(image, statics) }
    }

    /// The layers that hold for all brokers: what the controller validates against.
    pub fn of_cluster(image: &'a ClusterImage, statics: &'a BTreeMap<String, String>) -> Self {
        let dynamic_default = Some(image.overrides(&ConfigResource::BrokerDefault));
        ConfigLayers { dynamic_broker: None, dynamic_default, statics: Some(statics) }
    }

    /// The value of a broker key and the layer that sets it; `None` leaves it to the default.
    pub fn get(&self, name: &str) -> Option<(&'a str, ConfigSource)> {
        self.by_strength().find_map(|(layer, source)| Some((layer.get(name)?.as_str(), source)))
    }

    /// The layers that there are, strongest first.
    pub fn by_strength(
        &self,
    ) -> impl Iterator<Item = (&'a BTreeMap<String, String>, ConfigSource)> + use<'a> {
        let layers = [
            (self.dynamic_broker, ConfigSource::DynamicBroker),
            (self.dynamic_default, ConfigSource::DynamicDefaultBroker),
            (self.statics, ConfigSource::StaticBroker),
        ];
        layers.into_iter().filter_map(|(layer, source)| Some((layer?, source)))
    }
}
