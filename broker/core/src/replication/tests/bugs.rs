//! Planted bugs: the checks are worth what they notice of these.

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

/// Bugs and the seeds within which each must be caught.
pub const BUGS: [(Bug, u64); 8] = [
    (Bug::AckBeforeDurable, 50),
    (Bug::SkipLeaderEpochStart, 200),
    (Bug::TrustShrink, 50),
    (Bug::AllowUnknownBrokerEpoch, 500),
    (Bug::TruncateToHighWatermark, 50),
    (Bug::ReportBeforeAgreement, 5_000),
    (Bug::TrustDeletedEpochs, 5_000),
    (Bug::ForgetUnanswered, 500),
];

/// Bugs that need a rare chain of events: for a run of its own.
pub const RARE_BUGS: [(Bug, u64); 2] = [(Bug::TrustOldSyncs, 20_000), (Bug::LateAttempts, 20_000)];
