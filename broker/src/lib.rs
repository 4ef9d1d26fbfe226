//! The broker process.

#![allow(clippy::unimplemented)]

pub mod controller;
pub mod data_dir;
