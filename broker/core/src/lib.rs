//! Agreement between machines and over time, as state machines without a clock, a disk or a runtime.
//!
//! Module order is import order: `machine`, `deadline` and [`metadata`] know only the protocol crate.

pub mod deadline;
mod error_code_as_number;
pub mod machine;
mod record_bytes;

pub mod metadata;

pub mod replication;

pub mod group;

pub mod transaction;

pub mod quota;
