//! The load driver, and the floor it is compared with.
//!
//! `load` speaks raw Kafka protocol with batches prepared once, so that the client costs little beside the broker it
//! measures, and works against anything that speaks it. `floor` is the least a broker can do: receive, CRC-32C, write,
//! fdatasync, answer; it speaks just enough of the protocol that the same driver runs against it.
//!
//! Module order is import order.

pub mod clock;

pub mod process;

pub mod options;

pub mod connection;

pub mod cluster;

pub mod prepared;

pub mod counters;

pub mod producer;

pub mod consumer;

pub mod report;

pub mod run;

pub mod compare;

pub mod floor;
