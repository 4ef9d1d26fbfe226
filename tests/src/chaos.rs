//! Chaos: real processes, real clients, faults from a seed, and a checker that reads what happened.
//!
//! ```text
//!  schedule (seed) ─▶ run ─▶ ensemble (processes, disks) ┐
//!                      │  └▶ proxy (links)              ├─▶ history.jsonl ─▶ checker ─▶ violations
//!                      └───▶ workload (clients) ────────┘                 └▶ summary
//! ```

pub mod checker;
pub mod ensemble;
pub mod history;
pub mod log_files;
pub mod proxy;
pub mod run;
pub mod schedule;
pub mod summary;
pub mod wire;
pub mod workload;
