//! [`Directory`]: what the log threads of a data directory share, above all whether it has failed.
//!
//! The first failed write or sync stops the whole directory, for ever: after an error of the disk nothing is known about
//! what it holds, and a second sync would succeed and lie. Reads go on; only a restart takes writes again.

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tidemark_protocol::types::BrokerId;
use tidemark_storage::log::{Flush, LogContext};
use tidemark_storage::metrics::Counter;
use tokio::sync::watch;

use super::inbox::{Inbox, Input, Slot};
use crate::clock::Clock;
use crate::runtime::WorkPool;

/// Shared by the log threads of one data directory.
pub(crate) struct Directory {
    /// This broker.
    pub(super) me: BrokerId,
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
    inboxes: Vec<Arc<Inbox>>,
    failed: AtomicBool,
    failure: watch::Sender<Option<Arc<str>>>,
    /// Whether the file system was synced as a whole before. Locked while it is.
    filesystem_synced: Mutex<bool>,
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
    /// Time spent in syncs, microseconds.
    pub flush_micros: Counter,
    /// Logs opened.
    pub opened_logs: Counter,
    /// Logs that cannot be served because their bytes are damaged.
    pub offline_logs: Counter,
    /// Appends refused because the disk was full.
    pub disk_full_refusals: Counter,
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
        Directory {
            me,
            path,
            log,
            clock,
            sync,
            background,
            metrics,
            inboxes,
            failed,
            failure,
            filesystem_synced: Mutex::new(false),
        }
    }

    /// Counters.
    pub(crate) fn metrics(&self) -> Arc<LogThreadMetrics> {
        Arc::clone(&self.metrics)
    }

    /// The mailbox of the thread that serves this partition. Neighbouring partitions of a topic spread over the threads.
    pub(crate) fn inbox_of(&self, id: tidemark_protocol::types::TopicIdPartition) -> &Arc<Inbox> {
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
    /// Syncs everything the `flushes` want, by one sync of the whole file system. The directory has failed before this
    /// returns an error: the kernel tells an error to one caller only, so the other threads must learn of it from us
    /// before their own sync says that all is well.
    pub(super) fn sync_filesystem(&self, flushes: &[(Slot, Flush)]) -> io::Result<()> {
        // A thread that panicked here has failed the directory already.
        let mut synced_before = self.filesystem_synced.lock().unwrap_or_else(PoisonError::into_inner);
        let mut result = self.log.disk.sync_filesystem(&self.path);
        if !*synced_before && result.is_ok() {
            // Errors from before the first such sync are known to the files alone; asking them is cheap now.
            result = flushes.iter().try_for_each(|(_, flush)| self.sync_each(flush));
            *synced_before = true;
        }
        result.inspect_err(|error| self.fail_sync(error))
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
