//! The coordinator of classic groups: who is in a group, which generation, which assignment, which offsets.
//!
//! One [`GroupCoordinator`] per partition of `__consumer_offsets`; only its shell touches it.
//!
//! ```text
//! request, settings        what is asked and set
//! record                   the bytes in the log            subscription  topics out of a member's metadata
//! member → state → group   one group, rules without time   offsets       what is committed
//! undo → turn              one decision: rebalance, timers, answers
//! coordinator              the state machine; join, membership, commit, admin are its requests
//! ```

mod admin;
mod commit;
mod coordinator;
#[allow(clippy::module_inception, reason = "Kafka's noun for one group, beside the module about groups")]
mod group;
mod join;
mod member;
mod membership;
mod offsets;
pub mod record;
pub mod request;
pub mod settings;
mod state;
mod subscription;
mod turn;
mod undo;

pub use coordinator::GroupCoordinator;
pub use request::{GroupReply, GroupRequest};
pub use settings::GroupSettings;

#[cfg(test)]
mod tests;
