//! The end of the epochs: 32766 is the last that a client gets, 32767 is for fencing alone.

use super::super::transaction::EXHAUSTED_EPOCH;
use super::*;

/// An owner at the last epoch a client gets, nothing open.
fn at_the_end() -> (Shard, Owner) {
    let transaction = Transaction { producer_epoch: EXHAUSTED_EPOCH, ..Transaction::new(50, TIMEOUT_MS, 0) };
    (Shard::with_transaction(&transaction), Owner::of(50, EXHAUSTED_EPOCH))
}

#[test]
fn the_next_owner_after_the_last_epoch_gets_a_new_producer_id() {
    let (mut shard, old) = at_the_end();
    assert_eq!(shard.try_init(), Ok(Owner::of(1_000, 0)));
    assert_eq!(shard.add(old, &["t-0"]), ErrorCode::InvalidProducerIdMapping);
    assert_eq!(shard.init_as(old), Err(ErrorCode::ProducerFenced));
}

#[test]
fn an_owner_that_goes_on_after_its_last_epoch_gets_a_new_producer_id_and_may_ask_twice() {
    let (mut shard, old) = at_the_end();
    assert_eq!(shard.init_as(old), Ok(Owner::of(1_000, 0)));
    assert_eq!(shard.init_as(old), Ok(Owner::of(1_000, 0)));
}

#[test]
fn it_may_ask_twice_even_when_another_node_coordinates_by_then() {
    // KAFKA-20357: the last epoch was kept in memory only, and the second request was fenced.
    let (mut shard, old) = at_the_end();
    assert_eq!(shard.init_as(old), Ok(Owner::of(1_000, 0)));
    shard.reload();
    assert_eq!(shard.init_as(old), Ok(Owner::of(1_000, 0)));
}

#[test]
fn a_transaction_of_the_last_epoch_can_still_be_fenced() {
    let (mut shard, old) = at_the_end();
    shard.add(old, &["t-0"]);
    assert_eq!(shard.try_init(), Err(ErrorCode::ConcurrentTransactions));
    assert_eq!(shard.markers[0].producer_epoch, ProducerEpoch::MAX);
    shard.finish();
    // The highest epoch is nobody's, whoever claims it.
    assert_eq!(shard.add(old.epoch(ProducerEpoch::MAX), &["t-0"]), ErrorCode::ProducerFenced);
    assert_eq!(shard.try_end(old.epoch(ProducerEpoch::MAX), ABORT), Err(ErrorCode::ProducerFenced));
    assert_eq!(shard.try_init(), Ok(Owner::of(1_000, 0)));
}

#[test]
fn a_version_2_end_of_the_last_epoch_brings_a_new_producer_id() {
    let (mut shard, old) = at_the_end();
    let old = old.v2();
    shard.add(old, &["t-0"]);
    let next = shard.end(old, COMMIT);
    assert_eq!((next.producer_id, next.epoch), (1_000, 0));
    // The markers end the transaction of the old id, by the epoch after its last.
    assert_eq!((shard.markers[0].producer_id, shard.markers[0].producer_epoch), (50, ProducerEpoch::MAX));
    // Until they are there, both ids wait; the new one is not fenced for coming early (KAFKA-18660).
    assert_eq!(shard.add(next, &["t-0"]), ErrorCode::ConcurrentTransactions);
    assert_eq!(shard.try_end(old, COMMIT), Err(ErrorCode::ConcurrentTransactions));
    assert_eq!(shard.try_end(old, ABORT), Err(ErrorCode::InvalidTxnState));
    shard.finish();
    assert_eq!(shard.try_end(old, COMMIT), Ok(next));
    assert_eq!(shard.try_end(old, ABORT), Err(ErrorCode::InvalidTxnState));
    assert_eq!(shard.add(next, &["t-0"]), ErrorCode::None);
}

#[test]
fn the_new_producer_id_of_an_end_survives_a_change_of_coordinator() {
    // KAFKA-20310: neither the next nor the previous id was written.
    let (mut shard, old) = at_the_end();
    let old = old.v2();
    shard.add(old, &["t-0"]);
    let next = shard.end(old, COMMIT);
    shard.reload();
    shard.finish();
    assert_eq!(shard.try_end(old, COMMIT), Ok(next));
    shard.reload();
    assert_eq!(shard.try_end(old, COMMIT), Ok(next));
    assert_eq!(shard.add(next, &["t-0"]), ErrorCode::None);
}

#[test]
fn a_version_2_transaction_fenced_at_the_last_epoch_takes_one_step_and_a_new_producer_id() {
    // KAFKA-19367: fence and abort each took an epoch, and the second overflowed. KAFKA-20090: the client repeated its
    // abort, was given the highest epoch, began a transaction with it, and nobody could ever end that.
    let (mut shard, old) = at_the_end();
    let old = old.v2();
    shard.add(old, &["t-0"]);
    assert_eq!(shard.try_init(), Err(ErrorCode::ConcurrentTransactions));
    assert_eq!(shard.markers[0].producer_epoch, ProducerEpoch::MAX);
    shard.finish();
    assert_eq!(shard.try_end(old, ABORT), Err(ErrorCode::InvalidProducerIdMapping));
    assert_eq!(shard.try_init(), Ok(Owner::of(1_000, 1)));
}

#[test]
fn a_version_2_transaction_timed_out_at_the_last_epoch_takes_a_new_producer_id() {
    let (mut shard, old) = at_the_end();
    let old = old.v2();
    shard.add(old, &["t-0"]);
    shard.wait(80_000);
    shard.finish();
    assert_eq!(shard.describe().producer_id, 1_000);
    assert_eq!(shard.end(old, ABORT), Owner::of(1_000, 0).v2());
}

#[test]
fn a_time_out_that_needs_a_producer_id_waits_for_it() {
    let (mut shard, old) = at_the_end();
    shard.next_id = None;
    shard.add(old.v2(), &["t-0"]);
    shard.wait(80_000);
    assert_eq!(shard.state(), State::Ongoing);
    shard.next_id = Some(2_000);
    shard.wait(20_000);
    assert_eq!(shard.state(), State::PrepareAbort);
}

#[test]
fn a_transaction_stuck_at_the_highest_epoch_gets_out_of_it() {
    // As another coordinator with KAFKA-20090 left it. Partitions check its markers by the old rules: there is no epoch
    // above the one they know.
    for version in [TransactionVersion::V1, TransactionVersion::V2] {
        let mut stuck =
            Transaction { producer_epoch: ProducerEpoch::MAX, ..Transaction::new(50, TIMEOUT_MS, 0) };
        stuck = stuck.added(&partitions(&["t-0"]), version, 0);
        let mut shard = Shard::with_transaction(&stuck);
        shard.wait(10_000);
        assert_eq!(shard.markers[0].producer_epoch, ProducerEpoch::MAX);
        assert_eq!(shard.markers[0].version, TransactionVersion::V1);
        shard.finish();
        assert_eq!(shard.init().producer_id, 1_000);
    }
}

#[test]
fn an_abort_of_nothing_at_the_last_epoch_brings_a_new_producer_id() {
    let (mut shard, old) = at_the_end();
    assert_eq!(shard.end(old.v2(), ABORT), Owner::of(1_000, 0).v2());
    assert_eq!(shard.state(), State::CompleteAbort);
}

#[test]
fn an_end_that_needs_a_producer_id_while_there_is_none_is_told_to_come_again() {
    let (mut shard, old) = at_the_end();
    let old = old.v2();
    shard.add(old, &["t-0"]);
    shard.next_id = None;
    assert_eq!(shard.try_end(old, COMMIT), Err(ErrorCode::CoordinatorLoadInProgress));
    assert_eq!(shard.state(), State::Ongoing);
    shard.next_id = Some(2_000);
    assert_eq!(shard.end(old, COMMIT), Owner::of(2_000, 0).v2());
}
