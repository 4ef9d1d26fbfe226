//! Agreement between the replicas of one partition: who has what, and what of it is committed.
//!
//! Module order is import order: [`replica`], [`assignment`] and [`epochs`] are the shared nouns, [`isr`] decides who is in sync,
//! [`leader`] holds both sides of the high watermark, [`follower`] knows nothing of the leader's side.

pub mod epochs;
pub mod replica;

pub mod assignment;

pub mod isr;

pub mod leader;

pub mod follower;

#[cfg(test)]
mod tests;
