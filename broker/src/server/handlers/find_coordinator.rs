//! FindCoordinator: key 10, versions 0–6.
//!
//! Versions 0–3 ask for one key, from 4 on for several. The coordinator of a group is the leader of its partition of
//! `__consumer_offsets`, which is created by the first question. There is no coordinator of transactions or share groups
//! here: E15 and E42.

use std::sync::Arc;

use kafka_protocol::messages::find_coordinator_response::Coordinator;
use kafka_protocol::messages::{FindCoordinatorRequest, FindCoordinatorResponse};
use tidemark_protocol::error_code::ErrorCode;

use super::super::answer::text;
use super::super::mutations::Mutator;
use super::super::topics::{self, TopicRequest};
use super::super::{Ctx, RequestContext};
use crate::coordinator::group::OFFSETS_TOPIC;

/// First version that asks for several keys.
const BATCH_FROM: i16 = 4;
const GROUP: i8 = 0;
const TRANSACTION: i8 = 1;

/// Answers with the broker in charge of each key.
pub async fn handle(
    ctx: Arc<Ctx>,
    context: RequestContext,
    request: FindCoordinatorRequest,
) -> FindCoordinatorResponse {
    if request.key_type == GROUP {
        create_if_missing(&ctx).await;
    }
    if context.version >= BATCH_FROM {
        let keys = request.coordinator_keys.iter();
        let found = keys.map(|key| find(&ctx, &context, request.key_type, key).with_key(key.clone()));
        return FindCoordinatorResponse::default().with_coordinators(found.collect());
    }
    let found = find(&ctx, &context, request.key_type, &request.key);
    let response = FindCoordinatorResponse::default()
        .with_error_code(found.error_code)
        .with_node_id(found.node_id)
        .with_host(found.host)
        .with_port(found.port);
    if context.version >= 1 { response.with_error_message(found.error_message) } else { response }
}

fn find(ctx: &Ctx, context: &RequestContext, key_type: i8, key: &str) -> Coordinator {
    let image = ctx.image();
    let leader = match key_type {
        GROUP => ctx.groups.coordinator_of(&image, key),
        TRANSACTION => Err(ErrorCode::CoordinatorNotAvailable),
        _ => Err(ErrorCode::InvalidRequest),
    };
    let reached = leader.and_then(|leader| {
        let broker = image.brokers.get(&leader).filter(|broker| !broker.fenced);
        let endpoint = broker.and_then(|broker| broker.endpoint(&context.listener.name));
        endpoint.map(|endpoint| (leader, endpoint)).ok_or(ErrorCode::CoordinatorNotAvailable)
    });
    match reached {
        Ok((leader, endpoint)) => Coordinator::default()
            .with_node_id(leader.into())
            .with_host(text(&endpoint.host))
            .with_port(endpoint.port.into())
            .with_error_message(None),
        Err(error) => Coordinator::default()
            .with_node_id((-1).into())
            .with_port(-1)
            .with_error_code(error.code())
            .with_error_message(Some(text(error.message()))),
    }
}

/// Creates the offsets topic on first need. Fewer brokers than `offsets.topic.replication.factor` get a smaller factor
/// rather than no coordinator at all.
async fn create_if_missing(ctx: &Ctx) {
    let image = ctx.image();
    if image.topic(OFFSETS_TOPIC).is_some() {
        return;
    }
    let request = {
        let settings = ctx.settings();
        let wanted = settings.offsets_topic_replication_factor;
        let usable = i16::try_from(image.leading_brokers().count()).unwrap_or(i16::MAX).max(1);
        if wanted > usable {
            tracing::warn!(
                topic = OFFSETS_TOPIC,
                wanted,
                usable,
                "created with fewer replicas than configured"
            );
        }
        let config = |name: &str, value: String| (name.to_owned(), Some(value));
        TopicRequest {
            name: OFFSETS_TOPIC.to_owned(),
            partitions: settings.offsets_topic_num_partitions,
            replication_factor: wanted.min(usable),
            manual: Vec::new(),
            configs: vec![
                config("cleanup.policy", "compact".to_owned()),
                config("compression.type", "producer".to_owned()),
                config("segment.bytes", settings.offsets_topic_segment_bytes.to_string()),
            ],
        }
    };
    let results = match topics::create(ctx, vec![request], false, Mutator::default()).await {
        Ok(results) => results,
        Err(failure) => return tracing::warn!(topic = OFFSETS_TOPIC, %failure, "could not be created"),
    };
    for result in results {
        match result.result {
            // Several clients ask at once, and one was first.
            Err(failure) if failure.code != ErrorCode::TopicAlreadyExists => {
                tracing::warn!(topic = OFFSETS_TOPIC, %failure, "could not be created");
            }
            _ => {}
        }
    }
}
