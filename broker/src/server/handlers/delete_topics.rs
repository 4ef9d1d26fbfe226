//! DeleteTopics: key 20, versions 1–6.
//!
//! Up to version 5 by name, in version 6 by name or id. `delete.topic.enable=false` answers E73, before version 3 E42.

use std::sync::Arc;

use kafka_protocol::messages::delete_topics_response::DeletableTopicResult;
use kafka_protocol::messages::{DeleteTopicsRequest, DeleteTopicsResponse, TopicName};
use tidemark_core::metadata::reply::TopicResult;
use tidemark_core::metadata::{Failure, TopicKey};
use tidemark_protocol::error_code::ErrorCode;
use tidemark_protocol::types::TopicId;

use super::super::answer::{text, words};
use super::super::{Ctx, RequestContext, topics};

/// First version that knows the error of a broker that deletes no topics.
const DELETION_DISABLED_FROM: i16 = 3;
/// First version that knows THROTTLING_QUOTA_EXCEEDED (KIP-599).
const STRICT_FROM: i16 = 5;

/// Deletes the topics and answers once this node holds them no longer.
pub async fn handle(
    ctx: Arc<Ctx>,
    context: RequestContext,
    request: DeleteTopicsRequest,
) -> DeleteTopicsResponse {
    let keys: Vec<TopicKey> = if context.version < 6 {
        request.topic_names.iter().map(|name| TopicKey::Name(name.to_string())).collect()
    } else {
        request
            .topics
            .iter()
            .map(|topic| match &topic.name {
                Some(name) => TopicKey::Name(name.to_string()),
                None => TopicKey::Id(TopicId(topic.topic_id)),
            })
            .collect()
    };
    let results = if ctx.settings().delete_topic_enable {
        topics::delete(&ctx, keys.clone(), context.mutator(STRICT_FROM)).await
    } else {
        Err(disabled(context.version))
    };
    let responses = match results {
        Ok(results) => results.into_iter().map(answer).collect(),
        Err(failure) => keys.into_iter().map(|key| refused(key, &failure)).collect(),
    };
    DeleteTopicsResponse::default().with_responses(responses)
}

fn disabled(version: i16) -> Failure {
    let code = if version >= DELETION_DISABLED_FROM {
        ErrorCode::TopicDeletionDisabled
    } else {
        ErrorCode::InvalidRequest
    };
    Failure::new(code, "Topic deletion is disabled.")
}

fn answer(result: TopicResult) -> DeletableTopicResult {
    let answer = DeletableTopicResult::default()
        .with_name(result.name.as_deref().map(|name| TopicName(text(name))))
        .with_topic_id(result.id.0);
    match result.result {
        Ok(_) => answer,
        Err(failure) => {
            answer.with_error_code(failure.code.code()).with_error_message(words(&failure.message))
        }
    }
}

fn refused(key: TopicKey, failure: &Failure) -> DeletableTopicResult {
    let answer = match key {
        TopicKey::Name(name) => DeletableTopicResult::default().with_name(Some(TopicName(text(&name)))),
        TopicKey::Id(id) => DeletableTopicResult::default().with_topic_id(id.0),
    };
    answer.with_error_code(failure.code.code()).with_error_message(words(&failure.message))
}
