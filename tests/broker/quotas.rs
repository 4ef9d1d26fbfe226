//! Client quotas through the wire: who is over one is told to rest and made to, others are not disturbed.

use std::time::{Duration, Instant};

use kafka_protocol::messages as kafka;
use kafka_protocol::messages::ApiKey;
use kafka_protocol::messages::alter_client_quotas_request::{EntityData, EntryData, OpData};
use kafka_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use tidemark_tests::client::Client;

use crate::harness::{TestBroker, batch, produce_request, text, values_from};

const NONE: i16 = 0;
const THROTTLING_QUOTA_EXCEEDED: i16 = 89;
/// With two samples of a second, what may pass at once is what passes in one second.
const SETTINGS: &[&str] = &["kafka.quota.window.num=2", "kafka.controller.quota.window.num=2"];
const PRODUCE: &str = "producer_byte_rate";
const FETCH: &str = "consumer_byte_rate";

type Entity<'a> = &'a [(&'a str, Option<&'a str>)];

/// Sets a quota, or removes it.
fn set(broker: &TestBroker, entity: Entity<'_>, key: &str, value: Option<f64>) {
    let entity = entity.iter().map(|(kind, name)| {
        EntityData::default().with_entity_type(text(kind)).with_entity_name(name.map(text))
    });
    let op = OpData::default()
        .with_key(text(key))
        .with_value(value.unwrap_or_default())
        .with_remove(value.is_none());
    let entry = EntryData::default().with_entity(entity.collect()).with_ops(vec![op]);
    let request = kafka::AlterClientQuotasRequest::default().with_entries(vec![entry]);
    let answer: kafka::AlterClientQuotasResponse =
        broker.client().named("operator").call(ApiKey::AlterClientQuotas, 1, &request).unwrap();
    assert_eq!((answer.entries[0].error_code, &answer.entries[0].error_message), (NONE, &None));
}

/// Produces some bytes; the rest that the answer tells, in milliseconds.
fn produce(client: &mut Client, bytes: usize) -> i32 {
    let request = produce_request("t", -1, vec![(0, batch(&"x".repeat(bytes)))]);
    let answer: kafka::ProduceResponse = client.call(ApiKey::Produce, 9, &request).unwrap();
    assert_eq!(answer.responses[0].partition_responses[0].error_code, NONE, "it is appended all the same");
    answer.throttle_time_ms
}

/// Fetches from an offset: the rest and the bytes of records.
fn fetch(client: &mut Client, offset: i64) -> (i32, usize) {
    let part = FetchPartition::default().with_fetch_offset(offset).with_partition_max_bytes(1 << 20);
    let topic = FetchTopic::default().with_topic(kafka::TopicName(text("t"))).with_partitions(vec![part]);
    let request = kafka::FetchRequest::default().with_max_bytes(1 << 20).with_topics(vec![topic]);
    let answer: kafka::FetchResponse = client.call(ApiKey::Fetch, 11, &request).unwrap();
    let records = answer.responses.iter().flat_map(|topic| &topic.partitions);
    let bytes = records.filter_map(|partition| partition.records.as_ref()).map(|records| records.len()).sum();
    assert_eq!((answer.error_code, answer.session_id), (NONE, 0));
    (answer.throttle_time_ms, bytes)
}

/// How long a request takes that asks for nothing much.
#[allow(clippy::disallowed_methods, reason = "a real broker's rest is measured in real time")]
fn answer_time(client: &mut Client) -> Duration {
    let begun = Instant::now();
    let request = kafka::ApiVersionsRequest::default();
    let _: kafka::ApiVersionsResponse = client.call(ApiKey::ApiVersions, 0, &request).unwrap();
    begun.elapsed()
}

#[test]
fn a_producer_over_its_quota_rests_and_others_go_on() {
    let broker = TestBroker::start(SETTINGS);
    let mut slow = broker.client_with_topic("t", &[]).named("slow");
    set(&broker, &[("client-id", Some("slow"))], PRODUCE, Some(40_000.0));
    let mut other = broker.client().named("other");
    let told = produce(&mut slow, 100_000);
    assert!((1500..=1510).contains(&told), "two and a half times the second's share: {told}");
    assert_eq!(produce(&mut other, 200_000), 0);
    let rested = answer_time(&mut slow);
    assert!(rested >= Duration::from_millis(500), "the next request waited: {rested:?}");
}

#[test]
fn a_producer_without_answers_rests_too() {
    let broker = TestBroker::start(SETTINGS);
    let mut slow = broker.client_with_topic("t", &[]).named("slow");
    set(&broker, &[("client-id", None)], PRODUCE, Some(50_000.0));
    let request = produce_request("t", 0, vec![(0, batch(&"x".repeat(100_000)))]);
    slow.send(ApiKey::Produce, 9, &request).unwrap();
    let rested = answer_time(&mut slow);
    assert!(rested >= Duration::from_millis(500), "{rested:?}");
}

#[test]
fn pipelined_requests_wait_for_the_end_of_the_rest_and_are_all_answered() {
    let broker = TestBroker::start(SETTINGS);
    let mut slow = broker.client_with_topic("t", &[]).named("slow");
    set(&broker, &[("client-id", Some("slow"))], PRODUCE, Some(100_000.0));
    let request = |nth: usize| produce_request("t", -1, vec![(0, batch(&nth.to_string().repeat(60_000)))]);
    (0..5).for_each(|nth| slow.send(ApiKey::Produce, 9, &request(nth)).unwrap());
    let answers = (0..5).map(|_| slow.receive::<kafka::ProduceResponse>(9).unwrap());
    let offsets: Vec<i64> =
        answers.map(|answer| answer.responses[0].partition_responses[0].base_offset).collect();
    assert_eq!(offsets, [0, 1, 2, 3, 4]);
}

#[test]
fn a_producer_that_rests_as_told_stays_under_its_quota() {
    const QUOTA: f64 = 200_000.0;
    let broker = TestBroker::start(SETTINGS);
    let mut slow = broker.client_with_topic("t", &[]).named("slow");
    set(&broker, &[("user", Some("ANONYMOUS"))], PRODUCE, Some(QUOTA));
    produce(&mut slow, 200_000);
    let (mut bytes, mut spent) = (0.0, Duration::ZERO);
    for _ in 0..15 {
        produce(&mut slow, 50_000);
        bytes += 50_000.0;
        spent += answer_time(&mut slow);
    }
    let rate = bytes / spent.as_secs_f64();
    assert!(rate <= QUOTA * 1.25, "{rate} bytes a second");
}

#[test]
fn a_consumer_over_its_quota_gets_nothing_but_the_rest() {
    let broker = TestBroker::start(&["kafka.quota.window.num=4"]);
    let mut slow = broker.client_with_topic("t", &[]).named("slow");
    assert_eq!([produce(&mut slow, 40_000), produce(&mut slow, 40_000)], [0, 0]);
    set(&broker, &[("client-id", Some("slow"))], FETCH, Some(15_000.0));
    let (told, bytes) = fetch(&mut slow, 0);
    assert!(told == 0 && (40_000..45_000).contains(&bytes), "one batch fits: {told} {bytes}");
    let (told, bytes) = fetch(&mut slow, 1);
    assert!((1000..=3000).contains(&told) && bytes == 0, "{told} {bytes}");
    let (told, bytes) = fetch(&mut broker.client().named("other"), 0);
    assert!(told == 0 && bytes >= 80_000, "{told} {bytes}");
    crate::harness::eventually("it is read in the end", || fetch(&mut slow, 1).1 >= 40_000);
}

#[test]
fn a_batch_larger_than_the_quota_is_read_all_the_same() {
    let broker = TestBroker::start(SETTINGS);
    let mut slow = broker.client_with_topic("t", &[]).named("slow");
    produce(&mut slow, 3_000);
    set(&broker, &[("client-id", Some("slow"))], FETCH, Some(2_000.0));
    let (told, bytes) = fetch(&mut slow, 0);
    assert!(told > 0 && bytes > 3_000, "{told} {bytes}");
}

#[test]
fn a_quota_outlives_a_restart_and_ends_with_its_removal() {
    let mut broker = TestBroker::start(SETTINGS);
    broker.client_with_topic("t", &[]);
    let slow = [("user", None), ("client-id", Some("slow"))];
    set(&broker, &slow, PRODUCE, Some(10_000.0));
    broker.restart();
    assert!(produce(&mut broker.client().named("slow"), 20_000) > 0);
    set(&broker, &slow, PRODUCE, None);
    let mut client = broker.client().named("slow");
    assert_eq!([produce(&mut client, 100_000), produce(&mut client, 100_000)], [0, 0]);
    assert_eq!(values_from(&mut client, "t", 0).len(), 3);
}

#[test]
fn a_client_that_takes_too_much_time_rests_at_most_a_sample() {
    let broker = TestBroker::start(SETTINGS);
    let mut slow = broker.client_with_topic("t", &[]).named("slow");
    set(&broker, &[("client-id", Some("slow"))], "request_percentage", Some(0.000_01));
    let request = kafka::MetadataRequest::default();
    let answer: kafka::MetadataResponse = slow.call(ApiKey::Metadata, 9, &request).unwrap();
    assert_eq!(answer.throttle_time_ms, 1000);
    let older: kafka::MetadataResponse = slow.call(ApiKey::Metadata, 2, &request).unwrap();
    assert_eq!(older.throttle_time_ms, 0, "a version without the field is answered too");
}

/// Creates topics of these sizes: the rest, and each topic's code.
fn create(client: &mut Client, version: i16, topics: &[(&str, i32)]) -> (i32, Vec<i16>) {
    let topics = topics.iter().map(|(name, partitions)| {
        CreatableTopic::default()
            .with_name(kafka::TopicName(text(name)))
            .with_num_partitions(*partitions)
            .with_replication_factor(1)
    });
    let request = kafka::CreateTopicsRequest::default().with_topics(topics.collect()).with_timeout_ms(10_000);
    let answer: kafka::CreateTopicsResponse = client.call(ApiKey::CreateTopics, version, &request).unwrap();
    for topic in &answer.topics {
        let is_mute = [NONE, THROTTLING_QUOTA_EXCEEDED].contains(&topic.error_code);
        assert_eq!(topic.error_message.is_none(), is_mute, "{topic:?}");
    }
    (answer.throttle_time_ms, answer.topics.iter().map(|topic| topic.error_code).collect())
}

#[test]
fn topics_beyond_the_mutation_quota_are_refused_one_by_one() {
    let broker = TestBroker::start(SETTINGS);
    let mut slow = broker.client().named("slow");
    set(&broker, &[("client-id", Some("slow"))], "controller_mutation_rate", Some(5.0));
    let (told, codes) = create(&mut slow, 7, &[("a", 12), ("..", 9), ("b", 1)]);
    assert_eq!(codes, [NONE, 17, THROTTLING_QUOTA_EXCEEDED]);
    assert!((100..=400).contains(&told), "two partitions too many at five a second: {told}");
    assert_eq!(create(&mut slow, 7, &[("b", 3)]), (0, vec![NONE]), "the rest has paid for it");
    let (told, codes) = create(&mut slow, 5, &[("c", 5)]);
    assert_eq!(codes, [NONE], "older versions go through");
    assert!(told > 0, "and rest");
    let grow = CreatePartitionsTopic::default()
        .with_name(kafka::TopicName(text("a")))
        .with_count(30)
        .with_assignments(None);
    let request = kafka::CreatePartitionsRequest::default().with_topics(vec![grow]).with_timeout_ms(10_000);
    let answer: kafka::CreatePartitionsResponse = slow.call(ApiKey::CreatePartitions, 3, &request).unwrap();
    assert_eq!(answer.results[0].error_code, NONE);
    let names = vec![kafka::TopicName(text("a"))];
    let request = kafka::DeleteTopicsRequest::default().with_topic_names(names).with_timeout_ms(10_000);
    let answer: kafka::DeleteTopicsResponse = slow.call(ApiKey::DeleteTopics, 5, &request).unwrap();
    let refused = &answer.responses[0];
    assert_eq!((refused.error_code, &refused.error_message), (THROTTLING_QUOTA_EXCEEDED, &None));
    assert!(answer.throttle_time_ms > 2000, "eighteen partitions were added: {}", answer.throttle_time_ms);
    assert_eq!(create(&mut broker.client().named("other"), 7, &[("d", 50)]), (0, vec![NONE]));
}

#[test]
fn topics_made_on_first_use_count_and_are_not_refused() {
    let settings = [SETTINGS, &["kafka.auto.create.topics.enable=true", "kafka.num.partitions=9"]].concat();
    let broker = TestBroker::start(&settings);
    set(&broker, &[("client-id", Some("slow"))], "controller_mutation_rate", Some(1.0));
    let topic = MetadataRequestTopic::default().with_name(Some(kafka::TopicName(text("new"))));
    let request =
        kafka::MetadataRequest::default().with_topics(Some(vec![topic])).with_allow_auto_topic_creation(true);
    let mut slow = broker.client().named("slow");
    let answer: kafka::MetadataResponse = slow.call(ApiKey::Metadata, 9, &request).unwrap();
    assert_eq!((answer.topics[0].error_code, answer.topics[0].partitions.len()), (NONE, 9));
    assert!((6000..=7000).contains(&answer.throttle_time_ms), "{}", answer.throttle_time_ms);
}

#[test]
fn an_address_that_connects_too_often_is_not_served() {
    let broker = TestBroker::start(SETTINGS);
    let mut first = broker.client();
    set(&broker, &[("ip", Some("127.0.0.1"))], "connection_creation_rate", Some(1.0));
    let (mut served, mut refused) = (broker.client(), broker.client());
    assert!(answer_time(&mut served) < Duration::from_secs(10));
    assert!(
        refused
            .call::<_, kafka::ApiVersionsResponse>(
                ApiKey::ApiVersions,
                0,
                &kafka::ApiVersionsRequest::default()
            )
            .is_err()
    );
    assert!(answer_time(&mut first) < Duration::from_secs(10), "connections that are there stay");
}
