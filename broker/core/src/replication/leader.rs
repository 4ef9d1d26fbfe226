//! [`LeaderState`]: what a leader knows of its partition: its own ends, each follower's, the ISR, and the high watermark
//! they imply.
//!
//! Written by the partition's writer only. Always holds: the high watermark never goes back, never passes this
//! replica's log end, and never passes the durable end of a replica that the controller may count as in sync (the
//! maximal ISR); it stands still while the committed ISR is smaller than the effective `min.insync.replicas`, whatever
//! the acks of the waiting producers (Kafka 4, KIP-966).
//!
//! ```text
//! high_watermark  ≤  min over maximal ISR of durable_end  ≤  durable_end  ≤  append_end
//! ```
//!
//! After news of followers, an answer of the controller, a changed assignment or a deadline, the owner asks for a
//! [`proposal`](LeaderState::proposal). A partition without followers has none, and no deadline.

use std::collections::BTreeMap;
use std::time::Duration;

use tidemark_protocol::types::{BrokerId, LeaderEpoch, Now, Offset};

use super::assignment::{Assignment, NotEnoughReplicas};
use super::isr::{IsrAnswer, IsrProposal, IsrState, Sight};
use super::replica::{self, FetchRefused, FlushRule, Follower, ReplicaDurable};
use super::replica::{ReplicaFetchState, ReplicaProgress};

/// The leader's side of one partition in one leader epoch.
#[derive(Clone, Debug)]
pub struct LeaderState {
    isr: IsrState,
    replicas: usize,
    min_insync_replicas: usize,
    flush: FlushRule,
    leader_epoch_start: Offset,
    local: ReplicaProgress,
    followers: BTreeMap<BrokerId, Follower>,
    high_watermark: Offset,
    /// The latest time told; what depends on time is judged by it.
    now: Duration,
}

impl LeaderState {
    /// Takes over a log: `local` are its ends, `high_watermark` what is known to be committed (clamped to the log). The
    /// log knows the epoch already (`assign_epoch`). Followers count as having nothing until they are heard of in this
    /// epoch.
    pub fn new(
        assignment: Assignment,
        local: ReplicaProgress,
        high_watermark: Offset,
        now: Now,
    ) -> LeaderState {
        assignment.check();
        let followers = assignment.followers(BTreeMap::new(), now.mono);
        let mut state = LeaderState {
            replicas: assignment.replicas.len(),
            min_insync_replicas: assignment.min_insync_replicas,
            flush: assignment.flush,
            leader_epoch_start: local.append_end,
            local,
            followers,
            high_watermark: high_watermark.clamp(0, local.append_end),
            now: now.mono,
            isr: IsrState {
                leader: assignment.leader,
                leader_epoch: assignment.leader_epoch,
                partition_epoch: assignment.partition_epoch,
                committed: assignment.isr,
                eligible: assignment.eligible,
                lag_max: assignment.replica_lag_max,
                pending: None,
                not_before: Duration::ZERO,
            },
        };
        state.advance();
        state
    }

    /// The epoch this state belongs to.
    pub fn leader_epoch(&self) -> LeaderEpoch {
        self.isr.leader_epoch
    }

    /// The newest state of the partition that is known, from the metadata or an answer of the controller.
    pub fn partition_epoch(&self) -> i32 {
        self.isr.partition_epoch
    }

    /// Log end at the moment of taking over: a follower below it may not join the ISR.
    pub fn leader_epoch_start(&self) -> Offset {
        self.leader_epoch_start
    }

    /// End of what is committed, exclusive.
    pub fn high_watermark(&self) -> Offset {
        self.high_watermark
    }

    /// Whether the high watermark covers all that earlier leaders may have committed. Until it does, whatever needs one
    /// that never went back (ListOffsets, a coordinator that loads) answers `OFFSET_NOT_AVAILABLE`.
    pub fn is_high_watermark_settled(&self) -> bool {
        self.high_watermark >= self.leader_epoch_start
    }

    /// This replica's own ends.
    pub fn local(&self) -> ReplicaProgress {
        self.local
    }

    /// The committed ISR.
    pub fn isr(&self) -> &[BrokerId] {
        &self.isr.committed
    }

    /// The committed ISR and whoever is proposed for it, ascending: all of them decide the high watermark.
    pub fn maximal_isr(&self) -> Vec<BrokerId> {
        self.isr.maximal()
    }

    /// The other replicas.
    pub fn followers(&self) -> impl Iterator<Item = (BrokerId, &Follower)> {
        self.followers.iter().map(|(replica, follower)| (*replica, follower))
    }

    /// min(`min.insync.replicas`, replication factor), at least 1.
    pub fn required_isr(&self) -> usize {
        self.min_insync_replicas.min(self.replicas).max(1)
    }

    /// Whether the ISR is large enough to commit: asked before an acks=all append is written
    /// (`NOT_ENOUGH_REPLICAS`) and again when it is answered (`NOT_ENOUGH_REPLICAS_AFTER_APPEND`).
    pub fn check_isr(&self) -> Result<(), NotEnoughReplicas> {
        let isr = self.isr.committed.len();
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

    /// A follower fetches from a position that [agrees](super::epochs::compare) with the log. Returns the high watermark
    /// if it moved; a refused fetch changes nothing.
    pub fn on_replica_fetch(
        &mut self,
        replica: BrokerId,
        fetch: ReplicaFetchState,
        now: Now,
    ) -> Result<Option<Offset>, FetchRefused> {
        replica::check_leader_epoch(fetch.leader_epoch, self.isr.leader_epoch)?;
        let leader_end = self.local.append_end;
        let Some(follower) = self.followers.get_mut(&replica) else {
            return Err(FetchRefused::NotAssigned { replica });
        };
        let known = self.isr.eligible.get(&replica).copied().max(follower.broker_epoch());
        if let Some(known) = known.filter(|known| fetch.broker_epoch < *known) {
            return Err(FetchRefused::StaleBrokerEpoch { replica, asked: fetch.broker_epoch, known });
        }
        follower.on_fetch(&fetch, leader_end, self.flush, now);
        Ok(self.on_tick(now))
    }

    /// A follower's sync has finished. Returns the high watermark if it moved; news of strangers, of other leader
    /// epochs and of another incarnation than the one that fetches change nothing.
    pub fn on_replica_durable(
        &mut self,
        replica: BrokerId,
        durable: ReplicaDurable,
        now: Now,
    ) -> Option<Offset> {
        if durable.leader_epoch != self.isr.leader_epoch {
            return None;
        }
        let leader_end = self.local.append_end;
        let is_known = self.followers.get_mut(&replica)?.on_durable(&durable, leader_end, self.flush, now);
        if is_known { self.on_tick(now) } else { None }
    }

    /// The controller changed the ISR or the replicas, the metadata what they say of brokers, or the topic its
    /// configuration, within the same leader epoch. A newer partition epoch overrides a pending change; an older one
    /// says nothing of ISR and replicas. Returns the high watermark if it moved.
    pub fn reassign(&mut self, assignment: Assignment) -> Option<Offset> {
        assert_eq!(assignment.leader_epoch, self.isr.leader_epoch, "another epoch is another state");
        assignment.check();
        if assignment.partition_epoch >= self.isr.partition_epoch {
            self.followers = assignment.followers(std::mem::take(&mut self.followers), self.now);
            self.replicas = assignment.replicas.len();
        }
        if assignment.partition_epoch > self.isr.partition_epoch {
            self.isr.commit(assignment.partition_epoch, assignment.isr);
        }
        self.isr.eligible = assignment.eligible;
        self.isr.lag_max = assignment.replica_lag_max;
        self.min_insync_replicas = assignment.min_insync_replicas;
        self.flush = assignment.flush;
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

    /// What to send to the controller now, if anything. Whoever takes it sends it and brings the
    /// [answer](LeaderState::on_isr_answer), `REQUEST_TIMED_OUT` if none came.
    pub fn proposal(&mut self, now: Now) -> Option<IsrProposal> {
        if self.followers.is_empty() {
            return None;
        }
        self.now = self.now.max(now.mono);
        let sight = self.sight();
        self.isr.proposal(&self.followers, &sight)
    }

    /// The controller's answer to a proposal. Returns the high watermark if it moved.
    pub fn on_isr_answer(&mut self, proposal: &IsrProposal, answer: IsrAnswer, now: Now) -> Option<Offset> {
        self.now = self.now.max(now.mono);
        self.isr.on_answer(proposal, answer, self.now);
        self.advance()
    }

    /// When [`on_tick`](LeaderState::on_tick) has something to do, as `Now::mono`.
    pub fn next_deadline(&self) -> Option<Duration> {
        if self.followers.is_empty() {
            return None;
        }
        self.isr.next_deadline(&self.followers, &self.sight())
    }

    /// Time has passed: a replica the high watermark waited for may have fallen behind. Returns the high watermark if it
    /// moved; a [`proposal`](LeaderState::proposal) may be due.
    pub fn on_tick(&mut self, now: Now) -> Option<Offset> {
        self.now = self.now.max(now.mono);
        self.advance()
    }

    fn sight(&self) -> Sight {
        Sight {
            leader_end: self.local.append_end,
            leader_epoch_start: self.leader_epoch_start,
            high_watermark: self.high_watermark,
            rule: self.flush,
            now: self.now,
        }
    }

    /// Moves the high watermark to the smallest end of the maximal ISR and of those about to join, if the ISR is large
    /// enough.
    fn advance(&mut self) -> Option<Offset> {
        if self.check_isr().is_err() {
            return None;
        }
        let mut committed = self.local.end(self.flush);
        for (replica, follower) in &self.followers {
            let end = follower.progress().end(self.flush);
            if end < committed
                && (self.isr.is_maximal(*replica) || self.isr.awaits(*replica, follower, &self.sight()))
            {
                committed = end;
            }
        }
        if committed <= self.high_watermark {
            return None;
        }
        assert!(committed <= self.local.append_end, "the high watermark cannot pass the log's end");
        self.high_watermark = committed;
        Some(committed)
    }

    /// Planted bug: replicas join by the high watermark alone.
    #[cfg(test)]
    pub(super) fn forget_leader_epoch_start(&mut self) {
        self.leader_epoch_start = 0;
    }

    /// Planted bug: a proposed shrink counts at once.
    #[cfg(test)]
    pub(super) fn trust_proposal(&mut self) -> Option<Offset> {
        self.isr.trust_proposal();
        self.advance()
    }
}

#[cfg(test)]
mod tests;
