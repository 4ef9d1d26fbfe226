//! Conversations with one shard: what producers ask, what they are told, what is in the log, who gets which marker.
//!
//! [`Shard`] plays the shell with a log that accepts everything at once, a worker that brings producer ids by itself and
//! keeps the markers it is given until the conversation says what came of them, and a clock that moves when told. Each
//! file is one part of the protocol; read `init`, `add`, `end` in this order, then `version_2`.

mod add;
mod admin;
mod connections;
mod end;
mod epochs;
mod failures;
mod init;
mod loading;
mod markers;
mod model;

mod timeouts;
mod version_2;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tidemark_protocol::error_code::ErrorCode;
use tidemark_protocol::types::{Now, ProducerEpoch, ProducerId, TopicPartition};

use super::record::{parse_key, parse_value};
use super::request::*;
use super::settings::TransactionSettings;
use super::state::{State, TransactionVersion};
use super::transaction::Transaction;
use super::{TransactionCoordinator, TransactionReply, TransactionRequest};
use crate::machine::{CoordinatorRecord, Outcome, StateMachine, Token};

const ID: &str = "payments";
const TIMEOUT_MS: i32 = 60_000;
const COORDINATOR_EPOCH: i32 = 7;
const COMMIT: bool = true;
const ABORT: bool = false;

/// A shard, its log, its worker.
struct Shard {
    machine: TransactionCoordinator,
    log: Vec<CoordinatorRecord>,
    answers: BTreeMap<Token, TransactionReply>,
    now: Now,
    last_token: Token,
    /// Where the worker waits.
    worker: Token,
    /// The highest attempt the worker was given.
    received: Attempt,
    /// The next producer id of the controller; `None`: it has none for us.
    next_id: Option<ProducerId>,
    /// Markers the worker was given and has not reported on.
    markers: Vec<MarkersToSend>,
    /// What the log says to the next batch.
    refusal: Option<ErrorCode>,
}

/// A client that owns the id, or believes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Owner {
    producer_id: ProducerId,
    epoch: ProducerEpoch,
    version: TransactionVersion,
    connection: Option<ConnectionSequence>,
}

impl Owner {
    fn of(producer_id: ProducerId, epoch: ProducerEpoch) -> Self {
        Owner { producer_id, epoch, version: TransactionVersion::V1, connection: None }
    }

    fn v2(self) -> Self {
        Owner { version: TransactionVersion::V2, ..self }
    }

    fn epoch(self, epoch: ProducerEpoch) -> Self {
        Owner { epoch, ..self }
    }

    fn on(self, connection: ConnectionSequence) -> Self {
        Owner { connection: Some(connection), ..self }
    }

    fn current(self) -> Option<(ProducerId, ProducerEpoch)> {
        Some((self.producer_id, self.epoch))
    }
}

/// "topic-index".
fn partition(name: &str) -> TopicPartition {
    let (topic, index) = name.rsplit_once('-').expect("topic-index");
    TopicPartition::new(topic, index.parse().expect("an index"))
}

fn partitions(names: &[&str]) -> Vec<TopicPartition> {
    names.iter().map(|name| partition(name)).collect()
}

fn init_request(current: Option<(ProducerId, ProducerEpoch)>) -> InitRequest {
    InitRequest {
        transactional_id: ID.into(),
        timeout_ms: TIMEOUT_MS,
        current,
        enable_two_phase_commit: false,
        keep_prepared: false,
        connection: None,
    }
}

impl Shard {
    fn new() -> Self {
        Shard::with(TransactionSettings { timeout_check_interval_ms: 10_000, ..Default::default() })
    }

    fn with(settings: TransactionSettings) -> Self {
        let now = Now { mono: Duration::from_secs(1), wall_ms: 1_000_000 };
        let mut shard = Shard {
            machine: TransactionCoordinator::new(Arc::new(settings), COORDINATOR_EPOCH),
            log: Vec::new(),
            answers: BTreeMap::new(),
            now,
            last_token: 0,
            worker: 0,
            received: 0,
            next_id: Some(1_000),
            markers: Vec::new(),
            refusal: None,
        };
        shard.machine.on_loaded(now);
        shard.stand_ready();
        shard
    }

    /// A shard whose log holds this transaction.
    fn with_transaction(transaction: &Transaction) -> Self {
        let mut shard = Shard::new();
        shard.log.push(super::record::transaction_record(ID, transaction));
        shard.reload();
        shard
    }

    /// Another node takes over: all it has is the log.
    fn reload(&mut self) {
        let epoch = self.machine.coordinator_epoch + 1;
        let mut machine = TransactionCoordinator::new(self.machine.settings.clone(), epoch);
        for record in &self.log {
            machine.replay(0, record, 0);
        }
        machine.on_loaded(self.now);
        (self.machine, self.received) = (machine, 0);
        self.markers.clear();
        self.stand_ready();
    }

    fn send(&mut self, request: TransactionRequest) -> Token {
        self.last_token += 1;
        let token = self.last_token;
        let outcome = self.machine.handle(token, request, self.now);
        self.commit(outcome);
        token
    }

    fn commit(&mut self, outcome: Outcome<TransactionReply>) {
        for record in &outcome.records {
            self.machine.replay(0, record, self.now.wall_ms);
        }
        let replies = match self.refusal.take_if(|_| !outcome.records.is_empty()) {
            Some(error) => self.machine.on_append_failed(vec![outcome], error, self.now),
            None => {
                self.machine.on_appended();
                self.log.extend(outcome.records);
                outcome.replies
            }
        };
        for (token, reply) in replies {
            assert!(self.answers.insert(token, reply).is_none(), "token {token} is answered twice");
        }
        self.work();
    }

    fn stand_ready(&mut self) {
        self.worker = self.send(TransactionRequest::Work { received: self.received, fetches_ids: false });
        self.work();
    }

    /// The worker does what it is given: ids at once, markers when told.
    fn work(&mut self) {
        let Some(TransactionReply::Work(work)) = self.answers.remove(&self.worker) else { return };
        self.received = work.markers.last().map_or(self.received, |marker| marker.attempt);
        self.markers.extend(work.markers);
        if work.producer_ids > 0 {
            let ids = match self.next_id {
                Some(first) => {
                    let next = first + ProducerId::try_from(work.producer_ids).expect("a few");
                    self.next_id = Some(next);
                    Ok((first..next).collect())
                }
                None => Err(ErrorCode::RequestTimedOut),
            };
            let token = self.send(TransactionRequest::ProducerIds(ids));
            assert_eq!(self.answers.remove(&token), Some(TransactionReply::Done(ErrorCode::None)));
        }
        self.stand_ready();
        self.wait(0);
    }

    /// Time passes; what falls due is done in order.
    fn wait(&mut self, ms: u64) {
        let end = self.now.mono + Duration::from_millis(ms);
        while let Some(at) = self.machine.next_deadline().filter(|at| *at <= end) {
            let step = at.saturating_sub(self.now.mono);
            self.now.mono += step;
            self.now.wall_ms += i64::try_from(step.as_millis()).expect("a short wait");
            let outcome = self.machine.on_deadline(self.now);
            self.commit(outcome);
        }
        self.now.wall_ms += i64::try_from((end - self.now.mono).as_millis()).expect("a short wait");
        self.now.mono = end;
    }

    fn answer(&mut self, token: Token) -> TransactionReply {
        self.answers.remove(&token).expect("an answer")
    }

    fn init_with(&mut self, request: InitRequest) -> Result<Owner, ErrorCode> {
        let connection = request.connection;
        let token = self.send(TransactionRequest::Init(request));
        match self.answer(token) {
            TransactionReply::Init(reply) if reply.error == ErrorCode::None => {
                Ok(Owner { connection, ..Owner::of(reply.producer_id, reply.producer_epoch) })
            }
            TransactionReply::Init(reply) => {
                assert_eq!((reply.producer_id, reply.producer_epoch), (-1, -1));
                Err(reply.error)
            }
            other => panic!("not an init: {other:?}"),
        }
    }

    /// Somebody takes over the id.
    fn try_init(&mut self) -> Result<Owner, ErrorCode> {
        self.init_with(init_request(None))
    }

    fn init(&mut self) -> Owner {
        self.try_init().expect("an owner")
    }

    /// An owner goes on after an error (KIP-360).
    fn init_as(&mut self, owner: Owner) -> Result<Owner, ErrorCode> {
        let connection = owner.connection;
        self.init_with(InitRequest { connection, ..init_request(owner.current()) })
    }

    fn add_request(owner: Owner, names: &[&str]) -> AddRequest {
        AddRequest {
            transactional_id: ID.into(),
            producer_id: owner.producer_id,
            producer_epoch: owner.epoch,
            partitions: partitions(names),
            verify_only: false,
            version: owner.version,
            connection: owner.connection,
        }
    }

    fn add_with(&mut self, request: AddRequest) -> Vec<(TopicPartition, ErrorCode)> {
        let asked = request.partitions.clone();
        let token = self.send(TransactionRequest::Add(request));
        match self.answer(token) {
            TransactionReply::Add(results) => {
                assert_eq!(results.iter().map(|(p, _)| p.clone()).collect::<Vec<_>>(), asked);
                results
            }
            other => panic!("not an add: {other:?}"),
        }
    }

    /// What every partition is told.
    fn add(&mut self, owner: Owner, names: &[&str]) -> ErrorCode {
        let results = self.add_with(Shard::add_request(owner, names));
        assert!(results.iter().all(|(_, error)| *error == results[0].1), "all or none: {results:?}");
        results[0].1
    }

    fn verify(&mut self, owner: Owner, name: &str) -> ErrorCode {
        let request = AddRequest { verify_only: true, ..Shard::add_request(owner, &[name]) };
        self.add_with(request)[0].1
    }

    fn try_end(&mut self, owner: Owner, commit: bool) -> Result<Owner, ErrorCode> {
        let token = self.send(TransactionRequest::End(EndRequest {
            transactional_id: ID.into(),
            producer_id: owner.producer_id,
            producer_epoch: owner.epoch,
            commit,
            version: owner.version,
            connection: owner.connection,
        }));
        match self.answer(token) {
            TransactionReply::End(reply) if reply.error == ErrorCode::None => {
                Ok(Owner { producer_id: reply.producer_id, epoch: reply.producer_epoch, ..owner })
            }
            TransactionReply::End(reply) => {
                assert_eq!((reply.producer_id, reply.producer_epoch), (-1, -1));
                Err(reply.error)
            }
            other => panic!("not an end: {other:?}"),
        }
    }

    fn end(&mut self, owner: Owner, commit: bool) -> Owner {
        self.try_end(owner, commit).expect("a decision")
    }

    /// The partitions of the markers under way get them, or say this.
    fn markers_answer(&mut self, error: ErrorCode) {
        for marker in std::mem::take(&mut self.markers) {
            self.report(&marker, MarkerResult::Answered(error));
        }
    }

    fn report(&mut self, marker: &MarkersToSend, result: MarkerResult) {
        let results = marker.partitions.iter().map(|partition| (partition.clone(), result)).collect();
        self.report_each(marker, results);
    }

    fn report_each(&mut self, marker: &MarkersToSend, results: Vec<(TopicPartition, MarkerResult)>) {
        let token =
            self.send(TransactionRequest::MarkersSent(MarkersSent { attempt: marker.attempt, results }));
        assert_eq!(self.answer(token), TransactionReply::Done(ErrorCode::None));
    }

    /// Every partition gets its marker.
    fn finish(&mut self) {
        self.markers_answer(ErrorCode::None);
        assert!(!self.state().is_prepared(), "{:?}", self.state());
    }

    fn try_describe(&mut self) -> Result<TransactionDescription, ErrorCode> {
        let token = self.send(TransactionRequest::Describe { transactional_id: ID.into() });
        match self.answer(token) {
            TransactionReply::Describe(described) => described,
            other => panic!("not a description: {other:?}"),
        }
    }

    fn describe(&mut self) -> TransactionDescription {
        self.try_describe().expect("a transaction")
    }

    fn state(&mut self) -> State {
        self.describe().state
    }

    /// The states the log holds, in order; `None` is a tombstone.
    fn logged(&self) -> Vec<Option<State>> {
        let state = |record: &CoordinatorRecord| {
            assert_eq!(&*parse_key(&record.key).expect("a key"), ID);
            record.value.as_deref().map(|value| parse_value(value).expect("a value").state)
        };
        self.log.iter().map(state).collect()
    }

    /// An owner with an open transaction on t-0.
    fn ongoing(&mut self) -> Owner {
        let owner = self.init();
        assert_eq!(self.add(owner, &["t-0"]), ErrorCode::None);
        owner
    }
}
