//! The coordinator of classic groups: who is in a group, which generation, which assignment, which offsets.
//!
//! One [`GroupCoordinator`] per partition of `__consumer_offsets`; only its shell touches it.

#![allow(clippy::unimplemented)]

mod coordinator;
pub mod request;
pub mod settings;

pub use coordinator::GroupCoordinator;
pub use request::{GroupReply, GroupRequest};
pub use settings::GroupSettings;
