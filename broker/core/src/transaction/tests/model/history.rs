//! What happened, and what must hold of it.

use std::collections::BTreeSet;

use super::super::*;
use super::partition::Tag;

/// What is known from outside.
#[derive(Debug, Default)]
pub struct History {
    /// How often things happened.
    pub seen: BTreeMap<&'static str, u64>,
    /// How transactions ended at partitions.
    outcomes: BTreeMap<Tag, bool>,
    /// Those whose producers asked for a commit.
    wished: BTreeSet<Tag>,
    /// What their producers were told.
    told: BTreeMap<Tag, bool>,
    /// The last committed record of each id.
    last: BTreeMap<Arc<str>, Transaction>,
    /// Producer ids each id had.
    ids: BTreeMap<ProducerId, Arc<str>>,
    /// Committed decisions: whose, by which epoch, how, where.
    decisions: BTreeSet<(ProducerId, ProducerEpoch, bool, TopicPartition)>,
}

impl History {
    pub fn saw(&mut self, what: &'static str) {
        *self.seen.entry(what).or_default() += 1;
    }

    /// A record is committed: it will never be taken back.
    pub fn committed(&mut self, record: &CoordinatorRecord) {
        let id = parse_key(&record.key).expect("a key");
        let Some(value) = &record.value else {
            self.last.remove(&id);
            return;
        };
        let next = parse_value(value).expect("a value");
        let owner = self.ids.entry(next.producer_id).or_insert_with(|| id.clone());
        assert_eq!(*owner, id, "a producer id serves two ids");
        if let Some(before) = self.last.get(&id) {
            check_step(before, &next);
            if before.producer_id != next.producer_id {
                *self.seen.entry("producer id rotated").or_default() += 1;
            }
        }
        if next.state.is_prepared() {
            let commit = next.state == State::PrepareCommit;
            for partition in &next.partitions {
                self.decisions.insert((next.producer_id, next.producer_epoch, commit, partition.clone()));
            }
            self.saw(if commit { "committed" } else { "aborted" });
        }
        self.last.insert(id, next);
    }

    /// A marker reached a partition that was ready to take it.
    pub fn marked(&mut self, marker: &MarkersToSend, partition: &TopicPartition) {
        let decision = (marker.producer_id, marker.producer_epoch, marker.commit, partition.clone());
        assert!(self.decisions.contains(&decision), "a marker without a committed decision: {marker:?}");
    }

    /// A transaction ended at a partition.
    pub fn ended(&mut self, tag: Tag, commit: bool) {
        let outcome = *self.outcomes.entry(tag).or_insert(commit);
        assert_eq!(outcome, commit, "{tag:?} is committed here and aborted there");
        assert!(!commit || self.wished.contains(&tag), "{tag:?} is committed, and nobody wished it");
        self.check_told(tag);
    }

    /// Its producer asks for a commit.
    pub fn wished(&mut self, tag: Tag) {
        self.wished.insert(tag);
    }

    /// Its producer was told how a transaction ended.
    pub fn told(&mut self, tag: Tag, commit: bool) {
        self.told.insert(tag, commit);
        self.check_told(tag);
    }

    fn check_told(&self, tag: Tag) {
        if let (Some(told), Some(outcome)) = (self.told.get(&tag), self.outcomes.get(&tag)) {
            assert_eq!(told, outcome, "{tag:?}: the producer was told otherwise");
        }
    }

    /// At the end of a history everything is at rest.
    pub fn check_rest(&self) {
        for (id, transaction) in &self.last {
            assert!(!transaction.state.is_open(), "{id} hangs: {transaction:?}");
        }
    }
}

fn check_step(before: &Transaction, next: &Transaction) {
    use State::{CompleteAbort, CompleteCommit, Empty, Ongoing, PrepareAbort, PrepareCommit};
    let legal = match before.state {
        Empty | CompleteCommit | CompleteAbort => !matches!(next.state, PrepareCommit | CompleteCommit),
        Ongoing => matches!(next.state, Ongoing | PrepareCommit | PrepareAbort),
        PrepareCommit => next.state == CompleteCommit,
        PrepareAbort => next.state == CompleteAbort,
    };
    assert!(legal, "{before:?} became {next:?}");
    if before.producer_id == next.producer_id {
        assert!(next.producer_epoch >= before.producer_epoch, "{before:?} went back to {next:?}");
    }
    if before.state == Ongoing && next.state == Ongoing {
        assert!(next.partitions.is_superset(&before.partitions), "{next:?} lost a partition");
    }
    if before.state == Ongoing && next.state.is_prepared() {
        let may_be_fence = next.last_producer_epoch == -1 && next.state == PrepareAbort;
        let step = next.producer_epoch - before.producer_epoch;
        let legal = match next.client_version {
            TransactionVersion::V1 => step == 0 || (step == 1 && may_be_fence),
            TransactionVersion::V2 => step == 1,
        };
        assert!(legal, "{before:?} became {next:?}");
    }
}
