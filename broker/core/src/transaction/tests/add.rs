//! AddPartitionsToTxn and AddOffsetsToTxn: what the transaction touches. Offsets are a partition of `__consumer_offsets`
//! like any other.

use super::*;

#[test]
fn the_first_partition_opens_the_transaction_and_more_may_come() {
    let mut shard = Shard::new();
    let owner = shard.init();
    assert_eq!(shard.add(owner, &["t-0"]), ErrorCode::None);
    shard.wait(5);
    assert_eq!(shard.add(owner, &["t-1", "__consumer_offsets-17"]), ErrorCode::None);
    let described = shard.describe();
    assert_eq!(described.state, State::Ongoing);
    assert_eq!(described.start_ms, 1_000_000);
    assert_eq!(described.partitions, partitions(&["__consumer_offsets-17", "t-0", "t-1"]));
}

#[test]
fn a_partition_that_is_in_it_already_is_not_written_again() {
    let mut shard = Shard::new();
    let owner = shard.ongoing();
    let before = shard.log.len();
    assert_eq!(shard.add(owner, &["t-0"]), ErrorCode::None);
    assert_eq!(shard.log.len(), before);
    assert_eq!(shard.add(owner, &["t-0", "t-1"]), ErrorCode::None);
    assert_eq!(shard.log.len(), before + 1);
}

#[test]
fn the_next_transaction_knows_nothing_of_the_last_ones_partitions() {
    let mut shard = Shard::new();
    let owner = shard.ongoing();
    shard.end(owner, COMMIT);
    shard.finish();
    shard.add(owner, &["t-1"]);
    assert_eq!(shard.describe().partitions, partitions(&["t-1"]));
}

#[test]
fn an_id_nobody_initialised_is_not_known() {
    let mut shard = Shard::new();
    assert_eq!(shard.add(Owner::of(1, 0), &["t-0"]), ErrorCode::InvalidProducerIdMapping);
}

#[test]
fn an_empty_id_is_refused() {
    let mut shard = Shard::new();
    let request = AddRequest { transactional_id: "".into(), ..Shard::add_request(Owner::of(1, 0), &["t-0"]) };
    assert_eq!(shard.add_with(request)[0].1, ErrorCode::InvalidRequest);
}

#[test]
fn another_producer_id_is_not_the_ids() {
    let mut shard = Shard::new();
    let owner = shard.init();
    let other = Owner { producer_id: owner.producer_id + 1, ..owner };
    assert_eq!(shard.add(other, &["t-0"]), ErrorCode::InvalidProducerIdMapping);
}

#[test]
fn another_epoch_is_fenced_be_it_lower_or_higher() {
    let mut shard = Shard::new();
    shard.init();
    let owner = shard.init();
    for epoch in [0, 2] {
        assert_eq!(shard.add(owner.epoch(epoch), &["t-0"]), ErrorCode::ProducerFenced);
    }
}

#[test]
fn while_a_transaction_comes_to_its_end_nothing_can_be_added() {
    for commit in [COMMIT, ABORT] {
        let mut shard = Shard::new();
        let owner = shard.ongoing();
        shard.end(owner, commit);
        assert_eq!(shard.add(owner, &["t-0"]), ErrorCode::ConcurrentTransactions);
        shard.finish();
        assert_eq!(shard.add(owner, &["t-0"]), ErrorCode::None);
    }
}

#[test]
fn nothing_to_add_opens_no_transaction() {
    let mut shard = Shard::new();
    let owner = shard.init();
    assert_eq!(shard.add_with(Shard::add_request(owner, &[])), []);
    assert_eq!(shard.state(), State::Empty);
}

#[test]
fn a_leader_that_verifies_is_told_of_each_partition_whether_it_was_added() {
    let mut shard = Shard::new();
    let owner = shard.ongoing();
    let before = shard.log.len();
    let request = AddRequest { verify_only: true, ..Shard::add_request(owner, &["t-0", "t-1"]) };
    let results = shard.add_with(request);
    assert_eq!(results[0].1, ErrorCode::None);
    assert_eq!(results[1].1, ErrorCode::TransactionAbortable);
    assert_eq!(shard.log.len(), before);
}

#[test]
fn a_leader_that_verifies_for_the_wrong_producer_is_told_so() {
    let mut shard = Shard::new();
    assert_eq!(shard.verify(Owner::of(1, 0), "t-0"), ErrorCode::InvalidProducerIdMapping);
    let owner = shard.ongoing();
    let other = Owner { producer_id: 9, ..owner };
    assert_eq!(shard.verify(other, "t-0"), ErrorCode::InvalidProducerIdMapping);
    assert_eq!(shard.verify(owner.epoch(4), "t-0"), ErrorCode::ProducerFenced);
}

#[test]
fn while_a_transaction_comes_to_its_end_nothing_is_verified() {
    let mut shard = Shard::new();
    let owner = shard.ongoing();
    shard.end(owner, COMMIT);
    assert_eq!(shard.verify(owner, "t-0"), ErrorCode::ConcurrentTransactions);
    shard.finish();
    // The late batch of the transaction before: it was in that one, and is in none now.
    assert_eq!(shard.verify(owner, "t-0"), ErrorCode::TransactionAbortable);
}
