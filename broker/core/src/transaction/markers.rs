//! Markers: which partitions of decided transactions are still to be told, and which attempts are on their way.
//!
//! Always: a partition of a transaction here is in exactly one of ready, flying, resting; flying ones belong to an attempt;
//! an attempt that was forgotten changes nothing when its result comes.
//!
//! ```text
//!   ready ──take──► flying ──done──► (gone)
//!     ▲               │ failed, or got lost
//!     └── rested ◄────┘
//! ```

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tidemark_protocol::error_code::ErrorCode;
use tidemark_protocol::types::TopicPartition;

use super::request::{Attempt, MarkerResult, MarkersToSend};
use super::state::State;
use super::transaction::Transaction;

/// Partitions that may be told at a time, by one shard: enough for hundreds of small transactions, and a bound on what a
/// leader that hangs holds up.
pub const FLYING_MAX: usize = 1_000;
/// The first wait after a failure; it doubles with each.
const RETRY_AFTER: Duration = Duration::from_millis(20);
/// Markers are tried for ever, this often at least: a hanging transaction hides what is behind it.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(1);

/// What is still to be told.
#[derive(Debug, Default)]
pub(super) struct Markers {
    by_id: BTreeMap<Arc<str>, Progress>,
    /// Those with ready partitions, each once, in the order they became so.
    queue: VecDeque<Arc<str>>,
    attempts: BTreeMap<Attempt, (Arc<str>, BTreeSet<TopicPartition>)>,
    flying: usize,
    last_attempt: Attempt,
}

/// One decided transaction.
#[derive(Debug)]
struct Progress {
    /// What its markers say; partitions and attempt are filled in.
    marker: MarkersToSend,
    ready: BTreeSet<TopicPartition>,
    flying: BTreeSet<TopicPartition>,
    resting: BTreeSet<TopicPartition>,
    failures: u32,
}

/// What a result means for its transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Progressed {
    /// Nothing changed for the better.
    Waits,
    /// Some failed: they rest so long.
    Rests(Arc<str>, Duration),
    /// Everybody is told.
    Finished(Arc<str>),
}

impl Markers {
    /// A transaction was decided, or found decided: all of `partitions` are to be told.
    pub fn begin(
        &mut self,
        id: &Arc<str>,
        transaction: &Transaction,
        coordinator_epoch: i32,
        partitions: BTreeSet<TopicPartition>,
    ) {
        self.forget(id);
        let marker = MarkersToSend {
            attempt: 0,
            transactional_id: id.clone(),
            producer_id: transaction.producer_id,
            producer_epoch: transaction.producer_epoch,
            coordinator_epoch,
            commit: transaction.state == State::PrepareCommit,
            version: transaction.marker_version(),
            partitions: Vec::new(),
        };
        if !partitions.is_empty() {
            self.queue.push_back(id.clone());
        }
        let (flying, resting) = Default::default();
        let progress = Progress { marker, ready: partitions, flying, resting, failures: 0 };
        self.by_id.insert(id.clone(), progress);
    }

    /// Forgets a transaction: its attempts mean nothing any more.
    pub fn forget(&mut self, id: &Arc<str>) {
        if let Some(progress) = self.by_id.remove(id) {
            if !progress.flying.is_empty() {
                self.flying -= progress.flying.len();
                self.attempts.retain(|_, (of, _)| of != id);
            }
            if !progress.ready.is_empty() {
                self.queue.retain(|queued| queued != id);
            }
        }
    }

    /// Whether everybody of a transaction that is here is told.
    pub fn is_finished(&self, id: &Arc<str>) -> bool {
        self.by_id.get(id).is_some_and(Progress::is_finished)
    }

    /// How many partitions are being told at the moment.
    #[cfg(test)]
    pub fn flying(&self) -> usize {
        self.flying
    }

    /// The next attempts, as many as may fly.
    pub fn take(&mut self) -> Vec<MarkersToSend> {
        let mut attempts = Vec::new();
        while self.flying < FLYING_MAX {
            let Some(id) = self.queue.pop_front() else { break };
            let Some(progress) = self.by_id.get_mut(&id) else { continue };
            let mut marker = progress.marker.clone();
            while self.flying < FLYING_MAX {
                let Some(partition) = progress.ready.pop_first() else { break };
                progress.flying.insert(partition.clone());
                marker.partitions.push(partition);
                self.flying += 1;
            }
            if !progress.ready.is_empty() {
                self.queue.push_front(id.clone());
            }
            self.last_attempt += 1;
            marker.attempt = self.last_attempt;
            self.attempts.insert(marker.attempt, (id, marker.partitions.iter().cloned().collect()));
            attempts.push(marker);
        }
        attempts
    }

    /// Attempts above `received` never reached the worker: their partitions are ready again.
    pub fn lost_above(&mut self, received: Attempt) {
        for (_, (id, flew)) in self.attempts.split_off(&received.saturating_add(1)) {
            self.land(&id, flew);
        }
    }

    /// An attempt will not be made after all.
    pub fn lost(&mut self, attempt: Attempt) {
        if let Some((id, flew)) = self.attempts.remove(&attempt) {
            self.land(&id, flew);
        }
    }

    /// What came of an attempt. Who did not answer, or not well, is told again after a rest.
    pub fn answered(&mut self, attempt: Attempt, results: &[(TopicPartition, MarkerResult)]) -> Progressed {
        let Some((id, flew)) = self.attempts.remove(&attempt) else { return Progressed::Waits };
        let told = results.iter().filter(|(_, result)| is_done(*result));
        let told: BTreeSet<&TopicPartition> = told.map(|(partition, _)| partition).collect();
        let failed: BTreeSet<TopicPartition> = flew.iter().filter(|p| !told.contains(p)).cloned().collect();
        self.flying -= flew.len();
        let Some(progress) = self.by_id.get_mut(&id) else { return Progressed::Waits };
        progress.flying.retain(|partition| !flew.contains(partition));
        if failed.is_empty() {
            progress.failures = 0;
            return if progress.is_finished() { Progressed::Finished(id) } else { Progressed::Waits };
        }
        let rest = RETRY_AFTER.saturating_mul(1 << progress.failures.min(16)).min(RETRY_AFTER_MAX);
        progress.failures += 1;
        progress.resting.extend(failed);
        Progressed::Rests(id, rest)
    }

    /// The rest of a transaction's partitions is over.
    pub fn rested(&mut self, id: &Arc<str>) {
        let Some(progress) = self.by_id.get_mut(id) else { return };
        let rested = std::mem::take(&mut progress.resting);
        self.make_ready(id, rested);
    }

    /// Partitions of an attempt that did not happen are ready again.
    fn land(&mut self, id: &Arc<str>, flew: BTreeSet<TopicPartition>) {
        self.flying -= flew.len();
        if let Some(progress) = self.by_id.get_mut(id) {
            progress.flying.retain(|partition| !flew.contains(partition));
        }
        self.make_ready(id, flew);
    }

    fn make_ready(&mut self, id: &Arc<str>, partitions: BTreeSet<TopicPartition>) {
        let Some(progress) = self.by_id.get_mut(id) else { return };
        if progress.ready.is_empty() && !partitions.is_empty() {
            self.queue.push_back(id.clone());
        }
        progress.ready.extend(partitions);
    }
}

impl Progress {
    fn is_finished(&self) -> bool {
        self.ready.is_empty() && self.flying.is_empty() && self.resting.is_empty()
    }
}

/// Whether a partition needs no marker any more. Everything but these is tried again:
///
/// - INVALID_PRODUCER_EPOCH: the partition knows a higher epoch, or an equal one with a later transaction open. Both come
///   after this transaction's end, so its marker is there.
/// - TRANSACTION_COORDINATOR_FENCED is *not* the end: if this coordinator is out of date its shell will find out and stop
///   it. If it is not, giving up would leave the transaction hanging.
fn is_done(result: MarkerResult) -> bool {
    match result {
        MarkerResult::Gone => true,
        MarkerResult::Answered(code) => matches!(code, ErrorCode::None | ErrorCode::InvalidProducerEpoch),
    }
}
