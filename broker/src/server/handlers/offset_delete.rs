//! OffsetDelete: key 47, version 0.
//!
//! Partitions that do not exist are E3, those of topics the group consumes E86; an error of the group stands alone.

use std::sync::Arc;

use kafka_protocol::messages::offset_delete_response::{
    OffsetDeleteResponsePartition, OffsetDeleteResponseTopic,
};
use kafka_protocol::messages::{OffsetDeleteRequest, OffsetDeleteResponse};
use tidemark_core::group::{GroupReply, GroupRequest, request};
use tidemark_protocol::error_code::ErrorCode;

use super::super::{Ctx, RequestContext};

/// Deletes and answers partition by partition.
pub async fn handle(ctx: Arc<Ctx>, _: RequestContext, request: OffsetDeleteRequest) -> OffsetDeleteResponse {
    let image = ctx.image();
    let mut answer = OffsetDeleteResponse::default();
    let mut topics = Vec::with_capacity(request.topics.len());
    // Where in the answer the result of each partition we ask about belongs.
    let mut slots = Vec::new();
    for topic in &request.topics {
        let known = image.topic(&topic.name).map_or(0, |found| found.partitions.len());
        let mut results = Vec::with_capacity(topic.partitions.len());
        let mut partitions = Vec::new();
        for partition in &topic.partitions {
            let index = partition.partition_index;
            let mut result = OffsetDeleteResponsePartition::default().with_partition_index(index);
            if usize::try_from(index).is_ok_and(|index| index < known) {
                slots.push((answer.topics.len(), results.len()));
                partitions.push(index);
            } else {
                result.error_code = ErrorCode::UnknownTopicOrPartition.code();
            }
            results.push(result);
        }
        topics.push((topic.name.as_str().into(), partitions));
        let named = OffsetDeleteResponseTopic::default().with_name(topic.name.clone());
        answer.topics.push(named.with_partitions(results));
    }
    let group_id = request.group_id.to_string();
    let delete =
        GroupRequest::OffsetDelete(request::OffsetDeleteRequest { group_id: group_id.clone(), topics });
    let reply = match ctx.groups.ask(&group_id, delete).await {
        Ok(GroupReply::OffsetDelete(reply)) => reply,
        Ok(other) => unreachable!("a delete is answered by its own kind of reply, not {other:?}"),
        Err(error) => return OffsetDeleteResponse::default().with_error_code(error.code()),
    };
    if reply.error != ErrorCode::None {
        return OffsetDeleteResponse::default().with_error_code(reply.error.code());
    }
    let results = reply.topics.into_iter().flat_map(|(_, results)| results);
    for ((topic, partition), (_, error)) in slots.into_iter().zip(results) {
        answer.topics[topic].partitions[partition].error_code = error.code();
    }
    answer
}
