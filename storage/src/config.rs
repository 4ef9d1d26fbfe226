//! What a partition's log is told about itself: the topic's settings in the units storage works with.
//!
//! The broker builds one [`LogConfig`] per topic from the effective topic configuration and hands out a new one when
//! that changes; nothing here is parsed or validated.

use tidemark_protocol::batch::{TimestampType, TopicCompression};
use tidemark_protocol::types::TimestampMs;

/// What happens to old records (`cleanup.policy`). Both off means they stay for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CleanupPolicy {
    /// Old segments go by time and size.
    pub delete: bool,
    /// Only the last record of each key stays.
    pub compact: bool,
}

/// When an append counts as durable (`tidemark.flush`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FlushPolicy {
    /// After the disk said so; the high watermark waits for it.
    #[default]
    Commit,
    /// As soon as the kernel has it, as Kafka does; the disk follows in the background.
    Async,
}

/// Settings of one partition's log. Sizes are bytes, times milliseconds; −1 means no limit where said so.
#[derive(Clone, Debug, PartialEq)]
pub struct LogConfig {
    /// A segment is closed before it would grow beyond this.
    pub segment_bytes: u64,
    /// A segment is closed once its first record is this old.
    pub segment_ms: i64,
    /// Up to this much is taken off `segment_ms`, differently for each segment, against roll storms.
    pub segment_jitter_ms: i64,
    /// A segment is closed when one of its indexes has this size.
    pub segment_index_bytes: u64,
    /// Log bytes between two index entries.
    pub index_interval_bytes: u64,
    /// Age limit of a segment by its largest timestamp; −1: none.
    pub retention_ms: i64,
    /// Size limit of the partition; −1: none.
    pub retention_bytes: i64,
    /// Age limit of what a remote tier also holds; −2: as `retention_ms`.
    pub local_retention_ms: i64,
    /// Size limit of what a remote tier also holds; −2: as `retention_bytes`.
    pub local_retention_bytes: i64,
    /// What happens to old records.
    pub cleanup: CleanupPolicy,
    /// How long tombstones and transaction markers stay after compaction first met them.
    pub delete_retention_ms: i64,
    /// Younger records are not compacted.
    pub min_compaction_lag_ms: i64,
    /// Older records must have been compacted.
    pub max_compaction_lag_ms: i64,
    /// Share of not yet compacted bytes from which compaction is worth its cost.
    pub min_cleanable_dirty_ratio: f64,
    /// Time between taking a segment out of the log and removing its files.
    pub file_delete_delay_ms: i64,
    /// Largest batch a producer may send.
    pub max_message_bytes: usize,
    /// When an append counts as durable.
    pub flush: FlushPolicy,
    /// Flush at the latest after so many records.
    pub flush_messages: i64,
    /// Flush at the latest after so long.
    pub flush_ms: i64,
    /// Ask the file system for the whole segment at once.
    pub preallocate: bool,
    /// Which time a batch carries.
    pub timestamp_type: TimestampType,
    /// Codec batches are stored with.
    pub compression: TopicCompression,
}

impl LogConfig {
    /// Bytes of disk to set aside for each new segment; 0 unless `preallocate` is on.
    pub fn preallocated_bytes(&self) -> u64 {
        if self.preallocate { self.segment_bytes } else { 0 }
    }
}

impl Default for LogConfig {
    /// Kafka's defaults.
    fn default() -> Self {
        LogConfig {
            segment_bytes: 1 << 30,
            segment_ms: 7 * DAY_MS,
            segment_jitter_ms: 0,
            segment_index_bytes: 10 << 20,
            index_interval_bytes: 4096,
            retention_ms: 7 * DAY_MS,
            retention_bytes: -1,
            local_retention_ms: -2,
            local_retention_bytes: -2,
            cleanup: CleanupPolicy { delete: true, compact: false },
            delete_retention_ms: DAY_MS,
            min_compaction_lag_ms: 0,
            max_compaction_lag_ms: i64::MAX,
            min_cleanable_dirty_ratio: 0.5,
            file_delete_delay_ms: 60_000,
            max_message_bytes: 1_048_588,
            flush: FlushPolicy::Commit,
            flush_messages: i64::MAX,
            flush_ms: i64::MAX,
            preallocate: false,
            timestamp_type: TimestampType::CreateTime,
            compression: TopicCompression::Producer,
        }
    }
}

const DAY_MS: TimestampMs = 24 * 60 * 60 * 1000;
