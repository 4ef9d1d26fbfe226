//! Kafka's broker keys: those we honour or report, their layers, typed effective values, validation, description.
//!
//! Static values come from `kafka.*` of the node's configuration, dynamic ones from the metadata quorum. Every key that
//! can be set changes a field of [`BrokerSettings`] or of [`TopicSettings`](super::TopicSettings), which a test holds.

pub mod describe;
pub mod table;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use tidemark_protocol::types::BrokerId;

use super::config_def::Typed;
use super::config_layers::ConfigLayers;
use super::config_value::ConfigProblem;
use super::image::ClusterImage;
use super::suggestion;
use super::units;
pub use describe::{NodeFacts, describe, describe_default};
use table::{BROKER_CONFIGS, BrokerConfigKey, Settable, Unit};

/// The static configuration of a broker: what `kafka.*` of its file, environment and command line say, validated, in
/// Kafka's plain units.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BrokerConfigs {
    statics: Arc<BTreeMap<String, String>>,
}

/// Effective configuration of a broker. Defaults of topics are in [`TopicSettings`](super::TopicSettings).
#[derive(Clone, Debug, PartialEq)]
pub struct BrokerSettings {
    /// `num.partitions`.
    pub num_partitions: i32,
    /// `default.replication.factor`.
    pub default_replication_factor: i16,
    /// `auto.create.topics.enable`.
    pub auto_create_topics: bool,
    /// `delete.topic.enable`.
    pub delete_topic_enable: bool,
    /// `auto.leader.rebalance.enable`.
    pub auto_leader_rebalance: bool,
    /// `leader.imbalance.check.interval.seconds`.
    pub leader_imbalance_check_interval_seconds: i64,
    /// `leader.imbalance.per.broker.percentage`.
    pub leader_imbalance_per_broker_percentage: i32,
    /// `broker.heartbeat.interval.ms`.
    pub broker_heartbeat_interval_ms: i32,
    /// `broker.session.timeout.ms`.
    pub broker_session_timeout_ms: i32,
    /// `replica.lag.time.max.ms`.
    pub replica_lag_time_max_ms: i64,
    /// `max.request.partition.size.limit`: partitions in one DescribeTopicPartitions answer.
    pub max_request_partition_size_limit: i32,

    /// `socket.request.max.bytes`.
    pub socket_request_max_bytes: i32,
    /// `socket.listen.backlog.size`.
    pub socket_listen_backlog_size: i32,
    /// `queued.max.request.bytes`; −1 leaves the choice to the broker.
    pub queued_max_request_bytes: i64,
    /// `connections.max.idle.ms`; negative keeps idle connections.
    pub connections_max_idle_ms: i64,
    /// `max.connections`.
    pub max_connections: i32,
    /// `max.connections.per.ip`.
    pub max_connections_per_ip: i32,
    /// `fetch.max.bytes`.
    pub fetch_max_bytes: i32,
    /// `replica.selector.class` is the rack-aware one.
    pub selects_replica_by_rack: bool,
    /// `max.incremental.fetch.session.cache.slots`.
    pub fetch_session_cache_slots: i32,

    /// `quota.window.num`.
    pub quota_window_num: i32,
    /// `quota.window.size.seconds`.
    pub quota_window_size_seconds: i32,
    /// `controller.quota.window.num`.
    pub controller_quota_window_num: i32,
    /// `controller.quota.window.size.seconds`.
    pub controller_quota_window_size_seconds: i32,

    /// `leader.replication.throttled.rate`, bytes a second.
    pub leader_replication_throttled_rate: i64,
    /// `follower.replication.throttled.rate`, bytes a second.
    pub follower_replication_throttled_rate: i64,

    /// `log.retention.check.interval.ms`.
    pub log_retention_check_interval_ms: i64,
    /// `log.cleaner.enable`.
    pub log_cleaner_enable: bool,
    /// `log.cleaner.threads`.
    pub log_cleaner_threads: i32,
    /// `log.cleaner.backoff.ms`.
    pub log_cleaner_backoff_ms: i64,
    /// `log.cleaner.dedupe.buffer.size`, for all threads together.
    pub log_cleaner_dedupe_buffer_bytes: i64,
    /// `producer.id.expiration.ms`.
    pub producer_id_expiration_ms: i32,

    /// `offsets.topic.num.partitions`.
    pub offsets_topic_num_partitions: i32,
    /// `offsets.topic.replication.factor`.
    pub offsets_topic_replication_factor: i16,
    /// `offsets.topic.segment.bytes`.
    pub offsets_topic_segment_bytes: i32,
    /// `offsets.retention.minutes`, in milliseconds.
    pub offsets_retention_ms: i64,
    /// `offsets.retention.check.interval.ms`.
    pub offsets_retention_check_interval_ms: i64,
    /// `offsets.commit.timeout.ms`.
    pub offsets_commit_timeout_ms: i32,
    /// `offset.metadata.max.bytes`.
    pub offset_metadata_max_bytes: i32,
    /// `group.min.session.timeout.ms`.
    pub group_min_session_timeout_ms: i32,
    /// `group.max.session.timeout.ms`.
    pub group_max_session_timeout_ms: i32,
    /// `group.initial.rebalance.delay.ms`.
    pub group_initial_rebalance_delay_ms: i32,
    /// `group.max.size`.
    pub group_max_size: i32,
}

impl BrokerConfigs {
    /// Validates `kafka.*`: all problems at once; unknown keys come with a suggestion. Human units are accepted.
    pub fn parse(raw: &BTreeMap<String, String>) -> Result<Self, Vec<ConfigProblem>> {
        let mut statics = BTreeMap::new();
        let mut problems = Vec::new();
        for (name, value) in raw {
            match check_static(name, value) {
                Ok(plain) => {
                    statics.insert(name.clone(), plain);
                }
                Err(problem) => problems.push(problem),
            }
        }
        problems.extend(check_together(&ConfigLayers { statics: Some(&statics), ..ConfigLayers::default() }));
        if problems.is_empty() { Ok(BrokerConfigs { statics: Arc::new(statics) }) } else { Err(problems) }
    }

    /// The keys that were set, with plain values.
    pub fn statics(&self) -> &Arc<BTreeMap<String, String>> {
        &self.statics
    }

    /// The layers of broker `id` as of `image`.
    pub fn layers<'a>(&'a self, image: &'a ClusterImage, id: BrokerId) -> ConfigLayers<'a> {
        ConfigLayers::of_broker(image, id, &self.statics)
    }

    /// Effective values of broker `id` as of `image`.
    pub fn settings(&self, image: &ClusterImage, id: BrokerId) -> BrokerSettings {
        BrokerSettings::resolve(&self.layers(image, id))
    }
}

impl BrokerSettings {
    /// Effective values from the layers.
    pub fn resolve(layers: &ConfigLayers<'_>) -> Self {
        let values = Typed(|name| Cow::Borrowed(effective(layers, name)));
        BrokerSettings {
            num_partitions: values.number("num.partitions"),
            default_replication_factor: values.number("default.replication.factor"),
            auto_create_topics: values.boolean("auto.create.topics.enable"),
            delete_topic_enable: values.boolean("delete.topic.enable"),
            auto_leader_rebalance: values.boolean("auto.leader.rebalance.enable"),
            leader_imbalance_check_interval_seconds: values.number("leader.imbalance.check.interval.seconds"),
            leader_imbalance_per_broker_percentage: values.number("leader.imbalance.per.broker.percentage"),
            broker_heartbeat_interval_ms: values.number("broker.heartbeat.interval.ms"),
            broker_session_timeout_ms: values.number("broker.session.timeout.ms"),
            replica_lag_time_max_ms: values.number("replica.lag.time.max.ms"),
            max_request_partition_size_limit: values.number("max.request.partition.size.limit"),
            socket_request_max_bytes: values.number("socket.request.max.bytes"),
            socket_listen_backlog_size: values.number("socket.listen.backlog.size"),
            queued_max_request_bytes: values.number("queued.max.request.bytes"),
            connections_max_idle_ms: values.number("connections.max.idle.ms"),
            max_connections: values.number("max.connections"),
            max_connections_per_ip: values.number("max.connections.per.ip"),
            fetch_max_bytes: values.number("fetch.max.bytes"),
            selects_replica_by_rack: values.text("replica.selector.class") == table::BY_RACK,
            fetch_session_cache_slots: values.number("max.incremental.fetch.session.cache.slots"),
            quota_window_num: values.number("quota.window.num"),
            quota_window_size_seconds: values.number("quota.window.size.seconds"),
            controller_quota_window_num: values.number("controller.quota.window.num"),
            controller_quota_window_size_seconds: values.number("controller.quota.window.size.seconds"),
            leader_replication_throttled_rate: values.number("leader.replication.throttled.rate"),
            follower_replication_throttled_rate: values.number("follower.replication.throttled.rate"),
            log_retention_check_interval_ms: values.number("log.retention.check.interval.ms"),
            log_cleaner_enable: values.boolean("log.cleaner.enable"),
            log_cleaner_threads: values.number("log.cleaner.threads"),
            log_cleaner_backoff_ms: values.number("log.cleaner.backoff.ms"),
            log_cleaner_dedupe_buffer_bytes: values.number("log.cleaner.dedupe.buffer.size"),
            producer_id_expiration_ms: values.number("producer.id.expiration.ms"),
            offsets_topic_num_partitions: values.number("offsets.topic.num.partitions"),
            offsets_topic_replication_factor: values.number("offsets.topic.replication.factor"),
            offsets_topic_segment_bytes: values.number("offsets.topic.segment.bytes"),
            offsets_retention_ms: values.number::<i64>("offsets.retention.minutes") * Unit::Minutes.millis(),
            offsets_retention_check_interval_ms: values.number("offsets.retention.check.interval.ms"),
            offsets_commit_timeout_ms: values.number("offsets.commit.timeout.ms"),
            offset_metadata_max_bytes: values.number("offset.metadata.max.bytes"),
            group_min_session_timeout_ms: values.number("group.min.session.timeout.ms"),
            group_max_session_timeout_ms: values.number("group.max.session.timeout.ms"),
            group_initial_rebalance_delay_ms: values.number("group.initial.rebalance.delay.ms"),
            group_max_size: values.number("group.max.size"),
        }
    }
}

/// The strongest legal value of a key, or its default. A stored value that is not legal (written by another version)
/// counts as not set.
pub(super) fn effective<'a>(layers: &ConfigLayers<'a>, name: &str) -> &'a str {
    let key = table::find(name).expect("only keys of the table are asked for");
    let set = layers.by_strength().find_map(|(layer, _)| legal(key, layer.get(name)?));
    set.or(key.def.default).unwrap_or_default()
}

/// The value, if the key can be set and to this.
pub(super) fn legal<'a>(key: &BrokerConfigKey, value: &'a str) -> Option<&'a str> {
    key.def.check(value).is_ok().then_some(value)
}

/// Checks one static key; answers the value in Kafka's units.
fn check_static(name: &str, value: &str) -> Result<String, ConfigProblem> {
    let key = table::find(name).ok_or_else(|| unknown(name))?;
    if let Settable::Reported(why) = key.set {
        let message = format!("{name} cannot be set: {why}");
        return Err(ConfigProblem { key: name.to_owned(), message });
    }
    let plain = plain(key, value)?;
    key.def.check(&plain)?;
    Ok(plain)
}

fn unknown(name: &str) -> ConfigProblem {
    let settable = BROKER_CONFIGS.iter().filter(|key| !matches!(key.set, Settable::Reported(_)));
    let message = match suggestion::nearest(name, settable.map(|key| key.def.name)) {
        Some(near) => format!("Unknown broker config name: {name}. Did you mean {near}?"),
        None => format!("Unknown broker config name: {name}"),
    };
    ConfigProblem { key: name.to_owned(), message }
}

/// The value in Kafka's units: `7d` of a key in hours is 168.
fn plain(key: &BrokerConfigKey, value: &str) -> Result<String, ConfigProblem> {
    let value = value.trim();
    if value.parse::<i64>().is_ok() {
        return Ok(value.to_owned());
    }
    let number = match key.unit {
        Unit::Plain => return Ok(value.to_owned()),
        Unit::Bytes => units::parse_bytes(value),
        Unit::Millis | Unit::Minutes | Unit::Hours => units::parse_duration_ms(value),
    };
    let number = number.map_err(|error| key.def.problem(value, &format!("not {}", error.expected)))?;
    if number % key.unit.millis() != 0 {
        return Err(key.def.problem(value, "not a whole number of the key's unit"));
    }
    Ok((number / key.unit.millis()).to_string())
}

/// Rules between keys.
fn check_together(layers: &ConfigLayers<'_>) -> Vec<ConfigProblem> {
    let settings = BrokerSettings::resolve(layers);
    let mut problems = Vec::new();
    let mut refuse =
        |key: &str, message: String| problems.push(ConfigProblem { key: key.to_owned(), message });
    let (min, max) = (settings.group_min_session_timeout_ms, settings.group_max_session_timeout_ms);
    if min > max {
        let key = "group.max.session.timeout.ms";
        refuse(key, format!("{key} ({max}) must not be below group.min.session.timeout.ms ({min})"));
    }
    let (beat, session) = (settings.broker_heartbeat_interval_ms, settings.broker_session_timeout_ms);
    if beat > session / 2 {
        // One heartbeat that is lost must not end the session.
        let key = "broker.session.timeout.ms";
        refuse(
            key,
            format!("{key} ({session}) must be at least twice broker.heartbeat.interval.ms ({beat})"),
        );
    }
    let lag = |name| effective(layers, name).parse::<i64>().expect("effective values were checked");
    let (min_key, max_key) = ("log.cleaner.min.compaction.lag.ms", "log.cleaner.max.compaction.lag.ms");
    let (min, max) = (lag(min_key), lag(max_key));
    if min > max {
        refuse(min_key, format!("{min_key} ({min}) must not be above {max_key} ({max})"));
    }
    problems
}

/// Why a dynamic change was refused; Kafka has different codes for the two.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DynamicProblem {
    /// No such key: INVALID_CONFIG.
    Unknown(ConfigProblem),
    /// Not this key, or not this value: INVALID_REQUEST.
    Refused(ConfigProblem),
}

/// Validates a full set of dynamic values of one broker or of all. `layers` are those without this set.
pub fn validate_dynamic(
    after: &BTreeMap<String, String>,
    layers: &ConfigLayers<'_>,
) -> Result<(), DynamicProblem> {
    let mut fixed = Vec::new();
    for (name, value) in after {
        let key = table::find(name).ok_or_else(|| DynamicProblem::Unknown(unknown(name)))?;
        if !key.set.is_dynamic() {
            fixed.push(name.as_str());
            continue;
        }
        key.def.check(value).map_err(DynamicProblem::Refused)?;
    }
    if let Some(first) = fixed.first() {
        let message = format!("Cannot update these configs dynamically: [{}]", fixed.join(", "));
        return Err(DynamicProblem::Refused(ConfigProblem { key: (*first).to_owned(), message }));
    }
    match check_together(&ConfigLayers { dynamic_broker: Some(after), ..*layers }).pop() {
        Some(problem) => Err(DynamicProblem::Refused(problem)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
