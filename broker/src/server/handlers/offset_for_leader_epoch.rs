//! OffsetForLeaderEpoch: key 23, versions 2–4 (KIP-320).
//!
//! For an epoch the client knows: the largest epoch of the log not above it, and where that epoch ends. Consumers find
//! out by this whether what they read was cut off.

use std::sync::Arc;

use kafka_protocol::messages::offset_for_leader_epoch_request::OffsetForLeaderPartition;
use kafka_protocol::messages::offset_for_leader_epoch_response::{
    EpochEndOffset, OffsetForLeaderTopicResult,
};
use kafka_protocol::messages::{OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse};
use tidemark_protocol::error_code::ErrorCode;
use tidemark_protocol::types::{LeaderEpoch, Offset};

use super::super::{Ctx, RequestContext, partitions};
use crate::partition::PartitionHandle;

/// Answers each partition by itself.
pub async fn handle(
    ctx: Arc<Ctx>,
    _: RequestContext,
    request: OffsetForLeaderEpochRequest,
) -> OffsetForLeaderEpochResponse {
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in request.topics {
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for asked in &topic.partitions {
            let answer = end_of(&ctx, partitions::held(&ctx, &topic.topic, asked.partition), asked).await;
            let (code, (epoch, end)) = match answer {
                Ok(end) => (ErrorCode::None, end),
                Err(code) => (code, (-1, -1)),
            };
            partitions.push(
                EpochEndOffset::default()
                    .with_error_code(code.code())
                    .with_partition(asked.partition)
                    .with_leader_epoch(epoch)
                    .with_end_offset(end),
            );
        }
        topics
            .push(OffsetForLeaderTopicResult::default().with_topic(topic.topic).with_partitions(partitions));
    }
    OffsetForLeaderEpochResponse::default().with_topics(topics)
}

async fn end_of(
    ctx: &Ctx,
    handle: Result<PartitionHandle, ErrorCode>,
    asked: &OffsetForLeaderPartition,
) -> Result<(LeaderEpoch, Offset), ErrorCode> {
    let view = partitions::led(ctx, &handle?, asked.current_leader_epoch).await?;
    Ok(view.reader.epoch_end(asked.leader_epoch))
}
