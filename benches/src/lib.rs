//! The load driver, and the floor it is compared with.
//!
//! `load` speaks raw Kafka protocol with batches prepared once, so that the client costs little beside the broker it
//! measures, and works against anything that speaks it. `floor` is the least a broker can do: receive, CRC-32C, write,
//! fdatasync, answer; it speaks just enough of the protocol that the same driver runs against it.
//!
//! `compare` runs single nodes under load; `cluster` runs three at a time and takes nodes away from them.
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

pub mod lines;

pub mod look;

pub mod nodes;

pub mod writes;

pub mod figures;

pub mod round;
