//! Planted bugs: the checks are worth what they notice of these.

use std::ops::Range;

/// A way to be wrong that the checks must notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// None: the real thing.
    None,
    /// What is appended counts as replicated.
    AckBeforeDurable,
    /// A replica may join that lacks what the leader took over.
    SkipLeaderEpochStart,
    /// A proposed shrink counts before it is committed.
    TrustShrink,
    /// Fetches and proposals may leave the broker epoch out, as Kafka allows.
    AllowUnknownBrokerEpoch,
    /// A new follower cuts to its high watermark, as Kafka did before KIP-101.
    TruncateToHighWatermark,
    /// A word of a finished sync counts whatever leader epoch and incarnation it is from.
    TrustOldSyncs,
    /// Syncs are told before the leader has found the log to agree.
    ReportBeforeAgreement,
    /// A follower's epoch that is older than all of the leader's log is taken for one that ends where that begins.
    TrustDeletedEpochs,
    /// A proposal without an answer is rolled back.
    ForgetUnanswered,
    /// The controller takes attempts that were given up.
    LateAttempts,
}

/// Bugs and the seeds among which one must catch each. Those of a single seed need a rare chain of events: it was found by a
/// search over thousands (`TIDEMARK_SEEDS=20000`), which finds another where a change to the model moves it.
pub const BUGS: [(Bug, Range<u64>); 10] = [
    (Bug::AckBeforeDurable, 0..50),
    (Bug::SkipLeaderEpochStart, 0..200),
    (Bug::TrustShrink, 0..50),
    (Bug::AllowUnknownBrokerEpoch, 0..500),
    (Bug::TruncateToHighWatermark, 0..50),
    (Bug::TrustOldSyncs, 1_568..1_569),
    (Bug::ReportBeforeAgreement, 0..5_000),
    (Bug::TrustDeletedEpochs, 0..5_000),
    (Bug::ForgetUnanswered, 0..500),
    (Bug::LateAttempts, 1_909..1_910),
];
