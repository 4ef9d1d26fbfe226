//! LeaderEpochCache: which leader epoch wrote which offsets of one log.
//!
//! Owned and written by the partition's log. What always holds: both `epoch` and `start` of the entries increase
//! strictly. An entry covers `[start, start of the next entry)`, the last one `[start, log end)`. It answers
//! OffsetForLeaderEpoch and finds where two logs part (KIP-101, KIP-279).
//!
//! The file `leader-epoch-checkpoint` is a `checkpoint` of kind `TMLE`, version 1: a u32 count, then per entry
//! epoch (i32) and start (i64), all big-endian. It may be older than the log, never wrong about what it says below the
//! log's durable end: batches above it carry their epoch, so recovery assigns what it scans.

use std::path::Path;

use tidemark_protocol::types::{LeaderEpoch, Offset};

use crate::checkpoint::{self, CheckpointError, Durability, Format};
use crate::disk::Disk;

/// Name of the file in the partition's directory.
pub const FILE_NAME: &str = "leader-epoch-checkpoint";
const FORMAT: Format = Format { kind: *b"TMLE", version: 1 };
const ENTRY_LEN: usize = 12;
/// The answer "no such epoch".
pub const UNKNOWN: (LeaderEpoch, Offset) = (-1, -1);

/// One leader's reign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpochEntry {
    /// The leader epoch.
    pub epoch: LeaderEpoch,
    /// First offset it wrote, or would have written.
    pub start: Offset,
}

/// The epochs of one log, oldest first. An empty cache owns no memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LeaderEpochCache {
    entries: Vec<EpochEntry>,
    dirty: bool,
}

impl LeaderEpochCache {
    /// A cache that knows no epoch.
    pub fn new() -> Self {
        Self::default()
    }

    /// Notes that `epoch` begins at `start`; returns whether anything changed. Entries that contradict the new one (same
    /// or later epoch, same or later start) go: they belong to a suffix that is no longer in the log, or wrote nothing.
    /// A batch of the latest epoch changes nothing.
    pub fn assign(&mut self, epoch: LeaderEpoch, start: Offset) -> bool {
        if epoch < 0 || start < 0 {
            return false;
        }
        if self.entries.last().is_some_and(|last| last.epoch == epoch && last.start <= start) {
            return false;
        }
        // Below an epoch without records that goes may be this very epoch: a follower that led for a moment receives
        // what the epoch before had written.
        let contradicts = |last: &EpochEntry| {
            last.epoch > epoch || last.start > start || (last.epoch < epoch && last.start == start)
        };
        while self.entries.last().is_some_and(contradicts) {
            self.entries.pop();
        }
        if self.entries.last().is_none_or(|last| last.epoch != epoch) {
            self.entries.push(EpochEntry { epoch, start });
        }
        self.dirty = true;
        true
    }

    /// The latest epoch, if any is known.
    pub fn latest(&self) -> Option<EpochEntry> {
        self.entries.last().copied()
    }

    /// The epoch before the latest.
    pub fn previous(&self) -> Option<EpochEntry> {
        self.entries.iter().rev().nth(1).copied()
    }

    /// All entries, oldest first.
    pub fn entries(&self) -> &[EpochEntry] {
        &self.entries
    }

    /// The epoch that wrote `offset`, if the cache reaches that far back.
    pub fn epoch_for(&self, offset: Offset) -> Option<LeaderEpoch> {
        let after = self.entries.partition_point(|entry| entry.start <= offset);
        after.checked_sub(1).map(|i| self.entries[i].epoch)
    }

    /// OffsetForLeaderEpoch: the largest known epoch that is not above `asked`, and its exclusive end. [`UNKNOWN`] when
    /// `asked` is above every known epoch, or negative. An epoch older than all known ones ends where these begin.
    pub fn end_offset_for(&self, asked: LeaderEpoch, log_end: Offset) -> (LeaderEpoch, Offset) {
        let after = self.entries.partition_point(|entry| entry.epoch <= asked);
        let floor = after.checked_sub(1).map(|i| self.entries[i].epoch);
        match self.entries.get(after) {
            _ if asked < 0 => UNKNOWN,
            Some(higher) => (floor.unwrap_or(asked), higher.start),
            None if floor == Some(asked) => (asked, log_end),
            None => UNKNOWN,
        }
    }

    /// Forgets what began at or after `end`, the log's new exclusive end; returns whether anything changed.
    pub fn truncate_from_end(&mut self, end: Offset) -> bool {
        let keep = self.entries.partition_point(|entry| entry.start < end);
        let changed = keep < self.entries.len();
        self.entries.truncate(keep);
        self.dirty |= changed;
        changed
    }

    /// Forgets what ended at or before `start`, the log's new first offset; the epoch that covers `start` now begins
    /// there. Returns whether anything changed.
    pub fn truncate_from_start(&mut self, start: Offset) -> bool {
        let after = self.entries.partition_point(|entry| entry.start <= start);
        let Some(covering) = after.checked_sub(1) else { return false };
        if covering == 0 && self.entries[0].start == start {
            return false;
        }
        self.entries.drain(..covering);
        self.entries[0].start = start;
        self.dirty = true;
        true
    }

    /// Forgets everything: the log starts anew elsewhere.
    pub fn clear(&mut self) {
        self.dirty |= !self.entries.is_empty();
        self.entries = Vec::new();
    }

    /// Whether the file does not yet say what the cache says.
    pub fn is_dirty(&self) -> bool {
        self.dirty
    }

    /// Writes the file. Must be done, synced, before an offset of a new epoch is claimed durable, and after a truncation
    /// before anything above it is.
    pub fn store(&mut self, disk: &dyn Disk, dir: &Path, durability: Durability) -> std::io::Result<()> {
        checkpoint::write(disk, &dir.join(FILE_NAME), FORMAT, &self.encode(), durability)?;
        self.dirty = false;
        Ok(())
    }

    /// Reads the file; `None` when there is none. On damage the caller rebuilds by assigning every batch of the log.
    pub fn load(disk: &dyn Disk, dir: &Path) -> Result<Option<Self>, CheckpointError> {
        let path = dir.join(FILE_NAME);
        let Some((_, payload)) = checkpoint::read(disk, &path, FORMAT)? else { return Ok(None) };
        match Self::decode(&payload) {
            Some(cache) => Ok(Some(cache)),
            None => Err(CheckpointError::Damaged { path, what: "epochs do not increase" }),
        }
    }

    fn encode(&self) -> Vec<u8> {
        let count = u32::try_from(self.entries.len()).expect("epochs are counted by an i32");
        let mut payload = Vec::with_capacity(4 + self.entries.len() * ENTRY_LEN);
        payload.extend_from_slice(&count.to_be_bytes());
        for entry in &self.entries {
            payload.extend_from_slice(&entry.epoch.to_be_bytes());
            payload.extend_from_slice(&entry.start.to_be_bytes());
        }
        payload
    }

    fn decode(payload: &[u8]) -> Option<Self> {
        let (count, rest) = payload.split_first_chunk::<4>()?;
        if rest.len() != u32::from_be_bytes(*count) as usize * ENTRY_LEN {
            return None;
        }
        let mut entries = Vec::with_capacity(rest.len() / ENTRY_LEN);
        for bytes in rest.chunks_exact(ENTRY_LEN) {
            let (epoch, start) = bytes.split_first_chunk::<4>()?;
            let entry = EpochEntry {
                epoch: i32::from_be_bytes(*epoch),
                start: i64::from_be_bytes(start.try_into().ok()?),
            };
            let grows = entries
                .last()
                .is_none_or(|last: &EpochEntry| last.epoch < entry.epoch && last.start < entry.start);
            if entry.epoch < 0 || entry.start < 0 || !grows {
                return None;
            }
            entries.push(entry);
        }
        Some(LeaderEpochCache { entries, dirty: false })
    }
}

#[cfg(test)]
mod tests;
