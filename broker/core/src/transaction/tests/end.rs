//! EndTxn by the old rules (V1): the epoch stays, so an end and its repetition look the same.

use super::*;

#[test]
fn a_commit_is_written_answered_and_then_told_to_every_partition() {
    let mut shard = Shard::new();
    let owner = shard.init();
    shard.add(owner, &["t-0", "u-3"]);
    assert_eq!(shard.end(owner, COMMIT), owner);
    assert_eq!(shard.state(), State::PrepareCommit);
    let marker = MarkersToSend {
        attempt: 1,
        transactional_id: ID.into(),
        producer_id: owner.producer_id,
        producer_epoch: owner.epoch,
        coordinator_epoch: COORDINATOR_EPOCH,
        commit: true,
        version: TransactionVersion::V1,
        partitions: partitions(&["t-0", "u-3"]),
    };
    assert_eq!(shard.markers, [marker]);
    shard.finish();
    assert_eq!(shard.state(), State::CompleteCommit);
    let states = [State::Empty, State::Ongoing, State::PrepareCommit, State::CompleteCommit];
    assert_eq!(shard.logged(), states.map(Some));
}

#[test]
fn an_abort_goes_the_same_way() {
    let mut shard = Shard::new();
    let owner = shard.ongoing();
    shard.end(owner, ABORT);
    assert_eq!((shard.state(), shard.markers[0].commit), (State::PrepareAbort, false));
    shard.finish();
    assert_eq!(shard.state(), State::CompleteAbort);
}

#[test]
fn the_same_end_again_waits_for_the_markers_and_then_is_done() {
    for commit in [COMMIT, ABORT] {
        let mut shard = Shard::new();
        let owner = shard.ongoing();
        shard.end(owner, commit);
        assert_eq!(shard.try_end(owner, commit), Err(ErrorCode::ConcurrentTransactions));
        shard.finish();
        let before = shard.log.len();
        assert_eq!(shard.try_end(owner, commit), Ok(owner));
        assert_eq!(shard.log.len(), before);
    }
}

#[test]
fn what_is_decided_cannot_be_decided_otherwise() {
    for commit in [COMMIT, ABORT] {
        let mut shard = Shard::new();
        let owner = shard.ongoing();
        shard.end(owner, commit);
        assert_eq!(shard.try_end(owner, !commit), Err(ErrorCode::InvalidTxnState));
        shard.finish();
        assert_eq!(shard.try_end(owner, !commit), Err(ErrorCode::InvalidTxnState));
    }
}

#[test]
fn nothing_cannot_be_ended() {
    let mut shard = Shard::new();
    let owner = shard.init();
    assert_eq!(shard.try_end(owner, COMMIT), Err(ErrorCode::InvalidTxnState));
    assert_eq!(shard.try_end(owner, ABORT), Err(ErrorCode::InvalidTxnState));
}

#[test]
fn only_the_owner_can_end_it() {
    let mut shard = Shard::new();
    assert_eq!(shard.try_end(Owner::of(1, 0), COMMIT), Err(ErrorCode::InvalidProducerIdMapping));
    let owner = shard.ongoing();
    let other = Owner { producer_id: 9, ..owner };
    assert_eq!(shard.try_end(other, COMMIT), Err(ErrorCode::InvalidProducerIdMapping));
    for epoch in [-1, 1] {
        assert_eq!(shard.try_end(owner.epoch(epoch), COMMIT), Err(ErrorCode::ProducerFenced));
    }
    assert_eq!(shard.state(), State::Ongoing);
}

#[test]
fn the_same_epoch_lasts_for_many_transactions() {
    let mut shard = Shard::new();
    let owner = shard.init();
    for commit in [COMMIT, ABORT, COMMIT] {
        shard.add(owner, &["t-0"]);
        assert_eq!(shard.end(owner, commit), owner);
        shard.finish();
    }
}
