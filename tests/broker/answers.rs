//! Requests that are well formed and make no sense: each is answered with the code that Apache Kafka 4.3 answers, as
//! compared with one request by request.

use bytes::Bytes;
use kafka_protocol::messages as kafka;
use kafka_protocol::messages::ApiKey;
use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::describe_quorum_request::{PartitionData, TopicData};
use kafka_protocol::messages::elect_leaders_request::TopicPartitions;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::protocol::{Decodable, HeaderVersion};
use tidemark_protocol::api::ApiKey as AskedApi;
use tidemark_tests::client::Client;
use tidemark_tests::corpus;
use uuid::Uuid;

use crate::harness::{TestBroker, batch, produce, text};

const NONE: i16 = 0;
const OFFSET_OUT_OF_RANGE: i16 = 1;
const CORRUPT_MESSAGE: i16 = 2;
const UNKNOWN_TOPIC_OR_PARTITION: i16 = 3;
const REQUEST_TIMED_OUT: i16 = 7;
const UNSUPPORTED_VERSION: i16 = 35;
const INVALID_REQUEST: i16 = 42;
const INVALID_RECORD: i16 = 87;

fn topic_name(name: &str) -> kafka::TopicName {
    kafka::TopicName(text(name))
}

#[test]
fn what_is_no_batch_is_corrupt_and_what_is_an_old_one_is_invalid() {
    let broker = TestBroker::start(&[]);
    let mut client = broker.client_with_topic("t", &[]);
    let good = batch("v");
    let with_magic = |magic: u8| {
        let mut bytes = good.to_vec();
        bytes[16] = magic;
        Bytes::from(bytes)
    };
    let cases = [
        ("zeros", Bytes::from_static(&[0; 20]), CORRUPT_MESSAGE),
        ("a format of the future", with_magic(3), CORRUPT_MESSAGE),
        ("message format 0", with_magic(0), INVALID_RECORD),
        ("message format 1", with_magic(1), INVALID_RECORD),
        ("half a batch", good.slice(..good.len() - 3), INVALID_RECORD),
        ("nothing", Bytes::new(), INVALID_RECORD),
        ("two batches", Bytes::from([&good[..], &good[..]].concat()), INVALID_RECORD),
    ];
    for (what, records, code) in cases {
        assert_eq!(produce(&mut client, "t", records), (code, -1), "{what}");
    }
    // The beginning of a second batch is cut off, as if the producer had stopped there.
    let one_and_a_half = Bytes::from([&good[..], &good[..40]].concat());
    assert_eq!(produce(&mut client, "t", one_and_a_half), (NONE, 0));
    assert_eq!(produce(&mut client, "t", good), (NONE, 1));
}

/// ListOffsets of topic `t`: code and offset of each partition answered.
fn list_offsets(client: &mut Client, asked: &[(i32, i64)]) -> Vec<(i32, i16, i64)> {
    let partition =
        |&(index, time)| ListOffsetsPartition::default().with_partition_index(index).with_timestamp(time);
    let topic = ListOffsetsTopic::default()
        .with_name(topic_name("t"))
        .with_partitions(asked.iter().map(partition).collect());
    let request = kafka::ListOffsetsRequest::default().with_replica_id((-1).into()).with_topics(vec![topic]);
    let answer: kafka::ListOffsetsResponse = client.call(ApiKey::ListOffsets, 5, &request).unwrap();
    let partitions = answer.topics[0].partitions.iter();
    partitions.map(|found| (found.partition_index, found.error_code, found.offset)).collect()
}

#[test]
fn times_nobody_knows_are_of_another_version_and_a_partition_asked_twice_is_refused_once() {
    let broker = TestBroker::start(&[]);
    let mut client = broker.client();
    client.create_topic("t", 2, &[]).unwrap();
    assert_eq!(list_offsets(&mut client, &[(0, -1)]), [(0, NONE, 0)]);
    for time in [-7, -100, i64::MIN] {
        assert_eq!(list_offsets(&mut client, &[(0, time)]), [(0, UNSUPPORTED_VERSION, -1)], "{time}");
    }
    let twice = list_offsets(&mut client, &[(1, -1), (0, -2), (1, -2)]);
    assert_eq!(twice, [(1, INVALID_REQUEST, -1), (0, NONE, 0)]);
}

#[test]
fn a_fetch_from_nowhere_says_nothing_of_the_log_and_a_negative_epoch_is_none() {
    let broker = TestBroker::start(&[]);
    let mut client = broker.client_with_topic("t", &[]);
    assert_eq!(produce(&mut client, "t", batch("v")), (NONE, 0));
    let mut fetch = |offset, epoch| {
        let partition = FetchPartition::default()
            .with_fetch_offset(offset)
            .with_current_leader_epoch(epoch)
            .with_partition_max_bytes(1000);
        let topic = FetchTopic::default().with_topic(topic_name("t")).with_partitions(vec![partition]);
        let request = kafka::FetchRequest::default()
            .with_max_bytes(1000)
            .with_session_epoch(-1)
            .with_topics(vec![topic]);
        let answer: kafka::FetchResponse = client.call(ApiKey::Fetch, 11, &request).unwrap();
        let found = &answer.responses[0].partitions[0];
        (found.error_code, found.high_watermark, found.last_stable_offset, found.log_start_offset)
    };
    for offset in [-5, -1, 1000] {
        assert_eq!(fetch(offset, -1), (OFFSET_OUT_OF_RANGE, -1, -1, -1), "{offset}");
    }
    assert_eq!(fetch(0, -5), (NONE, 1, 1, 0));
}

#[test]
fn the_topic_of_kafkas_metadata_is_not_for_clients() {
    let broker = TestBroker::start(&[]);
    let mut client = broker.client();
    let mut create = |name| {
        let topic = CreatableTopic::default()
            .with_name(topic_name(name))
            .with_num_partitions(1)
            .with_replication_factor(1);
        let request = kafka::CreateTopicsRequest::default().with_topics(vec![topic]).with_timeout_ms(10_000);
        let answer: kafka::CreateTopicsResponse = client.call(ApiKey::CreateTopics, 5, &request).unwrap();
        let topic = &answer.topics[0];
        (topic.error_code, topic.error_message.as_ref().map(|message| message.to_string()))
    };
    assert_eq!(create("t"), (NONE, None), "no message where there is nothing to say");
    let (code, message) = create("__cluster_metadata");
    assert_eq!(code, INVALID_REQUEST);
    assert_eq!(message.as_deref(), Some("Creation of internal topic __cluster_metadata is prohibited."));
}

#[test]
fn a_topic_named_twice_is_not_deleted_whether_it_is_there_or_not() {
    let broker = TestBroker::start(&[]);
    let mut client = broker.client_with_topic("t", &[]);
    let mut delete = |names: &[&str]| -> Vec<i16> {
        let topic = |name: &&str| DeleteTopicState::default().with_name(Some(topic_name(name)));
        let request = kafka::DeleteTopicsRequest::default()
            .with_topics(names.iter().map(topic).collect())
            .with_timeout_ms(10_000);
        let answer: kafka::DeleteTopicsResponse = client.call(ApiKey::DeleteTopics, 6, &request).unwrap();
        answer.responses.iter().map(|result| result.error_code).collect()
    };
    assert_eq!(delete(&["t", "t"]), [INVALID_REQUEST; 2]);
    assert_eq!(delete(&["nobody", "nobody"]), [INVALID_REQUEST; 2]);
    assert_eq!(delete(&["nobody", "t"]), [UNKNOWN_TOPIC_OR_PARTITION, NONE]);
}

#[test]
fn an_election_without_time_times_out() {
    let broker = TestBroker::start(&[]);
    let mut client = broker.client_with_topic("t", &[]);
    let mut elect = |timeout_ms, topics: Option<Vec<TopicPartitions>>| {
        let request =
            kafka::ElectLeadersRequest::default().with_topic_partitions(topics).with_timeout_ms(timeout_ms);
        let answer: kafka::ElectLeadersResponse = client.call(ApiKey::ElectLeaders, 1, &request).unwrap();
        let results = answer.replica_election_results.iter().flat_map(|topic| &topic.partition_result);
        (answer.error_code, results.map(|result| result.error_code).collect::<Vec<_>>())
    };
    let named =
        || Some(vec![TopicPartitions::default().with_topic(topic_name("t")).with_partitions(vec![0])]);
    for timeout_ms in [0, -1] {
        assert_eq!(elect(timeout_ms, named()), (REQUEST_TIMED_OUT, vec![REQUEST_TIMED_OUT]));
        assert_eq!(elect(timeout_ms, None), (REQUEST_TIMED_OUT, vec![]));
    }
    const ELECTION_NOT_NEEDED: i16 = 84;
    assert_eq!(elect(5000, named()), (NONE, vec![ELECTION_NOT_NEEDED]));
}

#[test]
fn an_empty_list_of_keys_asks_for_all_configs_and_a_group_needs_a_name() {
    let broker = TestBroker::start(&[]);
    let mut client = broker.client_with_topic("t", &[]);
    let mut describe = |kind: i8, name: &str, keys: Option<Vec<&str>>| {
        let resource = DescribeConfigsResource::default()
            .with_resource_type(kind)
            .with_resource_name(text(name))
            .with_configuration_keys(keys.map(|keys| keys.into_iter().map(text).collect()));
        let request = kafka::DescribeConfigsRequest::default().with_resources(vec![resource]);
        let answer: kafka::DescribeConfigsResponse =
            client.call(ApiKey::DescribeConfigs, 1, &request).unwrap();
        (answer.results[0].error_code, answer.results[0].configs.len())
    };
    let all = describe(2, "t", None);
    assert!(all.1 > 30);
    assert_eq!(describe(2, "t", Some(vec![])), all);
    assert_eq!(describe(2, "t", Some(vec!["retention.ms"])), (NONE, 1));
    assert_eq!(describe(32, "", None), (INVALID_REQUEST, 0));
}

#[test]
fn configs_of_another_broker_are_altered_there() {
    let broker = TestBroker::start(&[]);
    let mut client = broker.client();
    let mut alter = |name: &str| {
        let config =
            AlterableConfig::default().with_name(text("message.max.bytes")).with_value(Some(text("100000")));
        let resource = AlterConfigsResource::default()
            .with_resource_type(4)
            .with_resource_name(text(name))
            .with_configs(vec![config]);
        let request = kafka::IncrementalAlterConfigsRequest::default().with_resources(vec![resource]);
        let answer: kafka::IncrementalAlterConfigsResponse =
            client.call(ApiKey::IncrementalAlterConfigs, 0, &request).unwrap();
        let result = &answer.responses[0];
        (result.error_code, result.error_message.as_ref().map(|message| message.to_string()))
    };
    assert_eq!(alter("1"), (NONE, None));
    let (code, message) = alter("99");
    assert_eq!(code, INVALID_REQUEST);
    assert_eq!(message.as_deref(), Some("Unexpected broker id, expected 1, but received 99"));
}

/// The codes that every served version of an API answers to its requests in the corpus.
fn codes<R: Decodable + HeaderVersion>(
    client: &mut Client,
    key: AskedApi,
    code: fn(&R) -> i16,
) -> Vec<(i16, i16)> {
    let asked = corpus::entries(Uuid::nil()).into_iter().filter(|entry| entry.api.key == key);
    let answers = asked.map(|entry| {
        let mut bytes = u32::try_from(entry.frame.len()).unwrap().to_be_bytes().to_vec();
        bytes.extend(&entry.frame);
        client.send_bytes(&bytes).unwrap();
        (entry.version, code(&client.receive(0).unwrap()))
    });
    answers.collect()
}

#[test]
fn a_node_that_nobody_knows_is_neither_unregistered_nor_a_voter() {
    const BROKER_ID_NOT_REGISTERED: i16 = 102;
    const INCONSISTENT_CLUSTER_ID: i16 = 104;
    const VOTER_NOT_FOUND: i16 = 127;
    let broker = TestBroker::start(&[]);
    let mut client = broker.client();
    let answers =
        codes(&mut client, AskedApi::UnregisterBroker, |answer: &kafka::UnregisterBrokerResponse| {
            answer.error_code
        });
    assert_eq!(answers, [(0, BROKER_ID_NOT_REGISTERED)]);
    let answers = codes(&mut client, AskedApi::RemoveRaftVoter, |answer: &kafka::RemoveRaftVoterResponse| {
        answer.error_code
    });
    assert_eq!(answers, [(0, INCONSISTENT_CLUSTER_ID), (0, VOTER_NOT_FOUND)]);
    let answers =
        codes(&mut client, AskedApi::AddRaftVoter, |answer: &kafka::AddRaftVoterResponse| answer.error_code);
    let refused = |version| [(version, INCONSISTENT_CLUSTER_ID), (version, INVALID_REQUEST)];
    assert_eq!(answers, [refused(0), refused(1)].concat());
}

#[test]
fn the_only_broker_and_voter_stays() {
    let broker = TestBroker::start(&[]);
    let mut client = broker.client();
    let request = kafka::UnregisterBrokerRequest::default().with_broker_id(1.into());
    let answer: kafka::UnregisterBrokerResponse = client.call(ApiKey::UnregisterBroker, 0, &request).unwrap();
    assert_eq!(answer.error_code, INVALID_REQUEST);
    let topic = TopicData::default()
        .with_topic_name(topic_name("__cluster_metadata"))
        .with_partitions(vec![PartitionData::default()]);
    let request = kafka::DescribeQuorumRequest::default().with_topics(vec![topic]);
    let answer: kafka::DescribeQuorumResponse = client.call(ApiKey::DescribeQuorum, 2, &request).unwrap();
    let voter = &answer.topics[0].partitions[0].current_voters[0];
    let request = kafka::RemoveRaftVoterRequest::default()
        .with_cluster_id(None)
        .with_voter_id(1)
        .with_voter_directory_id(voter.replica_directory_id);
    let answer: kafka::RemoveRaftVoterResponse = client.call(ApiKey::RemoveRaftVoter, 0, &request).unwrap();
    assert_eq!(answer.error_code, INVALID_REQUEST);
    assert!(answer.error_message.unwrap().contains("lose the majority"));
}
