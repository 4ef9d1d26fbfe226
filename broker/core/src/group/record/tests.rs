//! What we write is byte for byte Kafka's, and what any Kafka wrote is read.

use bytes::Bytes;
use proptest::prelude::*;

use super::*;

fn kept() -> CommittedOffset {
    CommittedOffset {
        offset: 100,
        leader_epoch: 10,
        metadata: "m".into(),
        commit_timestamp: 1234,
        expire_timestamp: None,
        topic_id: TopicId::ZERO,
    }
}

#[test]
fn an_offset_commit_has_kafkas_bytes() {
    let record = offset_record("g", "foo", 1, &kept());
    assert_eq!(&record.key[..], b"\x00\x01\x00\x01g\x00\x03foo\x00\x00\x00\x01");
    let value = record.value.unwrap();
    assert_eq!(&value[..], b"\x00\x04\0\0\0\0\0\0\0\x64\0\0\0\x0a\x02m\0\0\0\0\0\0\x04\xd2\x00");
}

#[test]
fn a_known_topic_id_travels_as_tag_zero() {
    let with_id = CommittedOffset { topic_id: TopicId(Uuid::from_u128(7)), ..kept() };
    let value = offset_record("g", "foo", 1, &with_id).value.unwrap();
    assert_eq!(&value[value.len() - 19..], b"\x01\x00\x10\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x07");
    assert_eq!(parse_offset(&value), Ok(with_id));
}

#[test]
fn a_commit_with_its_own_expiry_is_written_in_version_one() {
    let expiring = CommittedOffset { expire_timestamp: Some(5), ..kept() };
    let value = offset_record("g", "foo", 1, &expiring).value.unwrap();
    assert_eq!(&value[..], b"\x00\x01\0\0\0\0\0\0\0\x64\x00\x01m\0\0\0\0\0\0\x04\xd2\0\0\0\0\0\0\0\x05");
    // Version 1 has no epoch, as in Kafka.
    assert_eq!(parse_offset(&value), Ok(CommittedOffset { leader_epoch: -1, ..expiring }));
}

#[test]
fn older_offset_values_are_read() {
    let v0 = b"\x00\x00\0\0\0\0\0\0\0\x64\x00\x01m\0\0\0\0\0\0\x04\xd2";
    let v2 = b"\x00\x02\0\0\0\0\0\0\0\x64\x00\x01m\0\0\0\0\0\0\x04\xd2";
    let v3 = b"\x00\x03\0\0\0\0\0\0\0\x64\0\0\0\x0a\x00\x01m\0\0\0\0\0\0\x04\xd2";
    assert_eq!(parse_offset(v0), Ok(CommittedOffset { leader_epoch: -1, ..kept() }));
    assert_eq!(parse_offset(v2), Ok(CommittedOffset { leader_epoch: -1, ..kept() }));
    assert_eq!(parse_offset(v3), Ok(kept()));
}

#[test]
fn a_group_has_kafkas_bytes() {
    let group = GroupMetadata {
        protocol_type: "consumer".into(),
        generation: 3,
        protocol: Some("range".into()),
        leader: Some("a".into()),
        state_timestamp: 9,
        members: vec![MemberMetadata {
            member_id: "a".into(),
            group_instance_id: None,
            client_id: "c".into(),
            client_host: "/h".into(),
            rebalance_timeout_ms: 2,
            session_timeout_ms: 1,
            subscription: Bytes::from_static(b"s"),
            assignment: Bytes::from_static(b"xy"),
        }],
    };
    let record = group_record("g", &group);
    assert_eq!(&record.key[..], b"\x00\x02\x00\x01g");
    let expected = b"\x00\x03\x00\x08consumer\0\0\0\x03\x00\x05range\x00\x01a\0\0\0\0\0\0\0\x09\0\0\0\x01\
        \x00\x01a\xff\xff\x00\x01c\x00\x02/h\0\0\0\x02\0\0\0\x01\0\0\0\x01s\0\0\0\x02xy";
    assert_eq!(&record.value.as_ref().unwrap()[..], &expected[..]);
    assert_eq!(parse_group(&record.value.unwrap()), Ok(group));
}

#[test]
fn a_flexible_group_value_is_read() {
    let bytes = b"\x00\x04\x09consumer\0\0\0\x03\x00\x02a\0\0\0\0\0\0\0\x09\x02\
        \x02a\x02i\x02c\x03/h\0\0\0\x02\0\0\0\x01\x02s\x03xy\x00\x01\x05\x02zz";
    let group = parse_group(bytes).unwrap();
    assert_eq!((group.generation, group.protocol, group.leader.as_deref()), (3, None, Some("a")));
    assert_eq!(group.members[0].group_instance_id.as_deref(), Some("i"));
    assert_eq!(&group.members[0].assignment[..], b"xy");
}

#[test]
fn the_oldest_group_value_has_neither_timeouts_nor_times() {
    let bytes = b"\x00\x00\x00\x08consumer\0\0\0\x03\x00\x05range\x00\x01a\0\0\0\x01\
        \x00\x01a\x00\x01c\x00\x02/h\0\0\0\x01\0\0\0\x01s\0\0\0\x02xy";
    let group = parse_group(bytes).unwrap();
    assert_eq!(group.state_timestamp, -1);
    assert_eq!((group.members[0].rebalance_timeout_ms, group.members[0].session_timeout_ms), (-1, 1));
}

#[test]
fn tombstones_have_the_key_and_nothing_else() {
    assert_eq!(offset_tombstone("g", "foo", 1).key, offset_record("g", "foo", 1, &kept()).key);
    assert_eq!(group_tombstone("g").value, None);
}

#[test]
fn keys_of_newer_kinds_are_named_not_refused() {
    assert_eq!(parse_key(b"\x00\x05whatever"), Ok(Key::Unknown { key_type: 5 }));
}

#[test]
fn later_value_versions_are_refused_by_number() {
    assert_eq!(parse_offset(b"\x00\x05"), Err(RecordError::UnknownVersion { version: 5 }));
    assert_eq!(parse_group(b"\xff\xff"), Err(RecordError::UnknownVersion { version: -1 }));
}

proptest! {
    #[test]
    fn offsets_survive_the_round_trip(
        offset in any::<i64>(), leader_epoch in any::<i32>(), metadata in ".{0,300}",
        commit_timestamp in any::<i64>(), id in any::<u128>(),
    ) {
        let kept = CommittedOffset {
            offset, leader_epoch, metadata, commit_timestamp,
            expire_timestamp: None, topic_id: TopicId(Uuid::from_u128(id)),
        };
        let record = offset_record("grüppe", "t", 7, &kept);
        prop_assert_eq!(parse_offset(&record.value.unwrap()), Ok(kept));
        let key = Key::Offset { group_id: "grüppe".into(), topic: "t".into(), partition: 7 };
        prop_assert_eq!(parse_key(&record.key), Ok(key));
    }

    #[test]
    fn no_bytes_make_the_readers_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), version in 0u8..6) {
        let mut value = vec![0, version];
        value.extend_from_slice(&bytes);
        let _ = parse_key(&value);
        let _ = parse_offset(&value);
        let _ = parse_group(&value);
    }

    #[test]
    fn a_cut_group_value_is_an_error(cut in 1usize..40) {
        let group = GroupMetadata {
            protocol_type: "consumer".into(), generation: 1, protocol: None, leader: None,
            state_timestamp: 1, members: Vec::new(),
        };
        let value = group_record("g", &group).value.unwrap();
        let cut = cut.min(value.len() - 1);
        prop_assert!(parse_group(&value[..value.len() - cut]).is_err());
    }
}
