//! What a described configuration is made of: types, sources, entries, problems. Codes are Kafka's.

use thiserror::Error;

/// Type of a configuration value, with Kafka's code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i8)]
pub enum ConfigType {
    /// `true` or `false`.
    Boolean = 1,
    /// Text.
    String = 2,
    /// 32-bit integer.
    Int = 3,
    /// 16-bit integer.
    Short = 4,
    /// 64-bit integer.
    Long = 5,
    /// 64-bit float.
    Double = 6,
    /// Comma-separated texts.
    List = 7,
    /// Name of a Java class: kept for tools, never loaded.
    Class = 8,
    /// A secret: never described.
    Password = 9,
}

/// Where an effective value comes from, with Kafka's code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(i8)]
pub enum ConfigSource {
    /// Override of the topic.
    Topic = 1,
    /// Dynamic configuration of one broker.
    DynamicBroker = 2,
    /// Dynamic configuration of all brokers.
    DynamicDefaultBroker = 3,
    /// The broker's file, environment or command line.
    StaticBroker = 4,
    /// Built in.
    Default = 5,
    /// Override of a client metrics subscription.
    ClientMetrics = 7,
    /// Override of a group.
    Group = 8,
}

/// One described key, as DescribeConfigs returns it.
#[derive(Clone, Debug, PartialEq)]
pub struct ConfigEntry {
    /// The key.
    pub name: &'static str,
    /// Effective value; `None` for sensitive ones and for keys without a value.
    pub value: Option<String>,
    /// Where it comes from.
    pub source: ConfigSource,
    /// All values that could apply, the winner first.
    pub synonyms: Vec<ConfigSynonym>,
    /// Type.
    pub kind: ConfigType,
    /// It can only be set in the broker's file.
    pub read_only: bool,
    /// Its value is a secret.
    pub sensitive: bool,
    /// What it does.
    pub documentation: &'static str,
}

/// One of the values that could apply to a key.
#[derive(Clone, Debug, PartialEq)]
pub struct ConfigSynonym {
    /// The key at that place, as `log.retention.hours`.
    pub name: &'static str,
    /// The value at that place, not converted.
    pub value: Option<String>,
    /// The place.
    pub source: ConfigSource,
}

/// What is wrong with a key or its value, in Kafka's words where Kafka has them.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{message}")]
pub struct ConfigProblem {
    /// The key.
    pub key: String,
    /// The text.
    pub message: String,
}
