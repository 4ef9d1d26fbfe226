//! What a leader checks of a produced partition's bytes.
use bytes::Bytes;

use super::{Compression, RecordBatch, TimestampType};
use crate::error_code::ErrorCode;
use crate::types::TimestampMs;

/// Codec a topic stores its batches with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TopicCompression {
    /// As the producer sent them: nothing is unpacked.
    #[default]
    Producer,
    /// This codec at this level (`None`: its default); batches of another codec are packed anew.
    Fixed(Compression, Option<i32>),
}

/// The settings of a topic that decide whether and how a batch is appended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppendRules {
    /// `max.message.bytes`: longest batch, header included, as received and again after recompression.
    pub max_message_bytes: usize,
    /// `segment.bytes`: a batch must fit into one segment.
    pub segment_bytes: usize,
    /// `message.timestamp.type`.
    pub timestamp_type: TimestampType,
    /// `message.timestamp.before.max.ms`; `i64::MAX` is no bound.
    pub timestamp_before_max_ms: i64,
    /// `message.timestamp.after.max.ms`.
    pub timestamp_after_max_ms: i64,
    /// Whether `cleanup.policy` has `compact`: every record needs a key.
    pub compacted: bool,
    /// `compression.type` and its level.
    pub compression: TopicCompression,
}

/// Why nothing of the partition's bytes was appended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejected {
    /// The partition's error.
    pub code: ErrorCode,
    /// The partition's error message (Produce v8+).
    pub message: String,
    /// Records at fault: index in the batch, message (Produce v8+).
    pub record_errors: Vec<(i32, Option<String>)>,
}

/// A batch that may be appended.
#[derive(Clone, Debug)]
pub struct Validated {
    /// The batch: the bytes as they came wherever possible.
    pub batch: RecordBatch,
    /// The append time to answer with; −1 for CreateTime.
    pub log_append_time: TimestampMs,
}

/// Checks the records of one partition of a Produce request.
///
/// # Errors
/// `Rejected` with Kafka's code and text.
pub fn validate(
    _records: Bytes,
    _rules: &AppendRules,
    _produce_version: i16,
    _wall_ms: i64,
) -> Result<Validated, Rejected> {
    unimplemented!("validation follows")
}
