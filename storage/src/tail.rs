//! Recent batches kept in memory, so that readers near the end of a log cost no disk.
//!
//! Written by the log's owner, read by anyone; the lock is held for a binary search and the cloning of a few handles.
//! The batches of one tail follow each other without a gap and end where the log ends.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use tidemark_protocol::batch::PlacedBatch;
use tidemark_protocol::types::Offset;

/// What a batch costs in memory beside its bytes.
const BATCH_OVERHEAD: usize = 128;
/// A batch this old is no longer what followers of the end read; memory is better spent on others.
const AGE_MAX: Duration = Duration::from_secs(60);

/// Memory of all tails of a broker, in bytes. A log that pushes it over the limit lets go of its own oldest batches.
#[derive(Debug)]
pub struct TailBudget {
    used: AtomicUsize,
    max: usize,
}

impl TailBudget {
    /// A budget of `max` bytes; 0 keeps nothing in memory.
    pub fn new(max: usize) -> Self {
        TailBudget { used: AtomicUsize::new(0), max }
    }

    /// The limit, bytes.
    pub fn max(&self) -> usize {
        self.max
    }

    /// What is used, bytes.
    pub fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    fn is_over(&self) -> bool {
        self.used() > self.max
    }
}

/// The recent batches of one log.
#[derive(Debug)]
pub struct Tail {
    budget: Arc<TailBudget>,
    batches: RwLock<VecDeque<Kept>>,
}

#[derive(Debug)]
struct Kept {
    batch: PlacedBatch,
    since: Duration,
}

fn cost(batch: &PlacedBatch) -> usize {
    batch.len() + BATCH_OVERHEAD
}

impl Tail {
    /// An empty tail, which owns no memory.
    pub fn new(budget: Arc<TailBudget>) -> Self {
        Tail { budget, batches: RwLock::default() }
    }

    fn read_lock(&self) -> RwLockReadGuard<'_, VecDeque<Kept>> {
        self.batches.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_lock(&self) -> RwLockWriteGuard<'_, VecDeque<Kept>> {
        self.batches.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps a batch that was appended at time `now` (on the `Now::mono` scale), and lets go of the oldest if there is
    /// no room.
    pub fn push(&self, batch: PlacedBatch, now: Duration) {
        if self.budget.max == 0 {
            return;
        }
        let mut batches = self.write_lock();
        if batches.back().is_some_and(|last| last.batch.next_offset() != batch.base_offset()) {
            self.release(batches.drain(..));
        }
        self.budget.used.fetch_add(cost(&batch), Ordering::Relaxed);
        batches.push_back(Kept { batch, since: now });
        while self.budget.is_over()
            && let Some(oldest) = batches.pop_front()
        {
            self.release([oldest]);
        }
    }

    fn release(&self, gone: impl IntoIterator<Item = Kept>) {
        let bytes: usize = gone.into_iter().map(|kept| cost(&kept.batch)).sum();
        self.budget.used.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Whole batches from the one that holds `from` on, all below `up_to`, at most `max_bytes`; the first even if it is
    /// larger when `at_least_one`. `None` when `from` is not in memory.
    pub fn read(
        &self,
        from: Offset,
        up_to: Offset,
        max_bytes: usize,
        at_least_one: bool,
    ) -> Option<Vec<PlacedBatch>> {
        let batches = self.read_lock();
        let first = batches.partition_point(|kept| kept.batch.next_offset() <= from);
        if batches.get(first).is_none_or(|kept| kept.batch.base_offset() > from) {
            return None;
        }
        let mut found = Vec::new();
        let mut bytes = 0;
        for Kept { batch, .. } in batches.range(first..) {
            bytes += batch.len();
            let fits = bytes <= max_bytes || (at_least_one && found.is_empty());
            if !fits || batch.next_offset() > up_to {
                break;
            }
            found.push(batch.clone());
        }
        Some(found)
    }

    /// Lets go of batches that are too old at time `now`. Returns when the next one is.
    pub fn expire(&self, now: Duration) -> Option<Duration> {
        if self.read_lock().front().is_none_or(|oldest| oldest.since + AGE_MAX > now) {
            return self.due();
        }
        {
            let mut batches = self.write_lock();
            let keep_from = batches.partition_point(|kept| kept.since + AGE_MAX <= now);
            self.release(batches.drain(..keep_from));
            let len = batches.len();
            batches.shrink_to(2 * len);
        }
        self.due()
    }

    fn due(&self) -> Option<Duration> {
        self.read_lock().front().map(|oldest| oldest.since + AGE_MAX)
    }

    /// Lets go of batches that end above `end`.
    pub fn truncate(&self, end: Offset) {
        let mut batches = self.write_lock();
        let keep = batches.partition_point(|kept| kept.batch.next_offset() <= end);
        self.release(batches.drain(keep..));
    }

    /// Lets go of batches that end at or below `start`.
    pub fn advance(&self, start: Offset) {
        let mut batches = self.write_lock();
        let keep_from = batches.partition_point(|kept| kept.batch.next_offset() <= start);
        self.release(batches.drain(..keep_from));
    }

    /// Lets go of everything.
    pub fn clear(&self) {
        let mut batches = self.write_lock();
        self.release(batches.drain(..));
        batches.shrink_to_fit();
    }

    /// First offset in memory.
    pub fn start(&self) -> Option<Offset> {
        self.read_lock().front().map(|kept| kept.batch.base_offset())
    }
}

impl Drop for Tail {
    fn drop(&mut self) {
        self.clear();
    }
}

#[cfg(test)]
mod tests;
