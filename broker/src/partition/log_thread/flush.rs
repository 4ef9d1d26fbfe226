//! Group commit: which partitions wait for a sync, which are being synced, and what happens when a sync is back.
//!
//! Up to [`SYNC_SIDE_BY_SIDE`] files are synced side by side, each on its own, so that a slow one holds up nobody else.
//! When more than [`SYNC_FILESYSTEM_ABOVE`] partitions wait, one sync of the whole file system covers them all, for a
//! fraction of the CPU.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tidemark_protocol::types::Now;
use tidemark_storage::log::Flush;

use super::LogThread;
use crate::partition::inbox::{Input, Slot};
use crate::partition::writer::OpenLog;

/// Syncs of one log thread at a time: what the sync pool has threads for.
const SYNC_SIDE_BY_SIDE: usize = crate::runtime::SYNC_THREADS;
/// Beyond so many files one sync of the file system costs less than one each.
const SYNC_FILESYSTEM_ABOVE: usize = 32;
/// A sync of the file system that takes longer has other people's data to write, …
const SYNC_FILESYSTEM_SLOW: Duration = Duration::from_millis(500);
/// … unless the syncs it stands for are so many that each would have to be shorter than this side by side, which is what
/// one takes on a busy disk. A new log alone wants five: three files and two directories.
const SYNC_ONE: Duration = Duration::from_millis(1);
/// After a slow one, side by side is better for this long.
const SYNC_FILESYSTEM_PAUSE: Duration = Duration::from_secs(10);
/// A round with no more inputs than this syncs its one file on the log thread: a producer that waits for each answer
/// gains nothing from a free log thread, and two thread switches are spared.
const INLINE_INPUTS_MAX: usize = 2;
/// … unless somebody who does not wait for the disk used this thread so recently.
const INLINE_PAUSE: Duration = Duration::from_secs(1);

/// The partitions of one log thread that wait for a sync, oldest first, and the syncs under way.
#[derive(Default)]
pub(super) struct FlushQueue {
    waiting: VecDeque<Slot>,
    in_flight: usize,
    /// Syncs of the whole file system are not used before this.
    filesystem_from: Duration,
    /// Syncs on the log thread are not used before this.
    inline_from: Duration,
}

/// How the next flush is done.
enum Plan {
    /// Not now.
    Wait,
    /// One file, on this thread.
    Inline,
    /// Each file on its own, on the pool.
    SideBySide,
    /// All at once, on the pool.
    Filesystem,
}

impl FlushQueue {
    /// Takes note of who uses this thread: `patient` are those who wait for the disk.
    pub(super) fn on_append(&mut self, patient: bool, now: Duration) {
        if !patient {
            self.inline_from = now + INLINE_PAUSE;
        }
    }

    /// Forgets who waits.
    pub(super) fn clear(&mut self) {
        self.waiting.clear();
    }

    fn plan(&self, inputs: usize, now: Duration) -> Plan {
        if self.waiting.is_empty() {
            Plan::Wait
        } else if self.waiting.len() > SYNC_FILESYSTEM_ABOVE && now >= self.filesystem_from {
            if self.in_flight == 0 { Plan::Filesystem } else { Plan::Wait }
        } else if self.in_flight >= SYNC_SIDE_BY_SIDE {
            Plan::Wait
        } else if self.waiting.len() == 1
            && self.in_flight == 0
            && inputs <= INLINE_INPUTS_MAX
            && now >= self.inline_from
        {
            Plan::Inline
        } else {
            Plan::SideBySide
        }
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
            match self.flushes.plan(inputs, now.mono) {
                Plan::Wait => return,
                Plan::Inline if self.queue.is_empty() => return self.flush_inline(now),
                Plan::Inline | Plan::SideBySide => {
                    if let Some(flush) = self.next_flush() {
                        self.submit(vec![flush], false);
                    }
                }
                Plan::Filesystem => {
                    let mut flushes = Vec::with_capacity(self.flushes.waiting.len());
                    while !self.flushes.waiting.is_empty() {
                        flushes.extend(self.next_flush());
                    }
                    if !flushes.is_empty() {
                        self.submit(flushes, true);
                    }
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

    /// Syncs on this thread the one partition that waits.
    fn flush_inline(&mut self, now: Now) {
        if let Some((slot, flush)) = self.next_flush() {
            self.sync_inline(slot, flush, now);
            self.publish_touched();
        }
    }

    /// Syncs what recovery found beyond the last mark, before anybody sees the log: its first view then shows all that
    /// was ever acknowledged, and its high watermark does not seem to go back.
    pub(super) fn flush_recovered(&mut self, slot: Slot, now: Now) {
        let Some(writer) = self.writer(slot) else { return };
        if let Some(flush) = writer.open_log().and_then(OpenLog::begin_flush) {
            writer.flags.flushing = true;
            self.sync_inline(slot, flush, now);
        }
    }

    fn sync_inline(&mut self, slot: Slot, flush: Flush, now: Now) {
        self.flushes.in_flight += 1;
        let started = self.directory.clock.now().mono;
        // What failed has failed the directory, which is looked at when the flush is taken back.
        let _ = self.directory.sync_flush(&flush);
        let took = self.directory.clock.now().mono.saturating_sub(started);
        self.flushed(vec![(slot, flush)], took, now);
    }

    fn submit(&mut self, flushes: Vec<(Slot, Flush)>, whole_filesystem: bool) {
        self.flushes.in_flight += flushes.len();
        let whole_filesystem = whole_filesystem.then(|| self.directory.ask_for_filesystem());
        let (directory, inbox) = (Arc::clone(&self.directory), Arc::clone(&self.inbox));
        self.directory.sync.submit(Box::new(move || {
            let started = directory.clock.now().mono;
            match whole_filesystem {
                Some(asked) => directory.sync_filesystem(asked),
                // As in `sync_inline`.
                None => drop(flushes.iter().try_for_each(|(_, flush)| directory.sync_flush(flush))),
            }
            let took = directory.clock.now().mono.saturating_sub(started);
            inbox.send(Input::Flushed { flushes, took });
        }));
    }

    /// A sync is back: what it covered is durable, unless the directory has failed. Then nothing is declared durable
    /// any more, whatever this one sync said.
    pub(super) fn flushed(&mut self, flushes: Vec<(Slot, Flush)>, took: Duration, now: Now) {
        self.flushes.in_flight -= flushes.len();
        self.directory.metrics.flushes.add(1);
        self.directory.metrics.sync_times.observe(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
        let syncs = flushes.iter().map(|(_, flush)| flush.files.len() + flush.dirs.len()).sum();
        if flushes.len() > 1 && is_slow(syncs, took) {
            self.flushes.filesystem_from = now.mono + SYNC_FILESYSTEM_PAUSE;
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
        let whole_filesystem = flushes.len() > SYNC_FILESYSTEM_ABOVE;
        if whole_filesystem {
            self.submit(flushes, true);
        } else {
            for flush in flushes {
                self.submit(vec![flush], false);
            }
        }
        self.drain_flushes();
        self.publish_touched();
        self.directory.failure().is_none()
    }
}

/// Whether a sync of the file system took longer than `syncs` of single files side by side would.
fn is_slow(syncs: usize, took: Duration) -> bool {
    took > SYNC_FILESYSTEM_SLOW.max(SYNC_ONE * u32::try_from(syncs).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests;
