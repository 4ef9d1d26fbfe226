//! [`Directory`]: what the log threads of a data directory share, above all whether it has failed.
//!
//! The first failed write or sync stops the whole directory, for ever: after an error of the disk nothing is known about
//! what it holds, and a second sync would succeed and lie. Reads go on; only a restart takes writes again.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use tidemark_core::metadata::{BrokerSettings, ConfigLayers};
use tidemark_protocol::types::{BrokerId, TopicIdPartition};
use tidemark_storage::log::{Flush, LogContext};
use tidemark_storage::metrics::Counter;
use tokio::sync::watch;

use super::inbox::{Inbox, Input};
use super::outlet::Outlet;
use super::shared_sync::{Asked, SharedSync};
use super::sync_times::SyncTimes;
use crate::clock::Clock;
use crate::runtime::WorkPool;

/// Shared by the log threads of one data directory.
pub(crate) struct Directory {
    /// This broker.
    pub(crate) me: BrokerId,
    /// Where the partitions' directories are.
    pub(super) path: PathBuf,
    /// What all logs share.
    pub(super) log: Arc<LogContext>,
    /// Time.
    pub(super) clock: Clock,
    /// Where syncs run.
    pub(super) sync: WorkPool,
    /// Where compactions and removals run.
    pub(super) background: WorkPool,
    /// Counters.
    pub(super) metrics: Arc<LogThreadMetrics>,
    /// What writers have to say to other brokers.
    pub(super) outlet: Arc<Outlet>,
    inboxes: Vec<Arc<Inbox>>,
    upkeep: ArcSwap<UpkeepSettings>,
    failed: AtomicBool,
    failure: watch::Sender<Option<Arc<str>>>,
    /// Syncs of the whole file system.
    filesystem: SharedSync,
    has_whole_syncs: bool,
}

/// The broker's settings for visits by time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct UpkeepSettings {
    /// `log.retention.check.interval.ms`: a log is visited at least so soon after an append.
    pub(crate) check_interval: Duration,
    /// `log.cleaner.enable`.
    pub(crate) cleaner_enabled: bool,
    /// `log.cleaner.backoff.ms`.
    pub(crate) cleaner_backoff: Duration,
    /// Memory for the keys of one run, bytes: `log.cleaner.dedupe.buffer.size` shared by `log.cleaner.threads`.
    pub(crate) cleaner_memory: usize,
}

impl UpkeepSettings {
    /// From the broker's effective settings.
    pub(crate) fn new(settings: &BrokerSettings) -> UpkeepSettings {
        let millis = |ms: i64| Duration::from_millis(u64::try_from(ms).unwrap_or(0));
        let threads = usize::try_from(settings.log_cleaner_threads).unwrap_or(1).max(1);
        UpkeepSettings {
            check_interval: millis(settings.log_retention_check_interval_ms),
            cleaner_enabled: settings.log_cleaner_enable,
            cleaner_backoff: millis(settings.log_cleaner_backoff_ms),
            cleaner_memory: usize::try_from(settings.log_cleaner_dedupe_buffer_bytes).unwrap_or(0) / threads,
        }
    }
}

/// What log threads did; one set for a broker.
#[derive(Debug, Default)]
pub struct LogThreadMetrics {
    /// Rounds of the event loops that had something to do.
    pub rounds: Counter,
    /// Batches handed to logs, refused ones included.
    pub appends: Counter,
    /// Groups of files synced.
    pub flushes: Counter,
    /// … of which by syncing the whole file system.
    pub filesystem_syncs: Counter,
    /// How long the groups took.
    pub sync_times: SyncTimes,
    /// Logs opened.
    pub opened_logs: Counter,
    /// Logs that cannot be served because their bytes are damaged.
    pub offline_logs: Counter,
    /// Appends refused because the disk was full.
    pub disk_full_refusals: Counter,
    /// Compactions started.
    pub compactions: Counter,
    /// Journal writes.
    pub journal_writes: Counter,
    /// Journal syncs.
    pub journal_syncs: Counter,
}

impl Directory {
    /// A directory in good health, served by the threads behind `inboxes`.
    pub(crate) fn new(
        me: BrokerId,
        path: PathBuf,
        log: Arc<LogContext>,
        clock: Clock,
        pools: (WorkPool, WorkPool),
        inboxes: Vec<Arc<Inbox>>,
    ) -> Directory {
        let (sync, background) = pools;
        let metrics = Arc::new(LogThreadMetrics::default());
        let (failure, _) = watch::channel(None);
        let failed = AtomicBool::new(false);
        let upkeep = UpkeepSettings::new(&BrokerSettings::resolve(&ConfigLayers::default()));
        let upkeep = ArcSwap::from_pointee(upkeep);
        // Before the first write: a sync of the file system then tells of every write that fails.
        let watched = log.disk.watch_filesystem(&path);
        let directory = Directory {
            me,
            path,
            log,
            clock,
            sync,
            background,
            metrics,
            outlet: Arc::default(),
            inboxes,
            upkeep,
            failed,
            failure,
            filesystem: SharedSync::default(),
            has_whole_syncs: matches!(watched, Ok(true)),
        };
        if let Err(error) = watched {
            directory.fail(&format!("the file system cannot be watched for errors: {error}"));
        }
        directory
    }

    /// Whether one sync of the file system stands for those of all files.
    pub(super) fn has_whole_syncs(&self) -> bool {
        self.has_whole_syncs
    }

    /// The broker's settings for visits by time.
    pub(super) fn upkeep(&self) -> UpkeepSettings {
        **self.upkeep.load()
    }

    /// The broker's settings have changed.
    pub(crate) fn set_upkeep(&self, upkeep: UpkeepSettings) {
        self.upkeep.store(Arc::new(upkeep));
    }

    /// What writers have to say to other brokers.
    pub(crate) fn outlet(&self) -> Arc<Outlet> {
        Arc::clone(&self.outlet)
    }

    /// Counters.
    pub(crate) fn metrics(&self) -> Arc<LogThreadMetrics> {
        Arc::clone(&self.metrics)
    }

    /// The mailbox of the thread that serves this partition. Neighbouring partitions of a topic spread over the threads.
    pub(crate) fn inbox_of(&self, id: TopicIdPartition) -> &Arc<Inbox> {
        &self.inboxes[super::thread_of(id, self.inboxes.len())]
    }

    /// Mailboxes of all threads.
    pub(crate) fn inboxes(&self) -> &[Arc<Inbox>] {
        &self.inboxes
    }

    /// Why the directory has failed, if it has.
    pub(super) fn failure(&self) -> Option<Arc<str>> {
        // The flag keeps the usual answer free of the channel's lock.
        if self.failed.load(Ordering::Acquire) { self.failure.borrow().clone() } else { None }
    }

    /// Follows [`Directory::failure`].
    pub(crate) fn watch_failure(&self) -> watch::Receiver<Option<Arc<str>>> {
        self.failure.subscribe()
    }

    /// Stops the directory for good and tells all threads; only the first reason counts.
    pub(crate) fn fail(&self, why: &str) {
        let first = self.failure.send_if_modified(|failure| {
            let first = failure.is_none();
            if first {
                *failure = Some(Arc::from(why));
            }
            first
        });
        if !first {
            return;
        }
        self.failed.store(true, Ordering::Release);
        tracing::error!(directory = %self.path.display(), why, "the data directory failed: no more writes");
        for inbox in &self.inboxes {
            inbox.send(Input::DirectoryFailed);
        }
    }

    /// Makes everything durable that was written before `asked`, by one sync of the whole file system, which threads that
    /// asked while another sync was under way share. The directory has failed before this returns after an error: the
    /// kernel tells an error to one caller only, so the others must learn of it from us before they believe that all is
    /// well.
    pub(super) fn sync_filesystem(&self, asked: Asked) {
        self.filesystem.settle(asked, || {
            if self.failure().is_some() {
                // A second sync after a failed one may succeed, and says nothing.
                return false;
            }
            self.metrics.filesystem_syncs.add(1);
            let synced = self.log.disk.sync_filesystem(&self.path);
            synced.inspect_err(|error| self.fail_sync(error)).is_ok()
        });
    }

    /// A request to [`Directory::sync_filesystem`], for what has been written by now.
    pub(super) fn ask_for_filesystem(&self) -> Asked {
        self.filesystem.ask()
    }

    /// Syncs the files of one flush, then its directories.
    pub(super) fn sync_flush(&self, flush: &Flush) -> io::Result<()> {
        self.sync_each(flush).inspect_err(|error| self.fail_sync(error))
    }

    fn sync_each(&self, flush: &Flush) -> io::Result<()> {
        for file in &flush.files {
            file.sync_data()?;
        }
        for dir in &flush.dirs {
            self.log.disk.sync_dir(dir)?;
        }
        Ok(())
    }

    fn fail_sync(&self, error: &io::Error) {
        self.fail(&format!("a sync failed: {error}"));
    }
}
