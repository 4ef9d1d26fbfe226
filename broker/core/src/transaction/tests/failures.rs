//! The log refuses: nothing happened, and who asked is told what to do.

use super::*;

#[test]
fn refusals_become_what_clients_of_a_coordinator_know() {
    let cases = [
        (ErrorCode::UnknownTopicOrPartition, ErrorCode::CoordinatorNotAvailable),
        (ErrorCode::NotEnoughReplicas, ErrorCode::CoordinatorNotAvailable),
        (ErrorCode::NotEnoughReplicasAfterAppend, ErrorCode::CoordinatorNotAvailable),
        (ErrorCode::RequestTimedOut, ErrorCode::CoordinatorNotAvailable),
        (ErrorCode::NotLeaderOrFollower, ErrorCode::NotCoordinator),
        (ErrorCode::KafkaStorageError, ErrorCode::NotCoordinator),
        (ErrorCode::MessageTooLarge, ErrorCode::UnknownServerError),
    ];
    for (refusal, told) in cases {
        let mut shard = Shard::new();
        shard.refusal = Some(refusal);
        assert_eq!(shard.try_init_later(), Err(told));
        let owner = shard.init();
        shard.refusal = Some(refusal);
        assert_eq!(shard.add(owner, &["t-0"]), told);
        assert_eq!(shard.state(), State::Empty);
        shard.add(owner, &["t-0"]);
        shard.refusal = Some(refusal);
        assert_eq!(shard.try_end(owner, COMMIT), Err(told));
        assert_eq!(shard.state(), State::Ongoing);
        // Nobody was told of a decision that is not in the log.
        assert!(shard.markers.is_empty());
        shard.end(owner, COMMIT);
        shard.finish();
    }
}

impl Shard {
    /// As `try_init`, for a first owner whose id arrives in a later round than the refusal is set for.
    fn try_init_later(&mut self) -> Result<Owner, ErrorCode> {
        self.try_init()
    }
}

#[test]
fn epochs_do_not_climb_while_the_log_refuses() {
    // KAFKA-9666: each refused attempt to fence took an epoch, until none was left.
    let mut shard = Shard::new();
    let owner = shard.ongoing();
    for _ in 0..40_000 {
        shard.refusal = Some(ErrorCode::NotEnoughReplicas);
        assert_eq!(shard.try_init(), Err(ErrorCode::CoordinatorNotAvailable));
    }
    assert_eq!(shard.describe().producer_epoch, 0);
    // The owner whose end could not be written goes on.
    shard.end(owner, COMMIT);
    shard.finish();
    assert_eq!(shard.init(), owner.epoch(1));
}

#[test]
fn a_time_out_the_log_refuses_comes_again() {
    let mut shard = Shard::new();
    shard.ongoing();
    shard.refusal = Some(ErrorCode::NotEnoughReplicas);
    shard.wait(70_000);
    assert_eq!(shard.state(), State::Ongoing);
    assert!(shard.refusal.is_none());
    shard.wait(10_000);
    assert_eq!(shard.state(), State::PrepareAbort);
    assert_eq!(shard.markers[0].producer_epoch, 1);
}

#[test]
fn a_completion_the_log_refuses_comes_again_without_new_markers() {
    let mut shard = Shard::new();
    let owner = shard.ongoing();
    shard.end(owner, COMMIT);
    shard.refusal = Some(ErrorCode::NotEnoughReplicas);
    let marker = shard.markers.remove(0);
    let results = vec![(partition("t-0"), MarkerResult::Answered(ErrorCode::None))];
    shard.send(TransactionRequest::MarkersSent(MarkersSent { attempt: marker.attempt, results }));
    assert_eq!(shard.state(), State::PrepareCommit);
    shard.wait(100);
    assert_eq!(shard.state(), State::CompleteCommit);
    assert!(shard.markers.is_empty());
}

#[test]
fn a_forgetting_the_log_refuses_comes_again() {
    let mut shard = Shard::new();
    shard.init();
    shard.refusal = Some(ErrorCode::NotEnoughReplicas);
    let week = 7 * 24 * 3_600_000 + 3_600_000;
    shard.wait(week);
    assert_eq!(shard.state(), State::Empty);
    shard.wait(3_600_000);
    assert!(shard.machine.is_empty());
}

#[test]
fn an_answer_that_rests_on_a_refused_record_is_an_error_too() {
    // One round: an owner ends its transaction, and an admin looks. Both are answered once the batch is in the log.
    let mut shard = Shard::new();
    let owner = shard.ongoing();
    let end = EndRequest {
        transactional_id: ID.into(),
        producer_id: owner.producer_id,
        producer_epoch: owner.epoch,
        commit: COMMIT,
        version: owner.version,
        connection: None,
    };
    let first = shard.machine.handle(90, TransactionRequest::End(end), shard.now);
    for record in &first.records {
        shard.machine.replay(0, record, shard.now.wall_ms);
    }
    let describe = TransactionRequest::Describe { transactional_id: ID.into() };
    let second = shard.machine.handle(91, describe, shard.now);
    let third = shard.machine.handle(92, TransactionRequest::Init(init_request(None)), shard.now);
    assert!(second.barrier && third.barrier);
    let error = ErrorCode::NotEnoughReplicas;
    let answers = shard.machine.on_append_failed(vec![first, second, third], error, shard.now);
    let told = ErrorCode::CoordinatorNotAvailable;
    let worker = (shard.worker, TransactionReply::Work(Work::default()));
    assert!(answers.contains(&worker), "the worker's markers are void");
    assert!(answers.contains(&(90, TransactionReply::End(EndReply::failed(told)))));
    assert!(answers.contains(&(91, TransactionReply::Describe(Err(told)))));
    assert!(answers.contains(&(92, TransactionReply::Init(InitReply::failed(told)))));
    assert_eq!(answers.len(), 4);
    shard.stand_ready();
    assert!(shard.markers.is_empty());
    assert_eq!(shard.state(), State::Ongoing);
}

#[test]
fn markers_of_another_transaction_that_were_in_a_refused_round_are_sent_after_all() {
    let mut shard = Shard::new();
    let owner = shard.ongoing();
    shard.end(owner, COMMIT);
    let marker = shard.markers.remove(0);
    shard.report(&marker, MarkerResult::Answered(ErrorCode::NotLeaderOrFollower));
    // The retry falls due in the same round as a first owner of another id, which the log refuses.
    shard.now.mono += Duration::from_millis(20);
    let retry = shard.machine.on_deadline(shard.now);
    assert!(retry.barrier && retry.records.is_empty());
    let error = ErrorCode::NotEnoughReplicas;
    let answers = shard.machine.on_append_failed(vec![retry], error, shard.now);
    assert_eq!(answers, [(shard.worker, TransactionReply::Work(Work::default()))]);
    shard.stand_ready();
    assert_eq!(shard.markers.len(), 1);
    shard.finish();
}
