//! Cleaner: rewrites a group of segments as one, batch by batch.
//!
//! Used by one compaction run. Decides per batch whether it goes, stays as it is, stays with fewer records, or stays as
//! a bare header; the order of the rules is Kafka's.

use std::collections::BTreeMap;
use std::io::IoSlice;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use tidemark_protocol::batch::control::EndTransactionMarker;
use tidemark_protocol::batch::{BatchBuilder, BatchHeader, BuilderOptions, Record, RecordBatch, RecordSet};
use tidemark_protocol::types::{Offset, ProducerId, TimestampMs};

use super::super::offset_map::OffsetMap;
use super::transactions::Transactions;
use super::{
    CompactedSegment, CompactionError, CompactionStats, RECORDS_BYTES_MAX, Source, for_each_batch, swap,
};
use crate::disk::{File, OpenMode};
use crate::index::transaction::AbortedTransaction;
use crate::producer::LastBatch;
use crate::segment::{Place, SegmentIndex};

/// Written to the new segment at once.
const WRITE_CHUNK: usize = 1 << 20;

pub(super) struct Cleaner<'a> {
    pub(super) map: &'a OffsetMap,
    /// Keys are noted for all records below.
    pub(super) map_end: Offset,
    /// From here to `map_end` everything is dirty.
    pub(super) clean_end: Offset,
    /// The producers that are still known.
    pub(super) producers: &'a BTreeMap<ProducerId, LastBatch>,
    /// Last offset of each producer's last data batch in the dirty part.
    pub(super) last_offsets: BTreeMap<ProducerId, Offset>,
    pub(super) wall_ms: TimestampMs,
    pub(super) delete_retention_ms: i64,
    pub(super) transactions: Transactions,
    pub(super) stats: &'a mut CompactionStats,
    pub(super) cancel: &'a AtomicBool,
}

/// What becomes of a batch.
enum Outcome {
    Drop,
    Keep,
    Replace(RecordBatch),
}

impl Cleaner<'_> {
    /// Rewrites the segments of one group. `None` when there is one and it is already as it should be.
    pub(super) fn rewrite(
        &mut self,
        place: &Arc<Place>,
        group: &[Source],
    ) -> Result<Option<CompactedSegment>, CompactionError> {
        let (Some(first), Some(last)) = (group.first(), group.last()) else { return Ok(None) };
        let base_offset = first.segment.base_offset();
        let disk = &*place.disk;
        let file = disk.open(&swap::cleaned_log(&place.dir, base_offset), OpenMode::Create)?;
        file.set_len(0)?;
        let index = SegmentIndex::new(base_offset);
        let mut out = Output { file, buffer: Vec::new(), written: 0, index, interval: place.interval() };
        let mut aborted = Vec::new();
        let mut changed = group.len() > 1;
        for (i, source) in group.iter().enumerate() {
            let closes = i + 1 == group.len();
            let mut passed = 0;
            for_each_batch(source, self.cancel, |batch| {
                passed += batch.len() as u64;
                // The last batch stays, so that the segment still says where it ends.
                let is_last = closes && passed == source.segment.size();
                let outcome = self.decide(batch, is_last, &mut aborted);
                changed |= !matches!(outcome, Outcome::Keep);
                match &outcome {
                    Outcome::Drop => Ok(()),
                    Outcome::Keep => out.write(batch),
                    Outcome::Replace(new) => out.write(new),
                }?;
                Ok(true)
            })?;
        }
        if !changed {
            drop(out);
            disk.remove_file(&swap::cleaned_log(&place.dir, base_offset))?;
            return Ok(None);
        }
        let (size, index) = out.finish()?;
        swap::write_aborted(disk, &place.dir, base_offset, &aborted)?;
        self.stats.bytes_read += group.iter().map(|source| source.segment.size()).sum::<u64>();
        self.stats.bytes_written += size;
        Ok(Some(CompactedSegment {
            base_offset,
            end_offset: last.end,
            size,
            replaces: group.iter().map(|source| source.segment.base_offset()).collect(),
            has_aborted: !aborted.is_empty(),
            index,
        }))
    }

    fn decide(
        &mut self,
        batch: &RecordBatch,
        is_last: bool,
        aborted: &mut Vec<AbortedTransaction>,
    ) -> Outcome {
        let header = batch.header();
        let records =
            batch.records(RECORDS_BYTES_MAX).ok().filter(|records| records.iter().all(|r| r.is_ok()));
        // What cannot be opened cannot be judged: it stays.
        let Some(records) = records else { return Outcome::Keep };
        let must_stay = is_last || header.last_offset() >= self.map_end || self.is_last_of_producer(header);
        let passed = header.delete_horizon().is_some_and(|horizon| horizon <= self.wall_ms);
        let (discard, empty_marker) = if header.is_control() {
            let marker = records.iter().find_map(|r| r.ok()).and_then(|r| EndTransactionMarker::parse(&r));
            match self.transactions.on_marker(header, marker) {
                Some(entry) => {
                    aborted.extend(entry);
                    (false, false)
                }
                None => (passed, true),
            }
        } else {
            (self.transactions.on_batch(header), false)
        };
        if discard && !must_stay {
            self.stats.records_read += u64::try_from(header.records_count).unwrap_or(0);
            return Outcome::Drop;
        }
        self.filter(batch, &records, must_stay, discard, empty_marker, passed)
    }

    fn filter(
        &mut self,
        batch: &RecordBatch,
        records: &RecordSet,
        must_stay: bool,
        discard: bool,
        empty_marker: bool,
        horizon_passed: bool,
    ) -> Outcome {
        let header = batch.header();
        let mut kept = Vec::new();
        let (mut read, mut tombstones) = (0_u64, false);
        for record in records.iter().flatten() {
            read += 1;
            if !discard && (header.is_control() || self.stays(&record, horizon_passed)) {
                tombstones |= !header.is_control() && record.value.is_none() && record.key.is_some();
                kept.push(record);
            }
        }
        self.stats.records_read += read;
        self.stats.records_kept += kept.len() as u64;
        if kept.is_empty() {
            return match (must_stay, read) {
                (false, _) => Outcome::Drop,
                (true, 0) => Outcome::Keep,
                (true, _) => Outcome::Replace(bare_header(header)),
            };
        }
        let starts_horizon = (tombstones || empty_marker) && header.delete_horizon().is_none();
        if kept.len() as u64 == read && !starts_horizon {
            return Outcome::Keep;
        }
        let mut options = BuilderOptions::like(header);
        if starts_horizon {
            options.delete_horizon = Some(self.wall_ms.saturating_add(self.delete_retention_ms));
        }
        let mut builder = BatchBuilder::new(options);
        kept.iter().for_each(|record| builder.append_record(record));
        Outcome::Replace(builder.build())
    }

    /// Whether a record stays: it is not covered yet, or it is its key's newest and no tombstone whose time is over.
    fn stays(&mut self, record: &Record<'_>, horizon_passed: bool) -> bool {
        if record.offset >= self.map_end {
            return true;
        }
        let Some(key) = record.key else {
            self.stats.records_without_key += 1;
            return false;
        };
        let is_newest = self.map.get(key).is_none_or(|newest| record.offset >= newest);
        is_newest && (record.value.is_some() || !horizon_passed)
    }

    /// Whether the batch may hold the newest sequence, in the part that is rewritten, of a producer that is still known;
    /// or, when only a marker of it is left, its epoch. Of a producer that is not in the dirty part, any batch in the
    /// clean part may be the last, so all stay until it writes again: at most as many as had live records.
    fn is_last_of_producer(&self, header: &BatchHeader) -> bool {
        let Some(known) = self.producers.get(&header.producer_id) else { return false };
        if header.is_control() {
            return known.last_data_offset.is_none() && header.producer_epoch == known.epoch;
        }
        match self.last_offsets.get(&header.producer_id) {
            Some(&last) => header.last_offset() == last,
            None => header.last_offset() < self.clean_end,
        }
    }
}

/// The batch without its records: it keeps its offsets and its producer's sequence.
fn bare_header(header: &BatchHeader) -> RecordBatch {
    let options = BuilderOptions {
        base_timestamp: Some(header.max_timestamp),
        max_timestamp: Some(header.max_timestamp),
        delete_horizon: None,
        ..BuilderOptions::like(header)
    };
    BatchBuilder::new(options).build()
}

/// The new segment.
struct Output {
    file: Arc<dyn File>,
    buffer: Vec<u8>,
    written: u64,
    index: SegmentIndex,
    interval: u64,
}

impl Output {
    fn write(&mut self, batch: &RecordBatch) -> Result<(), CompactionError> {
        let position = self.written + self.buffer.len() as u64;
        self.index.on_batch(batch.header(), position, self.interval);
        self.buffer.extend_from_slice(batch.bytes());
        if self.buffer.len() >= WRITE_CHUNK { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), CompactionError> {
        self.file.write_all_at(&[IoSlice::new(&self.buffer)], self.written)?;
        self.written += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    /// Writes what is left, syncs, and returns the length and the index.
    fn finish(mut self) -> Result<(u64, SegmentIndex), CompactionError> {
        self.flush()?;
        self.file.sync_data()?;
        Ok((self.written, self.index))
    }
}
