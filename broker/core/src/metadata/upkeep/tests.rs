//! A cluster grows and a broker comes back; the clock is moved by hand.

use super::*;
use crate::metadata::command::NewTopic;
use crate::metadata::decide::tests::world::World;
use crate::metadata::decide::tests::{create, new_topic, registration, run};

const RULES: UpkeepRules =
    UpkeepRules { balance: Some((Duration::from_secs(300), 10)), internal_replication_factor: 3 };

fn at(seconds: u64) -> Now {
    Now { mono: Duration::from_secs(seconds), wall_ms: 0 }
}

fn offsets_topic_on(world: &mut World, replicas: &[i32]) {
    let manual = vec![(0, replicas.to_vec())];
    let topic = NewTopic { manual, ..new_topic(&world.image, "__consumer_offsets", -1, -1) };
    run(&mut world.image, &create(vec![topic]));
}

#[test]
fn an_internal_topic_gets_its_replicas_as_soon_as_there_are_brokers_for_them() {
    let mut world = World::new(1);
    offsets_topic_on(&mut world, &[1]);
    let mut upkeep = Upkeep::default();
    assert!(upkeep.due(&world.image, &RULES, at(0)).is_empty());
    for id in 2..=3 {
        run(&mut world.image, &registration(id, 50));
    }
    let commands = upkeep.due(&world.image, &RULES, at(1));
    assert_eq!(commands.len(), 1);
    assert!(upkeep.due(&world.image, &RULES, at(2)).is_empty(), "it is proposed once");
    assert_eq!(upkeep.due(&world.image, &RULES, at(20)), commands, "and again when it was lost");
    run(&mut world.image, &commands[0]);
    let partition = &world.image.topic("__consumer_offsets").unwrap().partitions[0];
    assert_eq!(partition.replicas.len(), 3);
    assert!(upkeep.due(&world.image, &RULES, at(60)).is_empty(), "it is on its way");
}

#[test]
fn leaders_go_back_when_the_time_has_come_and_not_before() {
    let mut world = World::with_topic(3, &[1, 2, 3]);
    world.fence(1);
    world.unfence(1);
    world.isr(&[2, 3, 1]);
    let mut upkeep = Upkeep::default();
    assert!(upkeep.due(&world.image, &RULES, at(10)).is_empty());
    assert!(upkeep.due(&world.image, &RULES, at(309)).is_empty());
    let commands = upkeep.due(&world.image, &RULES, at(310));
    assert_eq!(commands.len(), 1);
    run(&mut world.image, &commands[0]);
    world.expect(1, &[2, 3, 1], &[]);
    assert!(upkeep.due(&world.image, &RULES, at(620)).is_empty());
}

#[test]
fn a_new_term_of_office_begins_anew() {
    let mut world = World::with_topic(3, &[1, 2, 3]);
    world.fence(1);
    world.unfence(1);
    world.isr(&[2, 3, 1]);
    let mut upkeep = Upkeep::default();
    upkeep.due(&world.image, &RULES, at(0));
    upkeep.leave_office();
    assert!(upkeep.due(&world.image, &RULES, at(300)).is_empty());
    assert_eq!(upkeep.due(&world.image, &RULES, at(600)).len(), 1);
}

#[test]
fn leaders_stay_where_they_are_if_nobody_wants_them_moved() {
    let mut world = World::with_topic(3, &[1, 2, 3]);
    world.fence(1);
    world.unfence(1);
    world.isr(&[2, 3, 1]);
    let rules = UpkeepRules { balance: None, ..RULES };
    let mut upkeep = Upkeep::default();
    assert!(upkeep.due(&world.image, &rules, at(0)).is_empty());
    assert!(upkeep.due(&world.image, &rules, at(1_000_000)).is_empty());
}
