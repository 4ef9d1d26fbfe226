//! The Kafka wire, ids and record batches. No runtime, no disk, no clock.
//!
//! Module order is import order: `types` knows nobody, everything knows `types`.

pub mod types;

pub mod error_code;

pub mod batch;

pub mod api;

pub mod frame;

pub mod guard;

pub mod kafka43;

pub mod request;

pub mod response;

pub mod fetch_response;
