//! Requests that carry, find and drop records.

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages as kafka;
use kafka_protocol::messages::delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic};
use kafka_protocol::messages::describe_log_dirs_request::DescribableLogDirTopic;
use kafka_protocol::messages::describe_producers_request::TopicRequest;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic, ForgottenTopic};
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::offset_for_leader_epoch_request::{
    OffsetForLeaderPartition, OffsetForLeaderTopic,
};
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use tidemark_protocol::batch::{BatchBuilder, BuilderOptions, Compression};

use super::{PARTITIONS, Requests, TOPIC, topic_name};

/// A timestamp near enough to now for no rule to refuse it.
const TIMESTAMP_MS: i64 = 1_790_000_000_000;

/// Batches of every codec, of an idempotent producer, of none, and with every form of a record.
fn batches() -> Vec<Bytes> {
    use Compression::{Gzip, Lz4, None as Plain, Snappy, Zstd};
    let build = |compression, producer_id: i64, records: i64| {
        let mut builder = BatchBuilder::new(BuilderOptions {
            compression,
            producer_id,
            producer_epoch: if producer_id < 0 { -1 } else { 0 },
            base_sequence: if producer_id < 0 { -1 } else { 0 },
            ..BuilderOptions::default()
        });
        for nth in 0..records {
            let key = format!("key-{nth}");
            let key = (nth % 3 != 0).then_some(key.as_bytes());
            let value = (nth % 5 != 4).then_some(b"a value that says a value that says".as_slice());
            builder.append(nth, TIMESTAMP_MS + nth, key, value, &[]);
        }
        builder.build().bytes().clone()
    };
    let mut all: Vec<Bytes> =
        [Plain, Gzip, Snappy, Lz4, Zstd].into_iter().map(|codec| build(codec, -1, 6)).collect();
    all.push(build(Plain, 4000, 3));
    all.push(build(Plain, -1, 1));
    all
}

pub fn produce(requests: &mut Requests) {
    let batches = batches();
    let request = |requests: &Requests, acks: i16, records: &[&Bytes]| {
        let mut topic = TopicProduceData::default();
        if requests.since(13) {
            topic.topic_id = requests.topic_id;
        } else {
            topic.name = topic_name(TOPIC);
        }
        for (index, records) in records.iter().enumerate() {
            let index = index as i32 % PARTITIONS;
            let data =
                PartitionProduceData::default().with_index(index).with_records(Some((*records).clone()));
            topic.partition_data.push(data);
        }
        kafka::ProduceRequest::default().with_acks(acks).with_timeout_ms(1000).with_topic_data(vec![topic])
    };
    for batch in &batches {
        requests.add(&request(requests, 1, &[batch]));
    }
    requests.add(&request(requests, -1, &[&batches[0], &batches[1]]));
    requests.add(&request(requests, 0, &[&batches[0]]));
    // Several batches for one partition, and what is no batch at all: both are answered with an error.
    let mut two = BytesMut::from(&batches[0][..]);
    two.extend_from_slice(&batches[5]);
    requests.add(&request(requests, 1, &[&two.freeze()]));
    requests.add(&request(requests, 1, &[&Bytes::from_static(&[0; 20])]));
}

pub fn fetch(requests: &mut Requests) {
    let request = |requests: &Requests, offset: i64, session: (i32, i32), partitions: i32| {
        let mut topic = FetchTopic::default();
        let mut forgotten = ForgottenTopic::default().with_partitions(vec![1]);
        if requests.since(13) {
            (topic.topic_id, forgotten.topic_id) = (requests.topic_id, requests.topic_id);
        } else {
            (topic.topic, forgotten.topic) = (topic_name(TOPIC), topic_name(TOPIC));
        }
        for index in 0..partitions {
            let mut part = FetchPartition::default()
                .with_partition(index)
                .with_fetch_offset(offset)
                .with_partition_max_bytes(1000);
            if requests.since(9) {
                part.current_leader_epoch = -1;
            }
            if requests.since(12) {
                part.last_fetched_epoch = -1;
            }
            topic.partitions.push(part);
        }
        let mut request = kafka::FetchRequest::default()
            .with_max_wait_ms(2)
            .with_min_bytes(1)
            .with_max_bytes(4000)
            .with_topics(if partitions == 0 { Vec::new() } else { vec![topic] });
        if requests.since(7) {
            (request.session_id, request.session_epoch) = session;
            if session.1 > 0 {
                request.forgotten_topics_data = vec![forgotten];
            }
        }
        request
    };
    const NO_SESSION: (i32, i32) = (0, -1);
    requests.add(&request(requests, 0, NO_SESSION, PARTITIONS));
    requests.add(&request(requests, 1 << 40, NO_SESSION, 1));
    requests.add(&request(requests, 0, (0, 0), PARTITIONS));
    requests.add(&request(requests, 0, (3, 1), 1));
    requests.add(&request(requests, 0, (0, 0), 0));
    let read_committed = request(requests, 0, NO_SESSION, 1).with_isolation_level(1);
    requests.add(&read_committed);
}

pub fn list_offsets(requests: &mut Requests) {
    for timestamp in [-1, -2, -3, -4, -5, 0, TIMESTAMP_MS + 2, i64::MAX] {
        let partitions = (0..PARTITIONS)
            .map(|index| {
                ListOffsetsPartition::default().with_partition_index(index).with_timestamp(timestamp)
            })
            .collect();
        let topic = ListOffsetsTopic::default().with_name(topic_name(TOPIC)).with_partitions(partitions);
        let mut request =
            kafka::ListOffsetsRequest::default().with_replica_id((-1).into()).with_topics(vec![topic]);
        if requests.since(10) {
            request.timeout_ms = 100;
        }
        requests.add(&request);
    }
}

pub fn offset_for_leader_epoch(requests: &mut Requests) {
    for leader_epoch in [0, 1, 1000, -1] {
        let part = OffsetForLeaderPartition::default()
            .with_partition(0)
            .with_current_leader_epoch(-1)
            .with_leader_epoch(leader_epoch);
        let topic = OffsetForLeaderTopic::default().with_topic(topic_name(TOPIC)).with_partitions(vec![part]);
        let mut request = kafka::OffsetForLeaderEpochRequest::default().with_topics(vec![topic]);
        if requests.since(3) {
            request.replica_id = (-1).into();
        }
        requests.add(&request);
    }
}

pub fn delete_records(requests: &mut Requests) {
    for offset in [0, 1, -1, 1 << 40] {
        let part = DeleteRecordsPartition::default().with_partition_index(0).with_offset(offset);
        let topic = DeleteRecordsTopic::default().with_name(topic_name(TOPIC)).with_partitions(vec![part]);
        requests.add(&kafka::DeleteRecordsRequest::default().with_topics(vec![topic]).with_timeout_ms(100));
    }
}

pub fn describe_producers(requests: &mut Requests) {
    for partitions in [vec![0, 1], vec![0, 0, 99], vec![]] {
        let topic = TopicRequest::default().with_name(topic_name(TOPIC)).with_partition_indexes(partitions);
        requests.add(&kafka::DescribeProducersRequest::default().with_topics(vec![topic]));
    }
}

pub fn describe_log_dirs(requests: &mut Requests) {
    let topic = DescribableLogDirTopic::default().with_topic(topic_name(TOPIC)).with_partitions(vec![0, 1]);
    requests.add(&kafka::DescribeLogDirsRequest::default().with_topics(Some(vec![topic])));
    requests.add(&kafka::DescribeLogDirsRequest::default().with_topics(None));
}

pub fn init_producer_id(requests: &mut Requests) {
    let mut plain =
        kafka::InitProducerIdRequest::default().with_transactional_id(None).with_transaction_timeout_ms(1000);
    requests.add(&plain);
    if requests.since(3) {
        (plain.producer_id, plain.producer_epoch) = (4000.into(), 0);
        requests.add(&plain);
    }
}
