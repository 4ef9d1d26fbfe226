//! The fence of connections. With the old rules every transaction of an owner has the same epoch: an EndTxn that was held
//! up in the network would decide a later one (KAFKA-17754). A client speaks of one id by one connection at a time, so
//! what comes by an older connection is out of date.

use super::*;

fn init_on(shard: &mut Shard, connection: ConnectionSequence) -> Owner {
    shard.init_with(InitRequest { connection: Some(connection), ..init_request(None) }).expect("an owner")
}

#[test]
fn an_end_that_was_held_up_does_not_decide_a_later_transaction() {
    let mut shard = Shard::new();
    let owner = init_on(&mut shard, 5);
    shard.add(owner, &["t-0"]);
    // EndTxn by connection 5 gets no answer in time: the client connects anew and asks again.
    shard.end(owner.on(8), COMMIT);
    shard.finish();
    shard.add(owner.on(8), &["t-0"]);
    // Now the first one arrives.
    assert_eq!(shard.try_end(owner.on(5), COMMIT), Err(ErrorCode::InvalidProducerEpoch));
    assert_eq!(shard.state(), State::Ongoing);
    shard.end(owner.on(8), ABORT);
}

#[test]
fn the_first_sign_of_a_new_connection_is_enough_be_it_refused() {
    let mut shard = Shard::new();
    let owner = init_on(&mut shard, 5);
    shard.add(owner, &["t-0"]);
    shard.end(owner, COMMIT);
    assert_eq!(shard.try_end(owner.on(8), COMMIT), Err(ErrorCode::ConcurrentTransactions));
    shard.finish();
    assert_eq!(shard.add(owner.on(5), &["t-0"]), ErrorCode::InvalidProducerEpoch);
    assert_eq!(shard.add(owner.on(8), &["t-0"]), ErrorCode::None);
}

#[test]
fn an_owner_that_goes_on_is_held_to_its_connections() {
    let mut shard = Shard::new();
    let owner = init_on(&mut shard, 5);
    shard.add(owner.on(8), &["t-0"]);
    assert_eq!(shard.init_as(owner.on(5)), Err(ErrorCode::InvalidProducerEpoch));
    assert_eq!(shard.state(), State::Ongoing);
}

#[test]
fn somebody_who_takes_over_may_have_connected_before_the_last_owner() {
    let mut shard = Shard::new();
    let first = init_on(&mut shard, 9);
    let second = init_on(&mut shard, 4);
    assert_eq!(shard.add(second, &["t-0"]), ErrorCode::None);
    assert_eq!(shard.add(first, &["t-0"]), ErrorCode::ProducerFenced);
    // The fenced one was heard on a younger connection; that says nothing about the owner's.
    shard.end(second, COMMIT);
}

#[test]
fn leaders_that_add_or_verify_have_no_connection_of_the_clients() {
    let mut shard = Shard::new();
    let owner = init_on(&mut shard, 5);
    let by_leader = Owner { connection: None, ..owner };
    assert_eq!(shard.add(by_leader, &["t-0"]), ErrorCode::None);
    assert_eq!(shard.verify(by_leader, "t-0"), ErrorCode::None);
    shard.end(owner, COMMIT);
}

#[test]
fn a_takeover_the_log_refused_leaves_the_owners_connections_fenced() {
    let mut shard = Shard::new();
    let owner = init_on(&mut shard, 5);
    shard.add(owner.on(8), &["t-0"]);
    shard.end(owner.on(8), COMMIT);
    shard.finish();
    shard.refusal = Some(ErrorCode::NotEnoughReplicas);
    let takeover = InitRequest { connection: Some(3), ..init_request(None) };
    assert_eq!(shard.init_with(takeover), Err(ErrorCode::CoordinatorNotAvailable));
    assert_eq!(shard.add(owner.on(5), &["t-0"]), ErrorCode::InvalidProducerEpoch);
}
