//! The port between nodes: calls and answers over one connection a direction and purpose.
//!
//! Consensus, control and replication each have a connection of their own, so that a batch of records never stands before
//! a heartbeat. A connection begins with a [`Hello`](hello::Hello), which keeps nodes of different clusters apart. After
//! it calls are pipelined; answers come in any order and are matched by their number. What a call means is its server's
//! matter: this folder knows frames, deadlines and reconnecting.
//!
//! ```text
//!  PeerClient::call ─▶ frame ─▶ socket ─▶ server: Services::find(kind) ─▶ handler ─▶ answer frame ─▶ caller
//! ```

pub mod call;
pub mod client;
pub mod frame;
pub mod hello;
pub mod server;

pub use call::{Call, CallError};
pub use client::{PeerClient, PeerClients, Purpose};
pub use hello::{Caller, Myself};
pub use server::{PeerListener, Services};

#[cfg(test)]
mod tests;
