//! SyncGroup: how members get what the leader assigned.

use super::*;

/// Two members of a new generation; the first leads.
fn completing(shard: &mut Shard) -> [String; 2] {
    let (a, b) = (shard.join(Joiner::dynamic()), shard.join(Joiner::dynamic()));
    shard.wait(0);
    [shard.joined(a).member_id, shard.joined(b).member_id]
}

#[test]
fn followers_wait_until_the_leaders_assignment_is_in_the_log() {
    let mut shard = Shard::new();
    let [a, b] = completing(&mut shard);
    let follower = shard.sync(&b, 1, &[]);
    assert!(shard.is_waiting(follower));
    assert!(shard.log.is_empty());
    let leader = shard.sync(&a, 1, &[(&a, "for a"), (&b, "for b")]);
    assert_eq!(shard.log.len(), 1, "the group is written once");
    assert_eq!(shard.synced(leader).assignment, text("for a"));
    let reply = shard.synced(follower);
    assert_eq!((reply.error, reply.assignment), (ErrorCode::None, text("for b")));
    assert_eq!(reply.protocol_type.as_deref(), Some("consumer"));
    assert_eq!(reply.protocol_name.as_deref(), Some("range"));
    assert_eq!(shard.state(), "Stable");
}

#[test]
fn the_answers_to_a_sync_travel_with_the_record_they_rest_on() {
    let mut shard = Shard::new();
    let [a, b] = completing(&mut shard);
    shard.sync(&b, 1, &[]);
    let request = SyncRequest {
        group_id: GROUP.into(),
        member_id: a.clone(),
        group_instance_id: None,
        generation_id: 1,
        protocol_type: None,
        protocol_name: None,
        assignments: vec![(a, text("x"))],
    };
    let outcome = shard.machine.handle(99, GroupRequest::Sync(request), shard.now);
    assert_eq!((outcome.records.len(), outcome.replies.len()), (1, 2));
}

#[test]
fn a_late_sync_of_a_stable_group_gets_its_assignment_after_what_is_uncommitted() {
    let mut shard = Shard::new();
    let [a, b] = completing(&mut shard);
    shard.sync(&a, 1, &[(&b, "for b")]);
    let late = shard.sync(&b, 1, &[]);
    assert_eq!(shard.synced(late).assignment, text("for b"));
    let request = SyncRequest {
        group_id: GROUP.into(),
        member_id: b,
        group_instance_id: None,
        generation_id: 1,
        protocol_type: None,
        protocol_name: None,
        assignments: Vec::new(),
    };
    assert!(shard.machine.handle(99, GroupRequest::Sync(request), shard.now).barrier);
}

#[test]
fn a_member_the_leader_forgot_gets_an_empty_assignment() {
    let mut shard = Shard::new();
    let [a, b] = completing(&mut shard);
    shard.sync(&a, 1, &[(&a, "all of it")]);
    let token = shard.sync(&b, 1, &[]);
    assert_eq!(shard.synced(token), SyncReply { assignment: Bytes::new(), ..shard_reply() });
}

fn shard_reply() -> SyncReply {
    SyncReply {
        error: ErrorCode::None,
        protocol_type: Some("consumer".into()),
        protocol_name: Some("range".into()),
        assignment: Bytes::new(),
    }
}

#[test]
fn an_assignment_survives_a_change_of_coordinator() {
    let mut shard = Shard::new();
    let ([a, b], generation) = shard.stable();
    shard.reload();
    assert_eq!(shard.heartbeat(&a, generation), ErrorCode::None);
    let token = shard.sync(&b, generation, &[]);
    assert_eq!(shard.synced(token).assignment, text(&b));
}

#[test]
fn a_sync_is_checked_against_the_group() {
    let mut shard = Shard::new();
    let [a, _] = completing(&mut shard);
    let sync = |shard: &mut Shard, change: &dyn Fn(&mut SyncRequest)| {
        let mut request = SyncRequest {
            group_id: GROUP.into(),
            member_id: a.clone(),
            group_instance_id: None,
            generation_id: 1,
            protocol_type: Some("consumer".into()),
            protocol_name: Some("range".into()),
            assignments: Vec::new(),
        };
        change(&mut request);
        let token = shard.send(GroupRequest::Sync(request));
        shard.synced(token).error
    };
    assert_eq!(sync(&mut shard, &|r| r.group_id = String::new()), ErrorCode::InvalidGroupId);
    assert_eq!(sync(&mut shard, &|r| r.group_id = "other".into()), ErrorCode::UnknownMemberId);
    assert_eq!(sync(&mut shard, &|r| r.member_id = "nobody".into()), ErrorCode::UnknownMemberId);
    assert_eq!(sync(&mut shard, &|r| r.generation_id = 2), ErrorCode::IllegalGeneration);
    assert_eq!(sync(&mut shard, &|r| r.generation_id = 0), ErrorCode::IllegalGeneration);
    let other = |r: &mut SyncRequest| r.protocol_type = Some("connect".into());
    assert_eq!(sync(&mut shard, &other), ErrorCode::InconsistentGroupProtocol);
    let other = |r: &mut SyncRequest| r.protocol_name = Some("sticky".into());
    assert_eq!(sync(&mut shard, &other), ErrorCode::InconsistentGroupProtocol);
    assert_eq!(sync(&mut shard, &|_| ()), ErrorCode::None);
}

#[test]
fn a_sync_during_a_rebalance_is_told_to_join() {
    let mut shard = Shard::new();
    let ([a, _], generation) = shard.stable();
    shard.join(Joiner::dynamic());
    let token = shard.sync(&a, generation, &[]);
    assert_eq!(shard.synced(token).error, ErrorCode::RebalanceInProgress);
}

#[test]
fn a_rebalance_sends_those_who_wait_for_an_assignment_to_join_again() {
    let mut shard = Shard::new();
    let [_, b] = completing(&mut shard);
    let waiting = shard.sync(&b, 1, &[]);
    shard.join(Joiner::dynamic());
    assert_eq!(shard.synced(waiting).error, ErrorCode::RebalanceInProgress);
    assert_eq!(shard.state(), "PreparingRebalance");
}

#[test]
fn a_repeated_sync_dismisses_the_older_one() {
    let mut shard = Shard::new();
    let [a, b] = completing(&mut shard);
    let lost = shard.sync(&b, 1, &[]);
    let again = shard.sync(&b, 1, &[]);
    assert_eq!(shard.synced(lost).error, ErrorCode::RebalanceInProgress);
    shard.sync(&a, 1, &[]);
    assert_eq!(shard.synced(again).error, ErrorCode::None);
}

#[test]
fn a_member_that_never_syncs_is_evicted_after_the_rebalance_timeout() {
    let mut shard = Shard::new();
    let [a, b] = completing(&mut shard);
    shard.sync(&a, 1, &[(&a, "x")]);
    // b says it is alive but never asks for its assignment.
    for _ in 0..REBALANCE_MS / 5_000 {
        assert_eq!(shard.heartbeat(&a, 1), ErrorCode::None);
        assert_eq!(shard.heartbeat(&b, 1), ErrorCode::None);
        shard.wait(5_000);
    }
    assert_eq!(shard.heartbeat(&b, 1), ErrorCode::UnknownMemberId);
    assert_eq!(shard.heartbeat(&a, 1), ErrorCode::RebalanceInProgress);
}
