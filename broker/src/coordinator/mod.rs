//! Coordinators: state machines of `core` over the partitions of an internal topic, each in a task of its own.
//!
//! ```text
//! handler ─▶ GroupShards: key → partition → shard ─▶ mailbox ─▶ Coordinator task: handle, replay, append
//!                                                                     │
//! handler ◀──────────────── answers, once the high watermark passed ◀─┘
//! ```
//! A shard exists while this broker leads its partition. A shard without groups has no timers: its task sleeps.

pub mod group;
pub mod log;
pub mod runtime;

/// The partition of an internal topic that is in charge of `key`, of `partitions` there are: Java's `String.hashCode`,
/// made positive as Kafka does it. Clients do not compute it, tools and mirrored logs do.
pub fn shard_of(key: &str, partitions: usize) -> i32 {
    let hash =
        key.encode_utf16().fold(0i32, |hash, unit| hash.wrapping_mul(31).wrapping_add(i32::from(unit)));
    // The one value that has no positive counterpart becomes 0.
    let positive = hash.checked_abs().unwrap_or(0);
    positive % i32::try_from(partitions.max(1)).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use super::shard_of;

    #[test]
    fn keys_go_where_kafka_puts_them() {
        // Values of Java's "…".hashCode().
        assert_eq!(shard_of("", 50), 0);
        assert_eq!(shard_of("a", 1_000), 97);
        assert_eq!(shard_of("console-consumer-1", i32::MAX as usize), hash("console-consumer-1").abs());
        // 31 * 55357 + 56832: UTF-16 units, not characters.
        assert_eq!(shard_of("\u{1F600}", i32::MAX as usize), 1_772_899);
        // "polygenelubricants" is the known word whose hash is the smallest integer.
        assert_eq!(shard_of("polygenelubricants", 50), 0);
    }

    fn hash(text: &str) -> i32 {
        text.bytes().fold(0i32, |hash, byte| hash.wrapping_mul(31).wrapping_add(i32::from(byte)))
    }
}
