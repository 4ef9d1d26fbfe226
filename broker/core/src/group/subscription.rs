//! Reads the topics out of a ConsumerProtocol subscription: all the coordinator needs of what is otherwise opaque to it.
//!
//! Lenient, as Kafka is: a version above the known ones is read as the last known one, whose head is the same.
//!
//! ```text
//! version int16 │ topics: count int32, then string each │ user data, owned partitions, … not read
//! ```

use std::collections::BTreeSet;

/// The topics a member subscribes to, or `None` when the bytes are not a subscription.
pub(super) fn subscribed_topics(subscription: &[u8]) -> Option<BTreeSet<String>> {
    let (version, rest) = subscription.split_first_chunk::<2>()?;
    if i16::from_be_bytes(*version) < 0 {
        return None;
    }
    let (count, mut rest) = rest.split_first_chunk::<4>()?;
    let count = usize::try_from(i32::from_be_bytes(*count)).ok()?;
    let mut topics = BTreeSet::new();
    for _ in 0..count {
        let (len, tail) = rest.split_first_chunk::<2>()?;
        let len = usize::try_from(i16::from_be_bytes(*len)).ok()?;
        let (topic, tail) = tail.split_at_checked(len)?;
        topics.insert(std::str::from_utf8(topic).ok()?.to_owned());
        rest = tail;
    }
    Some(topics)
}

#[cfg(test)]
mod tests {
    use super::subscribed_topics;

    #[test]
    fn topics_are_read_whatever_the_version() {
        for version in [0u8, 1, 3, 9] {
            let bytes =
                [&[0, version, 0, 0, 0, 2, 0, 1, b'a', 0, 2, b'b', b'c'][..], b"\xff\xff\xff\xff?"].concat();
            let topics: Vec<_> = subscribed_topics(&bytes).unwrap().into_iter().collect();
            assert_eq!(topics, ["a", "bc"]);
        }
    }

    #[test]
    fn bytes_that_are_no_subscription_say_nothing() {
        assert_eq!(subscribed_topics(b""), None);
        assert_eq!(subscribed_topics(b"\xff\xff\0\0\0\0"), None);
        assert_eq!(subscribed_topics(b"\0\0\0\0\0\x01\0\x09abc"), None);
        assert_eq!(subscribed_topics(b"\0\0\x7f\xff\xff\xff"), None);
    }
}
