//! What a leader checks of one partition's bytes in a Produce request, before its writer sees them.
//!
//! The order is Kafka's, first hit wins: structure (one batch, format v2, codec allowed), base offset, size, checksum,
//! counts, attributes, producer; then each record's key and timestamp; then the size as it will be stored.
//!
//! What is opened:
//! - An uncompressed batch is walked record by record, over its own bytes and without an allocation.
//! - A compressed batch is not opened. Its CRC-32C has already proven that these are the bytes the producer made, and a
//!   producer that packs nonsense hurts its own topic only; unpacking everything would cost more than all the rest of
//!   an append. It is opened where its records decide something: the topic is compacted (keys), stores another codec,
//!   bounds timestamps from below (Kafka's default does not), or its header promises a timestamp above the upper bound.
//!
//! The bytes go on as they came wherever possible. A wrong maximum timestamp or LogAppendTime costs a copy with a new
//! header; another codec or inner offsets other than 0, 1, 2, … cost a rebuild.

use bytes::{Bytes, BytesMut};

use super::header::{self, Attributes, BatchHeader, HEADER_LEN, TimestampType};
use super::{
    BatchBuilder, BatchError, BatchIter, BuilderOptions, Compression, DecompressError, RecordBatch,
    RecordIter,
};
use crate::error_code::ErrorCode;
use crate::types::TimestampMs;

mod walk;

use walk::{Walked, walk};

/// Most bytes a batch may unfold to when it must be opened: above any request's size, below what a few bombs at once
/// would need to exhaust a machine.
pub const UNFOLDED_BYTES_MAX: usize = 128 * 1024 * 1024;
/// Most records named in one rejection: a 1 MiB batch can hold 150,000 bad ones, and an answer is no place for them.
pub const RECORD_ERRORS_MAX: usize = 1000;
/// First Produce version whose clients know zstd (KIP-110).
const ZSTD_FROM_VERSION: i16 = 7;
/// Timestamp that means "none" and is exempt from the bounds.
const NO_TIMESTAMP: TimestampMs = -1;

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
    /// `message.timestamp.after.max.ms`; `i64::MAX` is no bound.
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

/// Checks the records of one partition of a Produce request. `wall_ms` is now.
///
/// # Errors
/// `Rejected` with Kafka's code and text.
pub fn validate(
    records: Bytes,
    rules: &AppendRules,
    produce_version: i16,
    wall_ms: i64,
) -> Result<Validated, Rejected> {
    let batch = only_batch(records, produce_version)?;
    check_header(&batch, rules)?;
    let batch = admit_records(batch, rules, wall_ms)?;
    if batch.len() > rules.max_message_bytes {
        return Err(too_large(batch.len(), rules));
    }
    if batch.len() > rules.segment_bytes {
        let text = format!(
            "Message batch size is {} bytes in append, which exceeds the maximum configured segment size of {}.",
            batch.len(),
            rules.segment_bytes
        );
        return Err(Rejected::new(ErrorCode::RecordListTooLarge, text));
    }
    let log_append_time = match rules.timestamp_type {
        TimestampType::CreateTime => NO_TIMESTAMP,
        TimestampType::LogAppendTime => wall_ms,
    };
    Ok(Validated { batch, log_append_time })
}

impl Rejected {
    fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Rejected { code, message: message.into(), record_errors: Vec::new() }
    }

    fn invalid(message: impl Into<String>) -> Self {
        Rejected::new(ErrorCode::InvalidRecord, message)
    }

    fn corrupt(message: impl Into<String>) -> Self {
        Rejected::new(ErrorCode::CorruptMessage, message)
    }
}

/// Structure: exactly one batch of format v2 with a codec this version knows.
fn only_batch(records: Bytes, version: i16) -> Result<RecordBatch, Rejected> {
    let mut batches = super::batches(&records);
    let (header, range) = match batches.next() {
        Some(Ok(found)) => found,
        Some(Err(error)) => return Err(not_a_batch(error, version)),
        None => {
            let text = format!(
                "Produce requests with version {version} must have at least one record batch per partition"
            );
            return Err(Rejected::invalid(text));
        }
    };
    if header.compression() == Compression::Zstd && version < ZSTD_FROM_VERSION {
        let text =
            format!("Produce requests with version {version} are not allowed to use ZStandard compression");
        return Err(Rejected::new(ErrorCode::UnsupportedCompressionType, text));
    }
    nothing_follows(batches, version)?;
    Ok(RecordBatch { header, bytes: records.slice(range) })
}

/// The first bytes are not a batch: which error that is.
fn not_a_batch(error: BatchError, version: i16) -> Rejected {
    match error {
        BatchError::Magic { magic: 0 | 1 } => Rejected::invalid(format!(
            "Produce requests with version {version} are only allowed to contain record batches with magic version 2"
        )),
        BatchError::Magic { magic } => Rejected::corrupt(format!("Invalid magic found in record: {magic}")),
        BatchError::UnknownCompression { id } => {
            Rejected::new(ErrorCode::UnsupportedCompressionType, format!("Unknown compression type id: {id}"))
        }
        other => Rejected::corrupt(other.to_string()),
    }
}

/// Another batch after the first is refused by name. The beginning of one is cut off, as Kafka does.
fn nothing_follows(mut batches: BatchIter<'_>, version: i16) -> Result<(), Rejected> {
    match batches.next() {
        Some(Ok(_)) => Err(Rejected::invalid(format!(
            "Produce requests with version {version} are only allowed to contain exactly one record batch"
        ))),
        Some(Err(error)) => Err(Rejected::corrupt(error.to_string())),
        None => Ok(()),
    }
}

/// Everything the header alone decides.
fn check_header(batch: &RecordBatch, rules: &AppendRules) -> Result<(), Rejected> {
    let header = batch.header();
    if header.base_offset != 0 {
        return Err(Rejected::invalid(format!(
            "The baseOffset of the record batch in the append should be 0, but it is {}",
            header.base_offset
        )));
    }
    if batch.len() > rules.max_message_bytes {
        return Err(too_large(batch.len(), rules));
    }
    if batch.verify_crc().is_err() {
        return Err(Rejected::corrupt(format!("Record is corrupt (stored crc = {})", header.crc)));
    }
    let (last, count) = (header.last_offset_delta, header.records_count);
    if last < 0 {
        return Err(Rejected::invalid(format!("Batch has an invalid offset range: [0, {last}]")));
    }
    if count <= 0 {
        return Err(Rejected::invalid(format!("Invalid reported count for record batch: {count}")));
    }
    if i64::from(last) + 1 != i64::from(count) {
        return Err(Rejected::invalid(format!(
            "Inconsistent batch offset range [0, {last}] and count of records {count}"
        )));
    }
    if header.is_control() {
        return Err(Rejected::invalid("Clients are not allowed to write control records"));
    }
    if header.has_producer() && header.base_sequence < 0 {
        return Err(Rejected::invalid(format!(
            "Invalid sequence number {} in record batch with producerId {}",
            header.base_sequence, header.producer_id
        )));
    }
    Ok(())
}

fn too_large(len: usize, rules: &AppendRules) -> Rejected {
    let text = format!(
        "The record batch size in the append is {len} bytes which exceeds the maximum configured value of {}.",
        rules.max_message_bytes
    );
    Rejected::new(ErrorCode::MessageTooLarge, text)
}

/// Looks at the records as far as they decide something, and returns the batch as it is to be stored.
fn admit_records(batch: RecordBatch, rules: &AppendRules, wall_ms: i64) -> Result<RecordBatch, Rejected> {
    let header = *batch.header();
    let target = match rules.compression {
        TopicCompression::Producer => None,
        TopicCompression::Fixed(codec, level) => (codec != header.compression()).then_some((codec, level)),
    };
    if header.compression() == Compression::None {
        let walked = walk(&header, &batch.bytes()[HEADER_LEN..], rules, wall_ms)?;
        return Ok(match target {
            Some(target) => rebuild(&header, &batch.bytes()[HEADER_LEN..], target, rules, wall_ms),
            None if !walked.sequential => {
                let as_is = (Compression::None, None);
                rebuild(&header, &batch.bytes()[HEADER_LEN..], as_is, rules, wall_ms)
            }
            None => stamp(batch, rules, walked.max_timestamp, wall_ms),
        });
    }
    if target.is_none() && !must_open(&header, rules, wall_ms) {
        return Ok(stamp(batch, rules, header.max_timestamp, wall_ms));
    }
    let cap = UNFOLDED_BYTES_MAX;
    let data = header.compression().decompress(&batch.bytes()[HEADER_LEN..], cap).map_err(not_unfolding)?;
    let walked = walk(&header, &data, rules, wall_ms)?;
    Ok(match (target, walked) {
        (Some(target), _) => rebuild(&header, &data, target, rules, wall_ms),
        (None, Walked { sequential: true, max_timestamp }) => stamp(batch, rules, max_timestamp, wall_ms),
        // Kafka rewrites such batches too, for old clients that number inner records wrongly.
        (None, _) => {
            let level = match rules.compression {
                TopicCompression::Fixed(_, level) => level,
                TopicCompression::Producer => None,
            };
            rebuild(&header, &data, (header.compression(), level), rules, wall_ms)
        }
    })
}

/// Whether the records of a compressed batch of the topic's own codec decide anything.
fn must_open(header: &BatchHeader, rules: &AppendRules, wall_ms: i64) -> bool {
    if rules.compacted || header.timestamp_type() == TimestampType::LogAppendTime {
        return true;
    }
    rules.timestamp_type == TimestampType::CreateTime
        && (rules.timestamp_before_max_ms != i64::MAX
            || header.max_timestamp > wall_ms.saturating_add(rules.timestamp_after_max_ms))
}

/// The checksum fits, so sending again would not help: not CORRUPT_MESSAGE, which clients retry.
fn not_unfolding(error: DecompressError) -> Rejected {
    let code = match error {
        DecompressError::TooLarge { .. } => ErrorCode::MessageTooLarge,
        DecompressError::Corrupt { .. } => ErrorCode::InvalidRecord,
    };
    Rejected::new(code, format!("Failed to decompress record stream: {error}"))
}

/// Puts the right maximum timestamp and timestamp type into the header. Costs a copy only if they differ.
fn stamp(
    batch: RecordBatch,
    rules: &AppendRules,
    max_timestamp: TimestampMs,
    wall_ms: TimestampMs,
) -> RecordBatch {
    let append_time = rules.timestamp_type == TimestampType::LogAppendTime;
    let max_timestamp = if append_time { wall_ms } else { max_timestamp };
    let attributes = batch.header.attributes.with(Attributes::LOG_APPEND_TIME, append_time);
    if batch.header.max_timestamp == max_timestamp && batch.header.attributes == attributes {
        return batch;
    }
    let mut header = BatchHeader { max_timestamp, attributes, ..batch.header };
    let mut bytes = BytesMut::from(&batch.bytes[..]);
    bytes[..HEADER_LEN].copy_from_slice(&header.encode());
    header.crc = header::seal(&mut bytes);
    RecordBatch { header, bytes: bytes.freeze() }
}

/// Packs the records anew with offsets 0, 1, 2, …; everything else of them and of the batch stays. The records have
/// been walked.
fn rebuild(
    header: &BatchHeader,
    data: &[u8],
    (compression, level): (Compression, Option<i32>),
    rules: &AppendRules,
    wall_ms: TimestampMs,
) -> RecordBatch {
    let append_time = rules.timestamp_type == TimestampType::LogAppendTime;
    let mut builder = BatchBuilder::new(BuilderOptions {
        compression,
        level,
        timestamp_type: rules.timestamp_type,
        last_offset: None,
        max_timestamp: append_time.then_some(wall_ms),
        ..BuilderOptions::like(header)
    });
    for (offset, record) in (0..).zip(RecordIter::new(header, data)) {
        builder.append_record_at(offset, &record.expect("the records have been walked"));
    }
    builder.build()
}

#[cfg(test)]
mod tests;
