//! [`PartitionWriter`]: the one owner of a partition's log and replication state.
//!
//! It lives on a log thread, which hands it inputs in order and asks it to publish once per round. It only sequences:
//! rules of appending are the log's, rules of the high watermark `LeaderState`'s. Acks leave after the view that covers
//! them is published, so that whoever was answered can read what it wrote.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tidemark_core::metadata::PartitionImage;
use tidemark_core::replication::assignment::Assignment;
use tidemark_core::replication::epochs::{EpochLog, FetchPosition};
use tidemark_core::replication::follower::{FetchAnswer, FollowerState, FollowerStep};
use tidemark_core::replication::isr::IsrProposal;
use tidemark_core::replication::leader::LeaderState;
use tidemark_core::replication::replica::ReplicaProgress;
use tidemark_protocol::batch::BatchHeader;
use tidemark_protocol::error_code::ErrorCode;
use tidemark_protocol::types::{BrokerId, LeaderEpoch, Now, Offset};
use tidemark_storage::config::FlushPolicy;
use tidemark_storage::journal::LogMark;
use tidemark_storage::log::{self, Flush, Log};
use tokio::sync::oneshot;

use super::append::{Acks, Append, Appended};
use super::compaction::CompactionState;
use super::config::PartitionConfig;
use super::error::{PartitionError, ProduceError};
use super::outlet::FollowerPlace;
use super::pending::PendingAcks;
use super::sight::{LeaderSight, Sight};
use super::{PartitionHandle, PartitionView};

/// A partition as its log thread keeps it.
pub(super) struct PartitionWriter {
    pub(super) handle: PartitionHandle,
    pub(super) image: PartitionImage,
    pub(super) state: LogState,
    pub(super) flags: Flags,
    /// The open log cannot be relied upon: it is dropped once nobody counts on it.
    pub(super) doubted: Option<Doubt>,
    /// When the log thread visits this partition by itself.
    pub(super) due: Option<Duration>,
}

/// Where a partition stands in the bookkeeping of its log thread.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Flags {
    /// Waits to be published at the end of the round.
    pub(super) touched: bool,
    /// Has something to flush.
    pub(super) dirty: bool,
    /// A flush is under way.
    pub(super) flushing: bool,
    /// Its mark waits to be journaled.
    pub(super) unmarked: bool,
}

/// Damage in an open log.
#[derive(Clone, Debug)]
pub(super) struct Doubt {
    /// The leader epoch in which it was found: in later ones nothing was said of this log.
    pub(super) leader_epoch: LeaderEpoch,
}

/// The log, if it is open.
pub(super) enum LogState {
    /// Not used since the start.
    Unopened,
    /// In use.
    Open(Box<OpenLog>),
    /// Its bytes are damaged: it serves nobody, and stays as it is for as long as somebody counts on it.
    Offline(Arc<str>),
}

/// A log in use and all that belongs to it.
pub(super) struct OpenLog {
    pub(super) log: Log,
    pub(super) config: Arc<PartitionConfig>,
    /// What a leader knows; `None` on a follower.
    leader: Option<LeaderState>,
    /// What a follower knows; `None` on a leader and while nobody leads.
    follower: Option<FollowerState>,
    high_watermark: Offset,
    pub(super) pending: PendingAcks,
    flush_replies: Vec<(Offset, oneshot::Sender<Result<(), PartitionError>>)>,
    failed: Option<Arc<str>>,
    unflushed: Unflushed,
    pub(super) compaction: CompactionState,
}

/// What an asynchronously flushed topic has not flushed.
#[derive(Clone, Copy, Debug, Default)]
struct Unflushed {
    since: Option<Duration>,
    records: i64,
    bytes: u64,
}

/// What an append asks of the log thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AfterAppend {
    /// Nothing was written.
    Nothing,
    /// Publish the new end at the end of the round.
    Publish,
    /// Flush, too.
    Flush,
    /// There was no room: this one append is refused.
    DiskFull,
    /// The log failed, and the directory with it.
    Failed,
}

impl PartitionWriter {
    pub(super) fn new(handle: PartitionHandle, image: PartitionImage) -> PartitionWriter {
        PartitionWriter {
            handle,
            image,
            state: LogState::Unopened,
            flags: Flags::default(),
            doubted: None,
            due: None,
        }
    }

    /// The open log.
    pub(super) fn open_log(&mut self) -> Option<&mut OpenLog> {
        match &mut self.state {
            LogState::Open(open) => Some(open),
            LogState::Unopened | LogState::Offline(_) => None,
        }
    }

    /// Takes a log that was just opened into use. Returns whether it has something to flush.
    pub(super) fn start(
        &mut self,
        log: Log,
        mark: Option<LogMark>,
        config: Arc<PartitionConfig>,
        brokers: &Brokers,
        now: Now,
    ) -> bool {
        let high_watermark = mark.map_or(0, |mark| mark.high_watermark).clamp(log.log_start(), log.log_end());
        let unflushed = log.durable_end() < log.log_end();
        let mut open = OpenLog {
            log,
            config,
            leader: None,
            follower: None,
            high_watermark,
            pending: PendingAcks::default(),
            flush_replies: Vec::new(),
            failed: None,
            unflushed: Unflushed::default(),
            compaction: CompactionState::default(),
        };
        open.lead_or_follow(&self.image, brokers, now);
        self.state = LogState::Open(Box::new(open));
        unflushed
    }

    /// The controller changed the partition.
    pub(super) fn assign(
        &mut self,
        image: PartitionImage,
        config: Option<Arc<PartitionConfig>>,
        brokers: &Brokers,
        now: Now,
    ) {
        self.image = image;
        if let (LogState::Open(open), Some(config)) = (&mut self.state, config) {
            open.log.set_config(Arc::clone(&config.log));
            open.config = config;
        }
        self.look_again(brokers, now);
    }

    /// The other brokers have changed, or the partition.
    pub(super) fn look_again(&mut self, brokers: &Brokers, now: Now) {
        if let LogState::Open(open) = &mut self.state {
            open.lead_or_follow(&self.image, brokers, now);
        }
    }

    /// Whether other brokers hold replicas, too.
    pub(super) fn is_replicated(&self) -> bool {
        self.image.replicas.len() > 1
    }

    /// Where this replica stands as a follower; `None` for a partition that has no others. `pause` is why asking again has
    /// to wait.
    pub(super) fn place(&mut self, pause: Option<ErrorCode>) -> Option<FollowerPlace> {
        if !self.is_replicated() {
            return None;
        }
        let handle = self.handle.clone();
        let doubted = self.doubted.is_some();
        let open = self.open_log()?;
        let follower = open.follower.as_ref();
        let failed = open.failed.is_some() || doubted;
        Some(FollowerPlace {
            handle,
            leader: follower.map(FollowerState::leader),
            position: follower.filter(|_| !failed).and_then(|follower| follower.position(&Epochs(&open.log))),
            agrees: follower.is_some_and(FollowerState::agrees),
            durable_end: open.log.durable_end(),
            log_start: open.log.log_start(),
            pause,
        })
    }

    /// Appends a batch, or answers why not.
    pub(super) fn append(&mut self, append: Append, now: Now) -> AfterAppend {
        let (leader, leader_epoch) = (self.image.leader, self.image.leader_epoch);
        let Some(open) = self.open_log() else {
            append.reply.send(Err(ProduceError::Closed));
            return AfterAppend::Nothing;
        };
        if open.leader.is_none() {
            append.reply.send(Err(ProduceError::NotLeader { leader, leader_epoch }));
            return AfterAppend::Nothing;
        }
        open.append(append, leader_epoch, now)
    }

    /// Publishes what the log has become, wakes readers if it concerns them, and releases the acks the view covers.
    pub(super) fn publish(&mut self, me: BrokerId) -> Option<Arc<PartitionView>> {
        let PartitionWriter { handle, image, state, .. } = self;
        let LogState::Open(open) = state else { return None };
        let old = handle.view();
        let view = PartitionView {
            topic_id: handle.id().topic_id,
            tp: handle.tp().clone(),
            replicas: Arc::clone(&image.replicas),
            leader: image.leader,
            is_leader: image.leader == me,
            leader_epoch: image.leader_epoch,
            is_settled: open.leader.as_ref().is_none_or(LeaderState::is_high_watermark_settled),
            log_start: open.log.log_start(),
            high_watermark: open.high_watermark,
            last_stable: open.high_watermark,
            durable_end: open.log.durable_end(),
            log_end: open.log.log_end(),
            reader: open.log.reader(),
            failed: open.failed.clone(),
            size_bytes: open.log.size_bytes(),
            news: 0,
        };
        assert!(
            view.log_start <= view.last_stable
                && view.last_stable <= view.high_watermark
                && view.high_watermark <= view.log_end,
            "offsets of {} out of order: start {} stable {} committed {} end {}",
            view.tp,
            view.log_start,
            view.last_stable,
            view.high_watermark,
            view.log_end,
        );
        let news = old.as_ref().is_none_or(|old| is_news(old, &view));
        let moved = old.as_ref().is_none_or(|old| {
            old.log_end != view.log_end
                || old.high_watermark != view.high_watermark
                || old.log_start != view.log_start
                || old.leader_epoch != view.leader_epoch
        });
        let view = handle.publish(view, news);
        if moved {
            handle.tell_followers();
        }
        open.release();
        Some(view)
    }

    /// The partition goes away: everything that waits is answered.
    pub(super) fn close(&mut self, error: &ProduceError) {
        if let LogState::Open(open) = &mut self.state {
            open.pending.fail(error);
            open.flush_replies.clear();
            open.compaction.cancel();
        }
        self.handle.withdraw();
    }
}

/// What a writer has to know of brokers: this one and those that may be in sync.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Brokers {
    /// This broker.
    pub(crate) me: BrokerId,
    /// Brokers that are registered, unfenced and not shutting down, with their broker epochs.
    pub(crate) eligible: BTreeMap<BrokerId, i64>,
    /// `replica.lag.time.max.ms`.
    pub(crate) replica_lag_max: Duration,
}

/// A log as the replication rules see it.
struct Epochs<'a>(&'a Log);

impl EpochLog for Epochs<'_> {
    fn log_start(&self) -> Offset {
        self.0.log_start()
    }

    fn log_end(&self) -> Offset {
        self.0.log_end()
    }

    fn epoch_at(&self, offset: Offset) -> Option<LeaderEpoch> {
        self.0.epoch_for(offset)
    }

    fn epoch_end(&self, epoch: LeaderEpoch) -> (LeaderEpoch, Offset) {
        self.0.epoch_end(epoch)
    }
}

/// Whether readers asleep on the old view want to look again.
fn is_news(old: &PartitionView, new: &PartitionView) -> bool {
    old.high_watermark != new.high_watermark
        || old.last_stable != new.last_stable
        || old.log_start != new.log_start
        || old.leader_epoch != new.leader_epoch
        || old.is_leader != new.is_leader
        || old.failed.is_some() != new.failed.is_some()
}

impl OpenLog {
    /// Takes the role the controller gave: a new leader epoch starts at the end of the log.
    fn lead_or_follow(&mut self, image: &PartitionImage, brokers: &Brokers, now: Now) {
        if image.leader != brokers.me {
            self.leader = None;
            self.follow(image);
            let error = ProduceError::NotLeader { leader: image.leader, leader_epoch: image.leader_epoch };
            self.pending.fail(&error);
            return;
        }
        self.follower = None;
        let assignment = self.assignment(image, brokers);
        match &mut self.leader {
            Some(leader) if leader.leader_epoch() == image.leader_epoch => {
                leader.reassign(assignment);
            }
            _ => {
                self.log.assign_epoch(image.leader_epoch);
                self.leader = Some(LeaderState::new(assignment, self.progress(), self.high_watermark, now));
            }
        }
        self.take_high_watermark();
    }

    fn follow(&mut self, image: &PartitionImage) {
        let known = self.follower.as_ref();
        if known.is_some_and(|follower| follower.leader_epoch() == image.leader_epoch) {
            return;
        }
        self.follower = (image.leader >= 0).then(|| FollowerState::new(image.leader, image.leader_epoch));
    }

    /// What a leader's answer means for the log; `None` when this replica follows nobody.
    pub(super) fn follower_step(
        &mut self,
        asked: &FetchPosition,
        answer: &FetchAnswer,
    ) -> Option<FollowerStep> {
        let follower = self.follower.as_mut()?;
        Some(follower.on_answer(asked, answer, &Epochs(&self.log)))
    }

    /// Where the leader's first batch begins, if that is before this log, which is empty: the leader's log starts in the middle
    /// of a batch after records were deleted, and a log takes whole batches only.
    pub(super) fn reaches_back_to(&self, records: &[u8]) -> Option<Offset> {
        let first = BatchHeader::parse(records).ok()?;
        let is_empty = self.log.log_start() == self.log.log_end();
        let reaches = first.base_offset < self.log.log_end() && self.log.log_end() < first.next_offset();
        (is_empty && reaches).then_some(first.base_offset)
    }

    /// A follower's high watermark is what its leader says, within its own log.
    pub(super) fn set_high_watermark(&mut self, high_watermark: Offset) {
        self.high_watermark = high_watermark.clamp(self.log.log_start(), self.log.log_end());
    }

    /// Changes what the leader knows; false when this replica does not lead.
    pub(super) fn change_leader(&mut self, change: impl FnOnce(&mut LeaderState)) -> bool {
        let Some(leader) = &mut self.leader else { return false };
        change(leader);
        self.take_high_watermark();
        true
    }

    /// The ISR a leader wants now, and when it may want another by time alone.
    pub(super) fn proposal(&mut self, now: Now) -> (Option<IsrProposal>, Option<Duration>) {
        let Some(leader) = &mut self.leader else { return (None, None) };
        leader.on_tick(now);
        let proposal = leader.proposal(now);
        let deadline = leader.next_deadline();
        self.take_high_watermark();
        (proposal, deadline)
    }

    fn assignment(&self, image: &PartitionImage, brokers: &Brokers) -> Assignment {
        let replicated = image.replicas.len() > 1;
        let eligible = |id: &BrokerId| brokers.eligible.get(id).map(|epoch| (*id, *epoch));
        Assignment {
            leader: brokers.me,
            leader_epoch: image.leader_epoch,
            partition_epoch: image.partition_epoch,
            eligible: image.replicas.iter().filter(|_| replicated).filter_map(eligible).collect(),
            replica_lag_max: brokers.replica_lag_max,
            replicas: image.replicas.to_vec(),
            isr: image.isr.to_vec(),
            // Replicas that are being added do not count: a partition of one stays writable while it moves.
            min_insync_replicas: self.config.min_insync_replicas.min(image.replication_factor().max(1)),
            flush: self.config.flush_rule(),
        }
    }

    fn progress(&self) -> ReplicaProgress {
        ReplicaProgress { append_end: self.log.log_end(), durable_end: self.log.durable_end() }
    }

    fn take_high_watermark(&mut self) {
        if let Some(leader) = &self.leader {
            self.high_watermark = leader.high_watermark();
        }
    }

    /// End of what is committed, exclusive.
    pub(super) fn high_watermark(&self) -> Offset {
        self.high_watermark
    }

    /// New settings of the topic.
    pub(super) fn configure(
        &mut self,
        image: &PartitionImage,
        config: Arc<PartitionConfig>,
        brokers: &Brokers,
        now: Now,
    ) {
        self.log.set_config(Arc::clone(&config.log));
        self.config = config;
        self.lead_or_follow(image, brokers, now);
    }

    /// Whether acks do not wait for the disk.
    pub(super) fn is_async(&self) -> bool {
        self.config.log.flush == FlushPolicy::Async
    }

    fn append(&mut self, append: Append, epoch: i32, now: Now) -> AfterAppend {
        let Append { batch, acks, reply } = append;
        let Some(leader) = &mut self.leader else { return AfterAppend::Nothing };
        if acks == Acks::All
            && let Err(error) = leader.check_isr()
        {
            reply.send(Err(ProduceError::NotEnoughReplicas(error)));
            return AfterAppend::Nothing;
        }
        let (records, bytes) = (i64::from(batch.header().records_count), batch.len() as u64);
        let appended = match self.log.append_as_leader(batch, epoch, now) {
            Ok(appended) => appended,
            Err(error) => {
                let after = match &error {
                    log::AppendError::Failed(_) => AfterAppend::Failed,
                    log::AppendError::DiskFull => AfterAppend::DiskFull,
                    _ => AfterAppend::Nothing,
                };
                reply.send(Err(error.into()));
                return after;
            }
        };
        leader.on_append(self.log.log_end());
        self.take_high_watermark();
        self.answer_later(appended, acks, reply);
        if appended.duplicate {
            return if self.pending.wants_publish() { AfterAppend::Publish } else { AfterAppend::Nothing };
        }
        if !self.is_async() {
            return AfterAppend::Flush;
        }
        self.unflushed.records = self.unflushed.records.saturating_add(records);
        self.unflushed.bytes += bytes;
        self.unflushed.since.get_or_insert(now.mono);
        if self.flush_is_due(now.mono) { AfterAppend::Flush } else { AfterAppend::Publish }
    }

    fn answer_later(&mut self, appended: log::Appended, acks: Acks, reply: super::AppendReply) {
        let answer = Appended {
            base_offset: appended.base_offset,
            last_offset: appended.last_offset,
            log_append_time: appended.log_append_time,
            log_start: self.log.log_start(),
            duplicate: appended.duplicate,
        };
        // A commit that is already there, as for an asynchronous topic, only waits for its view.
        if acks == Acks::All && answer.last_offset >= self.high_watermark {
            self.pending.on_commit(answer, reply);
        } else {
            self.pending.on_publish(answer, reply);
        }
    }

    /// Whether a flush by `flush.messages`, `flush.ms` or a segment's worth of bytes is due. Kafka flushes a segment
    /// when it is closed; a segment's worth of bytes comes to the same.
    pub(super) fn flush_is_due(&self, now: Duration) -> bool {
        let config = &self.config.log;
        self.unflushed.records >= config.flush_messages.max(1)
            || self.unflushed.bytes >= config.segment_bytes
            || self.flush_due().is_some_and(|due| now >= due)
    }

    /// When `flush.ms` asks for a flush.
    pub(super) fn flush_due(&self) -> Option<Duration> {
        let patience = u64::try_from(self.config.log.flush_ms).ok().filter(|ms| *ms < i64::MAX as u64)?;
        self.unflushed.since?.checked_add(Duration::from_millis(patience))
    }

    /// The replica as it is now.
    pub(super) fn sight(&self) -> Sight {
        let leader = self.leader.as_ref().map(|leader| LeaderSight {
            leader_epoch: leader.leader_epoch(),
            partition_epoch: leader.partition_epoch(),
            maximal_isr: leader.maximal_isr(),
            isr: leader.isr().to_vec(),
            required_isr: leader.required_isr(),
            is_settled: leader.is_high_watermark_settled(),
            leader_epoch_start: leader.leader_epoch_start(),
        });
        Sight {
            log_start: self.log.log_start(),
            durable_end: self.log.durable_end(),
            log_end: self.log.log_end(),
            high_watermark: self.high_watermark,
            reader: self.log.reader(),
            cuts: self.log.cuts(),
            failed: self.failed.is_some(),
            leader,
            following: self.follower.as_ref().map(FollowerState::leader_epoch),
        }
    }

    /// What to sync; what is appended from now on belongs to the next flush.
    pub(super) fn begin_flush(&mut self) -> Option<Flush> {
        self.unflushed = Unflushed::default();
        self.log.begin_flush()
    }

    /// The sync has succeeded.
    pub(super) fn finish_flush(&mut self, flush: Flush) {
        self.log.finish_flush(flush);
        if let Some(leader) = &mut self.leader {
            leader.on_durable(self.log.durable_end());
        }
        self.take_high_watermark();
    }

    /// Answers when everything appended so far is durable. Returns whether a flush is needed for that.
    pub(super) fn await_flush(&mut self, reply: oneshot::Sender<Result<(), PartitionError>>) -> bool {
        if self.log.durable_end() >= self.log.log_end() {
            // As in `release`.
            let _ = reply.send(Ok(()));
            return false;
        }
        self.flush_replies.push((self.log.log_end(), reply));
        true
    }

    /// Moves the start of the log to `before` (`None`: the high watermark). Returns the new start and whether it moved.
    pub(super) fn delete_records(
        &mut self,
        before: Option<Offset>,
    ) -> Result<(Offset, bool), PartitionError> {
        let (start, end) = (self.log.log_start(), self.high_watermark);
        let before = before.unwrap_or(end);
        if before > end || before < 0 {
            return Err(PartitionError::OffsetOutOfRange { asked: before, start: 0, end });
        }
        if before <= start {
            return Ok((start, false));
        }
        match self.log.advance_log_start(before) {
            Ok(()) => Ok((before, true)),
            Err(log::TruncateError::OutOfRange { asked, start, end }) => {
                Err(PartitionError::OffsetOutOfRange { asked, start, end })
            }
            Err(log::TruncateError::Failed(why)) => Err(PartitionError::Storage(why)),
        }
    }

    /// After a visit by the log's own rules the start of the log may have moved.
    pub(super) fn on_log_start(&mut self) {
        let log_start = self.log.log_start();
        if let Some(leader) = &mut self.leader {
            leader.on_log_start(log_start);
        }
        self.take_high_watermark();
        self.high_watermark = self.high_watermark.max(log_start);
    }

    /// The directory has failed: no more writes, everything that waits is refused.
    pub(super) fn fail(&mut self, why: &Arc<str>) {
        if self.failed.is_some() {
            return;
        }
        self.failed = Some(Arc::clone(why));
        self.log.fail(why.to_string());
        self.pending.fail(&ProduceError::Storage(why.to_string()));
        for (_, reply) in self.flush_replies.drain(..) {
            // As in `release`.
            let _ = reply.send(Err(PartitionError::Storage(why.to_string())));
        }
    }

    /// Whether a view must be published for acks, readers or other replicas, beyond a moved log end nobody else has.
    pub(super) fn wants_publish(&self, replicated: bool, published: Option<&PartitionView>) -> bool {
        self.pending.wants_publish()
            || (replicated && published.is_none_or(|view| view.log_end != self.log.log_end()))
            || published.is_none_or(|view| {
                view.high_watermark != self.high_watermark
                    || view.log_start != self.log.log_start()
                    || view.durable_end != self.log.durable_end()
            })
    }

    /// Answers whoever waited for what the view just published shows.
    fn release(&mut self) {
        let durable_end = self.log.durable_end();
        for (_, reply) in self.flush_replies.extract_if(.., |(end, _)| *end <= durable_end) {
            // Whoever asked may have gone; the flush happened all the same.
            let _ = reply.send(Ok(()));
        }
        let leader = &self.leader;
        self.pending.release(self.high_watermark, self.log.log_start(), || match leader {
            Some(leader) => leader.check_isr().map_err(ProduceError::NotEnoughReplicasAfterAppend),
            None => Err(ProduceError::Closed),
        });
    }
}
