//! The broker: asynchronous shells around `storage` and `core`; tasks, threads, sockets, openraft.
//!
//! Module order is import order: clock and runtime know nobody, the server knows everybody.

#![allow(clippy::unimplemented)]

mod clean_shutdown;
pub mod clock;
pub mod loggers;
pub mod runtime;
pub mod transport;

pub mod peer;

pub mod controller;
pub mod data_dir;

pub mod partition;
pub mod replica;

pub mod coordinator;

pub mod broker;
pub mod config;
pub mod server;
pub mod telemetry;
