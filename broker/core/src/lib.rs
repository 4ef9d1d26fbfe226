//! Agreement between machines and over time, as state machines without a clock, a disk or a runtime.
//!
//! Module order is import order: [`metadata`] knows only the protocol crate.

pub mod metadata;
