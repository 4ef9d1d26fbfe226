//! Leaders change ISRs: every refusal in Kafka's order, and what is accepted.

use tidemark_protocol::error_code::ErrorCode;
use tidemark_protocol::types::TopicId;

use crate::metadata::command::{Command, IsrProposal, Recovery};
use crate::metadata::decide::decide;
use crate::metadata::decide::tests::world::World;
use crate::metadata::reply::Reply;

fn world() -> World {
    World::with_topic(4, &[1, 2, 3])
}

/// Asserts that the proposal is refused with this code and changes nothing.
#[track_caller]
fn refused(world: &World, broker: i32, proposal: IsrProposal, code: ErrorCode) {
    let broker_epoch = world.epoch(broker);
    let command = Command::AlterPartition { broker, broker_epoch, partitions: vec![proposal] };
    let outcome = decide(&world.image, &command, 99);
    assert!(outcome.records.is_empty());
    let Reply::PartitionsAltered(Ok(results)) = outcome.reply else { panic!("{:?}", outcome.reply) };
    assert_eq!(results[0].result.as_ref().unwrap_err().code, code);
}

#[test]
fn the_leader_shrinks_and_expands_its_isr() {
    let mut world = world();
    let proposal = world.proposal(&[1, 3]);
    let state = world.alter_as(1, proposal).unwrap();
    assert_eq!(
        (state.leader, &*state.isr, state.leader_epoch, state.partition_epoch),
        (1, &[1, 3][..], 0, 1)
    );
    let proposal = world.proposal(&[1, 3, 2]);
    let state = world.alter_as(1, proposal).unwrap();
    assert_eq!((&*state.isr, state.partition_epoch), (&[1, 3, 2][..], 2));
}

#[test]
fn asking_for_what_is_there_answers_it_and_changes_nothing() {
    let mut world = world();
    let before = world.t();
    let proposal = world.proposal(&[1, 2, 3]);
    assert_eq!(world.alter_as(1, proposal).unwrap().partition_epoch, before.partition_epoch);
    assert_eq!(world.t(), before);
}

#[test]
fn a_sender_of_another_epoch_or_unknown_is_refused_as_a_whole() {
    let world = world();
    for (broker, broker_epoch) in [(1, world.epoch(1) - 1), (1, world.epoch(1) + 1), (9, 1)] {
        let partitions = vec![world.proposal(&[1])];
        let outcome = decide(&world.image, &Command::AlterPartition { broker, broker_epoch, partitions }, 99);
        let Reply::PartitionsAltered(Err(failure)) = outcome.reply else { panic!("{:?}", outcome.reply) };
        assert_eq!(failure.code, ErrorCode::StaleBrokerEpoch);
    }
}

#[test]
fn every_refusal_comes_before_the_ones_after_it() {
    let mut world = world();
    world.fence(3);
    world.unfence(3);
    world.isr(&[1, 2, 3]);
    world.fence(1);
    world.unfence(1);
    world.expect(2, &[2, 3], &[]);
    let good = world.proposal(&[2, 3]);
    assert!(good.leader_epoch > 0 && good.partition_epoch > 0);
    // What each step adds to make it fail earlier; the last one fails for its members only.
    let mut bad = IsrProposal { isr: vec![(2, world.epoch(2)), (3, world.epoch(3) + 1)], ..good.clone() };
    refused(&world, 2, bad.clone(), ErrorCode::IneligibleReplica);
    bad.isr.remove(0);
    refused(&world, 2, bad.clone(), ErrorCode::InvalidRequest);
    bad.isr = vec![(2, world.epoch(2)), (2, world.epoch(2))];
    refused(&world, 2, bad.clone(), ErrorCode::InvalidRequest);
    bad.isr = vec![(2, world.epoch(2)), (4, world.epoch(4))];
    refused(&world, 2, bad.clone(), ErrorCode::InvalidRequest);
    bad.partition_epoch -= 1;
    refused(&world, 2, bad.clone(), ErrorCode::InvalidUpdateVersion);
    refused(&world, 3, bad.clone(), ErrorCode::InvalidRequest);
    bad.leader_epoch -= 1;
    refused(&world, 3, bad.clone(), ErrorCode::FencedLeaderEpoch);
    bad.partition_epoch += 2;
    refused(&world, 3, bad.clone(), ErrorCode::NotController);
    bad.leader_epoch += 2;
    refused(&world, 3, bad.clone(), ErrorCode::NotController);
    bad.index = 7;
    refused(&world, 3, bad.clone(), ErrorCode::UnknownTopicOrPartition);
    bad.topic_id = TopicId::ZERO;
    refused(&world, 3, bad, ErrorCode::UnknownTopicId);
}

#[test]
fn only_the_living_of_the_right_epoch_get_into_an_isr() {
    let mut world = world();
    world.fence(3);
    refused(&world, 1, world.proposal(&[1, 2, 3]), ErrorCode::IneligibleReplica);
    world.unfence(3);
    let mut without_epoch = world.proposal(&[1, 2, 3]);
    without_epoch.isr[2].1 = -1;
    refused(&world, 1, without_epoch, ErrorCode::IneligibleReplica);
    let before_restart = world.proposal(&[1, 2, 3]);
    world.register(3, Recovery::Wiped);
    world.unfence(3);
    refused(&world, 1, before_restart, ErrorCode::IneligibleReplica);
    world.shut_down(3);
    refused(&world, 1, world.proposal(&[1, 2, 3]), ErrorCode::IneligibleReplica);
    world.change(Command::UnregisterBroker { id: 3 }).unwrap();
    refused(&world, 1, world.proposal(&[1, 2, 3]), ErrorCode::IneligibleReplica);
}

#[test]
fn a_reassignment_completes_when_all_added_replicas_are_in_sync() {
    let mut world = World::with_topic(5, &[1, 2, 3]);
    world.reassign(Some(&[1, 4, 5])).unwrap();
    world.isr(&[1, 2, 3, 4]);
    assert_eq!((&*world.t().adding, &*world.t().removing), (&[4, 5][..], &[2, 3][..]));
    let epoch = world.t().leader_epoch;
    world.isr(&[1, 2, 3, 4, 5]);
    let t = world.t();
    assert_eq!((&*t.replicas, &*t.isr, t.leader), (&[1, 4, 5][..], &[1, 4, 5][..], 1));
    assert!(t.adding.is_empty() && t.removing.is_empty());
    assert_eq!(t.leader_epoch, epoch + 1, "replicas went, so followers of the old epoch must notice");
}

#[test]
fn a_reassignment_waits_until_enough_would_stay_in_sync() {
    let mut world = World::with_topic(4, &[1, 2, 3]);
    world.reassign(Some(&[4, 2, 3])).unwrap();
    world.isr(&[1]);
    world.isr(&[1, 4]);
    assert!(!world.t().adding.is_empty());
    let proposal = world.proposal(&[1, 4, 2]);
    assert_eq!(world.alter_as(1, proposal), Err(ErrorCode::NewLeaderElected));
    assert!(world.t().adding.is_empty());
    world.expect(4, &[4, 2], &[]);
}

#[test]
fn a_leader_that_its_own_change_takes_away_is_told_so() {
    let mut world = World::with_topic(2, &[1]);
    world.reassign(Some(&[2])).unwrap();
    let proposal = world.proposal(&[1, 2]);
    assert_eq!(world.alter_as(1, proposal), Err(ErrorCode::NewLeaderElected));
    assert_eq!(*world.t().replicas, [2]);
    world.expect(2, &[2], &[]);
}

#[test]
fn a_partition_that_moves_needs_no_more_in_sync_than_before() {
    let mut world = World::with_topic(3, &[1]);
    world.reassign(Some(&[2, 3])).unwrap();
    world.expect(1, &[1], &[]);
    world.isr(&[1, 2]);
    world.isr(&[1]);
    world.expect(1, &[1], &[]);
}
