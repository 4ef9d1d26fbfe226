//! Transactions by the new rules (V2, KIP-890): leaders add partitions, and each end takes a new epoch, so that an end is
//! told from its repetition, and a late batch from one of the next transaction.

use super::*;

fn ongoing() -> (Shard, Owner) {
    let mut shard = Shard::new();
    let owner = shard.init().v2();
    assert_eq!(shard.add(owner, &["t-0"]), ErrorCode::None);
    (shard, owner)
}

#[test]
fn each_end_brings_the_next_epoch_and_its_markers_carry_it() {
    for commit in [COMMIT, ABORT] {
        let (mut shard, owner) = ongoing();
        let next = shard.end(owner, commit);
        assert_eq!(next, owner.epoch(1));
        let marker = &shard.markers[0];
        assert_eq!((marker.producer_epoch, marker.version), (1, TransactionVersion::V2));
        // The next transaction waits for the markers of this one.
        assert_eq!(shard.add(next, &["t-0"]), ErrorCode::ConcurrentTransactions);
        shard.finish();
        assert_eq!(shard.add(next, &["t-0"]), ErrorCode::None);
        // A late batch of the transaction before: the leader asks for it, and is told.
        assert_eq!(shard.add(owner, &["t-0"]), ErrorCode::ProducerFenced);
    }
}

#[test]
fn an_end_and_its_repetition_are_told_apart_by_the_epoch() {
    for commit in [COMMIT, ABORT] {
        let (mut shard, owner) = ongoing();
        let next = shard.end(owner, commit);
        assert_eq!(shard.try_end(owner, commit), Err(ErrorCode::ConcurrentTransactions));
        assert_eq!(shard.try_end(owner, !commit), Err(ErrorCode::InvalidTxnState));
        shard.finish();
        assert_eq!(shard.try_end(owner, commit), Ok(next));
        assert_eq!(shard.try_end(owner, !commit), Err(ErrorCode::InvalidTxnState));
    }
}

#[test]
fn a_repetition_is_known_by_another_coordinator_too() {
    let (mut shard, owner) = ongoing();
    let next = shard.end(owner, COMMIT);
    shard.reload();
    assert_eq!(shard.try_end(owner, COMMIT), Err(ErrorCode::ConcurrentTransactions));
    shard.finish();
    shard.reload();
    assert_eq!(shard.try_end(owner, COMMIT), Ok(next));
}

#[test]
fn during_the_end_the_next_epoch_has_nothing_to_end() {
    for commit in [COMMIT, ABORT] {
        let (mut shard, owner) = ongoing();
        let next = shard.end(owner, commit);
        assert_eq!(shard.try_end(next, commit), Err(ErrorCode::ProducerFenced));
        assert_eq!(shard.try_end(next, !commit), Err(ErrorCode::ProducerFenced));
    }
}

#[test]
fn after_the_end_the_next_epoch_can_abort_nothing_but_not_commit_it() {
    for commit in [COMMIT, ABORT] {
        let (mut shard, owner) = ongoing();
        let next = shard.end(owner, commit);
        shard.finish();
        assert_eq!(shard.try_end(next, COMMIT), Err(ErrorCode::InvalidTxnState));
        // It begins a transaction, its first batch fails before any leader adds it, it aborts: nobody is to be told.
        assert_eq!(shard.end(next, ABORT), next.epoch(2));
        assert_eq!(shard.state(), State::CompleteAbort);
        assert!(shard.markers.is_empty());
        assert_eq!(shard.try_end(next, ABORT), Ok(next.epoch(2)));
    }
}

#[test]
fn an_owner_that_has_done_nothing_can_abort_nothing_but_not_commit_it() {
    let mut shard = Shard::new();
    let owner = shard.init().v2();
    assert_eq!(shard.try_end(owner, COMMIT), Err(ErrorCode::InvalidTxnState));
    assert_eq!(shard.end(owner, ABORT), owner.epoch(1));
    assert_eq!(shard.logged(), [State::Empty, State::PrepareAbort, State::CompleteAbort].map(Some));
}

#[test]
fn an_open_transaction_is_ended_by_its_own_epoch_only() {
    let (mut shard, first) = ongoing();
    let second = shard.end(first, COMMIT);
    shard.finish();
    shard.add(second, &["t-0"]);
    // A repetition of the end before this, delayed until now: it does not end this one.
    assert_eq!(shard.try_end(first, COMMIT), Err(ErrorCode::ProducerFenced));
    assert_eq!(shard.try_end(second.epoch(2), COMMIT), Err(ErrorCode::ProducerFenced));
    assert_eq!(shard.state(), State::Ongoing);
    assert_eq!(shard.end(second, COMMIT), second.epoch(2));
}

#[test]
fn other_producer_ids_are_not_the_ids() {
    let (mut shard, owner) = ongoing();
    let other = Owner { producer_id: 9, ..owner };
    assert_eq!(shard.try_end(other, COMMIT), Err(ErrorCode::InvalidProducerIdMapping));
    shard.end(owner, COMMIT);
    assert_eq!(shard.try_end(other, COMMIT), Err(ErrorCode::InvalidProducerIdMapping));
    shard.finish();
    assert_eq!(shard.try_end(other, COMMIT), Err(ErrorCode::InvalidProducerIdMapping));
}

#[test]
fn fencing_takes_one_epoch_not_two() {
    let (mut shard, owner) = ongoing();
    assert_eq!(shard.try_init(), Err(ErrorCode::ConcurrentTransactions));
    assert_eq!(shard.markers[0].producer_epoch, 1);
    shard.finish();
    assert_eq!(shard.try_init().map(Owner::v2), Ok(owner.epoch(2)));
}

#[test]
fn a_displaced_owner_is_not_taken_for_the_one_that_displaced_it() {
    // Kafka takes the epoch before the present one for a repetition, whoever's it was: a producer that was displaced aborts,
    // is told that this is done, and shares the epoch of the one that displaced it from then on.
    let (mut shard, old) = ongoing();
    assert_eq!(shard.try_init(), Err(ErrorCode::ConcurrentTransactions));
    shard.finish();
    assert_eq!(shard.try_end(old, ABORT), Err(ErrorCode::ProducerFenced));
    let new = shard.init();
    let old = new.epoch(new.epoch - 1).v2();
    shard.add(new, &["t-0"]);
    shard.end(new, ABORT);
    shard.finish();
    assert_eq!(shard.try_end(old, ABORT), Err(ErrorCode::ProducerFenced));
}

#[test]
fn after_the_answer_to_an_end_got_lost_an_owner_goes_on_with_the_epoch_it_brought() {
    let (mut shard, owner) = ongoing();
    let next = shard.end(owner, COMMIT);
    shard.finish();
    assert_eq!(shard.init_as(owner).map(Owner::v2), Ok(next));
}

#[test]
fn a_client_may_change_the_rules_between_transactions() {
    let (mut shard, owner) = ongoing();
    let next = shard.end(owner, COMMIT);
    shard.finish();
    let old_rules = Owner { version: TransactionVersion::V1, ..next };
    assert_eq!(shard.add(old_rules, &["t-0"]), ErrorCode::None);
    assert_eq!(shard.end(old_rules, COMMIT), old_rules);
    assert_eq!(shard.markers[0].version, TransactionVersion::V1);
    shard.finish();
    assert_eq!(shard.add(next, &["t-0"]), ErrorCode::None);
    assert_eq!(shard.end(next, COMMIT), next.epoch(2));
}
