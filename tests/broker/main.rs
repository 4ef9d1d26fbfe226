//! Bad days of a broker, each as a truth: brokers of this process, on temporary directories and simulated disks, spoken
//! to over TCP with every byte known.

mod answers;
mod configs;
mod effects;
mod fetch;
mod harness;
mod logs;
mod metadata;
mod produce;
mod quotas;
mod storage;
mod wire;
