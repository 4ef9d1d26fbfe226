//! Partitions: each is owned by a writer on a log thread; everybody else holds a [`PartitionHandle`].
//!
//! The writer publishes a [`PartitionView`] after each round; readers load it without waiting and never queue behind
//! writes. What others want changed goes to the log thread as input, in order. A partition's log is opened on first use
//! or by a slow sweep after start; until then it has no view ([`PartitionHandle::ready_view`] opens it).
//!
//! ```text
//!  append, commands ─▶ inbox ─▶ log thread: drain ─▶ append each ─▶ flush once ─▶ publish views ─▶ release acks
//!                                                                                     │
//!  fetch, list offsets ◀── view() ◀───────────────────────────────────────────────────┘
//! ```
//! The offsets of a view, always: `log_start ≤ last_stable ≤ high_watermark ≤ log_end`.

pub mod append;
pub mod config;
pub mod error;
pub mod outlet;
pub mod positions;
pub mod sight;
pub mod subscription;
pub mod sync_times;
pub mod waiter;

mod compaction;
pub(crate) mod directory;
pub(crate) mod inbox;
pub(crate) mod log_thread;
mod pending;
mod shared_sync;
#[cfg(test)]
pub(crate) mod testing;
mod writer;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::{ArcSwap, ArcSwapOption};
use tidemark_core::metadata::{BrokerIds, PartitionImage};
use tidemark_protocol::batch::RecordBatch;
use tidemark_protocol::types::{BrokerId, LeaderEpoch, Offset, TopicId, TopicIdPartition, TopicPartition};
use tidemark_storage::log::LogReader;
use tidemark_storage::producer::ProducerDescription;
use tokio::sync::oneshot;

pub use append::{Acks, Append, AppendReply, AppendResult, AppendWait, Appended};
pub use config::PartitionConfig;
pub use directory::LogThreadMetrics;
pub use error::{PartitionError, ProduceError};
pub use inbox::Findings;
use inbox::{Command, Inbox, Input, Slot};
pub(crate) use log_thread::damage;
pub(crate) use log_thread::replicate::{Replicated, Replication};
use positions::{FollowerPosition, Positions};
use subscription::Subscribers;
pub use subscription::Subscription;
pub use waiter::FetchWaiter;
use waiter::Waiters;
pub(crate) use writer::Brokers;

/// What readers see of a partition: published by its writer, immutable.
#[derive(Clone, Debug)]
pub struct PartitionView {
    /// Identity of the topic.
    pub topic_id: TopicId,
    /// Name and index.
    pub tp: TopicPartition,
    /// Brokers that hold it, as its writer knows.
    pub replicas: BrokerIds,
    /// Who leads; −1 when nobody does.
    pub leader: BrokerId,
    /// Whether this broker leads.
    pub is_leader: bool,
    /// Epoch of that leader.
    pub leader_epoch: LeaderEpoch,
    /// On a leader: the high watermark covers all that earlier leaders may have committed, so it is the true one.
    pub is_settled: bool,
    /// First offset that may be read.
    pub log_start: Offset,
    /// End of what is committed, exclusive: what consumers may read.
    pub high_watermark: Offset,
    /// First offset of the earliest open transaction, else the high watermark: what read_committed consumers may read.
    pub last_stable: Offset,
    /// End of what is durable here, exclusive.
    pub durable_end: Offset,
    /// End of the log, exclusive.
    pub log_end: Offset,
    /// The log as of this view.
    pub reader: Arc<LogReader>,
    /// Why the partition takes no writes any more, if so; reads go on.
    pub failed: Option<Arc<str>>,
    /// Bytes of all segments.
    pub size_bytes: u64,
    /// Changes whenever waiting readers are woken.
    pub(crate) news: u64,
}

/// A partition as everybody but its writer sees it. Cheap to clone.
#[derive(Clone)]
pub struct PartitionHandle {
    shared: Arc<Shared>,
}

/// What a writer and its handles share.
struct Shared {
    id: TopicIdPartition,
    tp: TopicPartition,
    slot: Slot,
    inbox: Arc<Inbox>,
    config: ArcSwap<PartitionConfig>,
    view: ArcSwapOption<PartitionView>,
    news: AtomicU64,
    waiters: Waiters,
    followers: Subscribers,
    positions: Positions,
    in_bytes: AtomicU64,
    out_bytes: AtomicU64,
}

impl PartitionHandle {
    /// A partition of the log thread behind `inbox`. It answers nothing until the thread is told of it.
    pub(crate) fn new(
        id: TopicIdPartition,
        tp: TopicPartition,
        inbox: Arc<Inbox>,
        config: Arc<PartitionConfig>,
    ) -> PartitionHandle {
        let shared = Shared {
            id,
            tp,
            slot: inbox.next_slot(),
            inbox,
            config: ArcSwap::new(config),
            view: ArcSwapOption::empty(),
            news: AtomicU64::new(0),
            waiters: Waiters::default(),
            followers: Subscribers::default(),
            positions: Positions::default(),
            in_bytes: AtomicU64::new(0),
            out_bytes: AtomicU64::new(0),
        };
        PartitionHandle { shared: Arc::new(shared) }
    }

    /// Identity.
    pub fn id(&self) -> TopicIdPartition {
        self.shared.id
    }

    /// Name and index.
    pub fn tp(&self) -> &TopicPartition {
        &self.shared.tp
    }

    /// The topic's settings in the data path's terms: what to validate appends against.
    pub fn config(&self) -> Arc<PartitionConfig> {
        self.shared.config.load_full()
    }

    /// The newest view; `None` until the log was opened, or when it cannot be.
    pub fn view(&self) -> Option<Arc<PartitionView>> {
        self.shared.view.load_full()
    }

    /// The newest view, opening the log if need be. Only the first use of a partition after a start waits.
    pub async fn ready_view(&self) -> Result<Arc<PartitionView>, PartitionError> {
        if let Some(view) = self.view() {
            return Ok(view);
        }
        self.ask(|reply| Command::Open { reply }).await?
    }

    /// Hands a batch to the writer. The answer comes through the batch's reply, also when this is refused.
    pub fn append(&self, append: Append) {
        self.shared.in_bytes.fetch_add(append.batch.len() as u64, Ordering::Relaxed);
        self.shared.inbox.send_append(self.shared.slot, append);
    }

    /// Appends one batch and waits for the answer; for coordinators, which write one batch at a time.
    pub async fn append_one(&self, batch: RecordBatch, acks: Acks) -> AppendResult {
        let (wait, reply) = AppendWait::single();
        self.append(Append { batch, acks, reply });
        wait.one().await
    }

    /// Deletes the records below `before` (`None`: below the high watermark) and returns the new start of the log,
    /// which is durable then. The start never goes back.
    pub async fn delete_records(&self, before: Option<Offset>) -> Result<Offset, PartitionError> {
        self.ask(|reply| Command::DeleteRecords { before, reply }).await?
    }

    /// The producers the log knows.
    pub async fn describe_producers(&self) -> Result<Vec<ProducerDescription>, PartitionError> {
        self.ask(|reply| Command::DescribeProducers { reply }).await?
    }

    /// Returns once everything appended before this call is durable.
    pub async fn flush(&self) -> Result<(), PartitionError> {
        self.ask(|reply| Command::Flush { reply }).await?
    }

    /// The controller changed the partition, and nothing else.
    #[cfg(test)]
    pub(crate) fn assign(&self, image: PartitionImage) {
        self.command(Command::Assign(image, None));
    }

    /// The controller changed the partition and its topic's settings: both are taken up in one step.
    pub(crate) fn assign_configured(&self, image: PartitionImage, config: &Arc<PartitionConfig>) {
        self.shared.config.store(Arc::clone(config));
        self.command(Command::Assign(image, Some(Arc::clone(config))));
    }

    /// The topic's settings changed. Validation sees them at once, the log in its turn.
    pub(crate) fn configure(&self, config: &Arc<PartitionConfig>) {
        self.shared.config.store(Arc::clone(config));
        self.command(Command::Configure(Arc::clone(config)));
    }

    /// Takes the partition away from its log thread, with its data.
    pub(crate) fn remove(&self) -> Removal {
        let (reply, done) = oneshot::channel();
        self.command(Command::Remove { reply });
        Removal { tp: self.tp().clone(), done }
    }

    /// Bytes below what is durable do not read back as they were written; whoever says so has looked twice.
    pub(crate) fn report_damage(&self, why: Arc<str>) {
        self.command(Command::Damaged { why });
    }

    /// News of replication, for the writer.
    pub(crate) fn replicate(&self, news: Replication) {
        self.command(Command::Replication(Box::new(news)));
    }

    /// Tells `subscription` whenever there is more for followers.
    pub(crate) fn subscribe(&self, subscription: &Arc<Subscription>) {
        self.shared.followers.add(subscription);
    }

    /// A follower has asked for more from where it stands.
    pub(crate) fn note_follower(&self, position: FollowerPosition) {
        self.shared.positions.note(position);
    }

    /// Where the followers of this leader epoch stood when they asked last.
    pub fn follower_positions(&self, leader_epoch: LeaderEpoch) -> Vec<FollowerPosition> {
        self.shared.positions.in_epoch(leader_epoch)
    }

    /// There is more for followers. Only the writer calls this, after the view.
    fn tell_followers(&self) {
        self.shared.followers.tell(self.shared.id);
    }

    /// Counts bytes of batches that were given out to clients.
    pub fn count_out(&self, bytes: usize) {
        self.shared.out_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Bytes of batches handed in for append and given out, since this broker holds the partition.
    pub fn traffic(&self) -> (u64, u64) {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        (load(&self.shared.in_bytes), load(&self.shared.out_bytes))
    }

    /// How many fetches sleep on this partition.
    pub fn waiter_count(&self) -> usize {
        self.shared.waiters.len()
    }

    async fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> Result<T, PartitionError> {
        let (reply, answer) = oneshot::channel();
        self.command(command(reply));
        answer.await.map_err(|_| PartitionError::Closed)
    }

    fn command(&self, command: Command) {
        self.shared.inbox.send(Input::Command { slot: self.shared.slot, command });
    }

    fn waiters(&self) -> &Waiters {
        &self.shared.waiters
    }

    fn slot(&self) -> Slot {
        self.shared.slot
    }

    /// Shows a new view, and wakes whoever waits if it has news for them. Only the writer calls this.
    fn publish(&self, mut view: PartitionView, news: bool) -> Arc<PartitionView> {
        view.news = self.news() + u64::from(news);
        let number = view.news;
        let view = Arc::new(view);
        self.shared.view.store(Some(Arc::clone(&view)));
        if news {
            // After the view: whoever sees the number sees the view. Before the wake-up: see `FetchWaiter::register`.
            self.shared.news.store(number, Ordering::SeqCst);
            self.shared.waiters.wake_all();
        }
        view
    }

    /// The partition is gone: no view, and whoever waits for news looks again.
    fn withdraw(&self) {
        self.shared.view.store(None);
        self.shared.news.fetch_add(1, Ordering::SeqCst);
        self.shared.waiters.wake_all();
    }

    fn news(&self) -> u64 {
        self.shared.news.load(Ordering::SeqCst)
    }
}

/// A partition on its way out.
#[derive(Debug)]
pub(crate) struct Removal {
    tp: TopicPartition,
    done: oneshot::Receiver<Result<(), PartitionError>>,
}

impl Removal {
    /// Returns when the partition serves nobody any more and its directory has another name.
    pub(crate) async fn done(self) {
        // Without an answer the log thread is ending: the directory is removed at the next start.
        if let Ok(Err(error)) = self.done.await {
            tracing::error!(partition = %self.tp, %error, "the partition cannot be removed");
        }
    }
}

/// Which of `threads` log threads serves a partition. Neighbours of one topic are on different threads.
pub(crate) fn thread_of(id: TopicIdPartition, threads: usize) -> usize {
    let bits = id.topic_id.0.as_u128();
    let topic = (bits ^ (bits >> 64)) as u64;
    let index = topic.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
    let index = index.wrapping_add(u64::from(id.partition.unsigned_abs()));
    usize::try_from(index % threads.max(1) as u64).expect("less than the number of threads")
}

impl fmt::Debug for PartitionHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PartitionHandle({} {})", self.shared.tp, self.shared.id.topic_id)
    }
}
