//! The aborted transactions of a segment: what a read_committed consumer must skip.
//!
//! File layout (`.txnindex`), integers big-endian; entries are appended as transactions abort, so each has its checksum
//! and a torn last one is cut off:
//! ```text
//!  0  magic        4   "TMXI"
//!  4  version      1   = 1
//!  5  reserved     3
//!  8  base_offset  8   of the segment
//! 16  entries, 40 bytes each:
//!       producer_id 8 · first_offset 8 · last_offset 8 · last_stable_offset 8 · reserved 4 · crc32 (IEEE) 4 of the rest
//! ```
//! A segment without aborted transactions has no file.

use std::io::{self, IoSlice};
use std::path::Path;

use tidemark_protocol::types::{Offset, ProducerId};

use crate::disk::{Disk, File, OpenMode, read_file};

const MAGIC: [u8; 4] = *b"TMXI";
const VERSION: u8 = 1;
const HEADER_LEN: usize = 16;
const ENTRY_LEN: usize = 40;
/// A segment holds at most 2 GiB of batches of at least 61 bytes; a file beyond that many entries is not ours.
const FILE_LEN_MAX: u64 = HEADER_LEN as u64 + (1 << 31) / 61 * ENTRY_LEN as u64;

/// A transaction that ended with an abort marker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AbortedTransaction {
    /// Who.
    pub producer_id: ProducerId,
    /// Its first record.
    pub first_offset: Offset,
    /// Its marker, inclusive.
    pub last_offset: Offset,
    /// The last stable offset when the marker was appended.
    pub last_stable_offset: Offset,
}

/// The aborted transactions of one segment in the order of their markers.
#[derive(Debug, Default)]
pub struct TransactionIndex {
    entries: Vec<AbortedTransaction>,
}

impl TransactionIndex {
    /// Loads a segment's index; a missing file means no entries. What follows a damaged entry is ignored and `false`
    /// returned with it: the caller rebuilds from the segment's markers.
    pub fn load(disk: &dyn Disk, path: &Path, base_offset: Offset) -> io::Result<(Self, bool)> {
        let bytes = match read_file(disk, path, FILE_LEN_MAX) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok((Self::default(), true)),
            Err(e) => return Err(e),
        };
        let mut index = Self::default();
        if bytes.len() < HEADER_LEN || bytes[..HEADER_LEN] != header(base_offset) {
            return Ok((index, false));
        }
        for chunk in bytes[HEADER_LEN..].chunks(ENTRY_LEN) {
            match decode(chunk) {
                Some(entry) => index.entries.push(entry),
                None => return Ok((index, false)),
            }
        }
        Ok((index, true))
    }

    /// Adds a transaction, in the file (made if missing, not synced) and in memory.
    pub fn append(
        &mut self,
        disk: &dyn Disk,
        path: &Path,
        base_offset: Offset,
        entry: AbortedTransaction,
    ) -> io::Result<()> {
        let file = disk.open(path, OpenMode::Create)?;
        self.write_entry(&*file, base_offset, entry)
    }

    fn write_entry(
        &mut self,
        file: &dyn File,
        base_offset: Offset,
        entry: AbortedTransaction,
    ) -> io::Result<()> {
        if self.entries.is_empty() {
            file.write_all_at(&[IoSlice::new(&header(base_offset))], 0)?;
        }
        let position = (HEADER_LEN + self.entries.len() * ENTRY_LEN) as u64;
        file.write_all_at(&[IoSlice::new(&encode(&entry))], position)?;
        file.set_len(position + ENTRY_LEN as u64)?;
        self.entries.push(entry);
        Ok(())
    }

    /// Forgets transactions whose marker is at or after `offset`; the caller rewrites or removes the file.
    pub fn truncate(&mut self, offset: Offset) {
        self.entries.retain(|e| e.last_offset < offset);
    }

    /// All entries.
    pub fn entries(&self) -> &[AbortedTransaction] {
        &self.entries
    }

    /// Transactions that have records in `from..up_to`; `true` when no later segment can have more of them, because one
    /// was met whose last stable offset is at or after `up_to`.
    pub fn collect(&self, from: Offset, up_to: Offset, found: &mut Vec<AbortedTransaction>) -> bool {
        for entry in &self.entries {
            if entry.last_offset >= from && entry.first_offset < up_to {
                found.push(*entry);
            }
            if entry.last_stable_offset >= up_to {
                return true;
            }
        }
        false
    }
}

fn header(base_offset: Offset) -> [u8; HEADER_LEN] {
    let mut out = [0; HEADER_LEN];
    out[..4].copy_from_slice(&MAGIC);
    out[4] = VERSION;
    out[8..].copy_from_slice(&base_offset.to_be_bytes());
    out
}

fn encode(entry: &AbortedTransaction) -> [u8; ENTRY_LEN] {
    let mut out = [0; ENTRY_LEN];
    out[..8].copy_from_slice(&entry.producer_id.to_be_bytes());
    out[8..16].copy_from_slice(&entry.first_offset.to_be_bytes());
    out[16..24].copy_from_slice(&entry.last_offset.to_be_bytes());
    out[24..32].copy_from_slice(&entry.last_stable_offset.to_be_bytes());
    let crc = crc32fast::hash(&out[..36]);
    out[36..].copy_from_slice(&crc.to_be_bytes());
    out
}

fn decode(bytes: &[u8]) -> Option<AbortedTransaction> {
    if bytes.len() != ENTRY_LEN || crc32fast::hash(&bytes[..36]).to_be_bytes() != bytes[36..] {
        return None;
    }
    let number = |at: usize| i64::from_be_bytes(bytes[at..at + 8].try_into().expect("eight bytes"));
    Some(AbortedTransaction {
        producer_id: number(0),
        first_offset: number(8),
        last_offset: number(16),
        last_stable_offset: number(24),
    })
}

#[cfg(test)]
mod tests;
