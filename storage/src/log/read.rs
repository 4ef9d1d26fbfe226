//! What readers see of a log: an immutable snapshot that never waits for the writer.

use std::io;
use std::sync::Arc;

use tidemark_protocol::batch::PlacedBatch;
use tidemark_protocol::types::{LeaderEpoch, Offset, TimestampMs};

use super::LogContext;
use crate::disk::File;
use crate::epoch::LeaderEpochCache;
use crate::segment::scan::ScanError;
use crate::segment::{Located, Segment};
use crate::tail::Tail;

/// A log as it was at one moment. Files taken out of the log since stay readable while this lives.
#[derive(Debug)]
pub struct LogReader {
    context: Arc<LogContext>,
    pub(super) segments: Arc<Vec<Arc<Segment>>>,
    tail: Arc<Tail>,
    epochs: Arc<LeaderEpochCache>,
    pub(super) log_start: Offset,
    pub(super) log_end: Offset,
}

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

impl ReadError {
    pub(super) fn in_segment(segment: &Segment, error: ScanError) -> Self {
        match error {
            ScanError::Io(e) => ReadError::Io(e),
            ScanError::Damaged { position, reason } => {
                ReadError::Corrupt { segment_base: segment.base_offset(), position, reason }
            }
        }
    }
}

impl LogReader {
    pub(super) fn new(
        context: Arc<LogContext>,
        segments: Arc<Vec<Arc<Segment>>>,
        tail: Arc<Tail>,
        epochs: Arc<LeaderEpochCache>,
        log_start: Offset,
        log_end: Offset,
    ) -> Self {
        LogReader { context, segments, tail, epochs, log_start, log_end }
    }

    /// First offset that may be read.
    pub fn log_start(&self) -> Offset {
        self.log_start
    }

    /// End of the log, exclusive.
    pub fn log_end(&self) -> Offset {
        self.log_end
    }

    /// Bytes of all segments now.
    pub fn size_bytes(&self) -> u64 {
        self.segments.iter().map(|s| s.size()).sum()
    }

    /// Whole batches from the one that holds `from` on, all below `up_to` (exclusive), at most `max_bytes` of them; with
    /// `at_least_one` the first comes even if it is larger. Empty when there is nothing below `up_to`.
    ///
    /// A memory piece costs nothing; finding a file piece reads a few KiB, which may wait for the disk.
    pub fn read(
        &self,
        from: Offset,
        up_to: Offset,
        max_bytes: usize,
        at_least_one: bool,
    ) -> Result<Slice, ReadError> {
        if from < self.log_start || from > self.log_end {
            let (start, end) = (self.log_start, self.log_end);
            return Err(ReadError::OffsetOutOfRange { asked: from, start, end });
        }
        let up_to = up_to.min(self.log_end);
        if from >= up_to {
            return Ok(Slice { next_offset: from, ..Slice::default() });
        }
        match self.read_tail(from, up_to, max_bytes, at_least_one) {
            Some(slice) => Ok(slice),
            None => self.read_files(from, up_to, max_bytes, at_least_one),
        }
    }

    /// As [`LogReader::read`], but only from memory: `None` when a file would have to be asked.
    pub fn read_tail(
        &self,
        from: Offset,
        up_to: Offset,
        max_bytes: usize,
        at_least_one: bool,
    ) -> Option<Slice> {
        let batches = self.tail.read(from, up_to.min(self.log_end), max_bytes, at_least_one)?;
        self.context.metrics.tail_reads.add(1);
        let mut slice = Slice { pieces: Vec::with_capacity(batches.len()), bytes: 0, next_offset: from };
        for batch in batches {
            slice.bytes += batch.len();
            slice.next_offset = batch.next_offset();
            slice.pieces.push(Piece::Memory(batch));
        }
        Some(slice)
    }

    fn read_files(
        &self,
        from: Offset,
        up_to: Offset,
        max_bytes: usize,
        at_least_one: bool,
    ) -> Result<Slice, ReadError> {
        self.context.metrics.file_reads.add(1);
        let mut slice = Slice { next_offset: from, ..Slice::default() };
        for segment in &self.segments[self.segment_of(from)..] {
            if segment.base_offset() >= up_to || (slice.bytes >= max_bytes && !slice.pieces.is_empty()) {
                break;
            }
            let wants_one = at_least_one && slice.pieces.is_empty();
            let room = (max_bytes - slice.bytes.min(max_bytes)) as u64;
            let is_whole = read_segment(segment, &mut slice, up_to, room, wants_one)
                .map_err(|e| ReadError::in_segment(segment, e))?;
            if !is_whole {
                break;
            }
        }
        Ok(slice)
    }

    /// Index of the segment that may hold `offset`.
    pub(super) fn segment_of(&self, offset: Offset) -> usize {
        self.segments.partition_point(|s| s.base_offset() <= offset).saturating_sub(1)
    }

    /// Leader epoch of the record at `offset`.
    pub fn epoch_for(&self, offset: Offset) -> Option<LeaderEpoch> {
        self.epochs.epoch_for(offset)
    }

    /// As [`super::Log::epoch_end`].
    pub fn epoch_end(&self, epoch: LeaderEpoch) -> (LeaderEpoch, Offset) {
        self.epochs.end_offset_for(epoch, self.log_end)
    }
}

/// Adds what `segment` has from the slice's end on. True when everything to its end was taken.
fn read_segment(
    segment: &Arc<Segment>,
    slice: &mut Slice,
    up_to: Offset,
    room: u64,
    wants_one: bool,
) -> Result<bool, ScanError> {
    let Some(first) = segment.locate(slice.next_offset)? else { return Ok(true) };
    let (end, next) = extent(segment, &first, up_to, room, wants_one)?;
    if end == first.position {
        return Ok(false);
    }
    let len = usize::try_from(end - first.position).expect("a segment is below 2 GiB");
    slice.pieces.push(Piece::File { file: segment.file()?, position: first.position, len });
    slice.bytes += len;
    slice.next_offset = next;
    Ok(end == segment.size())
}

fn extent(
    segment: &Arc<Segment>,
    first: &Located,
    up_to: Offset,
    room: u64,
    wants_one: bool,
) -> Result<(u64, Offset), ScanError> {
    let len = first.header.total_len() as u64;
    if len <= room {
        return segment.extent(first, up_to, room);
    }
    if wants_one && first.header.next_offset() <= up_to {
        return Ok((first.position + len, first.header.next_offset()));
    }
    Ok((first.position, first.header.base_offset))
}
