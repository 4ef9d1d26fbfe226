//! The states of a classic group and the legal ways between them.
//!
//! ```text
//!            join                    all joined, or time is up            leader's sync is in the log
//!   Empty ─────────► PreparingRebalance ─────────► CompletingRebalance ─────────► Stable
//!     ▲                │  ▲      ▲                        │                          │
//!     └────────────────┘  │      └────────────────────────┘                          │
//!      nobody is left     └──────────────────────────────────────────────────────────┘
//!                           a join, a leave, a silent member, or a sync never sent
//! ```
//! Dead is not a state here: a dead group is not in the map.

/// Where a group stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum State {
    /// No members; perhaps offsets.
    Empty,
    /// Waiting for members to join.
    PreparingRebalance,
    /// Waiting for the leader's assignment.
    CompletingRebalance,
    /// Everybody has an assignment.
    Stable,
}

impl State {
    /// Kafka's name of it.
    pub fn name(self) -> &'static str {
        match self {
            State::Empty => "Empty",
            State::PreparingRebalance => "PreparingRebalance",
            State::CompletingRebalance => "CompletingRebalance",
            State::Stable => "Stable",
        }
    }

    /// Whether a group may go from here to `to`.
    pub fn may_become(self, to: State) -> bool {
        use State::{CompletingRebalance, Empty, PreparingRebalance, Stable};
        matches!(
            (self, to),
            (Empty | CompletingRebalance | Stable, PreparingRebalance)
                | (PreparingRebalance, CompletingRebalance | Empty)
                | (CompletingRebalance, Stable)
        )
    }
}
