//! What time does: transactions that are open for too long, ids that do nothing for too long.

use super::*;

#[test]
fn a_transaction_open_for_too_long_is_aborted_at_the_next_check_and_its_owner_fenced() {
    let mut shard = Shard::new();
    let owner = shard.ongoing();
    shard.wait(59_000);
    assert_eq!(shard.state(), State::Ongoing);
    shard.wait(11_000);
    assert_eq!(shard.state(), State::PrepareAbort);
    assert_eq!(shard.markers[0].producer_epoch, 1);
    for step in 0..2 {
        assert_eq!(shard.try_end(owner, COMMIT), Err(ErrorCode::ProducerFenced));
        assert_eq!(shard.try_end(owner, ABORT), Err(ErrorCode::ProducerFenced));
        if step == 0 {
            shard.finish();
        }
    }
    assert_eq!(shard.add(owner, &["t-0"]), ErrorCode::ProducerFenced);
}

#[test]
fn a_version_2_owner_whose_transaction_timed_out_may_abort_it_and_go_on() {
    // KIP-588 in the new rules: its produce was told INVALID_PRODUCER_EPOCH, so it aborts. That looks like a repetition.
    let mut shard = Shard::new();
    let owner = shard.init().v2();
    shard.add(owner, &["t-0"]);
    shard.wait(70_000);
    shard.finish();
    assert_eq!(shard.try_end(owner, COMMIT), Err(ErrorCode::InvalidTxnState));
    let next = shard.end(owner, ABORT);
    assert_eq!(next, owner.epoch(1));
    assert_eq!(shard.add(next, &["t-0"]), ErrorCode::None);
}

#[test]
fn the_time_of_a_transaction_begins_with_its_first_partition() {
    let mut shard = Shard::new();
    let owner = shard.init();
    shard.wait(200_000);
    shard.add(owner, &["t-0"]);
    shard.wait(50_000);
    shard.add(owner, &["t-1"]);
    assert_eq!(shard.state(), State::Ongoing);
    shard.wait(21_000);
    assert_eq!(shard.state(), State::PrepareAbort);
}

#[test]
fn a_decided_transaction_does_not_time_out() {
    let mut shard = Shard::new();
    let owner = shard.ongoing();
    shard.end(owner, COMMIT);
    shard.wait(900_000);
    assert_eq!(shard.state(), State::PrepareCommit);
    shard.finish();
    assert_eq!(shard.state(), State::CompleteCommit);
}

#[test]
fn the_time_that_passed_before_a_change_of_coordinator_counts() {
    let mut shard = Shard::new();
    shard.ongoing();
    shard.wait(50_000);
    shard.reload();
    shard.wait(21_000);
    assert_eq!(shard.state(), State::PrepareAbort);
}

fn short_lived() -> Shard {
    Shard::with(TransactionSettings {
        id_expiration_ms: 1_000_000,
        expiration_check_interval_ms: 1_000,
        ..TransactionSettings::default()
    })
}

#[test]
fn an_id_that_did_nothing_for_long_is_forgotten_and_starts_anew() {
    let mut shard = short_lived();
    let owner = shard.init();
    shard.wait(999_000);
    assert_eq!(shard.state(), State::Empty);
    shard.wait(2_000);
    assert_eq!(shard.logged(), [Some(State::Empty), None]);
    assert_eq!(shard.add(owner, &["t-0"]), ErrorCode::InvalidProducerIdMapping);
    assert_eq!(shard.try_describe(), Err(ErrorCode::TransactionalIdNotFound));
    assert_eq!(shard.init(), Owner::of(1_001, 0));
}

#[test]
fn an_id_whose_last_transaction_is_complete_is_forgotten_too() {
    for commit in [COMMIT, ABORT] {
        let mut shard = short_lived();
        let owner = shard.ongoing();
        shard.end(owner, commit);
        shard.finish();
        shard.wait(1_002_000);
        assert!(shard.machine.is_empty());
    }
}

#[test]
fn an_id_with_an_open_or_decided_transaction_is_never_forgotten() {
    let mut shard = short_lived();
    let request = InitRequest { timeout_ms: 900_000, ..init_request(None) };
    let owner = shard.init_with(request).expect("an owner");
    shard.wait(900_000);
    shard.add(owner, &["t-0"]);
    shard.wait(200_000);
    assert_eq!(shard.state(), State::Ongoing);
    shard.end(owner, COMMIT);
    shard.wait(5_000_000);
    assert_eq!(shard.state(), State::PrepareCommit);
}

#[test]
fn a_node_that_loads_an_old_id_forgets_it_soon() {
    let mut shard = short_lived();
    shard.init();
    shard.machine = TransactionCoordinator::new(shard.machine.settings.clone(), COORDINATOR_EPOCH);
    shard.now.wall_ms += 2_000_000;
    shard.reload();
    shard.wait(1_000);
    assert!(shard.machine.is_empty());
}

#[test]
fn new_settings_count_for_what_is_open() {
    let mut shard = Shard::new();
    shard.init();
    let settings =
        TransactionSettings { id_expiration_ms: 5_000, ..short_lived().machine.settings.as_ref().clone() };
    let token = shard.send(TransactionRequest::Reconfigure(Arc::new(settings)));
    assert_eq!(shard.answer(token), TransactionReply::Done(ErrorCode::None));
    shard.wait(7_000);
    assert!(shard.machine.is_empty());
}
