//! EndTxn, and the end by time: a transaction is decided.

use std::sync::Arc;

use tidemark_protocol::error_code::ErrorCode;
use tidemark_protocol::types::Now;

use super::coordinator::{Timer, TransactionCoordinator};
use super::producer_ids::Waiting;
use super::request::{EndReply, EndRequest, TransactionReply};
use super::state::State;
use super::transaction::{EndStep, NO_PRODUCER_ID, Transaction};
use crate::machine::{Outcome, Token};

impl TransactionCoordinator {
    /// Decides a transaction as its owner wishes. The answer leaves once the decision is committed; markers follow.
    pub(super) fn end(&mut self, token: Token, request: EndRequest, now: Now) -> Outcome<TransactionReply> {
        let (id, transaction, step) = match self.check_end(&request) {
            Ok(found) => found,
            Err(error) => return Outcome::read(token, TransactionReply::End(EndReply::failed(error))),
        };
        if step == EndStep::Repeat {
            return Outcome::read(token, TransactionReply::End(goes_on_with(&transaction)));
        }
        let rotates = transaction.end_rotates(request.version);
        let fresh = if rotates { self.ids.take() } else { None };
        if rotates && fresh.is_none() {
            return self.end_later(token, request);
        }
        let next = transaction.decided(request.commit, request.version, fresh, now.wall_ms);
        let reply = TransactionReply::End(goes_on_with(&next));
        let mut out = Outcome::reply(token, reply);
        self.decide(&mut out, &id, &next, now);
        out
    }

    fn check_end(&mut self, request: &EndRequest) -> Result<(Arc<str>, Transaction, EndStep), ErrorCode> {
        let (id, transaction) = self.find(&request.transactional_id)?;
        let (owner, epoch) = (request.producer_id, request.producer_epoch);
        let is_owner = transaction.check_owner(owner, epoch).is_ok();
        if is_owner {
            self.check_connection(&id, request.connection)?;
        }
        let step = transaction.end_step(owner, epoch, request.commit, request.version)?;
        Ok((id, transaction, step))
    }

    fn end_later(&mut self, token: Token, request: EndRequest) -> Outcome<TransactionReply> {
        match self.ids.wait(Waiting::End(token, request)) {
            Ok(()) => Outcome::none(),
            Err(_) => {
                let reply = EndReply::failed(ErrorCode::CoordinatorLoadInProgress);
                Outcome::reply(token, TransactionReply::End(reply))
            }
        }
    }

    /// A transaction is open for longer than its client wished: it is aborted, and the client's epoch with it.
    pub(super) fn abort_timed_out(&mut self, id: &Arc<str>, now: Now) -> Outcome<TransactionReply> {
        let transaction = self.transactions.get(id).filter(|transaction| transaction.state == State::Ongoing);
        let Some(transaction) = transaction.cloned() else { return Outcome::none() };
        let due_ms = transaction.start_ms.saturating_add(i64::from(transaction.timeout_ms));
        if due_ms > now.wall_ms {
            // The wall clock went back, or this waited for a producer id and another transaction is open now.
            self.schedule(id, Some(&transaction), now);
            return Outcome::none();
        }
        let rotates = transaction.end_rotates(transaction.client_version);
        let fresh = if rotates { self.ids.take() } else { None };
        if rotates && fresh.is_none() {
            if self.ids.wait(Waiting::Timeout(id.clone())).is_err() {
                self.schedule(id, Some(&transaction), now);
            }
            return Outcome::none();
        }
        let mut out = Outcome::none();
        self.decide(&mut out, id, &transaction.fenced(false, fresh, now.wall_ms), now);
        out
    }

    /// The controller has no producer ids for us: who waits for one comes again.
    pub(super) fn no_producer_ids(&mut self, token: Token, now: Now) -> Outcome<TransactionReply> {
        let mut out = Outcome::reply(token, TransactionReply::Done(ErrorCode::None));
        let error = ErrorCode::CoordinatorLoadInProgress;
        for waiting in self.ids.give_up() {
            match waiting {
                Waiting::Init(token, _) => {
                    let reply = super::request::InitReply::failed(error);
                    out.replies.push((token, TransactionReply::Init(reply)));
                }
                Waiting::End(token, _) => {
                    out.replies.push((token, TransactionReply::End(EndReply::failed(error))));
                }
                Waiting::Timeout(id) => {
                    let transaction = self.transactions.get(&id).cloned();
                    self.schedule(&id, transaction.as_ref(), now);
                }
            }
        }
        out
    }

    /// Writes a decision, and has its markers sent; a transaction that touched nothing is complete at once.
    pub(super) fn decide(
        &mut self,
        out: &mut Outcome<TransactionReply>,
        id: &Arc<str>,
        decided: &Transaction,
        now: Now,
    ) {
        self.timers.clear(&Timer::Markers(id.clone()));
        self.propose(out, id, decided, now);
        if decided.partitions.is_empty() {
            self.propose(out, id, &decided.completed(now.wall_ms), now);
        } else {
            self.markers.begin(id, decided, self.coordinator_epoch, decided.partitions.clone());
        }
    }
}

/// What the client goes on with: a rotation that waits for the markers counts already.
fn goes_on_with(transaction: &Transaction) -> EndReply {
    let (producer_id, producer_epoch) = match transaction.next_producer_id {
        NO_PRODUCER_ID => (transaction.producer_id, transaction.producer_epoch),
        next => (next, 0),
    };
    EndReply { error: ErrorCode::None, producer_id, producer_epoch }
}
