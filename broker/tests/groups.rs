//! A whole broker in this process, asked over TCP in every version of every group API.
//!
//! The coordinator's rules are tested where they are made; here it is the way through wire, handlers, shards and log.

#![allow(clippy::disallowed_methods, reason = "a client in a test owns its socket")]

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::offset_delete_request::{
    OffsetDeleteRequestPartition, OffsetDeleteRequestTopic,
};
use kafka_protocol::messages::offset_fetch_request::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
};
use kafka_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use kafka_protocol::messages::*;
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, StrBytes};
use tidemark_broker::broker::Broker;
use tidemark_broker::clock::Clock;
use tidemark_broker::config::{ListenerConfig, LogFormat, NodeConfig, Roles};
use tidemark_core::metadata::BrokerConfigs;
use tidemark_storage::disk::OsDisk;

async fn start(dir: &Path) -> Broker {
    let kafka = BTreeMap::from([
        ("group.initial.rebalance.delay.ms".to_owned(), "0".to_owned()),
        ("offsets.topic.num.partitions".to_owned(), "5".to_owned()),
    ]);
    let config = NodeConfig {
        node_id: 1,
        data_dir: dir.to_owned(),
        rack: None,
        roles: Roles { broker: true, controller: true },
        cluster_id: None,
        listeners: vec![ListenerConfig {
            name: "PLAINTEXT".to_owned(),
            bind: "127.0.0.1:0".parse().unwrap(),
            advertise: None,
        }],
        admin: None,
        peer: None,
        peer_advertise: None,
        seeds: Vec::new(),
        voters: 1,
        log_format: LogFormat::Text,
        log_filter: "warn".to_owned(),
        request_bytes_max: 64 << 20,
        tail_bytes_max: 16 << 20,
        log_threads: Some(1),
        network_threads: Some(1),
        kafka: BrokerConfigs::parse(&kafka).unwrap(),
    };
    Broker::start(&config, Arc::new(OsDisk), Clock::system()).await.unwrap()
}

/// Runs a client beside the broker.
async fn with_client<T: Send + 'static>(
    broker: &Broker,
    client: impl FnOnce(Client) -> T + Send + 'static,
) -> T {
    let address = broker.addresses().listeners[0].1;
    tokio::task::spawn_blocking(move || client(Client::connect(address))).await.unwrap()
}

struct Client {
    stream: TcpStream,
}

impl Client {
    fn connect(address: SocketAddr) -> Self {
        Client { stream: TcpStream::connect(address).unwrap() }
    }

    fn call<Q, R>(&mut self, key: ApiKey, version: i16, request: Q) -> R
    where
        Q: Encodable + HeaderVersion,
        R: Decodable + HeaderVersion,
    {
        let mut body = BytesMut::new();
        request.encode(&mut body, version).unwrap();
        self.call_raw(key, version, Q::header_version(version), R::header_version(version), &body)
    }

    fn call_raw<R: Decodable>(
        &mut self,
        key: ApiKey,
        version: i16,
        header: i16,
        answer: i16,
        body: &[u8],
    ) -> R {
        let mut frame = BytesMut::new();
        RequestHeader::default()
            .with_request_api_key(key as i16)
            .with_request_api_version(version)
            .with_correlation_id(7)
            .with_client_id(Some(text("tester")))
            .encode(&mut frame, header)
            .unwrap();
        frame.extend_from_slice(body);
        self.stream.write_all(&(frame.len() as u32).to_be_bytes()).unwrap();
        self.stream.write_all(&frame).unwrap();
        let mut len = [0; 4];
        self.stream.read_exact(&mut len).unwrap_or_else(|error| panic!("{key:?} v{version}: {error}"));
        let mut reply = vec![0; u32::from_be_bytes(len) as usize];
        self.stream.read_exact(&mut reply).unwrap();
        let mut reply = Bytes::from(reply);
        assert_eq!(ResponseHeader::decode(&mut reply, answer).unwrap().correlation_id, 7);
        let response = R::decode(&mut reply, version).unwrap();
        assert!(!reply.has_remaining(), "{key:?} v{version}: bytes after the answer");
        response
    }

    fn create_topic(&mut self) {
        let topic =
            CreatableTopic::default().with_name(topic()).with_num_partitions(2).with_replication_factor(1);
        let request = CreateTopicsRequest::default().with_topics(vec![topic]).with_timeout_ms(10_000);
        let response: CreateTopicsResponse = self.call(ApiKey::CreateTopics, 5, request);
        assert_eq!(response.topics[0].error_code, 0);
    }

    fn find_coordinator(&mut self, version: i16, group: &str) {
        let request = if version >= 4 {
            FindCoordinatorRequest::default().with_coordinator_keys(vec![text(group)])
        } else {
            FindCoordinatorRequest::default().with_key(text(group))
        };
        let response: FindCoordinatorResponse = self.call(ApiKey::FindCoordinator, version, request);
        let (error, node) = match response.coordinators.first() {
            Some(found) => (found.error_code, found.node_id),
            None => (response.error_code, response.node_id),
        };
        assert_eq!((error, node.0), (0, 1), "v{version}");
    }

    fn join(&mut self, version: i16, group: &str, member: &str) -> JoinGroupResponse {
        let protocol = JoinGroupRequestProtocol::default()
            .with_name(text("range"))
            .with_metadata(Bytes::from_static(b"meta"));
        let mut request = JoinGroupRequest::default()
            .with_group_id(group_id(group))
            .with_session_timeout_ms(10_000)
            .with_member_id(text(member))
            .with_protocol_type(text("consumer"))
            .with_protocols(vec![protocol]);
        if version >= 1 {
            request.rebalance_timeout_ms = 10_000;
        }
        self.call(ApiKey::JoinGroup, version, request)
    }

    /// Joins as clients of that version do; the member id and generation.
    fn become_member(&mut self, version: i16, group: &str) -> (String, i32) {
        let mut joined = self.join(version, group, "");
        if version >= 4 {
            assert_eq!(joined.error_code, 79, "v{version}");
            let id = joined.member_id.to_string();
            joined = self.join(version, group, &id);
        }
        assert_eq!(joined.error_code, 0, "v{version}");
        assert_eq!(joined.protocol_name.as_deref(), Some("range"));
        assert_eq!(joined.members[0].metadata, Bytes::from_static(b"meta"));
        (joined.member_id.to_string(), joined.generation_id)
    }

    fn sync(&mut self, version: i16, group: &str, member: &str, generation: i32) {
        let assignment = SyncGroupRequestAssignment::default()
            .with_member_id(text(member))
            .with_assignment(Bytes::from_static(b"plan"));
        let mut request = SyncGroupRequest::default()
            .with_group_id(group_id(group))
            .with_generation_id(generation)
            .with_member_id(text(member))
            .with_assignments(vec![assignment]);
        if version >= 5 {
            request.protocol_type = Some(text("consumer"));
            request.protocol_name = Some(text("range"));
        }
        let response: SyncGroupResponse = self.call(ApiKey::SyncGroup, version, request);
        assert_eq!((response.error_code, &response.assignment[..]), (0, &b"plan"[..]), "v{version}");
    }

    fn commit(&mut self, version: i16, group: &str, member: &str, generation: i32, offset: i64) -> i16 {
        let partition = OffsetCommitRequestPartition::default()
            .with_partition_index(0)
            .with_committed_offset(offset)
            .with_committed_metadata(Some(text("note")));
        let unknown =
            OffsetCommitRequestPartition::default().with_partition_index(9).with_committed_offset(1);
        let named =
            OffsetCommitRequestTopic::default().with_name(topic()).with_partitions(vec![unknown, partition]);
        let request = OffsetCommitRequest::default()
            .with_group_id(group_id(group))
            .with_generation_id_or_member_epoch(generation)
            .with_member_id(text(member))
            .with_topics(vec![named]);
        let response: OffsetCommitResponse = self.call(ApiKey::OffsetCommit, version, request);
        assert_eq!(response.topics[0].partitions[0].error_code, 3, "v{version}: no such partition");
        response.topics[0].partitions[1].error_code
    }

    fn fetch(&mut self, version: i16, group: &str) -> i64 {
        if version >= 8 {
            let asked =
                OffsetFetchRequestTopics::default().with_name(topic()).with_partition_indexes(vec![0]);
            let one = OffsetFetchRequestGroup::default()
                .with_group_id(group_id(group))
                .with_topics(Some(vec![asked]));
            let all = OffsetFetchRequestGroup::default().with_group_id(group_id(group)).with_topics(None);
            let request = OffsetFetchRequest::default().with_groups(vec![one, all]);
            let response: OffsetFetchResponse = self.call(ApiKey::OffsetFetch, version, request);
            let offsets: Vec<i64> = response
                .groups
                .iter()
                .map(|group| group.topics.first().map_or(-1, |topic| topic.partitions[0].committed_offset))
                .collect();
            assert_eq!(offsets[0], offsets[1], "v{version}: one and all agree");
            return offsets[0];
        }
        let asked = OffsetFetchRequestTopic::default().with_name(topic()).with_partition_indexes(vec![0]);
        let request =
            OffsetFetchRequest::default().with_group_id(group_id(group)).with_topics(Some(vec![asked]));
        let response: OffsetFetchResponse = self.call(ApiKey::OffsetFetch, version, request);
        assert_eq!(response.error_code, 0);
        response.topics[0].partitions[0].committed_offset
    }

    fn leave(&mut self, version: i16, group: &str, member: &str) {
        let mut request = LeaveGroupRequest::default().with_group_id(group_id(group));
        if version >= 3 {
            request.members = vec![MemberIdentity::default().with_member_id(text(member))];
        } else {
            request.member_id = text(member);
        }
        let response: LeaveGroupResponse = self.call(ApiKey::LeaveGroup, version, request);
        let own = response.members.first().map_or(0, |member| member.error_code);
        assert_eq!((response.error_code, own), (0, 0), "v{version}");
    }

    fn describe(&mut self, version: i16, group: &str) -> (i16, String, usize) {
        let request = DescribeGroupsRequest::default()
            .with_groups(vec![group_id(group)])
            .with_include_authorized_operations(version >= 3);
        let mut response: DescribeGroupsResponse = self.call(ApiKey::DescribeGroups, version, request);
        let group = response.groups.remove(0);
        (group.error_code, group.group_state.to_string(), group.members.len())
    }

    fn list(&mut self, version: i16) -> Vec<String> {
        let response: ListGroupsResponse =
            self.call(ApiKey::ListGroups, version, ListGroupsRequest::default());
        assert_eq!(response.error_code, 0);
        response.groups.iter().map(|group| group.group_id.to_string()).collect()
    }

    fn delete(&mut self, version: i16, group: &str) -> i16 {
        let request = DeleteGroupsRequest::default().with_groups_names(vec![group_id(group)]);
        let response: DeleteGroupsResponse = self.call(ApiKey::DeleteGroups, version, request);
        response.results[0].error_code
    }
}

fn text(value: &str) -> StrBytes {
    StrBytes::from_string(value.to_owned())
}

fn group_id(value: &str) -> GroupId {
    GroupId(text(value))
}

fn topic() -> TopicName {
    TopicName(text("t"))
}

/// The life of a group, with each API in the newest of its versions that is not above `version`.
fn life(client: &mut Client, version: i16) {
    let group = format!("group-{version}");
    let at = |max: i16| version.min(max);
    client.find_coordinator(at(6), &group);
    let (member, generation) = client.become_member(at(9), &group);
    client.sync(at(5), &group, &member, generation);
    let heartbeat = HeartbeatRequest::default()
        .with_group_id(group_id(&group))
        .with_generation_id(generation)
        .with_member_id(text(&member));
    let response: HeartbeatResponse = client.call(ApiKey::Heartbeat, at(4), heartbeat);
    assert_eq!(response.error_code, 0);
    assert_eq!(client.commit(version.clamp(2, 9), &group, &member, generation, 40 + i64::from(version)), 0);
    assert_eq!(client.fetch(version.clamp(1, 9), &group), 40 + i64::from(version));
    assert_eq!(client.describe(at(6), &group), (0, "Stable".to_owned(), 1));
    assert!(client.list(at(5)).contains(&group));
    assert_eq!(client.delete(at(2), &group), 68, "it has a member");
    client.leave(at(5), &group, &member);
    assert_eq!(client.describe(at(6), &group), (0, "Empty".to_owned(), 0));
    let partition = OffsetDeleteRequestPartition::default().with_partition_index(0);
    let named = OffsetDeleteRequestTopic::default().with_name(topic()).with_partitions(vec![partition]);
    let request = OffsetDeleteRequest::default().with_group_id(group_id(&group)).with_topics(vec![named]);
    let response: OffsetDeleteResponse = client.call(ApiKey::OffsetDelete, 0, request);
    assert_eq!((response.error_code, response.topics[0].partitions[0].error_code), (0, 0));
    assert_eq!(client.fetch(version.clamp(1, 9), &group), -1);
    assert_eq!(client.delete(at(2), &group), 0);
    let gone = if version >= 6 { 69 } else { 0 };
    assert_eq!(client.describe(at(6), &group), (gone, "Dead".to_owned(), 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_lives_in_every_version_of_its_apis() {
    let dir = tempfile::tempdir().unwrap();
    let broker = start(dir.path()).await;
    with_client(&broker, |mut client| {
        client.create_topic();
        (0..=9).for_each(|version| life(&mut client, version));
    })
    .await;
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn offsets_and_members_survive_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let broker = start(dir.path()).await;
    let (member, generation) = with_client(&broker, |mut client| {
        client.create_topic();
        client.find_coordinator(6, "g");
        let (member, generation) = client.become_member(9, "g");
        client.sync(5, "g", &member, generation);
        assert_eq!(client.commit(9, "g", &member, generation, 123), 0);
        (member, generation)
    })
    .await;
    broker.stop().await;
    let broker = start(dir.path()).await;
    with_client(&broker, move |mut client| {
        assert_eq!(client.fetch(9, "g"), 123);
        assert_eq!(client.describe(6, "g"), (0, "Stable".to_owned(), 1));
        assert_eq!(
            client.commit(9, "g", &member, generation, 124),
            0,
            "the member goes on as if nothing had been"
        );
    })
    .await;
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn version_ten_names_topics_by_id() {
    let dir = tempfile::tempdir().unwrap();
    let broker = start(dir.path()).await;
    with_client(&broker, |mut client| {
        client.create_topic();
        client.find_coordinator(6, "g");
        let metadata: MetadataResponse =
            client.call(ApiKey::Metadata, 12, MetadataRequest::default().with_topics(None));
        let id = metadata.topics.iter().find(|topic| topic.name == Some(self::topic())).unwrap().topic_id;
        let mut body = BytesMut::new();
        body.put_slice(b"\x02g\xff\xff\xff\xff\x01\x00\x03"); // group, generation, member, instance, two topics
        for named in [id.as_bytes(), &[9; 16]] {
            body.put_slice(named);
            body.put_slice(b"\x02\0\0\0\0\0\0\0\0\0\0\0\x07\xff\xff\xff\xff\x01\x00\x00"); // partition 0 at 7
        }
        body.put_u8(0);
        let response: OffsetCommitResponse = client.call_raw(ApiKey::OffsetCommit, 10, 2, 1, &body);
        let told: Vec<_> =
            response.topics.iter().map(|topic| (topic.topic_id, topic.partitions[0].error_code)).collect();
        assert_eq!(told[0], (id, 0));
        assert_eq!(told[1].1, 100);
        let mut body = BytesMut::new();
        body.put_slice(b"\x02\x02g\x00\xff\xff\xff\xff\x03"); // one group, member, epoch, two topics
        for named in [id.as_bytes(), &[9; 16]] {
            body.put_slice(named);
            body.put_slice(b"\x02\0\0\0\0\x00");
        }
        body.put_slice(b"\x00\x00\x00");
        let response: OffsetFetchResponse = client.call_raw(ApiKey::OffsetFetch, 10, 2, 1, &body);
        let topics = &response.groups[0].topics;
        assert_eq!((topics[0].topic_id, topics[0].partitions[0].committed_offset), (id, 7));
        assert_eq!((topics[1].partitions[0].committed_offset, topics[1].partitions[0].error_code), (-1, 100));
    })
    .await;
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_does_not_wait_for_a_join_that_waits() {
    let dir = tempfile::tempdir().unwrap();
    let broker = start(dir.path()).await;
    let address = broker.addresses().listeners[0].1;
    with_client(&broker, |mut client| {
        client.create_topic();
        client.find_coordinator(3, "g");
        client.become_member(3, "g");
    })
    .await;
    // The first member never rejoins, so this join waits for its rebalance timeout.
    let waiting = tokio::task::spawn_blocking(move || {
        let mut client = Client::connect(address);
        client.join(3, "g", "").error_code
    });
    let mut client = Client::connect(address);
    let client = tokio::task::spawn_blocking(move || {
        while client.describe(5, "g").1 != "PreparingRebalance" {
            std::thread::yield_now();
        }
        client
    });
    drop(client.await.unwrap());
    tokio::time::timeout(std::time::Duration::from_secs(4), broker.stop()).await.expect("a stop is quick");
    assert_eq!(waiting.await.unwrap(), 16, "the member looks for another coordinator");
}
