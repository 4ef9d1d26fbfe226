//! [`Room`]: zeros at the end of a segment that grows, so that a sync has only the written bytes to write.
//!
//! An append that makes a file longer changes its length and its list of blocks too, and a sync writes those as well:
//! twice the writes, and a commit of the file system's journal where it has one. So the file of a segment that grows is
//! made longer ahead of the appends, a step at a time. The room is given back when the segment is sealed, rests or is
//! closed; after a crash the opening finds zeros behind the last batch and cuts them. A small segment gets none: it may
//! be one of very many.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::disk::File;

/// How much room, and for whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RoomPolicy {
    /// Bytes of the smallest segment that gets room.
    pub from_bytes: u64,
    /// The room ends at multiples of this: few calls for a fast log, little to give back for a slow one.
    pub step_bytes: u64,
}

impl Default for RoomPolicy {
    fn default() -> Self {
        RoomPolicy { from_bytes: 256 << 10, step_bytes: 1 << 20 }
    }
}

/// How far the file was made longer; written by the log's owner alone.
#[derive(Debug, Default)]
pub(super) struct Room {
    /// Length of the file with its room; 0 for none.
    to: AtomicU64,
    /// There was some, whose cut may not be on the disk yet.
    was_there: AtomicBool,
}

impl Room {
    /// Sees to it that the file reaches beyond `end`, where the next append ends, if the segment is of a size for that.
    pub(super) fn make(&self, file: &dyn File, end: u64, policy: RoomPolicy) {
        if end < policy.from_bytes || end <= self.to.load(Ordering::Relaxed) {
            return;
        }
        let to = (end / policy.step_bytes + 1) * policy.step_bytes;
        // A disk without room, or that knows no such thing: the append itself will tell what is to be told.
        let _ = file.extend(to);
        self.to.store(to, Ordering::Relaxed);
        self.was_there.store(true, Ordering::Relaxed);
    }

    /// Whether there may be some.
    pub(super) fn is_there(&self) -> bool {
        self.to.load(Ordering::Relaxed) > 0
    }

    /// Whether there ever was any since the log was opened.
    pub(super) fn was_there(&self) -> bool {
        self.was_there.load(Ordering::Relaxed)
    }

    /// The file is about to be cut.
    pub(super) fn forget(&self) {
        self.to.store(0, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests;
