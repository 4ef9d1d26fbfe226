//! Compaction: rewrites sealed segments so that of each key only the newest record stays (Kafka's log cleaner).
//!
//! ```text
//! first segment        clean_end        limit = min(high watermark, last stable offset, young records, active segment)
//! |------- clean -------|---- dirty ----|---- not touched ----
//! ```
//! A run notes the newest offset of each key in the dirty part, as many as its memory holds, then rewrites everything up
//! to there: a record stays if its key has no newer offset in the map. What always holds:
//! - offsets never change; a batch keeps its base and last offset, producer, codec, timestamps, leader epoch;
//! - a tombstone stays for `delete.retention.ms` after the run that first met it; that moment is kept in the batch
//!   (KIP-534), and when it goes, every older value of its key has gone;
//! - the batch with a producer's newest sequence in the rewritten part stays, if need be without records: newer ones
//!   further up may still be lost, and then its retries must be recognised by this one. So does the last batch of each
//!   rewritten segment, so that segments still join without a gap;
//! - records without a key go: a compacted topic refuses them, these are from before it was one.
//!
//! `CompactionJob::run` works beside the log's writer on files that no longer change and writes new ones under other
//! names. The writer puts them in place (`swap`): whatever happens, the log is wholly the old or wholly the new one.

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tidemark_protocol::batch::RecordBatch;
use tidemark_protocol::types::{Offset, ProducerId, TimestampMs};

use super::offset_map::OffsetMap;
use super::retention::SegmentFacts;
use crate::config::LogConfig;
use crate::index::transaction::AbortedTransaction;
use crate::producer::LastBatch;
use crate::segment::scan::{Scan, ScanError, WALK_CHUNK};
use crate::segment::{Place, Segment, SegmentIndex};

mod apply;
mod clean;
pub mod swap;
mod transactions;

use clean::Cleaner;
use transactions::Transactions;

/// A compressed batch is opened up to this size; a larger one stays as it is, its keys are not noted, nothing is lost.
const RECORDS_BYTES_MAX: usize = 256 << 20;

/// Why a run came to nothing. The log is as it was.
#[derive(Debug, thiserror::Error)]
pub enum CompactionError {
    /// It was told to stop.
    #[error("cancelled")]
    Cancelled,
    /// A sealed segment does not read back.
    #[error("segment {segment_base} is damaged at position {position}: {reason}")]
    Damaged {
        /// The segment.
        segment_base: Offset,
        /// Where.
        position: u64,
        /// What is wrong.
        reason: String,
    },
    /// The disk failed, or is full.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// What is worth compacting.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Plan {
    /// So many of the oldest segments take part.
    pub segments: usize,
    /// Below, keys are unique already.
    pub clean_end: Offset,
    /// Share of the bytes that are dirty.
    pub dirty_ratio: f64,
}

/// Decides whether the log wants compaction now. `segments` are all, oldest first, the last one active; nothing at or
/// above `limit` (high watermark and last stable offset) is touched.
pub fn plan(
    segments: &[SegmentFacts],
    config: &LogConfig,
    clean_end: Offset,
    limit: Offset,
    wall_ms: TimestampMs,
) -> Option<Plan> {
    let (active, sealed) = segments.split_last()?;
    if !config.cleanup.compact {
        return None;
    }
    let first = segments[0].base_offset;
    // A clean end outside of the log is of another one.
    let clean_end = if clean_end > active.end_offset { first } else { clean_end.max(first) };
    let is_dirty = |s: &&SegmentFacts| s.end_offset > clean_end;
    let is_young = |s: &SegmentFacts| {
        config.min_compaction_lag_ms > 0
            && s.largest_timestamp > wall_ms.saturating_sub(config.min_compaction_lag_ms)
    };
    let count = sealed.iter().take_while(|s| s.end_offset <= limit && !(is_dirty(s) && is_young(s))).count();
    let taken = &sealed[..count];
    let bytes =
        |segments: &mut dyn Iterator<Item = &SegmentFacts>| segments.map(|s| s.size_bytes).sum::<u64>();
    let (all, dirty) = (bytes(&mut taken.iter()), bytes(&mut taken.iter().filter(is_dirty)));
    if dirty == 0 {
        return None;
    }
    let oldest = taken.iter().filter(is_dirty).map(|s| s.first_timestamp).filter(|&t| t > 0).min();
    let overdue = oldest.is_some_and(|t| wall_ms.saturating_sub(t) > config.max_compaction_lag_ms);
    let dirty_ratio = dirty as f64 / all as f64;
    (overdue || dirty_ratio > config.min_cleanable_dirty_ratio).then_some(Plan {
        segments: count,
        clean_end,
        dirty_ratio,
    })
}

/// A sealed segment that takes part.
#[derive(Clone, Debug)]
pub struct Source {
    /// The segment.
    pub segment: Arc<Segment>,
    /// Base offset of the next segment.
    pub end: Offset,
    /// Its aborted transactions.
    pub aborted: Vec<AbortedTransaction>,
}

/// One run of compaction, to be done beside the writer.
#[derive(Debug)]
pub struct CompactionJob {
    /// Where the segments live.
    pub place: Arc<Place>,
    /// The segments of the plan, oldest first.
    pub sources: Vec<Source>,
    /// The plan's clean end.
    pub clean_end: Offset,
    /// Settings of the topic.
    pub config: Arc<LogConfig>,
    /// What must stay of the producers.
    pub producers: BTreeMap<ProducerId, LastBatch>,
    /// Wall clock at the start.
    pub wall_ms: TimestampMs,
    /// Key of the hashes.
    pub seed: (u64, u64),
    /// How often the log had been cut at the start.
    pub cuts: u64,
}

/// Figures of one run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CompactionStats {
    /// Bytes of the segments rewritten.
    pub bytes_read: u64,
    /// Bytes written in their place.
    pub bytes_written: u64,
    /// Records looked at.
    pub records_read: u64,
    /// Records kept.
    pub records_kept: u64,
    /// Records dropped because they have no key.
    pub records_without_key: u64,
    /// Distinct keys in the dirty part.
    pub keys: u64,
}

/// A rewritten segment, on disk under another name.
#[derive(Debug)]
pub struct CompactedSegment {
    /// Base offset: that of the first segment it replaces.
    pub base_offset: Offset,
    /// Where the last one it replaces ends.
    pub end_offset: Offset,
    /// Its bytes.
    pub size: u64,
    /// Base offsets of the segments it replaces.
    pub replaces: Vec<Offset>,
    /// Whether it has aborted transactions, in a file of their own.
    pub has_aborted: bool,
    /// Its indexes, not on disk yet.
    pub index: SegmentIndex,
}

/// The result of a run, synced, waiting to be put in place by the log's writer (see `swap`), or discarded.
#[derive(Debug)]
pub struct Compacted {
    /// New segments, ascending. None when every segment was already as it should be.
    pub segments: Vec<CompactedSegment>,
    /// Below, keys are unique once the segments are in place.
    pub clean_end: Offset,
    /// Figures.
    pub stats: CompactionStats,
    /// The job's `cuts`.
    pub cuts: u64,
}

impl CompactionJob {
    /// Does the work with at most `memory` bytes for keys. If they do not suffice, the result covers only a part
    /// (`Compacted::clean_end`), and the next plan goes on from there. On an error nothing but leftovers remains, which
    /// the next run or the next opening of the log removes.
    pub fn run(&self, memory: usize, cancel: &AtomicBool) -> Result<Compacted, CompactionError> {
        let (disk, dir) = (&*self.place.disk, &self.place.dir);
        swap::remove_leftovers(disk, dir)?;
        let mut stats = CompactionStats::default();
        let Noted { map, map_end, last_offsets } = self.note_keys(memory, cancel)?;
        stats.keys = map.len() as u64;
        let mut cleaner = Cleaner {
            map: &map,
            map_end,
            clean_end: self.clean_end,
            producers: &self.producers,
            last_offsets,
            wall_ms: self.wall_ms,
            delete_retention_ms: self.config.delete_retention_ms,
            transactions: Transactions::new(self.aborted()),
            stats: &mut stats,
            cancel,
        };
        let mut segments = Vec::new();
        for range in self.groups(map_end) {
            segments.extend(cleaner.rewrite(&self.place, &self.sources[range])?);
        }
        let compacted = Compacted { segments, clean_end: map_end, stats, cuts: self.cuts };
        compacted.prepare(disk, dir)?;
        Ok(compacted)
    }

    fn aborted(&self) -> impl Iterator<Item = AbortedTransaction> + '_ {
        self.sources.iter().flat_map(|source| source.aborted.iter().copied())
    }

    /// The newest offset of each key in the dirty part, up to the end that is returned with it.
    fn note_keys(&self, memory: usize, cancel: &AtomicBool) -> Result<Noted, CompactionError> {
        let end = self.sources.last().map_or(self.clean_end, |source| source.end);
        let offsets = u64::try_from(end - self.clean_end).unwrap_or(0);
        let mut map = OffsetMap::new(memory, offsets, self.seed);
        let mut map_end = self.clean_end;
        let mut last_offsets = BTreeMap::new();
        let mut transactions = Transactions::new(self.aborted());
        for source in self.sources.iter().filter(|source| source.end > self.clean_end) {
            let full = for_each_batch(source, cancel, |batch| {
                let header = batch.header();
                if header.has_producer() && !header.is_control() && header.last_offset() >= self.clean_end {
                    last_offsets.insert(header.producer_id, header.last_offset());
                }
                let skipped = header.is_control() || transactions.on_batch(header);
                if header.last_offset() < self.clean_end
                    || skipped
                    || self.note_batch(batch, &mut map, &mut map_end)
                {
                    map_end = map_end.max(header.next_offset());
                    return Ok(true);
                }
                Ok(false)
            })?;
            if full {
                return Ok(Noted { map, map_end, last_offsets });
            }
        }
        Ok(Noted { map, map_end: end, last_offsets })
    }

    /// Notes the keys of a batch; false when there was no room for all of them. `map_end` then tells how far it came.
    fn note_batch(&self, batch: &RecordBatch, map: &mut OffsetMap, map_end: &mut Offset) -> bool {
        let Ok(records) = batch.records(RECORDS_BYTES_MAX) else { return true };
        for record in &records {
            let Ok(record) = record else { return true };
            // The last run may have stopped within this batch.
            if record.offset < self.clean_end {
                continue;
            }
            if let Some(key) = record.key
                && !map.put(key, record.offset)
            {
                return false;
            }
            *map_end = (*map_end).max(record.offset + 1);
        }
        true
    }

    /// Neighbours that fit in one segment together, of those that begin below `end`.
    fn groups(&self, end: Offset) -> Vec<Range<usize>> {
        let mut groups: Vec<Range<usize>> = Vec::new();
        let mut bytes = 0;
        for (i, source) in self.sources.iter().enumerate().take_while(|(_, s)| s.segment.base_offset() < end)
        {
            bytes += source.segment.size();
            match groups.last_mut() {
                Some(group)
                    if bytes <= self.config.segment_bytes
                        && source.end - self.sources[group.start].segment.base_offset()
                            <= i64::from(i32::MAX) =>
                {
                    group.end = i + 1;
                }
                _ => {
                    bytes = source.segment.size();
                    groups.push(i..i + 1);
                }
            }
        }
        groups
    }
}

/// What the first pass found.
struct Noted {
    map: OffsetMap,
    /// Keys are noted for all records below.
    map_end: Offset,
    /// The last data batch of each producer in the dirty part, by its last offset.
    last_offsets: BTreeMap<ProducerId, Offset>,
}

/// Calls `visit` with each batch of a segment, checksums verified, until it says no. Returns whether it did.
fn for_each_batch(
    source: &Source,
    cancel: &AtomicBool,
    mut visit: impl FnMut(&RecordBatch) -> Result<bool, CompactionError>,
) -> Result<bool, CompactionError> {
    let segment_base = source.segment.base_offset();
    let file = source.segment.file()?;
    let mut scan = Scan::new(&*file, 0, source.segment.size(), segment_base, WALK_CHUNK);
    loop {
        if cancel.load(Ordering::Relaxed) {
            return Err(CompactionError::Cancelled);
        }
        let next = scan.next_batch().map_err(|error| match error {
            ScanError::Damaged { position, reason } => {
                CompactionError::Damaged { segment_base, position, reason }
            }
            ScanError::Io(error) => CompactionError::Io(error),
        })?;
        let Some((_, batch)) = next else { return Ok(false) };
        if !visit(&batch)? {
            return Ok(true);
        }
    }
}

#[cfg(test)]
mod tests;
