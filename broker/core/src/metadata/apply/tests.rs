//! What each record does to an image; conversations are in decide.

use std::collections::BTreeMap;
use std::sync::Arc;

use tidemark_protocol::types::TopicId;
use uuid::Uuid;

use crate::metadata::image::{ClusterImage, ConfigResource, PartitionImage};
use crate::metadata::record::MetadataRecord;

#[test]
fn feature_level_zero_removes_the_feature() {
    let mut image = ClusterImage::default();
    for (level, expected) in [(2, Some(2)), (0, None)] {
        image.apply(&MetadataRecord::FeatureLevel { name: "group.version".to_owned(), level });
        assert_eq!(image.features.get("group.version").copied(), expected);
    }
}

#[test]
fn a_resource_without_overrides_has_no_entry() {
    let mut image = ClusterImage::default();
    let resource = ConfigResource::BrokerDefault;
    let change = |value: Option<&str>| MetadataRecord::Config {
        resource: ConfigResource::BrokerDefault,
        changes: BTreeMap::from([("log.retention.ms".to_owned(), value.map(str::to_owned))]),
    };
    image.apply(&change(Some("1")));
    assert_eq!(image.overrides(&resource)["log.retention.ms"], "1");
    image.apply(&change(None));
    assert!(image.config(&resource).is_none());
    assert!(image.overrides(&resource).is_empty());
}

#[test]
fn growing_a_topic_leaves_published_images_alone() {
    let mut image = ClusterImage::default();
    let id = TopicId(Uuid::from_u128(5));
    let partitions = vec![PartitionImage::new(&[1], &[1])];
    image.apply(&MetadataRecord::Topic { id, name: Arc::from("t"), partitions: partitions.clone() });
    let published = image.clone();
    image.apply(&MetadataRecord::AddPartitions { topic_id: id, partitions });
    assert_eq!(image.topic("t").unwrap().partitions.len(), 2);
    assert_eq!(published.topic("t").unwrap().partitions.len(), 1);
}
