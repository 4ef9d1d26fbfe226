//! What clients ask of a group coordinator and what it answers, free of wire versions.
//!
//! Handlers translate; the few flags here (`member_id_required`, `supports_skip_assignment`, …) are all the machine needs
//! to know of a client's version. Wherever an answer depends on a version alone, the handler decides.

use std::sync::Arc;

use bytes::Bytes;
use tidemark_protocol::error_code::ErrorCode;
use tidemark_protocol::types::{LeaderEpoch, Offset, PartitionIndex, TimestampMs, TopicId};

use super::settings::GroupSettings;

/// A request to the coordinator of one shard.
#[derive(Clone, Debug)]
pub enum GroupRequest {
    /// JoinGroup.
    Join(JoinRequest),
    /// SyncGroup.
    Sync(SyncRequest),
    /// Heartbeat.
    Heartbeat(HeartbeatRequest),
    /// LeaveGroup, one member or several.
    Leave(LeaveRequest),
    /// OffsetCommit, for the partitions the handler found to exist.
    OffsetCommit(OffsetCommitRequest),
    /// OffsetFetch of one group.
    OffsetFetch(OffsetFetchRequest),
    /// OffsetDelete, for the partitions the handler found to exist.
    OffsetDelete(OffsetDeleteRequest),
    /// DescribeGroups of one group.
    Describe {
        /// The group.
        group_id: String,
    },
    /// ListGroups of this shard.
    List(ListRequest),
    /// DeleteGroups of one group.
    Delete {
        /// The group.
        group_id: String,
    },
    /// Topics are gone: their offsets go too. Answered by [`GroupReply::Done`] once that is committed.
    TopicsDeleted {
        /// Names and identities of the deleted topics: a new topic may have the name already.
        topics: Vec<(Arc<str>, TopicId)>,
    },
    /// The operator changed settings. Answered by [`GroupReply::Done`].
    Reconfigure(Arc<GroupSettings>),
}

/// An answer to the [`GroupRequest`] of the same name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GroupReply {
    /// To a join.
    Join(JoinReply),
    /// To a sync.
    Sync(SyncReply),
    /// To a heartbeat.
    Heartbeat(ErrorCode),
    /// To a leave.
    Leave(LeaveReply),
    /// To an offset commit.
    OffsetCommit(OffsetCommitReply),
    /// To an offset fetch.
    OffsetFetch(OffsetFetchReply),
    /// To an offset delete.
    OffsetDelete(OffsetDeleteReply),
    /// To a describe.
    Describe(DescribeReply),
    /// To a list.
    List(Vec<GroupListing>),
    /// To a delete of a group.
    Delete(ErrorCode),
    /// To news from the broker itself.
    Done(ErrorCode),
}

/// A member wants to be in the next generation.
#[derive(Clone, Debug)]
pub struct JoinRequest {
    /// The group.
    pub group_id: String,
    /// Empty on the first join.
    pub member_id: String,
    /// Makes the member static (KIP-345).
    pub group_instance_id: Option<String>,
    /// From the request's header.
    pub client_id: String,
    /// The peer's address as Kafka prints it: `/127.0.0.1`.
    pub client_host: String,
    /// Silence after which the member is gone.
    pub session_timeout_ms: i32,
    /// How long a rebalance waits for this member; v0 clients mean their session timeout.
    pub rebalance_timeout_ms: i32,
    /// "consumer", "connect", "sr", …
    pub protocol_type: String,
    /// Protocols the member can speak, best first, with its metadata for each.
    pub protocols: Vec<(String, Bytes)>,
    /// v4+: a dynamic member without an id gets one and must come back with it (KIP-394).
    pub member_id_required: bool,
    /// v9+: the leader can be told not to assign (KIP-814).
    pub supports_skip_assignment: bool,
    /// Randomness for a new member id, from the shell; used if the member needs one.
    pub uuid: u128,
}

/// What a joining member is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinReply {
    /// What went wrong, or `None`.
    pub error: ErrorCode,
    /// The new generation; −1 on errors.
    pub generation_id: i32,
    /// The group's protocol type.
    pub protocol_type: Option<String>,
    /// The protocol chosen by vote.
    pub protocol_name: Option<String>,
    /// Member id of the leader; empty on errors.
    pub leader: String,
    /// The leader keeps the assignment as it is (KIP-814).
    pub skip_assignment: bool,
    /// The id of the member that asked.
    pub member_id: String,
    /// All members, for the leader alone.
    pub members: Vec<JoinMember>,
}

impl JoinReply {
    /// An answer that carries only an error and the member's id.
    pub fn failed(error: ErrorCode, member_id: impl Into<String>) -> Self {
        JoinReply {
            error,
            generation_id: -1,
            protocol_type: None,
            protocol_name: None,
            leader: String::new(),
            skip_assignment: false,
            member_id: member_id.into(),
            members: Vec::new(),
        }
    }
}

/// A member as the leader sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinMember {
    /// Id given by the coordinator.
    pub member_id: String,
    /// Instance id of a static member.
    pub group_instance_id: Option<String>,
    /// The member's metadata for the chosen protocol.
    pub metadata: Bytes,
}

/// A member asks for its assignment; the leader brings everybody's.
#[derive(Clone, Debug)]
pub struct SyncRequest {
    /// The group.
    pub group_id: String,
    /// Who asks.
    pub member_id: String,
    /// Instance id of a static member.
    pub group_instance_id: Option<String>,
    /// The generation the member knows.
    pub generation_id: i32,
    /// v5+: what the member believes; checked when present.
    pub protocol_type: Option<String>,
    /// v5+: what the member believes; checked when present.
    pub protocol_name: Option<String>,
    /// Member id to assignment, from the leader.
    pub assignments: Vec<(String, Bytes)>,
}

/// A member's assignment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyncReply {
    /// What went wrong, or `None`.
    pub error: ErrorCode,
    /// The group's protocol type.
    pub protocol_type: Option<String>,
    /// The group's protocol.
    pub protocol_name: Option<String>,
    /// Opaque to the coordinator; empty when the leader gave nothing.
    pub assignment: Bytes,
}

impl SyncReply {
    /// An answer that carries only an error.
    pub fn failed(error: ErrorCode) -> Self {
        SyncReply { error, protocol_type: None, protocol_name: None, assignment: Bytes::new() }
    }
}

/// A member is alive.
#[derive(Clone, Debug)]
pub struct HeartbeatRequest {
    /// The group.
    pub group_id: String,
    /// Who is alive.
    pub member_id: String,
    /// Instance id of a static member.
    pub group_instance_id: Option<String>,
    /// The generation the member knows.
    pub generation_id: i32,
}

/// Members go.
#[derive(Clone, Debug)]
pub struct LeaveRequest {
    /// The group.
    pub group_id: String,
    /// Who goes; v0–2 name exactly one.
    pub members: Vec<MemberIdentity>,
}

/// How a leave request names a member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberIdentity {
    /// May be empty when the instance id is given.
    pub member_id: String,
    /// Instance id of a static member.
    pub group_instance_id: Option<String>,
}

/// What became of the leaving members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaveReply {
    /// An error of the whole request; then `members` is empty.
    pub error: ErrorCode,
    /// In the order of the request.
    pub members: Vec<(MemberIdentity, ErrorCode)>,
}

/// Offsets to keep.
#[derive(Clone, Debug)]
pub struct OffsetCommitRequest {
    /// The group.
    pub group_id: String,
    /// Empty for a consumer outside the group protocol.
    pub member_id: String,
    /// Instance id of a static member.
    pub group_instance_id: Option<String>,
    /// Negative for a consumer outside the group protocol.
    pub generation_id: i32,
    /// v2–4: keep for so long after the commit; `None` means by the broker's rule.
    pub retention_time_ms: Option<i64>,
    /// v9+: a missing group is E69, before it is E22.
    pub group_id_not_found: bool,
    /// What to keep.
    pub topics: Vec<OffsetCommitTopic>,
}

/// Offsets of one topic to keep.
#[derive(Clone, Debug)]
pub struct OffsetCommitTopic {
    /// Name of the topic.
    pub topic: Arc<str>,
    /// Its identity now; zero when unknown.
    pub topic_id: TopicId,
    /// Its partitions.
    pub partitions: Vec<OffsetCommitPartition>,
}

/// Offset of one partition to keep.
#[derive(Clone, Debug)]
pub struct OffsetCommitPartition {
    /// Index of the partition.
    pub partition: PartitionIndex,
    /// The next offset to consume.
    pub offset: Offset,
    /// Epoch of the last consumed record; −1 unknown.
    pub leader_epoch: LeaderEpoch,
    /// The client's own note.
    pub metadata: String,
}

/// What became of each partition of a topic.
pub type PartitionResults = Vec<(PartitionIndex, ErrorCode)>;

/// Per partition, in the order of the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OffsetCommitReply {
    /// Topic and the results of its partitions.
    pub topics: Vec<(Arc<str>, PartitionResults)>,
}

/// Which offsets to read.
#[derive(Clone, Debug)]
pub struct OffsetFetchRequest {
    /// The group.
    pub group_id: String,
    /// v7+: a pending transactional commit is E88 rather than the older offset.
    pub require_stable: bool,
    /// `None` asks for all.
    pub topics: Option<Vec<OffsetFetchTopic>>,
}

/// Which partitions of a topic to read.
#[derive(Clone, Debug)]
pub struct OffsetFetchTopic {
    /// Name of the topic.
    pub topic: Arc<str>,
    /// Offsets committed for another id of the same name are not told; zero asks by name alone.
    pub topic_id: TopicId,
    /// Its partitions.
    pub partitions: Vec<PartitionIndex>,
}

/// The offsets of one group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OffsetFetchReply {
    /// An error of the whole group; then `topics` is empty.
    pub error: ErrorCode,
    /// In the order of the request, or sorted by name when all were asked for.
    pub topics: Vec<FetchedTopic>,
}

/// The offsets of one topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchedTopic {
    /// Name of the topic.
    pub topic: Arc<str>,
    /// Identity it had when the offsets were committed, or as asked; zero when unknown.
    pub topic_id: TopicId,
    /// Its partitions.
    pub partitions: Vec<FetchedOffset>,
}

/// The offset of one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchedOffset {
    /// Index of the partition.
    pub partition: PartitionIndex,
    /// −1 when none is kept.
    pub offset: Offset,
    /// −1 when unknown.
    pub leader_epoch: LeaderEpoch,
    /// The client's own note; empty when none.
    pub metadata: String,
    /// E88 when a transaction has yet to decide.
    pub error: ErrorCode,
}

/// Which offsets to forget.
#[derive(Clone, Debug)]
pub struct OffsetDeleteRequest {
    /// The group.
    pub group_id: String,
    /// Topics and partitions.
    pub topics: Vec<(Arc<str>, Vec<PartitionIndex>)>,
}

/// What became of an offset delete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OffsetDeleteReply {
    /// An error of the whole request; then `topics` is empty.
    pub error: ErrorCode,
    /// In the order of the request.
    pub topics: Vec<(Arc<str>, PartitionResults)>,
}

/// Which groups to list; empty filters let all pass. Compared without case.
#[derive(Clone, Debug, Default)]
pub struct ListRequest {
    /// Names of states: "Stable", "Empty", ….
    pub states: Vec<String>,
    /// Names of group types: "classic".
    pub types: Vec<String>,
}

/// One group in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupListing {
    /// The group.
    pub group_id: String,
    /// Its protocol type; empty when it never had members.
    pub protocol_type: String,
    /// Name of its state.
    pub state: &'static str,
    /// Name of its type.
    pub group_type: &'static str,
}

/// A group and its members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribeReply {
    /// E69 when there is no such group (v6+ says so, before it is state "Dead").
    pub error: ErrorCode,
    /// Name of its state.
    pub state: &'static str,
    /// Its protocol type; empty when it never had members.
    pub protocol_type: String,
    /// The chosen protocol, when Stable.
    pub protocol: String,
    /// Its members, sorted by id.
    pub members: Vec<DescribedMember>,
}

/// A member of a described group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribedMember {
    /// Id given by the coordinator.
    pub member_id: String,
    /// Instance id of a static member.
    pub group_instance_id: Option<String>,
    /// From the request header of its join.
    pub client_id: String,
    /// Where it joined from.
    pub client_host: String,
    /// Its metadata for the chosen protocol, when Stable.
    pub metadata: Bytes,
    /// Its assignment, when Stable.
    pub assignment: Bytes,
}

/// One offset as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommittedOffset {
    /// The next offset to consume.
    pub offset: Offset,
    /// Epoch of the last consumed record; −1 unknown.
    pub leader_epoch: LeaderEpoch,
    /// The client's own note.
    pub metadata: String,
    /// When it was committed.
    pub commit_timestamp: TimestampMs,
    /// Its own end of life, from clients that set a retention; `None` means by the broker's rule.
    pub expire_timestamp: Option<TimestampMs>,
    /// Identity of the topic when it was committed; zero when unknown.
    pub topic_id: TopicId,
}
