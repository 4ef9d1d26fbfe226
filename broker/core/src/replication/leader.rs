//! What a leader knows of its partition: its own ends, each follower's, the ISR, and the high watermark they imply.
//!
//! Written by the partition's writer only. Always holds: the high watermark never goes back, never passes this
//! replica's log end, and never passes the durable end of a member of the ISR; it stands still while the ISR is smaller
//! than the effective `min.insync.replicas`, whatever the acks of the waiting producers (Kafka 4, KIP-966).
//!
//! ```text
//! high_watermark  ≤  min over ISR of durable_end  ≤  durable_end  ≤  append_end
//! ```

use std::collections::BTreeMap;

use tidemark_protocol::types::{BrokerId, LeaderEpoch, Offset};

/// Which end of a replica counts as "has it".
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum FlushRule {
    /// Flushed records only: `tidemark.flush=commit`.
    #[default]
    Durable,
    /// Appended records, flushed or not: `tidemark.flush=async`, Kafka's own rule.
    Appended,
}

/// Both ends of one replica. Ends are exclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct ReplicaProgress {
    /// End of what was appended, perhaps only to the page cache.
    pub append_end: Offset,
    /// End of what would survive a power loss.
    pub durable_end: Offset,
}

impl ReplicaProgress {
    fn end(&self, rule: FlushRule) -> Offset {
        match rule {
            FlushRule::Durable => self.durable_end,
            FlushRule::Appended => self.append_end,
        }
    }
}

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
    /// All replicas, the leader included.
    pub replicas: Vec<BrokerId>,
    /// Those in sync, the leader included.
    pub isr: Vec<BrokerId>,
    /// `min.insync.replicas` as configured.
    pub min_insync_replicas: usize,
    /// Which end counts.
    pub flush: FlushRule,
}

/// The leader's side of one partition in one leader epoch.
#[derive(Clone, Debug)]
pub struct LeaderState {
    assignment: Assignment,
    leader_epoch_start: Offset,
    local: ReplicaProgress,
    followers: BTreeMap<BrokerId, ReplicaProgress>,
    high_watermark: Offset,
}

impl LeaderState {
    /// Takes over a log: `local` are its ends, `high_watermark` what is known to be committed (clamped to the log).
    /// Followers count as having nothing until they are heard of in this epoch.
    pub fn new(assignment: Assignment, local: ReplicaProgress, high_watermark: Offset) -> LeaderState {
        let followers = followers_of(&assignment, &BTreeMap::new());
        let high_watermark = high_watermark.clamp(0, local.append_end);
        let mut state = LeaderState {
            assignment,
            leader_epoch_start: local.append_end,
            local,
            followers,
            high_watermark,
        };
        state.advance();
        state
    }

    /// The epoch this state belongs to.
    pub fn leader_epoch(&self) -> LeaderEpoch {
        self.assignment.leader_epoch
    }

    /// Log end at the moment of taking over: a follower below it may not join the ISR.
    pub fn leader_epoch_start(&self) -> Offset {
        self.leader_epoch_start
    }

    /// End of what is committed, exclusive.
    pub fn high_watermark(&self) -> Offset {
        self.high_watermark
    }

    /// This replica's own ends.
    pub fn local(&self) -> ReplicaProgress {
        self.local
    }

    /// min(`min.insync.replicas`, replication factor), at least 1.
    pub fn required_isr(&self) -> usize {
        self.assignment.min_insync_replicas.min(self.assignment.replicas.len()).max(1)
    }

    /// Whether the ISR is large enough to commit: asked before an acks=all append is written
    /// (`NOT_ENOUGH_REPLICAS`) and again when it is answered (`NOT_ENOUGH_REPLICAS_AFTER_APPEND`).
    pub fn check_isr(&self) -> Result<(), NotEnoughReplicas> {
        let isr = self.assignment.isr.len();
        let required = self.required_isr();
        if isr < required { Err(NotEnoughReplicas { isr, required }) } else { Ok(()) }
    }

    /// The local log now ends at `append_end`. Returns the high watermark if it moved.
    pub fn on_append(&mut self, append_end: Offset) -> Option<Offset> {
        assert!(append_end >= self.local.append_end, "an append cannot shorten the log");
        self.local.append_end = append_end;
        self.advance()
    }

    /// The local log is flushed up to `durable_end`. Returns the high watermark if it moved.
    pub fn on_durable(&mut self, durable_end: Offset) -> Option<Offset> {
        assert!(durable_end <= self.local.append_end, "what was never appended cannot be durable");
        self.local.durable_end = self.local.durable_end.max(durable_end);
        self.advance()
    }

    /// A follower reported its ends. Returns the high watermark if it moved; news of strangers change nothing.
    pub fn on_replica_progress(&mut self, replica: BrokerId, progress: ReplicaProgress) -> Option<Offset> {
        let known = self.followers.get_mut(&replica)?;
        *known = progress;
        self.advance()
    }

    /// The controller changed the ISR or the replicas, or the topic its configuration, within the same leader epoch.
    /// Returns the high watermark if it moved.
    pub fn reassign(&mut self, assignment: Assignment) -> Option<Offset> {
        assert_eq!(assignment.leader_epoch, self.assignment.leader_epoch, "another epoch is another state");
        self.followers = followers_of(&assignment, &self.followers);
        self.assignment = assignment;
        self.advance()
    }

    /// The local log was reset to start and end at `offset` or beyond, by a deletion of records up to the log's end.
    /// Returns the high watermark if it moved.
    pub fn on_log_start(&mut self, log_start: Offset) -> Option<Offset> {
        if log_start <= self.high_watermark {
            return None;
        }
        self.high_watermark = log_start.min(self.local.append_end);
        Some(self.high_watermark)
    }

    /// Moves the high watermark to the smallest end of the ISR, if the ISR is large enough.
    fn advance(&mut self) -> Option<Offset> {
        if self.check_isr().is_err() {
            return None;
        }
        let rule = self.assignment.flush;
        let committed = self.assignment.isr.iter().map(|member| self.end_of(*member, rule)).min()?;
        if committed <= self.high_watermark {
            return None;
        }
        assert!(committed <= self.local.append_end, "the high watermark cannot pass the log's end");
        self.high_watermark = committed;
        Some(committed)
    }

    /// A follower's report may run ahead of a leader that restarted; what the leader lacks is not committed.
    fn end_of(&self, member: BrokerId, rule: FlushRule) -> Offset {
        if member == self.assignment.leader {
            return self.local.end(rule);
        }
        self.followers.get(&member).map_or(0, |progress| progress.end(rule)).min(self.local.append_end)
    }
}

/// The followers of an assignment with what is already known of them.
fn followers_of(
    assignment: &Assignment,
    known: &BTreeMap<BrokerId, ReplicaProgress>,
) -> BTreeMap<BrokerId, ReplicaProgress> {
    let followers = assignment.replicas.iter().filter(|replica| **replica != assignment.leader);
    followers.map(|replica| (*replica, known.get(replica).copied().unwrap_or_default())).collect()
}

#[cfg(test)]
mod tests;
