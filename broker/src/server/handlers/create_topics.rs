//! CreateTopics: key 19, versions 2–7.
//!
//! Topics succeed or fail one by one. `validate_only` runs every check. From version 5 on the answer carries the
//! effective configuration, from version 7 on the topic id.

use std::collections::BTreeMap;
use std::sync::Arc;

use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::create_topics_response::{CreatableTopicConfigs, CreatableTopicResult};
use kafka_protocol::messages::{CreateTopicsRequest, CreateTopicsResponse, TopicName};
use tidemark_core::metadata::reply::{TopicResult, TopicShape};
use tidemark_core::metadata::topic_config;
use tidemark_protocol::error_code::ErrorCode;

use super::super::answer::{text, words};
use super::super::topics::{self, TopicRequest};
use super::super::{Ctx, RequestContext};

/// First version that knows THROTTLING_QUOTA_EXCEEDED (KIP-599).
const STRICT_FROM: i16 = 6;

/// Creates the topics and answers once this node serves them.
pub async fn handle(
    ctx: Arc<Ctx>,
    context: RequestContext,
    request: CreateTopicsRequest,
) -> CreateTopicsResponse {
    let overrides: Vec<BTreeMap<String, String>> = request.topics.iter().map(overrides).collect();
    let names: Vec<TopicName> = request.topics.iter().map(|topic| topic.name.clone()).collect();
    let asked = request.topics.into_iter().map(topic_request).collect();
    let results = match topics::create(&ctx, asked, request.validate_only, context.mutator(STRICT_FROM)).await
    {
        Ok(results) => results
            .into_iter()
            .zip(names)
            .zip(&overrides)
            .map(|((result, name), overrides)| answer(&ctx, name, result, overrides))
            .collect(),
        Err(failure) => names.into_iter().map(|name| refused(name, failure.code, &failure.message)).collect(),
    };
    CreateTopicsResponse::default().with_topics(results)
}

fn topic_request(topic: CreatableTopic) -> TopicRequest {
    TopicRequest {
        name: topic.name.to_string(),
        partitions: topic.num_partitions,
        replication_factor: topic.replication_factor,
        manual: topic
            .assignments
            .iter()
            .map(|part| (part.partition_index, part.broker_ids.iter().map(|id| id.0).collect()))
            .collect(),
        configs: topic
            .configs
            .iter()
            .map(|config| (config.name.to_string(), config.value.as_ref().map(ToString::to_string)))
            .collect(),
    }
}

fn overrides(topic: &CreatableTopic) -> BTreeMap<String, String> {
    topic
        .configs
        .iter()
        .filter_map(|config| Some((config.name.to_string(), config.value.as_ref()?.to_string())))
        .collect()
}

fn answer(
    ctx: &Ctx,
    name: TopicName,
    result: TopicResult,
    overrides: &BTreeMap<String, String>,
) -> CreatableTopicResult {
    match result.result {
        Ok(TopicShape { partitions, replication_factor }) => CreatableTopicResult::default()
            .with_name(name)
            .with_error_message(None)
            .with_topic_id(result.id.0)
            .with_error_message(None)
            .with_num_partitions(partitions)
            .with_replication_factor(replication_factor)
            .with_configs(Some(effective(ctx, overrides, replication_factor))),
        Err(failure) => refused(name, failure.code, &failure.message),
    }
}

fn refused(name: TopicName, code: ErrorCode, message: &str) -> CreatableTopicResult {
    CreatableTopicResult::default()
        .with_name(name)
        .with_error_code(code.code())
        .with_error_message(words(message))
        .with_num_partitions(-1)
        .with_replication_factor(-1)
}

fn effective(
    ctx: &Ctx,
    overrides: &BTreeMap<String, String>,
    replication_factor: i16,
) -> Vec<CreatableTopicConfigs> {
    let image = ctx.image();
    let replicas = usize::try_from(replication_factor).unwrap_or(1);
    topic_config::describe(overrides, &ctx.configs.layers(&image, ctx.node_id), replicas)
        .into_iter()
        .map(|entry| {
            CreatableTopicConfigs::default()
                .with_name(text(entry.name))
                .with_value(entry.value.as_deref().map(text))
                .with_read_only(entry.read_only)
                .with_config_source(entry.source as i8)
                .with_is_sensitive(entry.sensitive)
        })
        .collect()
}
