//! [`IsrState`]: who is in sync as far as the leader knows, and the one change of it that is under way.
//!
//! Written by the leader's state only. Always holds: the maximal ISR (committed and proposed together) contains every
//! replica that the controller may count as in sync, until the metadata say otherwise: an expansion counts from the
//! moment it is proposed, a shrink not before it is committed. One change is in flight at a time.
//!
//! ```text
//!             proposal()                       answer: committed
//!   settled ─────────────▶ in flight ───────────────────────────────▶ settled
//!      ▲                    ▲     │  refused for sure: rolled back, not again before a pause ─▶ settled
//!      │      after a pause │     ├─ not known: retry the same
//!      │                    └─────┘
//!      └── newer partition epoch in the metadata ◀── outdated: stays pending, nothing to retry
//! ```

use std::collections::BTreeMap;
use std::time::Duration;

use tidemark_protocol::error_code::ErrorCode;
use tidemark_protocol::types::{BrokerId, LeaderEpoch, Offset};

use super::replica::{FlushRule, Follower};

/// `replica.lag.time.max.ms` by default, Kafka's.
pub const REPLICA_LAG_MAX: Duration = Duration::from_secs(30);
/// After a change failed the next attempt waits so long: what refused it, an image that is behind or a controller that
/// is being elected, takes about as long to pass.
pub const PROPOSAL_PAUSE: Duration = Duration::from_millis(50);

/// An ISR for the controller to commit (AlterPartition, one partition).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IsrProposal {
    /// The epoch the sender leads.
    pub leader_epoch: LeaderEpoch,
    /// The state it is based on; the controller commits it on top of that one only.
    pub partition_epoch: i32,
    /// The members with the broker epoch each is known by (KIP-903), the leader included, in ascending order.
    pub isr: Vec<(BrokerId, i64)>,
}

/// What the controller says of the partition after committing a proposal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommittedIsr {
    /// The leader epoch.
    pub leader_epoch: LeaderEpoch,
    /// The partition epoch, usually one more than the proposal's.
    pub partition_epoch: i32,
    /// The members.
    pub isr: Vec<BrokerId>,
}

/// The answer to a proposal: the new state, or the partition's or the whole request's error. A request that was given up
/// counts as an error that may be retried (`REQUEST_TIMED_OUT`), as long as the sender sees to it that it cannot take
/// effect after a later attempt was answered.
pub type IsrAnswer = Result<CommittedIsr, ErrorCode>;

/// What followers are judged by.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sight {
    /// The leader's append end.
    pub leader_end: Offset,
    /// The leader's append end when it took over.
    pub leader_epoch_start: Offset,
    pub high_watermark: Offset,
    pub rule: FlushRule,
    /// `Now::mono`.
    pub now: Duration,
}

/// The ISR of one leader epoch.
#[derive(Clone, Debug)]
pub(super) struct IsrState {
    pub leader: BrokerId,
    pub leader_epoch: LeaderEpoch,
    pub partition_epoch: i32,
    pub committed: Vec<BrokerId>,
    /// Replicas that may be members, with the broker epochs of the metadata: unfenced and not shutting down.
    pub eligible: BTreeMap<BrokerId, i64>,
    pub lag_max: Duration,
    pub pending: Option<Box<Pending>>,
    /// No new proposal before (`Now::mono`).
    pub not_before: Duration,
}

/// A change whose outcome is not known from the metadata yet.
#[derive(Clone, Debug)]
pub(super) struct Pending {
    proposal: IsrProposal,
    phase: Phase,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// With the controller.
    InFlight,
    /// To be sent again.
    RetryAt(Duration),
    /// Outdated by something that the metadata will tell.
    AwaitsMetadata,
}

/// What an error says of the fate of a proposal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// It was not and will not be committed.
    RolledBack,
    /// The partition has moved on.
    Outdated,
    /// Perhaps committed, perhaps not.
    Unknown,
}

impl IsrState {
    /// Whether the replica is a member, or might be one by now.
    pub fn is_maximal(&self, replica: BrokerId) -> bool {
        self.committed.contains(&replica)
            || self.pending.as_ref().is_some_and(|pending| pending.names(replica))
    }

    /// Committed and proposed members, ascending.
    pub fn maximal(&self) -> Vec<BrokerId> {
        let proposed =
            self.pending.iter().flat_map(|pending| &pending.proposal.isr).map(|(member, _)| *member);
        let mut members: Vec<BrokerId> = self.committed.iter().copied().chain(proposed).collect();
        members.sort_unstable();
        members.dedup();
        members
    }

    /// Whether the high watermark waits for a replica that is no member: one that keeps up and may join. A replica that
    /// is always a little behind could otherwise never reach it.
    pub fn awaits(&self, replica: BrokerId, follower: &Follower, sight: &Sight) -> bool {
        self.is_eligible(replica, follower) && !self.is_lagging(follower, sight)
    }

    /// The next thing to send to the controller, if there is one: a retry, else a shrink, else an expansion.
    /// A shrink goes first because what it removes holds the high watermark back.
    pub fn proposal(
        &mut self,
        followers: &BTreeMap<BrokerId, Follower>,
        sight: &Sight,
    ) -> Option<IsrProposal> {
        if let Some(pending) = &mut self.pending {
            return pending.retry(sight.now);
        }
        if sight.now < self.not_before {
            return None;
        }
        let chosen = |wanted: &dyn Fn(BrokerId, &Follower) -> bool| -> Vec<BrokerId> {
            followers.iter().filter(|(id, follower)| wanted(**id, follower)).map(|(id, _)| *id).collect()
        };
        let is_member = |replica: BrokerId| self.committed.contains(&replica);
        let lost = chosen(&|id, follower| is_member(id) && self.is_out_of_sync(follower, sight));
        let joining = match lost.is_empty() {
            true => chosen(&|id, follower| !is_member(id) && self.may_join(id, follower, sight)),
            false => Vec::new(),
        };
        if lost.is_empty() && joining.is_empty() {
            return None;
        }
        let kept = self.committed.iter().filter(|member| !lost.contains(member));
        let mut isr: Vec<BrokerId> = kept.copied().chain(joining).collect();
        isr.sort_unstable();
        // A member that the metadata fence or renew in these moments is about to be removed there: the controller would
        // refuse it, and a changed image comes anyway.
        let isr =
            isr.iter().map(|member| Some((*member, *self.eligible.get(member)?))).collect::<Option<_>>()?;
        let (leader_epoch, partition_epoch) = (self.leader_epoch, self.partition_epoch);
        let proposal = IsrProposal { leader_epoch, partition_epoch, isr };
        self.pending = Some(Box::new(Pending { proposal: proposal.clone(), phase: Phase::InFlight }));
        Some(proposal)
    }

    /// The controller's answer; one to anything but the pending proposal is ignored.
    pub fn on_answer(&mut self, proposal: &IsrProposal, answer: IsrAnswer, now: Duration) {
        let Some(pending) = self.pending.as_mut().filter(|pending| pending.proposal == *proposal) else {
            return;
        };
        match answer {
            Ok(committed) if committed.leader_epoch == self.leader_epoch => {
                if committed.partition_epoch > self.partition_epoch {
                    self.commit(committed.partition_epoch, committed.isr);
                } else {
                    // On the same state the controller saw nothing to change: it never will by this proposal.
                    self.roll_back(now);
                }
            }
            Ok(_) => pending.phase = Phase::AwaitsMetadata,
            Err(code) => match fate(code) {
                Fate::RolledBack => self.roll_back(now),
                Fate::Outdated => pending.phase = Phase::AwaitsMetadata,
                Fate::Unknown => pending.phase = Phase::RetryAt(now + PROPOSAL_PAUSE),
            },
        }
    }

    /// A newer state of the partition overrides what is pending.
    pub fn commit(&mut self, partition_epoch: i32, isr: Vec<BrokerId>) {
        assert!(partition_epoch > self.partition_epoch, "partition epochs grow");
        assert!(isr.contains(&self.leader), "a leader is in sync with itself");
        self.partition_epoch = partition_epoch;
        self.committed = isr;
        self.pending = None;
    }

    fn roll_back(&mut self, now: Duration) {
        self.pending = None;
        self.not_before = now + PROPOSAL_PAUSE;
    }

    /// When something is due by time alone: a retry, a member or a joining replica falling behind, the end of a pause.
    /// What was due by `sight.now` has been looked at.
    pub fn next_deadline(&self, followers: &BTreeMap<BrokerId, Follower>, sight: &Sight) -> Option<Duration> {
        let pending = match &self.pending {
            Some(pending) => match pending.phase {
                Phase::RetryAt(at) => Some(at),
                Phase::InFlight | Phase::AwaitsMetadata => None,
            },
            None => Some(self.not_before).filter(|at| *at > sight.now),
        };
        let falls_behind = followers.iter().filter_map(|(replica, follower)| {
            let is_awaited = if self.committed.contains(replica) {
                self.pending.is_none()
            } else {
                self.is_eligible(*replica, follower)
            };
            let is_behind = follower.progress().end(sight.rule) < sight.leader_end;
            let at = follower.last_caught_up().filter(|_| is_awaited && is_behind)? + self.lag_max;
            Some(at.max(self.not_before)).filter(|at| *at > sight.now)
        });
        falls_behind.chain(pending).min()
    }

    /// Heard of in this leader epoch, by the very incarnation that the metadata call unfenced and not shutting down.
    fn is_eligible(&self, replica: BrokerId, follower: &Follower) -> bool {
        let fetched = follower.broker_epoch();
        fetched.is_some() && self.eligible.get(&replica).copied() == fetched
    }

    /// It has what is committed, and what this leader took over: below that it may lack what an earlier leader
    /// committed and this one has not recounted yet.
    fn may_join(&self, replica: BrokerId, follower: &Follower, sight: &Sight) -> bool {
        let end = follower.progress().end(sight.rule);
        self.is_eligible(replica, follower) && end >= sight.high_watermark && end >= sight.leader_epoch_start
    }

    fn is_out_of_sync(&self, follower: &Follower, sight: &Sight) -> bool {
        // A member without what is committed has lost it: its disk did not keep what it said.
        let has_lost =
            follower.broker_epoch().is_some() && follower.progress().append_end < sight.high_watermark;
        has_lost || self.is_lagging(follower, sight)
    }

    fn is_lagging(&self, follower: &Follower, sight: &Sight) -> bool {
        let is_behind = follower.progress().end(sight.rule) < sight.leader_end;
        is_behind && follower.last_caught_up().is_none_or(|at| sight.now >= at + self.lag_max)
    }

    /// Planted bug: a proposed shrink counts at once.
    #[cfg(test)]
    pub fn trust_proposal(&mut self) {
        if let Some(pending) = &self.pending {
            let proposed: Vec<BrokerId> = pending.proposal.isr.iter().map(|(member, _)| *member).collect();
            self.committed.retain(|member| proposed.contains(member));
        }
    }
}

impl Pending {
    fn names(&self, replica: BrokerId) -> bool {
        self.proposal.isr.iter().any(|(member, _)| *member == replica)
    }

    fn retry(&mut self, now: Duration) -> Option<IsrProposal> {
        match self.phase {
            Phase::RetryAt(at) if now >= at => {
                self.phase = Phase::InFlight;
                Some(self.proposal.clone())
            }
            _ => None,
        }
    }
}

fn fate(code: ErrorCode) -> Fate {
    match code {
        ErrorCode::IneligibleReplica | ErrorCode::OperationNotAttempted => Fate::RolledBack,
        ErrorCode::FencedLeaderEpoch
        | ErrorCode::InvalidUpdateVersion
        | ErrorCode::InvalidRequest
        | ErrorCode::UnknownTopicOrPartition
        | ErrorCode::UnknownTopicId
        | ErrorCode::NewLeaderElected => Fate::Outdated,
        _ => Fate::Unknown,
    }
}

#[cfg(test)]
mod tests;
