use std::sync::Arc;

use tidemark_protocol::types::{BrokerId, TopicPartition};

use super::*;
use crate::metadata::command::Command;
use crate::metadata::decide::tests::{cluster, create, new_topic, run};
use crate::metadata::image::ClusterImage;
use crate::metadata::record::MetadataRecord;
use crate::metadata::reply::Reply;

fn with_topic(brokers: i32) -> ClusterImage {
    let mut image = cluster(brokers);
    let topic = new_topic(&image, "t", 1, i16::try_from(brokers).unwrap());
    run(&mut image, &create(vec![topic]));
    image
}

/// Sets what no command can bring about on a healthy cluster.
fn set(image: &mut ClusterImage, leader: BrokerId, isr: &[BrokerId]) {
    let id = image.topic("t").unwrap().id;
    let partition = PartitionImage {
        leader,
        isr: Arc::from(isr),
        replicas: Arc::from([1, 2, 3]),
        ..partition(image).clone()
    };
    image.apply(&MetadataRecord::PartitionChange { topic_id: id, index: 0, partition });
}

fn partition(image: &ClusterImage) -> &PartitionImage {
    image.partition(&TopicPartition::new("t", 0)).unwrap()
}

fn elected(image: &mut ClusterImage, election: Election) -> ErrorCode {
    let partitions = Some(vec![TopicPartitions { topic: "t".to_owned(), partitions: vec![0] }]);
    match run(image, &Command::ElectLeaders { election, partitions }) {
        Reply::LeadersElected(results) => match &results[0].partitions[0].1 {
            Ok(()) => ErrorCode::None,
            Err(failure) => failure.code,
        },
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_partition_led_by_its_preferred_replica_needs_no_election() {
    let mut image = with_topic(1);
    let before = image.clone();
    assert_eq!(elected(&mut image, Election::Preferred), ErrorCode::ElectionNotNeeded);
    assert_eq!(elected(&mut image, Election::Unclean), ErrorCode::ElectionNotNeeded);
    assert_eq!(image.topics, before.topics);
}

#[test]
fn the_preferred_replica_takes_over_in_a_new_epoch() {
    let mut image = with_topic(3);
    set(&mut image, 2, &[2, 1]);
    let epoch = partition(&image).leader_epoch;
    assert_eq!(elected(&mut image, Election::Preferred), ErrorCode::None);
    assert_eq!((partition(&image).leader, partition(&image).leader_epoch), (1, epoch + 1));
    assert_eq!(*partition(&image).isr, [2, 1]);
}

#[test]
fn a_preferred_replica_out_of_sync_does_not_lead() {
    let mut image = with_topic(3);
    set(&mut image, 2, &[2, 3]);
    assert_eq!(elected(&mut image, Election::Preferred), ErrorCode::PreferredLeaderNotAvailable);
}

#[test]
fn an_unclean_election_leaves_the_elected_alone_in_sync() {
    let mut image = with_topic(3);
    set(&mut image, -1, &[9]);
    assert_eq!(elected(&mut image, Election::Unclean), ErrorCode::None);
    assert_eq!((partition(&image).leader, &*partition(&image).isr), (1, &[1][..]));
}

#[test]
fn unknown_partitions_are_named_and_all_partitions_list_only_changes() {
    let mut image = with_topic(1);
    let asked = |topic: &str, partitions| TopicPartitions { topic: topic.to_owned(), partitions };
    let partitions = Some(vec![asked("nope", vec![0]), asked("t", vec![7])]);
    let reply = run(&mut image, &Command::ElectLeaders { election: Election::Preferred, partitions });
    let Reply::LeadersElected(results) = reply else { panic!("{reply:?}") };
    let unknown = |message: &str| Err(Failure::new(ErrorCode::UnknownTopicOrPartition, message));
    assert_eq!(results[0].partitions, [(0, unknown("No such topic as nope"))]);
    assert_eq!(results[1].partitions, [(7, unknown("No such partition as t-7"))]);
    let reply = run(&mut image, &Command::ElectLeaders { election: Election::Preferred, partitions: None });
    let all = vec![PartitionResults { topic: "t".to_owned(), partitions: Vec::new() }];
    assert_eq!(reply, Reply::LeadersElected(all));
}
