//! Records as librdkafka writes and reads them: codecs, keys, headers, timestamps, sizes, sequences.

use futures_util::future::try_join_all;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, Headers, Message, OwnedHeaders, OwnedMessage};
use rdkafka::producer::FutureRecord;
use tidemark_tests::librdkafka::{PATIENCE, numbers};

use crate::node::{Node, try_read};

/// A timestamp of the past (2023): records keep the one they are given.
const SOME_TIME_MS: i64 = 1_700_000_000_000;

/// Null and empty sides, and headers that Kafka's clients may repeat or leave without a value.
fn mixed_records() -> Vec<(Option<String>, Option<String>, OwnedHeaders)> {
    let headers = |i: usize| match i % 3 {
        0 => OwnedHeaders::new()
            .insert(Header { key: "name", value: Some("one") })
            .insert(Header { key: "name", value: Some("two") })
            .insert(Header { key: "null", value: None::<&str> })
            .insert(Header { key: "empty", value: Some("") }),
        _ => OwnedHeaders::new(),
    };
    (0..100)
        .map(|i| {
            let key = (i != 1).then(|| format!("key {}", i % 7));
            let value = match i {
                2 => None,
                4 => Some(String::new()),
                _ => Some(format!("value {i} {}", "compressible ".repeat(20))),
            };
            (key, value, headers(i))
        })
        .collect()
}

fn header_list(message: &OwnedMessage) -> Vec<(String, Option<Vec<u8>>)> {
    let list = |headers: &OwnedHeaders| {
        headers.iter().map(|header| (header.key.to_owned(), header.value.map(<[u8]>::to_vec))).collect()
    };
    message.headers().map(list).unwrap_or_default()
}

async fn comes_back_unchanged(codec: &str) {
    let node = Node::start().await;
    let topic = format!("codec-{codec}");
    node.create_topic(&topic, 1, &[("retention.ms", "-1")]).await;
    let sent = mixed_records();
    let producer = node.producer(&[("compression.type", codec), ("acks", "all")]);
    let sends = sent.iter().enumerate().map(|(i, (key, value, headers))| {
        let mut record = FutureRecord::<String, String>::to(&topic).partition(0).headers(headers.clone());
        record.key = key.as_ref();
        record.payload = value.as_ref();
        producer.send(record.timestamp(SOME_TIME_MS + i as i64), PATIENCE)
    });
    let acknowledged = try_join_all(sends).await.expect("all are acknowledged");
    for (i, delivery) in acknowledged.iter().enumerate() {
        assert_eq!((delivery.partition, delivery.offset), (0, i as i64));
    }

    let read = node.read(&topic, 0, 0, sent.len()).await;
    for (i, ((key, value, headers), back)) in sent.iter().zip(&read).enumerate() {
        assert_eq!(back.offset(), i as i64);
        assert_eq!(back.key(), key.as_deref().map(str::as_bytes), "key of record {i}");
        assert_eq!(back.payload(), value.as_deref().map(str::as_bytes), "value of record {i}");
        assert_eq!(back.timestamp().to_millis(), Some(SOME_TIME_MS + i as i64), "timestamp of record {i}");
        let wanted: Vec<_> =
            headers.iter().map(|header| (header.key.to_owned(), header.value.map(<[u8]>::to_vec))).collect();
        assert_eq!(header_list(back), wanted, "headers of record {i}");
    }
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn uncompressed_records_come_back_unchanged() {
    comes_back_unchanged("none").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gzip_records_come_back_unchanged() {
    comes_back_unchanged("gzip").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn snappy_records_come_back_unchanged() {
    comes_back_unchanged("snappy").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lz4_records_come_back_unchanged() {
    comes_back_unchanged("lz4").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn zstd_records_come_back_unchanged() {
    comes_back_unchanged("zstd").await;
}

/// 10,000 records of an idempotent producer over three partitions, with five requests in flight: none lost, doubled or
/// out of order.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idempotent_producers_records_come_once_and_in_order() {
    let node = Node::start().await;
    node.create_topic("sequence", 3, &[]).await;
    let producer = node.producer(&[
        ("enable.idempotence", "true"),
        ("compression.type", "lz4"),
        ("batch.num.messages", "200"),
    ]);
    let values: Vec<String> = (0..10_000).map(|i: i32| i.to_string()).collect();
    let sends = values.iter().enumerate().map(|(i, value)| {
        let record = FutureRecord::<(), _>::to("sequence").partition(i as i32 % 3).payload(value);
        producer.send(record, PATIENCE)
    });
    try_join_all(sends).await.expect("all are acknowledged");
    for partition in 0..3 {
        let wanted: Vec<i32> = (0..10_000).filter(|i| i % 3 == partition).collect();
        assert_eq!(node.bounds("sequence", partition), (0, wanted.len() as i64));
        let read = node.read("sequence", partition, 0, wanted.len()).await;
        assert_eq!(numbers(&read), wanted);
    }
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_record_comes_back_and_a_too_large_one_is_refused() {
    let node = Node::start().await;
    node.create_topic("large", 1, &[]).await;
    let producer = node.producer(&[("message.max.bytes", "8000000")]);
    let large: Vec<u8> = (0..900_000_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let record = FutureRecord::<(), _>::to("large").partition(0).payload(&large);
    producer.send(record, PATIENCE).await.expect("below max.message.bytes");
    assert_eq!(node.read("large", 0, 0, 1).await[0].payload(), Some(large.as_slice()));

    let larger = vec![7_u8; 2_000_000];
    let record = FutureRecord::<(), _>::to("large").partition(0).payload(&larger);
    let (error, _) = producer.send(record, PATIENCE).await.expect_err("above max.message.bytes");
    assert_eq!(error, KafkaError::MessageProduction(RDKafkaErrorCode::MessageSizeTooLarge));
    assert_eq!(node.bounds("large", 0), (0, 1));
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_beyond_the_end_is_told_so() {
    let node = Node::start().await;
    node.create_topic("short", 1, &[]).await;
    node.produce_numbers("short", 0, 1, 1).await;
    let error = try_read(&node, "short", 0, 1000, 1).await.expect_err("the offset is out of range");
    assert_eq!(error.rdkafka_error_code(), Some(RDKafkaErrorCode::AutoOffsetReset), "{error}");
    node.stop().await;
}
