//! Compaction: planned on the log thread, run on the background pool, put in place on the log thread.
//!
//! A partition has one run at a time. Between two looks at whether a log is worth compacting lies at least
//! `log.cleaner.backoff.ms`.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use tidemark_protocol::types::Now;
use tidemark_storage::log::compaction::{Compacted, CompactionError};

use super::LogThread;
use crate::partition::inbox::{Command, Input, Slot};

impl LogThread {
    /// Starts a compaction on the background pool if the log is worth it and none runs. Returns when to look again.
    pub(super) fn start_compaction(&mut self, slot: Slot, now: Now) -> Option<Duration> {
        let upkeep = self.directory.upkeep();
        let background = self.directory.background.clone();
        let inbox = Arc::clone(&self.inbox);
        let open = self.writer(slot)?.open_log()?;
        let compacted_topic = open.log.config().cleanup.compact && open.log.segment_count() > 1;
        if !compacted_topic || !upkeep.cleaner_enabled || open.compaction.running.is_some() {
            return None;
        }
        if now.mono < open.compaction.not_before {
            return Some(open.compaction.not_before);
        }
        open.compaction.not_before = now.mono + upkeep.cleaner_backoff;
        let Some(job) = open.log.compaction(now, open.high_watermark()) else {
            // Though nothing is appended: records age, and Kafka's users expect a look every `log.cleaner.backoff.ms`.
            return Some(open.compaction.not_before);
        };
        let cancel = Arc::new(AtomicBool::new(false));
        open.compaction.running = Some(Arc::clone(&cancel));
        self.directory.metrics.compactions.add(1);
        background.submit(Box::new(move || {
            let result = job.run(upkeep.cleaner_memory, &cancel);
            inbox.send(Input::Command { slot, command: Command::Compacted { result } });
        }));
        None
    }

    /// A compaction is over: its result is put in place.
    pub(super) fn compacted(&mut self, slot: Slot, result: Result<Compacted, CompactionError>, now: Now) {
        // A mark that still points into a segment that is replaced would prove nothing after a crash, so the journal goes
        // first. If it cannot, the directory has failed or is full, and the log stays as it is.
        if result.is_ok() {
            self.unmark(slot, now.mono);
        }
        let is_journaled = result.is_err() || self.keep_journal(now, true);
        let failed_directory = self.directory.failure().is_some();
        let Some(writer) = self.writer(slot) else { return };
        let tp = writer.handle.tp().clone();
        // A partition that was taken away took its directory, and with it what the run wrote.
        let Some(open) = writer.open_log() else { return };
        open.compaction.running = None;
        if failed_directory || !is_journaled {
            return;
        }
        let applied = result.and_then(|compacted| {
            let stats = compacted.stats;
            open.log.apply_compaction(compacted, now).map(|applied| (applied, stats))
        });
        let failure = open.log.failure().map(str::to_owned);
        match applied {
            Ok((applied, stats)) => tracing::debug!(partition = %tp, applied, ?stats, "compacted"),
            Err(CompactionError::Cancelled) => {}
            Err(error) => tracing::warn!(partition = %tp, %error, "a compaction came to nothing"),
        }
        if let Some(why) = failure {
            self.directory.fail(&why);
            return self.fail_all();
        }
        // Readers let go of the old segments, and the rest of the dirty part may be worth another run.
        self.publish(slot);
        self.visit_at(slot, now.mono + Duration::from_millis(1));
    }
}
