//! Images before and after, and what is told of the way between them.

use super::*;
use crate::metadata::Command;
use crate::metadata::command::Recovery;
use crate::metadata::decide::tests::world::World;

/// What happens in `act`, kind by kind.
fn told(world: &mut World, act: impl FnOnce(&mut World)) -> Vec<&'static str> {
    let before = world.image.clone();
    act(world);
    events(&before, &world.image).iter().map(|event| event.kind).collect()
}

#[test]
fn the_life_of_a_broker_is_told_with_what_follows_for_partitions() {
    let mut world = World::with_topic(3, &[1, 2, 3]);
    assert_eq!(told(&mut world, |world| world.fence(1)), ["broker_fenced", "leaders_moved", "isr_shrunk"]);
    assert_eq!(told(&mut world, |world| world.unfence(1)), ["broker_unfenced"]);
    assert_eq!(told(&mut world, |world| world.isr(&[2, 3, 1])), ["isr_grown"]);
    assert_eq!(told(&mut world, |world| world.shut_down(1)), ["broker_stopping", "isr_shrunk"]);
    assert_eq!(
        told(&mut world, |world| world.register(1, Recovery::Clean)),
        ["broker_registered", "broker_fenced"]
    );
    world.fence(2);
    assert_eq!(
        told(&mut world, |world| world.fence(3)),
        ["broker_fenced", "partitions_offline", "isr_shrunk"]
    );
    let before = world.image.clone();
    world.unfence(3);
    let after = events(&before, &world.image);
    assert_eq!(after[1].message, "broker 3 leads what had no leader: 1 partition");
}

#[test]
fn drains_and_moves_are_told() {
    let mut world = World::with_topic(4, &[1, 2, 3]);
    let drain = |leaves| Command::DrainBroker { id: 1, leaves };
    assert_eq!(
        told(&mut world, |world| world.change(drain(false)).unwrap()),
        ["drain_began", "leaders_moved"]
    );
    assert_eq!(told(&mut world, |world| world.change(drain(true)).unwrap()), ["decommission_began"]);
    assert_eq!(told(&mut world, |world| world.reassign(Some(&[4, 2, 3])).unwrap()), ["reassignments_began"]);
    assert_eq!(told(&mut world, |world| world.isr(&[1, 2, 3, 4]))[0], "reassignments_ended");
    let forget = Command::UnregisterBroker { id: 1 };
    assert_eq!(told(&mut world, |world| world.change(forget).unwrap()), ["broker_unregistered"]);
    assert!(told(&mut world, |_| ()).is_empty());
}
