//! Identity, registrations, producer ids.

use std::collections::BTreeMap;

use tidemark_protocol::error_code::ErrorCode;
use uuid::Uuid;

use crate::metadata::command::{Command, Recovery};
use crate::metadata::decide::decide;
use crate::metadata::decide::tests::world::World;
use crate::metadata::decide::tests::{cluster, create, new_topic, registration, run};
use crate::metadata::image::{ClusterImage, ConfigResource};
use crate::metadata::reply::{ProducerIdBlock, Reply};

fn epoch(reply: Reply) -> i64 {
    match reply {
        Reply::BrokerRegistered(Ok(epoch)) => epoch,
        other => panic!("not registered: {other:?}"),
    }
}

fn initialize(cluster_id: &str) -> Command {
    Command::InitializeCluster {
        cluster_id: cluster_id.to_owned(),
        features: BTreeMap::from([("metadata.version".to_owned(), 30)]),
    }
}

#[test]
fn a_cluster_gets_its_identity_once() {
    let mut image = ClusterImage::default();
    assert_eq!(run(&mut image, &initialize("tidal")), Reply::Initialized(Ok(())));
    assert_eq!(image.cluster_id, "tidal");
    assert_eq!(image.features.get("metadata.version"), Some(&30));
    assert!(decide(&image, &initialize("tidal"), 2).records.is_empty());
    let Reply::Initialized(Err(failure)) = run(&mut image, &initialize("lunar")) else { panic!("accepted") };
    assert_eq!(failure.code, ErrorCode::InconsistentClusterId);
    assert_eq!(image.cluster_id, "tidal");
}

#[test]
fn a_broker_of_another_cluster_is_refused() {
    let mut image = ClusterImage::new("lunar");
    let Reply::BrokerRegistered(Err(failure)) = run(&mut image, &registration(1, 1)) else {
        panic!("accepted")
    };
    assert_eq!(failure.code, ErrorCode::InconsistentClusterId);
    assert_eq!(failure.message, "Expected cluster ID lunar, but got cluster ID tidal");
    assert!(image.brokers.is_empty());
}

#[test]
fn a_broker_must_have_an_id_and_an_address() {
    let mut image = ClusterImage::new("tidal");
    let mut nowhere = registration(1, 1);
    let Command::RegisterBroker { endpoints, .. } = &mut nowhere else { unreachable!() };
    endpoints.clear();
    for command in [registration(-1, 1), nowhere] {
        let Reply::BrokerRegistered(Err(failure)) = run(&mut image, &command) else { panic!("accepted") };
        assert_eq!(failure.code, ErrorCode::InvalidRegistration);
    }
}

#[test]
fn a_new_incarnation_restarts_what_it_leads_with_one_record() {
    let mut image = cluster(2);
    let topic = new_topic(&image, "orders", 4, 1);
    run(&mut image, &create(vec![topic]));
    let before = image.clone();
    let outcome = decide(&image, &registration(1, 8), 50);
    assert_eq!(outcome.records.len(), 1);
    let new_epoch = epoch(run(&mut image, &registration(1, 8)));
    assert_eq!(new_epoch, i64::try_from(image.version).unwrap());
    assert_eq!(image.brokers[&1].incarnation, Uuid::from_u128(8));
    let pairs =
        before.topic("orders").unwrap().partitions.iter().zip(&image.topic("orders").unwrap().partitions);
    for (before, after) in pairs {
        let step = i32::from(before.leader == 1);
        assert_eq!(after.leader_epoch, before.leader_epoch + step);
        assert_eq!(after.partition_epoch, before.partition_epoch + step);
        assert_eq!(after.leader, before.leader);
    }
    assert!(before.topic("orders").unwrap().partitions.iter().any(|partition| partition.leader == 1));
}

#[test]
fn the_same_incarnation_keeps_its_epoch() {
    let mut image = cluster(1);
    let first = image.brokers[&1].epoch;
    let before = image.clone();
    assert_eq!(epoch(run(&mut image, &registration(1, 7))), first);
    assert_eq!(image.brokers, before.brokers);
    let mut moved = registration(1, 7);
    let Command::RegisterBroker { rack, .. } = &mut moved else { unreachable!() };
    *rack = Some("eu-1a".to_owned());
    assert_eq!(epoch(run(&mut image, &moved)), first);
    assert_eq!(image.brokers[&1].rack.as_deref(), Some("eu-1a"));
}

#[test]
fn an_incarnation_with_a_session_is_not_replaced() {
    let mut world = World::with_topic(2, &[1, 2]);
    let mut command = world.registration(1, Recovery::Intact);
    let live = |command: &mut Command, is_live| {
        let Command::RegisterBroker { session_is_live, .. } = command else { unreachable!() };
        *session_is_live = is_live;
    };
    live(&mut command, true);
    assert!(decide(&world.image, &command, 99).records.is_empty());
    assert_eq!(world.registered(&command).unwrap_err().code, ErrorCode::DuplicateBrokerRegistration);
    live(&mut command, false);
    let epoch = world.registered(&command).unwrap();
    live(&mut command, true);
    assert_eq!(world.registered(&command), Ok(epoch), "the same incarnation may repeat itself");
    world.unfence(1);
    world.shut_down(1);
    let mut successor = world.registration(1, Recovery::Clean);
    live(&mut successor, true);
    assert!(world.registered(&successor).is_ok(), "the one before said that it stops");
}

#[test]
fn a_new_incarnation_starts_fenced_out_of_sync_and_eligible() {
    for recovery in [Recovery::Clean, Recovery::Intact, Recovery::Suspect] {
        let mut world = World::with_topic(2, &[1, 2]);
        world.register(1, recovery);
        world.expect(2, &[2], &[1]);
        world.register(2, recovery);
        world.expect(-1, &[], &[1, 2]);
        world.unfence(1);
        world.expect(1, &[1], &[2]);
        assert_eq!(world.image.brokers[&1].is_suspect, recovery == Recovery::Suspect);
    }
}

#[test]
fn a_wiped_disk_is_in_no_isr_and_no_elr() {
    let mut world = World::with_topic(2, &[1, 2]);
    world.register(1, Recovery::Wiped);
    world.expect(2, &[2], &[]);
    let mut world = World::with_topic(2, &[1, 2]);
    world.fence(1);
    world.expect(2, &[2], &[1]);
    world.register(1, Recovery::Wiped);
    world.expect(2, &[2], &[]);
    world.unfence(1);
    world.isr(&[2, 1]);
    world.expect(2, &[2, 1], &[]);
}

#[test]
fn a_disk_that_is_not_the_one_before_counts_as_wiped() {
    let mut world = World::with_topic(2, &[1, 2]);
    let mut command = world.registration(1, Recovery::Clean);
    let Command::RegisterBroker { directories, .. } = &mut command else { unreachable!() };
    *directories = vec![Uuid::from_u128(77)];
    world.registered(&command).unwrap();
    world.expect(2, &[2], &[]);

    let mut world = World::with_topic(2, &[1, 2]);
    let mut command = world.registration(1, Recovery::Clean);
    let Command::RegisterBroker { directories, .. } = &mut command else { unreachable!() };
    directories.push(Uuid::from_u128(77));
    world.registered(&command).unwrap();
    world.expect(2, &[2], &[1]);
}

#[test]
fn where_writes_do_not_wait_for_the_disk_only_a_clean_stop_keeps_the_place() {
    let world = || World::configured(2, &[1, 2], &[("tidemark.flush", "async")]);
    for recovery in [Recovery::Intact, Recovery::Suspect] {
        let mut world = world();
        world.register(1, recovery);
        world.expect(2, &[2], &[]);
    }
    let mut clean = world();
    clean.register(1, Recovery::Clean);
    clean.expect(2, &[2], &[1]);
    let mut mistaken = world();
    let mut command = mistaken.registration(1, Recovery::Clean);
    let Command::RegisterBroker { previous_epoch, .. } = &mut command else { unreachable!() };
    *previous_epoch -= 1;
    mistaken.registered(&command).unwrap();
    mistaken.expect(2, &[2], &[]);
    let mut last = world();
    last.register(1, Recovery::Intact);
    last.register(2, Recovery::Intact);
    last.expect(-1, &[], &[2]);
}

#[test]
fn a_lone_broker_restarts_what_it_leads_and_comes_back_from_being_fenced() {
    let mut world = World::with_topic(1, &[1]);
    let mut command = world.registration(1, Recovery::Intact);
    let Command::RegisterBroker { fenced, .. } = &mut command else { unreachable!() };
    *fenced = false;
    world.registered(&command).unwrap();
    world.expect(1, &[1], &[]);
    assert_eq!((world.t().leader_epoch, world.t().partition_epoch), (1, 1));
    world.fence(1);
    world.expect(-1, &[], &[1]);
    let mut command = world.registration(1, Recovery::Intact);
    let Command::RegisterBroker { fenced, .. } = &mut command else { unreachable!() };
    *fenced = false;
    world.registered(&command).unwrap();
    world.expect(1, &[1], &[]);
}

#[test]
fn twenty_thousand_partitions_restart_with_one_small_record() {
    let mut image = cluster(1);
    for number in 0..20 {
        let topic = new_topic(&image, &format!("many-{number}"), 1000, 1);
        run(&mut image, &create(vec![topic]));
    }
    assert_eq!(image.partition_count(), 20_000);
    let outcome = decide(&image, &registration(1, 8), image.version + 1);
    assert_eq!(outcome.records.len(), 1);
    assert!(outcome.records[0].encode().len() < 200);
    run(&mut image, &registration(1, 8));
    let mut partitions = image.topics.values().flat_map(|topic| &topic.partitions);
    assert!(partitions.all(|partition| partition.leader_epoch == 1));
}

#[test]
fn producer_id_blocks_never_overlap() {
    let mut image = cluster(1);
    let broker_epoch = image.brokers[&1].epoch;
    let command = Command::AllocateProducerIds { broker: 1, broker_epoch };
    for block in 0..3 {
        let expected = ProducerIdBlock { first: block * 1000, len: 1000 };
        assert_eq!(run(&mut image, &command), Reply::ProducerIdsAllocated(Ok(expected)));
    }
    assert_eq!(image.next_producer_id, 3000);
}

#[test]
fn producer_ids_are_only_for_the_living() {
    let mut image = cluster(1);
    let stale = Command::AllocateProducerIds { broker: 1, broker_epoch: image.brokers[&1].epoch - 1 };
    let unknown = Command::AllocateProducerIds { broker: 9, broker_epoch: 0 };
    for (command, code) in [(stale, ErrorCode::StaleBrokerEpoch), (unknown, ErrorCode::BrokerIdNotRegistered)]
    {
        let Reply::ProducerIdsAllocated(Err(failure)) = run(&mut image, &command) else {
            panic!("allocated")
        };
        assert_eq!(failure.code, code);
    }
    assert_eq!(image.next_producer_id, 0);
    assert!(image.config(&ConfigResource::BrokerDefault).is_none());
}
