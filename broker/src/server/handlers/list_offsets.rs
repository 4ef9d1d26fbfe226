//! ListOffsets: key 2, versions 1–11.
//!
//! Special times, by the first version that knows them: −1 latest and −2 earliest (1), −3 the record with the largest
//! timestamp (7), −4 earliest local (8), −5 last tiered (9), −6 earliest pending upload (11). Any other time asks for the first record not
//! older than it. "Latest" is the high watermark, or the last stable offset for read_committed. Only the leader answers, and what
//! depends on the high watermark once that covers all that earlier leaders may have committed: OFFSET_NOT_AVAILABLE until then,
//! LEADER_NOT_AVAILABLE to versions below 5.

use std::collections::BTreeMap;
use std::sync::Arc;

use kafka_protocol::messages::list_offsets_request::ListOffsetsPartition;
use kafka_protocol::messages::list_offsets_response::{
    ListOffsetsPartitionResponse, ListOffsetsTopicResponse,
};
use kafka_protocol::messages::{ListOffsetsRequest, ListOffsetsResponse};
use tidemark_protocol::api::ApiKey;
use tidemark_protocol::error_code::ErrorCode;
use tidemark_protocol::types::{LeaderEpoch, Offset, TimestampMs};
use tidemark_storage::log::{Found, ReadError};

use super::super::{Ctx, RequestContext, partitions};
use crate::partition::{PartitionHandle, PartitionView};

/// First version that carries leader epochs.
const LEADER_EPOCH_FROM: i16 = 4;

/// First version whose clients know OFFSET_NOT_AVAILABLE.
const OFFSET_NOT_AVAILABLE_FROM: i16 = 5;

const LATEST: TimestampMs = -1;
const EARLIEST: TimestampMs = -2;
const MAX_TIMESTAMP: TimestampMs = -3;
const EARLIEST_LOCAL: TimestampMs = -4;
const LATEST_TIERED: TimestampMs = -5;
const EARLIEST_PENDING_UPLOAD: TimestampMs = -6;

/// Where a time is in the log.
#[derive(PartialEq, Eq)]
struct Answer {
    timestamp: TimestampMs,
    offset: Offset,
    epoch: LeaderEpoch,
}

const NOWHERE: Answer = Answer { timestamp: -1, offset: -1, epoch: -1 };

/// Answers each partition by itself.
pub async fn handle(
    ctx: Arc<Ctx>,
    context: RequestContext,
    request: ListOffsetsRequest,
) -> ListOffsetsResponse {
    let committed = request.isolation_level == 1;
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in request.topics {
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        let mut times: BTreeMap<i32, usize> = BTreeMap::new();
        topic.partitions.iter().for_each(|asked| *times.entry(asked.partition_index).or_default() += 1);
        for asked in &topic.partitions {
            // One asked for more than once is refused, once.
            let Some(times) = times.remove(&asked.partition_index) else { continue };
            let answer = if times > 1 {
                Err(ErrorCode::InvalidRequest)
            } else {
                let handle = partitions::held(&ctx, &topic.name, asked.partition_index);
                look_up(&ctx, handle, asked, context.version, committed).await
            };
            let partition = encode(context.version, asked.partition_index, answer);
            ctx.metrics.partition_answered(ApiKey::ListOffsets, partition.error_code);
            partitions.push(partition);
        }
        topics.push(ListOffsetsTopicResponse::default().with_name(topic.name).with_partitions(partitions));
    }
    ListOffsetsResponse::default().with_topics(topics)
}

async fn look_up(
    ctx: &Ctx,
    handle: Result<PartitionHandle, ErrorCode>,
    asked: &ListOffsetsPartition,
    version: i16,
    committed: bool,
) -> Result<Answer, ErrorCode> {
    if version < first_version(asked.timestamp) {
        return Err(ErrorCode::UnsupportedVersion);
    }
    let view = partitions::led(ctx, &handle?, asked.current_leader_epoch).await?;
    let settled = if view.is_settled { Ok(()) } else { Err(not_settled(version)) };
    let up_to = if committed { view.last_stable } else { view.high_watermark };
    let start = |offset| Answer { timestamp: -1, offset, epoch: view.reader.epoch_for(offset).unwrap_or(-1) };
    match asked.timestamp {
        LATEST => settled.map(|()| Answer { timestamp: -1, offset: up_to, epoch: view.leader_epoch }),
        EARLIEST | EARLIEST_LOCAL => Ok(start(view.log_start)),
        // Nothing is tiered: there is no last tiered offset, and nothing waits for its upload.
        LATEST_TIERED | EARLIEST_PENDING_UPLOAD => Ok(NOWHERE),
        timestamp => match search(view, timestamp, up_to).await {
            // It may be above what is known to be committed.
            Ok(NOWHERE) => settled.map(|()| NOWHERE),
            found => found,
        },
    }
}

fn not_settled(version: i16) -> ErrorCode {
    if version >= OFFSET_NOT_AVAILABLE_FROM {
        ErrorCode::OffsetNotAvailable
    } else {
        ErrorCode::LeaderNotAvailable
    }
}

fn first_version(timestamp: TimestampMs) -> i16 {
    match timestamp {
        MAX_TIMESTAMP => 7,
        EARLIEST_LOCAL => 8,
        LATEST_TIERED => 9,
        EARLIEST_PENDING_UPLOAD => 11,
        ..EARLIEST_PENDING_UPLOAD => i16::MAX,
        _ => 1,
    }
}

/// Reads index and batches, off the network threads.
async fn search(
    view: Arc<PartitionView>,
    timestamp: TimestampMs,
    up_to: Offset,
) -> Result<Answer, ErrorCode> {
    let tp = view.tp.clone();
    let search = move || match timestamp {
        MAX_TIMESTAMP => view.reader.max_timestamp(up_to),
        _ => view.reader.offset_for_timestamp(timestamp, up_to),
    };
    match tokio::task::spawn_blocking(search).await {
        Ok(Ok(Some(Found { offset, timestamp, epoch }))) => Ok(Answer { timestamp, offset, epoch }),
        Ok(Ok(None)) => Ok(NOWHERE),
        Ok(Err(ReadError::OffsetOutOfRange { .. })) => Ok(NOWHERE),
        Ok(Err(error)) => {
            tracing::error!(topic_partition = %tp, %error, timestamp, "offset look-up by time failed");
            Err(ErrorCode::KafkaStorageError)
        }
        Err(error) => {
            tracing::error!(topic_partition = %tp, %error, "offset look-up by time panicked");
            Err(ErrorCode::UnknownServerError)
        }
    }
}

fn encode(version: i16, index: i32, answer: Result<Answer, ErrorCode>) -> ListOffsetsPartitionResponse {
    let (code, answer) = match answer {
        Ok(answer) => (ErrorCode::None, answer),
        Err(code) => (code, NOWHERE),
    };
    ListOffsetsPartitionResponse::default()
        .with_partition_index(index)
        .with_error_code(code.code())
        .with_timestamp(answer.timestamp)
        .with_offset(answer.offset)
        .with_leader_epoch(if version >= LEADER_EPOCH_FROM { answer.epoch } else { -1 })
}
