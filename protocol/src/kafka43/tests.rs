use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopics};
use kafka_protocol::messages::{GroupId, OffsetCommitRequest, OffsetFetchRequest, TopicName};
use kafka_protocol::protocol::{Decodable, Encodable, StrBytes};

use super::*;
use crate::api::Api;
use crate::request::{RequestHeader, decode_body};
use crate::types::TopicId;

const IDS: [TopicId; 2] =
    [TopicId(Uuid::from_u128(0xfeed_0000_0000_0000_0000_0000_0000_0001)), TopicId(Uuid::from_u128(7))];
/// Stands for the topic names in version 9 that are replaced by ids to make version 10.
const NAMES: [&[u8]; 2] = [b"\x0efirst-topic-x", b"\x0fsecond-topic-x"];

fn text(text: &'static str) -> StrBytes {
    StrBytes::from_static_str(text)
}

/// Version 10 of a body: that of 9, with the ids where the names were.
fn by_id<R: Encodable>(request: &R) -> Bytes {
    let mut nine = BytesMut::new();
    request.encode(&mut nine, 9).unwrap();
    let mut ten = nine.to_vec();
    for (name, id) in NAMES.iter().zip(IDS) {
        let at = ten.windows(name.len()).position(|window| window == *name).expect("the name is there");
        ten.splice(at..at + name.len(), *id.0.as_bytes());
    }
    ten.into()
}

fn names() -> [TopicName; 2] {
    [TopicName(text("first-topic-x")), TopicName(text("second-topic-x"))]
}

fn id_names() -> [TopicName; 2] {
    IDS.map(|id| TopicName(StrBytes::from_string(id.to_string())))
}

fn commit(names: [TopicName; 2]) -> OffsetCommitRequest {
    let partition = |index, metadata| {
        OffsetCommitRequestPartition::default()
            .with_partition_index(index)
            .with_committed_offset(9)
            .with_committed_metadata(metadata)
            .with_unknown_tagged_field(3, Bytes::from_static(b"xyz"))
    };
    let topics = names.map(|name| {
        OffsetCommitRequestTopic::default()
            .with_name(name)
            .with_partitions(vec![partition(0, None), partition(1, Some(text("note")))])
    });
    OffsetCommitRequest::default()
        .with_group_id(GroupId(text("g")))
        .with_member_id(text("m"))
        .with_topics(topics.to_vec())
}

fn fetch(names: [TopicName; 2]) -> OffsetFetchRequest {
    let [first, second] = names;
    let topics =
        |name| vec![OffsetFetchRequestTopics::default().with_name(name).with_partition_indexes(vec![4, 5])];
    let group = |name, topics| {
        OffsetFetchRequestGroup::default().with_group_id(GroupId(text(name))).with_topics(topics)
    };
    OffsetFetchRequest::default().with_require_stable(true).with_groups(vec![
        group("a", Some(topics(first))),
        group("all", None),
        group("b", Some(topics(second))),
    ])
}

#[test]
fn ids_arrive_as_names_and_the_rest_as_it_was() {
    let body = readable_by_crate(ApiKey::OffsetCommit, 10, by_id(&commit(names()))).unwrap();
    assert_eq!(OffsetCommitRequest::decode(&mut body.clone(), 9).unwrap(), commit(id_names()));
    let body = readable_by_crate(ApiKey::OffsetFetch, 10, by_id(&fetch(names()))).unwrap();
    assert_eq!(OffsetFetchRequest::decode(&mut body.clone(), 9).unwrap(), fetch(id_names()));
    assert_eq!(TopicId::parse(&id_names()[0]), Some(IDS[0]));
}

#[test]
fn version_10_passes_the_guard_and_decodes_once_a_row_says_10() {
    let header = |key: ApiKey| {
        let Api { name, min, advertised_min, flexible_from, .. } = *key.api();
        let api = Box::leak(Box::new(Api { key, name, min, max: 10, advertised_min, flexible_from }));
        RequestHeader { api, version: 10, correlation_id: 0, client_id: None }
    };
    let request: OffsetCommitRequest =
        decode_body(&header(ApiKey::OffsetCommit), by_id(&commit(names()))).unwrap();
    assert_eq!(request, commit(id_names()));
    let request: OffsetFetchRequest =
        decode_body(&header(ApiKey::OffsetFetch), by_id(&fetch(names()))).unwrap();
    assert_eq!(request, fetch(id_names()));
}

#[test]
fn a_body_cut_anywhere_ends_without_panic() {
    for (key, body) in
        [(ApiKey::OffsetCommit, by_id(&commit(names()))), (ApiKey::OffsetFetch, by_id(&fetch(names())))]
    {
        for end in 0..body.len() {
            assert_eq!(readable_by_crate(key, 10, body.slice(..end)), None);
        }
    }
}

#[test]
fn every_other_version_is_left_alone() {
    let body = Bytes::from_static(b"any");
    assert_eq!(readable_by_crate(ApiKey::OffsetCommit, 9, body.clone()).unwrap().as_ptr(), body.as_ptr());
    assert_eq!(readable_by_crate(ApiKey::Produce, 10, body.clone()).unwrap().as_ptr(), body.as_ptr());
}

#[test]
fn versions_without_a_new_layout_are_asked_of_their_elder() {
    assert_eq!(request_codec_version(ApiKey::ListOffsets, 11), 10);
    assert_eq!(response_codec_version(ApiKey::ListOffsets, 11), 10);
    assert_eq!(response_codec_version(ApiKey::OffsetCommit, 10), 10, "the crate writes ids in responses");
    assert_eq!(request_codec_version(ApiKey::Fetch, 18), 18);
}
