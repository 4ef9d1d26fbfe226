//! From written to durable: what to sync, and what may be claimed afterwards.

use std::io;
use std::sync::Arc;

use tidemark_protocol::types::Offset;

use super::outcome::Save;
use super::{Flush, Log, Position, Unsynced};
use crate::checkpoint::Durability;
use crate::disk::OpenMode;
use crate::epoch;
use crate::producer::{ProducerStateManager, snapshot};

/// Index and producers of the segment that grows are saved every so many bytes: after a crash no more than this is
/// walked again, at the cost of a few per cent more writing.
const SAVE_EVERY_BYTES: u64 = 64 << 20;

impl Log {
    /// What has to be synced; `None` when everything is durable. If any of the syncs fails, [`Log::fail`] must be called.
    pub fn begin_flush(&mut self) -> Option<Flush> {
        if self.failure.is_some() || (self.unsynced.is_empty() && self.durable.end == self.log_end) {
            return None;
        }
        let is_due = self.active().size() >= self.saved_position + SAVE_EVERY_BYTES;
        let save = is_due.then(|| Box::new(self.take_save()));
        let unsynced = std::mem::take(&mut self.unsynced);
        let position = self.end_position();
        let Unsynced { files, dirs, .. } = unsynced;
        Some(Flush { files, dirs, end: self.log_end, position, cuts: self.cuts, save })
    }

    fn end_position(&self) -> Position {
        let active = self.active();
        Position { end: self.log_end, segment_base: active.base_offset(), position: active.size() }
    }

    /// Everything in `flush` has been synced: `durable_end` moves to its end.
    pub fn finish_flush(&mut self, flush: Flush) {
        if flush.cuts != self.cuts || self.failure.is_some() {
            return;
        }
        assert!(flush.end <= self.log_end, "a flush ends within the log");
        self.durable = flush.position;
        self.settle();
        if let Some(save) = flush.save {
            self.write_save(&save);
        }
    }

    /// Before the first change since the opening: what an earlier process cut off the end of the log and did not sync must
    /// not come back below what is written now.
    pub(super) fn take_over(&mut self) -> io::Result<()> {
        if self.is_inherited {
            self.note_unsynced()?;
            self.unsynced.add_dir(&self.place.dir);
            self.is_inherited = false;
        }
        Ok(())
    }

    /// Has the last segment's file in what is to be synced.
    pub(super) fn note_unsynced(&mut self) -> io::Result<()> {
        if !self.unsynced.has_active {
            let file = self.active().file()?;
            self.unsynced.files.push(file);
            self.unsynced.has_active = true;
        }
        Ok(())
    }

    /// Writes the epochs; they are durable with the next flush.
    pub(super) fn store_epochs(&mut self) -> io::Result<()> {
        let (disk, dir) = (self.context.disk.clone(), self.place.dir.clone());
        Arc::make_mut(&mut self.epochs).store(&*disk, &dir, Durability::Relaxed)?;
        self.unsynced.files.push(disk.open(&dir.join(epoch::FILE_NAME), OpenMode::Read)?);
        self.unsynced.add_dir(&dir);
        Ok(())
    }

    /// Writes what is derived of sealed segments that have become durable.
    pub(super) fn settle(&mut self) {
        let durable_end = self.durable.end;
        let due = self.unsettled.partition_point(|u| u.end <= durable_end);
        for unsettled in self.unsettled.drain(..due).collect::<Vec<_>>() {
            unsettled.segment.settle();
            if let Some(producers) = unsettled.producers {
                self.write_snapshot(&producers, unsettled.end);
            }
        }
    }

    /// Saves index and producers of the segment that grows, if all of it is durable and it is not done yet.
    pub(super) fn save(&mut self) {
        if self.durable.end == self.log_end && self.saved_position != self.active().size() {
            let save = self.take_save();
            self.write_save(&save);
        }
    }

    fn take_save(&mut self) -> Save {
        self.saved_position = self.active().size();
        Save { offset: self.log_end, index: self.active().copy_index(), producers: self.producers.clone() }
    }

    fn write_save(&self, save: &Save) {
        if let Some(Err(error)) = save.index.as_ref().map(|index| index.write(&self.place, false)) {
            tracing::debug!(dir = %self.dir().display(), %error, "index not saved");
        }
        if let Some(producers) = &save.producers {
            self.write_snapshot(producers, save.offset);
        }
    }

    /// A snapshot that cannot be written only makes the next loading longer.
    fn write_snapshot(&self, producers: &ProducerStateManager, offset: Offset) {
        let written = producers.take_snapshot(self.disk(), self.dir(), offset, Durability::Relaxed);
        // Two are kept: an unsynced one may be damaged after a power failure, then the one before serves.
        let tidied = written.and_then(|()| {
            let offsets = snapshot::list(self.disk(), self.dir())?;
            match offsets.len().checked_sub(2) {
                Some(keep) if keep > 0 => snapshot::remove_below(self.disk(), self.dir(), offsets[keep]),
                _ => Ok(()),
            }
        });
        if let Err(error) = tidied {
            tracing::debug!(dir = %self.dir().display(), %error, "producer snapshot not written");
        }
    }
}
