//! Which configuration counts.

use super::*;
use crate::metadata::decide::tests::world::World;
use crate::metadata::image::ConfigResource;

fn of_topic(world: &World) -> ReplicationRules {
    ReplicationRules::of_cluster(&world.image).with_overrides_of(&world.image, "t")
}

#[test]
fn without_configuration_two_replicas_must_be_in_sync_and_nothing_is_lost() {
    let rules = ReplicationRules::of_cluster(&ClusterImage::default());
    assert_eq!(rules, ReplicationRules { min_isr: 2, allows_unclean: false, is_async: false });
    assert_eq!(rules, of_topic(&World::with_topic(1, &[1])));
    assert_eq!([1, 2, 3].map(|replicas| rules.min_isr(replicas)), [1, 2, 2]);
}

#[test]
fn a_topics_override_beats_what_brokers_say() {
    let mut world = World::configured(
        2,
        &[1, 2],
        &[
            ("min.insync.replicas", "3"),
            ("unclean.leader.election.enable", "true"),
            ("tidemark.flush", "async"),
        ],
    );
    let expected = ReplicationRules { min_isr: 3, allows_unclean: true, is_async: true };
    assert_eq!(of_topic(&world), expected);
    world.set(ConfigResource::BrokerDefault, "min.insync.replicas", Some("1"));
    assert_eq!(of_topic(&world), expected);
    assert_eq!(ReplicationRules::of_cluster(&world.image).min_isr, 1);
}

#[test]
fn brokers_that_disagree_are_taken_by_the_safest_word() {
    let mut world = World::with_topic(2, &[1, 2]);
    world.register_with(1, "min.insync.replicas", "1");
    assert_eq!(of_topic(&world).min_isr, 1);
    world.register_with(1, "unclean.leader.election.enable", "true");
    assert_eq!(of_topic(&world), ReplicationRules { min_isr: 2, allows_unclean: false, is_async: false });
    world.register_with(2, "unclean.leader.election.enable", "true");
    assert!(of_topic(&world).allows_unclean);
    world.register_with(2, "tidemark.flush", "async");
    assert!(of_topic(&world).is_async && !of_topic(&world).allows_unclean);
}

#[test]
fn only_what_decisions_depend_on_is_kept_of_a_brokers_configuration() {
    let mut world = World::new(1);
    world.register_with(1, "log.retention.ms", "5");
    assert!(world.image.brokers[&1].statics.is_empty());
}
