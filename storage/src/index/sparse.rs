//! Sorted entries of fixed size: a vector while its segment grows, the mapped file once it is sealed.
//!
//! File layout, integers big-endian:
//! ```text
//!  0  magic                    4   "TMOI" offsets, "TMTI" times
//!  4  version                  1   = 1
//!  5  flags                    1   bit 0: the segment is sealed
//!  6  reserved                 2
//!  8  base_offset              8   of the segment
//! 16  covered_end              8   offset after the last batch the entries know of
//! 24  covered_position         8   where that batch ends in the segment
//! 32  first_timestamp          8   largest timestamp of the first batch; −1: none
//! 40  largest_timestamp        8   of all batches covered; −1: none
//! 48  largest_timestamp_offset 8   base offset of the first batch that has it
//! 56  entries                  4
//! 60  reserved                 4
//! 64  entries × entry length
//!  …  crc32 (IEEE)             4   of everything before
//! ```
//! A file is written whole under another name and renamed, so a mapped one never changes.

use std::io::{self, IoSlice};
use std::marker::PhantomData;
use std::path::Path;

use tidemark_protocol::types::{Offset, TimestampMs};

use crate::disk::{Disk, Mapped, OpenMode};

const VERSION: u8 = 1;
const HEADER_LEN: usize = 64;
const FOOTER_LEN: usize = 4;
const FLAG_SEALED: u8 = 1;

/// What an index knows of its segment besides the entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Offset after the last batch covered.
    pub covered_end: Offset,
    /// Where that batch ends in the segment.
    pub covered_position: u64,
    /// Largest timestamp of the first batch; −1 when there is none.
    pub first_timestamp: TimestampMs,
    /// Largest timestamp of all batches; −1 when none has one.
    pub largest_timestamp: TimestampMs,
    /// Base offset of the first batch that has it.
    pub largest_timestamp_offset: Offset,
}

impl Summary {
    /// Of a segment without batches.
    pub fn empty(base_offset: Offset) -> Self {
        Summary {
            covered_end: base_offset,
            covered_position: 0,
            first_timestamp: -1,
            largest_timestamp: -1,
            largest_timestamp_offset: base_offset,
        }
    }
}

/// Why an index file cannot be used. The index is then rebuilt from its segment.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// The bytes are not what was written.
    #[error("index is damaged: {0}")]
    Damaged(&'static str),
    /// The disk refused, or there is no file.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// One entry of a sparse index.
pub trait Entry: Copy {
    /// Names the kind of file.
    const MAGIC: [u8; 4];
    /// Bytes of an entry.
    const LEN: usize;
    /// Writes the entry.
    fn encode(&self, out: &mut Vec<u8>);
    /// Reads an entry of `LEN` bytes.
    fn decode(bytes: &[u8]) -> Self;
}

#[derive(Debug)]
enum Entries<E> {
    Growing(Vec<E>),
    Sealed(Mapped, usize),
}

/// Sorted entries of one segment.
#[derive(Debug)]
pub struct SparseIndex<E> {
    entries: Entries<E>,
    kind: PhantomData<E>,
}

impl<E: Entry> Default for SparseIndex<E> {
    fn default() -> Self {
        SparseIndex { entries: Entries::Growing(Vec::new()), kind: PhantomData }
    }
}

impl<E: Entry> SparseIndex<E> {
    /// Number of entries.
    pub fn len(&self) -> usize {
        match &self.entries {
            Entries::Growing(entries) => entries.len(),
            Entries::Sealed(_, len) => *len,
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The entry at `i`, which is below `len`.
    pub fn get(&self, i: usize) -> E {
        match &self.entries {
            Entries::Growing(entries) => entries[i],
            Entries::Sealed(bytes, _) => {
                let at = HEADER_LEN + i * E::LEN;
                E::decode(&bytes[at..at + E::LEN])
            }
        }
    }

    /// The last entry.
    pub fn last(&self) -> Option<E> {
        self.len().checked_sub(1).map(|i| self.get(i))
    }

    /// Number of leading entries for which `goes_before` holds; it must hold for none after one it does not hold for.
    pub fn partition_point(&self, mut goes_before: impl FnMut(E) -> bool) -> usize {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low + (high - low) / 2;
            if goes_before(self.get(middle)) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }

    /// Adds an entry at the end of an index that grows.
    pub fn push(&mut self, entry: E) {
        match &mut self.entries {
            Entries::Growing(entries) => entries.push(entry),
            Entries::Sealed(..) => unreachable!("entries are only added while the segment grows"),
        }
    }

    /// The same entries in memory, free to grow on.
    pub fn copy(&self) -> Self {
        let entries = (0..self.len()).map(|i| self.get(i)).collect();
        SparseIndex { entries: Entries::Growing(entries), kind: PhantomData }
    }

    /// Bytes of the entries, in the file or in memory.
    pub fn size_bytes(&self) -> usize {
        self.len() * E::LEN
    }

    /// Writes the index under a temporary name and puts it in place. Needs no sync: a damaged index is rebuilt.
    pub fn write(
        &self,
        disk: &dyn Disk,
        path: &Path,
        base_offset: Offset,
        summary: &Summary,
        sealed: bool,
    ) -> io::Result<()> {
        let bytes = self.encode(base_offset, summary, sealed);
        let temporary = path.with_extension("tmp");
        let file = disk.open(&temporary, OpenMode::Create)?;
        file.set_len(0)?;
        file.write_all_at(&[IoSlice::new(&bytes)], 0)?;
        disk.rename(&temporary, path)
    }

    fn encode(&self, base_offset: Offset, summary: &Summary, sealed: bool) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEADER_LEN + self.size_bytes() + FOOTER_LEN);
        out.extend_from_slice(&E::MAGIC);
        out.extend_from_slice(&[VERSION, u8::from(sealed) * FLAG_SEALED, 0, 0]);
        out.extend_from_slice(&base_offset.to_be_bytes());
        out.extend_from_slice(&summary.covered_end.to_be_bytes());
        out.extend_from_slice(&summary.covered_position.to_be_bytes());
        out.extend_from_slice(&summary.first_timestamp.to_be_bytes());
        out.extend_from_slice(&summary.largest_timestamp.to_be_bytes());
        out.extend_from_slice(&summary.largest_timestamp_offset.to_be_bytes());
        let len = u32::try_from(self.len()).expect("an index is capped in bytes");
        out.extend_from_slice(&len.to_be_bytes());
        out.extend_from_slice(&[0; 4]);
        for i in 0..self.len() {
            self.get(i).encode(&mut out);
        }
        let crc = crc32fast::hash(&out);
        out.extend_from_slice(&crc.to_be_bytes());
        out
    }

    /// Opens an index file: mapped when the segment is sealed, copied into memory when it will grow.
    pub fn load(
        disk: &dyn Disk,
        path: &Path,
        base_offset: Offset,
        sealed: bool,
    ) -> Result<(Self, Summary), IndexError> {
        let bytes = disk.map(path)?;
        let (summary, len, is_sealed) = check::<E>(&bytes, base_offset)?;
        if sealed && !is_sealed {
            return Err(IndexError::Damaged("written before the segment was sealed"));
        }
        let index = SparseIndex { entries: Entries::Sealed(bytes, len), kind: PhantomData };
        Ok((if sealed { index } else { index.copy() }, summary))
    }
}

/// Checks the bytes of an index file and returns its summary, its number of entries, and whether it is sealed.
fn check<E: Entry>(bytes: &[u8], base_offset: Offset) -> Result<(Summary, usize, bool), IndexError> {
    if bytes.len() < HEADER_LEN + FOOTER_LEN {
        return Err(IndexError::Damaged("too short"));
    }
    let (body, footer) = bytes.split_at(bytes.len() - FOOTER_LEN);
    if crc32fast::hash(body).to_be_bytes() != footer {
        return Err(IndexError::Damaged("checksum"));
    }
    if body[..4] != E::MAGIC || body[4] != VERSION {
        return Err(IndexError::Damaged("not an index of this kind and version"));
    }
    if number(body, 8) != base_offset {
        return Err(IndexError::Damaged("of another segment"));
    }
    let len = u32::from_be_bytes(body[56..60].try_into().expect("four bytes")) as usize;
    if body.len() != HEADER_LEN + len * E::LEN {
        return Err(IndexError::Damaged("number of entries"));
    }
    let summary = Summary {
        covered_end: number(body, 16),
        covered_position: u64::try_from(number(body, 24)).map_err(|_| IndexError::Damaged("position"))?,
        first_timestamp: number(body, 32),
        largest_timestamp: number(body, 40),
        largest_timestamp_offset: number(body, 48),
    };
    Ok((summary, len, body[5] & FLAG_SEALED != 0))
}

fn number(bytes: &[u8], at: usize) -> i64 {
    i64::from_be_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

#[cfg(test)]
mod tests;
