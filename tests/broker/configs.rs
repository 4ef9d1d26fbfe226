//! Topic configs in effect: what a setting promises is what the log does.

use std::collections::BTreeMap;

use kafka_protocol::messages as kafka;
use kafka_protocol::messages::ApiKey;
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use tidemark_protocol::batch::{BatchBuilder, BuilderOptions, Compression, TimestampType};
use tidemark_tests::client::Client;

use crate::harness::{
    TestBroker, batch, batch_of, eventually, produce, read_from, text, values_from, wall_ms,
};

const TOPIC_RESOURCE: i8 = 2;
const MESSAGE_TOO_LARGE: i16 = 10;
const INVALID_CONFIG: i16 = 40;

/// The configs of a topic as DescribeConfigs says them.
pub fn topic_configs(client: &mut Client, topic: &str) -> BTreeMap<String, Option<String>> {
    let resource = DescribeConfigsResource::default()
        .with_resource_type(TOPIC_RESOURCE)
        .with_resource_name(text(topic))
        .with_configuration_keys(None);
    let request = kafka::DescribeConfigsRequest::default().with_resources(vec![resource]);
    let answer: kafka::DescribeConfigsResponse = client.call(ApiKey::DescribeConfigs, 1, &request).unwrap();
    assert_eq!(answer.results[0].error_code, 0);
    let configs = answer.results[0].configs.iter();
    configs
        .map(|config| (config.name.to_string(), config.value.as_ref().map(|value| value.to_string())))
        .collect()
}

/// Sets one config of a topic; the error code.
fn try_set(client: &mut Client, topic: &str, name: &str, value: &str) -> i16 {
    let config = AlterableConfig::default().with_name(text(name)).with_value(Some(text(value)));
    let resource = AlterConfigsResource::default()
        .with_resource_type(TOPIC_RESOURCE)
        .with_resource_name(text(topic))
        .with_configs(vec![config]);
    let request = kafka::IncrementalAlterConfigsRequest::default().with_resources(vec![resource]);
    let answer: kafka::IncrementalAlterConfigsResponse =
        client.call(ApiKey::IncrementalAlterConfigs, 0, &request).unwrap();
    answer.responses[0].error_code
}

/// Sets one config of a topic.
pub fn set_topic_config(client: &mut Client, topic: &str, name: &str, value: &str) {
    assert_eq!(try_set(client, topic, name, value), 0, "{name}={value}");
}

#[test]
fn log_append_time_stamps_with_the_brokers_clock() {
    let broker = TestBroker::start(&[]);
    let mut client = broker.client_with_topic("t", &[("message.timestamp.type", "LogAppendTime")]);
    let mut builder = BatchBuilder::new(BuilderOptions::default());
    builder.append(0, 1000, None, Some(b"old"), &[]);
    let before = wall_ms();
    assert_eq!(produce(&mut client, "t", builder.build().bytes().clone()), (0, 0));
    let after = wall_ms();
    let (records, headers) = read_from(&mut client, "t", 0);
    assert_eq!(headers[0].timestamp_type(), TimestampType::LogAppendTime);
    assert!(
        (before..=after).contains(&headers[0].max_timestamp),
        "{before} {} {after}",
        headers[0].max_timestamp
    );
    assert_eq!(records[0].timestamp, headers[0].max_timestamp);
}

#[test]
fn compression_type_recompresses_what_differs() {
    let cases = [
        ("producer", Compression::Gzip, Compression::Gzip),
        ("uncompressed", Compression::Zstd, Compression::None),
        ("gzip", Compression::None, Compression::Gzip),
        ("snappy", Compression::Lz4, Compression::Snappy),
        ("lz4", Compression::Snappy, Compression::Lz4),
        ("zstd", Compression::Zstd, Compression::Zstd),
    ];
    let broker = TestBroker::start(&[]);
    for (name, sent, stored) in cases {
        let mut client = broker.client_with_topic(name, &[("compression.type", name)]);
        let options = BuilderOptions { compression: sent, ..BuilderOptions::default() };
        let values: Vec<String> = (0..50).map(|nth| format!("value {nth} of many alike")).collect();
        let records: Vec<(Option<&str>, &str)> = values.iter().map(|value| (None, value.as_str())).collect();
        assert_eq!(produce(&mut client, name, batch_of(options, &records)), (0, 0), "{name}");
        let (read, headers) = read_from(&mut client, name, 0);
        assert_eq!(headers[0].compression(), stored, "{name}");
        assert_eq!(read.into_iter().map(|record| record.value).collect::<Vec<_>>(), values, "{name}");
    }
}

#[test]
fn a_changed_config_holds_for_the_next_produce() {
    let broker = TestBroker::start(&[]);
    let mut client = broker.client_with_topic("t", &[]);
    let large = batch(&"x".repeat(3000));
    assert_eq!(produce(&mut client, "t", large.clone()), (0, 0));
    set_topic_config(&mut client, "t", "max.message.bytes", "1000");
    eventually("the limit holds", || produce(&mut client, "t", large.clone()).0 == MESSAGE_TOO_LARGE);
    set_topic_config(&mut client, "t", "compression.type", "gzip");
    eventually("the codec holds", || {
        let (_, offset) = produce(&mut client, "t", batch("small"));
        read_from(&mut client, "t", offset).1[0].compression() == Compression::Gzip
    });
}

#[test]
#[allow(clippy::disallowed_methods, reason = "the log's files are looked at")]
fn segments_are_of_the_size_and_age_they_are_told() {
    let mut broker = TestBroker::start(&[]);
    let mut client = broker.client_with_topic("size", &[("internal.segment.bytes", "1000")]);
    client.create_topic("age", 1, &[("segment.ms", "1")]).unwrap();
    client.create_topic("whole", 1, &[]).unwrap();
    for nth in 0..10 {
        for topic in ["size", "age", "whole"] {
            assert_eq!(produce(&mut client, topic, batch(&"s".repeat(400))), (0, nth));
        }
        // So that the age of a segment is seen to differ.
        let now = wall_ms();
        eventually("a few milliseconds pass", || wall_ms() > now + 3);
    }
    broker.stop();
    let segments = |topic: &str| {
        let dir = std::fs::read_dir(broker.dir().join(format!("{topic}-0"))).unwrap();
        let names = dir.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.ends_with(".log")).count()
    };
    assert_eq!(segments("size"), 5, "two batches of 470 bytes each");
    assert!(segments("age") >= 9, "one for nearly each batch: {}", segments("age"));
    assert_eq!(segments("whole"), 1);
}

/// Every public topic config with a value that is valid and not its default.
const VALUES: [(&str, &str); 33] = [
    ("cleanup.policy", "compact,delete"),
    ("retention.ms", "86400000"),
    ("retention.bytes", "1000000"),
    ("local.retention.ms", "1000"),
    ("local.retention.bytes", "1000"),
    ("remote.storage.enable", "false"),
    ("remote.log.copy.disable", "false"),
    ("remote.log.delete.on.disable", "false"),
    ("max.message.bytes", "2000000"),
    ("message.timestamp.type", "LogAppendTime"),
    ("message.timestamp.before.max.ms", "1000000"),
    ("message.timestamp.after.max.ms", "1000000"),
    ("compression.type", "zstd"),
    ("compression.gzip.level", "7"),
    ("compression.lz4.level", "5"),
    ("compression.zstd.level", "5"),
    ("min.insync.replicas", "2"),
    ("unclean.leader.election.enable", "true"),
    ("segment.bytes", "2000000"),
    ("segment.ms", "1000000"),
    ("segment.jitter.ms", "1000"),
    ("segment.index.bytes", "100000"),
    ("index.interval.bytes", "1000"),
    ("flush.messages", "10"),
    ("flush.ms", "1000"),
    ("file.delete.delay.ms", "1000"),
    ("preallocate", "true"),
    ("delete.retention.ms", "1000"),
    ("min.compaction.lag.ms", "10"),
    ("max.compaction.lag.ms", "100000"),
    ("min.cleanable.dirty.ratio", "0.1"),
    ("leader.replication.throttled.replicas", "0:1"),
    ("follower.replication.throttled.replicas", "*"),
];

#[test]
fn every_topic_config_is_kept_and_bad_values_change_nothing() {
    let mut broker = TestBroker::start(&[]);
    let mut client = broker.client_with_topic("t", &[]);
    for (name, value) in VALUES {
        set_topic_config(&mut client, "t", name, value);
    }
    for (name, bad) in
        [("retention.ms", "-2"), ("cleanup.policy", "burn"), ("segment.bytes", "1"), ("no.such.config", "1")]
    {
        assert_eq!(try_set(&mut client, "t", name, bad), INVALID_CONFIG, "{name}={bad}");
    }
    for _ in 0..2 {
        let configs = topic_configs(&mut broker.client(), "t");
        for (name, value) in VALUES {
            assert_eq!(configs.get(name).and_then(Option::as_deref), Some(value), "{name}");
        }
        broker.restart();
    }
}

#[test]
fn a_preallocated_log_and_asynchronous_flushes_keep_what_a_clean_stop_leaves() {
    let mut broker = TestBroker::start(&[]);
    let mut client =
        broker.client_with_topic("preallocated", &[("preallocate", "true"), ("segment.bytes", "1048576")]);
    client.create_topic("async", 1, &[("tidemark.flush", "async")]).unwrap();
    for nth in 0..5 {
        for topic in ["preallocated", "async"] {
            assert_eq!(produce(&mut client, topic, batch(&nth.to_string())), (0, nth), "{topic}");
        }
    }
    broker.restart();
    let mut client = broker.client();
    for topic in ["preallocated", "async"] {
        assert_eq!(values_from(&mut client, topic, 0), ["0", "1", "2", "3", "4"], "{topic}");
        assert_eq!(produce(&mut client, topic, batch("5")), (0, 5), "{topic}");
    }
}
