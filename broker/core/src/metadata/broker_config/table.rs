//! The table of Kafka's broker keys: those that take effect here, and those that tools read back. Sorted by name, which
//! a test holds. A key that can be set is honoured; what has no meaning here is refused rather than ignored.

use crate::metadata::config_def::{ConfigDef, Rule};
use crate::metadata::config_value::ConfigType::{self, Boolean, Double, Int, List, Long, Short, String};

/// A broker key.
#[derive(Clone, Copy, Debug)]
pub struct BrokerConfigKey {
    /// The key.
    pub def: ConfigDef,
    /// What its number counts, so that people may write units.
    pub unit: Unit,
    /// How it can be set.
    pub set: Settable,
}

/// What a number counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Nothing that has units.
    Plain,
    /// Milliseconds.
    Millis,
    /// Minutes.
    Minutes,
    /// Hours.
    Hours,
    /// Bytes.
    Bytes,
}

impl Unit {
    /// Milliseconds in one; 1 for what is not a time.
    pub fn millis(self) -> i64 {
        match self {
            Unit::Plain | Unit::Millis | Unit::Bytes => 1,
            Unit::Minutes => 60_000,
            Unit::Hours => 3_600_000,
        }
    }
}

/// How a key can be set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settable {
    /// In the node's configuration, and while running, for one broker or for all.
    ClusterWide,
    /// In the node's configuration only.
    Static,
    /// Not at all: it tells what is. The text says what to do instead.
    Reported(&'static str),
}

impl Settable {
    /// Whether it can be set while running.
    pub fn is_dynamic(self) -> bool {
        self == Settable::ClusterWide
    }
}

const NODE: &str = "it follows from the [node] and [[listener]] sections of tidemark.toml";
const LATER: &str = "this version has no use for it yet and runs with the value it reports";
const OURS: &str = "Tidemark works differently here and reports a fixed value for tools that ask";
const TIER: &str = "it follows from the [tier] section of tidemark.toml";

const fn row(
    name: &'static str,
    kind: ConfigType,
    unit: Unit,
    default: &'static str,
    rule: Rule,
    set: Settable,
    doc: &'static str,
) -> BrokerConfigKey {
    BrokerConfigKey { def: ConfigDef { name, kind, default: Some(default), rule, doc }, unit, set }
}

/// A key without a default.
const fn unset(
    name: &'static str,
    kind: ConfigType,
    unit: Unit,
    rule: Rule,
    set: Settable,
    doc: &'static str,
) -> BrokerConfigKey {
    BrokerConfigKey { def: ConfigDef { name, kind, default: None, rule, doc }, unit, set }
}

/// Every consumer reads from the leader.
pub const BY_LEADER: &str = "org.apache.kafka.common.replica.LeaderSelector";
/// A consumer reads from a replica in its rack (KIP-392).
pub const BY_RACK: &str = "org.apache.kafka.common.replica.RackAwareReplicaSelector";

const FOREVER: &str = "9223372036854775807";
const UNLIMITED: &str = "2147483647";

/// All broker keys.
#[rustfmt::skip]
pub static BROKER_CONFIGS: &[BrokerConfigKey] = {
    use Rule::{Any, AtLeast, Between, EachOf, MinusOneOrBetween, OneOf, UnlimitedOrPositive};
    use Settable::{ClusterWide, Reported, Static};
    use Unit::{Bytes, Hours, Millis, Minutes, Plain};
    &[
    unset("advertised.listeners", List, Plain, Any, Reported(NODE), "Addresses that clients are told to use."),
    row("authorizer.class.name", String, Plain, "", Any, Reported(OURS), "The authoriser; empty when none is active."),
    row("auto.create.topics.enable", Boolean, Plain, "true", Any, Static,
        "Creates a topic when a client that allows it asks for one that does not exist."),
    row("auto.leader.rebalance.enable", Boolean, Plain, "true", Any, Static,
        "Hands leadership back to preferred replicas in the background."),
    row("broker.heartbeat.interval.ms", Int, Millis, "300", AtLeast(20), Static,
        "How often a broker tells the controller that it lives; Kafka's default is 2000. At most half of the session."),
    row("broker.id", Int, Plain, "-1", Any, Reported(NODE), "Id of this broker."),
    unset("broker.rack", String, Plain, Any, Reported(NODE), "Rack of this broker; replicas spread over racks."),
    row("broker.session.timeout.ms", Int, Millis, "2000", AtLeast(200), Static,
        "Silence after which the controller fences a broker, and the broker itself stops serving; Kafka's default is 9000. \
         Writes to what a dead broker led wait for this. The active controller's value counts: set it alike on all nodes."),
    row("compression.gzip.level", Int, Plain, "-1", MinusOneOrBetween(1, 9), ClusterWide,
        "Default of the topics' compression.gzip.level."),
    row("compression.lz4.level", Int, Plain, "9", Between(1, 17), ClusterWide,
        "Default of the topics' compression.lz4.level."),
    row("compression.type", String, Plain, "producer",
        OneOf(&["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"]), ClusterWide,
        "Default of the topics' compression.type."),
    row("compression.zstd.level", Int, Plain, "3", Between(-131_072, 22), ClusterWide,
        "Default of the topics' compression.zstd.level."),
    row("connections.max.idle.ms", Long, Millis, "600000", Any, Static,
        "Connections without a request for this long are closed; negative keeps them."),
    row("controlled.shutdown.enable", Boolean, Plain, "true", Any, Reported(OURS),
        "A stopping broker hands over before it goes."),
    row("controller.quota.window.num", Int, Plain, "11", AtLeast(1), Static,
        "Samples kept for the quota on creating and deleting partitions."),
    row("controller.quota.window.size.seconds", Int, Plain, "1", AtLeast(1), Static,
        "Length of such a sample in seconds."),
    row("default.replication.factor", Int, Plain, "1", Between(1, 32_767), Static,
        "Replicas of topics whose creator did not say how many."),
    row("delete.topic.enable", Boolean, Plain, "true", Any, Static, "Allows topics to be deleted."),
    row("fetch.max.bytes", Int, Bytes, "57671680", AtLeast(1024), Static,
        "The most bytes of one fetch response, whatever the client asks for."),
    row("follower.replication.throttled.rate", Long, Bytes, FOREVER, AtLeast(0), ClusterWide,
        "Bytes a second that this broker fetches for throttled replicas which are not in sync."),
    row("group.consumer.assignment.interval.ms", Int, Millis, "1000", AtLeast(0), Reported(LATER),
        "Default of the groups' consumer.assignment.interval.ms."),
    row("group.consumer.heartbeat.interval.ms", Int, Millis, "5000", AtLeast(1), Reported(LATER),
        "Default of the groups' consumer.heartbeat.interval.ms."),
    row("group.consumer.max.assignment.interval.ms", Int, Millis, "15000", AtLeast(0), Reported(LATER),
        "Upper bound of consumer.assignment.interval.ms."),
    row("group.consumer.max.heartbeat.interval.ms", Int, Millis, "15000", AtLeast(1), Reported(LATER),
        "Upper bound of consumer.heartbeat.interval.ms."),
    row("group.consumer.max.session.timeout.ms", Int, Millis, "60000", AtLeast(1), Reported(LATER),
        "Upper bound of consumer.session.timeout.ms."),
    row("group.consumer.min.assignment.interval.ms", Int, Millis, "0", AtLeast(0), Reported(LATER),
        "Lower bound of consumer.assignment.interval.ms."),
    row("group.consumer.min.heartbeat.interval.ms", Int, Millis, "5000", AtLeast(1), Reported(LATER),
        "Lower bound of consumer.heartbeat.interval.ms."),
    row("group.consumer.min.session.timeout.ms", Int, Millis, "45000", AtLeast(1), Reported(LATER),
        "Lower bound of consumer.session.timeout.ms."),
    row("group.consumer.session.timeout.ms", Int, Millis, "45000", AtLeast(1), Reported(LATER),
        "Default of the groups' consumer.session.timeout.ms."),
    row("group.coordinator.rebalance.protocols", List, Plain, "classic", Any, Reported(OURS),
        "Group protocols that this broker speaks."),
    row("group.initial.rebalance.delay.ms", Int, Millis, "3000", AtLeast(0), Static,
        "How long the first member of an empty group waits for others before partitions are assigned."),
    row("group.max.session.timeout.ms", Int, Millis, "1800000", AtLeast(0), Static,
        "The longest session timeout a group member may ask for."),
    row("group.max.size", Int, Plain, UNLIMITED, AtLeast(1), Static, "The most members of one group."),
    row("group.min.session.timeout.ms", Int, Millis, "6000", AtLeast(0), Static,
        "The shortest session timeout a group member may ask for."),
    row("inter.broker.protocol.version", String, Plain, "4.3-IV0", Any, Reported(OURS),
        "The release of Kafka whose protocol this broker speaks; gone from Kafka, but tools still ask."),
    row("leader.imbalance.check.interval.seconds", Long, Plain, "300", AtLeast(1), Static,
        "How often the controller checks the balance of leaders, in seconds."),
    row("leader.imbalance.per.broker.percentage", Int, Plain, "10", AtLeast(0), Static,
        "Share of the partitions preferring a broker that others may lead before they are handed back."),
    row("leader.replication.throttled.rate", Long, Bytes, FOREVER, AtLeast(0), ClusterWide,
        "Bytes a second that this broker sends to throttled replicas which are not in sync."),
    row("listener.security.protocol.map", String, Plain,
        "PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT,SASL_SSL:SASL_SSL", Any, Reported(NODE),
        "Security protocol of each listener."),
    row("listeners", List, Plain, "PLAINTEXT://:9092", Any, Reported(NODE), "Addresses that this broker listens on."),
    row("log.cleaner.backoff.ms", Long, Millis, "15000", AtLeast(0), ClusterWide,
        "How long compaction rests when no log is dirty enough."),
    row("log.cleaner.dedupe.buffer.size", Long, Bytes, "134217728", AtLeast(1 << 20), ClusterWide,
        "Memory for the map of keys that all compaction threads share."),
    row("log.cleaner.delete.retention.ms", Long, Millis, "86400000", AtLeast(0), ClusterWide,
        "Default of the topics' delete.retention.ms."),
    row("log.cleaner.enable", Boolean, Plain, "true", Any, Static, "Runs compaction."),
    row("log.cleaner.max.compaction.lag.ms", Long, Millis, FOREVER, AtLeast(1), ClusterWide,
        "Default of the topics' max.compaction.lag.ms."),
    row("log.cleaner.min.cleanable.ratio", Double, Plain, "0.5", Between(0, 1), ClusterWide,
        "Default of the topics' min.cleanable.dirty.ratio."),
    row("log.cleaner.min.compaction.lag.ms", Long, Millis, "0", AtLeast(0), ClusterWide,
        "Default of the topics' min.compaction.lag.ms."),
    row("log.cleaner.threads", Int, Plain, "1", AtLeast(0), ClusterWide, "Compactions that run side by side."),
    row("log.cleanup.policy", List, Plain, "delete", EachOf(&["compact", "delete"]), ClusterWide,
        "Default of the topics' cleanup.policy."),
    unset("log.dirs", List, Plain, Any, Reported(NODE), "Directories that hold the logs."),
    row("log.flush.interval.messages", Long, Plain, FOREVER, AtLeast(1), ClusterWide,
        "Default of the topics' flush.messages."),
    unset("log.flush.interval.ms", Long, Millis, AtLeast(0), ClusterWide, "Default of the topics' flush.ms."),
    row("log.flush.scheduler.interval.ms", Long, Millis, FOREVER, AtLeast(0), Static,
        "Default of the topics' flush.ms where log.flush.interval.ms is not set."),
    row("log.index.interval.bytes", Int, Bytes, "4096", AtLeast(0), ClusterWide,
        "Default of the topics' index.interval.bytes."),
    row("log.index.size.max.bytes", Int, Bytes, "10485760", AtLeast(4), ClusterWide,
        "Default of the topics' segment.index.bytes."),
    row("log.local.retention.bytes", Long, Bytes, "-2", AtLeast(-2), ClusterWide,
        "Default of the topics' local.retention.bytes."),
    row("log.local.retention.ms", Long, Millis, "-2", AtLeast(-2), ClusterWide,
        "Default of the topics' local.retention.ms."),
    row("log.message.timestamp.after.max.ms", Long, Millis, "3600000", AtLeast(0), ClusterWide,
        "Default of the topics' message.timestamp.after.max.ms."),
    row("log.message.timestamp.before.max.ms", Long, Millis, FOREVER, AtLeast(0), ClusterWide,
        "Default of the topics' message.timestamp.before.max.ms."),
    row("log.message.timestamp.type", String, Plain, "CreateTime", OneOf(&["CreateTime", "LogAppendTime"]), ClusterWide,
        "Default of the topics' message.timestamp.type."),
    row("log.preallocate", Boolean, Plain, "false", Any, ClusterWide, "Default of the topics' preallocate."),
    row("log.retention.bytes", Long, Bytes, "-1", Any, ClusterWide, "Default of the topics' retention.bytes."),
    row("log.retention.check.interval.ms", Long, Millis, "300000", AtLeast(1), Static,
        "How often logs are checked for segments that expired."),
    row("log.retention.hours", Int, Hours, "168", UnlimitedOrPositive, Static,
        "Default of the topics' retention.ms in hours, where neither minutes nor milliseconds are set."),
    unset("log.retention.minutes", Int, Minutes, UnlimitedOrPositive, Static,
        "Default of the topics' retention.ms in minutes, where milliseconds are not set."),
    unset("log.retention.ms", Long, Millis, UnlimitedOrPositive, ClusterWide, "Default of the topics' retention.ms."),
    row("log.roll.hours", Int, Hours, "168", AtLeast(1), Static,
        "Default of the topics' segment.ms in hours, where milliseconds are not set."),
    row("log.roll.jitter.hours", Int, Hours, "0", AtLeast(0), Static,
        "Default of the topics' segment.jitter.ms in hours, where milliseconds are not set."),
    unset("log.roll.jitter.ms", Long, Millis, AtLeast(0), ClusterWide, "Default of the topics' segment.jitter.ms."),
    unset("log.roll.ms", Long, Millis, AtLeast(1), ClusterWide, "Default of the topics' segment.ms."),
    row("log.segment.bytes", Int, Bytes, "1073741824", AtLeast(1 << 20), ClusterWide,
        "Default of the topics' segment.bytes."),
    row("log.segment.delete.delay.ms", Long, Millis, "60000", AtLeast(0), ClusterWide,
        "Default of the topics' file.delete.delay.ms."),
    row("max.connections", Int, Plain, UNLIMITED, AtLeast(0), ClusterWide, "The most connections of this broker."),
    row("max.connections.per.ip", Int, Plain, UNLIMITED, AtLeast(0), ClusterWide,
        "The most connections from one address."),
    row("max.incremental.fetch.session.cache.slots", Int, Plain, "1000", AtLeast(0), Static,
        "Fetch sessions that this broker remembers; clients beyond it name all partitions in each fetch."),
    row("max.request.partition.size.limit", Int, Plain, "2000", AtLeast(1), Static,
        "Partitions in one answer to DescribeTopicPartitions; clients ask again for the rest."),
    row("message.max.bytes", Int, Bytes, "1048588", AtLeast(0), ClusterWide, "Default of the topics' max.message.bytes."),
    row("min.insync.replicas", Int, Plain, "2", AtLeast(1), ClusterWide,
        "Default of the topics' min.insync.replicas; never more than a topic has replicas."),
    row("node.id", Int, Plain, "-1", Any, Reported(NODE), "Id of this node."),
    row("num.partitions", Int, Plain, "1", AtLeast(1), Static,
        "Partitions of topics whose creator did not say how many."),
    row("num.replica.fetchers", Int, Plain, "1", AtLeast(1), Reported(OURS),
        "Connections by which a follower fetches from one leader."),
    row("offset.metadata.max.bytes", Int, Bytes, "4096", AtLeast(0), Static,
        "The longest text a client may attach to a committed offset."),
    row("offsets.commit.timeout.ms", Int, Millis, "5000", AtLeast(1), Static,
        "How long an offset commit may wait until it is replicated."),
    row("offsets.retention.check.interval.ms", Long, Millis, "600000", AtLeast(1), Static,
        "How often committed offsets are checked for expiry."),
    row("offsets.retention.minutes", Int, Minutes, "10080", AtLeast(1), Static,
        "How long the offsets of a group without members are kept."),
    row("offsets.topic.num.partitions", Int, Plain, "50", AtLeast(1), Static,
        "Partitions of the offsets topic; must not change once it exists."),
    row("offsets.topic.replication.factor", Short, Plain, "3", AtLeast(1), Static,
        "Replicas of the offsets topic; fewer while there are fewer brokers."),
    row("offsets.topic.segment.bytes", Int, Bytes, "104857600", AtLeast(1 << 20), Static,
        "Segment size of the offsets topic; small ones compact and load faster."),
    row("process.roles", List, Plain, "broker,controller", Any, Reported(NODE), "What this node is."),
    row("producer.id.expiration.ms", Int, Millis, "86400000", AtLeast(1), ClusterWide,
        "How long a partition remembers an idempotent producer that writes nothing."),
    row("queued.max.request.bytes", Long, Bytes, "-1", MinusOneOrBetween(1 << 20, i64::MAX), Static,
        "Bytes of requests in work before connections are no longer read; -1 lets the broker choose."),
    row("quota.window.num", Int, Plain, "11", AtLeast(1), Static, "Samples kept for client quotas."),
    row("quota.window.size.seconds", Int, Plain, "1", AtLeast(1), Static,
        "Length of a sample for client quotas in seconds; a client that takes too much request time rests no longer."),
    row("remote.log.manager.task.interval.ms", Long, Millis, "30000", AtLeast(1), Reported(TIER),
        "How often closed segments are looked for to copy to remote storage."),
    row("remote.log.storage.system.enable", Boolean, Plain, "false", Any, Reported(TIER),
        "Whether remote storage is available to topics."),
    row("replica.alter.log.dirs.io.max.bytes.per.second", Long, Bytes, FOREVER, Any, Reported(OURS),
        "Bytes a second that move between data directories; a node has one, so nothing does."),
    row("replica.fetch.backoff.ms", Int, Millis, "100", AtLeast(0), Reported(OURS),
        "How long a follower waits after an answer that was of no use."),
    row("replica.fetch.max.bytes", Int, Bytes, "1048576", AtLeast(0), Reported(OURS),
        "Bytes a follower is sent of one partition at a time."),
    row("replica.fetch.min.bytes", Int, Bytes, "1", Any, Reported(OURS), "Bytes a follower waits for."),
    row("replica.fetch.response.max.bytes", Int, Bytes, "8388608", AtLeast(0), Reported(OURS),
        "Bytes a follower is sent at a time."),
    row("replica.fetch.wait.max.ms", Int, Millis, "500", Any, Reported(OURS),
        "How long a follower's question waits at the leader for something to say."),
    row("replica.lag.time.max.ms", Long, Millis, "30000", AtLeast(500), Static,
        "Lag after which a follower is no longer in sync; not below replica.fetch.wait.max.ms."),
    unset("replica.selector.class", String, Plain, OneOf(&[BY_LEADER, BY_RACK]), Static,
        "How consumers find a near replica: by their client.rack, or not at all, which is the default."),
    row("request.timeout.ms", Int, Millis, "30000", Any, Reported(OURS), "How long this broker waits for another."),
    row("socket.listen.backlog.size", Int, Plain, "50", AtLeast(1), Static,
        "Connections that may wait to be accepted."),
    row("socket.request.max.bytes", Int, Bytes, "104857600", AtLeast(1024), Static,
        "The largest request; a connection that announces a larger one is closed."),
    unset("tidemark.admin.url", String, Plain, Any, Reported("it follows from admin.bind in tidemark.toml"),
        "Where this broker's admin port is: metrics, health, and what operators do to the cluster."),
    row("tidemark.flush", String, Plain, "commit", OneOf(&["commit", "async"]), ClusterWide,
        "Default of the topics' tidemark.flush."),
    row("transaction.max.timeout.ms", Int, Millis, "900000", AtLeast(1), Reported(LATER),
        "The longest transaction timeout a producer may ask for."),
    row("transaction.state.log.min.isr", Int, Plain, "2", AtLeast(1), Reported(LATER),
        "min.insync.replicas of the transaction topic."),
    row("transaction.state.log.num.partitions", Int, Plain, "50", AtLeast(1), Reported(LATER),
        "Partitions of the transaction topic."),
    row("transaction.state.log.replication.factor", Short, Plain, "3", AtLeast(1), Reported(LATER),
        "Replicas of the transaction topic."),
    row("transaction.state.log.segment.bytes", Int, Bytes, "104857600", AtLeast(1), Reported(LATER),
        "Segment size of the transaction topic."),
    row("transactional.id.expiration.ms", Int, Millis, "604800000", AtLeast(1), Reported(LATER),
        "How long an unused transactional id is remembered."),
    row("unclean.leader.election.enable", Boolean, Plain, "false", Any, ClusterWide,
        "Default of the topics' unclean.leader.election.enable."),
    ]
};

/// Broker keys that stand in for another where that is not set, strongest first.
pub static FALLBACKS: &[(&str, &[&str])] = &[
    ("log.flush.interval.ms", &["log.flush.scheduler.interval.ms"]),
    ("log.retention.minutes", &["log.retention.hours"]),
    ("log.retention.ms", &["log.retention.minutes", "log.retention.hours"]),
    ("log.roll.jitter.ms", &["log.roll.jitter.hours"]),
    ("log.roll.ms", &["log.roll.hours"]),
];

/// The row of a broker key.
pub fn find(name: &str) -> Option<&'static BrokerConfigKey> {
    BROKER_CONFIGS.binary_search_by(|key| key.def.name.cmp(name)).ok().map(|at| &BROKER_CONFIGS[at])
}
