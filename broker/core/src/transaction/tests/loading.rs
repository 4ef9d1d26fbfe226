//! Another node takes over: all it has is the log.

use super::*;

#[test]
fn a_decision_found_in_the_log_is_told_to_all_its_partitions_again() {
    for commit in [COMMIT, ABORT] {
        let mut shard = Shard::new();
        let owner = shard.init();
        shard.add(owner, &["t-0", "t-1"]);
        shard.end(owner, commit);
        let before = shard.markers.remove(0);
        shard.report_each(&before, vec![(partition("t-0"), MarkerResult::Answered(ErrorCode::None))]);
        shard.reload();
        let marker = shard.markers[0].clone();
        assert_eq!(marker.commit, commit);
        assert_eq!(marker.partitions, partitions(&["t-0", "t-1"]));
        assert_eq!(marker.coordinator_epoch, COORDINATOR_EPOCH + 1);
        assert_eq!(shard.try_end(owner, commit), Err(ErrorCode::ConcurrentTransactions));
        shard.finish();
        assert_eq!(shard.try_end(owner, commit), Ok(owner));
    }
}

#[test]
fn an_open_transaction_goes_on() {
    let mut shard = Shard::new();
    let owner = shard.ongoing();
    shard.reload();
    assert_eq!(shard.verify(owner, "t-0"), ErrorCode::None);
    shard.add(owner, &["t-1"]);
    shard.end(owner, COMMIT);
    assert_eq!(shard.markers[0].partitions, partitions(&["t-0", "t-1"]));
}

#[test]
fn everything_known_of_an_id_comes_back() {
    let mut shard = Shard::new();
    let owner = shard.init().v2();
    shard.add(owner, &["t-0"]);
    let next = shard.end(owner, COMMIT);
    shard.finish();
    shard.add(next, &["u-1", "u-2"]);
    let before = shard.machine.transactions.clone();
    shard.reload();
    assert_eq!(shard.machine.transactions, before);
}

#[test]
fn a_decision_without_partitions_is_completed() {
    let mut shard = Shard::new();
    let owner = shard.init().v2();
    shard.end(owner, ABORT);
    shard.log.pop();
    shard.reload();
    assert_eq!(shard.describe().state, State::PrepareAbort);
    shard.wait(0);
    assert_eq!(shard.describe().state, State::CompleteAbort);
}

#[test]
fn what_newer_software_wrote_is_let_be() {
    let mut shard = Shard::new();
    let owner = shard.init();
    let mut newer = shard.log[0].clone();
    newer.value = Some(bytes::Bytes::from_static(&[0, 9, 1, 2, 3]));
    shard.log.push(newer);
    shard.log.push(CoordinatorRecord { key: bytes::Bytes::from_static(&[0, 3, 1]), value: None });
    shard.reload();
    assert_eq!(shard.describe().producer_id, owner.producer_id);
}
