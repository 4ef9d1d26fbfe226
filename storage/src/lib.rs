//! Partition logs on one machine: segments of exact Kafka batch bytes, their indexes, recovery, retention, compaction.
//!
//! Synchronous throughout; knows nothing of brokers, leaders or networks. Module order is import order.

pub mod checkpoint;
pub mod config;
pub mod disk;
pub mod epoch;
pub mod index;
pub mod journal;
pub mod log;
pub mod metrics;
pub mod producer;
pub mod segment;
pub mod tail;
