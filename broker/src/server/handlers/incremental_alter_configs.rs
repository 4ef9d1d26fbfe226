//! IncrementalAlterConfigs: key 44, versions 0–1 (KIP-339).
//!
//! Operations 0 set, 1 delete, 2 append, 3 subtract; each resource is altered whole or not at all. Resource
//! type 8 is this broker's loggers, whose levels change here and now and are not kept.

use std::sync::Arc;

use kafka_protocol::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use kafka_protocol::messages::incremental_alter_configs_response::AlterConfigsResourceResponse;
use kafka_protocol::messages::{IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse};
use tidemark_core::metadata::{ConfigAlteration, ConfigOp, ConfigOpKind, Failure};
use tidemark_protocol::error_code::ErrorCode;

use super::super::{Ctx, RequestContext, broker_loggers, configs};
use crate::loggers::Loggers;

/// Alters the resources, or only checks that they could be.
pub async fn handle(
    ctx: Arc<Ctx>,
    _: RequestContext,
    request: IncrementalAlterConfigsRequest,
) -> IncrementalAlterConfigsResponse {
    let is_logger = |resource: &&AlterConfigsResource| resource.resource_type == configs::BROKER_LOGGER;
    let items = request.resources.iter().filter(|r| !is_logger(r)).map(alteration).collect();
    let mut results = configs::alter(&ctx, items, request.validate_only).await.into_iter();
    let loggers = |resource: &AlterConfigsResource| {
        let name = &resource.resource_name;
        let ops = operations(resource)?;
        broker_loggers::alter(Loggers::of_process(), ctx.node_id, name, &ops, request.validate_only)
    };
    let responses = request
        .resources
        .iter()
        .map(|resource| {
            let result = if is_logger(&resource) {
                loggers(resource)
            } else {
                results.next().expect("there is a result for each resource that is no logger")
            };
            let (code, message) = configs::outcome(&result);
            AlterConfigsResourceResponse::default()
                .with_error_code(code)
                .with_error_message(message)
                .with_resource_type(resource.resource_type)
                .with_resource_name(resource.resource_name.clone())
        })
        .collect();
    IncrementalAlterConfigsResponse::default().with_responses(responses)
}

fn alteration(resource: &AlterConfigsResource) -> Result<ConfigAlteration, Failure> {
    let ops = operations(resource)?;
    let target = configs::resource(resource.resource_type, &resource.resource_name)?;
    Ok(ConfigAlteration { resource: target, replace: false, ops })
}

fn operations(resource: &AlterConfigsResource) -> Result<Vec<ConfigOp>, Failure> {
    let operation = |config: &AlterableConfig| {
        let kind = ConfigOpKind::from_code(config.config_operation).ok_or_else(|| {
            let message = format!("Unknown config operation {}", config.config_operation);
            Failure::new(ErrorCode::InvalidRequest, message)
        })?;
        let value = config.value.as_ref().map(ToString::to_string);
        Ok(ConfigOp { name: config.name.to_string(), kind, value })
    };
    resource.configs.iter().map(operation).collect()
}
