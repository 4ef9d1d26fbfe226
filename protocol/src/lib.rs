//! The Kafka wire, ids and record batches. No runtime, no disk, no clock.
//!
//! Module order is import order: `types` knows nobody, everything knows `types`.

pub mod types;
