//! When a segment is full, and how the next one begins.

use std::hash::Hasher;
use std::io::{self, IoSlice};
use std::sync::Arc;

use siphasher::sip::SipHasher13;
use tidemark_protocol::batch::BatchHeader;
use tidemark_protocol::types::{Now, Offset, TimestampMs};

use super::Log;
use crate::disk::OpenMode;
use crate::index::Summary;
use crate::index::offset::relative_offset;
use crate::producer::ProducerStateManager;
use crate::segment::names::METADATA;
use crate::segment::{ScanError, Segment};

/// Bytes of the longest index entry: an index with less room left is full.
const INDEX_ENTRY_LEN: u64 = 12;

/// A sealed segment whose indexes are not written yet, because not all of it is durable.
#[derive(Debug)]
pub(super) struct Unsettled {
    pub segment: Arc<Segment>,
    pub end: Offset,
    /// The producers at its end, if they were loaded.
    pub producers: Option<Box<ProducerStateManager>>,
}

impl Log {
    /// Starts a new segment if batches of `bytes` bytes, ending at `end`, should not go into the last one.
    pub(super) fn roll_for(
        &mut self,
        first: &BatchHeader,
        end: Offset,
        bytes: u64,
        now: Now,
    ) -> io::Result<()> {
        let active = self.active();
        if active.size() == 0 {
            return self.rebase(first.base_offset, end);
        }
        let is_full = active.size() + bytes > self.config.segment_bytes
            || relative_offset(active.base_offset(), end).is_none();
        if is_full || self.is_index_full()? || self.is_old_for(first.max_timestamp)? {
            self.roll(now)?;
        }
        Ok(())
    }

    /// An empty segment whose offsets would not fit gets a new name; that takes a leader that skips two billion offsets.
    fn rebase(&mut self, base_offset: Offset, end: Offset) -> io::Result<()> {
        if relative_offset(self.active().base_offset(), end).is_some() {
            return Ok(());
        }
        let segment = Segment::new(self.place.clone(), base_offset, 0, false);
        let segments = Arc::make_mut(&mut self.segments);
        let old = segments.pop().expect("a log always has a last segment");
        segments.push(segment);
        self.unsynced.has_active = false;
        if std::mem::take(&mut self.is_created) {
            self.ensure_created()?;
            old.retire()?;
            old.remove()?;
        }
        Ok(())
    }

    fn active_summary(&self) -> io::Result<Summary> {
        self.active().summary().map_err(into_io)
    }

    fn is_index_full(&self) -> io::Result<bool> {
        let size = self.active().with_index(|index| index.size_bytes()).map_err(into_io)?;
        Ok(size as u64 + INDEX_ENTRY_LEN > self.config.segment_index_bytes)
    }

    /// Whether the first record of the last segment is so old, seen from `timestamp`, that a new segment is due.
    fn is_old_for(&self, timestamp: TimestampMs) -> io::Result<bool> {
        let first = self.active_summary()?.first_timestamp;
        Ok(first >= 0 && timestamp.saturating_sub(first) > self.roll_age_ms())
    }

    /// `segment.ms` less this segment's share of the jitter; records that must be compacted by a certain age also have
    /// to leave the segment that grows by then.
    pub(super) fn roll_age_ms(&self) -> i64 {
        let mut age_ms = self.config.segment_ms;
        if self.config.cleanup.compact {
            age_ms = age_ms.min(self.config.max_compaction_lag_ms);
        }
        let jitter_ms = self.config.segment_jitter_ms.clamp(0, age_ms);
        if jitter_ms == 0 {
            return age_ms;
        }
        let taken = self.hash(self.active().base_offset()) % u64::try_from(jitter_ms).expect("was clamped");
        age_ms - i64::try_from(taken).expect("below the jitter")
    }

    /// A number that is the same for this partition and `value` on every run, and evenly spread over partitions.
    pub(super) fn hash(&self, value: i64) -> u64 {
        let mut hasher = SipHasher13::new();
        hasher.write(self.identity.topic_id.0.as_bytes());
        hasher.write_i32(self.identity.partition);
        hasher.write_i64(value);
        hasher.finish()
    }

    /// Closes the last segment and starts a new one at the end of the log.
    pub(super) fn roll(&mut self, now: Now) -> io::Result<()> {
        self.take_over()?;
        let old = self.active().clone();
        // Synced before anything of the next segment is claimed.
        if old.give_back_room()? {
            self.note_unsynced()?;
        }
        let new = Segment::new(self.place.clone(), self.log_end, 0, false);
        new.create()?;
        self.unsynced.add_dir(&self.place.dir);
        old.seal();
        Arc::make_mut(&mut self.segments).push(new);
        self.unsettled.push(Unsettled { segment: old, end: self.log_end, producers: self.producers.clone() });
        self.unsynced.has_active = false;
        self.saved_position = 0;
        self.rolled_at = now.mono;
        self.context.metrics.rolled_segments.add(1);
        if self.durable.end == self.log_end {
            self.settle();
        }
        Ok(())
    }

    /// Makes directory, metadata and segment file of a log that had nothing on disk.
    pub(super) fn ensure_created(&mut self) -> io::Result<()> {
        if self.is_created {
            return Ok(());
        }
        let (disk, dir) = (self.context.disk.clone(), self.place.dir.clone());
        disk.create_dir_all(&dir)?;
        let file = disk.open(&dir.join(METADATA), OpenMode::Create)?;
        let text = format!("version: 0\ntopic_id: {}\n", self.identity.topic_id);
        file.set_len(0)?;
        file.write_all_at(&[IoSlice::new(text.as_bytes())], 0)?;
        self.unsynced.files.push(file);
        if self.log_start > 0 {
            super::start::store(&*disk, &dir, self.log_start)?;
        }
        self.active().create()?;
        // The directory itself first: an entry in a directory that is lost is lost with it.
        if let Some(parent) = dir.parent() {
            self.unsynced.add_dir(parent);
        }
        self.unsynced.add_dir(&dir);
        self.is_created = true;
        Ok(())
    }
}

pub(super) fn into_io(error: ScanError) -> io::Error {
    match error {
        ScanError::Io(e) => e,
        damaged @ ScanError::Damaged { .. } => io::Error::new(io::ErrorKind::InvalidData, damaged),
    }
}
