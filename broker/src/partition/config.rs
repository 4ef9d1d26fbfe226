//! A topic's settings in the terms of the data path: what its log is told, what appends are checked against, and how
//! many replicas a commit needs. One value per topic, shared by its partitions; a changed setting makes a new one.

use std::sync::Arc;

use tidemark_core::metadata::TopicSettings;
use tidemark_core::metadata::topic_config::{CompressionSetting, FlushMode, TimestampSource};
use tidemark_core::replication::replica::FlushRule;
use tidemark_protocol::batch::{AppendRules, Compression, TimestampType, TopicCompression};
use tidemark_storage::config::{CleanupPolicy, FlushPolicy, LogConfig};

/// What the data path needs of a topic's settings.
#[derive(Clone, Debug, PartialEq)]
pub struct PartitionConfig {
    /// For the log.
    pub log: Arc<LogConfig>,
    /// For `batch::validate`.
    pub rules: AppendRules,
    /// `min.insync.replicas` as configured; the replication factor limits it.
    pub min_insync_replicas: usize,
}

impl PartitionConfig {
    /// Translates the effective settings of a topic.
    pub fn new(settings: &TopicSettings) -> PartitionConfig {
        PartitionConfig {
            log: Arc::new(log_config(settings)),
            rules: append_rules(settings),
            min_insync_replicas: usize::try_from(settings.min_insync_replicas).unwrap_or(1),
        }
    }

    /// Which end of a replica counts towards the high watermark.
    pub fn flush_rule(&self) -> FlushRule {
        match self.log.flush {
            FlushPolicy::Commit => FlushRule::Durable,
            FlushPolicy::Async => FlushRule::Appended,
        }
    }
}

fn log_config(settings: &TopicSettings) -> LogConfig {
    LogConfig {
        segment_bytes: unsigned(settings.segment_bytes),
        segment_ms: settings.segment_ms,
        segment_jitter_ms: settings.segment_jitter_ms,
        segment_index_bytes: unsigned(settings.segment_index_bytes),
        index_interval_bytes: unsigned(settings.index_interval_bytes),
        retention_ms: settings.retention_ms,
        retention_bytes: settings.retention_bytes,
        local_retention_ms: settings.local_retention_ms,
        local_retention_bytes: settings.local_retention_bytes,
        cleanup: CleanupPolicy { delete: settings.cleanup_delete, compact: settings.cleanup_compact },
        delete_retention_ms: settings.delete_retention_ms,
        min_compaction_lag_ms: settings.min_compaction_lag_ms,
        max_compaction_lag_ms: settings.max_compaction_lag_ms,
        min_cleanable_dirty_ratio: settings.min_cleanable_dirty_ratio,
        file_delete_delay_ms: settings.file_delete_delay_ms,
        max_message_bytes: size(settings.max_message_bytes),
        flush: match settings.flush {
            FlushMode::Commit => FlushPolicy::Commit,
            FlushMode::Async => FlushPolicy::Async,
        },
        flush_messages: settings.flush_messages,
        flush_ms: settings.flush_ms,
        preallocate: settings.preallocate,
        timestamp_type: timestamp_type(settings),
        compression: compression(settings),
    }
}

fn append_rules(settings: &TopicSettings) -> AppendRules {
    AppendRules {
        max_message_bytes: size(settings.max_message_bytes),
        segment_bytes: size(settings.segment_bytes),
        timestamp_type: timestamp_type(settings),
        timestamp_before_max_ms: settings.timestamp_before_max_ms,
        timestamp_after_max_ms: settings.timestamp_after_max_ms,
        compacted: settings.cleanup_compact,
        compression: compression(settings),
    }
}

fn timestamp_type(settings: &TopicSettings) -> TimestampType {
    match settings.timestamp_type {
        TimestampSource::CreateTime => TimestampType::CreateTime,
        TimestampSource::LogAppendTime => TimestampType::LogAppendTime,
    }
}

fn compression(settings: &TopicSettings) -> TopicCompression {
    let fixed = TopicCompression::Fixed;
    match settings.compression {
        CompressionSetting::Producer => TopicCompression::Producer,
        CompressionSetting::Uncompressed => fixed(Compression::None, None),
        CompressionSetting::Gzip => fixed(Compression::Gzip, Some(settings.compression_gzip_level)),
        CompressionSetting::Snappy => fixed(Compression::Snappy, None),
        CompressionSetting::Lz4 => fixed(Compression::Lz4, Some(settings.compression_lz4_level)),
        CompressionSetting::Zstd => fixed(Compression::Zstd, Some(settings.compression_zstd_level)),
    }
}

/// Validation keeps these settings positive; a negative one would mean the smallest.
fn unsigned(value: i32) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

/// As [`unsigned`].
fn size(value: i32) -> usize {
    usize::try_from(value).unwrap_or(0)
}
