//! Ids print and parse as Kafka's tools do.
use super::*;

#[test]
fn topic_id_text_round_trips() {
    for value in [0u128, 1, u128::MAX, 0x0123_4567_89ab_cdef_0123_4567_89ab_cdef] {
        let id = TopicId(Uuid::from_u128(value));
        assert_eq!(id.to_string().len(), 22);
        assert_eq!(TopicId::parse(&id.to_string()), Some(id));
    }
}

#[test]
fn zero_prints_as_kafka_prints_it() {
    assert_eq!(TopicId::ZERO.to_string(), "AAAAAAAAAAAAAAAAAAAAAA");
}

#[test]
fn text_of_another_length_or_alphabet_is_no_id() {
    assert_eq!(TopicId::parse("AAAA"), None);
    assert_eq!(TopicId::parse("AAAAAAAAAAAAAAAAAAAAA+"), None);
}
