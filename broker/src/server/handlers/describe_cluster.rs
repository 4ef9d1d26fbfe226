//! DescribeCluster: key 60, versions 0–2.
//!
//! Version 1 says whose endpoints are wanted (1 brokers, 2 controllers; brokers alone can be asked here), version 2 may
//! include fenced brokers.

use std::sync::Arc;

use kafka_protocol::messages::describe_cluster_response::DescribeClusterBroker;
use kafka_protocol::messages::{DescribeClusterRequest, DescribeClusterResponse};
use tidemark_protocol::error_code::ErrorCode;

use super::super::answer::text;
use super::super::{Ctx, RequestContext, operations};

/// Endpoint type of brokers, the only one this port has.
const BROKERS: i8 = 1;
/// Endpoint type of controllers.
const CONTROLLERS: i8 = 2;

/// Answers with identity, controller and brokers.
pub async fn handle(
    ctx: Arc<Ctx>,
    context: RequestContext,
    request: DescribeClusterRequest,
) -> DescribeClusterResponse {
    if context.version >= 1 && request.endpoint_type != BROKERS {
        let (code, message) = match request.endpoint_type {
            CONTROLLERS => {
                (ErrorCode::MismatchedEndpointType, "The request was sent to an endpoint of the wrong type.")
            }
            _ => (ErrorCode::UnsupportedEndpointType, "Unsupported endpoint type."),
        };
        return DescribeClusterResponse::default()
            .with_error_code(code.code())
            .with_error_message(Some(text(message)));
    }
    let image = ctx.image();
    let brokers = image
        .brokers
        .values()
        .filter(|broker| !broker.fenced || request.include_fenced_brokers)
        .filter_map(|broker| Some((broker, broker.endpoint(&context.listener.name)?)))
        .map(|(broker, endpoint)| {
            DescribeClusterBroker::default()
                .with_broker_id(broker.id.into())
                .with_host(text(&endpoint.host))
                .with_port(endpoint.port.into())
                .with_rack(broker.rack.as_deref().map(text))
                .with_is_fenced(broker.fenced)
        })
        .collect();
    let asked = request.include_cluster_authorized_operations;
    DescribeClusterResponse::default()
        .with_endpoint_type(BROKERS)
        .with_cluster_id(text(&image.cluster_id))
        .with_controller_id(ctx.node_id.into())
        .with_brokers(brokers)
        .with_cluster_authorized_operations(operations::if_asked(asked, operations::CLUSTER))
}
