//! Time → offset: where a search for a timestamp may begin.
//!
//! An entry `(timestamp, offset)` says: no record below `offset` is newer than `timestamp`. A search for the first record
//! at or after a time starts at the last entry with an older timestamp, whatever order the producers' clocks were in.

use tidemark_protocol::types::TimestampMs;

use super::sparse::{Entry, SparseIndex};

/// No record below `relative` has a timestamp above `timestamp`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeEntry {
    /// Largest timestamp of the records before.
    pub timestamp: TimestampMs,
    /// Base offset of a batch, less that of the segment.
    pub relative: u32,
}

impl Entry for TimeEntry {
    const MAGIC: [u8; 4] = *b"TMTI";
    const LEN: usize = 12;

    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.timestamp.to_be_bytes());
        out.extend_from_slice(&self.relative.to_be_bytes());
    }

    fn decode(bytes: &[u8]) -> Self {
        TimeEntry {
            timestamp: i64::from_be_bytes(bytes[..8].try_into().expect("eight bytes")),
            relative: u32::from_be_bytes(bytes[8..12].try_into().expect("four bytes")),
        }
    }
}

/// Entries with rising offsets and never falling timestamps.
pub type TimeIndex = SparseIndex<TimeEntry>;

impl TimeIndex {
    /// Where the search for the first record with at least `timestamp` begins: everything below is older.
    pub fn search_start(&self, timestamp: TimestampMs) -> Option<TimeEntry> {
        self.partition_point(|e| e.timestamp < timestamp).checked_sub(1).map(|i| self.get(i))
    }

    /// The last entry at or below `relative`.
    pub fn floor(&self, relative: u32) -> Option<TimeEntry> {
        self.partition_point(|e| e.relative <= relative).checked_sub(1).map(|i| self.get(i))
    }
}
