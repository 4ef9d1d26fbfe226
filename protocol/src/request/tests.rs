use bytes::{BufMut, BytesMut};
use kafka_protocol::messages::{self, ApiVersionsRequest, MetadataRequest, ProduceRequest};
use kafka_protocol::protocol::{Encodable, Request};

use super::*;
use crate::api::{APIS, ApiKey};

/// A request frame without its length, as a client of the crate writes it.
fn frame<R: Request>(version: i16, client_id: Option<&'static str>, body: &R) -> Bytes {
    let header = messages::RequestHeader::default()
        .with_request_api_key(R::KEY)
        .with_request_api_version(version)
        .with_correlation_id(77)
        .with_client_id(client_id.map(StrBytes::from_static_str));
    let mut buf = BytesMut::new();
    header.encode(&mut buf, R::header_version(version)).unwrap();
    body.encode(&mut buf, version).unwrap();
    buf.freeze()
}

/// The fixed part of a header.
fn head(key: i16, version: i16) -> BytesMut {
    let mut buf = BytesMut::new();
    buf.put_i16(key);
    buf.put_i16(version);
    buf.put_i32(5);
    buf
}

#[test]
fn headers_of_both_versions_are_read_and_leave_the_body() {
    for version in [8, 9] {
        let request = MetadataRequest::default().with_topics(None);
        let mut frame = frame(version, Some("me"), &request);
        let header = decode_header(&mut frame).unwrap();
        assert_eq!((header.api.key, header.version, header.correlation_id), (ApiKey::Metadata, version, 77));
        assert_eq!(header.client_id.as_deref(), Some("me"));
        assert_eq!(decode_body::<MetadataRequest>(&header, frame).unwrap(), request);
    }
}

#[test]
fn a_null_client_id_differs_from_an_empty_one() {
    let mut null = frame(0, None, &ApiVersionsRequest::default());
    assert_eq!(decode_header(&mut null).unwrap().client_id, None);
    let mut empty = frame(0, Some(""), &ApiVersionsRequest::default());
    assert_eq!(decode_header(&mut empty).unwrap().client_id.as_deref(), Some(""));
}

#[test]
fn an_unsupported_version_is_told_with_its_correlation_id_before_anything_else_is_read() {
    let error = decode_header(&mut head(18, 99).freeze()).unwrap_err();
    let HeaderError::UnsupportedVersion { api, version, correlation_id } = error else { panic!("{error}") };
    assert_eq!(api.key, ApiKey::ApiVersions, "answered in the v0 schema (KIP-511)");
    assert_eq!((version, correlation_id), (99, 5));

    let error = decode_header(&mut head(0, 2).freeze()).unwrap_err();
    let HeaderError::UnsupportedVersion { api, .. } = error else { panic!("{error}") };
    assert_eq!(api.key, ApiKey::Produce, "v2 is advertised but ends the connection");
}

#[test]
fn an_unknown_key_is_told() {
    assert_eq!(decode_header(&mut head(4, 0).freeze()), Err(HeaderError::UnknownApi { key: 4 }));
    assert_eq!(decode_header(&mut head(-1, 0).freeze()), Err(HeaderError::UnknownApi { key: -1 }));
}

#[test]
fn short_frames_never_panic() {
    for fill in [0, 1, 0x12, 0x7f, 0xff] {
        for len in 0..16 {
            let error = decode_header(&mut Bytes::from(vec![fill; len]));
            if len < FIXED_HEADER {
                assert_eq!(error, Err(HeaderError::Short));
            }
        }
    }
    for api in APIS {
        for version in api.min..=api.max {
            for tail in
                [&b""[..], b"\0", b"\0\x01", b"\xff\xfe", b"\x7f\xff", b"\0\0", b"\xff\xff\xff\xff\xff"]
            {
                let mut frame = head(api.key as i16, version);
                frame.extend_from_slice(tail);
                let _ = decode_header(&mut frame.freeze());
            }
        }
    }
}

#[test]
fn a_client_id_that_does_not_fit_or_is_no_text_is_malformed() {
    for client_id in [&b""[..], b"\0", b"\0\x01", b"\xff\xfe", b"\0\x01\xff"] {
        let mut frame = head(18, 0);
        frame.extend_from_slice(client_id);
        assert_eq!(decode_header(&mut frame.freeze()), Err(HeaderError::Malformed), "{client_id:?}");
    }
}

#[test]
fn unknown_tags_of_the_header_are_skipped() {
    let mut frame = head(18, 3);
    frame.extend_from_slice(b"\xff\xff\x02\x00\x01z\x63\x00");
    frame.extend_from_slice(b"\x02n\x02v\x00");
    let mut frame = frame.freeze();
    let header = decode_header(&mut frame).unwrap();
    let body: ApiVersionsRequest = decode_body(&header, frame).unwrap();
    assert_eq!(&*body.client_software_name, "n");
}

#[test]
fn bombs_are_refused_by_the_guard_and_bad_text_by_the_decoder() {
    let header =
        |key: ApiKey, version| RequestHeader { api: key.api(), version, correlation_id: 0, client_id: None };
    let bomb = Bytes::from_static(b"\x7f\xff\xff\xff");
    let error = decode_body::<MetadataRequest>(&header(ApiKey::Metadata, 1), bomb).unwrap_err();
    assert!(matches!(error, DecodeError::Refused { .. }), "{error}");
    let not_text = Bytes::from_static(b"\0\0\0\x01\0\x01\xff");
    let error = decode_body::<MetadataRequest>(&header(ApiKey::Metadata, 1), not_text).unwrap_err();
    assert!(matches!(error, DecodeError::Malformed { .. }), "{error}");
}

#[test]
fn records_of_a_produce_request_are_slices_of_the_frame() {
    use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
    let records = Bytes::from_static(b"as if they were records");
    let partition = PartitionProduceData::default().with_records(Some(records));
    let topic = TopicProduceData::default()
        .with_name(messages::TopicName(StrBytes::from_static_str("t")))
        .with_partition_data(vec![partition]);
    let mut frame = frame(9, None, &ProduceRequest::default().with_topic_data(vec![topic]));
    let whole = frame.clone();
    let header = decode_header(&mut frame).unwrap();
    let request: ProduceRequest = decode_body(&header, frame).unwrap();
    let records = request.topic_data[0].partition_data[0].records.as_ref().unwrap();
    assert!(whole.as_ptr_range().contains(&records.as_ptr()));
}
