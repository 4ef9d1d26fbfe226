//! [`Assignment`]: what the metadata say of a partition to the broker that leads it.
//!
//! Made by the broker from its image whenever something of it changes. Always holds: the leader is in the ISR, and the
//! ISR within the replicas.

use std::collections::BTreeMap;
use std::time::Duration;

use tidemark_protocol::types::{BrokerId, LeaderEpoch};

use super::replica::{FlushRule, Follower};

/// The ISR is too small for what was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{isr} replicas are in sync, {required} are required")]
pub struct NotEnoughReplicas {
    /// Members of the ISR, the leader included.
    pub isr: usize,
    /// min(`min.insync.replicas`, replication factor).
    pub required: usize,
}

/// What the controller and the topic's configuration say of a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assignment {
    /// This broker, the leader.
    pub leader: BrokerId,
    /// The epoch it leads.
    pub leader_epoch: LeaderEpoch,
    /// Counts changes of the partition; an older one than known says nothing new of replicas and ISR.
    pub partition_epoch: i32,
    /// All replicas, the leader included.
    pub replicas: Vec<BrokerId>,
    /// Those in sync, the leader included.
    pub isr: Vec<BrokerId>,
    /// Replicas that may be in sync, the leader included, with their broker epochs: registered, unfenced, not shutting
    /// down. May be empty for a partition with one replica.
    pub eligible: BTreeMap<BrokerId, i64>,
    /// `min.insync.replicas` as configured.
    pub min_insync_replicas: usize,
    /// `replica.lag.time.max.ms`.
    pub replica_lag_max: Duration,
    /// Which end counts.
    pub flush: FlushRule,
}

impl Assignment {
    /// Panics unless the assignment is one that a controller makes.
    pub(super) fn check(&self) {
        let Assignment { leader, isr, replicas, .. } = self;
        assert!(isr.contains(leader), "leader {leader} is not in the ISR {isr:?}");
        assert!(isr.iter().all(|member| replicas.contains(member)), "ISR {isr:?} not within {replicas:?}");
    }

    /// The followers with what is already known of them.
    pub(super) fn followers(
        &self,
        mut known: BTreeMap<BrokerId, Follower>,
        now: Duration,
    ) -> BTreeMap<BrokerId, Follower> {
        let others = self.replicas.iter().filter(|replica| **replica != self.leader);
        let follower = |replica: &BrokerId| {
            let new = || Follower::new(self.isr.contains(replica), now);
            (*replica, known.remove(replica).unwrap_or_else(new))
        };
        others.map(follower).collect()
    }
}
