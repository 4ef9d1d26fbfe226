//! The shell of a coordinator, as `broker`'s runs it: rounds, a log that may refuse, answers that wait for the commit.

use std::collections::VecDeque;

use super::super::*;
use super::bugs::Bug;
use super::chance::Rng;

/// A coordinator and its log.
pub struct Node {
    pub machine: TransactionCoordinator,
    pub epoch: i32,
    pub log: Vec<CoordinatorRecord>,
    /// So many records will never be lost.
    pub committed: usize,
    parked: VecDeque<(usize, Vec<(Token, TransactionReply)>)>,
    bug: Bug,
}

impl Node {
    pub fn new(log: Vec<CoordinatorRecord>, bug: Bug) -> Self {
        let machine = TransactionCoordinator::new(settings(), 0);
        Node { machine, epoch: 0, committed: 0, log, parked: VecDeque::new(), bug }
    }

    /// Another node takes over; of what was not committed it has as much as `keep` says. It opens once all of that is.
    pub fn fail_over(&mut self, keep: usize, now: Now) {
        self.log.truncate(keep);
        self.parked.clear();
        self.epoch += 1;
        self.machine = TransactionCoordinator::new(settings(), self.epoch);
        for record in &self.log {
            let is_decision = record
                .value
                .as_deref()
                .is_some_and(|value| parse_value(value).expect("ours").state.is_prepared());
            if !(is_decision && self.bug == Bug::DecisionsNotLoaded) {
                self.machine.replay(0, record, 0);
            }
        }
        self.machine.on_loaded(now);
    }

    /// One round: what is due, what was asked. Says whom to answer now.
    pub fn round(
        &mut self,
        asked: Vec<(Token, TransactionRequest)>,
        is_refused: bool,
        now: Now,
    ) -> (Vec<(Token, TransactionReply)>, bool) {
        let (mut outcomes, mut answers) = (Vec::new(), Vec::new());
        while self.machine.next_deadline().is_some_and(|at| at <= now.mono) {
            let outcome = self.machine.on_deadline(now);
            self.take(outcome, &mut outcomes, &mut answers, now);
        }
        for (token, request) in asked {
            let outcome = self.machine.handle(token, request, now);
            self.take(outcome, &mut outcomes, &mut answers, now);
        }
        let writes = outcomes.iter().any(|outcome| !outcome.records.is_empty());
        if writes && is_refused {
            answers.extend(self.refuse(outcomes, now));
            return (answers, true);
        }
        if writes {
            self.machine.on_appended();
        }
        for outcome in outcomes {
            self.log.extend(outcome.records);
            self.parked.push_back((self.log.len(), outcome.replies));
        }
        (answers, false)
    }

    fn take(
        &mut self,
        mut outcome: Outcome<TransactionReply>,
        round: &mut Vec<Outcome<TransactionReply>>,
        answers: &mut Vec<(Token, TransactionReply)>,
        now: Now,
    ) {
        outcome.records.iter_mut().for_each(|record| self.spoil(record));
        for record in &outcome.records {
            self.machine.replay(0, record, now.wall_ms);
        }
        let too_early = |reply: &TransactionReply| match self.bug {
            Bug::MarkersBeforeCommit => matches!(reply, TransactionReply::Work(_)),
            Bug::AnswersBeforeCommit => matches!(reply, TransactionReply::End(_)),
            _ => false,
        };
        let (early, rest) = outcome.replies.drain(..).partition(|(_, reply)| too_early(reply));
        outcome.replies = rest;
        answers.extend::<Vec<_>>(early);
        let in_round = round.iter().any(|outcome| !outcome.records.is_empty());
        let uncommitted = in_round || self.committed < self.log.len();
        if outcome.records.is_empty() && !(outcome.barrier && uncommitted) {
            answers.extend(outcome.replies);
        } else {
            round.push(outcome);
        }
    }

    fn refuse(
        &mut self,
        outcomes: Vec<Outcome<TransactionReply>>,
        now: Now,
    ) -> Vec<(Token, TransactionReply)> {
        let error = ErrorCode::NotEnoughReplicas;
        if self.bug == Bug::NoUndo {
            self.machine.on_appended();
        }
        self.machine.on_append_failed(outcomes, error, now)
    }

    /// Bugs that show in records.
    fn spoil(&self, record: &mut CoordinatorRecord) {
        let Some(mut spoilt) = record.value.as_deref().map(|value| parse_value(value).expect("ours")) else {
            return;
        };
        let id = parse_key(&record.key).expect("ours");
        let known =
            self.machine.transactions.get(&id).map_or(spoilt.producer_epoch, |known| known.producer_epoch);
        let is_fence = spoilt.last_producer_epoch == -1 && spoilt.state == State::PrepareAbort;
        let is_fence = is_fence && spoilt.producer_epoch > known;
        match self.bug {
            Bug::FenceWithoutEpoch if is_fence => spoilt.producer_epoch -= 1,
            Bug::PartitionForgotten if spoilt.state.is_prepared() && spoilt.partitions.len() > 1 => {
                spoilt.partitions.pop_last();
            }
            _ => return,
        }
        *record = super::super::super::record::transaction_record(&id, &spoilt);
    }

    /// Replication went so far: these answers may leave.
    pub fn commit(&mut self, end: usize) -> Vec<(Token, TransactionReply)> {
        self.committed = self.committed.max(end);
        let mut answers = Vec::new();
        while let Some((_, replies)) = self.parked.pop_front_if(|(end, _)| *end <= self.committed) {
            answers.extend(replies);
        }
        answers
    }

    /// The oldest answers have waited for too long: what is said instead.
    pub fn give_up(&mut self) -> Vec<(Token, TransactionReply)> {
        let parked = self.parked.pop_front().map_or_else(Vec::new, |(_, replies)| replies);
        parked.into_iter().map(|(token, reply)| (token, TransactionCoordinator::uncommitted(reply))).collect()
    }

    /// Where a new coordinator's log may end.
    pub fn survives(&self, rng: &mut Rng) -> usize {
        self.committed + rng.below(self.log.len() - self.committed + 1)
    }
}

fn settings() -> Arc<TransactionSettings> {
    Arc::new(TransactionSettings { timeout_check_interval_ms: 1_000, ..TransactionSettings::default() })
}
