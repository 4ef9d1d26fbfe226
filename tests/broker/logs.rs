//! What a log keeps and what it drops: restarts, DeleteRecords, retention, compaction.

use kafka_protocol::messages as kafka;
use kafka_protocol::messages::ApiKey;
use kafka_protocol::messages::delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic};
use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::offset_fetch_request::OffsetFetchRequestTopic;
use tidemark_protocol::batch::BuilderOptions;
use tidemark_tests::client::Client;

use crate::configs::topic_configs;
use crate::harness::{
    TestBroker, batch, batch_of, eventually, log_start, produce, read_from, text, values_from,
};

const OFFSET_OUT_OF_RANGE: i16 = 1;

fn topic_name(name: &str) -> kafka::TopicName {
    kafka::TopicName(text(name))
}

/// Commits an offset of partition 0 for a group without members.
fn commit(client: &mut Client, offset: i64) {
    let part = OffsetCommitRequestPartition::default().with_partition_index(0).with_committed_offset(offset);
    let topic = OffsetCommitRequestTopic::default().with_name(topic_name("t")).with_partitions(vec![part]);
    let request = kafka::OffsetCommitRequest::default()
        .with_group_id(kafka::GroupId(text("g")))
        .with_generation_id_or_member_epoch(-1)
        .with_topics(vec![topic]);
    eventually("the coordinator takes a commit", || {
        let answer: kafka::OffsetCommitResponse = client.call(ApiKey::OffsetCommit, 7, &request).unwrap();
        answer.topics[0].partitions[0].error_code == 0
    });
}

/// The committed offset of partition 0, once the coordinator has loaded it.
fn committed(client: &mut Client) -> i64 {
    let topic = OffsetFetchRequestTopic::default().with_name(topic_name("t")).with_partition_indexes(vec![0]);
    let request = kafka::OffsetFetchRequest::default()
        .with_group_id(kafka::GroupId(text("g")))
        .with_topics(Some(vec![topic]));
    let mut offset = -1;
    eventually("the coordinator answers", || {
        let answer: kafka::OffsetFetchResponse = client.call(ApiKey::OffsetFetch, 5, &request).unwrap();
        let loaded = answer.error_code == 0;
        if loaded {
            offset = answer.topics[0].partitions[0].committed_offset;
        }
        loaded
    });
    offset
}

#[test]
fn a_restart_keeps_records_commits_and_configs() {
    let mut broker = TestBroker::start(&[]);
    let mut client =
        broker.client_with_topic("t", &[("retention.ms", "123456789"), ("max.message.bytes", "54321")]);
    client.create_topic("__consumer_offsets", 1, &[]).unwrap();
    for nth in 0..20 {
        assert_eq!(produce(&mut client, "t", batch(&nth.to_string())), (0, nth));
    }
    commit(&mut client, 17);
    for _ in 0..2 {
        broker.restart();
        let mut client = broker.client();
        let expected: Vec<String> = (0..20).map(|nth| nth.to_string()).collect();
        assert_eq!(values_from(&mut client, "t", 0), expected);
        assert_eq!(committed(&mut client), 17);
        let configs = topic_configs(&mut client, "t");
        assert_eq!(configs["retention.ms"].as_deref(), Some("123456789"));
        assert_eq!(configs["max.message.bytes"].as_deref(), Some("54321"));
    }
}

/// Deletes the records of partition 0 below `offset`: error code and new start.
fn delete_records(client: &mut Client, offset: i64) -> (i16, i64) {
    let part = DeleteRecordsPartition::default().with_partition_index(0).with_offset(offset);
    let topic = DeleteRecordsTopic::default().with_name(topic_name("t")).with_partitions(vec![part]);
    let request = kafka::DeleteRecordsRequest::default().with_topics(vec![topic]).with_timeout_ms(10_000);
    let answer: kafka::DeleteRecordsResponse = client.call(ApiKey::DeleteRecords, 1, &request).unwrap();
    (answer.topics[0].partitions[0].error_code, answer.topics[0].partitions[0].low_watermark)
}

#[test]
fn deleted_records_stay_deleted_after_a_restart() {
    let mut broker = TestBroker::start(&[]);
    let mut client = broker.client_with_topic("t", &[]);
    for nth in 0..10 {
        assert_eq!(produce(&mut client, "t", batch(&nth.to_string())), (0, nth));
    }
    assert_eq!(delete_records(&mut client, 11).0, OFFSET_OUT_OF_RANGE);
    assert_eq!(delete_records(&mut client, 6), (0, 6));
    assert_eq!(delete_records(&mut client, 3), (0, 6), "the start never moves back");
    for _ in 0..2 {
        let mut client = broker.client();
        assert_eq!(log_start(&mut client, "t"), 6);
        assert_eq!(client.fetch("t", 0, 5, 0).unwrap().0, OFFSET_OUT_OF_RANGE);
        assert_eq!(values_from(&mut client, "t", 6), ["6", "7", "8", "9"]);
        broker.restart();
    }
    let mut client = broker.client();
    assert_eq!(delete_records(&mut client, -1), (0, 10), "-1 is the high watermark");
    broker.restart();
    let mut client = broker.client();
    assert_eq!(log_start(&mut client, "t"), 10);
    assert_eq!(produce(&mut client, "t", batch("next")), (0, 10));
}

#[test]
fn compaction_keeps_the_last_value_of_each_key_while_reads_go_on() {
    let configs = [
        ("cleanup.policy", "compact"),
        ("internal.segment.bytes", "2000"),
        ("min.cleanable.dirty.ratio", "0.01"),
        ("file.delete.delay.ms", "0"),
    ];
    let mut broker = TestBroker::start(&[]);
    let mut client = broker.client_with_topic("t", &configs);
    const KEYS: usize = 5;
    let mut appended = 0;
    // Reads between the rounds: whatever is left of a key, its newest value is there and offsets rise.
    for round in 0..30 {
        for key in 0..KEYS {
            let records = batch_of(
                BuilderOptions::default(),
                &[(Some(&format!("k{key}")), &format!("{round}-{}", "v".repeat(100)))],
            );
            assert_eq!(produce(&mut client, "t", records), (0, appended));
            appended += 1;
        }
        let (records, _) = read_from(&mut client, "t", 0);
        assert!(records.windows(2).all(|pair| pair[0].offset < pair[1].offset));
        for key in 0..KEYS {
            let name = format!("k{key}");
            let last = records.iter().rev().find(|record| record.key.as_deref() == Some(&name)).unwrap();
            assert!(last.value.starts_with(&format!("{round}-")), "{name} in round {round}");
        }
    }
    eventually("old values are gone", || read_from(&mut client, "t", 0).0.len() < appended as usize / 3);
    broker.restart();
    let mut client = broker.client();
    let (records, _) = read_from(&mut client, "t", 0);
    for key in 0..KEYS {
        let name = format!("k{key}");
        let last = records.iter().rev().find(|record| record.key.as_deref() == Some(&name)).unwrap();
        assert!(last.value.starts_with("29-"), "{name} after the restart: {}", last.value);
    }
    assert_eq!(
        produce(&mut client, "t", batch_of(BuilderOptions::default(), &[(Some("k0"), "on")])),
        (0, appended)
    );
}

#[test]
fn retention_by_size_drops_whole_segments_and_keeps_the_newest() {
    let configs =
        [("internal.segment.bytes", "5000"), ("retention.bytes", "20000"), ("file.delete.delay.ms", "0")];
    let mut broker = TestBroker::start(&[]);
    let mut client = broker.client_with_topic("t", &configs);
    for nth in 0..100 {
        assert_eq!(produce(&mut client, "t", batch(&format!("{nth}-{}", "r".repeat(1000)))), (0, nth));
    }
    eventually("about 20,000 bytes are left", || log_start(&mut client, "t") >= 70);
    let start = log_start(&mut client, "t");
    assert!(start <= 85, "no more than must be goes: {start}");
    assert_eq!(client.fetch("t", 0, start - 1, 0).unwrap().0, OFFSET_OUT_OF_RANGE);
    assert_eq!(values_from(&mut client, "t", start).len() as i64, 100 - start);
    broker.restart();
    assert!(log_start(&mut broker.client(), "t") >= start, "what was dropped does not come back");
}

#[test]
fn retention_by_time_drops_old_segments_also_after_the_config_changes() {
    let mut broker = TestBroker::start(&[]);
    let mut client =
        broker.client_with_topic("t", &[("internal.segment.bytes", "500"), ("file.delete.delay.ms", "0")]);
    for nth in 0..10 {
        assert_eq!(produce(&mut client, "t", batch(&"r".repeat(300))), (0, nth));
    }
    assert_eq!(log_start(&mut client, "t"), 0);
    crate::configs::set_topic_config(&mut client, "t", "retention.ms", "1");
    eventually("old segments are gone", || log_start(&mut client, "t") >= 9);
    broker.restart();
    let mut client = broker.client();
    assert_eq!(produce(&mut client, "t", batch("next")), (0, 10));
}
