//! Schemas of the requests about records: produce, fetch, offsets in a log, producer ids.
//!
//! Made from the message table of Kafka 4.3; how a row reads is said in the parent module.

use super::{END, Field, I8, I16, I32, I64, ID, Shape, f};
use Shape::{Blob, List, Struct, Text};

// Produce 3-13
static PRODUCE_TOPIC_DATA_PARTITION_DATA: &[Field] =
    &[f(3, END, "Index", I32), f(3, END, "Records", Blob).null(3)];
static PRODUCE_TOPIC_DATA: &[Field] = &[
    f(3, 12, "Name", Text),
    f(13, END, "TopicId", ID),
    f(3, END, "PartitionData", List(&Struct(PRODUCE_TOPIC_DATA_PARTITION_DATA))),
];
pub(super) static PRODUCE: &[Field] = &[
    f(3, END, "TransactionalId", Text).null(3),
    f(3, END, "Acks", I16),
    f(3, END, "TimeoutMs", I32),
    f(3, END, "TopicData", List(&Struct(PRODUCE_TOPIC_DATA))),
];

// Fetch 4-18
static FETCH_TOPICS_PARTITIONS: &[Field] = &[
    f(4, END, "Partition", I32),
    f(9, END, "CurrentLeaderEpoch", I32),
    f(4, END, "FetchOffset", I64),
    f(12, END, "LastFetchedEpoch", I32),
    f(5, END, "LogStartOffset", I64),
    f(4, END, "PartitionMaxBytes", I32),
    f(17, END, "ReplicaDirectoryId", ID).tag(0),
    f(18, END, "HighWatermark", I64).tag(1),
];
static FETCH_REPLICA_STATE: &[Field] = &[f(15, END, "ReplicaId", I32), f(15, END, "ReplicaEpoch", I64)];
static FETCH_TOPICS: &[Field] = &[
    f(4, 12, "Topic", Text),
    f(13, END, "TopicId", ID),
    f(4, END, "Partitions", List(&Struct(FETCH_TOPICS_PARTITIONS))),
];
static FETCH_FORGOTTEN_TOPICS_DATA: &[Field] =
    &[f(7, 12, "Topic", Text), f(13, END, "TopicId", ID), f(7, END, "Partitions", List(&I32))];
pub(super) static FETCH: &[Field] = &[
    f(12, END, "ClusterId", Text).null(12).tag(0),
    f(4, 14, "ReplicaId", I32),
    f(15, END, "ReplicaState", Struct(FETCH_REPLICA_STATE)).tag(1),
    f(4, END, "MaxWaitMs", I32),
    f(4, END, "MinBytes", I32),
    f(4, END, "MaxBytes", I32),
    f(4, END, "IsolationLevel", I8),
    f(7, END, "SessionId", I32),
    f(7, END, "SessionEpoch", I32),
    f(4, END, "Topics", List(&Struct(FETCH_TOPICS))),
    f(7, END, "ForgottenTopicsData", List(&Struct(FETCH_FORGOTTEN_TOPICS_DATA))),
    f(11, END, "RackId", Text),
];

// ListOffsets 1-11
static LIST_OFFSETS_TOPICS_PARTITIONS: &[Field] =
    &[f(1, END, "PartitionIndex", I32), f(4, END, "CurrentLeaderEpoch", I32), f(1, END, "Timestamp", I64)];
static LIST_OFFSETS_TOPICS: &[Field] =
    &[f(1, END, "Name", Text), f(1, END, "Partitions", List(&Struct(LIST_OFFSETS_TOPICS_PARTITIONS)))];
pub(super) static LIST_OFFSETS: &[Field] = &[
    f(1, END, "ReplicaId", I32),
    f(2, END, "IsolationLevel", I8),
    f(1, END, "Topics", List(&Struct(LIST_OFFSETS_TOPICS))),
    f(10, END, "TimeoutMs", I32),
];

// DeleteRecords 0-2
static DELETE_RECORDS_TOPICS_PARTITIONS: &[Field] =
    &[f(0, END, "PartitionIndex", I32), f(0, END, "Offset", I64)];
static DELETE_RECORDS_TOPICS: &[Field] =
    &[f(0, END, "Name", Text), f(0, END, "Partitions", List(&Struct(DELETE_RECORDS_TOPICS_PARTITIONS)))];
pub(super) static DELETE_RECORDS: &[Field] =
    &[f(0, END, "Topics", List(&Struct(DELETE_RECORDS_TOPICS))), f(0, END, "TimeoutMs", I32)];

// InitProducerId 0-6
pub(super) static INIT_PRODUCER_ID: &[Field] = &[
    f(0, END, "TransactionalId", Text).null(0),
    f(0, END, "TransactionTimeoutMs", I32),
    f(3, END, "ProducerId", I64),
    f(3, END, "ProducerEpoch", I16),
    f(6, END, "Enable2Pc", I8),
    f(6, END, "KeepPreparedTxn", I8),
];

// OffsetForLeaderEpoch 2-4
static OFFSET_FOR_LEADER_EPOCH_TOPICS_PARTITIONS: &[Field] =
    &[f(2, END, "Partition", I32), f(2, END, "CurrentLeaderEpoch", I32), f(2, END, "LeaderEpoch", I32)];
static OFFSET_FOR_LEADER_EPOCH_TOPICS: &[Field] = &[
    f(2, END, "Topic", Text),
    f(2, END, "Partitions", List(&Struct(OFFSET_FOR_LEADER_EPOCH_TOPICS_PARTITIONS))),
];
pub(super) static OFFSET_FOR_LEADER_EPOCH: &[Field] =
    &[f(3, END, "ReplicaId", I32), f(2, END, "Topics", List(&Struct(OFFSET_FOR_LEADER_EPOCH_TOPICS)))];

// DescribeProducers 0-0
static DESCRIBE_PRODUCERS_TOPICS: &[Field] =
    &[f(0, END, "Name", Text), f(0, END, "PartitionIndexes", List(&I32))];
pub(super) static DESCRIBE_PRODUCERS: &[Field] =
    &[f(0, END, "Topics", List(&Struct(DESCRIBE_PRODUCERS_TOPICS)))];
