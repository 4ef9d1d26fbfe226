//! Counters of the storage layer. One set for a broker, passed in; whoever exports metrics reads them.

use std::sync::atomic::{AtomicU64, Ordering};

/// A number that only grows, or (where said so) a level that goes both ways.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds `n`.
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    /// Takes `n` off a level.
    pub fn sub(&self, n: u64) {
        self.0.fetch_sub(n, Ordering::Relaxed);
    }

    /// The value.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What happened in all logs that share a context.
#[derive(Debug, Default)]
pub struct LogMetrics {
    /// Batches written.
    pub appended_batches: Counter,
    /// Bytes written to segments.
    pub appended_bytes: Counter,
    /// Reads answered from the tail in memory.
    pub tail_reads: Counter,
    /// Reads answered from segment files.
    pub file_reads: Counter,
    /// Segments closed.
    pub rolled_segments: Counter,
    /// Segments taken out of a log by retention, trimming, or compaction.
    pub removed_segments: Counter,
    /// Bytes read and checked when logs were opened.
    pub recovery_scanned_bytes: Counter,
    /// Logs whose torn tail was cut when they were opened.
    pub torn_tails: Counter,
    /// Logs that failed for good after a write or a sync went wrong.
    pub failed_logs: Counter,
    /// Indexes rebuilt from their segment.
    pub rebuilt_indexes: Counter,
    /// Level: segments kept open for readers.
    pub open_segments: Counter,
}
