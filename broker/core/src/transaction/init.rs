//! InitProducerId: who owns a transactional id from now on.

use std::sync::Arc;

use tidemark_protocol::error_code::ErrorCode;
use tidemark_protocol::types::Now;

use super::coordinator::{TransactionCoordinator, check_id};
use super::producer_ids::Waiting;
use super::request::{InitReply, InitRequest, TransactionReply};
use super::settings::TransactionSettings;
use super::transaction::{InitStep, Transaction};
use crate::machine::{Outcome, Token};

impl TransactionCoordinator {
    /// Gives the id to who asks: the next epoch, or a new producer id, or CONCURRENT_TRANSACTIONS while a transaction that
    /// was open is brought to its end.
    pub(super) fn init(&mut self, token: Token, request: InitRequest, now: Now) -> Outcome<TransactionReply> {
        if let Err(error) = check_init(&request, &self.settings) {
            return Outcome::reply(token, TransactionReply::Init(InitReply::failed(error)));
        }
        let Ok((id, transaction)) = self.find(&request.transactional_id) else {
            return self.init_new(token, request, now);
        };
        let step = match self.check_current(&id, &transaction, &request) {
            Ok(step) => step,
            Err(error) => return Outcome::read(token, TransactionReply::Init(InitReply::failed(error))),
        };
        let rotates = match step {
            InitStep::Rotate { .. } => true,
            InitStep::Fence => transaction.end_rotates(transaction.client_version),
            InitStep::Bump { .. } | InitStep::Repeat => false,
        };
        let fresh = if rotates { self.ids.take() } else { None };
        if rotates && fresh.is_none() {
            return self.init_later(token, request);
        }
        let mut out = Outcome::none();
        let reply = if step == InitStep::Fence {
            self.decide(&mut out, &id, &transaction.fenced(true, fresh, now.wall_ms), now);
            InitReply::failed(ErrorCode::ConcurrentTransactions)
        } else {
            let next = transaction.initialised(step, fresh, request.timeout_ms, now.wall_ms);
            self.begin_connection(&id, request.connection);
            self.propose(&mut out, &id, &next, now);
            owned(&next)
        };
        out.replies.push((token, TransactionReply::Init(reply)));
        out
    }

    /// What the request comes to, if who asks may. A client that claims to own the id is held to its connections; one that
    /// takes over is nobody's successor, and its epoch fences what was before.
    fn check_current(
        &mut self,
        id: &Arc<str>,
        transaction: &Transaction,
        request: &InitRequest,
    ) -> Result<InitStep, ErrorCode> {
        let step = transaction.init_step(request.current)?;
        if request.current.is_some() {
            self.check_connection(id, request.connection)?;
        }
        Ok(step)
    }

    fn init_new(&mut self, token: Token, request: InitRequest, now: Now) -> Outcome<TransactionReply> {
        let Some(fresh) = self.ids.take() else { return self.init_later(token, request) };
        let id: Arc<str> = request.transactional_id.into();
        let transaction = Transaction::new(fresh, request.timeout_ms, now.wall_ms);
        self.begin_connection(&id, request.connection);
        let mut out = Outcome::reply(token, TransactionReply::Init(owned(&transaction)));
        self.propose(&mut out, &id, &transaction, now);
        out
    }

    fn init_later(&mut self, token: Token, request: InitRequest) -> Outcome<TransactionReply> {
        match self.ids.wait(Waiting::Init(token, request)) {
            Ok(()) => Outcome::none(),
            Err(_) => {
                let reply = InitReply::failed(ErrorCode::CoordinatorLoadInProgress);
                Outcome::reply(token, TransactionReply::Init(reply))
            }
        }
    }
}

fn owned(transaction: &Transaction) -> InitReply {
    InitReply {
        error: ErrorCode::None,
        producer_id: transaction.producer_id,
        producer_epoch: transaction.producer_epoch,
    }
}

fn check_init(request: &InitRequest, settings: &TransactionSettings) -> Result<(), ErrorCode> {
    check_id(&request.transactional_id)?;
    if request.enable_two_phase_commit {
        return Err(ErrorCode::TransactionalIdAuthorizationFailed);
    }
    if request.keep_prepared {
        return Err(ErrorCode::UnsupportedVersion);
    }
    if request.timeout_ms <= 0 || request.timeout_ms > settings.max_timeout_ms {
        return Err(ErrorCode::InvalidTransactionTimeout);
    }
    if request.current.is_some_and(|(id, epoch)| (id == -1) != (epoch == -1)) {
        return Err(ErrorCode::InvalidRequest);
    }
    Ok(())
}
