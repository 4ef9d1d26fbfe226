//! The table of topic keys: Kafka 4.3's 33, its internal one, and `tidemark.flush`. Sorted by name, which a test holds.

use crate::metadata::config_def::{ConfigDef, Rule};
use crate::metadata::config_value::ConfigType::{self, Boolean, Double, Int, List, Long, String};

/// A topic key and the broker keys that supply its default.
#[derive(Clone, Copy, Debug)]
pub struct TopicConfigKey {
    /// The key.
    pub def: ConfigDef,
    /// Broker keys that set the default of topics, strongest first.
    pub synonyms: &'static [&'static str],
    /// Accepted, but not described: for tests of the storage.
    pub hidden: bool,
}

const fn key(
    name: &'static str,
    kind: ConfigType,
    default: &'static str,
    rule: Rule,
    synonyms: &'static [&'static str],
    doc: &'static str,
) -> TopicConfigKey {
    let def = ConfigDef { name, kind, default: Some(default), rule, doc };
    TopicConfigKey { def, synonyms, hidden: false }
}

const FOREVER: &str = "9223372036854775807";

/// The smallest legal `segment.bytes`.
pub const SEGMENT_BYTES_MIN: i64 = 1 << 20;

/// All topic keys.
#[rustfmt::skip]
pub static TOPIC_CONFIGS: &[TopicConfigKey] = &[
    key("cleanup.policy", List, "delete", Rule::EachOf(&["compact", "delete"]), &["log.cleanup.policy"],
        "What happens to old segments: 'delete' drops them by age or size, 'compact' keeps the last record of each key; \
         both may be combined. An empty list keeps everything."),
    key("compression.gzip.level", Int, "-1", Rule::MinusOneOrBetween(1, 9), &["compression.gzip.level"],
        "Level at which batches are packed when compression.type is gzip; -1 takes the codec's default."),
    key("compression.lz4.level", Int, "9", Rule::Between(1, 17), &["compression.lz4.level"],
        "Level at which batches are packed when compression.type is lz4."),
    key("compression.type", String, "producer",
        Rule::OneOf(&["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"]), &["compression.type"],
        "Codec of the batches in the log. 'producer' keeps what the producer chose and costs nothing; any other repacks \
         batches that arrive in another form."),
    key("compression.zstd.level", Int, "3", Rule::Between(-131_072, 22), &["compression.zstd.level"],
        "Level at which batches are packed when compression.type is zstd."),
    key("delete.retention.ms", Long, "86400000", Rule::AtLeast(0), &["log.cleaner.delete.retention.ms"],
        "How long the markers of deleted keys stay in a compacted topic, so that a reader from the start sees them."),
    key("file.delete.delay.ms", Long, "60000", Rule::AtLeast(0), &["log.segment.delete.delay.ms"],
        "How long the files of a dropped segment stay on disk for readers that still use them."),
    key("flush.messages", Long, FOREVER, Rule::AtLeast(1), &["log.flush.interval.messages"],
        "Syncs the log to disk after this many records, on top of what tidemark.flush demands."),
    key("flush.ms", Long, FOREVER, Rule::AtLeast(0), &["log.flush.interval.ms", "log.flush.scheduler.interval.ms"],
        "Syncs the log to disk at least this often while it is written, on top of what tidemark.flush demands."),
    key("follower.replication.throttled.replicas", List, "", Rule::ThrottledReplicas, &[],
        "Replicas (partition:broker, or * for all) that obey the throttled rate as followers."),
    key("index.interval.bytes", Int, "4096", Rule::AtLeast(0), &["log.index.interval.bytes"],
        "Bytes of log between two entries of the offset index: smaller finds faster and indexes more."),
    TopicConfigKey {
        def: ConfigDef {
            name: "internal.segment.bytes", kind: Int, default: None, rule: Rule::AtLeast(14),
            doc: "Overrides segment.bytes below its smallest value. For tests only.",
        },
        synonyms: &[],
        hidden: true,
    },
    key("leader.replication.throttled.replicas", List, "", Rule::ThrottledReplicas, &[],
        "Replicas (partition:broker, or * for all) that obey the throttled rate as leaders."),
    key("local.retention.bytes", Long, "-2", Rule::AtLeast(-2), &["log.local.retention.bytes"],
        "Bytes of a partition kept on local disk once they are in remote storage; -2 follows retention.bytes."),
    key("local.retention.ms", Long, "-2", Rule::AtLeast(-2), &["log.local.retention.ms"],
        "How long segments stay on local disk once they are in remote storage; -2 follows retention.ms."),
    key("max.compaction.lag.ms", Long, FOREVER, Rule::AtLeast(1), &["log.cleaner.max.compaction.lag.ms"],
        "The longest a record of a compacted topic may wait for compaction; it also rolls segments that old."),
    key("max.message.bytes", Int, "1048588", Rule::AtLeast(0), &["message.max.bytes"],
        "The largest record batch accepted, after compression and with its header."),
    key("message.timestamp.after.max.ms", Long, "3600000", Rule::AtLeast(0), &["log.message.timestamp.after.max.ms"],
        "How far a record's timestamp may lie ahead of the broker's clock; ignored with LogAppendTime."),
    key("message.timestamp.before.max.ms", Long, FOREVER, Rule::AtLeast(0), &["log.message.timestamp.before.max.ms"],
        "How far a record's timestamp may lie behind the broker's clock; ignored with LogAppendTime."),
    key("message.timestamp.type", String, "CreateTime", Rule::OneOf(&["CreateTime", "LogAppendTime"]),
        &["log.message.timestamp.type"],
        "Whose clock stamps records: the producer's (CreateTime) or the broker's at the append (LogAppendTime)."),
    key("min.cleanable.dirty.ratio", Double, "0.5", Rule::Between(0, 1), &["log.cleaner.min.cleanable.ratio"],
        "Share of a compacted log that must be uncompacted before compaction looks at it."),
    key("min.compaction.lag.ms", Long, "0", Rule::AtLeast(0), &["log.cleaner.min.compaction.lag.ms"],
        "The least time a record of a compacted topic stays as it is."),
    key("min.insync.replicas", Int, "2", Rule::AtLeast(1), &["min.insync.replicas"],
        "In-sync replicas without which writes with acks=all are refused. Never more than the replicas there are: the \
         default of 2 means 1 for a topic with one replica."),
    key("preallocate", Boolean, "false", Rule::Any, &["log.preallocate"],
        "Reserves the whole size of a new segment on disk at once."),
    key("remote.log.copy.disable", Boolean, "false", Rule::Any, &[],
        "Stops copying to remote storage; what is there stays readable until it expires."),
    key("remote.log.delete.on.disable", Boolean, "false", Rule::Any, &[],
        "Allows turning remote storage off for the topic, which erases what is stored there."),
    key("remote.storage.enable", Boolean, "false", Rule::Any, &[],
        "Keeps closed segments in remote storage. To turn it off again, allow remote.log.delete.on.disable too."),
    key("retention.bytes", Long, "-1", Rule::Any, &["log.retention.bytes"],
        "Bytes a partition may hold before its oldest segments are deleted; -1 is no limit. Needs the delete policy."),
    key("retention.ms", Long, "604800000", Rule::AtLeast(-1),
        &["log.retention.ms", "log.retention.minutes", "log.retention.hours"],
        "Age at which segments are deleted, by their newest record; -1 keeps them. Needs the delete policy."),
    key("segment.bytes", Int, "1073741824", Rule::AtLeast(SEGMENT_BYTES_MIN), &["log.segment.bytes"],
        "Size at which the log starts a new segment file. Retention and compaction work on whole closed segments."),
    key("segment.index.bytes", Int, "10485760", Rule::AtLeast(4), &["log.index.size.max.bytes"],
        "Size at which a full offset index makes the log start a new segment."),
    key("segment.jitter.ms", Long, "0", Rule::AtLeast(0), &["log.roll.jitter.ms", "log.roll.jitter.hours"],
        "Random share by which segments start earlier than segment.ms, so that they do not all start at once."),
    key("segment.ms", Long, "604800000", Rule::AtLeast(1), &["log.roll.ms", "log.roll.hours"],
        "Age at which the log starts a new segment even if the current one is small, so that it can expire."),
    key("tidemark.flush", String, "commit", Rule::OneOf(&["commit", "async"]), &["tidemark.flush"],
        "When records count as written: 'commit' waits for the disk before they are acknowledged with acks=all and \
         readable; 'async' trusts the page cache and the other replicas, as Apache Kafka does."),
    key("unclean.leader.election.enable", Boolean, "false", Rule::Any, &["unclean.leader.election.enable"],
        "Lets a replica that is not in sync lead when no other is left, at the price of lost records."),
];

/// The row of a topic key.
pub fn find(name: &str) -> Option<&'static TopicConfigKey> {
    TOPIC_CONFIGS.binary_search_by(|key| key.def.name.cmp(name)).ok().map(|at| &TOPIC_CONFIGS[at])
}
