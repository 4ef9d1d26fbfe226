//! What is no request, or not one of ours: the connection closes, or Kafka's own answer comes, and nobody else notices.

use kafka_protocol::messages as kafka;
use kafka_protocol::messages::ApiKey;
use tidemark_tests::client::Client;

use crate::harness::TestBroker;

/// A whole frame of an API and version with a body as given, in a header of version 1.
fn frame(key: i16, version: i16, body: &[u8]) -> Vec<u8> {
    let mut frame = Vec::new();
    frame.extend(key.to_be_bytes());
    frame.extend(version.to_be_bytes());
    frame.extend(77_i32.to_be_bytes());
    frame.extend((-1_i16).to_be_bytes());
    frame.extend(body);
    let mut bytes = u32::try_from(frame.len()).unwrap().to_be_bytes().to_vec();
    bytes.extend(frame);
    bytes
}

fn is_served(client: &mut Client) -> bool {
    let request = kafka::MetadataRequest::default().with_topics(None);
    client.call::<_, kafka::MetadataResponse>(ApiKey::Metadata, 4, &request).is_ok()
}

#[test]
fn what_is_malformed_closes_its_own_connection_only() {
    let broker = TestBroker::start(&[]);
    let mut other = broker.client();
    let cases: [(&str, Vec<u8>); 8] = [
        ("a body that ends early", frame(3, 4, b"\0\0\0\x01\0")),
        ("a count beyond the frame", frame(3, 4, b"\x7f\xff\xff\xff")),
        ("an API that nobody knows", frame(999, 0, b"")),
        ("an API that is not served", frame(4, 5, b"")),
        ("a version that nobody speaks", frame(3, 99, b"\0\0\0\0")),
        ("a header that ends early", b"\0\0\0\x05\0\x03\0\x04\0".to_vec()),
        ("a negative length", b"\xff\xff\xff\xff".to_vec()),
        ("a frame above socket.request.max.bytes", b"\x7f\xff\xff\xff".to_vec()),
    ];
    for (what, bytes) in cases {
        let mut client = broker.client();
        client.send_bytes(&bytes).unwrap();
        assert!(client.is_closed(), "{what}");
        assert!(is_served(&mut other), "after {what}");
    }
}

#[test]
fn socket_request_max_bytes_is_the_largest_frame() {
    let broker = TestBroker::start(&["kafka.socket.request.max.bytes=2000"]);
    let mut client = broker.client();
    client.send_bytes(&2001_u32.to_be_bytes()).unwrap();
    assert!(client.is_closed());
    let mut client = broker.client();
    assert!(is_served(&mut client));
}

#[test]
fn requests_before_a_malformed_one_are_answered() {
    let broker = TestBroker::start(&[]);
    let mut client = broker.client();
    let request = kafka::MetadataRequest::default().with_topics(None);
    for _ in 0..3 {
        client.send(ApiKey::Metadata, 4, &request).unwrap();
    }
    client.send_bytes(&frame(999, 0, b"")).unwrap();
    for _ in 0..3 {
        client.receive::<kafka::MetadataResponse>(4).unwrap();
    }
    assert!(client.is_closed());
}

#[test]
fn an_unknown_version_of_api_versions_is_answered_in_version_0() {
    const UNSUPPORTED_VERSION: i16 = 35;
    let broker = TestBroker::start(&[]);
    let mut client = broker.client();
    client.send_bytes(&frame(ApiKey::ApiVersions as i16, 99, b"what only version 99 knows")).unwrap();
    let answer: kafka::ApiVersionsResponse = client.receive(0).unwrap();
    assert_eq!(answer.error_code, UNSUPPORTED_VERSION);
    let own = answer.api_keys.iter().find(|api| api.api_key == ApiKey::ApiVersions as i16).unwrap();
    assert_eq!((own.min_version, own.max_version), (0, 4));
    assert!(is_served(&mut client), "the client asks again on the same connection");
}

#[test]
fn pipelined_answers_keep_the_order_of_their_requests() {
    let broker = TestBroker::start(&[]);
    let mut client = broker.client_with_topic("t", &[]);
    // The first waits at the end of the log, those behind it are ready at once.
    let part = kafka::fetch_request::FetchPartition::default().with_partition_max_bytes(1000);
    let topic = kafka::fetch_request::FetchTopic::default()
        .with_topic(kafka::TopicName(crate::harness::text("t")))
        .with_partitions(vec![part]);
    let wait = kafka::FetchRequest::default()
        .with_max_wait_ms(300)
        .with_min_bytes(1)
        .with_max_bytes(1000)
        .with_topics(vec![topic]);
    client.send(ApiKey::Fetch, 11, &wait).unwrap();
    client.send(ApiKey::Metadata, 4, &kafka::MetadataRequest::default().with_topics(None)).unwrap();
    client.send(ApiKey::ApiVersions, 0, &kafka::ApiVersionsRequest::default()).unwrap();
    assert_eq!(client.receive::<kafka::FetchResponse>(11).unwrap().error_code, 0);
    assert_eq!(client.receive::<kafka::MetadataResponse>(4).unwrap().topics.len(), 1);
    assert_eq!(client.receive::<kafka::ApiVersionsResponse>(0).unwrap().error_code, 0);
}
