//! Static members (KIP-345): an instance id keeps a member's place while its process restarts.

use super::*;

/// A Stable group of static members "i0", "i1", …; the first leads.
fn stable<const N: usize>(shard: &mut Shard) -> ([String; N], i32) {
    let joins: Vec<Token> = (0..N).map(|i| shard.join(Joiner::fixed(&format!("i{i}")))).collect();
    shard.wait(0);
    let replies: Vec<JoinReply> = joins.into_iter().map(|token| shard.joined(token)).collect();
    let ids: Vec<String> = replies.iter().map(|reply| reply.member_id.clone()).collect();
    let (generation, leader) = (replies[0].generation_id, replies[0].leader.clone());
    assert_eq!(leader, ids[0]);
    let plan: Vec<(&str, &str)> = ids.iter().map(|id| (id.as_str(), "part")).collect();
    for id in ids.iter().rev() {
        shard.sync(id, generation, if *id == leader { &plan } else { &[] });
    }
    (ids.try_into().unwrap(), generation)
}

#[test]
fn a_static_member_needs_no_second_join_and_is_named_after_its_instance() {
    let mut shard = Shard::new();
    let ([id], _) = stable(&mut shard);
    assert!(id.starts_with("i0-"), "{id}");
    let described = shard.describe();
    assert_eq!(described.members[0].group_instance_id.as_deref(), Some("i0"));
}

#[test]
fn a_static_follower_comes_back_without_a_rebalance() {
    let mut shard = Shard::new();
    let ([a, b], generation) = stable(&mut shard);
    let written = shard.log.len();
    let token = shard.join(Joiner::fixed("i1"));
    let reply = shard.joined(token);
    assert_eq!((reply.error, reply.generation_id, &reply.leader), (ErrorCode::None, generation, &a));
    assert_ne!(reply.member_id, b);
    assert!(reply.members.is_empty());
    assert_eq!(shard.log.len(), written + 1, "the new id is written");
    assert_eq!(shard.state(), "Stable");
    let token = shard.sync(&reply.member_id, generation, &[]);
    assert_eq!(shard.synced(token).assignment, text("part"), "the assignment stays with the instance");
}

#[test]
fn the_replaced_id_is_fenced_everywhere() {
    let mut shard = Shard::new();
    let ([_, b], generation) = stable(&mut shard);
    let token = shard.join(Joiner::fixed("i1"));
    shard.joined(token);
    assert_eq!(shard.heartbeat_as(&b, Some("i1"), generation), ErrorCode::FencedInstanceId);
    let token = shard.join(Joiner::fixed("i1").id(&b));
    assert_eq!(shard.joined(token).error, ErrorCode::FencedInstanceId);
    assert_eq!(shard.leave(&[(&b, Some("i1"))]).members[0].1, ErrorCode::FencedInstanceId);
    let request = SyncRequest {
        group_id: GROUP.into(),
        member_id: b.clone(),
        group_instance_id: Some("i1".into()),
        generation_id: generation,
        protocol_type: None,
        protocol_name: None,
        assignments: Vec::new(),
    };
    let token = shard.send(GroupRequest::Sync(request));
    assert_eq!(shard.synced(token).error, ErrorCode::FencedInstanceId);
    let mut commit = Commit::by(&b, generation, 1).request();
    commit.group_instance_id = Some("i1".into());
    let token = shard.send(GroupRequest::OffsetCommit(commit));
    let GroupReply::OffsetCommit(reply) = shard.answer(token) else { panic!("not a commit") };
    assert_eq!(reply.topics[0].1[0].1, ErrorCode::FencedInstanceId);
    assert_eq!(
        shard.heartbeat(&b, generation),
        ErrorCode::UnknownMemberId,
        "without the instance it is just unknown"
    );
}

#[test]
fn a_replacement_survives_a_change_of_coordinator() {
    let mut shard = Shard::new();
    let ([_, b], generation) = stable(&mut shard);
    let token = shard.join(Joiner::fixed("i1"));
    let new_id = shard.joined(token).member_id;
    shard.reload();
    assert_eq!(shard.heartbeat_as(&new_id, Some("i1"), generation), ErrorCode::None);
    assert_eq!(shard.heartbeat_as(&b, Some("i1"), generation), ErrorCode::FencedInstanceId);
}

#[test]
fn a_modern_static_leader_is_told_to_skip_the_assignment() {
    let mut shard = Shard::new();
    let ([_, _], generation) = stable(&mut shard);
    let token = shard.join(Joiner::fixed("i0").with(|request| request.supports_skip_assignment = true));
    let reply = shard.joined(token);
    assert_eq!((reply.generation_id, &reply.leader), (generation, &reply.member_id));
    assert!(reply.skip_assignment);
    assert_eq!(reply.members.len(), 2, "it still watches the topics of all");
}

#[test]
fn an_older_static_leader_is_told_another_leader_so_that_it_does_not_assign() {
    let mut shard = Shard::new();
    let ([a, _], _) = stable(&mut shard);
    let token = shard.join(Joiner::fixed("i0"));
    let reply = shard.joined(token);
    assert_eq!((reply.leader, reply.skip_assignment, reply.members.len()), (a, false, 0));
    assert_ne!(reply.member_id, "");
}

#[test]
fn a_static_member_that_changes_the_groups_protocol_rebalances_it() {
    let mut shard = Shard::new();
    let ([id], generation) = stable(&mut shard);
    let token = shard.join(Joiner::fixed("i0").speaks(&["sticky", "range"]));
    let reply = shard.joined(token);
    assert_eq!((reply.generation_id, reply.protocol_name.as_deref()), (generation + 1, Some("sticky")));
    assert_ne!(reply.member_id, id);
}

#[test]
fn a_static_member_that_comes_back_before_the_assignment_rebalances_the_group() {
    let mut shard = Shard::new();
    let (a, b) = (shard.join(Joiner::fixed("i0")), shard.join(Joiner::fixed("i1")));
    shard.wait(0);
    let (a, _) = (shard.joined(a), shard.joined(b));
    shard.join(Joiner::fixed("i1"));
    assert_eq!(shard.state(), "PreparingRebalance");
    assert_eq!(shard.heartbeat(&a.member_id, 1), ErrorCode::RebalanceInProgress);
}

#[test]
fn a_second_process_of_the_same_instance_fences_the_one_that_waits() {
    let mut shard = Shard::new();
    let ([a, b], _) = stable(&mut shard);
    let waiting = shard.join(Joiner::known(&a).with(|r| r.group_instance_id = Some("i0".into())));
    let newer = shard.join(Joiner::fixed("i0"));
    let reply = shard.joined(waiting);
    assert_eq!((reply.error, reply.member_id), (ErrorCode::FencedInstanceId, a));
    assert!(shard.is_waiting(newer));
    let rejoin = shard.join(Joiner::known(&b).with(|r| r.group_instance_id = Some("i1".into())));
    assert_eq!((shard.joined(newer).error, shard.joined(rejoin).error), (ErrorCode::None, ErrorCode::None));
}

#[test]
fn a_static_member_that_misses_a_rebalance_stays_until_its_session_ends() {
    let mut shard = Shard::new();
    let long = |joiner: Joiner| joiner.with(|request| request.session_timeout_ms = 100_000);
    let tokens = [shard.join(long(Joiner::fixed("i0"))), shard.join(long(Joiner::fixed("i1")))];
    shard.wait(0);
    let ids = tokens.map(|token| shard.joined(token).member_id);
    shard.sync(&ids[1], 1, &[]);
    shard.sync(&ids[0], 1, &[]);
    let rejoin = shard.join(long(Joiner::fixed("i0").id(&ids[0])));
    shard.wait(REBALANCE_MS as u64);
    assert_eq!(shard.joined(rejoin).members.len(), 2, "the other keeps its place, and may get an assignment");
    shard.sync(&ids[0], 2, &[]);
    shard.wait(39_999);
    assert_eq!(shard.describe().members.len(), 2);
}

#[test]
fn while_only_absent_static_members_are_left_the_rebalance_is_postponed() {
    let mut shard = Shard::new();
    let long = |joiner: Joiner| joiner.with(|request| request.session_timeout_ms = 100_000);
    let fixed = shard.join(long(Joiner::fixed("i0")));
    shard.wait(0);
    let fixed = shard.joined(fixed).member_id;
    shard.sync(&fixed, 1, &[]);
    let token = shard.join(Joiner::dynamic());
    assert!(shard.is_waiting(token));
    let dynamic = shard.machine.groups[GROUP].member_ids().into_iter().find(|id| **id != *fixed).unwrap();
    shard.leave(&[(&dynamic, None)]);
    assert_eq!(shard.joined(token).error, ErrorCode::UnknownMemberId);
    shard.wait(REBALANCE_MS as u64);
    assert_eq!(shard.state(), "PreparingRebalance");
    shard.wait(40_000);
    // Its session is over, and with it the group's last member.
    assert_eq!(shard.state(), "Empty");
}

#[test]
fn an_instance_id_nobody_holds_is_unknown() {
    let mut shard = Shard::new();
    let ([id], generation) = stable(&mut shard);
    assert_eq!(shard.heartbeat_as(&id, Some("other"), generation), ErrorCode::UnknownMemberId);
}
