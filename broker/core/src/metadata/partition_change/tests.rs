//! ISR, ELR, leader and epochs: what follows from what, as conversations with a controller.

use super::*;
use crate::metadata::command::{Election, Recovery};
use crate::metadata::decide::tests::world::World;
use crate::metadata::image::ConfigResource;
use tidemark_protocol::error_code::ErrorCode;

/// "t" on brokers 1, 2, 3, where 1 and then 2 were fenced.
fn with_one_left() -> World {
    let mut world = World::with_topic(3, &[1, 2, 3]);
    world.fence(1);
    world.fence(2);
    world
}

#[test]
fn who_leaves_an_isr_that_can_commit_no_more_stays_eligible() {
    let mut world = World::with_topic(3, &[1, 2, 3]);
    world.fence(1);
    world.expect(2, &[2, 3], &[]);
    world.fence(2);
    world.expect(3, &[3], &[2]);
    world.fence(3);
    world.expect(-1, &[], &[2, 3]);
    assert_eq!(*world.t().last_known_elr, [3]);
}

#[test]
fn the_eligible_lead_again_and_nobody_else() {
    let mut world = with_one_left();
    world.fence(3);
    world.unfence(1);
    world.expect(-1, &[], &[2, 3]);
    world.unfence(2);
    world.expect(2, &[2], &[3]);
    assert!(world.t().last_known_elr.is_empty());
}

#[test]
fn the_eligible_do_not_lead_while_anyone_is_in_sync() {
    let mut world = World::with_topic(3, &[2, 1, 3]);
    world.fence(1);
    world.fence(2);
    world.unfence(2);
    world.expect(3, &[3], &[2]);
    assert_eq!(world.elect(Election::Preferred), Err(ErrorCode::PreferredLeaderNotAvailable));
    world.expect(3, &[3], &[2]);
}

#[test]
fn an_isr_that_can_commit_leaves_nobody_eligible() {
    let mut world = with_one_left();
    world.unfence(1);
    world.isr(&[3, 1]);
    world.expect(3, &[3, 1], &[]);
}

#[test]
fn an_eligible_replica_that_joins_the_isr_is_not_listed_twice() {
    let mut world = World::configured(3, &[1, 2, 3], &[("min.insync.replicas", "3")]);
    world.fence(1);
    world.fence(2);
    world.expect(3, &[3], &[1, 2]);
    world.unfence(2);
    world.isr(&[3, 2]);
    world.expect(3, &[3, 2], &[1]);
}

#[test]
fn of_the_eligible_those_lead_first_whose_disks_lost_nothing() {
    let mut world = World::configured(3, &[1, 2, 3], &[("min.insync.replicas", "3")]);
    world.register(1, Recovery::Suspect);
    world.unfence(1);
    world.register(2, Recovery::Intact);
    world.unfence(2);
    world.expect(3, &[3], &[1, 2]);
    world.fence(3);
    world.expect(2, &[2], &[1, 3]);
    world.fence(2);
    world.expect(1, &[1], &[2, 3]);
}

#[test]
fn a_partition_that_lost_its_last_copy_waits_for_the_command() {
    let mut world = World::configured(2, &[1, 2], &[("min.insync.replicas", "1")]);
    world.fence(2);
    world.register(1, Recovery::Wiped);
    world.expect(-1, &[], &[]);
    world.unfence(1);
    world.unfence(2);
    world.expect(-1, &[], &[]);
    assert_eq!(world.elect(Election::Preferred), Err(ErrorCode::PreferredLeaderNotAvailable));
    assert_eq!(world.elect(Election::Unclean), Ok(()));
    world.expect(1, &[1], &[]);
}

#[test]
fn an_unclean_election_forgets_who_was_eligible() {
    let mut world = with_one_left();
    world.fence(3);
    world.unfence(1);
    assert_eq!(world.elect(Election::Unclean), Ok(()));
    world.expect(1, &[1], &[]);
}

#[test]
fn a_topic_that_allows_it_elects_uncleanly_by_itself() {
    let mut world = with_one_left();
    world.unfence(1);
    world.set_topic("unclean.leader.election.enable", Some("true"));
    world.fence(3);
    world.expect(1, &[1], &[]);
}

#[test]
fn allowing_unclean_elections_elects_at_once() {
    let mut world = with_one_left();
    world.unfence(1);
    world.fence(3);
    world.expect(-1, &[], &[2, 3]);
    world.set(ConfigResource::BrokerDefault, "unclean.leader.election.enable", Some("true"));
    world.expect(1, &[1], &[]);
}

#[test]
fn a_lower_min_isr_needs_no_elr_and_a_higher_one_invents_none() {
    let mut world = with_one_left();
    world.expect(3, &[3], &[2]);
    let before = world.t();
    world.set_topic("min.insync.replicas", Some("3"));
    assert_eq!(world.t(), before);
    world.set_topic("min.insync.replicas", Some("1"));
    world.expect(3, &[3], &[]);
    assert_eq!(world.t().partition_epoch, before.partition_epoch + 1);
    world.set_topic("min.insync.replicas", None);
    world.expect(3, &[3], &[]);
}

#[test]
fn the_smallest_min_isr_that_any_broker_would_lead_with_counts() {
    let mut world = with_one_left();
    world.set(ConfigResource::Broker(2), "min.insync.replicas", Some("1"));
    world.expect(3, &[3], &[]);
    let mut world = with_one_left();
    world.register_with(1, "min.insync.replicas", "1");
    world.expect(3, &[3], &[]);
    assert_eq!(world.image.brokers[&1].statics.len(), 1);
}

#[test]
fn a_partition_with_one_replica_comes_back_with_its_broker() {
    let mut world = World::with_topic(2, &[1]);
    world.fence(1);
    world.expect(-1, &[], &[1]);
    world.unfence(2);
    world.expect(-1, &[], &[1]);
    world.unfence(1);
    world.expect(1, &[1], &[]);
}

#[test]
fn the_leader_epoch_counts_leaders_and_the_partition_epoch_changes() {
    let mut world = World::with_topic(3, &[1, 2, 3]);
    let epochs = |world: &World| (world.t().leader_epoch, world.t().partition_epoch);
    assert_eq!(epochs(&world), (0, 0));
    world.fence(3);
    assert_eq!(epochs(&world), (0, 1), "a follower left");
    world.fence(1);
    assert_eq!(epochs(&world), (1, 2), "the leader left");
    world.fence(2);
    assert_eq!(epochs(&world), (2, 3), "nobody leads");
    world.unfence(2);
    assert_eq!(epochs(&world), (3, 4), "the same leads again");
    world.unfence(3);
    assert_eq!(epochs(&world), (3, 4), "nothing changed");
}

#[test]
fn a_reassignment_completes_when_the_eligible_one_it_keeps_leads() {
    let mut world = with_one_left();
    world.unfence(2);
    world.reassign(Some(&[2])).unwrap();
    world.expect(3, &[3], &[2]);
    assert_eq!(*world.t().removing, [1, 3]);
    world.fence(3);
    world.expect(2, &[2], &[]);
    assert_eq!(*world.t().replicas, [2]);
}

#[test]
fn a_lower_min_isr_lets_a_reassignment_complete() {
    let mut world = World::with_topic(3, &[1, 2]);
    world.reassign(Some(&[3, 2])).unwrap();
    world.isr(&[1, 3]);
    assert!(world.t().is_moving());
    world.set_topic("min.insync.replicas", Some("1"));
    world.expect(3, &[3], &[]);
    assert_eq!(*world.t().replicas, [3, 2]);
}

#[test]
fn the_order_of_an_isr_is_no_change() {
    let mut world = World::with_topic(3, &[1, 2, 3]);
    let before = world.t();
    world.isr(&[3, 1, 2]);
    assert_eq!(world.t(), before);
}

#[test]
fn nothing_asked_is_nothing_changed() {
    let world = with_one_left();
    let t = world.t();
    let rules = ReplicationRules::of_cluster(&world.image);
    assert_eq!(PartitionChange::new(&world.image, &t, rules).build(), None);
    assert_eq!(PartitionChange::new(&world.image, &t, rules).isr(&[3]).build(), None);
}
