//! One partition's log. Written by its owner through `&mut self`, read by everyone else through [`LogReader`] snapshots.
//!
//! ```text
//! log_start  ≤  durable_end  ≤  log_end          (durable_end may be below log_start after a trim not yet flushed)
//! |---- synced ----|-- written --|
//! ```
//! Nothing is on disk until the first append. The high watermark is the caller's and only comes in as an argument.
#![allow(clippy::unimplemented)]

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tidemark_protocol::batch::RecordBatch;
use tidemark_protocol::types::{LeaderEpoch, Now, Offset, TimestampMs, TopicIdPartition};

use crate::config::LogConfig;
use crate::disk::{Disk, File};
use crate::journal::LogMark;
use crate::metrics::LogMetrics;
use crate::tail::TailBudget;

pub mod offset_map;
mod read;
pub mod retention;

pub use read::{Found, LogReader, Piece, ReadError, Slice};

/// What all logs of a broker share.
#[derive(Debug)]
pub struct LogContext {
    /// Where files live.
    pub disk: Arc<dyn Disk>,
    /// Memory for recent batches.
    pub tail: Arc<TailBudget>,
    /// Counters.
    pub metrics: Arc<LogMetrics>,
    /// `producer.id.expiration.ms`: a producer silent for so long is forgotten.
    pub producer_expiration_ms: i64,
}

/// One partition's log.
#[derive(Debug)]
pub struct Log {}

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
        /// Last sequence known; −1 when none is.
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

/// A producer known to the log, as DescribeProducers shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProducerDescription {
    /// Producer.
    pub producer_id: i64,
    /// Its epoch.
    pub producer_epoch: i16,
    /// Its last sequence number.
    pub last_sequence: i32,
    /// When it last wrote.
    pub last_timestamp: TimestampMs,
    /// Epoch of the coordinator that wrote its last marker; −1 when none did.
    pub coordinator_epoch: i32,
    /// First offset of its open transaction; −1 when there is none.
    pub current_txn_start_offset: Offset,
}

impl Log {
    /// Opens the log in `dir`, which need not exist. `mark` is what the journal proves; without one everything there
    /// is read and checked. Nothing is created.
    pub fn open(
        _context: &Arc<LogContext>,
        _dir: PathBuf,
        _identity: TopicIdPartition,
        _mark: Option<LogMark>,
        _config: Arc<LogConfig>,
        _now: Now,
    ) -> Result<(Log, Recovery), OpenError> {
        unimplemented!("open")
    }

    /// Places a producer's batch at the end of the log: producer-state checks, offsets, epoch, write. The bytes are in
    /// the file (not yet durable) when this returns.
    pub fn append_as_leader(
        &mut self,
        _batch: RecordBatch,
        _epoch: LeaderEpoch,
        _now: Now,
    ) -> Result<Appended, AppendError> {
        unimplemented!("append_as_leader")
    }

    /// Appends whole batches as the leader placed them and returns the new end. An incomplete last batch is ignored.
    pub fn append_as_follower(&mut self, _batches: Bytes, _now: Now) -> Result<Offset, AppendError> {
        unimplemented!("append_as_follower")
    }

    /// What has to be synced; `None` when everything is durable.
    pub fn begin_flush(&mut self) -> Option<Flush> {
        unimplemented!("begin_flush")
    }

    /// Everything in `flush` has been synced: `durable_end` moves to its end.
    pub fn finish_flush(&mut self, _flush: Flush) {
        unimplemented!("finish_flush")
    }

    /// Stops the log for good after a failed write or sync: appends are refused, reads go on.
    pub fn fail(&mut self, _why: String) {
        unimplemented!("fail")
    }

    /// Why the log has failed, if it has.
    pub fn failure(&self) -> Option<&str> {
        unimplemented!("failure")
    }

    /// Directory of the log; it need not exist.
    pub fn dir(&self) -> &Path {
        unimplemented!("dir")
    }

    /// The partition.
    pub fn identity(&self) -> TopicIdPartition {
        unimplemented!("identity")
    }

    /// First offset that may be read.
    pub fn log_start(&self) -> Offset {
        unimplemented!("log_start")
    }

    /// Offset of the next record.
    pub fn log_end(&self) -> Offset {
        unimplemented!("log_end")
    }

    /// Everything below is durable.
    pub fn durable_end(&self) -> Offset {
        unimplemented!("durable_end")
    }

    /// What the journal may now be told: call after [`Log::finish_flush`].
    pub fn mark(&self, _high_watermark: Offset) -> LogMark {
        unimplemented!("mark")
    }

    /// A new leader epoch begins at the end of the log. Touches no disk; stored with the epoch's first batch.
    pub fn assign_epoch(&mut self, _epoch: LeaderEpoch) {
        unimplemented!("assign_epoch")
    }

    /// The largest epoch known that is not above `epoch`, and where it ends (OffsetForLeaderEpoch, KIP-320); −1 and −1
    /// when there is none.
    pub fn epoch_end(&self, _epoch: LeaderEpoch) -> (LeaderEpoch, Offset) {
        unimplemented!("epoch_end")
    }

    /// The newest leader epoch known.
    pub fn latest_epoch(&self) -> Option<LeaderEpoch> {
        unimplemented!("latest_epoch")
    }

    /// What the journal must say, durably, before [`Log::truncate_to`] with the same offset: a crash in between must not
    /// look like lost data.
    pub fn mark_before_truncate(&self, _offset: Offset, _high_watermark: Offset) -> LogMark {
        unimplemented!("mark_before_truncate")
    }

    /// Cuts everything at or after `offset` (the whole batch that holds it) and syncs the cut.
    pub fn truncate_to(&mut self, _offset: Offset) -> Result<(), TruncateError> {
        unimplemented!("truncate_to")
    }

    /// Drops everything and goes on from `offset`, as a follower does whose leader starts later.
    pub fn truncate_fully_and_start_at(&mut self, _offset: Offset) -> Result<(), TruncateError> {
        unimplemented!("truncate_fully_and_start_at")
    }

    /// Moves the start of the log. Durable once the caller has journaled [`Log::mark`]; whole segments below go with
    /// the next [`Log::maintain`].
    pub fn advance_log_start(&mut self, _offset: Offset) -> Result<(), TruncateError> {
        unimplemented!("advance_log_start")
    }

    /// New settings, in effect from the next call on.
    pub fn set_config(&mut self, _config: Arc<LogConfig>) {
        unimplemented!("set_config")
    }

    /// Settings in effect.
    pub fn config(&self) -> &Arc<LogConfig> {
        unimplemented!("config")
    }

    /// Rolls by time, applies retention, removes files whose delay is over, lets go of idle memory and files.
    pub fn maintain(&mut self, _now: Now, _high_watermark: Offset) -> Maintenance {
        unimplemented!("maintain")
    }

    /// The producers known.
    pub fn producers(&mut self) -> Vec<ProducerDescription> {
        unimplemented!("producers")
    }

    /// Bytes of all segments.
    pub fn size_bytes(&self) -> u64 {
        unimplemented!("size_bytes")
    }

    /// An immutable snapshot for readers; cheap to take after each round.
    pub fn reader(&self) -> Arc<LogReader> {
        unimplemented!("reader")
    }

    /// Takes the log away: the directory is renamed to `<name>.<unique>-delete` at once; the returned path is to be
    /// removed (`Disk::remove_dir_all`) after the delay. `None` when nothing was on disk.
    pub fn delete(self, _unique: &str) -> io::Result<Option<PathBuf>> {
        unimplemented!("delete")
    }

    /// Writes what makes the next opening fast (producer snapshot, indexes). The caller has flushed before.
    pub fn close(&mut self) {
        unimplemented!("close")
    }
}
