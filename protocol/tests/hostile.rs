//! Hostile bytes: whatever a peer sends, nothing panics, and what the guard accepts decodes within a bound of memory.
//!
//! An allocator that counts, per thread, how much is held at most. The bodies come from real requests with bytes turned
//! and cut, from small numbers in any order (which parse deep), and from counts put at every place of a body.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::messages as kafka;
use kafka_protocol::protocol::{Decodable, Encodable, StrBytes};
use proptest::prelude::*;
use tidemark_protocol::api::{APIS, Api, ApiKey};
use tidemark_protocol::guard;
use tidemark_protocol::kafka43::request_codec_version;
use tidemark_protocol::request::{DecodeError, RequestHeader, decode_body, decode_header};

/// Counts what this thread holds.
struct Counting;

thread_local! {
    static HELD: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
}

fn count(bytes: isize) {
    HELD.with(|held| {
        held.set(held.get() + bytes);
        PEAK.with(|peak| peak.set(peak.get().max(held.get())));
    });
}

// SAFETY: every call goes to the system's allocator unchanged; the counters are plain cells that never allocate.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The most this thread held during `work`, over what it held before.
fn peak_of(work: impl FnOnce()) -> usize {
    let before = HELD.get();
    PEAK.set(before);
    work();
    (PEAK.get() - before).max(0) as usize
}

/// What decoding may hold at once.
fn bound(body_len: usize) -> usize {
    64 * body_len + (1 << 20)
}

fn decode<R: Decodable + Encodable>(header: &RequestHeader, body: Bytes) -> bool {
    match decode_body::<R>(header, body) {
        Ok(request) => {
            drop(request);
            true
        }
        Err(DecodeError::Refused { .. } | DecodeError::Malformed { .. }) => false,
    }
}

/// Calls `$f::<Request>` for the request type of a key.
macro_rules! with_request {
    ($key:expr, $f:ident($($argument:expr),*)) => {
        match $key {
            ApiKey::Produce => $f::<kafka::ProduceRequest>($($argument),*),
            ApiKey::Fetch => $f::<kafka::FetchRequest>($($argument),*),
            ApiKey::ListOffsets => $f::<kafka::ListOffsetsRequest>($($argument),*),
            ApiKey::Metadata => $f::<kafka::MetadataRequest>($($argument),*),
            ApiKey::OffsetCommit => $f::<kafka::OffsetCommitRequest>($($argument),*),
            ApiKey::OffsetFetch => $f::<kafka::OffsetFetchRequest>($($argument),*),
            ApiKey::FindCoordinator => $f::<kafka::FindCoordinatorRequest>($($argument),*),
            ApiKey::JoinGroup => $f::<kafka::JoinGroupRequest>($($argument),*),
            ApiKey::Heartbeat => $f::<kafka::HeartbeatRequest>($($argument),*),
            ApiKey::LeaveGroup => $f::<kafka::LeaveGroupRequest>($($argument),*),
            ApiKey::SyncGroup => $f::<kafka::SyncGroupRequest>($($argument),*),
            ApiKey::DescribeGroups => $f::<kafka::DescribeGroupsRequest>($($argument),*),
            ApiKey::ListGroups => $f::<kafka::ListGroupsRequest>($($argument),*),
            ApiKey::ApiVersions => $f::<kafka::ApiVersionsRequest>($($argument),*),
            ApiKey::CreateTopics => $f::<kafka::CreateTopicsRequest>($($argument),*),
            ApiKey::DeleteTopics => $f::<kafka::DeleteTopicsRequest>($($argument),*),
            ApiKey::DeleteRecords => $f::<kafka::DeleteRecordsRequest>($($argument),*),
            ApiKey::InitProducerId => $f::<kafka::InitProducerIdRequest>($($argument),*),
            ApiKey::OffsetForLeaderEpoch => $f::<kafka::OffsetForLeaderEpochRequest>($($argument),*),
            ApiKey::DescribeAcls => $f::<kafka::DescribeAclsRequest>($($argument),*),
            ApiKey::CreateAcls => $f::<kafka::CreateAclsRequest>($($argument),*),
            ApiKey::DeleteAcls => $f::<kafka::DeleteAclsRequest>($($argument),*),
            ApiKey::DescribeConfigs => $f::<kafka::DescribeConfigsRequest>($($argument),*),
            ApiKey::AlterConfigs => $f::<kafka::AlterConfigsRequest>($($argument),*),
            ApiKey::DescribeLogDirs => $f::<kafka::DescribeLogDirsRequest>($($argument),*),
            ApiKey::CreatePartitions => $f::<kafka::CreatePartitionsRequest>($($argument),*),
            ApiKey::DeleteGroups => $f::<kafka::DeleteGroupsRequest>($($argument),*),
            ApiKey::IncrementalAlterConfigs => $f::<kafka::IncrementalAlterConfigsRequest>($($argument),*),
            ApiKey::OffsetDelete => $f::<kafka::OffsetDeleteRequest>($($argument),*),
            ApiKey::DescribeCluster => $f::<kafka::DescribeClusterRequest>($($argument),*),
            ApiKey::DescribeProducers => $f::<kafka::DescribeProducersRequest>($($argument),*),
            ApiKey::DescribeTopicPartitions => $f::<kafka::DescribeTopicPartitionsRequest>($($argument),*),
            ApiKey::AlterReplicaLogDirs => $f::<kafka::AlterReplicaLogDirsRequest>($($argument),*),
            ApiKey::ElectLeaders => $f::<kafka::ElectLeadersRequest>($($argument),*),
            ApiKey::AlterPartitionReassignments => $f::<kafka::AlterPartitionReassignmentsRequest>($($argument),*),
            ApiKey::ListPartitionReassignments => $f::<kafka::ListPartitionReassignmentsRequest>($($argument),*),
            ApiKey::DescribeClientQuotas => $f::<kafka::DescribeClientQuotasRequest>($($argument),*),
            ApiKey::AlterClientQuotas => $f::<kafka::AlterClientQuotasRequest>($($argument),*),
            ApiKey::DescribeQuorum => $f::<kafka::DescribeQuorumRequest>($($argument),*),
            ApiKey::UpdateFeatures => $f::<kafka::UpdateFeaturesRequest>($($argument),*),
            ApiKey::UnregisterBroker => $f::<kafka::UnregisterBrokerRequest>($($argument),*),
            ApiKey::AddRaftVoter => $f::<kafka::AddRaftVoterRequest>($($argument),*),
            ApiKey::RemoveRaftVoter => $f::<kafka::RemoveRaftVoterRequest>($($argument),*),
            ApiKey::ListConfigResources => $f::<kafka::ListConfigResourcesRequest>($($argument),*),
        }
    };
}

/// Decodes a body and holds it to the bound; true if it decoded.
fn within_bound(api: &'static Api, version: i16, body: &[u8]) -> bool {
    let header = RequestHeader { api, version, correlation_id: 0, client_id: None };
    let bytes = Bytes::copy_from_slice(body);
    let mut decoded = false;
    let peak = peak_of(|| decoded = with_request!(api.key, decode(&header, bytes)));
    let limit = bound(body.len());
    assert!(peak <= limit, "{} v{version}: {peak} bytes held for a body of {}", api.name, body.len());
    decoded
}

fn pairs() -> impl Iterator<Item = (&'static Api, i16)> {
    APIS.iter().flat_map(|api| (api.min..=api.max).map(move |version| (api, version)))
}

fn default_body<R: Encodable + Default>(version: i16) -> Vec<u8> {
    let mut body = BytesMut::new();
    R::default().encode(&mut body, version).expect("a default request encodes");
    body.to_vec()
}

fn text(text: &'static str) -> StrBytes {
    StrBytes::from_static_str(text)
}

/// A request with something in every list, for the APIs with the deepest bodies; the default request for the others.
fn full_body(api: &Api, version: i16) -> Vec<u8> {
    use kafka::create_topics_request::{CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig};
    use kafka::fetch_request::{FetchPartition, FetchTopic};
    use kafka::join_group_request::JoinGroupRequestProtocol;
    use kafka::produce_request::{PartitionProduceData, TopicProduceData};
    let mut body = BytesMut::new();
    let encoded = match api.key {
        ApiKey::Produce => {
            let data = PartitionProduceData::default().with_records(Some(Bytes::from_static(&[7; 90])));
            let topic = TopicProduceData::default().with_partition_data(vec![data.clone(), data]);
            let request = kafka::ProduceRequest::default().with_topic_data(vec![topic.clone(), topic]);
            request.encode(&mut body, version)
        }
        ApiKey::Fetch => {
            let topic = FetchTopic::default().with_partitions(vec![FetchPartition::default(); 3]);
            kafka::FetchRequest::default().with_topics(vec![topic; 3]).encode(&mut body, version)
        }
        ApiKey::CreateTopics => {
            let config = CreatableTopicConfig::default().with_name(text("retention.ms")).with_value(None);
            let topic = CreatableTopic::default().with_configs(vec![config; 2]).with_assignments(vec![
                CreatableReplicaAssignment::default().with_broker_ids(vec![1.into()]),
            ]);
            kafka::CreateTopicsRequest::default().with_topics(vec![topic; 2]).encode(&mut body, version)
        }
        ApiKey::JoinGroup => {
            let protocol = JoinGroupRequestProtocol::default()
                .with_name(text("range"))
                .with_metadata(Bytes::from_static(&[1, 2, 3]));
            kafka::JoinGroupRequest::default().with_protocols(vec![protocol; 2]).encode(&mut body, version)
        }
        ApiKey::DescribeGroups => {
            let group = kafka::GroupId(text("g"));
            kafka::DescribeGroupsRequest::default().with_groups(vec![group; 3]).encode(&mut body, version)
        }
        // Version 1 has a flag more, before the tags.
        ApiKey::AddRaftVoter if version == 1 => {
            let mut body = default_body::<kafka::AddRaftVoterRequest>(0);
            body.insert(body.len() - 1, 1);
            return body;
        }
        key => return with_request!(key, default_body(request_codec_version(key, version))),
    };
    encoded.expect("fields are those of every version");
    body.to_vec()
}

#[test]
fn the_seeds_themselves_decode() {
    for (api, version) in pairs() {
        assert!(within_bound(api, version, &full_body(api, version)), "{} v{version}", api.name);
    }
}

/// Two billion, 30 000 and 17 000 as plain and as compact counts; the last is just within the guard's allowance.
const COUNTS: [&[u8]; 6] = [
    b"\x7f\xff\xff\xff",
    b"\xff\xff\xff\xff\x0f",
    b"\0\0\x75\x30",
    b"\xb1\xea\x01",
    b"\0\0\x42\x68",
    b"\xe9\x84\x01",
];

#[test]
fn a_count_at_any_place_reserves_no_more_than_the_bound() {
    const BODY: usize = 64 << 10;
    let mut accepted = 0;
    for (api, version) in pairs() {
        for fill in 0..2 {
            for place in 0..32 {
                for count in COUNTS {
                    let mut body = vec![fill; BODY];
                    body[place..place + count.len()].copy_from_slice(count);
                    accepted += usize::from(within_bound(api, version, &body));
                }
            }
        }
    }
    assert!(accepted > 1000, "bodies full of elements are accepted too: {accepted}");
}

#[test]
fn an_unknown_tag_in_every_element_stays_within_the_bound() {
    let topics = |count: u16| {
        let mut body = vec![0; 4 + 1]; // replica id, isolation level
        body.extend([(count + 1) as u8 | 0x80, ((count + 1) >> 7) as u8]);
        // An empty name, no partitions, one unknown tag of no bytes.
        (0..count).for_each(|_| body.extend([1, 1, 1, 99, 0]));
        body.push(0);
        body
    };
    let api = ApiKey::ListOffsets.api();
    assert!(within_bound(api, 6, &topics(1400)), "as many as the allowance has");
    assert!(!within_bound(api, 6, &topics(3000)), "and no more");
}

#[test]
fn a_large_request_is_not_mistaken_for_an_attack() {
    use kafka::fetch_request::{FetchPartition, FetchTopic};
    let topic = FetchTopic::default()
        .with_topic(kafka::TopicName(text("a-topic")))
        .with_partitions(vec![FetchPartition::default(); 10]);
    for version in 4..=12 {
        let request = kafka::FetchRequest::default().with_topics(vec![topic.clone(); 20_000]);
        let mut body = BytesMut::new();
        request.encode(&mut body, version).unwrap();
        assert!(within_bound(ApiKey::Fetch.api(), version, &body), "200 000 partitions, v{version}");
    }
}

/// Bytes as they often stand in bodies: small counts, null marks, and the limits of varints and integers.
fn wire_byte() -> impl Strategy<Value = u8> {
    prop_oneof![8 => 0..3u8, 2 => 3..12u8, 1 => Just(0xff), 1 => Just(0x7f), 1 => Just(0x80), 1 => any::<u8>()]
}

fn any_pair() -> impl Strategy<Value = (&'static Api, i16)> {
    prop::sample::select(pairs().collect::<Vec<_>>())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4096, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn turned_and_cut_bodies_never_panic(
        (api, version) in any_pair(),
        turns in prop::collection::vec((any::<prop::sample::Index>(), wire_byte()), 0..6),
        tail in prop::collection::vec(wire_byte(), 0..8),
        cut in any::<prop::sample::Index>(),
        is_cut in any::<bool>(),
    ) {
        let mut body = full_body(api, version);
        body.extend(tail);
        for (at, byte) in turns {
            if !body.is_empty() {
                let at = at.index(body.len());
                body[at] = byte;
            }
        }
        if is_cut {
            body.truncate(cut.index(body.len() + 1));
        }
        within_bound(api, version, &body);
    }

    #[test]
    fn small_numbers_in_any_order_never_panic(
        (api, version) in any_pair(),
        body in prop::collection::vec(wire_byte(), 0..300),
    ) {
        within_bound(api, version, &body);
    }

    #[test]
    fn the_guard_allocates_nothing(
        (api, version) in any_pair(),
        body in prop::collection::vec(wire_byte(), 0..300),
    ) {
        let peak = peak_of(|| { let _ = guard::check(api, version, &body); });
        prop_assert_eq!(peak, 0);
    }

    #[test]
    fn headers_of_any_bytes_never_panic(
        frame in prop::collection::vec(any::<u8>(), 0..40),
        known in any::<Option<(u8, u8)>>(),
    ) {
        let mut buf = BytesMut::new();
        if let Some((key, version)) = known {
            buf.put_i16(i16::from(key % 80));
            buf.put_i16(i16::from(version % 20));
        }
        buf.extend_from_slice(&frame);
        let _ = decode_header(&mut buf.freeze());
    }
}
