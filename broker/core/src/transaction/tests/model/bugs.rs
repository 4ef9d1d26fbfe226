//! Planted bugs: the checks are worth what they notice of these.

/// What is wrong with a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// Nothing.
    None,
    /// Connections are not told apart (KAFKA-17754).
    NoConnections,
    /// Markers are sent before the decision is committed.
    MarkersBeforeCommit,
    /// Producers are answered before the decision is committed.
    AnswersBeforeCommit,
    /// What the log refused is not undone.
    NoUndo,
    /// A marker whose failure was told takes effect later.
    LateMarkers,
    /// Leaders append though a marker came since they asked (the guard of KIP-890).
    NoGuard,
    /// A marker that got lost is told as written.
    LostMarkersCount,
    /// A result that is told twice counts for a later attempt.
    AnyAttempt,
    /// A fence leaves the epoch as it was.
    FenceWithoutEpoch,
    /// A decision in the log is not told again by the next coordinator.
    DecisionsNotLoaded,
    /// A decision is written without one of its partitions.
    PartitionForgotten,
    /// Partitions take markers of coordinators that were replaced.
    NoCoordinatorEpochs,
}

/// All of them.
pub const BUGS: [Bug; 12] = [
    Bug::NoConnections,
    Bug::MarkersBeforeCommit,
    Bug::AnswersBeforeCommit,
    Bug::NoUndo,
    Bug::LateMarkers,
    Bug::NoGuard,
    Bug::LostMarkersCount,
    Bug::AnyAttempt,
    Bug::FenceWithoutEpoch,
    Bug::DecisionsNotLoaded,
    Bug::PartitionForgotten,
    Bug::NoCoordinatorEpochs,
];
