//! Brokers come, go and come back.

use tidemark_protocol::error_code::ErrorCode;
use tidemark_protocol::types::TopicPartition;

use crate::metadata::command::{Command, Recovery};
use crate::metadata::decide::decide;
use crate::metadata::decide::tests::world::World;
use crate::metadata::decide::tests::{create, new_topic, run};
use crate::metadata::record::MetadataRecord;

#[test]
fn a_fenced_broker_leaves_every_isr_and_hands_over() {
    let mut world = World::with_topic(3, &[1, 2, 3]);
    world.fence(1);
    world.expect(2, &[2, 3], &[]);
    assert!(world.image.brokers[&1].fenced);
    let before = world.image.clone();
    world.fence(1);
    assert_eq!((before.brokers, before.topics), (world.image.brokers, world.image.topics));
}

#[test]
fn stale_news_of_a_broker_changes_nothing() {
    let mut world = World::with_topic(3, &[1, 2, 3]);
    let epoch = world.epoch(1) - 1;
    for command in [
        Command::FenceBroker { id: 1, epoch },
        Command::UnfenceBroker { id: 1, epoch },
        Command::BeginControlledShutdown { id: 1, epoch },
        Command::QuarantineReplicas { broker: 1, broker_epoch: epoch, partitions: Vec::new() },
        Command::FenceBroker { id: 9, epoch },
    ] {
        assert!(decide(&world.image, &command, 99).records.is_empty());
        assert_eq!(world.change(command).unwrap_err().code, ErrorCode::StaleBrokerEpoch);
    }
    let failure = world.change(Command::UnregisterBroker { id: 9 }).unwrap_err();
    assert_eq!(failure.code, ErrorCode::BrokerIdNotRegistered);
}

#[test]
fn fencing_costs_what_the_broker_holds() {
    let mut world = World::new(6);
    for (name, replicas) in [("held", vec![1, 2]), ("elsewhere", vec![3, 4])] {
        let mut topic = new_topic(&world.image, name, -1, -1);
        topic.manual = (0..500).map(|index| (index, replicas.clone())).collect();
        run(&mut world.image, &create(vec![topic]));
    }
    assert_eq!(world.image.topics_of_broker(1).count(), 1);
    assert_eq!(world.image.replicas_of_broker(1), 500);
    let fence = Command::FenceBroker { id: 1, epoch: world.epoch(1) };
    let outcome = decide(&world.image, &fence, 99);
    assert_eq!(outcome.records.len(), 501);
    let changes = outcome.records.iter().filter(|r| matches!(r, MetadataRecord::PartitionChange { .. }));
    assert!(changes.map(|record| record.encode().len()).max().unwrap() < 64);
    world.fence(1);
    let held = world.image.topic("held").unwrap();
    assert!(held.partitions.iter().all(|partition| partition.leader == 2 && *partition.isr == [2]));
    assert!(!world.image.leads_any(1) && world.image.leads_any(2));
}

#[test]
fn a_stopping_broker_hands_over_while_others_are_in_sync() {
    let mut world = World::with_topic(3, &[1, 2, 3]);
    world.shut_down(1);
    world.expect(2, &[2, 3], &[]);
    assert!(world.image.brokers[&1].in_controlled_shutdown && !world.image.brokers[&1].fenced);
    assert!(!world.image.leads_any(1));
}

#[test]
fn only_usable_replicas_are_eligible_for_an_isr() {
    let mut world = World::with_topic(4, &[1, 2, 3]);
    let eligible = |world: &World| world.image.eligible_replicas(&world.t()).into_iter().collect::<Vec<_>>();
    let expected = [1, 2, 3].map(|id| (id, world.epoch(id)));
    assert_eq!(eligible(&world), expected);
    world.fence(2);
    world.shut_down(3);
    assert_eq!(eligible(&world), expected[..1]);
}

#[test]
fn a_stopping_broker_without_others_stays_eligible() {
    let mut world = World::with_topic(2, &[1]);
    world.shut_down(1);
    world.expect(-1, &[], &[1]);
    world.fence(1);
    world.register(1, Recovery::Clean);
    world.expect(-1, &[], &[1]);
    world.unfence(1);
    world.expect(1, &[1], &[]);
}

#[test]
fn a_stopping_broker_leads_again_only_as_another_incarnation() {
    let mut world = World::with_topic(2, &[1]);
    world.shut_down(1);
    world.fence(1);
    world.unfence(1);
    assert!(world.image.brokers[&1].fenced);
    world.expect(-1, &[], &[1]);
}

#[test]
fn an_unregistered_broker_is_a_stranger_when_it_comes_back() {
    let mut world = World::with_topic(2, &[1]);
    world.fence(1);
    world.expect(-1, &[], &[1]);
    world.change(Command::UnregisterBroker { id: 1 }).unwrap();
    world.expect(-1, &[], &[]);
    assert!(!world.image.brokers.contains_key(&1));
    world.register(1, Recovery::Intact);
    world.unfence(1);
    world.expect(-1, &[], &[]);
}

#[test]
fn a_live_broker_can_be_unregistered_too() {
    let mut world = World::with_topic(3, &[1, 2, 3]);
    world.change(Command::UnregisterBroker { id: 1 }).unwrap();
    world.expect(2, &[2, 3], &[]);
    assert_eq!(*world.t().replicas, [1, 2, 3]);
}

#[test]
fn a_replica_that_cannot_be_vouched_for_leads_no_more_until_it_caught_up() {
    let mut world = World::configured(2, &[1, 2], &[("min.insync.replicas", "2")]);
    world.quarantine(1);
    world.expect(2, &[2], &[]);
    world.fence(2);
    world.expect(-1, &[], &[2]);
    world.unfence(2);
    world.isr(&[2, 1]);
    world.expect(2, &[2, 1], &[]);
}

#[test]
fn the_last_replica_in_quarantine_leaves_the_partition_offline() {
    let mut world = World::configured(2, &[1], &[("unclean.leader.election.enable", "true")]);
    world.quarantine(1);
    world.expect(-1, &[], &[]);
    world
        .change(Command::QuarantineReplicas {
            broker: 1,
            broker_epoch: world.epoch(1),
            partitions: Vec::new(),
        })
        .unwrap();
}

#[test]
fn topics_are_made_grown_and_deleted_while_brokers_are_down() {
    let mut world = World::new(3);
    world.fence(2);
    let topic = new_topic(&world.image, "t", 2, 3);
    run(&mut world.image, &create(vec![topic]));
    for partition in &world.image.topic("t").unwrap().partitions {
        assert_eq!((partition.replicas.len(), partition.isr.len()), (3, 2));
        assert!(!partition.isr.contains(&2) && partition.elr.is_empty() && partition.leader != 2);
    }
    let placement = crate::metadata::placement::place(&world.image, 2, 1, 3, 0).unwrap();
    let grown = crate::metadata::NewPartitions { topic: "t".to_owned(), count: 3, manual: None, placement };
    run(&mut world.image, &Command::CreatePartitions { topics: vec![grown] });
    let third = world.image.partition(&TopicPartition::new("t", 2)).unwrap().clone();
    assert_eq!((third.replicas.len(), third.isr.len()), (3, 2));
    let key = crate::metadata::TopicKey::Name("t".to_owned());
    run(&mut world.image, &Command::DeleteTopics { topics: vec![key] });
    assert!(world.image.topics.is_empty());
    assert_eq!(world.image.replicas_of_broker(2), 0);
    world.fence(1);
    world.fence(3);
    let mut orphan = new_topic(&world.image, "u", 1, 1);
    orphan.placement = vec![vec![1]];
    run(&mut world.image, &create(vec![orphan]));
    assert!(world.image.topic("u").is_none(), "nobody could lead it");
}

#[test]
fn who_is_damaged_has_to_be_heard_of_in_a_new_leader_epoch() {
    let mut world = World::configured(3, &[1, 2, 3], &[]);
    let epoch = world.t().leader_epoch;
    world.quarantine(3);
    world.expect(1, &[1, 2], &[]);
    assert_eq!(world.t().leader_epoch, epoch + 1);
    world.quarantine(3);
    assert_eq!(world.t().leader_epoch, epoch + 2, "it may have said that it has caught up");
    world.quarantine(1);
    world.expect(2, &[2], &[]);
    assert_eq!(world.t().leader_epoch, epoch + 3);
}
