//! AddPartitionsToTxn and AddOffsetsToTxn: what a transaction touches, asked by clients (V1) and by leaders (V2, or to
//! verify).

use std::sync::Arc;

use tidemark_protocol::error_code::ErrorCode;
use tidemark_protocol::types::{Now, TopicPartition};

use super::coordinator::TransactionCoordinator;
use super::request::{AddRequest, TransactionReply};
use super::state::State;
use super::transaction::Transaction;
use crate::machine::{Outcome, Token};

impl TransactionCoordinator {
    /// Adds partitions, all or none; the transaction is open from the first on. With `verify_only` says of each whether it
    /// was added.
    pub(super) fn add(&mut self, token: Token, request: AddRequest, now: Now) -> Outcome<TransactionReply> {
        let (id, transaction) = match self.check_add(&request) {
            Ok(found) => found,
            Err(error) => {
                return Outcome::read(token, TransactionReply::Add(all(&request.partitions, error)));
            }
        };
        let is_in = |partition: &TopicPartition| transaction.partitions.contains(partition);
        if request.verify_only {
            let verdict = |partition: &TopicPartition| {
                if is_in(partition) { ErrorCode::None } else { ErrorCode::TransactionAbortable }
            };
            let results = request.partitions.iter().map(|p| (p.clone(), verdict(p))).collect();
            return Outcome::read(token, TransactionReply::Add(results));
        }
        let reply = TransactionReply::Add(all(&request.partitions, ErrorCode::None));
        let is_open = transaction.state == State::Ongoing;
        if request.partitions.is_empty() || (is_open && request.partitions.iter().all(is_in)) {
            return Outcome::read(token, reply);
        }
        let mut out = Outcome::reply(token, reply);
        let next = transaction.added(&request.partitions, request.version, now.wall_ms);
        self.propose(&mut out, &id, &next, now);
        out
    }

    /// CONCURRENT_TRANSACTIONS comes first: the client may know already of the producer id that the end of the last
    /// transaction brings, and must not be fenced for it.
    fn check_add(&mut self, request: &AddRequest) -> Result<(Arc<str>, Transaction), ErrorCode> {
        let (id, transaction) = self.find(&request.transactional_id)?;
        if transaction.state.is_prepared() {
            return Err(ErrorCode::ConcurrentTransactions);
        }
        transaction.check_owner(request.producer_id, request.producer_epoch)?;
        self.check_connection(&id, request.connection)?;
        Ok((id, transaction))
    }
}

fn all(partitions: &[TopicPartition], error: ErrorCode) -> Vec<(TopicPartition, ErrorCode)> {
    partitions.iter().map(|partition| (partition.clone(), error)).collect()
}
