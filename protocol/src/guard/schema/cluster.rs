//! Schemas of the requests about leaders, replicas' places, the quorum, features and quotas.
//!
//! Made from the message table of Kafka 4.3; how a row reads is said in the parent module.

use super::{END, F64, Field, I8, I16, I32, ID, Shape, f};
use Shape::{List, Struct, Text};

// AlterReplicaLogDirs 1-2
static ALTER_REPLICA_LOG_DIRS_DIRS_TOPICS: &[Field] =
    &[f(1, END, "Name", Text), f(1, END, "Partitions", List(&I32))];
static ALTER_REPLICA_LOG_DIRS_DIRS: &[Field] =
    &[f(1, END, "Path", Text), f(1, END, "Topics", List(&Struct(ALTER_REPLICA_LOG_DIRS_DIRS_TOPICS)))];
pub(super) static ALTER_REPLICA_LOG_DIRS: &[Field] =
    &[f(1, END, "Dirs", List(&Struct(ALTER_REPLICA_LOG_DIRS_DIRS)))];

// ElectLeaders 0-2
static ELECT_LEADERS_TOPIC_PARTITIONS: &[Field] =
    &[f(0, END, "Topic", Text), f(0, END, "Partitions", List(&I32))];
pub(super) static ELECT_LEADERS: &[Field] = &[
    f(1, END, "ElectionType", I8),
    f(0, END, "TopicPartitions", List(&Struct(ELECT_LEADERS_TOPIC_PARTITIONS))).null(0),
    f(0, END, "TimeoutMs", I32),
];

// AlterPartitionReassignments 0-1
static ALTER_PARTITION_REASSIGNMENTS_TOPICS_PARTITIONS: &[Field] =
    &[f(0, END, "PartitionIndex", I32), f(0, END, "Replicas", List(&I32)).null(0)];
static ALTER_PARTITION_REASSIGNMENTS_TOPICS: &[Field] = &[
    f(0, END, "Name", Text),
    f(0, END, "Partitions", List(&Struct(ALTER_PARTITION_REASSIGNMENTS_TOPICS_PARTITIONS))),
];
pub(super) static ALTER_PARTITION_REASSIGNMENTS: &[Field] = &[
    f(0, END, "TimeoutMs", I32),
    f(1, END, "AllowReplicationFactorChange", I8),
    f(0, END, "Topics", List(&Struct(ALTER_PARTITION_REASSIGNMENTS_TOPICS))),
];

// ListPartitionReassignments 0
static LIST_PARTITION_REASSIGNMENTS_TOPICS: &[Field] =
    &[f(0, END, "Name", Text), f(0, END, "PartitionIndexes", List(&I32))];
pub(super) static LIST_PARTITION_REASSIGNMENTS: &[Field] = &[
    f(0, END, "TimeoutMs", I32),
    f(0, END, "Topics", List(&Struct(LIST_PARTITION_REASSIGNMENTS_TOPICS))).null(0),
];

// DescribeQuorum 0-2
static DESCRIBE_QUORUM_TOPICS_PARTITIONS: &[Field] = &[f(0, END, "PartitionIndex", I32)];
static DESCRIBE_QUORUM_TOPICS: &[Field] = &[
    f(0, END, "TopicName", Text),
    f(0, END, "Partitions", List(&Struct(DESCRIBE_QUORUM_TOPICS_PARTITIONS))),
];
pub(super) static DESCRIBE_QUORUM: &[Field] = &[f(0, END, "Topics", List(&Struct(DESCRIBE_QUORUM_TOPICS)))];

// UpdateFeatures 0-2
static UPDATE_FEATURES_FEATURE_UPDATES: &[Field] = &[
    f(0, END, "Feature", Text),
    f(0, END, "MaxVersionLevel", I16),
    f(0, 0, "AllowDowngrade", I8),
    f(1, END, "UpgradeType", I8),
];
pub(super) static UPDATE_FEATURES: &[Field] = &[
    f(0, END, "timeoutMs", I32),
    f(0, END, "FeatureUpdates", List(&Struct(UPDATE_FEATURES_FEATURE_UPDATES))),
    f(1, END, "ValidateOnly", I8),
];

// UnregisterBroker 0
pub(super) static UNREGISTER_BROKER: &[Field] = &[f(0, END, "BrokerId", I32)];

// AddRaftVoter 0-1
static ADD_RAFT_VOTER_LISTENERS: &[Field] =
    &[f(0, END, "Name", Text), f(0, END, "Host", Text), f(0, END, "Port", I16)];
pub(super) static ADD_RAFT_VOTER: &[Field] = &[
    f(0, END, "ClusterId", Text).null(0),
    f(0, END, "TimeoutMs", I32),
    f(0, END, "VoterId", I32),
    f(0, END, "VoterDirectoryId", ID),
    f(0, END, "Listeners", List(&Struct(ADD_RAFT_VOTER_LISTENERS))),
    f(1, END, "AckWhenCommitted", I8),
];

// RemoveRaftVoter 0
pub(super) static REMOVE_RAFT_VOTER: &[Field] =
    &[f(0, END, "ClusterId", Text).null(0), f(0, END, "VoterId", I32), f(0, END, "VoterDirectoryId", ID)];

// ListConfigResources 0-1
pub(super) static LIST_CONFIG_RESOURCES: &[Field] = &[f(1, END, "ResourceTypes", List(&I8))];

// DescribeClientQuotas 0-1
static DESCRIBE_CLIENT_QUOTAS_COMPONENTS: &[Field] =
    &[f(0, END, "EntityType", Text), f(0, END, "MatchType", I8), f(0, END, "Match", Text).null(0)];
pub(super) static DESCRIBE_CLIENT_QUOTAS: &[Field] =
    &[f(0, END, "Components", List(&Struct(DESCRIBE_CLIENT_QUOTAS_COMPONENTS))), f(0, END, "Strict", I8)];

// AlterClientQuotas 0-1
static ALTER_CLIENT_QUOTAS_ENTRIES_ENTITY: &[Field] =
    &[f(0, END, "EntityType", Text), f(0, END, "EntityName", Text).null(0)];
static ALTER_CLIENT_QUOTAS_ENTRIES_OPS: &[Field] =
    &[f(0, END, "Key", Text), f(0, END, "Value", F64), f(0, END, "Remove", I8)];
static ALTER_CLIENT_QUOTAS_ENTRIES: &[Field] = &[
    f(0, END, "Entity", List(&Struct(ALTER_CLIENT_QUOTAS_ENTRIES_ENTITY))),
    f(0, END, "Ops", List(&Struct(ALTER_CLIENT_QUOTAS_ENTRIES_OPS))),
];
pub(super) static ALTER_CLIENT_QUOTAS: &[Field] =
    &[f(0, END, "Entries", List(&Struct(ALTER_CLIENT_QUOTAS_ENTRIES))), f(0, END, "ValidateOnly", I8)];
