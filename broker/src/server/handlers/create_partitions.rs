//! CreatePartitions: key 37, versions 0–3.
//!
//! `count` is the number of partitions afterwards. A request that assigns replicas names those of the new ones only.

use std::sync::Arc;

use kafka_protocol::messages::create_partitions_response::CreatePartitionsTopicResult;
use kafka_protocol::messages::{CreatePartitionsRequest, CreatePartitionsResponse, TopicName};
use tidemark_protocol::error_code::ErrorCode;

use super::super::answer::words;
use super::super::topics::{self, GrowRequest};
use super::super::{Ctx, RequestContext};

/// First version that knows THROTTLING_QUOTA_EXCEEDED (KIP-599).
const STRICT_FROM: i16 = 3;

/// Adds the partitions and answers once this node serves them.
pub async fn handle(
    ctx: Arc<Ctx>,
    context: RequestContext,
    request: CreatePartitionsRequest,
) -> CreatePartitionsResponse {
    let names: Vec<TopicName> = request.topics.iter().map(|topic| topic.name.clone()).collect();
    let asked = request
        .topics
        .iter()
        .map(|topic| {
            let manual = topic.assignments.as_ref().map(|assignments| {
                assignments.iter().map(|part| part.broker_ids.iter().map(|id| id.0).collect()).collect()
            });
            GrowRequest { topic: topic.name.to_string(), count: topic.count, manual }
        })
        .collect();
    let results = match topics::add_partitions(
        &ctx,
        asked,
        request.validate_only,
        context.mutator(STRICT_FROM),
    )
    .await
    {
        Ok(results) => names
            .into_iter()
            .zip(results)
            .map(|(name, result)| match result.result {
                Ok(_) => CreatePartitionsTopicResult::default().with_name(name),
                Err(failure) => refused(name, failure.code, &failure.message),
            })
            .collect(),
        Err(failure) => names.into_iter().map(|name| refused(name, failure.code, &failure.message)).collect(),
    };
    CreatePartitionsResponse::default().with_results(results)
}

fn refused(name: TopicName, code: ErrorCode, message: &str) -> CreatePartitionsTopicResult {
    CreatePartitionsTopicResult::default()
        .with_name(name)
        .with_error_code(code.code())
        .with_error_message(words(message))
}
