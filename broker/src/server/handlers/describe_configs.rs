//! DescribeConfigs: key 32, versions 1–4.
//!
//! Every key of a topic or broker with value, source and (when asked) synonyms and documentation. A list of keys
//! filters, an empty one does not; keys that do not exist are left out. A broker answers for its own id, and for the empty name with what is
//! set dynamically for all brokers.

use std::collections::BTreeMap;
use std::sync::Arc;

use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResult, DescribeConfigsSynonym,
};
use kafka_protocol::messages::{DescribeConfigsRequest, DescribeConfigsResponse};
use tidemark_core::metadata::{
    ClusterImage, ConfigEntry, ConfigResource, Failure, broker_config, client_metrics, group_config,
    topic_config, topic_name,
};
use tidemark_protocol::error_code::ErrorCode;

use super::super::answer::text;
use super::super::{Ctx, RequestContext, broker_loggers, configs};
use crate::loggers::Loggers;

/// Describes each resource.
pub async fn handle(
    ctx: Arc<Ctx>,
    _: RequestContext,
    request: DescribeConfigsRequest,
) -> DescribeConfigsResponse {
    let image = ctx.image();
    let results = request
        .resources
        .iter()
        .map(|resource| {
            let result = DescribeConfigsResult::default()
                .with_resource_type(resource.resource_type)
                .with_resource_name(resource.resource_name.clone());
            match described(&ctx, &image, resource, &request) {
                Ok(mut described) => {
                    described.retain(|entry| is_asked(resource, &entry.name));
                    result.with_configs(described)
                }
                Err(failure) => result
                    .with_error_code(failure.code.code())
                    .with_error_message(Some(text(&failure.message))),
            }
        })
        .collect();
    DescribeConfigsResponse::default().with_results(results)
}

fn described(
    ctx: &Ctx,
    image: &ClusterImage,
    resource: &DescribeConfigsResource,
    request: &DescribeConfigsRequest,
) -> Result<Vec<DescribeConfigsResourceResult>, Failure> {
    if resource.resource_type == configs::BROKER_LOGGER {
        return broker_loggers::describe(Loggers::of_process(), ctx.node_id, &resource.resource_name);
    }
    let entries = entries(ctx, image, resource)?;
    Ok(entries.iter().map(|entry| encode(entry, request)).collect())
}

fn entries(
    ctx: &Ctx,
    image: &ClusterImage,
    resource: &DescribeConfigsResource,
) -> Result<Vec<ConfigEntry>, Failure> {
    let none = BTreeMap::new();
    let layers = ctx.configs.layers(image, ctx.node_id);
    match configs::resource(resource.resource_type, &resource.resource_name)? {
        ConfigResource::Topic(name) => {
            topic_name::check(&name)
                .map_err(|error| Failure::new(ErrorCode::InvalidTopicException, error))?;
            let Some(topic) = image.topic(&name) else {
                let message = ErrorCode::UnknownTopicOrPartition.message();
                return Err(Failure::new(ErrorCode::UnknownTopicOrPartition, message));
            };
            let overrides = image.topic_config(&name).map_or(&none, |overrides| &**overrides);
            Ok(topic_config::describe(overrides, &layers, topic.replication_factor()))
        }
        ConfigResource::Broker(id) if id == ctx.node_id => Ok(broker_config::describe(&layers, &ctx.facts)),
        ConfigResource::Broker(id) => Err(Failure::new(
            ErrorCode::InvalidRequest,
            format!("Unexpected broker id, expected {} or empty string, but received {id}", ctx.node_id),
        )),
        ConfigResource::BrokerDefault => Ok(broker_config::describe_default(&layers)),
        ConfigResource::Group(name) if name.is_empty() => {
            Err(Failure::new(ErrorCode::InvalidRequest, "Group name must not be empty"))
        }
        resource @ ConfigResource::Group(_) => {
            let overrides = image.config(&resource).map_or(&none, |overrides| &**overrides);
            Ok(group_config::describe(overrides, &layers))
        }
        ConfigResource::ClientMetrics(name) if name.is_empty() => {
            Err(Failure::new(ErrorCode::InvalidRequest, "Client metrics subscription name must not be empty"))
        }
        resource @ ConfigResource::ClientMetrics(_) => {
            let overrides = image.config(&resource).map_or(&none, |overrides| &**overrides);
            Ok(client_metrics::describe(overrides))
        }
    }
}

fn is_asked(resource: &DescribeConfigsResource, name: &str) -> bool {
    let keys = resource.configuration_keys.as_deref().unwrap_or_default();
    keys.is_empty() || keys.iter().any(|key| &**key == name)
}

fn encode(entry: &ConfigEntry, request: &DescribeConfigsRequest) -> DescribeConfigsResourceResult {
    let result = DescribeConfigsResourceResult::default()
        .with_name(text(entry.name))
        .with_value(entry.value.as_deref().map(text))
        .with_read_only(entry.read_only)
        .with_config_source(entry.source as i8)
        .with_is_sensitive(entry.sensitive)
        .with_config_type(entry.kind as i8)
        .with_documentation(request.include_documentation.then(|| text(entry.documentation)));
    if !request.include_synonyms {
        return result;
    }
    result.with_synonyms(
        entry
            .synonyms
            .iter()
            .map(|synonym| {
                DescribeConfigsSynonym::default()
                    .with_name(text(synonym.name))
                    .with_value(synonym.value.as_deref().map(text))
                    .with_source(synonym.source as i8)
            })
            .collect(),
    )
}
