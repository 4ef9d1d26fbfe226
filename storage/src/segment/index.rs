//! Both indexes of one segment and what they were made from, kept together because one walk fills both.

use std::io;

use tidemark_protocol::batch::BatchHeader;
use tidemark_protocol::types::{Offset, TimestampMs};

use super::Place;
use super::names::{INDEX, TIME_INDEX};
use super::scan::{Scan, ScanError, WALK_CHUNK};
use crate::disk::File;
use crate::index::offset::relative_offset;
use crate::index::{IndexError, OffsetEntry, OffsetIndex, Summary, TimeEntry, TimeIndex};

/// Offset index, time index and summary of one segment, all about the bytes up to `summary.covered_position`.
#[derive(Debug)]
pub struct SegmentIndex {
    base_offset: Offset,
    offsets: OffsetIndex,
    times: TimeIndex,
    summary: Summary,
    /// Bytes since the last entry.
    since_entry: u64,
}

impl SegmentIndex {
    /// Of an empty segment.
    pub fn new(base_offset: Offset) -> Self {
        SegmentIndex {
            base_offset,
            offsets: OffsetIndex::default(),
            times: TimeIndex::default(),
            summary: Summary::empty(base_offset),
            since_entry: 0,
        }
    }

    /// What the files on disk say; for a sealed segment they must cover all of its `size` bytes.
    pub fn load(place: &Place, base_offset: Offset, size: u64, sealed: bool) -> Result<Self, IndexError> {
        let path = |suffix| place.path(base_offset, suffix);
        let (offsets, summary) = OffsetIndex::load(&*place.disk, &path(INDEX), base_offset, sealed)?;
        let (times, other) = TimeIndex::load(&*place.disk, &path(TIME_INDEX), base_offset, sealed)?;
        if summary != other {
            return Err(IndexError::Damaged("offset and time index do not belong together"));
        }
        if summary.covered_position > size || (sealed && summary.covered_position != size) {
            return Err(IndexError::Damaged("covers other bytes than the segment has"));
        }
        let last = offsets.last().map_or(0, |e| u64::from(e.position));
        let since_entry = summary.covered_position.saturating_sub(last);
        Ok(SegmentIndex { base_offset, offsets, times, summary, since_entry })
    }

    /// Walks the bytes from where the index ends up to `size`.
    pub fn catch_up(&mut self, file: &dyn File, size: u64, interval: u64) -> Result<(), ScanError> {
        let Summary { covered_position, covered_end, .. } = self.summary;
        let mut scan = Scan::new(file, covered_position, size, covered_end, WALK_CHUNK);
        while let Some((position, header)) = scan.next_header()? {
            self.on_batch(&header, position, interval);
        }
        Ok(())
    }

    /// The same index as of now, to be written later.
    pub fn copy(&self) -> Self {
        SegmentIndex {
            base_offset: self.base_offset,
            offsets: self.offsets.copy(),
            times: self.times.copy(),
            summary: self.summary,
            since_entry: self.since_entry,
        }
    }

    /// Writes both files.
    pub fn write(&self, place: &Place, sealed: bool) -> io::Result<()> {
        let (disk, base) = (&*place.disk, self.base_offset);
        self.offsets.write(disk, &place.path(base, INDEX), base, &self.summary, sealed)?;
        self.times.write(disk, &place.path(base, TIME_INDEX), base, &self.summary, sealed)
    }

    /// A batch was appended at `position`. An entry is made when `interval` bytes have come since the last one.
    pub fn on_batch(&mut self, header: &BatchHeader, position: u64, interval: u64) {
        if self.since_entry > interval {
            self.add_entry(header.base_offset, position);
        }
        let len = header.total_len() as u64;
        self.since_entry += len;
        let summary = &mut self.summary;
        if position == 0 {
            summary.first_timestamp = header.max_timestamp;
        }
        if header.max_timestamp > summary.largest_timestamp {
            summary.largest_timestamp = header.max_timestamp;
            summary.largest_timestamp_offset = header.base_offset;
        }
        summary.covered_end = header.next_offset();
        summary.covered_position = position + len;
    }

    fn add_entry(&mut self, offset: Offset, position: u64) {
        let Some(relative) = relative_offset(self.base_offset, offset) else { return };
        let Ok(position) = u32::try_from(position) else { return };
        self.offsets.push(OffsetEntry { relative, position });
        self.times.push(TimeEntry { timestamp: self.summary.largest_timestamp, relative });
        self.since_entry = 0;
    }

    /// The summary.
    pub fn summary(&self) -> &Summary {
        &self.summary
    }

    /// Bytes of the larger index.
    pub fn size_bytes(&self) -> usize {
        self.offsets.size_bytes().max(self.times.size_bytes())
    }

    /// Where to begin looking for `offset`: offset and position of a batch at or before it.
    pub fn lookup(&self, offset: Offset) -> (Offset, u64) {
        let entry = clamp(self.base_offset, offset).and_then(|relative| self.offsets.floor(relative));
        self.place_of(entry)
    }

    /// The last batch known that begins at or before `position` and at or below `offset`.
    pub fn lookup_position(&self, position: u64, offset: Offset) -> (Offset, u64) {
        let entry = clamp(self.base_offset, offset)
            .and_then(|relative| self.offsets.floor_position(position, relative));
        self.place_of(entry)
    }

    fn place_of(&self, entry: Option<OffsetEntry>) -> (Offset, u64) {
        let entry = entry.unwrap_or(OffsetEntry { relative: 0, position: 0 });
        (self.base_offset + Offset::from(entry.relative), u64::from(entry.position))
    }

    /// Offset at or before the first record that is not older than `timestamp`.
    pub fn lookup_time(&self, timestamp: TimestampMs) -> Offset {
        let relative = self.times.search_start(timestamp).map_or(0, |e| e.relative);
        self.base_offset + Offset::from(relative)
    }

    /// The largest timestamp of the records below `offset`, as far as the entries know, and the offset up to which they
    /// do: (timestamp, offset). (−1, base offset) when they know nothing.
    pub fn largest_before(&self, offset: Offset) -> (TimestampMs, Offset) {
        let entry = clamp(self.base_offset, offset).and_then(|relative| self.times.floor(relative));
        entry.map_or((-1, self.base_offset), |e| (e.timestamp, self.base_offset + Offset::from(e.relative)))
    }
}

/// `offset` relative to the segment, at most the largest there can be.
fn clamp(base_offset: Offset, offset: Offset) -> Option<u32> {
    (offset >= base_offset).then(|| relative_offset(base_offset, offset).unwrap_or(i32::MAX as u32))
}

#[cfg(test)]
mod tests;
