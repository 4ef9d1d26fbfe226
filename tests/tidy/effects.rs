//! Which test shows each topic config in effect: a setting that is stored and does nothing is worse than none.

/// How a config is known to work.
pub enum Effect {
    /// This file has a test of this name, with the config in it.
    Shown(&'static str, &'static str),
    /// It says something about what a single node does not have yet; what is missing.
    Waits(&'static str),
}

use Effect::{Shown, Waits};

const CONFIGS: &str = "tests/broker/configs.rs";
const EFFECTS_OF: &str = "tests/broker/effects.rs";
const LOGS: &str = "tests/broker/logs.rs";
const PRODUCE: &str = "tests/broker/produce.rs";
const LOG_THREAD: &str = "broker/src/partition/log_thread/tests.rs";
const COMPACTION: &str = "compaction_comes_when_it_is_worth_it_when_it_must_and_not_too_early";
const INDEX: &str = "the_index_has_an_entry_for_so_many_bytes_and_a_full_one_ends_the_segment";
const LEVEL: &str = "the_level_of_a_codec_is_the_one_batches_are_packed_with";
const SEGMENTS: &str = "segments_are_of_the_size_and_age_they_are_told";
const FLUSHES: &str = "an_asynchronous_topic_commits_without_a_sync_and_flushes_by_its_own_rules";
const TIMESTAMPS: &str = "timestamps_beyond_the_limits_are_refused";
const TIER: &str = "the remote tier: it cannot be enabled without one";
const REPLICATION: &str = "replication between nodes";

/// Every topic config.
pub const EFFECTS: &[(&str, Effect)] = &[
    ("cleanup.policy", Shown(LOGS, "compaction_keeps_the_last_value_of_each_key_while_reads_go_on")),
    ("compression.gzip.level", Shown(EFFECTS_OF, LEVEL)),
    ("compression.lz4.level", Shown(EFFECTS_OF, LEVEL)),
    ("compression.type", Shown(CONFIGS, "compression_type_recompresses_what_differs")),
    ("compression.zstd.level", Shown(EFFECTS_OF, LEVEL)),
    ("delete.retention.ms", Shown(EFFECTS_OF, "tombstones_stay_as_long_as_they_are_told")),
    ("file.delete.delay.ms", Shown(EFFECTS_OF, "files_of_dropped_segments_stay_as_long_as_they_are_told")),
    ("flush.messages", Shown(LOG_THREAD, FLUSHES)),
    ("flush.ms", Shown(LOG_THREAD, FLUSHES)),
    ("follower.replication.throttled.replicas", Waits(REPLICATION)),
    ("index.interval.bytes", Shown(EFFECTS_OF, INDEX)),
    ("internal.segment.bytes", Shown(CONFIGS, SEGMENTS)),
    ("leader.replication.throttled.replicas", Waits(REPLICATION)),
    ("local.retention.bytes", Waits(TIER)),
    ("local.retention.ms", Waits(TIER)),
    ("max.compaction.lag.ms", Shown(EFFECTS_OF, COMPACTION)),
    ("max.message.bytes", Shown(PRODUCE, "max_message_bytes_is_the_largest_batch")),
    ("message.timestamp.after.max.ms", Shown(PRODUCE, TIMESTAMPS)),
    ("message.timestamp.before.max.ms", Shown(PRODUCE, TIMESTAMPS)),
    ("message.timestamp.type", Shown(CONFIGS, "log_append_time_stamps_with_the_brokers_clock")),
    ("min.cleanable.dirty.ratio", Shown(EFFECTS_OF, COMPACTION)),
    ("min.compaction.lag.ms", Shown(EFFECTS_OF, COMPACTION)),
    ("min.insync.replicas", Shown(LOG_THREAD, "too_small_an_isr_refuses_acks_all_and_commits_nothing")),
    ("preallocate", Shown(EFFECTS_OF, "a_preallocated_segment_has_its_room_at_once")),
    ("remote.log.copy.disable", Waits(TIER)),
    ("remote.log.delete.on.disable", Waits(TIER)),
    ("remote.storage.enable", Waits(TIER)),
    ("retention.bytes", Shown(LOGS, "retention_by_size_drops_whole_segments_and_keeps_the_newest")),
    ("retention.ms", Shown(LOGS, "retention_by_time_drops_old_segments_also_after_the_config_changes")),
    ("segment.bytes", Shown(EFFECTS_OF, "a_preallocated_segment_has_its_room_at_once")),
    ("segment.index.bytes", Shown(EFFECTS_OF, INDEX)),
    ("segment.jitter.ms", Shown(EFFECTS_OF, "jitter_ends_segments_before_their_age")),
    ("segment.ms", Shown(CONFIGS, SEGMENTS)),
    ("tidemark.flush", Shown(LOG_THREAD, FLUSHES)),
    (
        "unclean.leader.election.enable",
        Shown(
            "broker/core/src/metadata/partition_change/tests.rs",
            "a_topic_that_allows_it_elects_uncleanly_by_itself",
        ),
    ),
];
