//! InitProducerId: who owns the id.

use super::*;

#[test]
fn a_new_id_gets_a_fresh_producer_id_with_epoch_0() {
    let mut shard = Shard::new();
    assert_eq!(shard.init(), Owner::of(1_000, 0));
    assert_eq!(shard.logged(), [Some(State::Empty)]);
    assert_eq!(shard.describe().timeout_ms, TIMEOUT_MS);
}

#[test]
fn an_id_that_is_empty_or_too_long_to_be_kept_is_refused() {
    let mut shard = Shard::new();
    for id in [String::new(), "x".repeat(40_000)] {
        let request = InitRequest { transactional_id: id, ..init_request(None) };
        assert_eq!(shard.init_with(request), Err(ErrorCode::InvalidRequest));
    }
    assert!(shard.log.is_empty());
}

#[test]
fn a_timeout_must_be_positive_and_at_most_the_maximum() {
    let mut shard = Shard::new();
    for timeout_ms in [-1, 0, 900_001] {
        let request = InitRequest { timeout_ms, ..init_request(None) };
        assert_eq!(shard.init_with(request), Err(ErrorCode::InvalidTransactionTimeout));
    }
    assert!(shard.init_with(InitRequest { timeout_ms: 900_000, ..init_request(None) }).is_ok());
}

#[test]
fn prepared_transactions_of_other_coordinators_are_not_served() {
    let mut shard = Shard::new();
    let request = InitRequest { enable_two_phase_commit: true, ..init_request(None) };
    assert_eq!(shard.init_with(request), Err(ErrorCode::TransactionalIdAuthorizationFailed));
    let request = InitRequest { keep_prepared: true, ..init_request(None) };
    assert_eq!(shard.init_with(request), Err(ErrorCode::UnsupportedVersion));
}

#[test]
fn the_next_owner_gets_the_next_epoch_and_the_one_before_is_fenced() {
    let mut shard = Shard::new();
    let first = shard.init();
    let second = shard.init();
    assert_eq!(second, first.epoch(1));
    assert_eq!(shard.add(first, &["t-0"]), ErrorCode::ProducerFenced);
    assert_eq!(shard.add(second, &["t-0"]), ErrorCode::None);
}

#[test]
fn an_owner_takes_its_new_timeout_with_it() {
    let mut shard = Shard::new();
    shard.init();
    shard.init_with(InitRequest { timeout_ms: 5_000, ..init_request(None) }).expect("an owner");
    assert_eq!(shard.describe().timeout_ms, 5_000);
}

#[test]
fn while_a_transaction_comes_to_its_end_a_new_owner_is_told_to_come_again() {
    for commit in [COMMIT, ABORT] {
        let mut shard = Shard::new();
        let owner = shard.ongoing();
        shard.end(owner, commit);
        assert_eq!(shard.try_init(), Err(ErrorCode::ConcurrentTransactions));
        assert_eq!(shard.init_as(owner), Err(ErrorCode::ConcurrentTransactions));
        shard.finish();
        assert_eq!(shard.try_init(), Ok(owner.epoch(1)));
    }
}

#[test]
fn a_new_owner_aborts_the_open_transaction_and_is_told_to_come_again() {
    let mut shard = Shard::new();
    let old = shard.ongoing();
    assert_eq!(shard.try_init(), Err(ErrorCode::ConcurrentTransactions));
    assert_eq!(shard.state(), State::PrepareAbort);
    // The old owner is out from now on, though nobody has the new epoch yet.
    assert_eq!(shard.try_end(old, COMMIT), Err(ErrorCode::ProducerFenced));
    assert_eq!((shard.markers[0].commit, shard.markers[0].producer_epoch), (false, 1));
    shard.finish();
    assert_eq!(shard.try_init(), Ok(old.epoch(2)));
    assert_eq!(shard.try_end(old, ABORT), Err(ErrorCode::ProducerFenced));
}

#[test]
fn an_owner_that_goes_on_gets_the_next_epoch_and_may_ask_twice() {
    let mut shard = Shard::new();
    let owner = shard.init();
    let next = shard.init_as(owner).expect("the next epoch");
    assert_eq!(next, owner.epoch(1));
    // Its answer got lost: the same again, and nobody is fenced.
    assert_eq!(shard.init_as(owner), Ok(next));
    assert_eq!(shard.init_as(next), Ok(owner.epoch(2)));
}

#[test]
fn an_owner_that_goes_on_with_neither_the_present_epoch_nor_the_last_is_fenced() {
    let mut shard = Shard::new();
    let owner = shard.init();
    let next = shard.init_as(owner).expect("the next epoch");
    shard.init_as(next).expect("the one after");
    assert_eq!(shard.init_as(owner), Err(ErrorCode::ProducerFenced));
    assert_eq!(shard.init_as(owner.epoch(9)), Err(ErrorCode::ProducerFenced));
    let stranger = Owner::of(owner.producer_id + 1, 2);
    assert_eq!(shard.init_as(stranger), Err(ErrorCode::ProducerFenced));
}

#[test]
fn after_somebody_else_took_over_the_last_owner_cannot_go_on() {
    let mut shard = Shard::new();
    let old = shard.init();
    shard.init();
    assert_eq!(shard.init_as(old), Err(ErrorCode::ProducerFenced));
}

#[test]
fn an_owner_of_an_id_nobody_knows_any_more_gets_a_fresh_producer_id() {
    let mut shard = Shard::new();
    assert_eq!(shard.init_as(Owner::of(17, 3)), Ok(Owner::of(1_000, 0)));
}

#[test]
fn an_owner_with_an_open_transaction_that_goes_on_has_it_aborted() {
    let mut shard = Shard::new();
    let owner = shard.ongoing();
    assert_eq!(shard.init_as(owner), Err(ErrorCode::ConcurrentTransactions));
    assert_eq!(shard.state(), State::PrepareAbort);
}

#[test]
fn a_fenced_owner_that_wants_to_go_on_does_not_abort_the_transaction_of_the_present_one() {
    let mut shard = Shard::new();
    let old = shard.init();
    let present = shard.init();
    shard.add(present, &["t-0"]);
    assert_eq!(shard.init_as(old), Err(ErrorCode::ProducerFenced));
    assert_eq!(shard.state(), State::Ongoing);
    shard.end(present, COMMIT);
}

#[test]
fn a_late_copy_of_an_init_does_not_abort_the_transaction_begun_since() {
    let mut shard = Shard::new();
    let owner = shard.init();
    let next = shard.init_as(owner).expect("the next epoch");
    shard.add(next, &["t-0"]);
    assert_eq!(shard.init_as(owner), Err(ErrorCode::ProducerFenced));
    assert_eq!(shard.state(), State::Ongoing);
}

#[test]
fn a_producer_id_without_an_epoch_is_refused() {
    let mut shard = Shard::new();
    for current in [(5, -1), (-1, 5)] {
        assert_eq!(shard.init_with(init_request(Some(current))), Err(ErrorCode::InvalidRequest));
    }
}

#[test]
fn while_the_controller_has_no_producer_ids_a_new_id_is_told_to_come_again() {
    let mut shard = Shard::new();
    shard.next_id = None;
    assert_eq!(shard.try_init(), Err(ErrorCode::CoordinatorLoadInProgress));
    assert!(shard.log.is_empty());
    shard.next_id = Some(5);
    assert_eq!(shard.try_init(), Ok(Owner::of(5, 0)));
}

#[test]
fn a_wish_for_producer_ids_that_got_lost_is_told_again() {
    let mut shard = Shard::new();
    let worker = std::mem::take(&mut shard.worker);
    let token = shard.send(TransactionRequest::Init(init_request(None)));
    let wish = Work { producer_ids: 1, ..Work::default() };
    assert_eq!(shard.answers.remove(&worker), Some(TransactionReply::Work(wish)));
    // The shell gave up waiting for the commit of what was decided before, and dropped it.
    shard.stand_ready();
    let reply = InitReply { error: ErrorCode::None, producer_id: 1_000, producer_epoch: 0 };
    assert_eq!(shard.answer(token), TransactionReply::Init(reply));
}

#[test]
fn two_first_owners_that_wait_for_a_producer_id_get_one_and_two_epochs() {
    let mut shard = Shard::new();
    let work = shard.worker;
    shard.worker = 0; // The worker is away: its answers are left lying.
    let first = shard.send(TransactionRequest::Init(init_request(None)));
    let second = shard.send(TransactionRequest::Init(init_request(None)));
    assert!(!shard.answers.contains_key(&first) && !shard.answers.contains_key(&second));
    shard.worker = work;
    shard.work();
    let reply = |producer_epoch| {
        TransactionReply::Init(InitReply { error: ErrorCode::None, producer_id: 1_000, producer_epoch })
    };
    assert_eq!((shard.answer(first), shard.answer(second)), (reply(0), reply(1)));
}
