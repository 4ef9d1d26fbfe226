//! Verification: a leader asked the coordinator about a producer's transaction, and has not appended since (KIP-890).
//!
//! Written by ProducerStateManager only. What always holds: a guard is good for one producer, until its transaction opens
//! here or a marker comes. So an answer of the coordinator that comes late cannot let a batch into a later transaction,
//! though that may have the same epoch. Nothing of this is stored: a leader that is elected anew asks anew.

use tidemark_protocol::types::{Offset, ProducerEpoch};

/// Taken before the coordinator is asked, shown with the append.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VerificationGuard {
    /// End of the log when it was taken: tells guards apart of states that were dropped and loaded again in between.
    pub(super) log_end: Offset,
    pub(super) count: u64,
}

/// What waits to be appended of one producer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Verification {
    pub guard: VerificationGuard,
    pub epoch: ProducerEpoch,
    /// The lowest sequence that waits: requests that were sent one after the other may be answered the other way round.
    pub lowest_sequence: i32,
}
