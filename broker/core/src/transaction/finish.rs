//! What comes after a decision: results of markers, completion, and the end of ids that are not used.

use std::sync::Arc;

use tidemark_protocol::error_code::ErrorCode;
use tidemark_protocol::types::Now;

use super::coordinator::{Timer, TransactionCoordinator};
use super::markers::Progressed;
use super::record::tombstone;
use super::request::{MarkersSent, TransactionReply};
use crate::machine::{Outcome, Token};

impl TransactionCoordinator {
    /// Takes in what came of an attempt. A transaction that everybody is told of is complete.
    pub(super) fn markers_sent(
        &mut self,
        token: Token,
        sent: &MarkersSent,
        now: Now,
    ) -> Outcome<TransactionReply> {
        let mut out = Outcome::reply(token, TransactionReply::Done(ErrorCode::None));
        match self.markers.answered(sent.attempt, &sent.results) {
            Progressed::Waits => {}
            Progressed::Rests(id, rest) => self.timers.set(Timer::Markers(id), now.mono + rest),
            Progressed::Finished(id) => self.complete(&mut out, &id, now),
        }
        out
    }

    /// Partitions that did not take their marker are told again; a completion that was refused is proposed again.
    pub(super) fn markers_rested(&mut self, id: &Arc<str>, now: Now) -> Outcome<TransactionReply> {
        let mut out = Outcome::none();
        self.markers.rested(id);
        if self.markers.is_finished(id) {
            self.complete(&mut out, id, now);
        }
        out
    }

    fn complete(&mut self, out: &mut Outcome<TransactionReply>, id: &Arc<str>, now: Now) {
        self.markers.forget(id);
        let transaction = self.transactions.get(id).filter(|transaction| transaction.state.is_prepared());
        if let Some(completed) = transaction.map(|transaction| transaction.completed(now.wall_ms)) {
            self.propose(out, id, &completed, now);
        }
    }

    /// Forgets an id that did nothing for long. It comes back with a new producer id, if ever.
    pub(super) fn expire(&mut self, id: &Arc<str>, now: Now) -> Outcome<TransactionReply> {
        let idle = self.transactions.get(id).filter(|transaction| !transaction.state.is_open());
        let Some(transaction) = idle.cloned() else { return Outcome::none() };
        if transaction.last_update_ms.saturating_add(self.settings.id_expiration_ms) > now.wall_ms {
            // The wall clock went back.
            self.schedule(id, Some(&transaction), now);
            return Outcome::none();
        }
        let mut out = Outcome::none();
        out.records.push(tombstone(id));
        out
    }
}
