//! What the operations of a log answer, and why they refuse.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tidemark_protocol::types::{Offset, TimestampMs};

use crate::disk::File;
use crate::producer::{ProducerError, ProducerStateManager};
use crate::segment::SegmentIndex;

/// What opening a log found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recovery {
    /// There was nothing, and nothing was expected.
    Empty,
    /// Every batch is whole. `scanned` bytes past the journal's mark were read and checked.
    Intact {
        /// Bytes read.
        scanned: u64,
    },
    /// The end of the log was not whole, as after a crash in the middle of a write, and was cut.
    Torn {
        /// Where the log ends now.
        truncated_to: Offset,
        /// Bytes cut off.
        truncated_bytes: u64,
        /// Bytes read.
        scanned: u64,
    },
}

/// Why a log could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Bytes that were durable are wrong or missing. Nothing was changed; the log must stay offline until its data is
    /// fetched again from another replica.
    #[error("{} is damaged at offset {offset} (segment {segment_base}, position {position}): {reason}", dir.display())]
    Corrupt {
        /// Directory of the log.
        dir: PathBuf,
        /// Base offset of the segment.
        segment_base: Offset,
        /// Position of the damage in the segment.
        position: u64,
        /// First offset that is not proven any more.
        offset: Offset,
        /// What is wrong.
        reason: String,
    },
    /// The directory belongs to a topic of another id.
    #[error("{} holds topic id {found}, not {expected}", dir.display())]
    WrongTopic {
        /// Directory of the log.
        dir: PathBuf,
        /// The id expected.
        expected: String,
        /// The id found.
        found: String,
    },
    /// The disk refused.
    #[error("cannot open {}: {source}", dir.display())]
    Io {
        /// Directory of the log.
        dir: PathBuf,
        /// What the disk said.
        source: io::Error,
    },
}

/// An append that was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// Offset of the first record.
    pub base_offset: Offset,
    /// Offset of the last record, inclusive.
    pub last_offset: Offset,
    /// The time the log gave the records; −1 when they keep their producer's.
    pub log_append_time: TimestampMs,
    /// The batch was there already: the offsets are those of the first time, nothing was written.
    pub duplicate: bool,
}

/// Why an append was refused. Unless it says [`AppendError::Failed`], the log goes on as if it was never tried.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// The producer skipped or repeated sequence numbers.
    #[error(
        "out of order sequence of producer {producer_id} at offset {offset}: {found} came, {expected} was next"
    )]
    OutOfOrderSequence {
        /// Producer.
        producer_id: i64,
        /// Where the batch would have gone.
        offset: Offset,
        /// First sequence of the batch.
        found: i32,
        /// The sequence that would have been next.
        expected: i32,
    },
    /// A newer incarnation of the producer has written already.
    #[error("producer {producer_id} has epoch {current}, the batch epoch {found}")]
    InvalidProducerEpoch {
        /// Producer.
        producer_id: i64,
        /// Epoch of the batch.
        found: i16,
        /// Epoch known.
        current: i16,
    },
    /// The batch does not fit the producer's transaction.
    #[error("invalid transaction state of producer {producer_id}")]
    InvalidTxnState {
        /// Producer.
        producer_id: i64,
    },
    /// A marker of a coordinator that has been replaced.
    #[error("coordinator epoch {found} of producer {producer_id} is older than {current}")]
    CoordinatorFenced {
        /// Producer.
        producer_id: i64,
        /// Epoch of the marker.
        found: i32,
        /// Epoch known.
        current: i32,
    },
    /// The batch is larger than a segment may be.
    #[error("batch of {size} bytes, at most {max} fit in a segment")]
    BatchTooLarge {
        /// Bytes of the batch.
        size: usize,
        /// Bytes a segment may have.
        max: u64,
    },
    /// Bytes from the leader that are no batches, or not those that come next.
    #[error("corrupt batches: {0}")]
    Corrupt(String),
    /// There is no room. Nothing of the batch is in the file.
    #[error("no space left on the disk")]
    DiskFull,
    /// The log has failed for good: a write or a sync went wrong, now or before. Reads go on.
    #[error("log failed: {0}")]
    Failed(String),
}

/// Sequences wrap from `i32::MAX` to 0.
fn next_sequence(last: i32) -> i32 {
    if last == i32::MAX { 0 } else { last + 1 }
}

impl AppendError {
    /// Why the producer state refused a batch that would have gone to `offset`.
    pub(super) fn refused(error: &ProducerError, offset: Offset) -> Self {
        match *error {
            ProducerError::OutOfOrderSequence { producer_id, sequence, last_sequence, .. } => {
                AppendError::OutOfOrderSequence {
                    producer_id,
                    offset,
                    found: sequence,
                    expected: next_sequence(last_sequence),
                }
            }
            ProducerError::InvalidProducerEpoch { producer_id, epoch, known_epoch } => {
                AppendError::InvalidProducerEpoch { producer_id, found: epoch, current: known_epoch }
            }
            ProducerError::InvalidTxnState { producer_id, .. }
            | ProducerError::Unverified { producer_id } => AppendError::InvalidTxnState { producer_id },
            ProducerError::CoordinatorFenced { producer_id, coordinator_epoch, known_epoch } => {
                AppendError::CoordinatorFenced { producer_id, found: coordinator_epoch, current: known_epoch }
            }
        }
    }
}

/// Why a log could not be cut or trimmed.
#[derive(Debug, thiserror::Error)]
pub enum TruncateError {
    /// The offset is not within the log.
    #[error("offset {asked} is not within {start}..={end}")]
    OutOfRange {
        /// Offset asked for.
        asked: Offset,
        /// Start of the log.
        start: Offset,
        /// End of the log, exclusive.
        end: Offset,
    },
    /// The log has failed for good, now or before.
    #[error("log failed: {0}")]
    Failed(String),
}

/// What has to be synced so that everything up to `end` is durable. Made by [`Log::begin_flush`]; give it back to
/// [`Log::finish_flush`] when every file and then every directory is synced (or the file system as a whole).
#[derive(Debug)]
pub struct Flush {
    /// Files to sync.
    pub files: Vec<Arc<dyn File>>,
    /// Directories to sync, after the files.
    pub dirs: Vec<PathBuf>,
    /// What is durable then, exclusive.
    pub end: Offset,
    pub(super) position: Position,
    /// How often the log had been cut when the flush began: a cut in between voids it.
    pub(super) cuts: u64,
    /// What to save once everything is synced.
    pub(super) save: Option<Box<Save>>,
}

/// What is derived from the batches of the last segment, as of one offset.
#[derive(Debug)]
pub(super) struct Save {
    pub offset: Offset,
    pub index: Option<SegmentIndex>,
    pub producers: Option<Box<ProducerStateManager>>,
}

/// A place between two batches: the offset and where it lies on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Position {
    /// Offset of the batch that begins here.
    pub end: Offset,
    /// Base offset of the segment.
    pub segment_base: Offset,
    /// Position in the segment.
    pub position: u64,
}

/// What [`Log::maintain`] did, and when it wants to be called again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Maintenance {
    /// The start of the log moved: journal it.
    pub log_start_moved: bool,
    /// The active segment was closed.
    pub rolled: bool,
    /// Segments taken out of the log.
    pub removed_segments: usize,
    /// Call again at this time (on the `Now::mono` scale); `None`: only after the next append.
    pub next_due: Option<Duration>,
}
