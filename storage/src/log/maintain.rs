//! What a log does when time passes: roll, retention, removing files, letting go of what is idle.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tidemark_protocol::types::{Now, Offset, TimestampMs};

use super::retention::{Removal, SegmentFacts, removable};
use super::roll::into_io;
use super::{Log, Maintenance, start};
use crate::config::{CleanupPolicy, LogConfig};
use crate::disk::is_disk_full;
use crate::segment::Segment;

/// A log not appended to for so long closes its file and drops its index and producers, after saving them.
const IDLE_AFTER: Duration = Duration::from_secs(60);
/// … and after this while so many logs are written that their files are the process's limit.
const IDLE_AFTER_CROWDED: Duration = Duration::from_secs(1);
/// A log not appended to for so long gives back the room at its end.
const QUIET_AFTER: Duration = Duration::from_secs(2);
/// A backlog of old records must not make a segment each time the clock is looked at.
const ROLL_SPACING_MS: i64 = 60_000;
/// Work that had to wait for something else is tried again after this.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// Nothing is planned further ahead, so that a clock that jumps is noticed.
const DUE_AHEAD_MAX_MS: i64 = 60 * 60 * 1000;

/// A segment taken out of the log; its files go at `due`.
#[derive(Debug)]
pub(super) struct Removed {
    segment: Arc<Segment>,
    due: Duration,
}

impl Log {
    /// Rolls by time, applies retention, removes files whose delay is over, lets go of idle memory and files.
    ///
    /// The first call for a log reads its first batch's header; callers that open many logs should spread them.
    pub fn maintain(&mut self, now: Now, high_watermark: Offset) -> Maintenance {
        let mut done = Maintenance::default();
        let mut due = Due { now, next: None };
        if self.is_created && self.failure.is_none() {
            match self.maintain_segments(now, high_watermark, &mut done, &mut due) {
                Ok(()) => {}
                Err(e) if is_disk_full(&e) => due.after(RETRY_AFTER),
                Err(e) => self.maintenance_failed(&e),
            }
            self.expire_producers(now);
            self.give_back_when_quiet(&mut due);
            self.rest_when_idle(&mut due);
        }
        self.remove_files(&mut due);
        if let Some(at) = self.tail.expire(now.mono) {
            due.at(at);
        }
        done.next_due = due.next;
        done
    }

    fn maintenance_failed(&mut self, error: &io::Error) {
        match error.kind() {
            // A damaged segment is for readers and recovery to report; nothing was changed here.
            io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => {
                tracing::warn!(dir = %self.dir().display(), %error, "retention could not look at a segment");
            }
            _ => self.fail(format!("maintenance: {error}")),
        }
    }

    fn maintain_segments(
        &mut self,
        now: Now,
        high_watermark: Offset,
        done: &mut Maintenance,
        due: &mut Due,
    ) -> io::Result<()> {
        if self.is_time_to_roll(now, due)? {
            self.roll(now)?;
            done.rolled = true;
        }
        let mut removal = self.removal(now, high_watermark, due)?;
        if removal.roll_first && self.active().size() > 0 {
            self.roll(now)?;
            done.rolled = true;
        }
        // The journal's mark must not point into a segment that is gone, so the marked one waits for the next flush.
        let marked = self.segments.partition_point(|s| s.base_offset() < self.durable.segment_base);
        let count = removal.reasons.len().min(self.segments.len() - 1);
        if count > marked {
            due.after(RETRY_AFTER);
        }
        let count = count.min(marked);
        removal.reasons.truncate(count);
        if count > 0 {
            let before = self.log_start;
            self.remove_segments(count, now)?;
            done.removed_segments = count;
            done.log_start_moved = self.log_start > before;
        }
        Ok(())
    }

    fn is_time_to_roll(&self, now: Now, due: &mut Due) -> io::Result<bool> {
        let first = self.active().first_timestamp().map_err(into_io)?;
        if first < 0 {
            return Ok(false);
        }
        let age_ms = self.roll_age_ms();
        let spacing = Duration::from_millis(age_ms.clamp(0, ROLL_SPACING_MS).unsigned_abs());
        if now.wall_ms.saturating_sub(first) <= age_ms {
            due.wall(first.saturating_add(age_ms));
            return Ok(false);
        }
        if now.mono < self.rolled_at + spacing {
            due.at(self.rolled_at + spacing);
            return Ok(false);
        }
        Ok(true)
    }

    /// What retention takes. Limits are looked at every `log.retention.check.interval.ms`, as users of Kafka expect; what
    /// lies below the log's start goes at once. Only as many segments as needed are asked for their times.
    fn removal(&mut self, now: Now, high_watermark: Offset, due: &mut Due) -> io::Result<Removal> {
        if now.mono < self.retention_due {
            due.at(self.retention_due);
            let config = LogConfig {
                cleanup: CleanupPolicy { delete: false, ..self.config.cleanup },
                ..(*self.config).clone()
            };
            return Ok(removable(&self.facts(), &config, self.log_start, high_watermark, now.wall_ms));
        }
        self.retention_due = now.mono + self.context.options.retention_check_interval;
        let high_watermark = high_watermark.min(self.durable.end);
        let mut facts = self.facts();
        let mut known = 0;
        loop {
            let removal = removable(&facts, &self.config, self.log_start, high_watermark, now.wall_ms);
            if removal.reasons.len() < known || known == facts.len() {
                self.plan_retention(&facts, removal.reasons.len(), due);
                return Ok(removal);
            }
            // One more than is known to go; those without any timestamp are judged by the next.
            loop {
                facts[known].largest_timestamp = self.largest_timestamp(known, now)?;
                known += 1;
                if known == facts.len() || facts[known - 1].largest_timestamp >= 0 {
                    break;
                }
            }
        }
    }

    /// Facts of all segments, whose timestamps are not known yet and taken for new.
    fn facts(&self) -> Vec<SegmentFacts> {
        let end_of = |i: usize| self.segments.get(i + 1).map_or(self.log_end, |next| next.base_offset());
        let facts = |(i, segment): (usize, &Arc<Segment>)| SegmentFacts {
            base_offset: segment.base_offset(),
            end_offset: end_of(i),
            size_bytes: segment.size(),
            first_timestamp: -1,
            largest_timestamp: TimestampMs::MAX,
        };
        self.segments.iter().enumerate().map(facts).collect()
    }

    /// Largest timestamp of a segment; of one whose index is not in memory that of its first batch, if that is young
    /// enough to decide.
    fn largest_timestamp(&self, i: usize, now: Now) -> io::Result<TimestampMs> {
        let segment = &self.segments[i];
        let first = segment.first_timestamp().map_err(into_io)?;
        let is_young = first >= 0 && now.wall_ms.saturating_sub(first) <= self.config.retention_ms;
        if self.config.retention_ms < 0 || (is_young && !segment.has_summary()) {
            return Ok(first);
        }
        Ok(segment.summary().map_err(into_io)?.largest_timestamp)
    }

    fn plan_retention(&self, facts: &[SegmentFacts], removed: usize, due: &mut Due) {
        let is_limited = self.config.cleanup.delete && self.config.retention_ms >= 0;
        if let Some(oldest) =
            facts.get(removed).filter(|f| is_limited && f.size_bytes > 0 && f.largest_timestamp >= 0)
        {
            due.wall(oldest.largest_timestamp.saturating_add(self.config.retention_ms));
        }
    }

    /// Takes the oldest `count` segments out of the log.
    fn remove_segments(&mut self, count: usize, now: Now) -> io::Result<()> {
        let start = self.segments[count].base_offset();
        self.store_start(start.max(self.log_start), count)?;
        let gone: Vec<_> = Arc::make_mut(&mut self.segments).drain(..count).collect();
        if start > self.log_start {
            self.log_start = start;
            Arc::make_mut(&mut self.epochs).truncate_from_start(start);
        }
        self.unsettled.retain(|u| u.end > start);
        self.context.metrics.removed_segments.add(count as u64);
        self.retire_segments(gone, now)
    }

    /// Removed names may come back after a crash, some and not others: the start, written before, says what counts.
    fn store_start(&self, start: Offset, count: usize) -> io::Result<()> {
        match start::store(self.disk(), self.dir(), start) {
            Err(e) if is_disk_full(&e) => {
                // What goes makes room for it: the indexes can be built again should the segments stay after all.
                for segment in &self.segments[..count] {
                    segment.distrust_index();
                }
                start::store(self.disk(), self.dir(), start)
            }
            result => result,
        }
    }

    /// Renames the files of segments that are no longer in the log; they go after the delay.
    pub(super) fn retire_segments(&mut self, gone: Vec<Arc<Segment>>, now: Now) -> io::Result<()> {
        let delay = Duration::from_millis(self.config.file_delete_delay_ms.max(0).unsigned_abs());
        for segment in gone {
            // Compaction gives a segment of the same name a successor: files that wait under it go first.
            let base_offset = segment.base_offset();
            for waiting in self.removed.extract_if(.., |r| r.segment.base_offset() == base_offset) {
                waiting.segment.remove()?;
            }
            segment.retire()?;
            self.removed.push(Removed { segment, due: now.mono + delay });
        }
        Ok(())
    }

    fn remove_files(&mut self, due: &mut Due) {
        let (now, dir) = (due.now.mono, &self.place.dir);
        self.removed.retain(|removed| {
            if removed.due > now {
                return true;
            }
            if let Err(error) = removed.segment.remove() {
                tracing::warn!(dir = %dir.display(), %error, "files of a removed segment are left until the next start");
            }
            false
        });
        for removed in &self.removed {
            due.at(removed.due);
        }
    }

    fn give_back_when_quiet(&mut self, due: &mut Due) {
        if !self.active().has_room() {
            return;
        }
        if due.now.mono < self.last_used + QUIET_AFTER {
            return due.at(self.last_used + QUIET_AFTER);
        }
        self.give_back_room();
    }

    /// Not synced: should the room be there again after a crash, the opening cuts it.
    pub(super) fn give_back_room(&mut self) {
        let segment = self.active().clone();
        if let Err(error) = segment.give_back_room() {
            self.fail(format!("giving back room: {error}"));
        }
    }

    fn rest_when_idle(&mut self, due: &mut Due) {
        if !self.active().is_busy() && self.producers.is_none() {
            return;
        }
        let idle_after = if self.place.open_files.is_crowded() { IDLE_AFTER_CROWDED } else { IDLE_AFTER };
        if due.now.mono < self.last_used + idle_after {
            return due.at(self.last_used + idle_after);
        }
        if self.durable.end != self.log_end || !self.unsynced.is_empty() {
            return due.after(IDLE_AFTER);
        }
        self.save();
        self.active().rest();
        self.producers = None;
    }
}

/// Gathers the earliest time at which there is something to do.
struct Due {
    now: Now,
    next: Option<Duration>,
}

impl Due {
    fn at(&mut self, at: Duration) {
        self.next = Some(self.next.map_or(at, |next| next.min(at)));
    }

    fn after(&mut self, delay: Duration) {
        self.at(self.now.mono + delay);
    }

    /// Just after a time of the wall clock.
    fn wall(&mut self, at_ms: TimestampMs) {
        let ahead = at_ms.saturating_sub(self.now.wall_ms).saturating_add(1).clamp(1, DUE_AHEAD_MAX_MS);
        self.after(Duration::from_millis(ahead.unsigned_abs()));
    }
}

#[cfg(test)]
mod tests;
