//! Valid requests of every served API and version: what a mutation starts from.
//!
//! Each request is meaningful on a broker that has the topic [`TOPIC`]; none waits longer than a moment, and those that
//! would create something ask only for validation, so that any number of them leaves the broker as it was.

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::RequestHeader;
use kafka_protocol::protocol::{Encodable, HeaderVersion, StrBytes};
use tidemark_protocol::api::{APIS, Api, ApiKey};
use tidemark_protocol::kafka43::request_codec_version;
use uuid::Uuid;

mod admin;
mod cluster;
mod data;
mod groups;

/// The topic the requests speak of; it has [`PARTITIONS`] partitions.
pub const TOPIC: &str = "mutate";
/// Partitions of [`TOPIC`].
pub const PARTITIONS: i32 = 2;

/// One valid request.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its API.
    pub api: &'static Api,
    /// Its version.
    pub version: i16,
    /// Header and body, without the length prefix.
    pub frame: Vec<u8>,
    /// Where the header ends and the body begins.
    pub body_at: usize,
}

/// Collects the requests of one API and version.
pub(crate) struct Requests {
    api: &'static Api,
    version: i16,
    topic_id: Uuid,
    entries: Vec<Entry>,
}

/// Several valid requests for each served API and version. `topic_id` is the id of [`TOPIC`].
pub fn entries(topic_id: Uuid) -> Vec<Entry> {
    let mut all = Vec::new();
    for api in APIS {
        for version in api.min..=api.max {
            let mut requests = Requests { api, version, topic_id, entries: Vec::new() };
            fill(&mut requests);
            all.append(&mut requests.entries);
        }
    }
    all
}

fn fill(requests: &mut Requests) {
    match requests.api.key {
        ApiKey::Produce => data::produce(requests),
        ApiKey::Fetch => data::fetch(requests),
        ApiKey::ListOffsets => data::list_offsets(requests),
        ApiKey::OffsetForLeaderEpoch => data::offset_for_leader_epoch(requests),
        ApiKey::DeleteRecords => data::delete_records(requests),
        ApiKey::DescribeProducers => data::describe_producers(requests),
        ApiKey::DescribeLogDirs => data::describe_log_dirs(requests),
        ApiKey::InitProducerId => data::init_producer_id(requests),
        ApiKey::OffsetCommit => groups::offset_commit(requests),
        ApiKey::OffsetFetch => groups::offset_fetch(requests),
        ApiKey::OffsetDelete => groups::offset_delete(requests),
        ApiKey::FindCoordinator => groups::find_coordinator(requests),
        ApiKey::JoinGroup => groups::join_group(requests),
        ApiKey::Heartbeat => groups::heartbeat(requests),
        ApiKey::LeaveGroup => groups::leave_group(requests),
        ApiKey::SyncGroup => groups::sync_group(requests),
        ApiKey::DescribeGroups => groups::describe_groups(requests),
        ApiKey::ListGroups => groups::list_groups(requests),
        ApiKey::DeleteGroups => groups::delete_groups(requests),
        ApiKey::ApiVersions => admin::api_versions(requests),
        ApiKey::Metadata => admin::metadata(requests),
        ApiKey::CreateTopics => admin::create_topics(requests),
        ApiKey::DeleteTopics => admin::delete_topics(requests),
        ApiKey::CreatePartitions => admin::create_partitions(requests),
        ApiKey::DescribeConfigs => admin::describe_configs(requests),
        ApiKey::AlterConfigs => admin::alter_configs(requests),
        ApiKey::IncrementalAlterConfigs => admin::incremental_alter_configs(requests),
        ApiKey::DescribeCluster => admin::describe_cluster(requests),
        ApiKey::DescribeTopicPartitions => admin::describe_topic_partitions(requests),
        ApiKey::DescribeAcls => admin::describe_acls(requests),
        ApiKey::CreateAcls => admin::create_acls(requests),
        ApiKey::DeleteAcls => admin::delete_acls(requests),
        ApiKey::AlterReplicaLogDirs => cluster::alter_replica_log_dirs(requests),
        ApiKey::ElectLeaders => cluster::elect_leaders(requests),
        ApiKey::AlterPartitionReassignments => cluster::alter_partition_reassignments(requests),
        ApiKey::ListPartitionReassignments => cluster::list_partition_reassignments(requests),
        ApiKey::DescribeQuorum => cluster::describe_quorum(requests),
        ApiKey::UpdateFeatures => cluster::update_features(requests),
        ApiKey::UnregisterBroker => cluster::unregister_broker(requests),
        ApiKey::AddRaftVoter => cluster::add_raft_voter(requests),
        ApiKey::RemoveRaftVoter => cluster::remove_raft_voter(requests),
        ApiKey::ListConfigResources => cluster::list_config_resources(requests),
        ApiKey::DescribeClientQuotas => cluster::describe_client_quotas(requests),
        ApiKey::AlterClientQuotas => cluster::alter_client_quotas(requests),
    }
}

impl Requests {
    /// Adds one request, encoded in this version.
    fn add<Q: Encodable + HeaderVersion>(&mut self, request: &Q) {
        let name = self.api.name;
        let codec_version = request_codec_version(self.api.key, self.version);
        let header = RequestHeader::default()
            .with_request_api_key(self.api.key as i16)
            .with_request_api_version(self.version)
            .with_correlation_id(7)
            .with_client_id(Some(text("mutate")));
        let mut frame = BytesMut::new();
        let encoded = header.encode(&mut frame, Q::header_version(codec_version)).and_then(|()| {
            let body_at = frame.len();
            request.encode(&mut frame, codec_version).map(|()| body_at)
        });
        let body_at = encoded.unwrap_or_else(|error| panic!("{name} v{}: {error}", self.version));
        let mut frame = frame.to_vec();
        if codec_version != self.version
            && [ApiKey::OffsetCommit, ApiKey::OffsetFetch].contains(&self.api.key)
        {
            frame = named_by_id(&frame, body_at, self.topic_id);
        }
        if (self.api.key, self.version) == (ApiKey::AddRaftVoter, 1) {
            // The flag that version 1 adds stands before the tags, of which there are none.
            frame.insert(frame.len() - 1, 1);
        }
        self.entries.push(Entry { api: self.api, version: self.version, frame, body_at });
    }

    /// Whether this version is `first` or later.
    fn since(&self, first: i16) -> bool {
        self.version >= first
    }
}

/// Version 10 of the offset requests, which the codec cannot write: version 9 with ids where the topic's name was.
fn named_by_id(frame: &[u8], body_at: usize, topic_id: Uuid) -> Vec<u8> {
    let mut name = vec![TOPIC.len() as u8 + 1];
    name.extend_from_slice(TOPIC.as_bytes());
    let (mut named, mut rest) = (frame[..body_at].to_vec(), &frame[body_at..]);
    while let Some((first, tail)) = rest.split_first() {
        match rest.strip_prefix(name.as_slice()) {
            Some(after) => {
                named.extend_from_slice(topic_id.as_bytes());
                rest = after;
            }
            None => {
                named.push(*first);
                rest = tail;
            }
        }
    }
    named
}

fn text(value: &str) -> StrBytes {
    StrBytes::from_string(value.to_owned())
}

fn topic_name(value: &str) -> kafka_protocol::messages::TopicName {
    kafka_protocol::messages::TopicName(text(value))
}

fn group_id(value: &str) -> kafka_protocol::messages::GroupId {
    kafka_protocol::messages::GroupId(text(value))
}

fn opaque(bytes: &'static [u8]) -> Bytes {
    Bytes::from_static(bytes)
}

#[cfg(test)]
mod tests;
