//! [`FollowerState`]: what a follower asks of its leader within one leader epoch, and what an answer means for its log.
//!
//! Written by the partition's writer only; the log stays beside it and does as the returned [`FollowerStep`] says. What
//! always holds: a log is cut only where its leader's epochs show that the two part (KIP-101, KIP-279), never to the
//! high watermark; an answer counts only for the very position it was asked from, so late ones do nothing.
//!
//! ```text
//!             ┌────────────── Append: fetch on ◀── records ───┐
//!   position ─┼─ ask leader ─▶ Truncate, and ask again ◀── diverging, may take several rounds
//!             ├────────────── Restart at the leader's start ◀── out of range, and nothing to compare
//!             └────────────── AwaitMetadata ◀── this leader epoch is over
//! ```

use serde::{Deserialize, Serialize};
use tidemark_protocol::error_code::ErrorCode;
use tidemark_protocol::types::{BrokerId, LeaderEpoch, Offset};

use super::epochs::{EpochLog, FetchPosition, cut_for};

/// A leader's answer for one partition, as it is sent, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FetchAnswer {
    /// The position agrees: records from it on, perhaps none.
    Records {
        /// Offsets of the records, first and exclusive end; `None` when only the marks below are news.
        range: Option<(Offset, Offset)>,
        /// The leader's high watermark.
        high_watermark: Offset,
        /// The leader's log start.
        log_start: Offset,
    },
    /// The logs part before the position.
    Diverging {
        /// The leader's largest epoch not above the follower's last.
        epoch: LeaderEpoch,
        /// Its exclusive end.
        end_offset: Offset,
        /// The leader's log start.
        log_start: Offset,
    },
    /// The position is outside of the leader's log, or the leader cannot place its epoch.
    OutOfRange {
        /// The leader's log start.
        log_start: Offset,
        /// The leader's log end, exclusive.
        log_end: Offset,
    },
    /// Anything else.
    Error(#[serde(with = "crate::error_code_as_number")] ErrorCode),
}

/// What to do with the log, then fetch from the new [`FollowerState::position`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FollowerStep {
    /// Append the records, if the answer has any, then adopt both marks, which lie within the log then.
    Append {
        /// The high watermark: it may be lower than the one before, after a change of leaders.
        high_watermark: Offset,
        /// The log start; never lower than the one before.
        log_start: Offset,
    },
    /// Cut everything at or after the offset, durably, before anything else is said of the log. The high watermark goes
    /// down with it.
    Truncate {
        /// The new end; below it may come a batch's start.
        to: Offset,
    },
    /// Drop the whole log and go on, empty, from the offset; it is the high watermark, too.
    Restart {
        /// The new start and end.
        at: Offset,
    },
    /// This leader epoch is over: nothing more is asked until the metadata bring the next.
    AwaitMetadata,
    /// Nothing changes; ask the same again after a pause.
    Retry(ErrorCode),
    /// The answer is to something asked long ago.
    Ignore,
}

/// The follower's side of one partition in one leader epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FollowerState {
    leader: BrokerId,
    leader_epoch: LeaderEpoch,
    agrees: bool,
    is_over: bool,
}

impl FollowerState {
    /// Begins to follow. Nothing is cut: the first fetch tells whether anything must be.
    pub fn new(leader: BrokerId, leader_epoch: LeaderEpoch) -> FollowerState {
        FollowerState { leader, leader_epoch, agrees: false, is_over: false }
    }

    /// Whom to ask.
    pub fn leader(&self) -> BrokerId {
        self.leader
    }

    /// The epoch this state belongs to.
    pub fn leader_epoch(&self) -> LeaderEpoch {
        self.leader_epoch
    }

    /// Whether the leader has found the log to be a prefix of its own, in this leader epoch. Finished syncs are told
    /// (`ReplicaDurable`) only then: until then the log may be cut, and a word of it that arrives late would still count.
    pub fn agrees(&self) -> bool {
        self.agrees
    }

    /// What to ask for next; `None` once the leader epoch is known to be over.
    pub fn position(&self, log: &impl EpochLog) -> Option<FetchPosition> {
        let position = FetchPosition {
            leader_epoch: self.leader_epoch,
            last_fetched_epoch: log.last_epoch(),
            fetch_offset: log.log_end(),
        };
        (!self.is_over).then_some(position)
    }

    /// The answer to what was asked from the position `asked`.
    pub fn on_answer(
        &mut self,
        asked: &FetchPosition,
        answer: &FetchAnswer,
        log: &impl EpochLog,
    ) -> FollowerStep {
        if self.position(log) != Some(*asked) {
            return FollowerStep::Ignore;
        }
        match *answer {
            FetchAnswer::Records { range, high_watermark, log_start } => {
                self.agrees = true;
                append(range, high_watermark, log_start, log)
            }
            FetchAnswer::Diverging { epoch, end_offset, log_start } => {
                diverge(asked, epoch, end_offset, log_start, log)
            }
            FetchAnswer::OutOfRange { log_start, log_end } => reset(log_start, log_end, log),
            FetchAnswer::Error(ErrorCode::FencedLeaderEpoch) => {
                self.is_over = true;
                FollowerStep::AwaitMetadata
            }
            // An unknown epoch or a broker that does not lead yet: the leader may hear of its role later than this
            // replica, and then no metadata come that would wake it.
            FetchAnswer::Error(code) => FollowerStep::Retry(code),
        }
    }
}

fn append(
    range: Option<(Offset, Offset)>,
    high_watermark: Offset,
    log_start: Offset,
    log: &impl EpochLog,
) -> FollowerStep {
    let log_end = log.log_end();
    let (first, end) = range.unwrap_or((log_end, log_end));
    // Compaction leaves gaps, so records may begin later than asked for; records from before are not what was asked.
    if first < log_end || end < first {
        return FollowerStep::Retry(ErrorCode::CorruptMessage);
    }
    let log_start = log_start.max(log.log_start()).min(end);
    FollowerStep::Append { high_watermark: high_watermark.clamp(log_start, end), log_start }
}

fn diverge(
    asked: &FetchPosition,
    epoch: LeaderEpoch,
    end_offset: Offset,
    leader_start: Offset,
    log: &impl EpochLog,
) -> FollowerStep {
    let is_sound = asked.last_fetched_epoch.is_some_and(|last| epoch <= last);
    match cut_for(epoch, end_offset, log).filter(|to| is_sound && *to < log.log_end()) {
        Some(to) if to >= log.log_start() => FollowerStep::Truncate { to },
        // Nothing of this log is the leader's.
        Some(_) => FollowerStep::Restart { at: leader_start },
        // It says that nothing has to be cut, so the logs do not part there: no leader answers so.
        None => FollowerStep::Retry(ErrorCode::UnknownServerError),
    }
}

/// Kafka keeps what a leader with a longer log cannot refute ("we don't fix this mismatch", AbstractFetcherThread); here
/// a log is compared by epochs, and one that cannot be compared is fetched anew.
fn reset(leader_start: Offset, leader_end: Offset, log: &impl EpochLog) -> FollowerStep {
    let (start, end) = (log.log_start(), log.log_end());
    let is_ahead = leader_end < end;
    if is_ahead && start < leader_end && leader_start <= leader_end {
        // From there the next fetch is compared by its epoch.
        return FollowerStep::Truncate { to: leader_end };
    }
    FollowerStep::Restart { at: leader_start }
}

#[cfg(test)]
mod tests;
