//! Produces that are refused, and what they leave: the exact code for exactly the failing partition, and nothing in the log.

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages as kafka;
use kafka_protocol::messages::ApiKey;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use tidemark_protocol::batch::{BuilderOptions, Compression};

use crate::harness::{
    TestBroker, batch, batch_of, produce, produce_all, produce_request, sequenced, values_from, wall_ms,
};

const NONE: i16 = 0;
const CORRUPT_MESSAGE: i16 = 2;
const UNKNOWN_TOPIC_OR_PARTITION: i16 = 3;
const MESSAGE_TOO_LARGE: i16 = 10;
const INVALID_REQUIRED_ACKS: i16 = 21;
const INVALID_TIMESTAMP: i16 = 32;
const INVALID_REQUEST: i16 = 42;
const OUT_OF_ORDER_SEQUENCE_NUMBER: i16 = 45;
const INVALID_PRODUCER_EPOCH: i16 = 47;
const INVALID_RECORD: i16 = 87;
const UNKNOWN_TOPIC_ID: i16 = 100;

#[test]
fn acks_0_is_never_answered_and_a_failure_closes_the_connection() {
    let broker = TestBroker::start(&[]);
    let mut client = broker.client_with_topic("t", &[]);
    client.send(ApiKey::Produce, 9, &produce_request("t", 0, vec![(0, batch("quiet"))])).unwrap();
    client.send(ApiKey::ApiVersions, 0, &kafka::ApiVersionsRequest::default()).unwrap();
    let next: kafka::ApiVersionsResponse = client.receive(0).unwrap();
    assert_eq!(next.error_code, NONE, "the next answer is the next request's");
    crate::harness::eventually("the record is readable", || values_from(&mut client, "t", 0) == ["quiet"]);
    client.send(ApiKey::Produce, 9, &produce_request("nobody", 0, vec![(0, batch("x"))])).unwrap();
    assert!(client.is_closed());
}

#[test]
fn a_refused_partition_does_not_hold_back_its_neighbours() {
    let broker = TestBroker::start(&[]);
    let mut client = broker.client_with_topic("t", &[]);
    let request = produce_request(
        "t",
        -1,
        vec![(7, batch("no")), (0, batch("yes")), (0, batch("again")), (-1, batch("no"))],
    );
    let answers = produce_all(&mut client, &request);
    let codes: Vec<(i32, i16)> = answers.iter().map(|answer| (answer.index, answer.error_code)).collect();
    assert_eq!(
        codes,
        [(7, UNKNOWN_TOPIC_OR_PARTITION), (0, NONE), (0, INVALID_REQUEST), (-1, UNKNOWN_TOPIC_OR_PARTITION)]
    );
    assert_eq!(values_from(&mut client, "t", 0), ["yes"]);
    assert_eq!(produce(&mut client, "nobody", batch("x")), (UNKNOWN_TOPIC_OR_PARTITION, -1));
}

#[test]
fn acks_that_do_not_exist_are_refused() {
    let broker = TestBroker::start(&[]);
    let mut client = broker.client_with_topic("t", &[]);
    for acks in [2, -2, i16::MAX] {
        let answers = produce_all(&mut client, &produce_request("t", acks, vec![(0, batch("x"))]));
        assert_eq!(answers[0].error_code, INVALID_REQUIRED_ACKS, "acks={acks}");
    }
    assert!(values_from(&mut client, "t", 0).is_empty());
}

#[test]
fn a_topic_id_that_nobody_has_is_refused() {
    let broker = TestBroker::start(&[]);
    let mut client = broker.client_with_topic("t", &[]);
    let data = PartitionProduceData::default().with_index(0).with_records(Some(batch("x")));
    let topic =
        TopicProduceData::default().with_topic_id(uuid::Uuid::from_u128(9)).with_partition_data(vec![data]);
    let request =
        kafka::ProduceRequest::default().with_acks(-1).with_timeout_ms(1000).with_topic_data(vec![topic]);
    let answer: kafka::ProduceResponse = client.call(ApiKey::Produce, 13, &request).unwrap();
    assert_eq!(answer.responses[0].partition_responses[0].error_code, UNKNOWN_TOPIC_ID);
}

#[test]
fn a_batch_sent_again_is_answered_with_its_first_offset() {
    let broker = TestBroker::start(&[]);
    let mut client = broker.client_with_topic("t", &[]);
    let producer = client.init_producer_id().unwrap();
    for sequence in 0..5 {
        let answer = produce(&mut client, "t", sequenced(producer, sequence, &sequence.to_string()));
        assert_eq!(answer, (NONE, i64::from(sequence)));
    }
    for sequence in 0..5 {
        let answer = produce(&mut client, "t", sequenced(producer, sequence, &sequence.to_string()));
        assert_eq!(answer, (NONE, i64::from(sequence)), "sequence {sequence} again");
    }
    assert_eq!(values_from(&mut client, "t", 0), ["0", "1", "2", "3", "4"]);
}

#[test]
fn a_gap_in_the_sequence_is_refused_also_after_a_restart() {
    let mut broker = TestBroker::start(&[]);
    let mut client = broker.client_with_topic("t", &[]);
    let producer = client.init_producer_id().unwrap();
    assert_eq!(produce(&mut client, "t", sequenced(producer, 0, "0")), (NONE, 0));
    assert_eq!(produce(&mut client, "t", sequenced(producer, 2, "2")).0, OUT_OF_ORDER_SEQUENCE_NUMBER);
    broker.restart();
    let mut client = broker.client();
    assert_eq!(produce(&mut client, "t", sequenced(producer, 2, "2")).0, OUT_OF_ORDER_SEQUENCE_NUMBER);
    assert_eq!(produce(&mut client, "t", sequenced(producer, 0, "0")), (NONE, 0), "a duplicate, as before");
    assert_eq!(produce(&mut client, "t", sequenced(producer, 1, "1")), (NONE, 1));
    let older = (producer.0, producer.1 - 1);
    assert_eq!(produce(&mut client, "t", sequenced((producer.0, 3), 0, "newer")), (NONE, 2));
    assert_eq!(produce(&mut client, "t", sequenced(older, 2, "older")).0, INVALID_PRODUCER_EPOCH);
}

#[test]
fn damaged_records_are_refused_whole() {
    let broker = TestBroker::start(&[]);
    let mut client = broker.client_with_topic("t", &[]);
    let good = batch_of(BuilderOptions::default(), &[(None, "one"), (None, "two")]);
    let mut flipped = BytesMut::from(&good[..]);
    let last = flipped.len() - 2;
    flipped[last] ^= 1;
    assert_eq!(produce(&mut client, "t", flipped.freeze()).0, CORRUPT_MESSAGE);
    let cut = good.slice(..good.len() - 3);
    assert_ne!(produce(&mut client, "t", cut).0, NONE);
    let two = Bytes::from([&good[..], &good[..]].concat());
    assert_ne!(produce(&mut client, "t", two).0, NONE, "one partition takes one batch");
    assert_ne!(produce(&mut client, "t", Bytes::new()).0, NONE);
    assert!(values_from(&mut client, "t", 0).is_empty());
    assert_eq!(produce(&mut client, "t", good), (NONE, 0));
}

#[test]
fn max_message_bytes_is_the_largest_batch() {
    let broker = TestBroker::start(&[]);
    let mut client = broker.client_with_topic("t", &[("max.message.bytes", "200")]);
    assert_eq!(produce(&mut client, "t", batch(&"x".repeat(200))), (MESSAGE_TOO_LARGE, -1));
    assert_eq!(produce(&mut client, "t", batch(&"x".repeat(100))), (NONE, 0));
}

#[test]
fn min_insync_replicas_asks_for_no_more_than_there_are() {
    let broker = TestBroker::start(&[]);
    let mut client = broker.client_with_topic("t", &[("min.insync.replicas", "2")]);
    assert_eq!(produce(&mut client, "t", batch("one replica, all in sync")), (NONE, 0));
}

#[test]
fn a_compacted_topic_wants_keys() {
    let broker = TestBroker::start(&[]);
    let mut client = broker.client_with_topic("t", &[("cleanup.policy", "compact")]);
    for compression in [Compression::None, Compression::Zstd] {
        let options = BuilderOptions { compression, ..BuilderOptions::default() };
        let records = batch_of(options, &[(Some("k"), "v"), (None, "no key")]);
        let answers = produce_all(&mut client, &produce_request("t", -1, vec![(0, records)]));
        assert_eq!(answers[0].error_code, INVALID_RECORD);
        let bad: Vec<i32> = answers[0].record_errors.iter().map(|error| error.batch_index).collect();
        assert_eq!(bad, [1], "the record without a key is named");
    }
    assert_eq!(
        produce(&mut client, "t", batch_of(BuilderOptions::default(), &[(Some("k"), "v")])),
        (NONE, 0)
    );
}

#[test]
fn timestamps_beyond_the_limits_are_refused() {
    let broker = TestBroker::start(&[]);
    let configs = [("message.timestamp.before.max.ms", "1000"), ("message.timestamp.after.max.ms", "1000")];
    let mut client = broker.client_with_topic("t", &configs);
    let stamped = |timestamp| {
        let mut builder = tidemark_protocol::batch::BatchBuilder::new(BuilderOptions::default());
        builder.append(0, timestamp, None, Some(b"v"), &[]);
        builder.build().bytes().clone()
    };
    assert_eq!(produce(&mut client, "t", stamped(wall_ms() - 60_000)).0, INVALID_TIMESTAMP);
    assert_eq!(produce(&mut client, "t", stamped(wall_ms() + 60_000)).0, INVALID_TIMESTAMP);
    assert_eq!(produce(&mut client, "t", stamped(wall_ms())), (NONE, 0));
}
