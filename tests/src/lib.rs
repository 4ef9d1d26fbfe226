//! Harness of the tests: a small blocking Kafka client, a broker as a child process, several in this one, and seeded chance.
//!
//! Wall-clock time and processes are real here; what is random comes from a printed seed.

pub mod chaos;
pub mod client;
pub mod cluster;
pub mod corpus;
pub mod failover;
pub mod fault_disk;
pub mod librdkafka;
pub mod logs;
pub mod mutation;
pub mod node;
pub mod rng;
pub mod sim;
