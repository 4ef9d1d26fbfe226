//! The nouns every crate shares: offsets, epochs, ids, and time as a value.
//!
//! Numbers that Kafka sends as plain integers stay plain integers under a name; identities are types.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Position of a record in a partition's log. Ends are exclusive and say so (`log_end`), lasts are inclusive.
pub type Offset = i64;
/// Counts the leaders a partition has had; −1 means unknown.
pub type LeaderEpoch = i32;
/// Id of a broker, unique in the cluster; −1 means none.
pub type BrokerId = i32;
/// Number of a partition within its topic, from 0.
pub type PartitionIndex = i32;
/// Id handed to an idempotent producer; −1 means none.
pub type ProducerId = i64;
/// Counts the incarnations of a producer id; −1 means none.
pub type ProducerEpoch = i16;
/// Milliseconds since 1970-01-01 UTC; −1 means none.
pub type TimestampMs = i64;

/// One reading of the clocks, handed to everything that needs time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Now {
    /// Time since an arbitrary start; never goes back. Deadlines use this.
    pub mono: Duration,
    /// Wall clock in milliseconds since 1970; may jump. Record timestamps and retention use this.
    pub wall_ms: TimestampMs,
}

/// Identity of a topic: a deleted and re-created topic of the same name has another id (KIP-516).
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TopicId(pub Uuid);

impl TopicId {
    /// The id that means "none".
    pub const ZERO: TopicId = TopicId(Uuid::nil());

    /// Whether this is the id that means "none".
    pub fn is_zero(&self) -> bool {
        self.0.is_nil()
    }

    /// Parses the 22 characters of url-safe base64 that Kafka's tools print.
    pub fn parse(text: &str) -> Option<TopicId> {
        let mut value: u128 = 0;
        if text.len() != 22 {
            return None;
        }
        for (i, c) in text.bytes().enumerate() {
            let six = u128::from(decode_sextet(c)?);
            // The last character carries the two remaining bits on top of four zero bits.
            value = if i < 21 { (value << 6) | six } else { (value << 2) | (six >> 4) };
        }
        Some(TopicId(Uuid::from_u128(value)))
    }
}

const SEXTETS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

fn decode_sextet(c: u8) -> Option<u8> {
    SEXTETS.iter().position(|&s| s == c).and_then(|i| u8::try_from(i).ok())
}

/// Url-safe base64 of 16 bytes without padding, as Kafka prints uuids: always 22 characters.
pub fn base64_uuid(id: Uuid) -> String {
    let value = id.as_u128();
    let six = |shift: u32| SEXTETS[((value >> shift) & 63) as usize] as char;
    let mut text: String = (0..21).map(|i| six(122 - 6 * i)).collect();
    text.push(SEXTETS[((value & 3) << 4) as usize] as char);
    text
}

impl fmt::Display for TopicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&base64_uuid(self.0))
    }
}

impl fmt::Debug for TopicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A partition by the name of its topic, as clients before topic ids and directory names say it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicPartition {
    /// Name of the topic.
    pub topic: Arc<str>,
    /// Index of the partition.
    pub partition: PartitionIndex,
}

impl TopicPartition {
    /// A partition by topic name.
    pub fn new(topic: impl Into<Arc<str>>, partition: PartitionIndex) -> Self {
        TopicPartition { topic: topic.into(), partition }
    }
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.topic, self.partition)
    }
}

/// A partition by the identity of its topic: what is stored and journaled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TopicIdPartition {
    /// Identity of the topic.
    pub topic_id: TopicId,
    /// Index of the partition.
    pub partition: PartitionIndex,
}

impl fmt::Display for TopicIdPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.topic_id, self.partition)
    }
}

#[cfg(test)]
mod tests;
