//! DescribeTransactions and ListTransactions.

use tidemark_protocol::error_code::ErrorCode;
use tidemark_protocol::types::Now;

use super::coordinator::{TransactionCoordinator, check_id};
use super::request::{ListRequest, TransactionDescription, TransactionListing, TransactionReply};
use super::transaction::Transaction;
use crate::machine::{Outcome, Token};

impl TransactionCoordinator {
    /// What is known of one id.
    pub(super) fn describe(&self, token: Token, transactional_id: &str) -> Outcome<TransactionReply> {
        let described = check_id(transactional_id).and_then(|()| {
            let transaction = self.transactions.get(transactional_id);
            transaction.map(describe).ok_or(ErrorCode::TransactionalIdNotFound)
        });
        Outcome::read(token, TransactionReply::Describe(described))
    }

    /// The transactions that pass every filter, by id. Names of states nobody knows match nothing.
    pub(super) fn list(&self, token: Token, request: &ListRequest, now: Now) -> Outcome<TransactionReply> {
        let passes = |transaction: &Transaction| {
            let state = transaction.state.name();
            let since = if transaction.state.is_open() { now.wall_ms - transaction.start_ms } else { -1 };
            (request.states.is_empty() || request.states.iter().any(|name| name == state))
                && (request.producer_ids.is_empty()
                    || request.producer_ids.contains(&transaction.producer_id))
                && (request.duration_ms < 0 || since > request.duration_ms)
        };
        let passing = self.transactions.iter().filter(|(_, transaction)| passes(transaction));
        let listings = passing.map(|(id, transaction)| TransactionListing {
            transactional_id: id.clone(),
            producer_id: transaction.producer_id,
            state: transaction.state,
        });
        Outcome::read(token, TransactionReply::List(Ok(listings.collect())))
    }
}

fn describe(transaction: &Transaction) -> TransactionDescription {
    TransactionDescription {
        state: transaction.state,
        producer_id: transaction.producer_id,
        producer_epoch: transaction.producer_epoch,
        timeout_ms: transaction.timeout_ms,
        start_ms: if transaction.state.is_open() { transaction.start_ms } else { -1 },
        partitions: transaction.partitions.iter().cloned().collect(),
    }
}
