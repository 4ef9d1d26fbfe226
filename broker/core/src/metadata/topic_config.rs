//! Topic configuration: the table of keys, typed effective values, validation and description.
//!
//! Values are stored as Kafka writes them; [`TopicSettings`] is what the data path reads.

mod describe;
pub mod table;
mod validate;

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::broker_config;
use super::config_def::{Typed, list_parts};
use super::config_layers::ConfigLayers;
use super::config_value::ConfigSource;
pub use describe::describe;
use table::TopicConfigKey;
pub use validate::validate;

/// Effective configuration of a topic.
#[derive(Clone, Debug, PartialEq)]
pub struct TopicSettings {
    /// `cleanup.policy` has `delete`.
    pub cleanup_delete: bool,
    /// `cleanup.policy` has `compact`.
    pub cleanup_compact: bool,
    /// `retention.ms`; −1 keeps forever.
    pub retention_ms: i64,
    /// `retention.bytes`; negative keeps all.
    pub retention_bytes: i64,
    /// `local.retention.ms`; −2 follows `retention.ms`.
    pub local_retention_ms: i64,
    /// `local.retention.bytes`; −2 follows `retention.bytes`.
    pub local_retention_bytes: i64,
    /// `remote.storage.enable`.
    pub remote_storage_enable: bool,
    /// `remote.log.copy.disable`.
    pub remote_log_copy_disable: bool,
    /// `remote.log.delete.on.disable`.
    pub remote_log_delete_on_disable: bool,
    /// `max.message.bytes`: the largest batch.
    pub max_message_bytes: i32,
    /// `message.timestamp.type`.
    pub timestamp_type: TimestampSource,
    /// `message.timestamp.before.max.ms`.
    pub timestamp_before_max_ms: i64,
    /// `message.timestamp.after.max.ms`.
    pub timestamp_after_max_ms: i64,
    /// `compression.type`.
    pub compression: CompressionSetting,
    /// `compression.gzip.level`.
    pub compression_gzip_level: i32,
    /// `compression.lz4.level`.
    pub compression_lz4_level: i32,
    /// `compression.zstd.level`.
    pub compression_zstd_level: i32,
    /// `min.insync.replicas` as configured; [`TopicSettings::min_isr`] is what counts.
    pub min_insync_replicas: i32,
    /// `unclean.leader.election.enable`.
    pub unclean_leader_election: bool,
    /// `segment.bytes`, or `internal.segment.bytes` where set.
    pub segment_bytes: i32,
    /// `segment.ms`.
    pub segment_ms: i64,
    /// `segment.jitter.ms`.
    pub segment_jitter_ms: i64,
    /// `segment.index.bytes`.
    pub segment_index_bytes: i32,
    /// `index.interval.bytes`.
    pub index_interval_bytes: i32,
    /// `flush.messages`.
    pub flush_messages: i64,
    /// `flush.ms`.
    pub flush_ms: i64,
    /// `tidemark.flush`.
    pub flush: FlushMode,
    /// `file.delete.delay.ms`.
    pub file_delete_delay_ms: i64,
    /// `preallocate`.
    pub preallocate: bool,
    /// `delete.retention.ms`.
    pub delete_retention_ms: i64,
    /// `min.compaction.lag.ms`.
    pub min_compaction_lag_ms: i64,
    /// `max.compaction.lag.ms`.
    pub max_compaction_lag_ms: i64,
    /// `min.cleanable.dirty.ratio`.
    pub min_cleanable_dirty_ratio: f64,
    /// `leader.replication.throttled.replicas`.
    pub leader_throttled_replicas: Vec<String>,
    /// `follower.replication.throttled.replicas`.
    pub follower_throttled_replicas: Vec<String>,
}

/// Who stamps records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimestampSource {
    /// The producer.
    CreateTime,
    /// The leader, at the append.
    LogAppendTime,
}

/// How batches are compressed in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CompressionSetting {
    /// As the producer sent them.
    Producer,
    /// Not at all.
    Uncompressed,
    /// gzip.
    Gzip,
    /// snappy.
    Snappy,
    /// lz4.
    Lz4,
    /// zstd.
    Zstd,
}

/// When the log is synced to disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlushMode {
    /// Before a batch counts as committed.
    Commit,
    /// When the operating system likes, as Apache Kafka does.
    Async,
}

impl TopicSettings {
    /// Effective values: the topic's overrides over the broker's layers over the defaults. Overrides were validated
    /// when they were set; one that is not legal (written by another version) falls back to the next layer.
    pub fn resolve(overrides: &BTreeMap<String, String>, layers: &ConfigLayers<'_>) -> Self {
        let values = Typed(|name| {
            let key = table::find(name).expect("only keys of the table are asked for");
            effective(key, overrides, layers).0.unwrap_or_default()
        });
        let policy = values.text("cleanup.policy");
        let internal_segment_bytes = values.text("internal.segment.bytes").parse().ok();
        TopicSettings {
            cleanup_delete: list_parts(&policy).contains(&"delete"),
            cleanup_compact: list_parts(&policy).contains(&"compact"),
            retention_ms: values.number("retention.ms"),
            retention_bytes: values.number("retention.bytes"),
            local_retention_ms: values.number("local.retention.ms"),
            local_retention_bytes: values.number("local.retention.bytes"),
            remote_storage_enable: values.boolean("remote.storage.enable"),
            remote_log_copy_disable: values.boolean("remote.log.copy.disable"),
            remote_log_delete_on_disable: values.boolean("remote.log.delete.on.disable"),
            max_message_bytes: values.number("max.message.bytes"),
            timestamp_type: TimestampSource::parse(&values.text("message.timestamp.type")),
            timestamp_before_max_ms: values.number("message.timestamp.before.max.ms"),
            timestamp_after_max_ms: values.number("message.timestamp.after.max.ms"),
            compression: CompressionSetting::parse(&values.text("compression.type")),
            compression_gzip_level: values.number("compression.gzip.level"),
            compression_lz4_level: values.number("compression.lz4.level"),
            compression_zstd_level: values.number("compression.zstd.level"),
            min_insync_replicas: values.number("min.insync.replicas"),
            unclean_leader_election: values.boolean("unclean.leader.election.enable"),
            segment_bytes: internal_segment_bytes.unwrap_or_else(|| values.number("segment.bytes")),
            segment_ms: values.number("segment.ms"),
            segment_jitter_ms: values.number("segment.jitter.ms"),
            segment_index_bytes: values.number("segment.index.bytes"),
            index_interval_bytes: values.number("index.interval.bytes"),
            flush_messages: values.number("flush.messages"),
            flush_ms: values.number("flush.ms"),
            flush: FlushMode::parse(&values.text("tidemark.flush")),
            file_delete_delay_ms: values.number("file.delete.delay.ms"),
            preallocate: values.boolean("preallocate"),
            delete_retention_ms: values.number("delete.retention.ms"),
            min_compaction_lag_ms: values.number("min.compaction.lag.ms"),
            max_compaction_lag_ms: values.number("max.compaction.lag.ms"),
            min_cleanable_dirty_ratio: values.number("min.cleanable.dirty.ratio"),
            leader_throttled_replicas: values.list("leader.replication.throttled.replicas"),
            follower_throttled_replicas: values.list("follower.replication.throttled.replicas"),
        }
    }

    /// How many in-sync replicas acks=all needs: never more than there are replicas.
    pub fn min_isr(&self, replication_factor: usize) -> usize {
        usize::try_from(self.min_insync_replicas).unwrap_or(1).clamp(1, replication_factor.max(1))
    }

    /// `local.retention.ms` with −2 resolved and never above `retention.ms`; −1 keeps forever.
    pub fn effective_local_retention_ms(&self) -> i64 {
        local(self.local_retention_ms, self.retention_ms)
    }

    /// `local.retention.bytes` with −2 resolved and never above `retention.bytes`; −1 keeps all.
    pub fn effective_local_retention_bytes(&self) -> i64 {
        local(self.local_retention_bytes, self.retention_bytes)
    }
}

/// A local limit under a total one; negative limits are none.
fn local(local: i64, total: i64) -> i64 {
    match (local, total) {
        (-2, total) => total,
        (local, total) if total >= 0 && (local < 0 || local > total) => total,
        (local, _) => local,
    }
}

impl TimestampSource {
    /// Reads a value that was checked.
    fn parse(word: &str) -> Self {
        if word == "LogAppendTime" { TimestampSource::LogAppendTime } else { TimestampSource::CreateTime }
    }
}

impl CompressionSetting {
    /// Reads a value that was checked.
    fn parse(word: &str) -> Self {
        match word {
            "uncompressed" => CompressionSetting::Uncompressed,
            "gzip" => CompressionSetting::Gzip,
            "snappy" => CompressionSetting::Snappy,
            "lz4" => CompressionSetting::Lz4,
            "zstd" => CompressionSetting::Zstd,
            _ => CompressionSetting::Producer,
        }
    }
}

impl FlushMode {
    /// Reads a value that was checked.
    fn parse(word: &str) -> Self {
        if word == "async" { FlushMode::Async } else { FlushMode::Commit }
    }
}

/// The strongest legal value of a key and where it is set: the topic, a broker layer (converted), or the default.
fn effective<'a>(
    key: &TopicConfigKey,
    overrides: &'a BTreeMap<String, String>,
    layers: &ConfigLayers<'a>,
) -> (Option<Cow<'a, str>>, ConfigSource) {
    let legal = |value: &str| key.def.check(value).is_ok();
    if let Some(value) = overrides.get(key.def.name).filter(|value| legal(value)) {
        return (Some(Cow::Borrowed(value)), ConfigSource::Topic);
    }
    let of_broker = key.synonyms.iter().find_map(|name| {
        let (value, source) = layers.get(name)?;
        Some((convert(name, value).filter(|value| legal(value))?, source))
    });
    match of_broker {
        Some((value, source)) => (Some(value), source),
        None => (key.def.default.map(Cow::Borrowed), ConfigSource::Default),
    }
}

/// A broker's value in the unit of the topic key; a negative time is "unlimited" in any unit.
fn convert<'a>(name: &str, value: &'a str) -> Option<Cow<'a, str>> {
    let scale = broker_config::table::find(name)?.unit.millis();
    if scale == 1 {
        return Some(Cow::Borrowed(value));
    }
    let number: i64 = value.trim().parse().ok()?;
    let millis = if number < 0 { -1 } else { number.checked_mul(scale)? };
    Some(Cow::Owned(millis.to_string()))
}

/// The strongest legal value of a key, for the operations on lists.
pub fn effective_value(
    name: &str,
    overrides: &BTreeMap<String, String>,
    layers: &ConfigLayers<'_>,
) -> Option<String> {
    effective(table::find(name)?, overrides, layers).0.map(Cow::into_owned)
}

#[cfg(test)]
mod tests;
