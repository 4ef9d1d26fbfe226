//! What a broker has to do when the image changes.

use std::sync::Arc;

use tidemark_protocol::types::TopicId;
use uuid::Uuid;

use super::*;
use crate::metadata::command::ConfigOpKind;
use crate::metadata::decide::tests::{alter, cluster, create, new_topic, registration, run};
use crate::metadata::record::MetadataRecord;

fn topic(number: u128, name: &str, replicas: &[&[BrokerId]]) -> MetadataRecord {
    let partitions = replicas.iter().map(|replicas| PartitionImage::new(replicas, replicas)).collect();
    MetadataRecord::Topic { id: TopicId(Uuid::from_u128(number)), name: Arc::from(name), partitions }
}

fn started(delta: &ClusterDelta) -> Vec<(String, bool, bool)> {
    delta.start.iter().map(|replica| (replica.tp.to_string(), replica.new, replica.leads(1))).collect()
}

#[test]
fn a_broker_starts_its_own_replicas_only() {
    let old = cluster(2);
    let mut new = old.clone();
    new.apply(&topic(5, "orders", &[&[1, 2], &[2], &[2, 1]]));
    let delta = delta(&old, &new, 1);
    assert_eq!(started(&delta), [("orders-0".to_owned(), true, true), ("orders-2".to_owned(), true, false)]);
    assert!(delta.stop.is_empty() && delta.reconfigure.is_empty());
}

#[test]
fn nothing_changed_is_nothing_to_do() {
    let mut image = cluster(1);
    image.apply(&topic(5, "orders", &[&[1]]));
    let mut later = image.clone();
    later.set_version(image.version + 9);
    assert!(delta(&image, &later, 1).is_empty());
}

#[test]
fn a_deleted_topic_stops_and_is_named_to_all() {
    let mut old = cluster(2);
    old.apply(&topic(5, "orders", &[&[1]]));
    let mut new = old.clone();
    new.apply(&MetadataRecord::RemoveTopic { id: TopicId(Uuid::from_u128(5)) });
    let mine = delta(&old, &new, 1);
    assert_eq!(mine.stop.len(), 1);
    let others = delta(&old, &new, 2);
    assert!(others.stop.is_empty());
    assert_eq!(others.deleted_topics, [(Arc::from("orders"), TopicId(Uuid::from_u128(5)))]);
}

#[test]
fn a_recreated_topic_is_another_one() {
    let mut old = cluster(1);
    old.apply(&topic(5, "orders", &[&[1]]));
    let mut new = old.clone();
    new.apply(&MetadataRecord::RemoveTopic { id: TopicId(Uuid::from_u128(5)) });
    new.apply(&topic(6, "orders", &[&[1]]));
    let delta = delta(&old, &new, 1);
    assert_eq!(delta.stop[0].id.topic_id, TopicId(Uuid::from_u128(5)));
    assert_eq!(delta.start[0].id.topic_id, TopicId(Uuid::from_u128(6)));
    assert!(delta.start[0].new);
}

#[test]
fn a_replica_moved_away_stops_but_its_topic_lives() {
    let mut old = cluster(2);
    old.apply(&topic(5, "orders", &[&[1]]));
    let mut new = cluster(2);
    new.apply(&topic(5, "orders", &[&[2]]));
    let delta = delta(&old, &new, 1);
    assert_eq!(delta.stop.len(), 1);
    assert!(delta.deleted_topics.is_empty());
}

#[test]
fn a_new_leader_epoch_is_news_and_new_partitions_are_new() {
    let mut old = cluster(1);
    old.apply(&topic(5, "orders", &[&[1]]));
    let mut new = old.clone();
    run(&mut new, &registration(1, 8));
    new.apply(&MetadataRecord::AddPartitions {
        topic_id: TopicId(Uuid::from_u128(5)),
        partitions: vec![PartitionImage::new(&[1], &[1])],
    });
    let delta = delta(&old, &new, 1);
    assert_eq!(started(&delta), [("orders-0".to_owned(), false, true), ("orders-1".to_owned(), true, true)]);
    assert_eq!(delta.start[0].partition.leader_epoch, 1);
}

#[test]
fn configuration_reaches_those_it_concerns() {
    let mut old = cluster(2);
    let orders = new_topic(&old, "orders", 1, 2);
    run(&mut old, &create(vec![orders]));
    old.apply(&topic(5, "elsewhere", &[&[2]]));
    let mut new = old.clone();
    for name in ["orders", "elsewhere"] {
        let resource = ConfigResource::Topic(name.to_owned());
        run(&mut new, &alter(resource, &[("retention.ms", ConfigOpKind::Set, Some("5"))]));
    }
    let change = delta(&old, &new, 1);
    assert_eq!(change.reconfigure, BTreeSet::from([Arc::from("orders")]));
    assert_eq!(change.configs.len(), 2);
    assert!(change.start.is_empty() && !change.broker_config_changed);

    for (resource, concerns_one) in [
        (ConfigResource::Broker(1), true),
        (ConfigResource::Broker(2), false),
        (ConfigResource::BrokerDefault, true),
    ] {
        let mut newer = new.clone();
        run(&mut newer, &alter(resource, &[("log.retention.ms", ConfigOpKind::Set, Some("5"))]));
        assert_eq!(delta(&new, &newer, 1).broker_config_changed, concerns_one);
    }
}
