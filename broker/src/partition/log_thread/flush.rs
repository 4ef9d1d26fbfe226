//! Group commit: which partitions wait for a sync, which are being synced, and what happens when a sync is back.
//!
//! One sync at a time: what gathers meanwhile shares the next. A single file is synced by itself; two or more by one sync of
//! the whole file system, which costs little more than that of a file however many there are. Where the file system has
//! other writers such a sync may have to wait for their data: when one was slow, and while somebody uses the thread who
//! does not wait for the disk, up to [`SYNC_SIDE_BY_SIDE`] files are synced side by side instead, each on its own.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tidemark_protocol::types::Now;
use tidemark_storage::log::Flush;

use super::LogThread;
use crate::partition::directory::Directory;
use crate::partition::inbox::{Input, Slot};
use crate::partition::shared_sync::Asked;
use crate::partition::writer::OpenLog;

/// Syncs of one log thread at a time: what the sync pool has threads for.
const SYNC_SIDE_BY_SIDE: usize = crate::runtime::SYNC_THREADS;
/// Beyond so many files one sync of the file system is better whoever uses the thread.
const SYNC_FILESYSTEM_ABOVE: usize = 32;
/// A sync of the file system that takes longer has other people's data to write, …
const SYNC_FILESYSTEM_SLOW: Duration = Duration::from_millis(20);
/// … unless the syncs it stands for are so many that each would have to be shorter than this side by side, which is what
/// one takes on a busy disk. A new log alone wants five: three files and two directories.
const SYNC_ONE: Duration = Duration::from_millis(1);
/// After a slow one, side by side is better for this long, …
const PAUSE_MIN: Duration = Duration::from_secs(10);
/// … and twice as long each time the next one is slow again, up to this.
const PAUSE_MAX: Duration = Duration::from_secs(600);
/// A round with no more inputs than this syncs on the log thread: producers that wait for their answers gain nothing from
/// a free log thread, and two thread switches are spared.
const INLINE_INPUTS_MAX: usize = 16;
/// … unless somebody who does not wait for the disk used this thread so recently.
const INLINE_PAUSE: Duration = Duration::from_secs(1);

/// The partitions of one log thread that wait for a sync, oldest first, and the syncs under way.
#[derive(Default)]
pub(super) struct FlushQueue {
    waiting: VecDeque<Slot>,
    in_flight: usize,
    /// Syncs of the whole file system are not used before this.
    filesystem_from: Duration,
    /// How long they were not used the last time one was slow; zero if the last one was not.
    pause: Duration,
    /// Somebody used this thread who does not wait for the disk; over by this.
    impatient_until: Duration,
}

/// How the next flush is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Plan {
    /// Not now.
    Wait,
    /// One file.
    One(Where),
    /// All at once, by a sync of the file system.
    Filesystem(Where),
}

/// Which thread syncs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Where {
    LogThread,
    Pool,
}

impl FlushQueue {
    /// Takes note of who uses this thread: `patient` are those who wait for the disk.
    pub(super) fn on_append(&mut self, patient: bool, now: Duration) {
        if !patient {
            self.impatient_until = now + INLINE_PAUSE;
        }
    }

    /// Forgets who waits.
    pub(super) fn clear(&mut self) {
        self.waiting.clear();
    }

    /// What to do after a round of `inputs` inputs, where the file system `has_whole_syncs`.
    fn plan(&self, inputs: usize, has_whole_syncs: bool, now: Duration) -> Plan {
        let is_patient = now >= self.impatient_until;
        let is_crowded = self.waiting.len() > SYNC_FILESYSTEM_ABOVE;
        let whole = has_whole_syncs && now >= self.filesystem_from && (is_patient || is_crowded);
        let place = if is_patient && inputs <= INLINE_INPUTS_MAX { Where::LogThread } else { Where::Pool };
        match (self.waiting.len(), self.in_flight) {
            (0, _) => Plan::Wait,
            (_, 1..) if whole => Plan::Wait,
            (2.., 0) if whole => Plan::Filesystem(place),
            (1, 0) => Plan::One(place),
            (_, SYNC_SIDE_BY_SIDE..) => Plan::Wait,
            _ => Plan::One(Where::Pool),
        }
    }

    /// A sync of the file system that stands for `syncs` of files and directories took so long.
    fn on_filesystem_sync(&mut self, syncs: usize, took: Duration, now: Duration) {
        if !is_slow(syncs, took) {
            self.pause = Duration::ZERO;
            return;
        }
        self.pause = (self.pause * 2).clamp(PAUSE_MIN, PAUSE_MAX);
        self.filesystem_from = now + self.pause;
    }
}

impl LogThread {
    /// The partition has something to flush.
    pub(super) fn dirty(&mut self, slot: Slot) {
        let Some(writer) = self.writer(slot) else { return };
        if std::mem::replace(&mut writer.flags.dirty, true) || writer.flags.flushing {
            // Queued already, or will be when the sync under way is back.
            return;
        }
        self.flushes.waiting.push_back(slot);
    }

    /// Starts the syncs that may start now. `inputs` is how many inputs the round had.
    pub(super) fn start_flushes(&mut self, inputs: usize, now: Now) {
        loop {
            match self.flushes.plan(inputs, self.directory.has_whole_syncs(), now.mono) {
                Plan::Wait => return,
                // More came in meanwhile: it is appended first, and shares the sync.
                Plan::One(Where::LogThread) | Plan::Filesystem(Where::LogThread)
                    if !self.queue.is_empty() =>
                {
                    return;
                }
                Plan::One(place) => {
                    let flush = self.next_flush();
                    self.sync(flush.into_iter().collect(), false, place, now);
                }
                Plan::Filesystem(place) => {
                    let mut flushes = Vec::with_capacity(self.flushes.waiting.len());
                    while !self.flushes.waiting.is_empty() {
                        flushes.extend(self.next_flush());
                    }
                    self.sync(flushes, true, place, now);
                }
            }
        }
    }

    /// Begins the flush of the partition that waits longest; `None` if it turned out to have nothing to flush.
    fn next_flush(&mut self) -> Option<(Slot, Flush)> {
        let slot = self.flushes.waiting.pop_front()?;
        let writer = self.writer(slot)?;
        writer.flags.dirty = false;
        let flush = writer.open_log().and_then(OpenLog::begin_flush)?;
        writer.flags.flushing = true;
        Some((slot, flush))
    }

    /// Syncs what recovery found beyond the last mark, before anybody sees the log: its first view then shows all that
    /// was ever acknowledged, and its high watermark does not seem to go back.
    pub(super) fn flush_recovered(&mut self, slot: Slot, now: Now) {
        let Some(writer) = self.writer(slot) else { return };
        if let Some(flush) = writer.open_log().and_then(OpenLog::begin_flush) {
            writer.flags.flushing = true;
            self.flushes.in_flight += 1;
            let flushes = vec![(slot, flush)];
            let took = timed_sync(&self.directory, &flushes, None);
            self.flushed(flushes, took, now);
        }
    }

    fn sync(&mut self, flushes: Vec<(Slot, Flush)>, whole_filesystem: bool, place: Where, now: Now) {
        if flushes.is_empty() {
            return;
        }
        self.flushes.in_flight += flushes.len();
        let whole = whole_filesystem.then(|| self.directory.ask_for_filesystem());
        let directory = Arc::clone(&self.directory);
        match place {
            Where::LogThread => {
                let took = timed_sync(&directory, &flushes, whole);
                self.flushed(flushes, took, now);
                self.publish_touched();
            }
            Where::Pool => {
                let inbox = Arc::clone(&self.inbox);
                self.directory.sync.submit(Box::new(move || {
                    let took = timed_sync(&directory, &flushes, whole);
                    inbox.send(Input::Flushed { flushes, took });
                }));
            }
        }
    }

    /// A sync is back: what it covered is durable, unless the directory has failed. Then nothing is declared durable
    /// any more, whatever this one sync said.
    pub(super) fn flushed(&mut self, flushes: Vec<(Slot, Flush)>, took: Duration, now: Now) {
        self.flushes.in_flight -= flushes.len();
        self.directory.metrics.flushes.add(1);
        self.directory.metrics.sync_times.observe(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
        let syncs = flushes.iter().map(|(_, flush)| flush.files.len() + flush.dirs.len()).sum();
        if flushes.len() > 1 {
            self.flushes.on_filesystem_sync(syncs, took, now.mono);
        }
        let healthy = self.directory.failure().is_none();
        if !healthy {
            self.fail_all();
        }
        for (slot, flush) in flushes {
            let Some(writer) = self.writer(slot) else { continue };
            writer.flags.flushing = false;
            if healthy {
                if let Some(open) = writer.open_log() {
                    open.finish_flush(flush);
                }
                let again = std::mem::take(&mut writer.flags.dirty);
                self.touch(slot);
                self.unmark(slot, now.mono);
                if again {
                    self.dirty(slot);
                }
            }
        }
        self.remove_leaving(now);
    }

    /// Waits for the syncs under way, for the end of the thread. Whatever else is queued is dropped, which answers it.
    pub(super) fn drain_flushes(&mut self) {
        let now = self.directory.clock.now();
        loop {
            for input in std::mem::take(&mut self.queue) {
                if let Input::Flushed { flushes, took } = input {
                    self.flushed(flushes, took, now);
                }
            }
            if self.flushes.in_flight == 0 {
                return;
            }
            self.inbox.receive(&mut self.queue, 1, None);
        }
    }

    /// Flushes all open logs in one go, for the end of the thread. Returns whether that succeeded.
    pub(super) fn flush_everything(&mut self) -> bool {
        let mut flushes = Vec::new();
        for slot in 0..self.writers.len() {
            let Some(writer) = self.writers[slot].as_deref_mut() else { continue };
            if let Some(flush) = writer.open_log().and_then(OpenLog::begin_flush) {
                writer.flags.flushing = true;
                flushes.push((slot as Slot, flush));
            }
        }
        self.flushes.clear();
        let now = self.directory.clock.now();
        if self.directory.has_whole_syncs() && flushes.len() > SYNC_FILESYSTEM_ABOVE {
            self.sync(flushes, true, Where::Pool, now);
        } else {
            for flush in flushes {
                self.sync(vec![flush], false, Where::Pool, now);
            }
        }
        self.drain_flushes();
        self.publish_touched();
        self.directory.failure().is_none()
    }
}

/// Syncs files and directories, or the `whole` file system; returns how long it took. What fails fails the directory, which
/// is looked at when the flushes are taken back.
fn timed_sync(directory: &Directory, flushes: &[(Slot, Flush)], whole: Option<Asked>) -> Duration {
    let started = directory.clock.now().mono;
    match whole {
        Some(asked) => directory.sync_filesystem(asked),
        None => drop(flushes.iter().try_for_each(|(_, flush)| directory.sync_flush(flush))),
    }
    directory.clock.now().mono.saturating_sub(started)
}

/// Whether a sync of the file system took longer than `syncs` of single files side by side would.
fn is_slow(syncs: usize, took: Duration) -> bool {
    took > SYNC_FILESYSTEM_SLOW.max(SYNC_ONE * u32::try_from(syncs).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests;
