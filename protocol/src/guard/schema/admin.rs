//! Schemas of the requests about the cluster, topics, settings and access.
//!
//! Made from the message table of Kafka 4.3; how a row reads is said in the parent module.

use super::{END, Field, I8, I16, I32, ID, Shape, f};
use Shape::{List, Optional, Struct, Text};

// Metadata 0-13
static METADATA_TOPICS: &[Field] = &[f(10, END, "TopicId", ID), f(0, END, "Name", Text).null(10)];
pub(super) static METADATA: &[Field] = &[
    f(0, END, "Topics", List(&Struct(METADATA_TOPICS))).null(1),
    f(4, END, "AllowAutoTopicCreation", I8),
    f(8, 10, "IncludeClusterAuthorizedOperations", I8),
    f(8, END, "IncludeTopicAuthorizedOperations", I8),
];

// ApiVersions 0-4
pub(super) static API_VERSIONS: &[Field] =
    &[f(3, END, "ClientSoftwareName", Text), f(3, END, "ClientSoftwareVersion", Text)];

// CreateTopics 2-7
static CREATE_TOPICS_TOPICS_ASSIGNMENTS: &[Field] =
    &[f(2, END, "PartitionIndex", I32), f(2, END, "BrokerIds", List(&I32))];
static CREATE_TOPICS_TOPICS_CONFIGS: &[Field] = &[f(2, END, "Name", Text), f(2, END, "Value", Text).null(2)];
static CREATE_TOPICS_TOPICS: &[Field] = &[
    f(2, END, "Name", Text),
    f(2, END, "NumPartitions", I32),
    f(2, END, "ReplicationFactor", I16),
    f(2, END, "Assignments", List(&Struct(CREATE_TOPICS_TOPICS_ASSIGNMENTS))),
    f(2, END, "Configs", List(&Struct(CREATE_TOPICS_TOPICS_CONFIGS))),
];
pub(super) static CREATE_TOPICS: &[Field] = &[
    f(2, END, "Topics", List(&Struct(CREATE_TOPICS_TOPICS))),
    f(2, END, "timeoutMs", I32),
    f(2, END, "validateOnly", I8),
];

// DeleteTopics 1-6
static DELETE_TOPICS_TOPICS: &[Field] = &[f(6, END, "Name", Text).null(6), f(6, END, "TopicId", ID)];
pub(super) static DELETE_TOPICS: &[Field] = &[
    f(6, END, "Topics", List(&Struct(DELETE_TOPICS_TOPICS))),
    f(1, 5, "TopicNames", List(&Text)),
    f(1, END, "TimeoutMs", I32),
];

// DescribeAcls 1-3
pub(super) static DESCRIBE_ACLS: &[Field] = &[
    f(1, END, "ResourceTypeFilter", I8),
    f(1, END, "ResourceNameFilter", Text).null(1),
    f(1, END, "PatternTypeFilter", I8),
    f(1, END, "PrincipalFilter", Text).null(1),
    f(1, END, "HostFilter", Text).null(1),
    f(1, END, "Operation", I8),
    f(1, END, "PermissionType", I8),
];

// CreateAcls 1-3
static CREATE_ACLS_CREATIONS: &[Field] = &[
    f(1, END, "ResourceType", I8),
    f(1, END, "ResourceName", Text),
    f(1, END, "ResourcePatternType", I8),
    f(1, END, "Principal", Text),
    f(1, END, "Host", Text),
    f(1, END, "Operation", I8),
    f(1, END, "PermissionType", I8),
];
pub(super) static CREATE_ACLS: &[Field] = &[f(1, END, "Creations", List(&Struct(CREATE_ACLS_CREATIONS)))];

// DeleteAcls 1-3
static DELETE_ACLS_FILTERS: &[Field] = &[
    f(1, END, "ResourceTypeFilter", I8),
    f(1, END, "ResourceNameFilter", Text).null(1),
    f(1, END, "PatternTypeFilter", I8),
    f(1, END, "PrincipalFilter", Text).null(1),
    f(1, END, "HostFilter", Text).null(1),
    f(1, END, "Operation", I8),
    f(1, END, "PermissionType", I8),
];
pub(super) static DELETE_ACLS: &[Field] = &[f(1, END, "Filters", List(&Struct(DELETE_ACLS_FILTERS)))];

// DescribeConfigs 1-4
static DESCRIBE_CONFIGS_RESOURCES: &[Field] = &[
    f(1, END, "ResourceType", I8),
    f(1, END, "ResourceName", Text),
    f(1, END, "ConfigurationKeys", List(&Text)).null(1),
];
pub(super) static DESCRIBE_CONFIGS: &[Field] = &[
    f(1, END, "Resources", List(&Struct(DESCRIBE_CONFIGS_RESOURCES))),
    f(1, END, "IncludeSynonyms", I8),
    f(3, END, "IncludeDocumentation", I8),
];

// AlterConfigs 0-2
static ALTER_CONFIGS_RESOURCES_CONFIGS: &[Field] =
    &[f(0, END, "Name", Text), f(0, END, "Value", Text).null(0)];
static ALTER_CONFIGS_RESOURCES: &[Field] = &[
    f(0, END, "ResourceType", I8),
    f(0, END, "ResourceName", Text),
    f(0, END, "Configs", List(&Struct(ALTER_CONFIGS_RESOURCES_CONFIGS))),
];
pub(super) static ALTER_CONFIGS: &[Field] =
    &[f(0, END, "Resources", List(&Struct(ALTER_CONFIGS_RESOURCES))), f(0, END, "ValidateOnly", I8)];

// DescribeLogDirs 1-5
static DESCRIBE_LOG_DIRS_TOPICS: &[Field] = &[f(1, END, "Topic", Text), f(1, END, "Partitions", List(&I32))];
pub(super) static DESCRIBE_LOG_DIRS: &[Field] =
    &[f(1, END, "Topics", List(&Struct(DESCRIBE_LOG_DIRS_TOPICS))).null(1)];

// CreatePartitions 0-3
static CREATE_PARTITIONS_TOPICS_ASSIGNMENTS: &[Field] = &[f(0, END, "BrokerIds", List(&I32))];
static CREATE_PARTITIONS_TOPICS: &[Field] = &[
    f(0, END, "Name", Text),
    f(0, END, "Count", I32),
    f(0, END, "Assignments", List(&Struct(CREATE_PARTITIONS_TOPICS_ASSIGNMENTS))).null(0),
];
pub(super) static CREATE_PARTITIONS: &[Field] = &[
    f(0, END, "Topics", List(&Struct(CREATE_PARTITIONS_TOPICS))),
    f(0, END, "TimeoutMs", I32),
    f(0, END, "ValidateOnly", I8),
];

// IncrementalAlterConfigs 0-1
static INCREMENTAL_ALTER_CONFIGS_RESOURCES_CONFIGS: &[Field] =
    &[f(0, END, "Name", Text), f(0, END, "ConfigOperation", I8), f(0, END, "Value", Text).null(0)];
static INCREMENTAL_ALTER_CONFIGS_RESOURCES: &[Field] = &[
    f(0, END, "ResourceType", I8),
    f(0, END, "ResourceName", Text),
    f(0, END, "Configs", List(&Struct(INCREMENTAL_ALTER_CONFIGS_RESOURCES_CONFIGS))),
];
pub(super) static INCREMENTAL_ALTER_CONFIGS: &[Field] = &[
    f(0, END, "Resources", List(&Struct(INCREMENTAL_ALTER_CONFIGS_RESOURCES))),
    f(0, END, "ValidateOnly", I8),
];

// DescribeCluster 0-2
pub(super) static DESCRIBE_CLUSTER: &[Field] = &[
    f(0, END, "IncludeClusterAuthorizedOperations", I8),
    f(1, END, "EndpointType", I8),
    f(2, END, "IncludeFencedBrokers", I8),
];

// DescribeTopicPartitions 0-0
static DESCRIBE_TOPIC_PARTITIONS_TOPICS: &[Field] = &[f(0, END, "Name", Text)];
static DESCRIBE_TOPIC_PARTITIONS_CURSOR: &[Field] =
    &[f(0, END, "TopicName", Text), f(0, END, "PartitionIndex", I32)];
pub(super) static DESCRIBE_TOPIC_PARTITIONS: &[Field] = &[
    f(0, END, "Topics", List(&Struct(DESCRIBE_TOPIC_PARTITIONS_TOPICS))),
    f(0, END, "ResponsePartitionLimit", I32),
    f(0, END, "Cursor", Optional(DESCRIBE_TOPIC_PARTITIONS_CURSOR)),
];
