//! What readers see of a log: an immutable snapshot that never waits for the writer.

use std::io;
use std::sync::Arc;

use tidemark_protocol::batch::PlacedBatch;
use tidemark_protocol::types::{LeaderEpoch, Offset, TimestampMs};

use crate::disk::File;

/// A log as it was at one moment. Files taken out of the log since stay readable while this lives.
#[derive(Debug)]
pub struct LogReader {}

/// Whole batches in offset order.
#[derive(Debug, Default)]
pub struct Slice {
    /// The batches.
    pub pieces: Vec<Piece>,
    /// Bytes of all pieces.
    pub bytes: usize,
    /// Where the next read goes on.
    pub next_offset: Offset,
}

/// One stretch of whole batches.
#[derive(Debug)]
pub enum Piece {
    /// A batch in memory.
    Memory(PlacedBatch),
    /// Batches in a file.
    File {
        /// The file.
        file: Arc<dyn File>,
        /// Where the first begins.
        position: u64,
        /// Bytes.
        len: usize,
    },
}

/// A record found by its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its offset.
    pub offset: Offset,
    /// Its timestamp.
    pub timestamp: TimestampMs,
    /// Leader epoch of its batch.
    pub epoch: LeaderEpoch,
}

/// Why a read failed.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The offset is not in the log.
    #[error("offset {asked} is not within {start}..={end}")]
    OffsetOutOfRange {
        /// Offset asked for.
        asked: Offset,
        /// Start of the log.
        start: Offset,
        /// End of the log, exclusive.
        end: Offset,
    },
    /// Bytes in a segment are no batch.
    #[error("segment {segment_base} is damaged at position {position}: {reason}")]
    Corrupt {
        /// Base offset of the segment.
        segment_base: Offset,
        /// Position of the damage.
        position: u64,
        /// What is wrong.
        reason: String,
    },
    /// The disk refused.
    #[error("read failed: {0}")]
    Io(#[from] io::Error),
}

impl LogReader {
    /// First offset that may be read.
    pub fn log_start(&self) -> Offset {
        unimplemented!("log_start")
    }

    /// End of the log, exclusive.
    pub fn log_end(&self) -> Offset {
        unimplemented!("log_end")
    }

    /// Whole batches from the one that holds `from` on, all below `up_to` (exclusive), at most `max_bytes` of them; with
    /// `at_least_one` the first comes even if it is larger. Empty when there is nothing below `up_to`.
    pub fn read(
        &self,
        _from: Offset,
        _up_to: Offset,
        _max_bytes: usize,
        _at_least_one: bool,
    ) -> Result<Slice, ReadError> {
        unimplemented!("read")
    }

    /// The first record below `up_to` with a timestamp of at least `timestamp`.
    pub fn offset_for_timestamp(
        &self,
        _timestamp: TimestampMs,
        _up_to: Offset,
    ) -> Result<Option<Found>, ReadError> {
        unimplemented!("offset_for_timestamp")
    }

    /// The first record below `up_to` that has the largest timestamp.
    pub fn max_timestamp(&self, _up_to: Offset) -> Result<Option<Found>, ReadError> {
        unimplemented!("max_timestamp")
    }

    /// Leader epoch of the record at `offset`.
    pub fn epoch_for(&self, _offset: Offset) -> Option<LeaderEpoch> {
        unimplemented!("epoch_for")
    }

    /// As [`super::Log::epoch_end`].
    pub fn epoch_end(&self, _epoch: LeaderEpoch) -> (LeaderEpoch, Offset) {
        unimplemented!("epoch_end")
    }
}
