//! Configs of topics and brokers: describe and alter.

use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use kafka_protocol::messages::{DescribeConfigsRequest, IncrementalAlterConfigsRequest};
use serde::Serialize;

use super::admin::nothing;
use super::error::{ClientError, check};
use super::metadata::text;
use super::{Client, To};

/// Kafka's number for topics among the resources that have configs.
const RESOURCE_TOPIC: i8 = 2;

/// One config of a resource.
#[derive(Clone, Debug, Serialize)]
pub struct ConfigEntry {
    /// Kafka's name.
    pub name: String,
    /// `None` when it is a secret.
    pub value: Option<String>,
    /// Where the value comes from.
    pub source: &'static str,
    /// Whether it can be changed.
    pub read_only: bool,
    /// What it does; only when asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub documentation: Option<String>,
}

impl ConfigEntry {
    /// Whether this topic sets it itself.
    pub fn is_own(&self) -> bool {
        self.source == "topic"
    }
}

/// One change of a config.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigOp {
    /// The value becomes this.
    Set(String, String),
    /// The value becomes the inherited one.
    Unset(String),
    /// A list gets one more item.
    Append(String, String),
    /// A list loses an item.
    Subtract(String, String),
}

impl Client {
    /// The configs of a topic, sorted by name.
    pub async fn topic_configs(&self, topic: &str, docs: bool) -> Result<Vec<ConfigEntry>, ClientError> {
        let response = self
            .call(To::Any, |version| {
                let resource = DescribeConfigsResource::default()
                    .with_resource_type(RESOURCE_TOPIC)
                    .with_resource_name(text(topic))
                    .with_configuration_keys(None);
                DescribeConfigsRequest::default()
                    .with_resources(vec![resource])
                    .with_include_documentation(docs && version >= 3)
            })
            .await?;
        let result = response.results.into_iter().next().ok_or_else(|| nothing("DescribeConfigs"))?;
        check(result.error_code, result.error_message.as_deref())?;
        let entry =
            |config: kafka_protocol::messages::describe_configs_response::DescribeConfigsResourceResult| {
                ConfigEntry {
                    name: config.name.to_string(),
                    value: config.value.map(|value| value.to_string()),
                    source: source_name(config.config_source),
                    read_only: config.read_only,
                    documentation: config.documentation.filter(|_| docs).map(|text| text.to_string()),
                }
            };
        let mut entries: Vec<ConfigEntry> = result.configs.into_iter().map(entry).collect();
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }

    /// Changes configs of a topic, all or none, or only checks that they could be.
    pub async fn alter_topic_configs(
        &self,
        topic: &str,
        ops: &[ConfigOp],
        validate_only: bool,
    ) -> Result<(), ClientError> {
        let configs = ops.iter().map(|op| {
            let (name, number, value) = match op {
                ConfigOp::Set(name, value) => (name, 0, Some(value)),
                ConfigOp::Unset(name) => (name, 1, None),
                ConfigOp::Append(name, value) => (name, 2, Some(value)),
                ConfigOp::Subtract(name, value) => (name, 3, Some(value)),
            };
            let config = AlterableConfig::default().with_name(text(name)).with_config_operation(number);
            config.with_value(value.map(|value| text(value)))
        });
        let resource = AlterConfigsResource::default()
            .with_resource_type(RESOURCE_TOPIC)
            .with_resource_name(text(topic))
            .with_configs(configs.collect());
        let response = self
            .call(To::Any, |_| {
                IncrementalAlterConfigsRequest::default()
                    .with_resources(vec![resource.clone()])
                    .with_validate_only(validate_only)
            })
            .await?;
        let result = response.responses.first().ok_or_else(|| nothing("IncrementalAlterConfigs"))?;
        check(result.error_code, result.error_message.as_deref())
    }
}

/// Kafka's config sources in words.
fn source_name(source: i8) -> &'static str {
    match source {
        1 => "topic",
        2 => "broker, dynamic",
        3 => "cluster, dynamic",
        4 => "broker, static",
        5 => "default",
        6 => "broker logger",
        7 => "client metrics",
        8 => "group",
        _ => "unknown",
    }
}
