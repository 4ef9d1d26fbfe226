//! Rebalances: when they begin, whom they wait for, how they end.

use super::*;

#[test]
fn a_newcomer_makes_everybody_join_again() {
    let mut shard = Shard::new();
    let ([a], generation) = shard.stable();
    let newcomer = shard.join(Joiner::dynamic());
    assert_eq!(shard.heartbeat(&a, generation), ErrorCode::RebalanceInProgress);
    assert!(shard.is_waiting(newcomer));
    let rejoin = shard.join(Joiner::known(&a));
    assert_eq!(shard.joined(rejoin).generation_id, generation + 1);
    let reply = shard.joined(newcomer);
    assert_eq!((reply.generation_id, reply.leader), (generation + 1, a));
}

#[test]
fn a_dynamic_member_that_does_not_rejoin_in_time_is_dropped() {
    let mut shard = Shard::new();
    let ([a, b], generation) = shard.stable();
    let rejoin = shard.join(Joiner::known(&a).subscribes(&["u"]));
    // b is alive, but ignores the call to join.
    for _ in 0..REBALANCE_MS / 5_000 {
        assert_eq!(shard.heartbeat(&b, generation), ErrorCode::RebalanceInProgress);
        shard.wait(5_000);
    }
    assert_eq!(shard.joined(rejoin).members.len(), 1);
    assert_eq!(shard.heartbeat(&b, generation), ErrorCode::UnknownMemberId);
}

#[test]
fn a_rebalance_waits_as_long_as_its_most_patient_member() {
    let mut shard = Shard::new();
    let ([a], generation) = shard.stable();
    shard.join(Joiner::dynamic().with(|request| request.rebalance_timeout_ms = 1_000));
    let mut waited = 0;
    while shard.heartbeat(&a, generation) == ErrorCode::RebalanceInProgress {
        shard.wait(5_000);
        waited += 5_000;
    }
    assert_eq!(waited, REBALANCE_MS);
}

#[test]
fn when_the_leader_does_not_rejoin_another_one_leads() {
    let mut shard = Shard::new();
    let ([_leader, b], _) = shard.stable();
    let rejoin = shard.join(Joiner::known(&b).subscribes(&["u"]));
    shard.wait(SESSION_MS as u64);
    let reply = shard.joined(rejoin);
    assert_eq!((reply.leader, reply.members.len()), (b, 1));
}

#[test]
fn a_leader_that_rejoins_always_rebalances_the_group() {
    let mut shard = Shard::new();
    let ([a, b], generation) = shard.stable();
    let token = shard.join(Joiner::known(&a));
    assert!(shard.is_waiting(token));
    assert_eq!(shard.heartbeat(&b, generation), ErrorCode::RebalanceInProgress);
}

#[test]
fn a_follower_that_rejoins_with_nothing_new_is_told_the_present_generation() {
    let mut shard = Shard::new();
    let ([a, b], generation) = shard.stable();
    let token = shard.join(Joiner::known(&b));
    let reply = shard.joined(token);
    assert_eq!((reply.generation_id, reply.leader, reply.members.len()), (generation, a, 0));
    assert_eq!(shard.state(), "Stable");
}

#[test]
fn a_follower_that_rejoins_with_other_metadata_rebalances_the_group() {
    let mut shard = Shard::new();
    let ([a, b], generation) = shard.stable();
    let token = shard.join(Joiner::known(&b).subscribes(&["t", "u"]));
    assert!(shard.is_waiting(token));
    assert_eq!(shard.heartbeat(&a, generation), ErrorCode::RebalanceInProgress);
}

#[test]
fn a_join_repeated_before_the_sync_gets_the_same_answer_again() {
    let mut shard = Shard::new();
    let (a, b) = (shard.join(Joiner::dynamic()), shard.join(Joiner::dynamic()));
    shard.wait(0);
    let (a, b) = (shard.joined(a), shard.joined(b));
    let again = shard.join(Joiner::known(&a.member_id));
    assert_eq!(shard.joined(again), a);
    let again = shard.join(Joiner::known(&b.member_id));
    assert_eq!(shard.joined(again), b);
    let changed = shard.join(Joiner::known(&b.member_id).subscribes(&["u"]));
    assert!(shard.is_waiting(changed));
    assert_eq!(shard.state(), "PreparingRebalance");
}

#[test]
fn a_repeated_join_dismisses_the_older_one() {
    let mut shard = Shard::new();
    let ([a, b], _) = shard.stable();
    let lost = shard.join(Joiner::known(&a));
    let again = shard.join(Joiner::known(&a));
    assert_eq!(shard.joined(lost).error, ErrorCode::RebalanceInProgress);
    let other = shard.join(Joiner::known(&b));
    assert_eq!((shard.joined(again).error, shard.joined(other).error), (ErrorCode::None, ErrorCode::None));
}

#[test]
fn a_new_member_whose_join_is_never_answered_does_not_stay_forever() {
    let mut shard = Shard::new();
    let endless = |joiner: Joiner| joiner.with(|request| request.rebalance_timeout_ms = 1_000_000);
    let a = shard.join(endless(Joiner::dynamic()));
    shard.wait(0);
    let a = shard.joined(a).member_id;
    shard.sync(&a, 1, &[]);
    let newcomer = shard.join(endless(Joiner::dynamic()));
    for _ in 0..60 {
        assert_eq!(shard.heartbeat(&a, 1), ErrorCode::RebalanceInProgress);
        shard.wait(5_000);
    }
    let reply = shard.joined(newcomer);
    assert_eq!((reply.error, reply.member_id.as_str()), (ErrorCode::UnknownMemberId, ""));
}

#[test]
fn the_generation_goes_on_after_a_group_was_empty_and_reloaded() {
    let mut shard = Shard::new();
    let ([a], generation) = shard.stable();
    shard.leave(&[(&a, None)]);
    assert_eq!(shard.state(), "Empty");
    shard.reload();
    assert_eq!(shard.state(), "Empty");
    let ([_], next) = shard.stable();
    assert_eq!(next, generation + 2, "one for becoming empty, one for the join");
}
