//! IncrementalAlterConfigs: key 44, versions 0–1 (KIP-339).
//!
//! Operations 0 set, 1 delete, 2 append, 3 subtract; each resource is altered whole or not at all.

use std::sync::Arc;

use kafka_protocol::messages::incremental_alter_configs_request::AlterConfigsResource;
use kafka_protocol::messages::incremental_alter_configs_response::AlterConfigsResourceResponse;
use kafka_protocol::messages::{IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse};
use tidemark_core::metadata::{ConfigAlteration, ConfigOp, ConfigOpKind, Failure};
use tidemark_protocol::error_code::ErrorCode;

use super::super::{Ctx, RequestContext, configs};

/// Alters the resources, or only checks that they could be.
pub async fn handle(
    ctx: Arc<Ctx>,
    _: RequestContext,
    request: IncrementalAlterConfigsRequest,
) -> IncrementalAlterConfigsResponse {
    let items = request.resources.iter().map(alteration).collect();
    let results = configs::alter(&ctx, items, request.validate_only).await;
    let responses = request
        .resources
        .iter()
        .zip(results)
        .map(|(resource, result)| {
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
    let ops = resource
        .configs
        .iter()
        .map(|config| {
            let kind = ConfigOpKind::from_code(config.config_operation).ok_or_else(|| {
                let message = format!("Unknown config operation {}", config.config_operation);
                Failure::new(ErrorCode::InvalidRequest, message)
            })?;
            let value = config.value.as_ref().map(ToString::to_string);
            Ok(ConfigOp { name: config.name.to_string(), kind, value })
        })
        .collect::<Result<_, Failure>>()?;
    let target = configs::resource(resource.resource_type, &resource.resource_name)?;
    Ok(ConfigAlteration { resource: target, replace: false, ops })
}
