//! DeleteRecords: key 21, versions 0–2.
//!
//! Moves the start of a log forward, durably before the answer. −1 means the high watermark. Only topics that delete
//! by retention can be trimmed: a compacted topic keeps the last record of each key (E44).

use std::sync::Arc;
use std::time::Duration;

use kafka_protocol::messages::delete_records_response::{
    DeleteRecordsPartitionResult, DeleteRecordsTopicResult,
};
use kafka_protocol::messages::{DeleteRecordsRequest, DeleteRecordsResponse};
use tidemark_protocol::error_code::ErrorCode;
use tidemark_protocol::types::Offset;

use super::super::{Ctx, RequestContext, error, partitions, topics};

/// The offset that stands for the high watermark.
const HIGH_WATERMARK: Offset = -1;

/// Answers each partition with its new low watermark.
pub async fn handle(
    ctx: Arc<Ctx>,
    _: RequestContext,
    request: DeleteRecordsRequest,
) -> DeleteRecordsResponse {
    let timeout = Duration::from_millis(u64::try_from(request.timeout_ms).unwrap_or(0));
    let deadline = tokio::time::Instant::now() + timeout;
    let mut answers = Vec::with_capacity(request.topics.len());
    for topic in request.topics {
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for asked in &topic.partitions {
            let trimmed = trim(&ctx, &topic.name, asked.partition_index, asked.offset);
            let result = match tokio::time::timeout_at(deadline, trimmed).await {
                Ok(result) => result,
                Err(_) => Err(ErrorCode::RequestTimedOut),
            };
            let (code, low_watermark) = match result {
                Ok(low_watermark) => (ErrorCode::None, low_watermark),
                Err(code) => (code, -1),
            };
            partitions.push(
                DeleteRecordsPartitionResult::default()
                    .with_partition_index(asked.partition_index)
                    .with_low_watermark(low_watermark)
                    .with_error_code(code.code()),
            );
        }
        answers.push(DeleteRecordsTopicResult::default().with_name(topic.name).with_partitions(partitions));
    }
    DeleteRecordsResponse::default().with_topics(answers)
}

async fn trim(ctx: &Ctx, topic: &str, partition: i32, offset: Offset) -> Result<Offset, ErrorCode> {
    let handle = partitions::held(ctx, topic, partition)?;
    if topics::is_internal(topic) {
        return Err(ErrorCode::InvalidTopicException);
    }
    let cleanup = handle.config().log.cleanup;
    if cleanup.compact && !cleanup.delete {
        return Err(ErrorCode::PolicyViolation);
    }
    let before = match offset {
        HIGH_WATERMARK => None,
        offset if offset < 0 => return Err(ErrorCode::OffsetOutOfRange),
        offset => Some(offset),
    };
    partitions::led(ctx, &handle, -1).await?;
    handle.delete_records(before).await.map_err(|e| error::of_partition(&e))
}
