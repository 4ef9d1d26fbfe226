//! A real client inside `cargo test`: librdkafka, through the rdkafka crate, against a broker in this process.
//!
//! Each test starts its own broker on a free port with real files. What other clients say is in `tests/interop/`.

mod absence;
mod admin;
mod cluster;
mod groups;
mod node;
mod produce;
mod quorum;
mod racks;
mod reassignments;
mod restart;
mod upkeep;
