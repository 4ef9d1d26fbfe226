//! Offset → position: one entry about every `index.interval.bytes` of the segment.

use tidemark_protocol::types::Offset;

use super::sparse::{Entry, SparseIndex};

/// A batch begins here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OffsetEntry {
    /// Base offset of the batch, less that of the segment.
    pub relative: u32,
    /// Position of the batch in the segment.
    pub position: u32,
}

impl Entry for OffsetEntry {
    const MAGIC: [u8; 4] = *b"TMOI";
    const LEN: usize = 8;

    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.relative.to_be_bytes());
        out.extend_from_slice(&self.position.to_be_bytes());
    }

    fn decode(bytes: &[u8]) -> Self {
        OffsetEntry {
            relative: u32::from_be_bytes(bytes[..4].try_into().expect("four bytes")),
            position: u32::from_be_bytes(bytes[4..8].try_into().expect("four bytes")),
        }
    }
}

/// Entries sorted by offset and by position alike.
pub type OffsetIndex = SparseIndex<OffsetEntry>;

/// Offset of a batch relative to its segment; `None` if it does not fit, and the segment must be rolled.
pub fn relative_offset(base_offset: Offset, offset: Offset) -> Option<u32> {
    // Kafka's readers take relative offsets as signed, so half the range is used.
    u32::try_from(offset.checked_sub(base_offset)?).ok().filter(|&r| r <= i32::MAX as u32)
}

impl OffsetIndex {
    /// The last entry at or below `relative`.
    pub fn floor(&self, relative: u32) -> Option<OffsetEntry> {
        self.partition_point(|e| e.relative <= relative).checked_sub(1).map(|i| self.get(i))
    }

    /// The last entry whose batch begins at or before `position` and at or below `relative`.
    pub fn floor_position(&self, position: u64, relative: u32) -> Option<OffsetEntry> {
        let n = self.partition_point(|e| u64::from(e.position) <= position && e.relative <= relative);
        n.checked_sub(1).map(|i| self.get(i))
    }
}
