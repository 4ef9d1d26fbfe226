use bytes::Buf;
use kafka_protocol::messages::fetch_response::{
    AbortedTransaction, EpochEndOffset, FetchableTopicResponse, LeaderIdAndEpoch, PartitionData,
};
use kafka_protocol::messages::{self, FetchResponse, TopicName};
use kafka_protocol::protocol::{Decodable, HeaderVersion, StrBytes};
use uuid::Uuid;

use super::*;
use crate::response::encode_response;

const ID: TopicId = TopicId(Uuid::from_u128(0x0102_0304_0506_0708_090a_0b0c_0d0e_0f10));

fn versions() -> std::ops::RangeInclusive<i16> {
    ApiKey::Fetch.api().min..=ApiKey::Fetch.api().max
}

/// One frame of the parts, records where they belong.
fn joined(parts: Vec<Part<Bytes>>) -> Bytes {
    let mut frame = BytesMut::new();
    for part in parts {
        let (Part::Skeleton(bytes) | Part::Records(bytes)) = part;
        frame.put_slice(&bytes);
    }
    frame.freeze()
}

fn head(index: PartitionIndex) -> FetchPartitionHead<'static> {
    FetchPartitionHead {
        index,
        error: ErrorCode::None,
        high_watermark: 100,
        last_stable_offset: 90,
        log_start_offset: 10,
        aborted: None,
        preferred_read_replica: -1,
        diverging: None,
        current_leader: None,
    }
}

fn pieces(texts: &[&'static str]) -> (Vec<Bytes>, usize) {
    let len = texts.iter().map(|text| text.len()).sum();
    (texts.iter().map(|text| Bytes::from_static(text.as_bytes())).collect(), len)
}

/// A response that uses everything a version has.
fn ours(version: i16) -> Vec<Part<Bytes>> {
    let mut encoder = FetchResponseEncoder::new(version, 9, 3, ErrorCode::None, 55, 3);
    encoder.topic("first", ID, 2);
    let (records, len) = pieces(&["one", "two"]);
    encoder.partition(&FetchPartitionHead { aborted: Some(&[(7, 20), (8, 30)]), ..head(0) }, records, len);
    let refused = FetchPartitionHead {
        error: ErrorCode::NotLeaderOrFollower,
        high_watermark: -1,
        last_stable_offset: -1,
        log_start_offset: -1,
        diverging: Some((4, 44)),
        current_leader: Some((2, 6)),
        ..head(1)
    };
    encoder.partition(&refused, Vec::new(), 0);
    encoder.topic("none", ID, 0);
    encoder.topic("last", ID, 1);
    let (records, len) = pieces(&["three"]);
    let elsewhere = FetchPartitionHead { aborted: Some(&[]), preferred_read_replica: 3, ..head(5) };
    encoder.partition(&elsewhere, records, len);
    encoder.finish(&[
        NodeEndpoint { node_id: 2, host: "h2".into(), port: 9092, rack: None },
        NodeEndpoint { node_id: 3, host: "h3".into(), port: 9093, rack: Some("r".into()) },
    ])
}

/// The same response in the crate's words, with what the version leaves out left at its default.
fn theirs(version: i16) -> FetchResponse {
    let since = |first, value: i64, default: i64| if version >= first { value } else { default };
    let topic = |name: &'static str, partitions| {
        let topic = FetchableTopicResponse::default().with_partitions(partitions);
        match version {
            13.. => topic.with_topic_id(ID.0),
            _ => topic.with_topic(TopicName(StrBytes::from_static_str(name))),
        }
    };
    let partition = |index, hw, lso, start| {
        PartitionData::default()
            .with_partition_index(index)
            .with_high_watermark(hw)
            .with_last_stable_offset(lso)
            .with_log_start_offset(since(5, start, -1))
            .with_aborted_transactions(None)
            .with_records(Some(Bytes::new()))
    };
    let aborted =
        |pid: i64, first| AbortedTransaction::default().with_producer_id(pid.into()).with_first_offset(first);
    let served = partition(0, 100, 90, 10)
        .with_aborted_transactions(Some(vec![aborted(7, 20), aborted(8, 30)]))
        .with_records(Some(Bytes::from_static(b"onetwo")));
    let mut refused = partition(1, -1, -1, -1).with_error_code(6);
    if version >= 12 {
        refused = refused
            .with_diverging_epoch(EpochEndOffset::default().with_epoch(4).with_end_offset(44))
            .with_current_leader(LeaderIdAndEpoch::default().with_leader_id(2.into()).with_leader_epoch(6));
    }
    let elsewhere = partition(5, 100, 90, 10)
        .with_aborted_transactions(Some(Vec::new()))
        .with_preferred_read_replica((since(11, 3, -1) as i32).into())
        .with_records(Some(Bytes::from_static(b"three")));
    let endpoint = |id: i32, host: &'static str, port, rack: Option<&'static str>| {
        messages::fetch_response::NodeEndpoint::default()
            .with_node_id(id.into())
            .with_host(StrBytes::from_static_str(host))
            .with_port(port)
            .with_rack(rack.map(StrBytes::from_static_str))
    };
    let response = FetchResponse::default()
        .with_throttle_time_ms(3)
        .with_session_id(since(7, 55, 0) as i32)
        .with_responses(vec![
            topic("first", vec![served, refused]),
            topic("none", Vec::new()),
            topic("last", vec![elsewhere]),
        ]);
    match version {
        16.. => response
            .with_node_endpoints(vec![endpoint(2, "h2", 9092, None), endpoint(3, "h3", 9093, Some("r"))]),
        _ => response,
    }
}

#[test]
fn clients_read_what_was_meant_in_every_version() {
    for version in versions() {
        let mut frame = joined(ours(version));
        assert_eq!(frame.get_i32() as usize, frame.len(), "length prefix of v{version}");
        let header =
            messages::ResponseHeader::decode(&mut frame, FetchResponse::header_version(version)).unwrap();
        assert_eq!(header.correlation_id, 9);
        assert_eq!(FetchResponse::decode(&mut frame, version).unwrap(), theirs(version), "v{version}");
        assert!(frame.is_empty(), "v{version}");
    }
}

#[test]
fn bytes_equal_those_of_an_encoder_that_copies() {
    for version in versions() {
        let copied = encode_response(ApiKey::Fetch, version, 9, &theirs(version)).unwrap();
        assert_eq!(joined(ours(version)), copied, "v{version}");
    }
}

#[test]
fn records_stay_the_pieces_they_were() {
    for version in versions() {
        let parts = ours(version);
        let shape: Vec<_> = parts
            .iter()
            .map(|part| match part {
                Part::Skeleton(_) => "skeleton".to_owned(),
                Part::Records(bytes) => String::from_utf8(bytes.to_vec()).unwrap(),
            })
            .collect();
        assert_eq!(shape[..5], ["skeleton", "one", "two", "skeleton", "three"], "v{version}");
        let tail = if version >= 12 { 6 } else { 5 };
        assert_eq!(shape.len(), tail, "before v12 nothing follows the last records");
    }
}

#[test]
fn a_session_error_goes_out_with_empty_topics_from_v7() {
    for version in versions() {
        let encoder =
            FetchResponseEncoder::<Bytes>::new(version, 1, 0, ErrorCode::FetchSessionIdNotFound, 0, 0);
        let mut frame = joined(encoder.finish(&[]));
        frame.advance(if version >= 12 { 9 } else { 8 });
        let response = FetchResponse::decode(&mut frame, version).unwrap();
        assert_eq!(response.error_code, if version >= 7 { 70 } else { 0 });
        assert!(response.responses.is_empty() && frame.is_empty());
    }
}

#[test]
fn empty_records_are_empty_and_never_null() {
    for version in versions() {
        let mut encoder = FetchResponseEncoder::<Bytes>::new(version, 1, 0, ErrorCode::None, 0, 1);
        encoder.topic("t", ID, 1);
        encoder.partition(&head(0), Vec::new(), 0);
        let parts = encoder.finish(&[]);
        assert_eq!(parts.len(), 1, "one skeleton and nothing else");
        let mut frame = joined(parts);
        frame.advance(if version >= 12 { 9 } else { 8 });
        let response = FetchResponse::decode(&mut frame, version).unwrap();
        let partition = &response.responses[0].partitions[0];
        assert_eq!(partition.records, Some(Bytes::new()), "v{version}");
        assert_eq!(partition.aborted_transactions, None, "v{version}");
    }
}

#[test]
fn long_records_and_long_endpoints_have_long_varints() {
    let records = Bytes::from(vec![b'r'; 70_000]);
    let mut encoder = FetchResponseEncoder::new(17, 1, 0, ErrorCode::None, 0, 1);
    encoder.topic("", ID, 1);
    encoder.partition(&head(0), vec![records.clone()], records.len());
    let host = "h".repeat(300);
    let mut frame = joined(encoder.finish(&[NodeEndpoint { node_id: 1, host, port: 1, rack: None }]));
    frame.advance(9);
    let response = FetchResponse::decode(&mut frame, 17).unwrap();
    assert_eq!(response.responses[0].partitions[0].records, Some(records));
    assert_eq!(response.node_endpoints[0].host.len(), 300);
}

#[test]
#[should_panic(expected = "every announced partition is written")]
fn a_missing_partition_is_a_bug_of_the_caller() {
    let mut encoder = FetchResponseEncoder::<Bytes>::new(17, 1, 0, ErrorCode::None, 0, 1);
    encoder.topic("t", ID, 1);
    let _ = encoder.finish(&[]);
}
