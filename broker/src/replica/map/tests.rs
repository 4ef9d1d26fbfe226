use tidemark_protocol::types::TopicPartition;
use uuid::Uuid;

use super::*;
use crate::partition::inbox::Inbox;
use crate::partition::testing::config;

fn handle(topic: u128, name: &str, partition: i32) -> PartitionHandle {
    let id = TopicIdPartition { topic_id: TopicId(Uuid::from_u128(topic)), partition };
    PartitionHandle::new(id, TopicPartition::new(name, partition), Arc::new(Inbox::default()), config(&[]))
}

#[test]
fn a_partition_is_found_by_name_and_by_id_until_it_is_removed() {
    let mut map = ReplicaMap::default();
    let (a0, a2) = (handle(1, "a", 0), handle(1, "a", 2));
    map.insert(a0.clone());
    map.insert(a2.clone());
    assert!(map.partition("a", 2).is_some() && map.partition_by_id(a0.id()).is_some());
    assert!(map.partition("a", 1).is_none() && map.partition("a", -1).is_none());
    assert_eq!(map.topic("a").unwrap().partitions().count(), 2);
    let before = map.clone();
    assert!(map.remove(a0.id()).is_some());
    assert!(map.remove(a0.id()).is_none());
    assert!(map.partition("a", 0).is_none() && map.partition("a", 2).is_some());
    assert!(map.remove(a2.id()).is_some());
    assert!(map.topic("a").is_none() && map.topic_by_id(a0.id().topic_id).is_none());
    assert_eq!(before.partitions().count(), 2, "a map that was taken before does not change");
}

#[test]
fn removing_a_topic_leaves_its_name_to_a_newer_topic() {
    let mut map = ReplicaMap::default();
    let (old, new) = (handle(1, "a", 0), handle(2, "a", 0));
    map.insert(old.clone());
    map.insert(new.clone());
    map.remove(old.id());
    assert_eq!(map.partition("a", 0).unwrap().id(), new.id());
}
