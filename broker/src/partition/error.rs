//! Why a partition refused: one enum for produces, one for everything else. `server/error.rs` maps them to codes.

use tidemark_core::replication::assignment::NotEnoughReplicas;
use tidemark_protocol::types::{BrokerId, LeaderEpoch, Offset, ProducerEpoch, ProducerId};
use tidemark_storage::log::AppendError;

/// Why a batch was not appended, or not committed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProduceError {
    /// The partition is gone from this broker, or the broker is stopping: NOT_LEADER_OR_FOLLOWER.
    #[error("the partition is not served here any more")]
    Closed,
    /// Another broker leads, or none does: NOT_LEADER_OR_FOLLOWER.
    #[error("not the leader; broker {leader} leads in epoch {leader_epoch}")]
    NotLeader {
        /// Who leads; −1 when nobody does.
        leader: BrokerId,
        /// Its epoch.
        leader_epoch: LeaderEpoch,
    },
    /// Nothing was written: NOT_ENOUGH_REPLICAS.
    #[error("not enough replicas: {0}")]
    NotEnoughReplicas(NotEnoughReplicas),
    /// Written and past the high watermark, but the ISR has shrunk since: NOT_ENOUGH_REPLICAS_AFTER_APPEND.
    #[error("not enough replicas after the append: {0}")]
    NotEnoughReplicasAfterAppend(NotEnoughReplicas),
    /// OUT_OF_ORDER_SEQUENCE_NUMBER.
    #[error("producer {producer_id} sent sequence {found} at offset {offset}, {expected} was next")]
    OutOfOrderSequence {
        /// Producer.
        producer_id: ProducerId,
        /// Where the batch would have gone.
        offset: Offset,
        /// First sequence of the batch.
        found: i32,
        /// The sequence that was next.
        expected: i32,
    },
    /// INVALID_PRODUCER_EPOCH.
    #[error("producer {producer_id} has epoch {current}, the batch epoch {found}")]
    InvalidProducerEpoch {
        /// Producer.
        producer_id: ProducerId,
        /// Epoch of the batch.
        found: ProducerEpoch,
        /// Epoch known.
        current: ProducerEpoch,
    },
    /// INVALID_TXN_STATE.
    #[error("invalid transaction state of producer {producer_id}")]
    InvalidTxnState {
        /// Producer.
        producer_id: ProducerId,
    },
    /// A marker of a replaced coordinator: TRANSACTION_COORDINATOR_FENCED.
    #[error("coordinator epoch {found} of producer {producer_id} is older than {current}")]
    CoordinatorFenced {
        /// Producer.
        producer_id: ProducerId,
        /// Epoch of the marker.
        found: i32,
        /// Epoch known.
        current: i32,
    },
    /// RECORD_LIST_TOO_LARGE.
    #[error("batch of {size} bytes, at most {max} fit in a segment")]
    BatchTooLarge {
        /// Bytes of the batch.
        size: usize,
        /// Bytes a segment may have.
        max: u64,
    },
    /// CORRUPT_MESSAGE.
    #[error("corrupt batch: {0}")]
    Corrupt(String),
    /// No room on the disk; passes when there is room again: KAFKA_STORAGE_ERROR.
    #[error("no space left on the disk")]
    DiskFull,
    /// The data directory has failed or the log is damaged: KAFKA_STORAGE_ERROR.
    #[error("storage failed: {0}")]
    Storage(String),
    /// Too many requests wait for this log thread: REQUEST_TIMED_OUT, nothing was written.
    #[error("the log thread is overloaded")]
    Overloaded,
}

impl From<AppendError> for ProduceError {
    fn from(error: AppendError) -> Self {
        match error {
            AppendError::OutOfOrderSequence { producer_id, offset, found, expected } => {
                ProduceError::OutOfOrderSequence { producer_id, offset, found, expected }
            }
            AppendError::InvalidProducerEpoch { producer_id, found, current } => {
                ProduceError::InvalidProducerEpoch { producer_id, found, current }
            }
            AppendError::InvalidTxnState { producer_id } => ProduceError::InvalidTxnState { producer_id },
            AppendError::CoordinatorFenced { producer_id, found, current } => {
                ProduceError::CoordinatorFenced { producer_id, found, current }
            }
            AppendError::BatchTooLarge { size, max } => ProduceError::BatchTooLarge { size, max },
            AppendError::Corrupt(why) => ProduceError::Corrupt(why),
            AppendError::DiskFull => ProduceError::DiskFull,
            AppendError::Failed(why) => ProduceError::Storage(why),
        }
    }
}

/// Why something else than an append was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PartitionError {
    /// The partition is gone from this broker, or the broker is stopping: NOT_LEADER_OR_FOLLOWER.
    #[error("the partition is not served here any more")]
    Closed,
    /// Another broker leads, or none does: NOT_LEADER_OR_FOLLOWER.
    #[error("not the leader; broker {leader} leads in epoch {leader_epoch}")]
    NotLeader {
        /// Who leads; −1 when nobody does.
        leader: BrokerId,
        /// Its epoch.
        leader_epoch: LeaderEpoch,
    },
    /// OFFSET_OUT_OF_RANGE.
    #[error("offset {asked} is not within {start}..={end}")]
    OffsetOutOfRange {
        /// Offset asked for.
        asked: Offset,
        /// Smallest allowed.
        start: Offset,
        /// Largest allowed.
        end: Offset,
    },
    /// The data directory has failed or the log is damaged: KAFKA_STORAGE_ERROR.
    #[error("storage failed: {0}")]
    Storage(String),
}
