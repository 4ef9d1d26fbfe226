//! Brokers are emptied: decided, applied and, where they leave, moved step by step as the controller would.

use super::*;
use crate::metadata::command::{Election, Recovery};
use crate::metadata::decide::tests::world::World;
use crate::metadata::decide::tests::{create, new_topic, run};
use crate::metadata::image::Drain;
use crate::metadata::{NewTopic, Reply, placement, snapshot::SNAPSHOT_VERSION};

fn drain(world: &mut World, id: BrokerId) -> Result<(), String> {
    world.change(Command::DrainBroker { id, leaves: false }).map_err(|failure| failure.message)
}

fn leave(world: &mut World, id: BrokerId) -> Result<(), String> {
    world.change(Command::DrainBroker { id, leaves: true }).map_err(|failure| failure.message)
}

fn undrain(world: &mut World, id: BrokerId) {
    world.change(Command::UndrainBroker { id }).unwrap();
}

#[test]
fn a_drained_broker_leads_nothing_and_goes_on_following() {
    let mut world = World::with_topic(3, &[1, 2, 3]);
    world.expect(1, &[1, 2, 3], &[]);
    drain(&mut world, 1).unwrap();
    world.expect(2, &[1, 2, 3], &[]);
    assert!(world.elect(Election::Preferred).is_err(), "not even as the preferred one");
    world.expect(2, &[1, 2, 3], &[]);
    assert!(balance::imbalance(&world.image, 0).is_empty());
    world.fence(2);
    world.expect(3, &[1, 3], &[]);
    undrain(&mut world, 1);
    world.expect(1, &[1, 3], &[]);
}

#[test]
fn a_drained_broker_leads_what_nobody_else_can_until_somebody_can() {
    let mut world = World::with_topic(3, &[1, 2]);
    drain(&mut world, 1).unwrap();
    world.expect(2, &[1, 2], &[]);
    world.fence(2);
    world.expect(1, &[1], &[2]);
    world.unfence(2);
    world.expect(1, &[1], &[2]);
    let proposal = world.proposal(&[1, 2]);
    assert_eq!(
        world.alter_as(1, proposal).unwrap_err(),
        tidemark_protocol::error_code::ErrorCode::NewLeaderElected
    );
    world.expect(2, &[1, 2], &[]);
}

#[test]
fn draining_the_only_replica_that_could_lead_is_refused() {
    let mut world = World::with_topic(3, &[1]);
    let refusal = drain(&mut world, 1).unwrap_err();
    assert!(refusal.contains("1 partition (t-0)"), "{refusal}");
    drain(&mut world, 2).unwrap();
    drain(&mut world, 3).unwrap();
    let mut world = World::new(2);
    drain(&mut world, 2).unwrap();
    let refusal = drain(&mut world, 1).unwrap_err();
    assert!(refusal.contains("the last one that may lead"), "{refusal}");
    assert!(world.change(Command::DrainBroker { id: 9, leaves: false }).is_err());
    assert!(world.change(Command::UndrainBroker { id: 9 }).is_err());
}

#[test]
fn a_drain_outlives_restarts_and_snapshots() {
    let mut world = World::with_topic(3, &[1, 2, 3]);
    drain(&mut world, 1).unwrap();
    drain(&mut world, 1).unwrap();
    world.register(1, Recovery::Clean);
    world.unfence(1);
    assert_eq!(world.image.drains.get(&1), Some(&Drain { leaves: false, replicas: 1 }));
    let copy = ClusterImage::decode_snapshot(&world.image.encode_snapshot()).unwrap();
    assert_eq!((copy.drains.len(), SNAPSHOT_VERSION), (1, 1));
    assert_eq!(copy, world.image);
}

#[test]
fn new_partitions_are_led_by_others() {
    let mut world = World::new(3);
    drain(&mut world, 1).unwrap();
    for seed in 0..6 {
        let placed = placement::place(&world.image, 0, 4, 3, seed).unwrap();
        assert!(placed.iter().all(|replicas| replicas[0] != 1 && replicas.contains(&1)), "{placed:?}");
        let placed = placement::place(&world.image, 0, 4, 2, seed).unwrap();
        assert!(placed.iter().all(|replicas| !replicas.contains(&1)), "{placed:?}");
    }
    let topic = NewTopic { manual: vec![(0, vec![1, 2])], ..new_topic(&world.image, "t", -1, -1) };
    run(&mut world.image, &create(vec![topic]));
    world.expect(2, &[1, 2], &[]);
    leave(&mut world, 1).unwrap();
    assert!(placement::place(&world.image, 0, 1, 3, 0).is_err(), "one that leaves gets nothing");
}

/// Does what the controller does next; the brokers that are added catch up at once.
fn step(world: &mut World) -> bool {
    let Some(command) = next_step(&world.image) else { return false };
    run(&mut world.image, &command);
    let mut left = 1000;
    while let Some((topic_id, index, partition)) = moving(&world.image) {
        left -= 1;
        assert!(left > 0, "{partition:?} does not arrive");
        let leader = partition.leader;
        let caught_up = partition.replicas.iter().filter(|id| world.image.is_usable(**id));
        let isr = caught_up.map(|id| (*id, world.epoch(*id))).collect();
        let proposal = crate::metadata::IsrProposal {
            topic_id,
            index,
            leader_epoch: partition.leader_epoch,
            partition_epoch: partition.partition_epoch,
            isr,
        };
        let broker_epoch = world.epoch(leader);
        let partitions = vec![proposal];
        run(&mut world.image, &Command::AlterPartition { broker: leader, broker_epoch, partitions });
    }
    true
}

fn moving(image: &ClusterImage) -> Option<(tidemark_protocol::types::TopicId, i32, PartitionImage)> {
    let partitions = image.topics.values().flat_map(|topic| {
        (0..).zip(&topic.partitions).map(|(index, partition)| (topic.id, index, partition.clone()))
    });
    partitions.into_iter().find(|(_, _, partition)| partition.is_moving())
}

#[test]
fn a_broker_that_leaves_is_emptied_in_batches_and_forgotten_once_it_has_stopped() {
    let mut world = World::new(4);
    let manual = (0..250).map(|index| (index, vec![1, 2, 3])).collect();
    let topic = NewTopic { manual, ..new_topic(&world.image, "t", -1, -1) };
    run(&mut world.image, &create(vec![topic]));
    leave(&mut world, 1).unwrap();
    assert!(!world.image.leads_any(1));
    let mut rounds = 0;
    while world.image.replicas_of_broker(1) > 0 {
        assert!(step(&mut world), "it goes on");
        rounds += 1;
    }
    assert_eq!(rounds, 3, "a hundred at once");
    assert!(next_step(&world.image).is_none(), "it runs still");
    world.fence(1);
    step(&mut world);
    assert!(!world.image.brokers.contains_key(&1) && world.image.drains.is_empty());
    assert!(next_step(&world.image).is_none());
}

#[test]
fn the_only_copy_moves_before_it_is_given_up() {
    let mut world = World::with_topic(3, &[1]);
    leave(&mut world, 1).unwrap();
    world.expect(1, &[1], &[]);
    step(&mut world);
    world.expect(2, &[2], &[]);
}

#[test]
fn leaving_is_refused_where_data_could_go_nowhere() {
    let mut world = World::with_topic(3, &[1, 2, 3]);
    let refusal = leave(&mut world, 1).unwrap_err();
    assert!(refusal.contains("t-0 has 3 replicas"), "{refusal}");
    let mut world = World::with_topic(3, &[1]);
    world.fence(1);
    let refusal = leave(&mut world, 1).unwrap_err();
    assert!(refusal.contains("the only whole copy of 1 partition (t-0)"), "{refusal}");
}

#[test]
fn a_dead_broker_leaves_when_others_have_its_data() {
    let mut world = World::with_topic(4, &[1, 2, 3]);
    world.fence(1);
    leave(&mut world, 1).unwrap();
    step(&mut world);
    assert_eq!(*world.t().replicas, [4, 2, 3]);
    step(&mut world);
    assert!(!world.image.brokers.contains_key(&1));
}

#[test]
fn calling_it_off_brings_back_what_was_on_its_way() {
    let mut world = World::with_topic(4, &[1, 2, 3]);
    leave(&mut world, 1).unwrap();
    let command = next_step(&world.image).unwrap();
    run(&mut world.image, &command);
    assert_eq!(moving_off(&world.image, 1), 1);
    assert!(drain(&mut world, 1).unwrap_err().contains("decommissioned"));
    undrain(&mut world, 1);
    assert_eq!((moving_off(&world.image, 1), &*world.t().replicas), (0, &[1, 2, 3][..]));
    world.expect(1, &[1, 2, 3], &[]);
    assert!(matches!(run(&mut world.image, &Command::UndrainBroker { id: 1 }), Reply::BrokerChanged(Ok(()))));
}
