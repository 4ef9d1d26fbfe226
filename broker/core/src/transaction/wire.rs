//! The names of a coordinator's errors for each API and version: old clients do not know the new ones.
//!
//! PRODUCER_FENCED has an older name that means the same to older clients, TRANSACTION_ABORTABLE a fatal one. What a leader
//! was told by the coordinator becomes what its producer can act on.

use tidemark_protocol::error_code::ErrorCode;

/// The APIs a transaction coordinator answers, in which the same error has different names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Api {
    /// InitProducerId.
    InitProducerId,
    /// AddPartitionsToTxn.
    AddPartitionsToTxn,
    /// AddOffsetsToTxn.
    AddOffsetsToTxn,
    /// EndTxn.
    EndTxn,
}

/// The name of `error` in `version` of `api`.
pub fn error_for(api: Api, version: i16, error: ErrorCode) -> ErrorCode {
    let (fenced_from, abortable_from) = match api {
        Api::InitProducerId => (4, 5),
        Api::AddPartitionsToTxn => (2, 5),
        Api::AddOffsetsToTxn => (2, 4),
        Api::EndTxn => (2, 4),
    };
    match error {
        ErrorCode::ProducerFenced if version < fenced_from => ErrorCode::InvalidProducerEpoch,
        ErrorCode::TransactionAbortable if version < abortable_from => ErrorCode::InvalidTxnState,
        other => other,
    }
}

/// What a leader tells a producer whose partition the coordinator did not verify or add (KIP-890). `knows_abortable`: from
/// Produce 11 and TxnOffsetCommit 4 on. `adds`: from Produce 12 and TxnOffsetCommit 5 on, whose clients know what
/// CONCURRENT_TRANSACTIONS means here. Errors that pass become one for which old clients send again without looking for
/// another leader.
pub fn produce_error_for(error: ErrorCode, knows_abortable: bool, adds: bool) -> ErrorCode {
    match error {
        ErrorCode::ConcurrentTransactions if adds => ErrorCode::ConcurrentTransactions,
        ErrorCode::ConcurrentTransactions
        | ErrorCode::CoordinatorLoadInProgress
        | ErrorCode::CoordinatorNotAvailable
        | ErrorCode::NotCoordinator
        | ErrorCode::NetworkException => ErrorCode::NotEnoughReplicas,
        ErrorCode::ProducerFenced => ErrorCode::InvalidProducerEpoch,
        ErrorCode::TransactionAbortable if !knows_abortable => ErrorCode::InvalidTxnState,
        other => other,
    }
}

#[cfg(test)]
mod tests;
