//! Record batches of message format v2, as slices of the bytes they came in.
//!
//! A batch is parsed by its header only; records are walked by borrowed iterators and never decoded into owned ones.
//! No length or count inside the bytes is trusted before it is checked against what is there, so hostile bytes cost an
//! error and never a panic or an allocation of their choosing.

use std::ops::Range;

use bytes::Bytes;

use crate::types::{LeaderEpoch, Offset};

mod error;
mod varint;

pub mod compression;

pub mod header;

pub mod records;

pub mod placed;

pub mod builder;

pub mod control;

pub mod validate;

pub use builder::{BatchBuilder, BuilderOptions};
pub use compression::{Compression, DecompressError};
pub use error::BatchError;
pub use header::{Attributes, BatchHeader, HEADER_LEN, LENGTH_END, MAGIC, PREFIX_LEN, TimestampType};
pub use placed::PlacedBatch;
pub use records::{Headers, Record, RecordHeader, RecordIter, RecordSet};
pub use validate::{AppendRules, Rejected, TopicCompression, Validated, validate};

/// Exactly one whole batch over shared bytes. The header is parsed; checksum and records are not checked.
#[derive(Clone, Debug)]
pub struct RecordBatch {
    header: BatchHeader,
    bytes: Bytes,
}

impl RecordBatch {
    /// Takes bytes that are one batch, no more and no less.
    ///
    /// # Errors
    /// Those of [`BatchHeader::parse`]; `Short` and `Trailing` when the length field disagrees with the bytes.
    pub fn parse(bytes: Bytes) -> Result<Self, BatchError> {
        let header = BatchHeader::parse(&bytes)?;
        let (have, need) = (bytes.len(), header.total_len());
        if have < need {
            return Err(BatchError::Short { have, need });
        }
        if have > need {
            return Err(BatchError::Trailing { extra: have - need });
        }
        Ok(RecordBatch { header, bytes })
    }

    /// The header.
    pub fn header(&self) -> &BatchHeader {
        &self.header
    }

    /// The whole batch.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Bytes of the whole batch.
    #[allow(clippy::len_without_is_empty, reason = "a batch has at least a header")]
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Compares the checksum with the bytes.
    ///
    /// # Errors
    /// `Crc`.
    pub fn verify_crc(&self) -> Result<(), BatchError> {
        verify_crc(&self.header, &self.bytes)
    }

    /// The records, without copying those of an uncompressed batch; `cap` bounds the bytes a compressed one may
    /// unfold to.
    ///
    /// # Errors
    /// `Decompress`.
    pub fn records(&self, cap: usize) -> Result<RecordSet, BatchError> {
        RecordSet::open(self.header, self.bytes.slice(HEADER_LEN..), cap)
    }

    /// Gives the batch its place in the log: a new base offset and leader epoch, outside the checksum.
    pub fn place(self, base_offset: Offset, epoch: LeaderEpoch) -> PlacedBatch {
        let header = BatchHeader { base_offset, partition_leader_epoch: epoch, ..self.header };
        PlacedBatch::new(header, &self.bytes)
    }

    /// A batch that already carries its place, such as one fetched from a leader or read back from a segment.
    pub fn placed(self) -> PlacedBatch {
        PlacedBatch::new(self.header, &self.bytes)
    }
}

/// Compares the checksum of a whole batch with its bytes, for those who hold no [`RecordBatch`].
///
/// # Errors
/// `Crc`; `Short` when `batch` is not as long as its header says.
pub fn verify_crc(header: &BatchHeader, batch: &[u8]) -> Result<(), BatchError> {
    let need = header.total_len();
    let whole = batch.get(..need).ok_or(BatchError::Short { have: batch.len(), need })?;
    let computed = header::checksum(whole);
    if computed == header.crc { Ok(()) } else { Err(BatchError::Crc { stored: header.crc, computed }) }
}

/// Walks the batches of `buf` by their headers: header and range of each whole batch.
///
/// Stops quietly at an incomplete last batch; after an error nothing follows.
pub fn batches(buf: &[u8]) -> BatchIter<'_> {
    BatchIter { buf, at: 0 }
}

/// Iterator of [`batches`].
#[derive(Clone, Debug)]
pub struct BatchIter<'a> {
    buf: &'a [u8],
    at: usize,
}

impl BatchIter<'_> {
    /// End of the last whole batch that was returned: bytes from here on are incomplete or in error.
    pub fn position(&self) -> usize {
        self.at
    }
}

impl Iterator for BatchIter<'_> {
    type Item = Result<(BatchHeader, Range<usize>), BatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = &self.buf[self.at..];
        match BatchHeader::parse(rest) {
            Ok(header) if header.total_len() <= rest.len() => {
                let range = self.at..self.at + header.total_len();
                self.at = range.end;
                Some(Ok((header, range)))
            }
            Ok(_) | Err(BatchError::Short { .. }) => None,
            Err(error) => {
                self.buf = &self.buf[..self.at];
                Some(Err(error))
            }
        }
    }
}

#[cfg(test)]
mod tests;
