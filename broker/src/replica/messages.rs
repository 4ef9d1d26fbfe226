//! What replicas say to each other.

use serde::{Deserialize, Serialize};
use tidemark_core::replication::epochs::FetchPosition;
use tidemark_core::replication::follower::FetchAnswer;
use tidemark_core::replication::replica::ReplicaDurable;
use tidemark_protocol::types::{LeaderEpoch, Offset, TopicIdPartition};

use crate::peer::Call;

/// A follower asks for more. The connection remembers what it follows: only changes are said, and what was answered with
/// records is not read again before it is said anew.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct ReplicaFetch {
    /// Broker epoch of the follower (KIP-903).
    pub broker_epoch: i64,
    /// It builds on an earlier fetch of this connection.
    pub continues: bool,
    /// Partitions that begin, or have moved.
    pub set: Vec<Wanted>,
    /// Partitions that end.
    pub forget: Vec<TopicIdPartition>,
    /// Most bytes of records.
    pub max_bytes: u32,
    /// How long the leader may wait for something to say, in milliseconds.
    pub max_wait_ms: u32,
}

/// Where a follower stands in one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wanted {
    /// The partition.
    pub id: TopicIdPartition,
    /// What it asks for.
    pub position: FetchPosition,
    /// How far its log is durable.
    pub durable_end: Offset,
    /// Where its log starts.
    pub log_start: Offset,
}

/// Answer to [`ReplicaFetch`]; the records of all partitions follow, in this order.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct ReplicaFetched {
    /// There was no earlier fetch on this connection: everything has to be said again.
    pub is_lost: bool,
    /// Partitions with something to say.
    pub partitions: Vec<Found>,
}

/// What there is for one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    /// The partition.
    pub id: TopicIdPartition,
    /// What was asked, so that an answer to something older is known.
    pub asked: FetchPosition,
    /// Bytes of its batches.
    pub bytes: u32,
    /// The answer.
    pub answer: FetchAnswer,
}

impl Call for ReplicaFetch {
    const KIND: u8 = 40;
    const NAME: &'static str = "replica fetch";
    type Answer = ReplicaFetched;
}

/// A follower's syncs have finished; said while its fetch waits, and not answered.
#[derive(Debug, Serialize, Deserialize)]
pub struct ReplicaProgress {
    /// Broker epoch of the follower.
    pub broker_epoch: i64,
    /// Partition, leader epoch, durable end.
    pub durable: Vec<(TopicIdPartition, LeaderEpoch, Offset)>,
}

impl Call for ReplicaProgress {
    const KIND: u8 = 41;
    const NAME: &'static str = "replica progress";
    type Answer = ();
}

/// A durable end as the replication rules know it.
pub fn durable(broker_epoch: i64, leader_epoch: LeaderEpoch, durable_end: Offset) -> ReplicaDurable {
    ReplicaDurable { leader_epoch, broker_epoch, durable_end }
}
