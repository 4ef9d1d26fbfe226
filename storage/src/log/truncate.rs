//! Cutting the end of a log and moving its start.
//!
//! A cut is synced before the call returns, and the journal must have taken back its claims before the call: otherwise a
//! crash in between would look like lost data, or bring the cut records back.

use std::io;
use std::sync::Arc;

use tidemark_protocol::types::Offset;

use super::compaction::swap;
use super::roll::into_io;
use super::{Log, Position, TruncateError};
use crate::checkpoint::Durability;
use crate::journal::LogMark;
use crate::producer::snapshot;
use crate::segment::{ScanError, Segment};

impl Log {
    /// What the journal must say, durably, before [`Log::truncate_to`] with the same offset.
    pub fn mark_before_truncate(
        &self,
        offset: Offset,
        high_watermark: Offset,
    ) -> Result<LogMark, TruncateError> {
        let mut mark = self.mark(high_watermark.min(offset));
        if offset < self.log_end {
            let (_, cut) = self.find_cut(offset).map_err(|e| TruncateError::Failed(e.to_string()))?;
            mark.log_start = mark.log_start.min(cut.end);
            if cut.end < mark.durable_end {
                mark.durable_end = cut.end;
                mark.segment_base = cut.segment_base;
                mark.segment_position = cut.position;
            }
            mark.high_watermark = mark.high_watermark.min(cut.end);
        }
        Ok(mark)
    }

    /// What the journal must say, durably, before [`Log::truncate_fully_and_start_at`].
    pub fn mark_before_restart(offset: Offset) -> LogMark {
        LogMark {
            log_start: offset,
            durable_end: offset,
            segment_base: offset,
            segment_position: 0,
            high_watermark: offset,
        }
    }

    /// Cuts everything at or after `offset`, and the whole batch that holds it; syncs the cut and returns the new end.
    /// When that batch holds the start of the log too, the start goes back to the new end, as in Kafka's `UnifiedLog`:
    /// the log is empty and goes on where that batch began.
    pub fn truncate_to(&mut self, offset: Offset) -> Result<Offset, TruncateError> {
        self.check_range(offset)?;
        if offset == self.log_end {
            return Ok(offset);
        }
        match self.cut(offset) {
            Ok(end) => Ok(end),
            Err(e) => Err(self.cut_failed(&e)),
        }
    }

    /// Drops everything and goes on from `offset`, as a follower does whose leader starts later.
    pub fn truncate_fully_and_start_at(&mut self, offset: Offset) -> Result<(), TruncateError> {
        if let Some(why) = &self.failure {
            return Err(TruncateError::Failed(why.to_string()));
        }
        self.restart(offset).map_err(|e| self.cut_failed(&e))
    }

    /// Moves the start of the log. Durable once the caller has journaled [`Log::mark`]; whole segments below go with
    /// the next [`Log::maintain`].
    pub fn advance_log_start(&mut self, offset: Offset) -> Result<(), TruncateError> {
        self.check_range(offset)?;
        if offset > self.log_start {
            self.log_start = offset;
            Arc::make_mut(&mut self.epochs).truncate_from_start(offset);
        }
        Ok(())
    }

    fn check_range(&self, offset: Offset) -> Result<(), TruncateError> {
        if let Some(why) = &self.failure {
            return Err(TruncateError::Failed(why.to_string()));
        }
        if offset < self.log_start || offset > self.log_end {
            return Err(TruncateError::OutOfRange {
                asked: offset,
                start: self.log_start,
                end: self.log_end,
            });
        }
        Ok(())
    }

    /// The segment and the place at which a log that must not hold `offset` ends.
    fn find_cut(&self, offset: Offset) -> Result<(usize, Position), ScanError> {
        let index = self.segments.partition_point(|s| s.base_offset() <= offset).saturating_sub(1);
        let segment = &self.segments[index];
        let (end, position) = match segment.locate(offset)? {
            Some(located) => (located.header.base_offset.min(offset), located.position),
            None => (offset, segment.size()),
        };
        Ok((index, Position { end, segment_base: segment.base_offset(), position }))
    }

    fn cut(&mut self, offset: Offset) -> io::Result<Offset> {
        let (index, cut) = self.find_cut(offset).map_err(into_io)?;
        self.cuts += 1;
        self.tail.truncate(cut.end);
        let gone = Arc::make_mut(&mut self.segments).split_off(index + 1);
        for segment in gone.into_iter().rev() {
            segment.retire()?;
            segment.remove()?;
        }
        let active = self.active().clone();
        active.truncate(cut.position)?;
        self.log_end = cut.end;
        if cut.end < self.durable.end {
            self.durable = cut;
        }
        if cut.end < self.log_start {
            self.log_start = cut.end;
            super::start::lower(self.disk(), self.dir(), cut.end)?;
        }
        self.forget_above(cut.end)?;
        active.file()?.sync_data()?;
        self.disk().sync_dir(self.dir())?;
        Ok(cut.end)
    }

    fn restart(&mut self, offset: Offset) -> io::Result<()> {
        self.cuts += 1;
        self.tail.clear();
        let new = Segment::new(self.place.clone(), offset, 0, false);
        let gone = std::mem::replace(&mut self.segments, Arc::new(vec![new]));
        self.log_start = offset;
        self.log_end = offset;
        self.durable = Position { end: offset, segment_base: offset, position: 0 };
        if std::mem::take(&mut self.is_created) {
            for segment in gone.iter().rev() {
                segment.retire()?;
                segment.remove()?;
            }
            self.ensure_created()?;
            super::start::store(self.disk(), self.dir(), offset)?;
            self.forget_above(offset)?;
            snapshot::remove_below(self.disk(), self.dir(), offset)?;
            self.disk().sync_dir(self.dir())?;
        }
        Arc::make_mut(&mut self.epochs).clear();
        Ok(())
    }

    /// Forgets and removes what was derived from records at or above `end`.
    fn forget_above(&mut self, end: Offset) -> io::Result<()> {
        self.producers = None;
        self.unsettled.retain(|u| u.end <= end);
        self.unsynced.has_active = false;
        self.saved_position = 0;
        snapshot::remove_above(self.disk(), self.dir(), end)?;
        let (disk, dir) = (self.context.disk.clone(), self.place.dir.clone());
        swap::on_cut(&*disk, &dir, end)?;
        let epochs = Arc::make_mut(&mut self.epochs);
        epochs.truncate_from_end(end);
        if epochs.is_dirty() { epochs.store(&*disk, &dir, Durability::Synced) } else { Ok(()) }
    }

    fn cut_failed(&mut self, error: &io::Error) -> TruncateError {
        let why = format!("cut: {error}");
        self.fail(why.clone());
        TruncateError::Failed(why)
    }
}

#[cfg(test)]
mod tests;
