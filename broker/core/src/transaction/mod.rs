//! The coordinator of transactions: who owns a transactional id, what its transaction touches, how it ended.
//!
//! One [`TransactionCoordinator`] per partition of `__transaction_state`; only its shell touches it.
//!
//! ```text
//! request, settings    what is asked and set              record   the bytes in the log
//! state → transaction  one transactional id: every transition, without time or waiting
//! markers              which partitions are still to be told, and by which attempt
//! producer_ids         ids to hand out, and who waits for one
//! coordinator          the state machine; init, add, end, finish, admin are its requests
//! wire                 the names of errors for each version of each API
//! ```
//! What leaves the machine besides answers, markers to send and a wish for producer ids, leaves as the answer to a
//! standing [`TransactionRequest::Work`]: so it is held, like every answer, until the records it rests on are committed.
//!
//! What its shell has to hold to:
//!
//! - A shard starts with leadership, not with the first request: decisions that loading finds have to be sent.
//! - One `Work` is always asked, and answered by what became of the markers and by producer ids.
//! - An attempt to send markers never takes effect after it was reported as failed: its connection is closed first, and the
//!   leader drops what came by it. A late marker of version 1 would end the next transaction.
//! - A partition is reported as gone only when this node's image has none of that id.
//! - Connections are numbered in the order of their acceptance; requests of brokers have no number.

mod add;
mod admin;
mod coordinator;
mod end;
mod finish;
mod init;
mod markers;
mod producer_ids;
pub mod record;
pub mod request;
pub mod settings;
pub mod state;
#[allow(
    clippy::module_inception,
    reason = "Kafka's noun for one transaction, beside the module about transactions"
)]
mod transaction;
pub mod wire;

pub use coordinator::TransactionCoordinator;
pub use request::{TransactionReply, TransactionRequest};
pub use settings::TransactionSettings;
pub use state::{State, TransactionVersion};
pub use transaction::Transaction;

#[cfg(test)]
mod tests;
