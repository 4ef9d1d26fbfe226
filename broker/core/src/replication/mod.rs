//! Agreement between the replicas of one partition: who has what, and what of it is committed.

pub mod leader;
