//! One partition's log. Written by its owner through `&mut self`, read by everyone else through [`LogReader`] snapshots.
//!
//! ```text
//! log_start  ≤  durable_end  ≤  log_end          (durable_end may be below log_start after a trim not yet flushed)
//! |---- synced ----|-- written --|
//! ```
//! Nothing is on disk until the first append. The high watermark is the caller's and only comes in as an argument.
//! What is derived from the batches (indexes, producer snapshots) is only written for durable bytes, so after a crash it
//! never says more than the log holds.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tidemark_protocol::types::{LeaderEpoch, Now, Offset, TopicIdPartition};

use crate::config::LogConfig;
use crate::disk::{Disk, File};
use crate::epoch::LeaderEpochCache;
use crate::journal::LogMark;
use crate::metrics::LogMetrics;
use crate::producer::ProducerStateManager;
use crate::segment::{OpenFiles, Place, Segment};
use crate::tail::{Tail, TailBudget};

mod append;
pub mod compaction;
mod flush;
mod maintain;
pub mod offset_map;
mod outcome;
mod producers;
mod read;
mod recovery;
pub mod retention;
mod roll;
mod start;
mod time;
mod truncate;

pub use crate::producer::{ProducerDescription, VerificationGuard};
pub use crate::segment::RoomPolicy;
pub use append::Admission;
pub use outcome::{AppendError, Appended, Flush, Maintenance, OpenError, Recovery, TruncateError};
pub use read::{Found, LogReader, Piece, ReadError, Slice};

use outcome::Position;

/// Segments kept open for readers by all logs of a broker: well below the usual limit of descriptors, with room for
/// sockets.
const OPEN_SEGMENTS_MAX: usize = 2048;

/// What all logs of a broker share.
#[derive(Debug)]
pub struct LogContext {
    /// Where files live.
    pub disk: Arc<dyn Disk>,
    /// Memory for recent batches.
    pub tail: Arc<TailBudget>,
    /// Counters.
    pub metrics: Arc<LogMetrics>,
    /// What the node decides for all of them.
    pub options: LogOptions,
    /// The segments open for readers.
    open_files: Arc<OpenFiles>,
}

/// What a node decides for all its logs.
#[derive(Clone, Copy, Debug)]
pub struct LogOptions {
    /// `producer.id.expiration.ms`: a producer silent for so long is forgotten.
    pub producer_expiration_ms: i64,
    /// `log.retention.check.interval.ms`: how often a log looks at its limits; the first time so long after its opening.
    pub retention_check_interval: Duration,
    /// Room at the end of segments that grow.
    pub room: RoomPolicy,
}

impl Default for LogOptions {
    /// A day for producers; limits are looked at whenever a log is maintained.
    fn default() -> Self {
        LogOptions {
            producer_expiration_ms: 86_400_000,
            retention_check_interval: Duration::ZERO,
            room: RoomPolicy::default(),
        }
    }
}

impl LogContext {
    /// What the logs of one broker share.
    pub fn new(
        disk: Arc<dyn Disk>,
        tail: Arc<TailBudget>,
        metrics: Arc<LogMetrics>,
        options: LogOptions,
    ) -> Arc<Self> {
        let open_files = Arc::new(OpenFiles::new(OPEN_SEGMENTS_MAX, metrics.clone()));
        Arc::new(LogContext { disk, tail, metrics, options, open_files })
    }

    fn place(&self, dir: PathBuf, config: &LogConfig) -> Arc<Place> {
        Arc::new(Place {
            disk: self.disk.clone(),
            dir,
            open_files: self.open_files.clone(),
            metrics: self.metrics.clone(),
            index_interval: AtomicU64::new(config.index_interval_bytes),
            preallocated_bytes: AtomicU64::new(config.preallocated_bytes()),
            room: self.options.room,
        })
    }
}

/// One partition's log.
#[derive(Debug)]
pub struct Log {
    context: Arc<LogContext>,
    place: Arc<Place>,
    identity: TopicIdPartition,
    config: Arc<LogConfig>,
    /// By base offset, the last one is written to; never empty.
    segments: Arc<Vec<Arc<Segment>>>,
    /// Whether the last segment's file exists.
    is_created: bool,
    tail: Arc<Tail>,
    epochs: Arc<LeaderEpochCache>,
    /// Loaded when first needed.
    producers: Option<Box<ProducerStateManager>>,
    log_start: Offset,
    log_end: Offset,
    durable: Position,
    unsynced: Unsynced,
    /// Nothing was written since the opening: what an earlier process did to the last segment and to the directory may
    /// not be on the disk as it is seen here.
    is_inherited: bool,
    /// Sealed segments whose indexes are written once their bytes are durable.
    unsettled: Vec<roll::Unsettled>,
    /// Segments taken out of the log whose files are still there.
    removed: Vec<maintain::Removed>,
    /// How often the log was cut.
    cuts: u64,
    /// Position in the last segment up to which its index and the producers were saved.
    saved_position: u64,
    last_used: Duration,
    /// When retention looks at its limits again.
    retention_due: Duration,
    rolled_at: Duration,
    failure: Option<Box<str>>,
}

/// What the next flush has to sync.
#[derive(Debug, Default)]
struct Unsynced {
    files: Vec<Arc<dyn File>>,
    dirs: Vec<PathBuf>,
    /// The last segment's file is in `files`.
    has_active: bool,
}

impl Unsynced {
    fn is_empty(&self) -> bool {
        self.files.is_empty() && self.dirs.is_empty()
    }

    fn add_dir(&mut self, dir: &Path) {
        if !self.dirs.iter().any(|known| known == dir) {
            self.dirs.push(dir.to_owned());
        }
    }
}

impl Log {
    fn disk(&self) -> &dyn Disk {
        &*self.context.disk
    }

    fn active(&self) -> &Arc<Segment> {
        self.segments.last().expect("a log always has a last segment")
    }

    /// Directory of the log; it need not exist.
    pub fn dir(&self) -> &Path {
        &self.place.dir
    }

    /// The partition.
    pub fn identity(&self) -> TopicIdPartition {
        self.identity
    }

    /// First offset that may be read.
    pub fn log_start(&self) -> Offset {
        self.log_start
    }

    /// Offset of the next record.
    pub fn log_end(&self) -> Offset {
        self.log_end
    }

    /// Everything below is durable.
    pub fn durable_end(&self) -> Offset {
        self.durable.end
    }

    /// Bytes of all segments.
    pub fn size_bytes(&self) -> u64 {
        self.segments.iter().map(|s| s.size()).sum()
    }

    /// How often the end of the log was cut since it was opened: what was read before may be gone.
    pub fn cuts(&self) -> u64 {
        self.cuts
    }

    /// Number of segments.
    pub fn segment_count(&self) -> usize {
        self.segments.len()
    }

    /// What the journal may now be told: call after [`Log::finish_flush`].
    pub fn mark(&self, high_watermark: Offset) -> LogMark {
        LogMark {
            log_start: self.log_start,
            durable_end: self.durable.end,
            segment_base: self.durable.segment_base,
            segment_position: self.durable.position,
            high_watermark,
        }
    }

    /// A new leader epoch begins at the end of the log. Touches no disk; stored with the epoch's first batch.
    pub fn assign_epoch(&mut self, epoch: LeaderEpoch) {
        if self.latest_epoch() != Some(epoch) {
            Arc::make_mut(&mut self.epochs).assign(epoch, self.log_end);
        }
    }

    /// The largest epoch known that is not above `epoch`, and where it ends (OffsetForLeaderEpoch, KIP-320); −1 and −1
    /// when there is none.
    pub fn epoch_end(&self, epoch: LeaderEpoch) -> (LeaderEpoch, Offset) {
        self.epochs.end_offset_for(epoch, self.log_end)
    }

    /// The newest leader epoch that begins at or before `offset`, if any is known.
    pub fn epoch_for(&self, offset: Offset) -> Option<LeaderEpoch> {
        self.epochs.epoch_for(offset)
    }

    /// The newest leader epoch known.
    pub fn latest_epoch(&self) -> Option<LeaderEpoch> {
        self.epochs.latest().map(|entry| entry.epoch)
    }

    /// New settings, in effect from the next call on.
    pub fn set_config(&mut self, config: Arc<LogConfig>) {
        self.place.index_interval.store(config.index_interval_bytes, Ordering::Relaxed);
        self.place.preallocated_bytes.store(config.preallocated_bytes(), Ordering::Relaxed);
        self.config = config;
    }

    /// Settings in effect.
    pub fn config(&self) -> &Arc<LogConfig> {
        &self.config
    }

    /// Why the log has failed, if it has.
    pub fn failure(&self) -> Option<&str> {
        self.failure.as_deref()
    }

    /// Stops the log for good after a failed write or sync: appends are refused, reads go on.
    pub fn fail(&mut self, why: String) {
        if self.failure.is_none() {
            tracing::error!(dir = %self.dir().display(), %why, "log failed, appends are refused from now on");
            self.context.metrics.failed_logs.add(1);
            self.failure = Some(why.into_boxed_str());
        }
    }

    /// An immutable snapshot for readers; cheap to take after each round.
    pub fn reader(&self) -> Arc<LogReader> {
        Arc::new(LogReader::new(
            self.context.clone(),
            self.segments.clone(),
            self.tail.clone(),
            self.epochs.clone(),
            self.log_start,
            self.log_end,
        ))
    }

    /// Takes the log away: the directory is renamed to `<name>.<unique>-delete` at once; the returned path is to be
    /// removed (`Disk::remove_dir_all`) after the delay. `None` when nothing was on disk.
    pub fn delete(self, unique: &str) -> io::Result<Option<PathBuf>> {
        if !self.disk().exists(self.dir()) {
            return Ok(None);
        }
        let mut to = self.dir().to_owned();
        to.as_mut_os_string().push(format!(".{unique}-delete"));
        self.disk().rename(self.dir(), &to)?;
        if let Some(parent) = self.dir().parent() {
            self.disk().sync_dir(parent)?;
        }
        Ok(Some(to))
    }

    /// Writes what makes the next opening fast (producer snapshot, indexes). The caller has flushed before.
    pub fn close(&mut self) {
        if self.failure.is_none() && self.is_created {
            self.settle();
            self.save();
            self.give_back_room();
        }
    }

    fn touch(&mut self, now: Now) {
        self.last_used = now.mono;
    }

    /// The producers known.
    pub fn producers(&mut self, now: Now) -> Vec<ProducerDescription> {
        match self.load_producers(now) {
            Ok(producers) => producers.describe(),
            Err(error) => {
                tracing::warn!(dir = %self.dir().display(), %error, "producer state cannot be loaded");
                Vec::new()
            }
        }
    }
}

#[cfg(test)]
mod tests;
