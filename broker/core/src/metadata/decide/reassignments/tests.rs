use tidemark_protocol::types::TopicPartition;

use super::*;
use crate::metadata::command::Command;
use crate::metadata::decide::tests::world::World;
use crate::metadata::decide::tests::{cluster, create, new_topic, run};
use crate::metadata::reply::Reply;

/// Topic "t" with one partition on brokers 1 and 2 of 3.
fn with_topic() -> ClusterImage {
    let mut image = cluster(3);
    let mut topic = new_topic(&image, "t", -1, -1);
    topic.manual = vec![(0, vec![1, 2])];
    run(&mut image, &create(vec![topic]));
    image
}

fn partition(image: &ClusterImage) -> PartitionImage {
    image.partition(&TopicPartition::new("t", 0)).unwrap().clone()
}

fn asked(image: &mut ClusterImage, target: Option<&[BrokerId]>, change: bool) -> Result<(), Failure> {
    let topics = vec![TopicReassignment {
        topic: "t".to_owned(),
        partitions: vec![(0, target.map(<[BrokerId]>::to_vec))],
    }];
    match run(image, &Command::ReassignPartitions { topics, allow_replication_factor_change: change }) {
        Reply::PartitionsReassigned(mut results) => results.remove(0).partitions.remove(0).1,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_replicas_it_has_change_nothing() {
    let mut image = with_topic();
    let before = partition(&image);
    assert_eq!(asked(&mut image, Some(&[1, 2]), false), Ok(()));
    assert_eq!(partition(&image), before);
}

#[test]
fn replicas_in_sync_are_reordered_and_removed_at_once() {
    let mut image = with_topic();
    assert_eq!(asked(&mut image, Some(&[2, 1]), false), Ok(()));
    let reordered = partition(&image);
    assert_eq!((&*reordered.replicas, reordered.leader), (&[2, 1][..], 1), "the leader stays");
    assert_eq!(asked(&mut image, Some(&[2]), true), Ok(()));
    let shrunk = partition(&image);
    assert_eq!((&*shrunk.replicas, &*shrunk.isr, shrunk.leader), (&[2][..], &[2][..], 2));
    assert_eq!(shrunk.leader_epoch, reordered.leader_epoch + 1);
    assert!(shrunk.adding.is_empty() && shrunk.removing.is_empty());
}

#[test]
fn a_new_replica_is_added_before_an_old_one_is_removed_and_can_be_cancelled() {
    let mut image = with_topic();
    let before = partition(&image);
    assert_eq!(asked(&mut image, Some(&[3, 1]), false), Ok(()));
    let moving = partition(&image);
    assert_eq!(*moving.replicas, [3, 1, 2]);
    assert_eq!((&*moving.adding, &*moving.removing, moving.leader), (&[3][..], &[2][..], 1));
    assert_eq!(asked(&mut image, None, false), Ok(()));
    let back = partition(&image);
    assert_eq!((back.adding.len(), back.removing.len(), back.leader), (0, 0, before.leader));
    assert_eq!(*back.replicas, [1, 2]);
    assert_eq!(asked(&mut image, None, false).unwrap_err().code, ErrorCode::NoReassignmentInProgress);
}

#[test]
fn impossible_targets_are_refused_in_kafkas_words() {
    let mut image = with_topic();
    for (target, words) in [
        (&[][..], "The manual partition assignment includes an empty replica list."),
        (&[1, 1][..], "The manual partition assignment includes the broker 1 more than once."),
        (&[9][..], "The manual partition assignment includes broker 9, but no such broker is registered."),
    ] {
        let failure = asked(&mut image, Some(target), true).unwrap_err();
        assert_eq!((failure.code, &*failure.message), (ErrorCode::InvalidReplicaAssignment, words));
    }
    let failure = asked(&mut image, Some(&[1]), false).unwrap_err();
    assert_eq!(failure.code, ErrorCode::InvalidReplicationFactor);
}

#[test]
fn what_only_the_added_replicas_hold_is_not_given_up() {
    let mut world = World::with_topic(3, &[1]);
    world.reassign(Some(&[2, 3])).unwrap();
    world.isr(&[1, 2]);
    world.fence(1);
    world.expect(2, &[2], &[]);
    let before = world.t();
    for target in [None, Some(&[1][..])] {
        let failure = world.reassign(target).unwrap_err();
        assert_eq!(failure.code, ErrorCode::InvalidReplicaAssignment);
        assert_eq!(
            failure.message,
            "Unable to revert partition assignment for t:0 because it would require an unclean leader election."
        );
        assert_eq!(world.t(), before);
    }
    world.set_topic("unclean.leader.election.enable", Some("true"));
    assert!(world.reassign(None).is_err(), "nobody would be there to lead");
    world.unfence(1);
    world.reassign(None).unwrap();
    world.expect(1, &[1], &[]);
}

#[test]
fn a_new_target_replaces_the_one_before() {
    let mut world = World::with_topic(5, &[1, 2]);
    world.reassign(Some(&[1, 3])).unwrap();
    world.isr(&[1, 2, 3]);
    assert_eq!(*world.t().replicas, [1, 3]);
    world.reassign(Some(&[4, 5])).unwrap();
    world.isr(&[1, 3, 4]);
    world.reassign(Some(&[5, 1])).unwrap();
    let t = world.t();
    assert_eq!((&*t.replicas, &*t.adding, &*t.removing), (&[5, 1, 3][..], &[5][..], &[3][..]));
    assert_eq!(*t.isr, [1, 3], "4 went at once");
    world.isr(&[1, 3, 5]);
    assert_eq!(*world.t().replicas, [5, 1]);
}
