//! ListConfigResources: key 74, versions 0–1 (KIP-1000, KIP-1142).
//!
//! Version 0 lists client metrics subscriptions. Version 1 takes types; none means all. Loggers are not among them:
//! their levels cannot be described here.

use std::sync::Arc;

use kafka_protocol::messages::list_config_resources_response::ConfigResource as Listed;
use kafka_protocol::messages::{ListConfigResourcesRequest, ListConfigResourcesResponse};
use tidemark_core::metadata::{ClusterImage, ConfigResource};
use tidemark_protocol::error_code::ErrorCode;

use super::super::answer::text;
use super::super::{Ctx, RequestContext};

const TOPIC: i8 = 2;
const BROKER: i8 = 4;
const CLIENT_METRICS: i8 = 16;
const GROUP: i8 = 32;
/// The types that are listed, in Kafka's order.
const TYPES: [i8; 4] = [CLIENT_METRICS, BROKER, TOPIC, GROUP];

/// Answers with the resources of the wanted types.
pub async fn handle(
    ctx: Arc<Ctx>,
    context: RequestContext,
    request: ListConfigResourcesRequest,
) -> ListConfigResourcesResponse {
    let wanted = match (context.version, request.resource_types) {
        (0, _) => vec![CLIENT_METRICS],
        (_, types) if types.is_empty() => TYPES.to_vec(),
        (_, types) => types,
    };
    if wanted.iter().any(|kind| !TYPES.contains(kind)) {
        return ListConfigResourcesResponse::default().with_error_code(ErrorCode::UnsupportedVersion.code());
    }
    let image = ctx.image();
    let resources = TYPES.into_iter().filter(|kind| wanted.contains(kind)).flat_map(|kind| {
        names(&image, kind)
            .into_iter()
            .map(move |name| Listed::default().with_resource_type(kind).with_resource_name(text(&name)))
    });
    ListConfigResourcesResponse::default().with_config_resources(resources.collect())
}

fn names(image: &ClusterImage, kind: i8) -> Vec<String> {
    match kind {
        TOPIC => image.topic_ids.keys().map(ToString::to_string).collect(),
        BROKER => image.brokers.keys().map(ToString::to_string).collect(),
        _ => image.configs.keys().filter(|r| r.type_code() == kind).map(ConfigResource::name).collect(),
    }
}
