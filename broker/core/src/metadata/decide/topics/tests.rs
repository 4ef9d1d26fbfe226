//! One test for each row of what creation, deletion and growth refuse, with Kafka's code and text.

use std::collections::BTreeMap;

use tidemark_protocol::error_code::ErrorCode;
use tidemark_protocol::types::TopicId;
use uuid::Uuid;

use crate::metadata::command::{Command, ConfigOpKind, NewPartitions, NewTopic, TopicKey};
use crate::metadata::decide::decide;
use crate::metadata::decide::tests::{alter, cluster, create, new_topic, run};
use crate::metadata::image::{ClusterImage, ConfigResource};
use crate::metadata::placement;
use crate::metadata::reply::{Reply, TopicResult, TopicShape};

type Assignment<'a> = &'a [(i32, &'a [i32])];
type Configs<'a> = &'a [(&'a str, Option<&'a str>)];

fn results(reply: Reply) -> Vec<TopicResult> {
    match reply {
        Reply::TopicsCreated(results) | Reply::TopicsDeleted(results) | Reply::PartitionsCreated(results) => {
            results
        }
        other => panic!("not about topics: {other:?}"),
    }
}

/// Asserts that creation is refused with this code and text, and changes nothing.
fn refused(image: &ClusterImage, topic: NewTopic, code: ErrorCode, text: &str) {
    let outcome = decide(image, &create(vec![topic]), 99);
    assert!(outcome.records.is_empty());
    let failure = results(outcome.reply).remove(0).result.unwrap_err();
    assert_eq!((failure.code, failure.message.as_str()), (code, text));
}

fn manual(image: &ClusterImage, assignment: Assignment<'_>) -> NewTopic {
    let manual = assignment.iter().map(|(index, replicas)| (*index, replicas.to_vec())).collect();
    NewTopic { manual, ..new_topic(image, "orders", -1, -1) }
}

fn with_config(image: &ClusterImage, configs: Configs<'_>) -> NewTopic {
    let configs = configs.iter().map(|(key, value)| ((*key).to_owned(), value.map(str::to_owned))).collect();
    NewTopic { configs, ..new_topic(image, "orders", 1, 1) }
}

fn keys(names: &[&str]) -> Command {
    Command::DeleteTopics { topics: names.iter().map(|name| TopicKey::Name((*name).to_owned())).collect() }
}

fn grow(image: &ClusterImage, topic: &str, count: i32, manual: Option<Vec<Vec<i32>>>) -> Command {
    let placement = placement::place(image, 0, usize::try_from(count).unwrap_or(0).min(9), 1, 0).unwrap();
    Command::CreatePartitions {
        topics: vec![NewPartitions { topic: topic.to_owned(), count, manual, placement }],
    }
}

#[test]
fn a_topic_is_created_with_its_configuration() {
    let mut image = cluster(3);
    let topic = NewTopic {
        configs: vec![("retention.ms".to_owned(), Some("1000".to_owned()))],
        ..new_topic(&image, "orders", 4, 3)
    };
    let id = topic.id;
    let shape = TopicShape { partitions: 4, replication_factor: 3 };
    let result = results(run(&mut image, &create(vec![topic]))).remove(0);
    assert_eq!(result, TopicResult { name: Some("orders".to_owned()), id, result: Ok(shape) });
    let created = image.topic("orders").unwrap();
    assert_eq!(created.id, id);
    assert_eq!(created.partitions.len(), 4);
    for partition in &created.partitions {
        assert_eq!(partition.leader, partition.replicas[0]);
        assert_eq!(partition.isr, partition.replicas);
        assert_eq!((partition.leader_epoch, partition.partition_epoch), (0, 0));
    }
    assert_eq!(image.topic_config("orders").unwrap()["retention.ms"], "1000");
}

#[test]
fn minus_one_takes_the_proposers_defaults() {
    let mut image = cluster(2);
    let statics = BTreeMap::from([
        ("num.partitions".to_owned(), "6".to_owned()),
        ("default.replication.factor".to_owned(), "2".to_owned()),
    ]);
    let placement = placement::place(&image, 0, 6, 2, 0).unwrap();
    let topic = NewTopic { placement, ..new_topic(&image, "orders", -1, -1) };
    let reply = run(&mut image, &Command::CreateTopics { topics: vec![topic], statics });
    let shape = TopicShape { partitions: 6, replication_factor: 2 };
    assert_eq!(results(reply)[0].result, Ok(shape));
}

#[test]
fn illegal_names_are_refused() {
    let image = cluster(1);
    let long = "x".repeat(250);
    let cases = [
        ("", "the empty string is not allowed".to_owned()),
        (".", "'.' is not allowed".to_owned()),
        ("..", "'..' is not allowed".to_owned()),
        (&long, format!("the length of '{long}' is longer than the max allowed length 249")),
        (
            "a b",
            "'a b' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'"
                .to_owned(),
        ),
    ];
    for (name, reason) in cases {
        let text = format!("Topic name is invalid: {reason}");
        refused(&image, new_topic(&image, name, 1, 1), ErrorCode::InvalidTopicException, &text);
    }
}

#[test]
fn names_that_collide_in_metrics_are_refused_until_the_other_is_gone() {
    let mut image = cluster(1);
    let first = new_topic(&image, "a.b_c", 1, 1);
    run(&mut image, &create(vec![first]));
    let text = "Topic 'a_b.c' collides with existing topic: a.b_c";
    refused(&image, new_topic(&image, "a_b.c", 1, 1), ErrorCode::InvalidTopicException, text);
    run(&mut image, &keys(&["a.b_c"]));
    let second = new_topic(&image, "a_b.c", 1, 1);
    assert!(results(run(&mut image, &create(vec![second])))[0].result.is_ok());
}

#[test]
fn two_colliding_names_in_one_request_make_one_topic() {
    let mut image = cluster(1);
    let topics = vec![new_topic(&image, "a.b", 1, 1), new_topic(&image, "a_b", 1, 1)];
    let results = results(run(&mut image, &create(topics)));
    assert!(results[0].result.is_ok());
    assert_eq!(results[1].result.as_ref().unwrap_err().code, ErrorCode::InvalidTopicException);
    assert_eq!(image.topics.len(), 1);
}

#[test]
fn an_existing_name_is_refused() {
    let mut image = cluster(1);
    let first = new_topic(&image, "orders", 1, 1);
    run(&mut image, &create(vec![first]));
    let again = new_topic(&image, "orders", 1, 1);
    refused(&image, again, ErrorCode::TopicAlreadyExists, "Topic 'orders' already exists.");
}

#[test]
fn a_name_twice_in_a_request_is_refused_both_times_and_others_are_made() {
    let mut image = cluster(1);
    let topics = ["twice", "once", "twice"].map(|name| new_topic(&image, name, 1, 1)).to_vec();
    let results = results(run(&mut image, &create(topics)));
    for at in [0, 2] {
        let failure = results[at].result.as_ref().unwrap_err();
        assert_eq!(
            (failure.code, failure.message.as_str()),
            (ErrorCode::InvalidRequest, "Duplicate topic name.")
        );
    }
    assert!(results[1].result.is_ok());
    assert!(image.topic("twice").is_none());
}

#[test]
fn sizes_that_make_no_sense_are_refused() {
    let image = cluster(2);
    let factor = "Replication factor must be larger than 0, or -1 to use the default value.";
    refused(&image, new_topic(&image, "t", 1, 0), ErrorCode::InvalidReplicationFactor, factor);
    refused(&image, new_topic(&image, "t", 1, -2), ErrorCode::InvalidReplicationFactor, factor);
    let count = "Number of partitions was set to an invalid non-positive value.";
    refused(&image, new_topic(&image, "t", 0, 1), ErrorCode::InvalidPartitions, count);
    refused(&image, new_topic(&image, "t", -2, 1), ErrorCode::InvalidPartitions, count);
    let brokers = "Unable to replicate the partition 3 time(s): The target replication factor of 3 cannot be reached \
                   because only 2 broker(s) are registered.";
    refused(&image, new_topic(&image, "t", 1, 3), ErrorCode::InvalidReplicationFactor, brokers);
}

#[test]
fn requests_for_too_many_partitions_are_refused() {
    let image = cluster(1);
    let text = "Excessively large number of partitions per request.";
    refused(&image, new_topic(&image, "t", 10_001, 1), ErrorCode::PolicyViolation, text);
    let asked = NewTopic { placement: Vec::new(), partitions: i32::MAX, ..new_topic(&image, "t", 1, 1) };
    refused(&image, asked, ErrorCode::PolicyViolation, text);
}

#[test]
fn manual_assignments_are_taken_as_they_are() {
    let mut image = cluster(3);
    let topic = manual(&image, &[(1, &[3, 1]), (0, &[2, 3])]);
    let shape = TopicShape { partitions: 2, replication_factor: 2 };
    assert_eq!(results(run(&mut image, &create(vec![topic])))[0].result, Ok(shape));
    let created = image.topic("orders").unwrap();
    assert_eq!(*created.partitions[0].replicas, [2, 3]);
    assert_eq!(*created.partitions[1].replicas, [3, 1]);
}

#[test]
fn manual_assignments_exclude_counts() {
    let image = cluster(1);
    let with_count = NewTopic { partitions: 1, ..manual(&image, &[(0, &[1])]) };
    let text = "A manual partition assignment was specified, but numPartitions was not set to -1.";
    refused(&image, with_count, ErrorCode::InvalidRequest, text);
    let with_factor = NewTopic { replication_factor: 1, ..manual(&image, &[(0, &[1])]) };
    let text = "A manual partition assignment was specified, but replication factor was not set to -1.";
    refused(&image, with_factor, ErrorCode::InvalidRequest, text);
}

#[test]
fn bad_manual_assignments_are_refused() {
    let image = cluster(3);
    let cases: [(Assignment<'_>, &str); 7] = [
        (&[(0, &[])], "The manual partition assignment includes an empty replica list."),
        (
            &[(0, &[9])],
            "The manual partition assignment includes broker 9, but no such broker is registered.",
        ),
        (&[(0, &[1, 1])], "The manual partition assignment includes the broker 1 more than once."),
        (
            &[(0, &[1, 2]), (1, &[1])],
            "The manual partition assignment includes a partition with 1 replica(s), but this is not consistent with \
             previous partitions, which have 2 replica(s).",
        ),
        (&[(0, &[1]), (0, &[2])], "Found multiple manual partition assignments for partition 0"),
        (&[(0, &[1]), (2, &[1])], "partitions should be a consecutive 0-based integer sequence"),
        (&[(-1, &[1])], "partitions should be a consecutive 0-based integer sequence"),
    ];
    for (assignment, text) in cases {
        refused(&image, manual(&image, assignment), ErrorCode::InvalidReplicaAssignment, text);
    }
}

#[test]
fn fenced_brokers_are_not_placed_on_and_do_not_lead() {
    let mut image = cluster(2);
    let mut fenced = (*image.brokers[&1]).clone();
    fenced.fenced = true;
    image.brokers.insert(1, std::sync::Arc::new(fenced));
    let text = "All brokers specified in the manual partition assignment for partition 0 are fenced or in controlled \
                shutdown.";
    refused(&image, manual(&image, &[(0, &[1])]), ErrorCode::InvalidReplicaAssignment, text);
    let topic = manual(&image, &[(0, &[1, 2])]);
    run(&mut image, &create(vec![topic]));
    let partition = &image.topic("orders").unwrap().partitions[0];
    assert_eq!((partition.leader, &*partition.isr), (2, &[2][..]));
    assert_eq!(placement::place(&image, 0, 3, 1, 0).unwrap(), vec![vec![2]; 3]);
}

#[test]
fn bad_configuration_is_refused() {
    let image = cluster(1);
    let cases: [(Configs<'_>, ErrorCode, &str); 4] = [
        (&[("no.such", Some("1"))], ErrorCode::InvalidConfig, "Unknown topic config name: no.such"),
        (
            &[("max.message.bytes", Some("abc"))],
            ErrorCode::InvalidConfig,
            "Invalid value abc for configuration max.message.bytes: Not a number of type INT",
        ),
        (
            &[("retention.ms", None), ("segment.ms", None)],
            ErrorCode::InvalidConfig,
            "Null value not supported for topic configs: retention.ms,segment.ms",
        ),
        (
            &[("retention.ms", Some("1")), ("retention.ms", Some("2"))],
            ErrorCode::InvalidRequest,
            "Error due to duplicate config keys",
        ),
    ];
    for (configs, code, text) in cases {
        refused(&image, with_config(&image, configs), code, text);
    }
}

#[test]
fn ids_that_cannot_be_used_are_refused() {
    let mut image = cluster(1);
    let first = new_topic(&image, "first", 1, 1);
    run(&mut image, &create(vec![first.clone()]));
    let option_like = TopicId(Uuid::from_u128(62 << 122));
    assert!(option_like.to_string().starts_with('-'));
    for id in [TopicId::ZERO, first.id, option_like] {
        let topic = NewTopic { id, ..new_topic(&image, "second", 1, 1) };
        refused(&image, topic, ErrorCode::InvalidRequest, &format!("Topic id {id} cannot be used."));
    }
}

#[test]
fn deletion_takes_partitions_and_configuration_with_it() {
    let mut image = cluster(1);
    let topic = new_topic(&image, "orders", 2, 1);
    let id = topic.id;
    run(&mut image, &create(vec![topic]));
    let set = [("retention.ms", ConfigOpKind::Set, Some("5"))];
    run(&mut image, &alter(ConfigResource::Topic("orders".to_owned()), &set));
    let result =
        results(run(&mut image, &Command::DeleteTopics { topics: vec![TopicKey::Id(id)] })).remove(0);
    assert_eq!((result.name.as_deref(), result.id), (Some("orders"), id));
    assert!(result.result.is_ok());
    assert!(image.topics.is_empty() && image.topic_ids.is_empty() && image.configs.is_empty());
    assert!(image.colliding_names.is_empty());
}

#[test]
fn unknown_topics_cannot_be_deleted_and_others_still_are() {
    let mut image = cluster(1);
    let topic = new_topic(&image, "orders", 1, 1);
    run(&mut image, &create(vec![topic]));
    let unknown = TopicId(Uuid::from_u128(77));
    let topics =
        vec![TopicKey::Name("x".to_owned()), TopicKey::Id(unknown), TopicKey::Name("orders".to_owned())];
    let results = results(run(&mut image, &Command::DeleteTopics { topics }));
    assert_eq!(results[0].result.as_ref().unwrap_err().code, ErrorCode::UnknownTopicOrPartition);
    assert_eq!(results[1].result.as_ref().unwrap_err().code, ErrorCode::UnknownTopicId);
    assert_eq!((results[1].name.as_deref(), results[1].id), (None, unknown));
    assert!(results[2].result.is_ok());
}

#[test]
fn a_topic_named_twice_is_not_deleted() {
    let mut image = cluster(1);
    let topic = new_topic(&image, "orders", 1, 1);
    let id = topic.id;
    run(&mut image, &create(vec![topic]));
    let topics = vec![TopicKey::Name("orders".to_owned()), TopicKey::Id(id)];
    for result in results(run(&mut image, &Command::DeleteTopics { topics })) {
        assert_eq!(result.result.unwrap_err().code, ErrorCode::InvalidRequest);
    }
    assert!(image.topic("orders").is_some());
}

#[test]
fn topics_grow() {
    let mut image = cluster(2);
    let topic = new_topic(&image, "orders", 1, 1);
    run(&mut image, &create(vec![topic]));
    let command = grow(&image, "orders", 3, Some(vec![vec![2], vec![1]]));
    let shape = TopicShape { partitions: 3, replication_factor: 1 };
    assert_eq!(results(run(&mut image, &command))[0].result, Ok(shape));
    let partitions = &image.topic("orders").unwrap().partitions;
    assert_eq!([partitions[1].leader, partitions[2].leader], [2, 1]);
    let placement = placement::place(&image, 3, 2, 1, 0).unwrap();
    let topics = vec![NewPartitions { topic: "orders".to_owned(), count: 5, manual: None, placement }];
    run(&mut image, &Command::CreatePartitions { topics });
    assert_eq!(image.topic("orders").unwrap().partitions.len(), 5);
}

#[test]
fn growth_that_is_none_is_refused() {
    let mut image = cluster(1);
    let topic = new_topic(&image, "orders", 3, 1);
    run(&mut image, &create(vec![topic]));
    let not_more = "The topic orders currently has 3 partition(s); 2 would not be an increase.";
    let wrong = "Attempted to add 2 additional partition(s), but only 1 assignment(s) were specified.";
    let cases = [
        (grow(&image, "orders", 3, None), ErrorCode::InvalidPartitions, "Topic already has 3 partition(s)."),
        (grow(&image, "orders", 2, None), ErrorCode::InvalidPartitions, not_more),
        (grow(&image, "orders", 5, Some(vec![vec![1]])), ErrorCode::InvalidReplicaAssignment, wrong),
        (
            grow(&image, "orders", 4, Some(vec![vec![9]])),
            ErrorCode::InvalidReplicaAssignment,
            "The manual partition assignment includes broker 9, but no such broker is registered.",
        ),
        (
            grow(&image, "orders", i32::MAX, None),
            ErrorCode::PolicyViolation,
            "Excessively large number of partitions per request.",
        ),
        (
            grow(&image, "nope", 3, None),
            ErrorCode::UnknownTopicOrPartition,
            ErrorCode::UnknownTopicOrPartition.message(),
        ),
    ];
    for (command, code, text) in cases {
        let outcome = decide(&image, &command, 99);
        assert!(outcome.records.is_empty());
        let failure = results(outcome.reply).remove(0).result.unwrap_err();
        assert_eq!((failure.code, failure.message.as_str()), (code, text));
    }
}
