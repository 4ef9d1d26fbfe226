//! OffsetCommit: key 8, versions 2–10.
//!
//! Partitions succeed or fail one by one; those that do not exist are E3 (by id, from version 10 on, E100) and the rest
//! is committed. Versions 2–4 may say how long to keep the offsets. From version 9 on an unknown group is E69. Topics of
//! version 10 arrive with the text of their id as name.

use std::sync::Arc;

use kafka_protocol::messages::offset_commit_request::OffsetCommitRequestTopic;
use kafka_protocol::messages::offset_commit_response::{
    OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use kafka_protocol::messages::{OffsetCommitRequest, OffsetCommitResponse};
use tidemark_core::group::request::{self, OffsetCommitPartition, OffsetCommitTopic};
use tidemark_core::group::{GroupReply, GroupRequest};
use tidemark_core::metadata::{ClusterImage, TopicImage};
use tidemark_protocol::error_code::ErrorCode;
use tidemark_protocol::types::TopicId;

use super::super::{Ctx, RequestContext};

/// Last version that may say how long offsets are kept.
const RETENTION_UNTIL: i16 = 4;
/// First version in which an unknown group has its own error.
const GROUP_ID_NOT_FOUND_FROM: i16 = 9;
/// First version that says topics by id.
const TOPIC_IDS_FROM: i16 = 10;

/// Commits and answers partition by partition.
pub async fn handle(
    ctx: Arc<Ctx>,
    context: RequestContext,
    request: OffsetCommitRequest,
) -> OffsetCommitResponse {
    let image = ctx.image();
    let by_id = context.version >= TOPIC_IDS_FROM;
    let mut answer = OffsetCommitResponse::default();
    let mut topics = Vec::with_capacity(request.topics.len());
    // Where in the answer the result of each partition we ask about belongs.
    let mut slots = Vec::new();
    for topic in &request.topics {
        let (found, missing) = find(&image, topic, by_id);
        let known = found.map_or(0, |found| found.partitions.len());
        let mut results = Vec::with_capacity(topic.partitions.len());
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for partition in &topic.partitions {
            let exists = usize::try_from(partition.partition_index).is_ok_and(|index| index < known);
            let mut result =
                OffsetCommitResponsePartition::default().with_partition_index(partition.partition_index);
            if exists {
                slots.push((answer.topics.len(), results.len()));
                partitions.push(OffsetCommitPartition {
                    partition: partition.partition_index,
                    offset: partition.committed_offset,
                    leader_epoch: partition.committed_leader_epoch,
                    metadata: partition
                        .committed_metadata
                        .as_ref()
                        .map(ToString::to_string)
                        .unwrap_or_default(),
                });
            } else {
                result.error_code = missing.code();
            }
            results.push(result);
        }
        if let Some(found) = found.filter(|_| !partitions.is_empty()) {
            topics.push(OffsetCommitTopic { topic: found.name.clone(), topic_id: found.id, partitions });
        }
        let named = if by_id {
            OffsetCommitResponseTopic::default().with_topic_id(id_of(topic).0)
        } else {
            OffsetCommitResponseTopic::default().with_name(topic.name.clone())
        };
        answer.topics.push(named.with_partitions(results));
    }
    if !slots.is_empty() {
        let results = commit(&ctx, &context, &request, topics).await;
        for ((topic, partition), error) in slots.into_iter().zip(results) {
            answer.topics[topic].partitions[partition].error_code = error.code();
        }
    }
    answer
}

/// Commits what exists; one result for each partition, in order.
async fn commit(
    ctx: &Ctx,
    context: &RequestContext,
    request: &OffsetCommitRequest,
    topics: Vec<OffsetCommitTopic>,
) -> Vec<ErrorCode> {
    let group_id = request.group_id.to_string();
    let count = topics.iter().map(|topic| topic.partitions.len()).sum();
    let retention =
        Some(request.retention_time_ms).filter(|ms| context.version <= RETENTION_UNTIL && *ms >= 0);
    let commit = GroupRequest::OffsetCommit(request::OffsetCommitRequest {
        group_id: group_id.clone(),
        member_id: request.member_id.to_string(),
        group_instance_id: request.group_instance_id.as_ref().map(|id| id.to_string()),
        generation_id: request.generation_id_or_member_epoch,
        retention_time_ms: retention,
        group_id_not_found: context.version >= GROUP_ID_NOT_FOUND_FROM,
        topics,
    });
    match ctx.groups.ask(&group_id, commit).await {
        Ok(GroupReply::OffsetCommit(reply)) => {
            reply.topics.into_iter().flat_map(|(_, results)| results).map(|(_, error)| error).collect()
        }
        Ok(other) => unreachable!("a commit is answered by its own kind of reply, not {other:?}"),
        Err(error) => vec![error; count],
    }
}

/// The topic, or why it is not there.
fn find<'a>(
    image: &'a ClusterImage,
    topic: &OffsetCommitRequestTopic,
    by_id: bool,
) -> (Option<&'a TopicImage>, ErrorCode) {
    if !by_id {
        return (image.topic(&topic.name).map(|topic| &**topic), ErrorCode::UnknownTopicOrPartition);
    }
    match image.topic_by_id(id_of(topic)) {
        Some(found) => (Some(found), ErrorCode::UnknownTopicOrPartition),
        None => (None, ErrorCode::UnknownTopicId),
    }
}

/// The id a topic of version 10 is named by.
fn id_of(topic: &OffsetCommitRequestTopic) -> TopicId {
    TopicId::parse(&topic.name).unwrap_or(TopicId::ZERO)
}
