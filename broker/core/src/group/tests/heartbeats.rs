//! Heartbeats and sessions: who is alive, and who is told what.

use super::*;

#[test]
fn a_heartbeat_is_checked_against_the_group() {
    let mut shard = Shard::new();
    assert_eq!(shard.heartbeat("a", 1), ErrorCode::UnknownMemberId, "no such group");
    let ([a], generation) = shard.stable();
    assert_eq!(shard.heartbeat("nobody", generation), ErrorCode::UnknownMemberId);
    assert_eq!(shard.heartbeat(&a, generation + 1), ErrorCode::IllegalGeneration);
    assert_eq!(shard.heartbeat_as(&a, Some("i"), generation), ErrorCode::UnknownMemberId);
    assert_eq!(shard.heartbeat(&a, generation), ErrorCode::None);
}

#[test]
fn a_heartbeat_is_good_before_the_assignment_comes() {
    let mut shard = Shard::new();
    let token = shard.join(Joiner::dynamic());
    shard.wait(0);
    let id = shard.joined(token).member_id;
    assert_eq!(shard.state(), "CompletingRebalance");
    assert_eq!(shard.heartbeat(&id, 1), ErrorCode::None);
}

#[test]
fn an_empty_group_knows_no_member() {
    let mut shard = Shard::new();
    let ([a], generation) = shard.stable();
    shard.leave(&[(&a, None)]);
    assert_eq!(shard.heartbeat(&a, generation), ErrorCode::UnknownMemberId);
}

#[test]
fn a_silent_member_is_gone_after_its_session_timeout() {
    let mut shard = Shard::new();
    let ([a, b], generation) = shard.stable();
    shard.wait(SESSION_MS as u64 - 1);
    assert_eq!(shard.heartbeat(&a, generation), ErrorCode::None);
    shard.wait(1);
    assert_eq!(shard.heartbeat(&b, generation), ErrorCode::UnknownMemberId);
    assert_eq!(shard.heartbeat(&a, generation), ErrorCode::RebalanceInProgress);
}

#[test]
fn when_the_last_member_falls_silent_the_group_is_empty_in_the_log_too() {
    let mut shard = Shard::new();
    shard.stable::<1>();
    shard.wait(SESSION_MS as u64);
    assert_eq!(shard.state(), "Empty");
    shard.reload();
    assert_eq!(shard.state(), "Empty");
}

#[test]
fn sessions_start_anew_when_a_shard_is_loaded() {
    let mut shard = Shard::new();
    let ([a], generation) = shard.stable();
    shard.wait(SESSION_MS as u64 - 1);
    shard.reload();
    shard.wait(SESSION_MS as u64 - 1);
    assert_eq!(shard.heartbeat(&a, generation), ErrorCode::None);
    shard.wait(SESSION_MS as u64);
    assert_eq!(shard.heartbeat(&a, generation), ErrorCode::UnknownMemberId);
}

#[test]
fn a_commit_and_a_sync_are_signs_of_life() {
    let mut shard = Shard::new();
    let ([a], generation) = shard.stable();
    shard.wait(SESSION_MS as u64 - 1);
    assert_eq!(shard.commit_offset(Commit::by(&a, generation, 1)), ErrorCode::None);
    shard.wait(SESSION_MS as u64 - 1);
    let token = shard.sync(&a, generation, &[]);
    assert_eq!(shard.synced(token).error, ErrorCode::None);
    shard.wait(SESSION_MS as u64 - 1);
    assert_eq!(shard.heartbeat(&a, generation), ErrorCode::None);
}

#[test]
fn a_member_whose_join_waits_here_may_be_silent() {
    let mut shard = Shard::new();
    let ([a, b], generation) = shard.stable();
    let waiting = shard.join(Joiner::known(&a));
    for _ in 0..6 {
        shard.wait(5_000);
        assert_eq!(shard.heartbeat(&b, generation), ErrorCode::RebalanceInProgress);
    }
    assert!(shard.is_waiting(waiting), "three sessions long, and still a member");
    let rejoin = shard.join(Joiner::known(&b));
    assert_eq!(shard.joined(waiting).generation_id, generation + 1);
    let next = shard.joined(rejoin).generation_id;
    // Once answered, it has to speak again.
    shard.wait(SESSION_MS as u64);
    assert_eq!(shard.heartbeat(&a, next), ErrorCode::UnknownMemberId);
}
