//! The table of group keys of Kafka 4.3. Sorted by name, which a test holds.

use crate::metadata::config_def::{ConfigDef, Rule};
use crate::metadata::config_value::ConfigType::{self, Boolean, Int, String};

/// A group key.
#[derive(Clone, Copy, Debug)]
pub struct GroupConfigKey {
    /// The key.
    pub def: ConfigDef,
    /// Broker key that sets the default of groups.
    pub synonym: Option<&'static str>,
    /// Broker keys that bound it.
    pub bounds: Option<Bounds>,
}

/// Broker keys that bound a group key, with their built-in values.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Lower bound.
    pub min: Option<(&'static str, i64)>,
    /// Upper bound.
    pub max: Option<(&'static str, i64)>,
}

const fn key(
    name: &'static str,
    kind: ConfigType,
    default: &'static str,
    rule: Rule,
    synonym: Option<&'static str>,
    bounds: Option<Bounds>,
    doc: &'static str,
) -> GroupConfigKey {
    GroupConfigKey { def: ConfigDef { name, kind, default: Some(default), rule, doc }, synonym, bounds }
}

const fn between(min: &'static str, low: i64, max: &'static str, high: i64) -> Option<Bounds> {
    Some(Bounds { min: Some((min, low)), max: Some((max, high)) })
}

/// All group keys.
#[rustfmt::skip]
pub static GROUP_CONFIGS: &[GroupConfigKey] = &[
    key("consumer.assignment.interval.ms", Int, "1000", Rule::AtLeast(0),
        Some("group.consumer.assignment.interval.ms"),
        between("group.consumer.min.assignment.interval.ms", 0, "group.consumer.max.assignment.interval.ms", 15_000),
        "The least time between two computations of a consumer group's assignment."),
    key("consumer.heartbeat.interval.ms", Int, "5000", Rule::AtLeast(1), Some("group.consumer.heartbeat.interval.ms"),
        between("group.consumer.min.heartbeat.interval.ms", 5_000, "group.consumer.max.heartbeat.interval.ms", 15_000),
        "How often the members of a consumer group send heartbeats."),
    key("consumer.session.timeout.ms", Int, "45000", Rule::AtLeast(1), Some("group.consumer.session.timeout.ms"),
        between("group.consumer.min.session.timeout.ms", 45_000, "group.consumer.max.session.timeout.ms", 60_000),
        "Silence after which a member of a consumer group is removed."),
    key("share.assignment.interval.ms", Int, "1000", Rule::AtLeast(0), Some("group.share.assignment.interval.ms"),
        between("group.share.min.assignment.interval.ms", 0, "group.share.max.assignment.interval.ms", 15_000),
        "The least time between two computations of a share group's assignment."),
    key("share.auto.offset.reset", String, "latest", Rule::ShareOffsetReset, None, None,
        "Where a share group starts on a partition it has not read before."),
    key("share.delivery.count.limit", Int, "5", Rule::AtLeast(2), Some("group.share.delivery.count.limit"),
        between("group.share.min.delivery.count.limit", 2, "group.share.max.delivery.count.limit", 10),
        "Deliveries of a record before a share group gives it up."),
    key("share.heartbeat.interval.ms", Int, "5000", Rule::AtLeast(1), Some("group.share.heartbeat.interval.ms"),
        between("group.share.min.heartbeat.interval.ms", 5_000, "group.share.max.heartbeat.interval.ms", 15_000),
        "How often the members of a share group send heartbeats."),
    key("share.isolation.level", String, "read_uncommitted", Rule::OneOf(&["read_committed", "read_uncommitted"]),
        None, None, "Whether a share group is given records of aborted transactions."),
    key("share.partition.max.record.locks", Int, "2000", Rule::AtLeast(100),
        Some("group.share.partition.max.record.locks"),
        between("group.share.min.partition.max.record.locks", 100,
            "group.share.max.partition.max.record.locks", 4_000),
        "Records of one partition that a share group may have in flight."),
    key("share.record.lock.duration.ms", Int, "30000", Rule::AtLeast(1000),
        Some("group.share.record.lock.duration.ms"),
        between("group.share.min.record.lock.duration.ms", 15_000, "group.share.max.record.lock.duration.ms", 60_000),
        "How long a member of a share group may hold a record before it is delivered again."),
    key("share.renew.acknowledge.enable", Boolean, "true", Rule::Any, None, None,
        "Lets members of a share group prolong their hold on a record."),
    key("share.session.timeout.ms", Int, "45000", Rule::AtLeast(1), Some("group.share.session.timeout.ms"),
        between("group.share.min.session.timeout.ms", 45_000, "group.share.max.session.timeout.ms", 60_000),
        "Silence after which a member of a share group is removed."),
    key("streams.assignment.interval.ms", Int, "1000", Rule::AtLeast(0),
        Some("group.streams.assignment.interval.ms"),
        between("group.streams.min.assignment.interval.ms", 0, "group.streams.max.assignment.interval.ms", 15_000),
        "The least time between two computations of a streams group's assignment."),
    key("streams.heartbeat.interval.ms", Int, "5000", Rule::AtLeast(1), Some("group.streams.heartbeat.interval.ms"),
        between("group.streams.min.heartbeat.interval.ms", 5_000, "group.streams.max.heartbeat.interval.ms", 15_000),
        "How often the members of a streams group send heartbeats."),
    key("streams.initial.rebalance.delay.ms", Int, "3000", Rule::AtLeast(0),
        Some("group.streams.initial.rebalance.delay.ms"), None,
        "How long a new streams group waits for members before the first assignment."),
    key("streams.num.standby.replicas", Int, "0", Rule::AtLeast(0), Some("group.streams.num.standby.replicas"),
        Some(Bounds { min: None, max: Some(("group.streams.max.standby.replicas", 2)) }),
        "Standby copies of each task of a streams group."),
    key("streams.session.timeout.ms", Int, "45000", Rule::AtLeast(1), Some("group.streams.session.timeout.ms"),
        between("group.streams.min.session.timeout.ms", 45_000, "group.streams.max.session.timeout.ms", 60_000),
        "Silence after which a member of a streams group is removed."),
];

/// The row of a group key.
pub fn find(name: &str) -> Option<&'static GroupConfigKey> {
    GROUP_CONFIGS.binary_search_by(|key| key.def.name.cmp(name)).ok().map(|at| &GROUP_CONFIGS[at])
}
