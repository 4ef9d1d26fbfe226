//! AlterConfigs: key 33, versions 0–2, deprecated but spoken by librdkafka.
//!
//! Replaces the whole set: overrides that the request does not name vanish.

use std::sync::Arc;

use kafka_protocol::messages::alter_configs_request::AlterConfigsResource;
use kafka_protocol::messages::alter_configs_response::AlterConfigsResourceResponse;
use kafka_protocol::messages::{AlterConfigsRequest, AlterConfigsResponse};
use tidemark_core::metadata::{ConfigAlteration, ConfigOp, ConfigOpKind, Failure};

use super::super::{Ctx, RequestContext, configs};

/// Replaces the resources' overrides, or only checks that they could be.
pub async fn handle(ctx: Arc<Ctx>, _: RequestContext, request: AlterConfigsRequest) -> AlterConfigsResponse {
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
    AlterConfigsResponse::default().with_responses(responses)
}

fn alteration(resource: &AlterConfigsResource) -> Result<ConfigAlteration, Failure> {
    let ops = resource
        .configs
        .iter()
        .map(|config| ConfigOp {
            name: config.name.to_string(),
            kind: ConfigOpKind::Set,
            value: config.value.as_ref().map(ToString::to_string),
        })
        .collect();
    let target = configs::resource(resource.resource_type, &resource.resource_name)?;
    Ok(ConfigAlteration { resource: target, replace: true, ops })
}
