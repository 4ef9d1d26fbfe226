//! The schema of every request we serve, as the guard reads it.
//!
//! A row reads `f(from, to, "Name", shape)`: the field is there in versions `from..=to` (`END`: to the newest), lies on
//! the wire as `shape` says, may be null from the version in `.null(version)`, and is a tagged field rather than one in
//! line if it ends in `.tag(number)`. Rows stand in wire order. One list is one structure; it is followed by a
//! section of tagged fields in flexible versions, which no row spells out.

mod admin;
mod cluster;
mod data;
mod group;

use crate::api::ApiKey;

/// One field of a structure.
#[derive(Debug, Clone, Copy)]
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) shape: Shape,
    from: i8,
    to: i8,
    null_from: i8,
    tag: Option<u8>,
}

/// How a value lies on the wire.
#[derive(Debug, Clone, Copy)]
pub(super) enum Shape {
    /// This many bytes.
    Fixed(u8),
    /// A length, then text: 2 bytes of length, or a varint of length plus one.
    Text,
    /// A length, then bytes or records: 4 bytes of length, or a varint of length plus one.
    Blob,
    /// A count, then that many values: 4 bytes of count, or a varint of count plus one.
    List(&'static Shape),
    /// Fields, then tagged fields.
    Struct(&'static [Field]),
    /// A byte, 1 or −1 for null, then the structure.
    Optional(&'static [Field]),
}

/// Up to the newest version.
const END: i8 = i8::MAX;
const NEVER: i8 = i8::MAX;

const I8: Shape = Shape::Fixed(1);
const I16: Shape = Shape::Fixed(2);
const I32: Shape = Shape::Fixed(4);
const I64: Shape = Shape::Fixed(8);
const F64: Shape = Shape::Fixed(8);
const ID: Shape = Shape::Fixed(16);

const fn f(from: i8, to: i8, name: &'static str, shape: Shape) -> Field {
    Field { name, shape, from, to, null_from: NEVER, tag: None }
}

impl Field {
    const fn null(self, from: i8) -> Field {
        Field { null_from: from, ..self }
    }

    const fn tag(self, tag: u8) -> Field {
        Field { tag: Some(tag), ..self }
    }

    fn is_in(&self, version: i8) -> bool {
        self.from <= version && version <= self.to
    }

    /// Whether the field lies in line at this version.
    pub(super) fn is_inline(&self, version: i8) -> bool {
        self.tag.is_none() && self.is_in(version)
    }

    /// Whether the field is the tagged one with this number.
    pub(super) fn is_tagged(&self, tag: u32, version: i8) -> bool {
        self.tag.is_some_and(|own| u32::from(own) == tag) && self.is_in(version)
    }

    pub(super) fn is_nullable(&self, version: i8) -> bool {
        self.null_from <= version
    }
}

/// The fields of the request of this API.
pub(super) fn request(key: ApiKey) -> &'static [Field] {
    match key {
        ApiKey::Produce => data::PRODUCE,
        ApiKey::Fetch => data::FETCH,
        ApiKey::ListOffsets => data::LIST_OFFSETS,
        ApiKey::DeleteRecords => data::DELETE_RECORDS,
        ApiKey::InitProducerId => data::INIT_PRODUCER_ID,
        ApiKey::OffsetForLeaderEpoch => data::OFFSET_FOR_LEADER_EPOCH,
        ApiKey::DescribeProducers => data::DESCRIBE_PRODUCERS,
        ApiKey::OffsetCommit => group::OFFSET_COMMIT,
        ApiKey::OffsetFetch => group::OFFSET_FETCH,
        ApiKey::FindCoordinator => group::FIND_COORDINATOR,
        ApiKey::JoinGroup => group::JOIN_GROUP,
        ApiKey::Heartbeat => group::HEARTBEAT,
        ApiKey::LeaveGroup => group::LEAVE_GROUP,
        ApiKey::SyncGroup => group::SYNC_GROUP,
        ApiKey::DescribeGroups => group::DESCRIBE_GROUPS,
        ApiKey::ListGroups => group::LIST_GROUPS,
        ApiKey::DeleteGroups => group::DELETE_GROUPS,
        ApiKey::OffsetDelete => group::OFFSET_DELETE,
        ApiKey::Metadata => admin::METADATA,
        ApiKey::ApiVersions => admin::API_VERSIONS,
        ApiKey::CreateTopics => admin::CREATE_TOPICS,
        ApiKey::DeleteTopics => admin::DELETE_TOPICS,
        ApiKey::DescribeAcls => admin::DESCRIBE_ACLS,
        ApiKey::CreateAcls => admin::CREATE_ACLS,
        ApiKey::DeleteAcls => admin::DELETE_ACLS,
        ApiKey::DescribeConfigs => admin::DESCRIBE_CONFIGS,
        ApiKey::AlterConfigs => admin::ALTER_CONFIGS,
        ApiKey::DescribeLogDirs => admin::DESCRIBE_LOG_DIRS,
        ApiKey::CreatePartitions => admin::CREATE_PARTITIONS,
        ApiKey::IncrementalAlterConfigs => admin::INCREMENTAL_ALTER_CONFIGS,
        ApiKey::DescribeCluster => admin::DESCRIBE_CLUSTER,
        ApiKey::DescribeTopicPartitions => admin::DESCRIBE_TOPIC_PARTITIONS,
        ApiKey::AlterReplicaLogDirs => cluster::ALTER_REPLICA_LOG_DIRS,
        ApiKey::ElectLeaders => cluster::ELECT_LEADERS,
        ApiKey::AlterPartitionReassignments => cluster::ALTER_PARTITION_REASSIGNMENTS,
        ApiKey::ListPartitionReassignments => cluster::LIST_PARTITION_REASSIGNMENTS,
        ApiKey::DescribeQuorum => cluster::DESCRIBE_QUORUM,
        ApiKey::UpdateFeatures => cluster::UPDATE_FEATURES,
        ApiKey::UnregisterBroker => cluster::UNREGISTER_BROKER,
        ApiKey::AddRaftVoter => cluster::ADD_RAFT_VOTER,
        ApiKey::RemoveRaftVoter => cluster::REMOVE_RAFT_VOTER,
        ApiKey::ListConfigResources => cluster::LIST_CONFIG_RESOURCES,
        ApiKey::DescribeClientQuotas => cluster::DESCRIBE_CLIENT_QUOTAS,
        ApiKey::AlterClientQuotas => cluster::ALTER_CLIENT_QUOTAS,
    }
}
