//! Starting: what is on the disk, which journals prove what, and the log threads; then the slow sweep that opens logs.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tidemark_core::metadata::{BrokerConfigs, ClusterImage};
use tidemark_protocol::types::{BrokerId, TopicIdPartition, TopicPartition};
use tidemark_storage::disk::Disk;
use tidemark_storage::journal::{Journal, LogMark};
use tidemark_storage::log::LogContext;
use tokio::sync::oneshot;

use super::map::ReplicaMap;
use crate::clock::Clock;
use crate::partition::directory::Directory;
use crate::partition::inbox::Inbox;
use crate::partition::log_thread::{DELETED_SUFFIX, LogThread, remove_later};
use crate::partition::thread_of;
use crate::runtime::{Runtimes, spawn_thread};

/// Directory of the journals, below the partitions' own; no partition is called so, its name has no number.
pub const JOURNAL_DIR: &str = "journal";
/// Directories of topics the metadata do not know are renamed to this when they are not removed.
const STRAY_SUFFIX: &str = "-stray";
/// Logs the sweep opens before it pauses …
const SWEEP_BATCH: usize = 32;
/// … for this long: the sweep takes a small share of the log threads.
const SWEEP_PAUSE: Duration = Duration::from_millis(20);

/// What a replica manager is made of.
pub struct ReplicaOptions {
    /// This broker.
    pub me: BrokerId,
    /// Directory of the partitions' directories; made if missing. The journals are in `journal/` below it.
    pub dir: PathBuf,
    /// What all logs share.
    pub log: Arc<LogContext>,
    /// Time.
    pub clock: Clock,
    /// Threads.
    pub runtimes: Runtimes,
    /// Static configuration of the broker, under the topics' own.
    pub configs: BrokerConfigs,
}

/// Why the replicas did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The disk or the system refused.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which path.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// Names of the partitions' directories that exist at the start.
pub(super) type OnDisk = BTreeSet<String>;

/// Log threads that run.
pub(super) struct Started {
    pub(super) directory: Arc<Directory>,
    /// Each says when it ends whether it ended well.
    pub(super) threads: Vec<oneshot::Receiver<bool>>,
    pub(super) on_disk: OnDisk,
    /// There are logs, but there was no journal.
    pub(super) lost_journals: bool,
}

/// Log threads that do not run yet.
pub(super) struct Prepared {
    pub(super) directory: Arc<Directory>,
    pub(super) threads: Vec<LogThread>,
    pub(super) on_disk: OnDisk,
    /// There are logs, but there was no journal.
    pub(super) lost_journals: bool,
}

/// Reads the journals and looks through the directory.
pub(super) fn prepare(options: &ReplicaOptions, image: &ClusterImage) -> Result<Prepared, StartError> {
    let disk = &*options.log.disk;
    let dir = &options.dir;
    if !disk.exists(dir) {
        disk.create_dir_all(dir).map_err(io_error("make", dir))?;
        if let Some(parent) = dir.parent() {
            disk.sync_dir(parent).map_err(io_error("sync", parent))?;
        }
    }
    let had_journals = disk.exists(&dir.join(JOURNAL_DIR));
    let journals = open_journals(options, image)?;
    let inboxes: Vec<_> = journals.iter().map(|_| Arc::new(Inbox::default())).collect();
    let pools = (options.runtimes.sync.clone(), options.runtimes.background.clone());
    let directory = Arc::new(Directory::new(
        options.me,
        dir.clone(),
        Arc::clone(&options.log),
        options.clock.clone(),
        pools,
        inboxes,
    ));
    let on_disk = look_through(&directory, disk, dir, image)?;
    let inbox = |index: usize| Arc::clone(&directory.inboxes()[index]);
    let thread = |(index, journal)| LogThread::new(Arc::clone(&directory), inbox(index), journal);
    let threads = journals.into_iter().enumerate().map(thread).collect();
    let lost_journals = !had_journals && !on_disk.is_empty();
    Ok(Prepared { directory, threads, on_disk, lost_journals })
}

/// Prepares the threads and starts them.
pub(super) fn start(options: &ReplicaOptions, image: &ClusterImage) -> Result<Started, StartError> {
    let Prepared { directory, threads: prepared, on_disk, lost_journals } = prepare(options, image)?;
    let mut threads = Vec::with_capacity(prepared.len());
    for (index, thread) in prepared.into_iter().enumerate() {
        let inbox = Arc::clone(&directory.inboxes()[index]);
        let (ended, end) = oneshot::channel();
        let guard = PanicGuard { directory: Arc::clone(&directory), inbox };
        let body = move || {
            let clean = thread.run();
            // Whoever stops the threads may have stopped waiting.
            let _ = ended.send(clean);
            drop(guard);
        };
        spawn_thread(format!("log-{index}"), body).map_err(io_error("start a thread for", &options.dir))?;
        threads.push(end);
    }
    Ok(Started { directory, threads, on_disk, lost_journals })
}

/// Answers everybody when a log thread panics: a silent thread would let producers wait for ever.
struct PanicGuard {
    directory: Arc<Directory>,
    inbox: Arc<Inbox>,
}

impl Drop for PanicGuard {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.directory.fail("a log thread panicked");
            drop(self.inbox.refuse());
        }
    }
}

/// One journal per log thread, each holding the marks of the partitions that thread will serve. The number of threads may
/// have changed since the marks were written, so they are sorted anew: first written where they belong, then forgotten
/// where they were.
fn open_journals(options: &ReplicaOptions, image: &ClusterImage) -> Result<Vec<Journal>, StartError> {
    let disk = &options.log.disk;
    let dir = options.dir.join(JOURNAL_DIR);
    let threads = options.runtimes.config.log_threads.max(1);
    let known = disk.read_dir(&dir).unwrap_or_default();
    let old = known.iter().filter_map(|name| journal_index(name)).max().map_or(0, |index| index + 1);
    let (mut journals, mut held) = (Vec::new(), Vec::new());
    let mut found: BTreeMap<TopicIdPartition, LogMark> = BTreeMap::new();
    for index in 0..threads.max(old) {
        let (journal, marks) =
            Journal::open(Arc::clone(disk), &dir, index).map_err(io_error("open a journal in", &dir))?;
        for (id, mark) in &marks {
            found.entry(*id).and_modify(|known| *known = newer(*known, *mark)).or_insert(*mark);
        }
        journals.push(journal);
        held.push(marks);
    }
    let is_held = |id: &TopicIdPartition| {
        image.partition_by_id(id).is_some_and(|partition| partition.has_replica(options.me))
    };
    found.retain(|id, _| is_held(id));
    for (id, mark) in &found {
        journals[thread_of(*id, threads)].note(*id, *mark);
    }
    sync_journals(&mut journals, &dir)?;
    for (index, marks) in held.into_iter().enumerate() {
        for id in marks.into_keys() {
            if !found.contains_key(&id) || thread_of(id, threads) != index {
                journals[index].forget(id);
            }
        }
    }
    sync_journals(&mut journals, &dir)?;
    journals.truncate(threads);
    Ok(journals)
}

fn sync_journals(journals: &mut [Journal], dir: &Path) -> Result<(), StartError> {
    for journal in journals {
        journal.write().map_err(io_error("write a journal in", dir))?;
        journal.file().sync_data().map_err(io_error("sync a journal in", dir))?;
    }
    Ok(())
}

/// Both are true; the later one says more.
fn newer(a: LogMark, b: LogMark) -> LogMark {
    let later = if a.durable_end >= b.durable_end { a } else { b };
    LogMark { log_start: a.log_start.max(b.log_start), ..later }
}

/// The index in `marks-<index>.<side>`.
fn journal_index(name: &str) -> Option<usize> {
    name.strip_prefix("marks-")?.split_once('.')?.0.parse().ok()
}

/// Sorts the directory's entries: replicas that the image gives this broker, leftovers of deletions, and directories of what
/// was deleted or moved to other brokers meanwhile. The image is as new as this start: the controller of this node comes up
/// first, and waits until it has everything that was ever answered. A directory of an earlier topic with the name of one of
/// today's is found out when it is opened: it is not this topic's, and the journal knows nothing of it.
fn look_through(
    directory: &Directory,
    disk: &dyn Disk,
    dir: &Path,
    image: &ClusterImage,
) -> Result<OnDisk, StartError> {
    let mut on_disk = OnDisk::new();
    for name in disk.read_dir(dir).map_err(io_error("list", dir))? {
        if name.ends_with(DELETED_SUFFIX) {
            remove_later(directory, dir.join(&name));
            continue;
        }
        let Some(tp) = partition_of(&name) else { continue };
        if image.partition(&tp).is_some_and(|partition| partition.has_replica(directory.me)) {
            on_disk.insert(name);
            continue;
        }
        // Metadata without any topic are suspicious, so then the data is only put aside.
        if image.topics.is_empty() {
            let aside = dir.join(format!("{name}{STRAY_SUFFIX}"));
            tracing::warn!(%name, "a partition that the metadata do not know is put aside");
            disk.rename(&dir.join(&name), &aside).map_err(io_error("rename", &aside))?;
        } else {
            tracing::info!(%name, "a partition that was deleted or moved to other brokers is removed");
            remove_later(directory, dir.join(&name));
        }
    }
    Ok(on_disk)
}

/// The partition a directory is named after: `<topic>-<index>`.
fn partition_of(name: &str) -> Option<TopicPartition> {
    let (topic, index) = name.rsplit_once('-')?;
    let canonical = index == "0" || !index.starts_with(['0', '+']);
    let index = index.parse().ok().filter(|index| canonical && *index >= 0)?;
    (!topic.is_empty()).then(|| TopicPartition::new(topic, index))
}

/// Opens the logs that have files, a few at a time, so that retention and recovery reach those nobody uses.
pub(super) async fn sweep(map: Arc<ReplicaMap>, on_disk: OnDisk) {
    let mut opened = 0;
    for handle in map.partitions() {
        if handle.view().is_some() || !on_disk.contains(&handle.tp().to_string()) {
            continue;
        }
        // A log that cannot be opened has been reported by its log thread.
        let _ = handle.ready_view().await;
        opened += 1;
        if opened % SWEEP_BATCH == 0 {
            tokio::time::sleep(SWEEP_PAUSE).await;
        }
    }
    tracing::debug!(opened, "the logs on disk are open");
}

fn io_error(action: &'static str, path: &Path) -> impl Fn(io::Error) -> StartError {
    let path = path.to_owned();
    move |source| StartError::Io { action, path: path.clone(), source }
}

#[cfg(test)]
mod tests;
