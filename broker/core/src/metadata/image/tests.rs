//! Look-ups.

use std::sync::Arc;

use tidemark_protocol::types::{TopicId, TopicIdPartition, TopicPartition};
use uuid::Uuid;

use super::*;
use crate::metadata::record::MetadataRecord;

fn image() -> ClusterImage {
    let mut image = ClusterImage::new("tidal");
    for (number, name) in [(2, "a"), (1, "b")] {
        image.apply(&MetadataRecord::Topic {
            id: TopicId(Uuid::from_u128(number)),
            name: Arc::from(name),
            partitions: vec![PartitionImage::new(&[1, 2], &[1]); 2],
        });
    }
    image
}

#[test]
fn partitions_are_found_by_name_and_by_id() {
    let image = image();
    let by_name = image.partition(&TopicPartition::new("a", 1)).unwrap();
    let topic_id = TopicId(Uuid::from_u128(2));
    assert_eq!(image.partition_by_id(&TopicIdPartition { topic_id, partition: 1 }), Some(by_name));
    for outside in [-1, 2, i32::MAX] {
        assert_eq!(image.partition(&TopicPartition::new("a", outside)), None);
    }
    assert_eq!(image.partition(&TopicPartition::new("c", 0)), None);
    assert_eq!(image.partition_count(), 4);
}

#[test]
fn topics_are_listed_by_name() {
    let image = image();
    let names: Vec<&str> = image.topics_by_name().map(|topic| &*topic.name).collect();
    assert_eq!(names, ["a", "b"]);
}

#[test]
fn a_new_partition_is_led_by_the_first_in_sync_replica() {
    let partition = PartitionImage::new(&[3, 1, 2], &[1, 2]);
    assert_eq!(partition.leader, 1);
    assert!(partition.has_replica(3) && !partition.has_replica(4));
    assert_eq!(PartitionImage::new(&[3], &[]).leader, -1);
}

#[test]
fn a_clone_is_a_snapshot() {
    let mut image = image();
    let before = image.clone();
    image.apply(&MetadataRecord::RemoveTopic { id: TopicId(Uuid::from_u128(1)) });
    assert!(image.topic("b").is_none());
    assert!(before.topic("b").is_some());
}

#[test]
#[should_panic(expected = "applied in order")]
fn the_version_never_goes_back() {
    let mut image = image();
    image.set_version(5);
    image.set_version(4);
}

#[test]
fn resources_are_named_as_kafka_names_them() {
    let cases = [
        (ConfigResource::Topic("t".to_owned()), 2, "t"),
        (ConfigResource::Broker(7), 4, "7"),
        (ConfigResource::BrokerDefault, 4, ""),
        (ConfigResource::ClientMetrics("m".to_owned()), 16, "m"),
        (ConfigResource::Group("g".to_owned()), 32, "g"),
    ];
    for (resource, code, name) in cases {
        assert_eq!((resource.type_code(), resource.name().as_str()), (code, name));
    }
}
