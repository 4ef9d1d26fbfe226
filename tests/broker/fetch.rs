//! Fetches beyond the log, in sessions, and those that wait.

use std::time::{Duration, Instant};

use kafka_protocol::messages as kafka;
use kafka_protocol::messages::ApiKey;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use tidemark_tests::client::Client;

use crate::harness::{TestBroker, batch, produce, produce_all, produce_request, text};

const OFFSET_OUT_OF_RANGE: i16 = 1;
const UNKNOWN_TOPIC_OR_PARTITION: i16 = 3;
const FETCH_SESSION_ID_NOT_FOUND: i16 = 70;
const INVALID_FETCH_SESSION_EPOCH: i16 = 71;

#[test]
fn offsets_outside_of_the_log_are_refused_and_its_end_is_not() {
    let broker = TestBroker::start(&[]);
    let mut client = broker.client_with_topic("t", &[]);
    assert_eq!(produce(&mut client, "t", batch("a")), (0, 0));
    for (offset, expected) in
        [(1, 0), (2, OFFSET_OUT_OF_RANGE), (i64::MAX, OFFSET_OUT_OF_RANGE), (-1, OFFSET_OUT_OF_RANGE)]
    {
        let (code, _, records) = client.fetch("t", 0, offset, 0).unwrap();
        assert_eq!((code, records.len()), (expected, 0), "at {offset}");
    }
    assert_eq!(client.fetch("t", 9, 0, 0).unwrap().0, UNKNOWN_TOPIC_OR_PARTITION);
    assert_eq!(client.fetch("nobody", 0, 0, 0).unwrap().0, UNKNOWN_TOPIC_OR_PARTITION);
}

/// A fetch of a session: partitions 0 and 1 of `t` from these offsets, or no news about them.
fn in_session(client: &mut Client, session: (i32, i32), offsets: Option<[i64; 2]>) -> kafka::FetchResponse {
    let mut request = kafka::FetchRequest::default()
        .with_max_wait_ms(0)
        .with_min_bytes(0)
        .with_max_bytes(1 << 20)
        .with_session_id(session.0)
        .with_session_epoch(session.1);
    if let Some(offsets) = offsets {
        let part = |(index, offset): (usize, &i64)| {
            FetchPartition::default()
                .with_partition(index as i32)
                .with_fetch_offset(*offset)
                .with_partition_max_bytes(1 << 20)
        };
        let partitions = offsets.iter().enumerate().map(part).collect();
        request.topics =
            vec![FetchTopic::default().with_topic(kafka::TopicName(text("t"))).with_partitions(partitions)];
    }
    client.call(ApiKey::Fetch, 11, &request).unwrap()
}

/// Which partitions an answer names.
fn named(answer: &kafka::FetchResponse) -> Vec<i32> {
    answer.responses.iter().flat_map(|topic| &topic.partitions).map(|part| part.partition_index).collect()
}

#[test]
fn a_session_names_only_the_partitions_with_news() {
    let broker = TestBroker::start(&[]);
    let mut client = broker.client();
    client.create_topic("t", 2, &[]).unwrap();
    let full = in_session(&mut client, (0, 0), Some([0, 0]));
    let id = full.session_id;
    assert_ne!(id, 0, "a session was made");
    assert_eq!(named(&full), [0, 1], "the first answer names all");
    assert!(named(&in_session(&mut client, (id, 1), None)).is_empty(), "nothing is new");
    let mut other = broker.client();
    let appended = produce_all(&mut other, &produce_request("t", -1, vec![(1, batch("news"))]));
    assert_eq!(appended[0].error_code, 0);
    assert_eq!(named(&in_session(&mut client, (id, 2), None)), [1]);
    let moved = in_session(&mut client, (id, 3), Some([0, 1]));
    assert!(named(&moved).is_empty(), "the client has read it");
}

#[test]
fn sessions_that_do_not_exist_or_skip_an_epoch_are_refused() {
    let broker = TestBroker::start(&[]);
    let mut client = broker.client();
    client.create_topic("t", 2, &[]).unwrap();
    let id = in_session(&mut client, (0, 0), Some([0, 0])).session_id;
    assert_eq!(in_session(&mut client, (id, 5), None).error_code, INVALID_FETCH_SESSION_EPOCH);
    assert_eq!(
        in_session(&mut client, (id.wrapping_add(1000), 1), None).error_code,
        FETCH_SESSION_ID_NOT_FOUND
    );
    assert_eq!(in_session(&mut client, (id, 1), None).error_code, 0, "it goes on where it was");
    in_session(&mut client, (id, -1), Some([0, 0]));
    assert_eq!(
        in_session(&mut client, (id, 2), None).error_code,
        FETCH_SESSION_ID_NOT_FOUND,
        "it was closed"
    );
}

#[test]
fn the_first_batch_comes_whole_however_little_was_asked_for() {
    let broker = TestBroker::start(&[]);
    let mut client = broker.client_with_topic("t", &[]);
    let records = batch(&"x".repeat(5000));
    assert_eq!(produce(&mut client, "t", records.clone()), (0, 0));
    assert_eq!(produce(&mut client, "t", batch("small")), (0, 1));
    let part = FetchPartition::default().with_partition_max_bytes(1);
    let topic = FetchTopic::default().with_topic(kafka::TopicName(text("t"))).with_partitions(vec![part]);
    let request = kafka::FetchRequest::default().with_min_bytes(1).with_max_bytes(1).with_topics(vec![topic]);
    let answer: kafka::FetchResponse = client.call(ApiKey::Fetch, 11, &request).unwrap();
    let bytes = answer.responses[0].partitions[0].records.clone().unwrap();
    assert_eq!(bytes.len(), records.len());
}

#[test]
#[allow(clippy::disallowed_methods, reason = "the wait is a real one")]
fn a_waiting_fetch_is_answered_by_the_produce_it_waits_for() {
    let broker = TestBroker::start(&[]);
    let mut client = broker.client_with_topic("t", &[]);
    let address_client = broker.client();
    let begun = Instant::now();
    let waiter = std::thread::spawn(move || {
        let mut client = address_client;
        client.fetch("t", 0, 0, 20_000).unwrap()
    });
    assert_eq!(produce(&mut client, "t", batch("at last")), (0, 0));
    let (code, high_watermark, records) = waiter.join().unwrap();
    assert_eq!((code, high_watermark), (0, 1));
    assert!(!records.is_empty());
    assert!(begun.elapsed() < Duration::from_secs(10), "it did not wait to the end: {:?}", begun.elapsed());
}
