//! [`Follower`]: what a leader knows of one other replica within one leader epoch.
//!
//! Written by the leader's state only. Always holds: `durable_end ≤ append_end`, and neither passes the leader's log end
//! at the time of the report, because what the leader lacks is not its log. A replica counts as heard of only once a
//! fetch of this leader epoch was taken: an end from another epoch may since have been cut.

use std::time::Duration;

use tidemark_protocol::error_code::ErrorCode;
use tidemark_protocol::types::{BrokerId, LeaderEpoch, Now, Offset};

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
    /// The end that counts under `rule`.
    pub fn end(&self, rule: FlushRule) -> Offset {
        match rule {
            FlushRule::Durable => self.durable_end,
            FlushRule::Appended => self.append_end,
        }
    }
}

/// What a follower says of itself with each fetch; its position was found to agree with the leader's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplicaFetchState {
    /// The leader epoch the follower is in.
    pub leader_epoch: LeaderEpoch,
    /// The follower's incarnation (KIP-903); there is no value that means "do not check".
    pub broker_epoch: i64,
    /// The offset it fetches from: its log end.
    pub append_end: Offset,
    /// How far its log is flushed.
    pub durable_end: Offset,
    /// Where its log starts.
    pub log_start: Offset,
}

/// A follower's word that a sync has finished, sent while its fetch waits at the leader, and only once its log was found
/// to agree in this leader epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplicaDurable {
    /// The leader epoch the follower is in.
    pub leader_epoch: LeaderEpoch,
    /// The follower's incarnation.
    pub broker_epoch: i64,
    /// How far its log is flushed.
    pub durable_end: Offset,
}

/// Why a leader does not take a follower's fetch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FetchRefused {
    /// The follower is in an older leader epoch than the leader.
    #[error("leader epoch {asked} is over, the current one is {current}")]
    FencedLeaderEpoch {
        /// The follower's.
        asked: LeaderEpoch,
        /// The leader's.
        current: LeaderEpoch,
    },
    /// The follower is in a leader epoch that the leader has not heard of.
    #[error("leader epoch {asked} is not known, the current one is {current}")]
    UnknownLeaderEpoch {
        /// The follower's.
        asked: LeaderEpoch,
        /// The leader's.
        current: LeaderEpoch,
    },
    /// The fetching broker holds no replica as far as the leader knows.
    #[error("broker {replica} is not assigned to the partition")]
    NotAssigned {
        /// The fetching broker.
        replica: BrokerId,
    },
    /// The fetch comes from an incarnation of the broker that is known to be over.
    #[error("broker {replica} fetched with broker epoch {asked}, known is {known}")]
    StaleBrokerEpoch {
        /// The fetching broker.
        replica: BrokerId,
        /// The epoch it fetched with.
        asked: i64,
        /// The newest epoch known of it.
        known: i64,
    },
}

impl FetchRefused {
    /// Kafka's code for it.
    pub fn code(&self) -> ErrorCode {
        match self {
            FetchRefused::FencedLeaderEpoch { .. } => ErrorCode::FencedLeaderEpoch,
            // Kafka answers so, too: the leader may merely not have heard of the assignment yet.
            FetchRefused::UnknownLeaderEpoch { .. } | FetchRefused::NotAssigned { .. } => {
                ErrorCode::UnknownLeaderEpoch
            }
            FetchRefused::StaleBrokerEpoch { .. } => ErrorCode::NotLeaderOrFollower,
        }
    }
}

/// Whether a fetch belongs to the leader's epoch; the first thing to ask, before anything is read.
pub fn check_leader_epoch(asked: LeaderEpoch, current: LeaderEpoch) -> Result<(), FetchRefused> {
    match asked.cmp(&current) {
        std::cmp::Ordering::Less => Err(FetchRefused::FencedLeaderEpoch { asked, current }),
        std::cmp::Ordering::Equal => Ok(()),
        std::cmp::Ordering::Greater => Err(FetchRefused::UnknownLeaderEpoch { asked, current }),
    }
}

/// One follower as its leader knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Follower {
    /// As of the last fetch.
    fetched: ReplicaProgress,
    /// How far finished syncs were told; a fetch that was sent before may be taken after.
    told: Offset,
    log_start: Offset,
    broker_epoch: Option<i64>,
    last_fetch: Option<Duration>,
    last_caught_up: Option<Duration>,
    mark: Option<Mark>,
}

/// The leader's log end at some time: a follower that reaches it was caught up then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Mark {
    at: Duration,
    leader_end: Offset,
}

impl Follower {
    /// Nothing is known of its log yet. A member of the ISR gets `replica.lag.time.max.ms` from now on to be heard of.
    pub fn new(in_isr: bool, now: Duration) -> Follower {
        Follower {
            fetched: ReplicaProgress::default(),
            told: 0,
            log_start: 0,
            broker_epoch: None,
            last_fetch: None,
            last_caught_up: in_isr.then_some(now),
            mark: None,
        }
    }

    /// Takes the news of a fetch. It may say less than the one before: a follower that lost records says so.
    pub fn on_fetch(&mut self, fetch: &ReplicaFetchState, leader_end: Offset, rule: FlushRule, now: Now) {
        let append_end = fetch.append_end.min(leader_end);
        // Fetches come in order: one from before its last place is of a log that was begun anew.
        if append_end < self.fetched.append_end || self.broker_epoch != Some(fetch.broker_epoch) {
            self.told = 0;
        }
        self.fetched = ReplicaProgress { append_end, durable_end: fetch.durable_end.min(append_end) };
        self.log_start = fetch.log_start;
        self.broker_epoch = Some(fetch.broker_epoch);
        self.last_fetch = Some(now.mono);
        self.note_caught_up(leader_end, rule, now.mono);
    }

    /// Takes the news of a finished sync, if it is of the incarnation that fetches; returns whether it was.
    ///
    /// It may be taken before fetches that were sent before it, and those take nothing back: from its first agreement on
    /// the follower's log is a prefix of the leader's for all of the leader epoch, and only grows.
    pub fn on_durable(
        &mut self,
        durable: &ReplicaDurable,
        leader_end: Offset,
        rule: FlushRule,
        now: Now,
    ) -> bool {
        if self.broker_epoch != Some(durable.broker_epoch) {
            return false;
        }
        self.told = self.told.max(durable.durable_end.min(leader_end));
        self.note_caught_up(leader_end, rule, now.mono);
        true
    }

    /// Its ends; nothing until it is heard of.
    pub fn progress(&self) -> ReplicaProgress {
        let ReplicaProgress { append_end, durable_end } = self.fetched;
        ReplicaProgress { append_end: append_end.max(self.told), durable_end: durable_end.max(self.told) }
    }

    /// The start of its log.
    pub fn log_start(&self) -> Offset {
        self.log_start
    }

    /// The incarnation that fetched last; `None` until it is heard of in this leader epoch.
    pub fn broker_epoch(&self) -> Option<i64> {
        self.broker_epoch
    }

    /// When it fetched last in this leader epoch.
    pub fn last_fetch(&self) -> Option<Duration> {
        self.last_fetch
    }

    /// The last time at which it is known to have had all that the leader had; `None` when there is none.
    pub fn last_caught_up(&self) -> Option<Duration> {
        self.last_caught_up
    }

    /// Caught up now, or at the time of an earlier report whose leader end is reached now.
    ///
    /// Kafka looks back by one fetch (`Replica.updateFetchState`). Here a sync may take longer than several pipelined
    /// fetches, and an end that is always two fetches behind would never count: so a mark stays until it is reached.
    fn note_caught_up(&mut self, leader_end: Offset, rule: FlushRule, now: Duration) {
        let end = self.progress().end(rule);
        if end >= leader_end {
            self.last_caught_up = Some(now);
            self.mark = None;
            return;
        }
        match self.mark {
            Some(mark) if end < mark.leader_end => {}
            reached => {
                if let Some(mark) = reached {
                    self.last_caught_up = self.last_caught_up.max(Some(mark.at));
                }
                self.mark = Some(Mark { at: now, leader_end });
            }
        }
    }
}

#[cfg(test)]
mod tests;
