//! An append on its way to the writer and its answer on the way back.
//!
//! One produce request makes one [`AppendWait`] for all its partitions and hands one [`AppendReply`] to each append:
//! the request's task wakes once, when the last partition answered, whatever their number. A reply that is dropped
//! unanswered answers [`ProduceError::Closed`], so a wait always ends.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use futures_util::task::AtomicWaker;
use tidemark_protocol::batch::RecordBatch;
use tidemark_protocol::types::{Offset, TimestampMs};

use super::error::ProduceError;

/// When a producer wants its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acks {
    /// acks=0: no answer on the wire; the reply tells the connection about failures, at the leader's append.
    None,
    /// acks=1: when the leader appended.
    Leader,
    /// acks=all: when the high watermark passed the batch.
    All,
}

/// One validated batch for one partition.
#[derive(Debug)]
pub struct Append {
    /// As the producer sent it; the log patches offset and epoch.
    pub batch: RecordBatch,
    /// When to answer.
    pub acks: Acks,
    /// Where to.
    pub reply: AppendReply,
}

/// Where a batch went. For a duplicate of an idempotent producer: where the original went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// Offset of the first record.
    pub base_offset: Offset,
    /// Offset of the last record, inclusive.
    pub last_offset: Offset,
    /// −1 unless the topic stamps records itself.
    pub log_append_time: TimestampMs,
    /// Start of the log when the answer was made.
    pub log_start: Offset,
    /// The producer had sent this batch before.
    pub duplicate: bool,
}

/// Outcome of one append.
pub type AppendResult = Result<Appended, ProduceError>;

/// The right to answer one append, once.
#[derive(Debug)]
pub struct AppendReply {
    shared: Arc<Shared>,
    slot: usize,
    answered: bool,
}

/// Waits for the answers of one request; resolves when all are there. Poll it through `&mut` under a timeout and take
/// what arrived with [`AppendWait::into_results`]: a late answer is then dropped, the data stays appended.
#[derive(Debug)]
pub struct AppendWait {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    missing: AtomicUsize,
    results: Mutex<Vec<Option<AppendResult>>>,
    waker: AtomicWaker,
}

impl Shared {
    fn results(&self) -> MutexGuard<'_, Vec<Option<AppendResult>>> {
        self.results.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AppendWait {
    /// A wait for `count` appends and their replies, in the order of [`AppendWait::into_results`].
    pub fn new(count: usize) -> (AppendWait, impl Iterator<Item = AppendReply>) {
        let shared = Arc::new(Shared {
            missing: AtomicUsize::new(count),
            results: Mutex::new(vec![None; count]),
            waker: AtomicWaker::new(),
        });
        let replies = Arc::clone(&shared);
        let replies =
            (0..count).map(move |slot| AppendReply { shared: Arc::clone(&replies), slot, answered: false });
        (AppendWait { shared }, replies)
    }

    /// A wait for one append.
    pub fn single() -> (AppendWait, AppendReply) {
        let (wait, mut replies) = AppendWait::new(1);
        let reply = replies.next().expect("one reply was asked for");
        (wait, reply)
    }

    /// Whether every answer is there.
    pub fn is_complete(&self) -> bool {
        self.shared.missing.load(Ordering::Acquire) == 0
    }

    /// The answers so far, in the order of the replies; `None` where none came yet.
    pub fn into_results(self) -> Vec<Option<AppendResult>> {
        std::mem::take(&mut *self.shared.results())
    }

    /// Waits for the answer of a wait made by [`AppendWait::single`].
    pub async fn one(mut self) -> AppendResult {
        (&mut self).await;
        self.into_results().into_iter().next().flatten().unwrap_or(Err(ProduceError::Closed))
    }
}

impl Future for AppendWait {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.is_complete() {
            return Poll::Ready(());
        }
        self.shared.waker.register(context.waker());
        // An answer between the check and the registration would otherwise be missed.
        if self.is_complete() { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl AppendReply {
    /// Answers; the last answer of a request wakes its task.
    pub fn send(mut self, result: AppendResult) {
        self.answer(result);
    }

    fn answer(&mut self, result: AppendResult) {
        if std::mem::replace(&mut self.answered, true) {
            return;
        }
        // The wait takes the vector away when it stops waiting; nobody wants the answer then.
        if let Some(slot) = self.shared.results().get_mut(self.slot) {
            *slot = Some(result);
        }
        if self.shared.missing.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.shared.waker.wake();
        }
    }
}

impl Drop for AppendReply {
    fn drop(&mut self) {
        self.answer(Err(ProduceError::Closed));
    }
}

#[cfg(test)]
mod tests;
