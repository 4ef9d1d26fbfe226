//! A batch with its place in the log: base offset and leader epoch are the broker's, every other byte the producer's.
//!
//! The 16 bytes outside the checksum lie inline, the rest is shared with whoever else holds it (the network buffer it
//! came in, the tail cache, a response on its way out). The two are written with one gathered write.

use bytes::{Bytes, BytesMut};

use super::header::{BatchHeader, PREFIX_LEN};
use super::{BatchError, RecordBatch, RecordSet};
use crate::types::{LeaderEpoch, Offset};

/// Batches below this many bytes are copied: a small slice must not keep a large network buffer alive.
pub const COPY_BELOW_BYTES: usize = 1024;

/// A batch as the log holds it. Cloning is cheap.
#[derive(Clone, Debug)]
pub struct PlacedBatch {
    header: BatchHeader,
    prefix: [u8; PREFIX_LEN],
    body: Bytes,
}

impl PlacedBatch {
    /// Gives `batch` its place; `header` is its header with the new place already in it.
    pub(super) fn new(header: BatchHeader, batch: &Bytes) -> Self {
        let body = if batch.len() < COPY_BELOW_BYTES {
            Bytes::copy_from_slice(&batch[PREFIX_LEN..])
        } else {
            batch.slice(PREFIX_LEN..)
        };
        PlacedBatch { header, prefix: header.prefix(), body }
    }

    /// The header, with the offset and epoch of the log.
    pub fn header(&self) -> &BatchHeader {
        &self.header
    }

    /// Offset of the first record.
    pub fn base_offset(&self) -> Offset {
        self.header.base_offset
    }

    /// Offset of the last record, inclusive.
    pub fn last_offset(&self) -> Offset {
        self.header.last_offset()
    }

    /// Offset after the batch.
    pub fn next_offset(&self) -> Offset {
        self.header.next_offset()
    }

    /// Epoch of the leader that appended it.
    pub fn leader_epoch(&self) -> LeaderEpoch {
        self.header.partition_leader_epoch
    }

    /// Bytes of the whole batch.
    #[allow(clippy::len_without_is_empty, reason = "a batch has at least a header")]
    pub fn len(&self) -> usize {
        PREFIX_LEN + self.body.len()
    }

    /// Bytes 0..16: base offset, length, leader epoch.
    pub fn prefix(&self) -> &[u8; PREFIX_LEN] {
        &self.prefix
    }

    /// Bytes 16.. of the batch, shared.
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// The batch in two pieces, the second of them shared.
    pub fn parts(&self) -> [Bytes; 2] {
        [Bytes::copy_from_slice(&self.prefix), self.body.clone()]
    }

    /// The whole batch copied into one piece.
    pub fn to_bytes(&self) -> Bytes {
        let mut whole = BytesMut::with_capacity(self.len());
        whole.extend_from_slice(&self.prefix);
        whole.extend_from_slice(&self.body);
        whole.freeze()
    }

    /// The batch in one piece, copied.
    pub fn to_batch(&self) -> RecordBatch {
        RecordBatch { header: self.header, bytes: self.to_bytes() }
    }

    /// The records, without copying those of an uncompressed batch; `cap` bounds the bytes a compressed one may
    /// unfold to.
    ///
    /// # Errors
    /// `Decompress`.
    pub fn records(&self, cap: usize) -> Result<RecordSet, BatchError> {
        RecordSet::open(self.header, self.body.slice(super::HEADER_LEN - PREFIX_LEN..), cap)
    }
}

#[cfg(test)]
mod tests;
