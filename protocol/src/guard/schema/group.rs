//! Schemas of the requests about groups and their offsets.
//!
//! Made from the message table of Kafka 4.3; how a row reads is said in the parent module.

use super::{END, Field, I8, I32, I64, ID, Shape, f};
use Shape::{Blob, List, Struct, Text};

// OffsetCommit 2-10
static OFFSET_COMMIT_TOPICS_PARTITIONS: &[Field] = &[
    f(2, END, "PartitionIndex", I32),
    f(2, END, "CommittedOffset", I64),
    f(6, END, "CommittedLeaderEpoch", I32),
    f(2, END, "CommittedMetadata", Text).null(2),
];
static OFFSET_COMMIT_TOPICS: &[Field] = &[
    f(2, 9, "Name", Text),
    f(10, END, "TopicId", ID),
    f(2, END, "Partitions", List(&Struct(OFFSET_COMMIT_TOPICS_PARTITIONS))),
];
pub(super) static OFFSET_COMMIT: &[Field] = &[
    f(2, END, "GroupId", Text),
    f(2, END, "GenerationIdOrMemberEpoch", I32),
    f(2, END, "MemberId", Text),
    f(7, END, "GroupInstanceId", Text).null(7),
    f(2, 4, "RetentionTimeMs", I64),
    f(2, END, "Topics", List(&Struct(OFFSET_COMMIT_TOPICS))),
];

// OffsetFetch 1-10
static OFFSET_FETCH_GROUPS_TOPICS: &[Field] =
    &[f(8, 9, "Name", Text), f(10, END, "TopicId", ID), f(8, END, "PartitionIndexes", List(&I32))];
static OFFSET_FETCH_TOPICS: &[Field] = &[f(1, 7, "Name", Text), f(1, 7, "PartitionIndexes", List(&I32))];
static OFFSET_FETCH_GROUPS: &[Field] = &[
    f(8, END, "GroupId", Text),
    f(9, END, "MemberId", Text).null(9),
    f(9, END, "MemberEpoch", I32),
    f(8, END, "Topics", List(&Struct(OFFSET_FETCH_GROUPS_TOPICS))).null(8),
];
pub(super) static OFFSET_FETCH: &[Field] = &[
    f(1, 7, "GroupId", Text),
    f(1, 7, "Topics", List(&Struct(OFFSET_FETCH_TOPICS))).null(2),
    f(8, END, "Groups", List(&Struct(OFFSET_FETCH_GROUPS))),
    f(7, END, "RequireStable", I8),
];

// FindCoordinator 0-6
pub(super) static FIND_COORDINATOR: &[Field] =
    &[f(0, 3, "Key", Text), f(1, END, "KeyType", I8), f(4, END, "CoordinatorKeys", List(&Text))];

// JoinGroup 0-9
static JOIN_GROUP_PROTOCOLS: &[Field] = &[f(0, END, "Name", Text), f(0, END, "Metadata", Blob)];
pub(super) static JOIN_GROUP: &[Field] = &[
    f(0, END, "GroupId", Text),
    f(0, END, "SessionTimeoutMs", I32),
    f(1, END, "RebalanceTimeoutMs", I32),
    f(0, END, "MemberId", Text),
    f(5, END, "GroupInstanceId", Text).null(5),
    f(0, END, "ProtocolType", Text),
    f(0, END, "Protocols", List(&Struct(JOIN_GROUP_PROTOCOLS))),
    f(8, END, "Reason", Text).null(8),
];

// Heartbeat 0-4
pub(super) static HEARTBEAT: &[Field] = &[
    f(0, END, "GroupId", Text),
    f(0, END, "GenerationId", I32),
    f(0, END, "MemberId", Text),
    f(3, END, "GroupInstanceId", Text).null(3),
];

// LeaveGroup 0-5
static LEAVE_GROUP_MEMBERS: &[Field] = &[
    f(3, END, "MemberId", Text),
    f(3, END, "GroupInstanceId", Text).null(3),
    f(5, END, "Reason", Text).null(5),
];
pub(super) static LEAVE_GROUP: &[Field] = &[
    f(0, END, "GroupId", Text),
    f(0, 2, "MemberId", Text),
    f(3, END, "Members", List(&Struct(LEAVE_GROUP_MEMBERS))),
];

// SyncGroup 0-5
static SYNC_GROUP_ASSIGNMENTS: &[Field] = &[f(0, END, "MemberId", Text), f(0, END, "Assignment", Blob)];
pub(super) static SYNC_GROUP: &[Field] = &[
    f(0, END, "GroupId", Text),
    f(0, END, "GenerationId", I32),
    f(0, END, "MemberId", Text),
    f(3, END, "GroupInstanceId", Text).null(3),
    f(5, END, "ProtocolType", Text).null(5),
    f(5, END, "ProtocolName", Text).null(5),
    f(0, END, "Assignments", List(&Struct(SYNC_GROUP_ASSIGNMENTS))),
];

// DescribeGroups 0-6
pub(super) static DESCRIBE_GROUPS: &[Field] =
    &[f(0, END, "Groups", List(&Text)), f(3, END, "IncludeAuthorizedOperations", I8)];

// ListGroups 0-5
pub(super) static LIST_GROUPS: &[Field] =
    &[f(4, END, "StatesFilter", List(&Text)), f(5, END, "TypesFilter", List(&Text))];

// DeleteGroups 0-2
pub(super) static DELETE_GROUPS: &[Field] = &[f(0, END, "GroupsNames", List(&Text))];

// OffsetDelete 0-0
static OFFSET_DELETE_TOPICS_PARTITIONS: &[Field] = &[f(0, END, "PartitionIndex", I32)];
static OFFSET_DELETE_TOPICS: &[Field] =
    &[f(0, END, "Name", Text), f(0, END, "Partitions", List(&Struct(OFFSET_DELETE_TOPICS_PARTITIONS)))];
pub(super) static OFFSET_DELETE: &[Field] =
    &[f(0, END, "GroupId", Text), f(0, END, "Topics", List(&Struct(OFFSET_DELETE_TOPICS)))];
