//! The mailbox of a log thread: many senders, one receiver that takes everything at once.
//!
//! A sender locks, pushes, and wakes the thread only if it sleeps; the thread swaps the whole queue out, so a round costs
//! one lock and one wake-up however many inputs it has.

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tidemark_core::metadata::PartitionImage;
use tidemark_protocol::types::Offset;
use tidemark_storage::log::Flush;
use tidemark_storage::log::compaction::{Compacted, CompactionError};
use tidemark_storage::producer::ProducerDescription;
use tokio::sync::oneshot;

use super::append::Append;
use super::config::PartitionConfig;
use super::error::{PartitionError, ProduceError};
use super::{Brokers, PartitionHandle, PartitionView, Replication};

/// Appends a log thread lets wait. The server's budget of produce bytes in flight admits less than this unless every
/// batch is tiny; then the surplus is refused rather than queued.
const INBOX_APPENDS_MAX: usize = 256 * 1024;

/// Where a log thread keeps a partition. Never reused.
pub(crate) type Slot = u32;

/// Something for a log thread to do.
pub(crate) enum Input {
    /// A batch for a partition.
    Append { slot: Slot, append: Append },
    /// Something else for a partition.
    Command { slot: Slot, command: Command },
    /// New partitions of this thread, with what the image says of them.
    Attach(Vec<(PartitionHandle, PartitionImage)>),
    /// A flush came back from the sync pool. If it went wrong, the directory has failed by now.
    Flushed { flushes: Vec<(Slot, Flush)>, took: Duration },
    /// Other brokers came, went or changed.
    Brokers(Arc<Brokers>),
    /// Say what opening logs has found; asked once, after the partitions were attached.
    Findings { reply: oneshot::Sender<Findings> },
    /// Another thread saw the data directory fail.
    DirectoryFailed,
    /// Flush everything, write what makes the next start fast, end the thread.
    Stop,
}

/// What opening the logs of replicated partitions has found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Findings {
    /// Logs whose last writes were cut off by a crash and are cut.
    pub torn: usize,
    /// Logs with damage below what they called durable.
    pub damaged: usize,
}

impl Findings {
    /// Both together.
    pub fn and(self, other: Findings) -> Findings {
        Findings { torn: self.torn + other.torn, damaged: self.damaged + other.damaged }
    }
}

/// Something for one partition other than an append. A dropped reply answers [`PartitionError::Closed`].
pub(crate) enum Command {
    /// Open the log if it is not.
    Open { reply: oneshot::Sender<Result<Arc<PartitionView>, PartitionError>> },
    /// The controller changed the partition, and the topic's settings if they come along: what an ISR may commit depends on
    /// both, so no step may be taken by one of them alone.
    Assign(PartitionImage, Option<Arc<PartitionConfig>>),
    /// The topic's settings changed; the handle already shows them.
    Configure(Arc<PartitionConfig>),
    /// Move the start of the log.
    DeleteRecords { before: Option<Offset>, reply: oneshot::Sender<Result<Offset, PartitionError>> },
    /// List the producers.
    DescribeProducers { reply: oneshot::Sender<Result<Vec<ProducerDescription>, PartitionError>> },
    /// Bytes below what is durable do not read back as they were written.
    Damaged { why: Arc<str> },
    /// The leader, a follower or the controller has news.
    Replication(Box<Replication>),
    /// A compaction came back from the background pool.
    Compacted { result: Result<Compacted, CompactionError> },
    /// Answer when what is appended now is durable.
    Flush { reply: oneshot::Sender<Result<(), PartitionError>> },
    /// Take the partition away, with its data.
    Remove { reply: oneshot::Sender<Result<(), PartitionError>> },
}

/// The mailbox. Shared by the log thread and everybody who sends to it.
#[derive(Default)]
pub(crate) struct Inbox {
    queue: Mutex<Queue>,
    filled: Condvar,
    slots: AtomicU32,
}

#[derive(Default)]
struct Queue {
    inputs: VecDeque<Input>,
    /// Finished syncs: they overtake, since acks wait for them.
    finished: Vec<Input>,
    appends: usize,
    asleep: bool,
    closed: bool,
}

impl Queue {
    fn is_empty(&self) -> bool {
        self.inputs.is_empty() && self.finished.is_empty()
    }
}

impl Inbox {
    /// A slot nobody has yet.
    pub(super) fn next_slot(&self) -> Slot {
        self.slots.fetch_add(1, Ordering::Relaxed)
    }

    /// Queues an append; refuses it by its reply when too many wait or the thread has ended.
    pub(super) fn send_append(&self, slot: Slot, append: Append) {
        let mut queue = self.lock();
        if queue.closed || queue.appends >= INBOX_APPENDS_MAX {
            let error = if queue.closed { ProduceError::Closed } else { ProduceError::Overloaded };
            drop(queue);
            return append.reply.send(Err(error));
        }
        queue.appends += 1;
        self.push(queue, Input::Append { slot, append });
    }

    /// Queues anything else. Dropped, with the reply in it, when the thread is ending; only finished syncs still pass.
    pub(crate) fn send(&self, input: Input) {
        let queue = self.lock();
        if !queue.closed || matches!(input, Input::Flushed { .. }) {
            self.push(queue, input);
        }
    }

    fn push(&self, mut queue: MutexGuard<'_, Queue>, input: Input) {
        match input {
            Input::Flushed { .. } => queue.finished.push(input),
            _ => queue.inputs.push_back(input),
        }
        let wake = std::mem::take(&mut queue.asleep);
        drop(queue);
        if wake {
            self.filled.notify_one();
        }
    }

    /// Moves finished syncs to the front of `into`, and everything else queued to its end, unless `into` has as many as
    /// `enough` already: what is not taken counts towards the bound. With nothing queued it waits up to `patience` for
    /// something (`None`: as long as it takes); a zero patience only looks.
    pub(super) fn receive(&self, into: &mut VecDeque<Input>, enough: usize, patience: Option<Duration>) {
        let mut queue = self.lock();
        if queue.is_empty() && patience != Some(Duration::ZERO) {
            queue = self.wait(queue, patience);
        }
        if into.is_empty() {
            std::mem::swap(into, &mut queue.inputs);
            queue.appends = 0;
        } else if into.len() < enough {
            into.append(&mut queue.inputs);
            queue.appends = 0;
        }
        for finished in queue.finished.drain(..).rev() {
            into.push_front(finished);
        }
    }

    fn wait<'a>(
        &'a self,
        mut queue: MutexGuard<'a, Queue>,
        patience: Option<Duration>,
    ) -> MutexGuard<'a, Queue> {
        queue.asleep = true;
        let empty = |queue: &mut Queue| queue.is_empty();
        let mut queue = match patience {
            None => self.filled.wait_while(queue, empty).unwrap_or_else(PoisonError::into_inner),
            Some(patience) => {
                let woken = self.filled.wait_timeout_while(queue, patience, empty);
                woken.unwrap_or_else(PoisonError::into_inner).0
            }
        };
        queue.asleep = false;
        queue
    }

    /// Refuses everything but finished syncs from now on, and returns what was still queued.
    pub(crate) fn refuse(&self) -> VecDeque<Input> {
        let mut queue = self.lock();
        queue.closed = true;
        let queue = &mut *queue;
        queue.finished.drain(..).chain(queue.inputs.drain(..)).collect()
    }

    /// Whether nothing is queued.
    pub(super) fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        // Nothing panics under this lock, so what it guards is whole.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Inbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inbox").field("queued", &self.lock().inputs.len()).finish()
    }
}

#[cfg(test)]
mod tests;
