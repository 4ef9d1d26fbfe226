//! Where two logs part: a fetch position is checked by leader epochs before anything is read (KIP-320, KIP-595), and a
//! follower whose log differs finds the end of what is common (KIP-279).
//!
//! Pure questions on a log's epochs; the log stays with whoever owns it. What always holds for a log with epochs: two
//! logs whose record before an offset is of the same epoch are equal up to that offset.
//!
//! ```text
//! leader    1 1 1 1 3 3 3 5      end of epoch 2 for the leader: (1, 4)
//! follower  1 1 1 1 2 2 .        fetches (offset 6, epoch 2) and is told (1, 4): cuts to 4
//! ```

use serde::{Deserialize, Serialize};
use tidemark_protocol::types::{LeaderEpoch, Offset};

/// What is asked of a local log; only looks.
pub trait EpochLog {
    /// First offset, inclusive.
    fn log_start(&self) -> Offset;

    /// End of what is appended, exclusive.
    fn log_end(&self) -> Offset;

    /// The newest leader epoch that begins at or before `offset`; `None` when all known ones begin later.
    fn epoch_at(&self, offset: Offset) -> Option<LeaderEpoch>;

    /// OffsetForLeaderEpoch: the largest epoch known that is not above `epoch`, and its exclusive end; (−1, −1) when
    /// `epoch` is above all that are known.
    fn epoch_end(&self, epoch: LeaderEpoch) -> (LeaderEpoch, Offset);

    /// Leader epoch of the record before the log's end; `None` for an empty log. Not the newest epoch that is known: a
    /// leader that wrote nothing leaves one at its end that no other replica need have had.
    fn last_epoch(&self) -> Option<LeaderEpoch> {
        if self.log_start() < self.log_end() { self.epoch_at(self.log_end() - 1) } else { None }
    }
}

/// Where a follower's log ends, in one leader epoch: what it asks for next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FetchPosition {
    /// The leader epoch the follower is in.
    pub leader_epoch: LeaderEpoch,
    /// Epoch of its last record; `None` when its log is empty.
    pub last_fetched_epoch: Option<LeaderEpoch>,
    /// Its log end.
    pub fetch_offset: Offset,
}

/// What a leader finds of a position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Agreement {
    /// The follower's log is a prefix of the leader's: read from the position, and note the follower's ends.
    Agrees,
    /// The logs part before the position; nothing may be noted of the follower.
    Diverges {
        /// The leader's largest epoch that is not above the follower's last.
        epoch: LeaderEpoch,
        /// Its end in the leader's log, exclusive.
        end_offset: Offset,
    },
    /// The position is outside of the leader's log, or of an epoch that the leader cannot place.
    OutOfRange,
}

/// Compares a follower's position with the leader's log, which knows the epoch it leads.
pub fn compare(position: &FetchPosition, log: &impl EpochLog) -> Agreement {
    let asked = position.fetch_offset;
    let is_inside = log.log_start() <= asked && asked <= log.log_end();
    let Some(last) = position.last_fetched_epoch else {
        return if is_inside { Agreement::Agrees } else { Agreement::OutOfRange };
    };
    // An epoch that is older than all of this log cannot be compared any more, whatever `epoch_end` makes of it: records
    // of it below the log's start may be those of a leader that lost. Kafka takes them for its own.
    let is_known = log.epoch_at(log.log_start()).is_some_and(|first| first <= last);
    let (epoch, end_offset) = log.epoch_end(last);
    if !is_known || epoch < 0 || asked < log.log_start() {
        return Agreement::OutOfRange;
    }
    if epoch < last || end_offset < asked {
        return Agreement::Diverges { epoch, end_offset };
    }
    Agreement::Agrees
}

/// Where a follower cuts its log when told that the leader's largest common epoch is `epoch` and ends at `end_offset`.
/// When the follower does not have that epoch, it cuts to the end of the largest it has below and asks again, so
/// several rounds may pass. `None` when the answer is about an epoch above the follower's own, which no leader gives.
pub fn cut_for(epoch: LeaderEpoch, end_offset: Offset, log: &impl EpochLog) -> Option<Offset> {
    let (own_epoch, own_end) = log.epoch_end(epoch);
    if own_epoch < 0 || end_offset < 0 {
        return None;
    }
    let own_end = own_end.min(log.log_end());
    Some(if own_epoch == epoch { own_end.min(end_offset) } else { own_end })
}
