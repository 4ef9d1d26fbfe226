//! Snapshots come back equal, and damaged ones do not come back.

use std::collections::BTreeMap;

use super::*;
use crate::metadata::client_quota::{EntityType, QuotaEntity};
use crate::metadata::command::{Command, ConfigOpKind};
use crate::metadata::decide::tests::{alter, cluster, create, new_topic, run};
use crate::metadata::image::ConfigResource;

type Change<'a> = &'a dyn Fn(&mut ClusterImage);

fn full() -> ClusterImage {
    let mut image = cluster(2);
    let topics = ["a.b", "plain"].map(|name| new_topic(&image, name, 3, 2)).to_vec();
    run(&mut image, &create(topics));
    run(
        &mut image,
        &alter(ConfigResource::BrokerDefault, &[("log.retention.ms", ConfigOpKind::Set, Some("9"))]),
    );
    run(
        &mut image,
        &alter(ConfigResource::Topic("a.b".to_owned()), &[("segment.ms", ConfigOpKind::Set, Some("9"))]),
    );
    let broker_epoch = image.brokers[&1].epoch;
    run(&mut image, &Command::AllocateProducerIds { broker: 1, broker_epoch });
    image.apply(&MetadataRecord::FeatureLevel { name: "metadata.version".to_owned(), level: 30 });
    let entity = QuotaEntity([(EntityType::User, Some("u".to_owned())), (EntityType::ClientId, None)].into());
    let quotas = BTreeMap::from([("producer_byte_rate".to_owned(), 1024.0)]);
    image.apply(&MetadataRecord::ClientQuota { entity, quotas });
    image
}

#[test]
fn a_snapshot_brings_the_whole_image_back() {
    for image in [ClusterImage::default(), full()] {
        let back = ClusterImage::decode_snapshot(&image.encode_snapshot()).unwrap();
        assert_eq!(back, image);
        assert_eq!(back.state_hash(), image.state_hash());
    }
}

#[test]
fn the_names_that_collide_come_back_too() {
    let mut back = ClusterImage::decode_snapshot(&full().encode_snapshot()).unwrap();
    let colliding = new_topic(&back, "a_b", 1, 1);
    let before = back.topics.len();
    run(&mut back, &create(vec![colliding]));
    assert_eq!(back.topics.len(), before);
}

#[test]
fn every_damaged_byte_is_noticed() {
    let bytes = full().encode_snapshot();
    for at in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x20;
        assert!(ClusterImage::decode_snapshot(&damaged).is_err(), "byte {at}");
    }
}

#[test]
fn every_truncation_is_noticed() {
    let bytes = full().encode_snapshot();
    for len in 0..bytes.len() {
        assert!(ClusterImage::decode_snapshot(&bytes[..len]).is_err(), "{len} bytes");
    }
    let longer = [&bytes[..], &[0]].concat();
    assert!(ClusterImage::decode_snapshot(&longer).is_err());
}

#[test]
fn a_frame_with_a_good_checksum_and_bad_counts_is_refused() {
    let frame = |count: u32, rest: &[u8]| {
        let head = [&SNAPSHOT_MAGIC[..], &[SNAPSHOT_VERSION], &[0; 8], &count.to_le_bytes(), rest].concat();
        let crc = crc32fast::hash(&head);
        [&head[..], &crc.to_le_bytes()].concat()
    };
    assert_eq!(ClusterImage::decode_snapshot(&frame(0, &[])), Ok(ClusterImage::default()));
    for bad in [frame(1, &[]), frame(0, &[9]), frame(1, &[0xff; 4]), frame(u32::MAX, &[1, 0, 0, 0, 1])] {
        assert!(matches!(ClusterImage::decode_snapshot(&bad), Err(DecodeError::Malformed(_))));
    }
}

#[test]
fn the_hash_sees_every_part() {
    let base = full();
    let mut hashes = BTreeMap::from([(base.state_hash(), "base")]);
    let changes: [(&str, Change<'_>); 7] = [
        ("version", &|image| image.set_version(image.version + 1)),
        ("cluster", &|image| image.apply(&MetadataRecord::Cluster { cluster_id: "x".to_owned() })),
        ("feature", &|image| {
            image.apply(&MetadataRecord::FeatureLevel { name: "metadata.version".to_owned(), level: 0 });
        }),
        ("topic", &|image| {
            let id = image.topic("plain").unwrap().id;
            image.apply(&MetadataRecord::RemoveTopic { id });
        }),
        ("config", &|image| {
            let changes = BTreeMap::from([("log.retention.ms".to_owned(), None)]);
            image.apply(&MetadataRecord::Config { resource: ConfigResource::BrokerDefault, changes });
        }),
        ("quota", &|image| {
            let entity = image.quotas.keys().next().unwrap().clone();
            image.apply(&MetadataRecord::ClientQuota { entity, quotas: BTreeMap::new() });
        }),
        ("producers", &|image| image.apply(&MetadataRecord::ProducerIds { next_producer_id: 1 })),
    ];
    for (what, change) in changes {
        let mut image = base.clone();
        change(&mut image);
        assert_eq!(hashes.insert(image.state_hash(), what), None, "{what}");
    }
}
