//! TransactionCoordinator: all transactional ids of one shard, as a state machine over one partition of
//! `__transaction_state`.
//!
//! Always: a prepared transaction is in `markers` until its completion is proposed; an open one has a deadline, or waits
//! for a producer id to be aborted with; `undo` holds what was replayed since the log last accepted a batch. Kafka answers
//! CONCURRENT_TRANSACTIONS while a transition is being written; here the next request sees its effect, and every answer
//! waits until all it rests on is committed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tidemark_protocol::error_code::ErrorCode;
use tidemark_protocol::types::{Now, Offset, TimestampMs};

use super::markers::Markers;
use super::producer_ids::{ProducerIds, Waiting};
use super::record::{ID_BYTES_MAX, parse_key, parse_value, transaction_record};
use super::request::{
    Attempt, ConnectionSequence, EndReply, InitReply, TransactionReply, TransactionRequest, Work,
};
use super::settings::TransactionSettings;
use super::state::State;
use super::transaction::Transaction;
use crate::deadline::Deadlines;
use crate::machine::{CoordinatorRecord, Outcome, StateMachine, Token};

/// What falls due.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timer {
    /// Somebody who waited for a producer id can go on.
    Served,
    /// Partitions that failed to take a marker are told again, or a completion is proposed again.
    Markers(Arc<str>),
    /// A transaction is open for too long.
    Timeout(Arc<str>),
    /// A transactional id did nothing for too long.
    Expiry(Arc<str>),
}

/// A completion the log refused is proposed again after this.
const COMPLETE_AGAIN_AFTER: Duration = Duration::from_millis(100);

/// All transactional ids of one shard.
pub struct TransactionCoordinator {
    pub(super) settings: Arc<TransactionSettings>,
    /// Leader epoch of the shard's partition.
    pub(super) coordinator_epoch: i32,
    pub(super) transactions: BTreeMap<Arc<str>, Transaction>,
    /// The youngest connection the present owner of an id was heard on.
    connections: BTreeMap<Arc<str>, ConnectionSequence>,
    pub(super) timers: Deadlines<Timer>,
    pub(super) markers: Markers,
    pub(super) ids: ProducerIds,
    /// The worker that stands ready.
    worker: Option<Token>,
    /// What was before each record replayed since the last batch was accepted.
    undo: Vec<(Arc<str>, Option<Transaction>)>,
    /// The connections of owners that were displaced since then.
    displaced: Vec<(Arc<str>, Option<ConnectionSequence>)>,
    /// The log is loaded: replayed records are our own and may have to be undone.
    is_live: bool,
}

impl TransactionCoordinator {
    /// An empty shard, to be loaded by replay. `coordinator_epoch` is the leader epoch it is loaded for.
    pub fn new(settings: Arc<TransactionSettings>, coordinator_epoch: i32) -> Self {
        TransactionCoordinator {
            settings,
            coordinator_epoch,
            transactions: BTreeMap::new(),
            connections: BTreeMap::new(),
            timers: Deadlines::default(),
            markers: Markers::default(),
            ids: ProducerIds::default(),
            worker: None,
            undo: Vec::new(),
            displaced: Vec::new(),
            is_live: false,
        }
    }

    /// How many transactional ids there are.
    pub fn len(&self) -> usize {
        self.transactions.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.transactions.is_empty()
    }

    /// The transaction of an id that a request names, and the id as it is kept.
    pub(super) fn find(&self, transactional_id: &str) -> Result<(Arc<str>, Transaction), ErrorCode> {
        check_id(transactional_id)?;
        let found = self.transactions.get_key_value(transactional_id);
        let (id, transaction) = found.ok_or(ErrorCode::InvalidProducerIdMapping)?;
        Ok((id.clone(), transaction.clone()))
    }

    /// The fence of connections (KAFKA-17754): a request that was under way for long must not decide a later transaction of
    /// the same epoch. A client asks about one id by one connection at a time, so what comes by an older connection than
    /// the youngest it was heard on is out of date. To be called once the owner is known to ask. What is remembered ends
    /// with this coordinator; a request can outlive it only in a connection to a node that coordinates again later.
    pub(super) fn check_connection(
        &mut self,
        id: &Arc<str>,
        connection: Option<ConnectionSequence>,
    ) -> Result<(), ErrorCode> {
        let Some(connection) = connection else { return Ok(()) };
        let youngest = self.connections.entry(id.clone()).or_insert(connection);
        if connection < *youngest {
            return Err(ErrorCode::InvalidProducerEpoch);
        }
        *youngest = connection;
        Ok(())
    }

    /// Whoever was heard of before, a new owner asks by this connection; older requests have an older epoch.
    pub(super) fn begin_connection(&mut self, id: &Arc<str>, connection: Option<ConnectionSequence>) {
        let before = match connection {
            Some(connection) => self.connections.insert(id.clone(), connection),
            None => self.connections.remove(id),
        };
        self.displaced.push((id.clone(), before));
    }

    /// Has the log hold `next`, and sets its deadline.
    pub(super) fn propose(
        &mut self,
        out: &mut Outcome<TransactionReply>,
        id: &Arc<str>,
        next: &Transaction,
        now: Now,
    ) {
        out.records.push(transaction_record(id, next));
        self.schedule(id, Some(next), now);
    }

    /// Sets the deadline of an id whose transaction is, or is about to be, this one.
    pub(super) fn schedule(&mut self, id: &Arc<str>, transaction: Option<&Transaction>, now: Now) {
        self.timers.clear(&Timer::Timeout(id.clone()));
        self.timers.clear(&Timer::Expiry(id.clone()));
        let Some(transaction) = transaction else { return };
        let settings = &self.settings;
        let (timer, due_ms, interval_ms) = if transaction.state == State::Ongoing {
            let due_ms = transaction.start_ms.saturating_add(i64::from(transaction.timeout_ms));
            (Timer::Timeout(id.clone()), due_ms, settings.timeout_check_interval_ms)
        } else if transaction.state.is_prepared() {
            return;
        } else {
            let due_ms = transaction.last_update_ms.saturating_add(settings.id_expiration_ms);
            (Timer::Expiry(id.clone()), due_ms, settings.expiration_check_interval_ms)
        };
        // What is overdue waits for the next check too: it may be here because the log just refused it.
        let left = u64::try_from(due_ms.saturating_sub(now.wall_ms)).unwrap_or(0).max(1);
        self.timers.set(timer, next_check(now.mono + Duration::from_millis(left), interval_ms));
    }

    /// Gives a waiting worker what there is to do. Everything decided so far must be committed before it begins.
    fn give_work(&mut self, out: &mut Outcome<TransactionReply>) {
        if self.worker.is_none() {
            return;
        }
        let work = Work { markers: self.markers.take(), producer_ids: self.ids.wanted() };
        if let (false, Some(worker)) = (work.is_empty(), self.worker) {
            self.worker = None;
            out.replies.push((worker, TransactionReply::Work(work)));
            out.barrier = true;
        }
    }

    fn stand_ready(
        &mut self,
        token: Token,
        received: Attempt,
        fetches_ids: bool,
    ) -> Outcome<TransactionReply> {
        let mut out = Outcome::none();
        if let Some(earlier) = self.worker.replace(token) {
            out.replies.push((earlier, TransactionReply::Work(Work::default())));
        }
        self.markers.lost_above(received);
        if !fetches_ids {
            self.ids.ask_again();
        }
        out
    }

    fn serve(&mut self, now: Now) -> Outcome<TransactionReply> {
        let out = match self.ids.next_served() {
            Some(Waiting::Init(token, request)) => self.init(token, request, now),
            Some(Waiting::End(token, request)) => self.end(token, request, now),
            Some(Waiting::Timeout(id)) => self.abort_timed_out(&id, now),
            None => Outcome::none(),
        };
        if self.ids.can_serve() {
            self.timers.set(Timer::Served, now.mono);
        }
        out
    }

    fn reconfigure(&mut self, settings: Arc<TransactionSettings>, now: Now) {
        self.settings = settings;
        for (id, transaction) in self.transactions.clone() {
            self.schedule(&id, Some(&transaction), now);
        }
    }

    /// Takes back everything that was replayed since the log last accepted a batch; says whom that concerned.
    fn restore(&mut self) -> BTreeSet<Arc<str>> {
        let mut undone = BTreeSet::new();
        for (id, before) in std::mem::take(&mut self.undo).into_iter().rev() {
            put(&mut self.transactions, &id, before);
            undone.insert(id);
        }
        for (id, before) in std::mem::take(&mut self.displaced).into_iter().rev() {
            put(&mut self.connections, &id, before);
        }
        undone
    }

    /// Only a completion can have been undone if a transaction is prepared now: everybody is told, and it is to be
    /// proposed again.
    fn resume(&mut self, id: &Arc<str>, now: Now) {
        self.markers.forget(id);
        self.timers.clear(&Timer::Markers(id.clone()));
        let transaction = self.transactions.get(id).cloned();
        self.schedule(id, transaction.as_ref(), now);
        if let Some(transaction) = transaction.filter(|transaction| transaction.state.is_prepared()) {
            self.markers.begin(id, &transaction, self.coordinator_epoch, BTreeSet::new());
            self.timers.set(Timer::Markers(id.clone()), now.mono + COMPLETE_AGAIN_AFTER);
        }
    }
}

impl StateMachine for TransactionCoordinator {
    type Request = TransactionRequest;
    type Reply = TransactionReply;

    fn handle(&mut self, token: Token, request: TransactionRequest, now: Now) -> Outcome<TransactionReply> {
        let done = |error| Outcome::reply(token, TransactionReply::Done(error));
        let mut out = match request {
            TransactionRequest::Init(request) => self.init(token, request, now),
            TransactionRequest::Add(request) => self.add(token, request, now),
            TransactionRequest::End(request) => self.end(token, request, now),
            TransactionRequest::Describe { transactional_id } => self.describe(token, &transactional_id),
            TransactionRequest::List(request) => self.list(token, &request, now),
            TransactionRequest::Work { received, fetches_ids } => {
                self.stand_ready(token, received, fetches_ids)
            }
            TransactionRequest::MarkersSent(sent) => self.markers_sent(token, &sent, now),
            TransactionRequest::ProducerIds(Ok(ids)) => {
                self.ids.brought(ids);
                if self.ids.can_serve() {
                    self.timers.set(Timer::Served, now.mono);
                }
                done(ErrorCode::None)
            }
            TransactionRequest::ProducerIds(Err(_)) => self.no_producer_ids(token, now),
            TransactionRequest::Reconfigure(settings) => {
                self.reconfigure(settings, now);
                done(ErrorCode::None)
            }
        };
        self.give_work(&mut out);
        out
    }

    fn replay(&mut self, _offset: Offset, record: &CoordinatorRecord, _timestamp: TimestampMs) {
        // Written by software that knows more: let it be.
        let Ok(id) = parse_key(&record.key) else { return };
        let before = match record.value.as_deref().map(parse_value) {
            None => {
                self.connections.remove(&id);
                self.transactions.remove(&id)
            }
            Some(Ok(transaction)) => self.transactions.insert(id.clone(), transaction),
            Some(Err(_)) => return,
        };
        if self.is_live {
            self.undo.push((id, before));
        }
    }

    fn on_loaded(&mut self, now: Now) {
        self.is_live = true;
        for (id, transaction) in self.transactions.clone() {
            self.schedule(&id, Some(&transaction), now);
            if transaction.state.is_prepared() {
                self.markers.begin(&id, &transaction, self.coordinator_epoch, transaction.partitions.clone());
                if transaction.partitions.is_empty() {
                    self.timers.set(Timer::Markers(id), now.mono);
                }
            }
        }
    }

    fn on_appended(&mut self) {
        self.undo.clear();
        self.displaced.clear();
    }

    fn on_append_failed(
        &mut self,
        failed: Vec<Outcome<TransactionReply>>,
        error: ErrorCode,
        now: Now,
    ) -> Vec<(Token, TransactionReply)> {
        for id in &self.restore() {
            self.resume(id, now);
        }
        let replies = failed.into_iter().flat_map(|outcome| outcome.replies);
        let mut answers = Vec::new();
        for (token, reply) in replies {
            if let TransactionReply::Work(work) = &reply {
                work.markers.iter().for_each(|marker| self.markers.lost(marker.attempt));
                if work.producer_ids > 0 {
                    self.ids.ask_again();
                }
            }
            answers.push((token, refused(reply, error)));
        }
        answers
    }

    fn uncommitted(reply: TransactionReply) -> TransactionReply {
        refused(reply, ErrorCode::RequestTimedOut)
    }

    fn next_deadline(&self) -> Option<Duration> {
        self.timers.next()
    }

    fn on_deadline(&mut self, now: Now) -> Outcome<TransactionReply> {
        let mut out = Outcome::none();
        // Records must be replayed before the next decision about the same id: one that writes ends the round.
        while out.records.is_empty() {
            let Some(timer) = self.timers.pop_due(now.mono) else { break };
            let mut decided = match timer {
                Timer::Served => self.serve(now),
                Timer::Markers(id) => self.markers_rested(&id, now),
                Timer::Timeout(id) => self.abort_timed_out(&id, now),
                Timer::Expiry(id) => self.expire(&id, now),
            };
            out.records.append(&mut decided.records);
            out.replies.append(&mut decided.replies);
            out.barrier |= decided.barrier;
        }
        self.give_work(&mut out);
        out
    }
}

fn put<V>(map: &mut BTreeMap<Arc<str>, V>, id: &Arc<str>, value: Option<V>) {
    match value {
        Some(value) => map.insert(id.clone(), value),
        None => map.remove(id),
    };
}

/// Whether a transactional id can be kept.
pub(super) fn check_id(transactional_id: &str) -> Result<(), ErrorCode> {
    if transactional_id.is_empty() || transactional_id.len() > ID_BYTES_MAX {
        Err(ErrorCode::InvalidRequest)
    } else {
        Ok(())
    }
}

/// The first check at or after `at`.
fn next_check(at: Duration, interval_ms: i64) -> Duration {
    let interval = u64::try_from(interval_ms).unwrap_or(1).max(1);
    let at_ms = u64::try_from(at.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX);
    Duration::from_millis(at_ms.div_ceil(interval).saturating_mul(interval))
}

/// The answer to send when the log refused what the answer tells of, or rests on.
fn refused(reply: TransactionReply, error: ErrorCode) -> TransactionReply {
    let error = match error {
        ErrorCode::UnknownTopicOrPartition
        | ErrorCode::NotEnoughReplicas
        | ErrorCode::NotEnoughReplicasAfterAppend
        | ErrorCode::RequestTimedOut => ErrorCode::CoordinatorNotAvailable,
        ErrorCode::NotLeaderOrFollower | ErrorCode::KafkaStorageError => ErrorCode::NotCoordinator,
        ErrorCode::MessageTooLarge | ErrorCode::RecordListTooLarge => ErrorCode::UnknownServerError,
        other => other,
    };
    match reply {
        TransactionReply::Init(_) => TransactionReply::Init(InitReply::failed(error)),
        TransactionReply::Add(results) => {
            TransactionReply::Add(results.into_iter().map(|(partition, _)| (partition, error)).collect())
        }
        TransactionReply::End(_) => TransactionReply::End(EndReply::failed(error)),
        TransactionReply::Describe(_) => TransactionReply::Describe(Err(error)),
        TransactionReply::List(_) => TransactionReply::List(Err(error)),
        TransactionReply::Work(_) => TransactionReply::Work(Work::default()),
        TransactionReply::Done(_) => TransactionReply::Done(error),
    }
}
