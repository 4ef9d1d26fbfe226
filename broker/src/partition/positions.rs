//! [`Positions`]: where the followers of a partition stood when they asked last, as its fetch sessions heard it.
//!
//! For those who choose among replicas without asking the writer. What counts for the high watermark is the writer's own.

use std::sync::{Mutex, PoisonError};

use tidemark_protocol::types::{BrokerId, LeaderEpoch, Offset};

/// Where a follower stood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FollowerPosition {
    /// The follower.
    pub replica: BrokerId,
    /// The epoch it followed in.
    pub leader_epoch: LeaderEpoch,
    /// Where its log started.
    pub log_start: Offset,
    /// Where its log ended, exclusive.
    pub log_end: Offset,
}

/// One entry for each follower that ever asked; without any it keeps no memory.
#[derive(Debug, Default)]
pub struct Positions(Mutex<Vec<FollowerPosition>>);

impl Positions {
    /// A follower has asked.
    pub fn note(&self, position: FollowerPosition) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match all.iter_mut().find(|known| known.replica == position.replica) {
            Some(known) => *known = position,
            None => all.push(position),
        }
    }

    /// Those heard of in this leader epoch.
    pub fn in_epoch(&self, leader_epoch: LeaderEpoch) -> Vec<FollowerPosition> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter().filter(|known| known.leader_epoch == leader_epoch).copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_said_last_and_in_this_epoch_counts() {
        let positions = Positions::default();
        let at = |replica, leader_epoch, log_end| FollowerPosition {
            replica,
            leader_epoch,
            log_start: 0,
            log_end,
        };
        for position in [at(2, 4, 10), at(3, 5, 11), at(2, 5, 12), at(3, 5, 13)] {
            positions.note(position);
        }
        assert_eq!(positions.in_epoch(5), [at(2, 5, 12), at(3, 5, 13)]);
        assert!(positions.in_epoch(4).is_empty());
    }
}
