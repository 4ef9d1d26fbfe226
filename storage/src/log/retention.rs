//! Retention: which segments may go, by age, by size, and because they lie below the log's start.
//!
//! Pure functions over facts. What always holds: what goes is a prefix of the segments, none of it at or above the high
//! watermark, and the log keeps a segment to write to (the caller rolls first when `roll_first` says so).

use tidemark_protocol::types::{Offset, TimestampMs};

use crate::config::LogConfig;

/// What retention and compaction must know of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentFacts {
    /// First offset it may hold.
    pub base_offset: Offset,
    /// Exclusive end: the next segment's base, or the log's end.
    pub end_offset: Offset,
    /// Bytes of its batches.
    pub size_bytes: u64,
    /// Largest timestamp of its first batch; −1 when it has none.
    pub first_timestamp: TimestampMs,
    /// Largest timestamp of its records; −1 when none has one.
    pub largest_timestamp: TimestampMs,
}

/// Why a segment goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It lies below the log's start (DeleteRecords).
    LogStart,
    /// The log is larger than `retention.bytes` without it.
    Size,
    /// Its newest record is older than `retention.ms`.
    Time,
}

/// What may go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Removal {
    /// One entry per segment that goes, from the oldest on.
    pub reasons: Vec<Reason>,
    /// All segments go, the active one too: roll before removing, so that there is one to write to.
    pub roll_first: bool,
    /// Where the log starts then; never less than before.
    pub log_start: Offset,
}

/// Says what may go of `segments` (oldest first, the last one is active). An empty cleanup policy and `compact` alone
/// keep everything that is not below the log's start. `local.retention.*` does not delete here: a local segment may go
/// before the whole log's limits only once a remote tier holds it, and then the tier decides.
pub fn removable(
    segments: &[SegmentFacts],
    config: &LogConfig,
    log_start: Offset,
    high_watermark: Offset,
    wall_ms: TimestampMs,
) -> Removal {
    let mut reasons = Vec::new();
    let below_start = segments
        .len()
        .saturating_sub(1)
        .min(segments.iter().take_while(|s| s.end_offset <= log_start).count());
    reasons.resize(below_start, Reason::LogStart);
    if config.cleanup.delete {
        let removable =
            |segment: &SegmentFacts| segment.end_offset <= high_watermark && segment.size_bytes > 0;
        let by_size = count_by_size(&segments[below_start..], config.retention_bytes, removable);
        reasons.resize(below_start + by_size, Reason::Size);
        let by_time = count_by_time(&segments[reasons.len()..], config.retention_ms, wall_ms, removable);
        reasons.resize(reasons.len() + by_time, Reason::Time);
    }
    let roll_first = !segments.is_empty() && reasons.len() == segments.len();
    let end_of_removed = reasons.len().checked_sub(1).map_or(log_start, |last| segments[last].end_offset);
    Removal { reasons, roll_first, log_start: log_start.max(end_of_removed) }
}

/// How many of the oldest go so that what stays is at least `limit` bytes, and less than one segment more.
fn count_by_size(segments: &[SegmentFacts], limit: i64, removable: impl Fn(&SegmentFacts) -> bool) -> usize {
    let Ok(limit) = u64::try_from(limit) else { return 0 };
    let total: u64 = segments.iter().map(|s| s.size_bytes).sum();
    let mut excess = total.saturating_sub(limit);
    let mut count = 0;
    for segment in segments {
        if !removable(segment) || segment.size_bytes > excess {
            break;
        }
        excess -= segment.size_bytes;
        count += 1;
    }
    count
}

/// How many of the oldest are older than `limit`. A segment without timestamps is as old as the next that has one.
fn count_by_time(
    segments: &[SegmentFacts],
    limit: i64,
    wall_ms: TimestampMs,
    removable: impl Fn(&SegmentFacts) -> bool,
) -> usize {
    if limit < 0 {
        return 0;
    }
    let expired = |timestamp: TimestampMs| wall_ms.saturating_sub(timestamp) > limit;
    let age_of = |i: usize| segments[i..].iter().map(|s| s.largest_timestamp).find(|&t| t >= 0);
    (0..segments.len()).take_while(|&i| removable(&segments[i]) && age_of(i).is_some_and(expired)).count()
}

#[cfg(test)]
mod tests;
