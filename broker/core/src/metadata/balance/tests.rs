//! Plans of the controller, proposed and applied.

use std::collections::BTreeSet;

use super::*;
use crate::metadata::command::{Command, Election, NewTopic};
use crate::metadata::decide::tests::world::World;
use crate::metadata::decide::tests::{create, new_topic, registration, run};
use crate::metadata::reply::Reply;

fn add_topic(world: &mut World, name: &str, partitions: &[&[BrokerId]]) {
    let manual = (0..).zip(partitions).map(|(index, replicas)| (index, replicas.to_vec())).collect();
    let topic = NewTopic { manual, ..new_topic(&world.image, name, -1, -1) };
    run(&mut world.image, &create(vec![topic]));
    assert!(world.image.topic(name).is_some());
}

fn propose(world: &mut World, topics: Vec<TopicReassignment>) {
    let command = Command::ReassignPartitions { topics, allow_replication_factor_change: true };
    match run(&mut world.image, &command) {
        Reply::PartitionsReassigned(results) => {
            assert!(results.iter().flat_map(|topic| &topic.partitions).all(|(_, result)| result.is_ok()));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn preferred_replicas_that_could_lead_are_named_and_elected() {
    let mut world = World::with_topic(3, &[1, 2, 3]);
    assert!(imbalance(&world.image, 10).is_empty());
    world.fence(1);
    assert!(imbalance(&world.image, 10).is_empty(), "it could not lead");
    world.unfence(1);
    assert!(imbalance(&world.image, 10).is_empty(), "it is not in sync yet");
    world.isr(&[2, 3, 1]);
    let elections = imbalance(&world.image, 10);
    assert_eq!(elections, [TopicPartitions { topic: "t".to_owned(), partitions: vec![0] }]);
    assert!(imbalance(&world.image, 100).is_empty());
    let partitions = Some(elections);
    run(&mut world.image, &Command::ElectLeaders { election: Election::Preferred, partitions });
    world.expect(1, &[2, 3, 1], &[]);
    assert!(imbalance(&world.image, 10).is_empty());
}

#[test]
fn a_broker_that_leads_nearly_all_it_should_is_left_alone() {
    let mut world = World::new(2);
    add_topic(&mut world, "many", &[&[1][..]; 9]);
    add_topic(&mut world, "t", &[&[1, 2]]);
    let epoch = world.epoch(1);
    let t = world.t();
    world.image.apply(&crate::metadata::MetadataRecord::PartitionChange {
        topic_id: world.image.topic("t").unwrap().id,
        index: 0,
        partition: PartitionImage { leader: 2, ..t },
    });
    assert_eq!(epoch, world.epoch(1));
    assert!(imbalance(&world.image, 10).is_empty(), "one of ten");
    assert_eq!(imbalance(&world.image, 9).len(), 1);
}

#[test]
fn internal_topics_grow_with_the_cluster_and_no_further() {
    let mut world = World::new(1);
    add_topic(&mut world, "__consumer_offsets", &[&[1], &[1]]);
    add_topic(&mut world, "plain", &[&[1]]);
    assert!(internal_replication(&world.image, 3).is_empty());
    run(&mut world.image, &registration(2, 50));
    assert!(internal_replication(&world.image, 3).is_empty(), "two are not enough for three");
    for id in 3..=4 {
        run(&mut world.image, &registration(id, 50));
    }
    assert!(internal_replication(&world.image, 1).is_empty(), "no more are wanted");
    let plan = internal_replication(&world.image, 3);
    assert_eq!(plan.len(), 1);
    propose(&mut world, plan);
    let offsets = world.image.topic("__consumer_offsets").unwrap().clone();
    let added: BTreeSet<BrokerId> = offsets.partitions.iter().flat_map(|p| p.adding.to_vec()).collect();
    assert_eq!(added, BTreeSet::from([2, 3, 4]), "the new replicas are spread");
    for partition in &offsets.partitions {
        assert_eq!((partition.replicas.len(), partition.replicas[0], partition.leader), (3, 1, 1));
    }
    assert!(internal_replication(&world.image, 3).is_empty(), "they are on their way");
}

#[test]
fn a_drained_broker_keeps_nothing_and_the_order_of_preference_stays() {
    let mut world = World::new(4);
    add_topic(&mut world, "a", &[&[1, 2], &[2, 1], &[3, 4]]);
    add_topic(&mut world, "b", &[&[1, 2, 3]]);
    let plan = drain_plan(&world.image, 1).unwrap();
    let targets: Vec<_> = plan.iter().flat_map(|topic| topic.partitions.clone()).collect();
    assert_eq!(targets.len(), 3);
    assert!(targets.iter().all(|(_, target)| !target.as_ref().unwrap().contains(&1)));
    propose(&mut world, plan);
    assert!(drain_plan(&world.image, 1).unwrap().is_empty(), "all of it is on its way");
    let a = world.image.topic("a").unwrap();
    assert_eq!((a.partitions[1].replicas[0], &*a.partitions[2].replicas), (2, &[3, 4][..]));
    assert_eq!(*a.partitions[0].removing, [1]);
    assert_eq!(*world.image.topic("b").unwrap().partitions[0].adding, [4]);
}

#[test]
fn a_drained_replica_goes_to_a_rack_that_its_siblings_are_not_in() {
    let mut world = World::new(0);
    for (id, rack) in [(1, "a"), (2, "b"), (3, "b"), (4, "a")] {
        let mut command = registration(id, 50);
        let Command::RegisterBroker { rack: named, .. } = &mut command else { unreachable!() };
        *named = Some(rack.to_owned());
        run(&mut world.image, &command);
    }
    add_topic(&mut world, "load", &[&[4][..]; 5]);
    add_topic(&mut world, "t", &[&[1, 2]]);
    let plan = drain_plan(&world.image, 1).unwrap();
    assert_eq!(plan[0].partitions, [(0, Some(vec![4, 2]))]);
}

#[test]
fn a_broker_that_nobody_can_replace_is_not_drained() {
    let mut world = World::with_topic(3, &[1, 2, 3]);
    let error = drain_plan(&world.image, 1).unwrap_err();
    assert_eq!(error, NowhereToGo { topic: Arc::from("t"), partition: 0, replication_factor: 3 });
    world.fence(2);
    assert!(drain_plan(&world.image, 1).is_err(), "a fenced broker takes nothing");
}
