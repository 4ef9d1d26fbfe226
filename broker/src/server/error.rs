//! What goes wrong inside, in Kafka's codes. Exhaustive on purpose: a new cause must choose its code here.

use tidemark_core::metadata::Failure;
use tidemark_protocol::error_code::ErrorCode;

use crate::controller::SubmitError;
use crate::partition::{PartitionError, ProduceError};

/// The code of a refused append.
pub fn of_produce(error: &ProduceError) -> ErrorCode {
    match error {
        ProduceError::Closed | ProduceError::NotLeader { .. } => ErrorCode::NotLeaderOrFollower,
        ProduceError::NotEnoughReplicas(_) => ErrorCode::NotEnoughReplicas,
        ProduceError::NotEnoughReplicasAfterAppend(_) => ErrorCode::NotEnoughReplicasAfterAppend,
        ProduceError::OutOfOrderSequence { .. } => ErrorCode::OutOfOrderSequenceNumber,
        ProduceError::InvalidProducerEpoch { .. } => ErrorCode::InvalidProducerEpoch,
        ProduceError::InvalidTxnState { .. } => ErrorCode::InvalidTxnState,
        ProduceError::CoordinatorFenced { .. } => ErrorCode::TransactionCoordinatorFenced,
        ProduceError::BatchTooLarge { .. } => ErrorCode::RecordListTooLarge,
        ProduceError::Corrupt(_) => ErrorCode::CorruptMessage,
        ProduceError::DiskFull | ProduceError::Storage(_) => ErrorCode::KafkaStorageError,
        ProduceError::Overloaded => ErrorCode::RequestTimedOut,
    }
}

/// The code of anything else a partition refused.
pub fn of_partition(error: &PartitionError) -> ErrorCode {
    match error {
        PartitionError::Closed | PartitionError::NotLeader { .. } => ErrorCode::NotLeaderOrFollower,
        PartitionError::OffsetOutOfRange { .. } => ErrorCode::OffsetOutOfRange,
        PartitionError::Storage(_) => ErrorCode::KafkaStorageError,
    }
}

/// What a client is told when the metadata quorum did not answer.
pub fn of_submit(error: &SubmitError) -> Failure {
    let code = match error {
        SubmitError::NotLeader { .. } => ErrorCode::NotController,
        SubmitError::TimedOut => ErrorCode::RequestTimedOut,
        SubmitError::Stopped(_) => ErrorCode::BrokerNotAvailable,
    };
    Failure::new(code, error.to_string())
}
