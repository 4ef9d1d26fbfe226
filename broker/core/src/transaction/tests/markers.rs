//! Markers: sent until every partition has its own, and no longer.

use super::super::markers::FLYING_MAX;
use super::*;

fn decided(names: &[&str]) -> Shard {
    let mut shard = Shard::new();
    let owner = shard.init();
    shard.add(owner, names);
    shard.end(owner, COMMIT);
    shard
}

#[test]
fn errors_that_pass_are_tried_again_for_ever() {
    let passing = [
        ErrorCode::UnknownTopicOrPartition,
        ErrorCode::NotLeaderOrFollower,
        ErrorCode::NotEnoughReplicas,
        ErrorCode::NotEnoughReplicasAfterAppend,
        ErrorCode::RequestTimedOut,
        ErrorCode::KafkaStorageError,
        ErrorCode::NetworkException,
        ErrorCode::CoordinatorLoadInProgress,
        ErrorCode::UnknownServerError,
    ];
    let mut shard = decided(&["t-0"]);
    for round in 0..3 {
        for error in passing {
            shard.markers_answer(error);
            assert!(shard.markers.is_empty(), "not at once, in round {round}");
            shard.wait(1_000);
            assert_eq!(shard.markers.len(), 1, "{error:?} is tried again");
        }
    }
    shard.finish();
    assert_eq!(shard.state(), State::CompleteCommit);
}

#[test]
fn failures_are_retried_soon_at_first_and_then_less_often() {
    let mut shard = decided(&["t-0"]);
    for ms in [20, 40, 80, 160, 320, 640, 1_000, 1_000] {
        shard.markers_answer(ErrorCode::NotLeaderOrFollower);
        shard.wait(ms - 1);
        assert!(shard.markers.is_empty());
        shard.wait(1);
        assert_eq!(shard.markers.len(), 1);
    }
}

#[test]
fn only_the_partitions_that_failed_are_told_again() {
    let mut shard = decided(&["t-0", "t-1", "t-2"]);
    let marker = shard.markers.remove(0);
    let (ok, bad) = (ErrorCode::None, ErrorCode::NotLeaderOrFollower);
    let results = [("t-0", ok), ("t-1", bad)].map(|(p, e)| (partition(p), MarkerResult::Answered(e)));
    // Of t-2 nothing is said.
    shard.report_each(&marker, results.into());
    shard.wait(20);
    assert_eq!(shard.markers[0].partitions, partitions(&["t-1", "t-2"]));
    shard.finish();
}

#[test]
fn a_partition_that_knows_a_later_epoch_has_its_marker() {
    // KAFKA-19999: a repeated marker was refused, and the transaction stayed prepared for ever.
    let mut shard = decided(&["t-0"]);
    shard.markers_answer(ErrorCode::InvalidProducerEpoch);
    assert_eq!(shard.state(), State::CompleteCommit);
}

#[test]
fn a_partition_that_knows_a_later_coordinator_is_no_reason_to_give_up() {
    // Kafka forgets the transaction then. If there is a later coordinator this one is stopped anyway.
    let mut shard = decided(&["t-0"]);
    shard.markers_answer(ErrorCode::TransactionCoordinatorFenced);
    shard.wait(1_000);
    assert_eq!(shard.markers.len(), 1);
}

#[test]
fn a_partition_whose_topic_is_gone_needs_no_marker() {
    let mut shard = decided(&["t-0", "u-0"]);
    let marker = shard.markers.remove(0);
    let answered = MarkerResult::Answered(ErrorCode::None);
    let results = vec![(partition("t-0"), MarkerResult::Gone), (partition("u-0"), answered)];
    shard.report_each(&marker, results);
    assert_eq!(shard.state(), State::CompleteCommit);
}

#[test]
fn a_result_that_comes_twice_counts_once() {
    let mut shard = decided(&["t-0"]);
    let owner = Owner::of(1_000, 0);
    let marker = shard.markers.remove(0);
    shard.report(&marker, MarkerResult::Answered(ErrorCode::None));
    shard.add(owner, &["t-0"]);
    shard.end(owner, ABORT);
    // The next transaction has the same epoch and the same partition; it is not told by the last one's answer.
    shard.report(&marker, MarkerResult::Answered(ErrorCode::None));
    assert_eq!(shard.state(), State::PrepareAbort);
    shard.finish();
}

#[test]
fn markers_that_got_lost_on_the_way_to_the_worker_are_given_to_it_again() {
    let mut shard = Shard::new();
    let owner = shard.ongoing();
    let worker = std::mem::take(&mut shard.worker);
    shard.end(owner, COMMIT);
    // The shell gave up waiting for the commit of that answer, and dropped it.
    assert!(shard.answers.remove(&worker).is_some());
    shard.stand_ready();
    assert_eq!(shard.markers.len(), 1);
    assert_eq!(shard.markers[0].attempt, 2);
    shard.finish();
}

#[test]
fn markers_the_worker_has_are_not_given_to_it_again() {
    let mut shard = decided(&["t-0"]);
    assert_eq!(shard.markers.len(), 1);
    shard.stand_ready();
    shard.wait(100_000);
    assert_eq!(shard.markers.len(), 1);
}

#[test]
fn a_worker_that_comes_anew_relieves_the_one_that_waits() {
    let mut shard = Shard::new();
    let first = std::mem::take(&mut shard.worker);
    shard.stand_ready();
    assert_eq!(shard.answer(first), TransactionReply::Work(Work::default()));
}

#[test]
fn so_many_partitions_are_told_at_a_time_and_no_more() {
    let names: Vec<String> = (0..2 * FLYING_MAX + 10).map(|index| format!("t-{index}")).collect();
    let mut shard = decided(&names.iter().map(String::as_str).collect::<Vec<_>>());
    let mut told = 0;
    while !shard.markers.is_empty() {
        let flying: usize = shard.markers.iter().map(|marker| marker.partitions.len()).sum();
        assert!(flying <= FLYING_MAX && flying == shard.machine.markers.flying());
        let marker = shard.markers.remove(0);
        told += marker.partitions.len();
        shard.report(&marker, MarkerResult::Answered(ErrorCode::None));
    }
    assert_eq!(told, names.len());
    assert_eq!(shard.state(), State::CompleteCommit);
    assert_eq!(shard.machine.markers.flying(), 0);
}
