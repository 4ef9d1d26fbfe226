//! Visits by time: rolling, retention, compaction, and the flushes of asynchronous topics.
//!
//! Each open partition has at most one time at which it wants a visit, in one ordered map; idle partitions want none for
//! a long time, so nothing scans them.

use std::time::Duration;

use tidemark_protocol::types::Now;

use super::LogThread;
use crate::partition::inbox::Slot;

/// A log is visited so long after an append, unless it wants it sooner: its size and its tail have changed.
const VISIT_AFTER_APPEND: Duration = Duration::from_secs(1);
/// Visits in one round: a visit may unlink files, and appends wait meanwhile.
const VISITS_PER_ROUND: usize = 32;

impl LogThread {
    /// Wants a visit at `due`, or sooner if one was wanted already.
    pub(super) fn visit_at(&mut self, slot: Slot, due: Duration) {
        let Some(writer) = self.writers.get_mut(slot as usize).and_then(Option::as_deref_mut) else { return };
        match writer.due {
            Some(already) if already <= due => return,
            Some(later) => {
                self.due.remove(&(later, slot));
            }
            None => {}
        }
        writer.due = Some(due);
        self.due.insert((due, slot));
    }

    /// After an append a visit is due soon, and a flush when `flush.ms` says so.
    pub(super) fn visit_after_append(&mut self, slot: Slot, now: Duration) {
        let mut due = now + VISIT_AFTER_APPEND.min(self.directory.upkeep().check_interval);
        let Some(writer) = self.writer(slot) else { return };
        if let Some(flush) =
            writer.open_log().filter(|open| open.is_async()).and_then(|open| open.flush_due())
        {
            due = due.min(flush);
        }
        if writer.due.is_none_or(|already| already > due) {
            self.visit_at(slot, due);
        }
    }

    /// Visits the partitions whose time has come, a bounded number of them.
    pub(super) fn visit_due(&mut self, now: Now) {
        for _ in 0..VISITS_PER_ROUND {
            let Some((due, slot)) = self.due.first().copied() else { return };
            if due > now.mono {
                return;
            }
            self.due.pop_first();
            self.visit(slot, now);
        }
    }

    fn visit(&mut self, slot: Slot, now: Now) {
        let failed = self.directory.failure().is_some();
        let Some(writer) = self.writer(slot) else { return };
        writer.due = None;
        if writer.is_replicated() && !failed {
            self.touch(slot);
            self.propose(slot, now);
        }
        let Some(writer) = self.writer(slot) else { return };
        let Some(open) = writer.open_log() else { return };
        if failed {
            return;
        }
        let flush = open.is_async() && open.flush_is_due(now.mono);
        let flush_due = open.flush_due().filter(|_| open.is_async() && !flush);
        let maintenance = open.log.maintain(now, open.high_watermark());
        let failure = open.log.failure().map(str::to_owned);
        if maintenance.log_start_moved {
            open.on_log_start();
        }
        if let Some(why) = failure {
            self.directory.fail(&why);
            return self.fail_all();
        }
        if maintenance.log_start_moved {
            self.unmark(slot, now.mono);
        }
        if maintenance.log_start_moved || maintenance.removed_segments > 0 || maintenance.rolled {
            // Also when no offset moved: readers must let go of the files.
            self.publish(slot);
        }
        if flush || maintenance.rolled {
            self.dirty(slot);
        }
        let compaction_due = self.start_compaction(slot, now);
        for due in [maintenance.next_due, flush_due, compaction_due].into_iter().flatten() {
            // A time that is already over would be visited again in this very round.
            self.visit_at(slot, due.max(now.mono + Duration::from_millis(1)));
        }
    }
}
