//! JoinGroup: how one becomes a member.

use super::*;

#[test]
fn the_first_member_leads_and_sees_all_members() {
    let mut shard = Shard::new();
    let token = shard.join(Joiner::dynamic());
    assert!(shard.is_waiting(token), "the answer waits for the rebalance");
    shard.wait(0);
    let reply = shard.joined(token);
    assert_eq!((reply.error, reply.generation_id), (ErrorCode::None, 1));
    assert_eq!(reply.protocol_type.as_deref(), Some("consumer"));
    assert_eq!(reply.protocol_name.as_deref(), Some("range"));
    assert_eq!(reply.leader, reply.member_id);
    assert!(reply.member_id.starts_with("c-"), "a member id begins with the client id");
    assert_eq!(reply.members.len(), 1);
    assert_eq!(reply.members[0].metadata, subscription(&["t"]));
    assert_eq!(shard.state(), "CompletingRebalance");
}

#[test]
fn only_the_leader_is_told_the_members() {
    let mut shard = Shard::new();
    let (a, b) = (shard.join(Joiner::dynamic()), shard.join(Joiner::dynamic()));
    shard.wait(0);
    let (a, b) = (shard.joined(a), shard.joined(b));
    assert_eq!(a.leader, b.leader);
    assert_eq!(a.leader, a.member_id, "who came first leads");
    assert_eq!((a.members.len(), b.members.len()), (2, 0));
}

#[test]
fn a_modern_client_is_given_an_id_and_must_come_back_with_it() {
    let mut shard = Shard::new();
    let joiner = Joiner::dynamic().with(|request| request.member_id_required = true);
    let first = shard.join(joiner.clone());
    let reply = shard.joined(first);
    assert_eq!((reply.error, reply.generation_id), (ErrorCode::MemberIdRequired, -1));
    assert!(reply.member_id.starts_with("c-"));
    let second = shard.join(joiner.id(&reply.member_id));
    shard.wait(0);
    let joined = shard.joined(second);
    assert_eq!((joined.error, joined.member_id), (ErrorCode::None, reply.member_id));
}

#[test]
fn an_id_that_is_not_used_is_forgotten_after_the_session_timeout() {
    let mut shard = Shard::new();
    let joiner = Joiner::dynamic().with(|request| request.member_id_required = true);
    let token = shard.join(joiner.clone());
    let id = shard.joined(token).member_id;
    shard.wait(SESSION_MS as u64);
    let late = shard.join(joiner.id(&id));
    assert_eq!(shard.joined(late).error, ErrorCode::UnknownMemberId);
    assert_eq!(shard.machine.group_count(), 0, "nothing speaks for the group any more");
}

#[test]
fn an_id_given_out_holds_the_rebalance_until_it_joins_or_expires() {
    let mut shard = Shard::new();
    let ([a], generation) = shard.stable();
    let token = shard.join(Joiner::dynamic().with(|request| request.member_id_required = true));
    let id = shard.joined(token).member_id;
    assert_eq!(shard.heartbeat(&a, generation), ErrorCode::None, "a pending id is no reason to rebalance");
    let rejoin = shard.join(Joiner::known(&a));
    assert!(shard.is_waiting(rejoin), "somebody is on the way");
    let newcomer = shard.join(Joiner::known(&id));
    assert_eq!(shard.joined(rejoin).generation_id, 2);
    assert_eq!(shard.joined(newcomer).generation_id, 2);
}

#[test]
fn the_first_join_waits_for_company() {
    let mut shard = Shard::with(GroupSettings { initial_rebalance_delay_ms: 3_000, ..settings() });
    let a = shard.join(Joiner::dynamic());
    shard.wait(2_000);
    let b = shard.join(Joiner::dynamic());
    shard.wait(1_000);
    assert!(shard.is_waiting(a), "b came during the delay, so it is extended once");
    shard.wait(3_000);
    assert_eq!((shard.joined(a).generation_id, shard.joined(b).generation_id), (1, 1));
}

#[test]
fn the_initial_delay_never_exceeds_the_rebalance_timeout() {
    let mut shard = Shard::with(GroupSettings { initial_rebalance_delay_ms: 3_000, ..settings() });
    let patient = |ms| Joiner::dynamic().with(|request| request.rebalance_timeout_ms = ms);
    let first = shard.join(patient(5_000));
    shard.wait(2_500);
    shard.join(patient(5_000));
    shard.wait(2_000);
    shard.join(patient(5_000));
    assert!(shard.is_waiting(first));
    shard.wait(500);
    assert_eq!(shard.joined(first).members.len(), 3);
}

#[test]
fn requests_that_make_no_sense_are_refused_with_kafkas_error() {
    let mut shard = Shard::new();
    let cases = [
        (Joiner::dynamic().with(|r| r.group_id = String::new()), ErrorCode::InvalidGroupId),
        (Joiner::dynamic().with(|r| r.session_timeout_ms = 5_999), ErrorCode::InvalidSessionTimeout),
        (Joiner::dynamic().with(|r| r.session_timeout_ms = 1_800_001), ErrorCode::InvalidSessionTimeout),
        (Joiner::known("nobody"), ErrorCode::UnknownMemberId),
        (Joiner::dynamic().of_type(""), ErrorCode::InconsistentGroupProtocol),
        (Joiner::dynamic().speaks(&[]), ErrorCode::InconsistentGroupProtocol),
        (Joiner::dynamic().with(|r| r.client_id = "x".repeat(40_000)), ErrorCode::InvalidRequest),
    ];
    for (joiner, error) in cases {
        let token = shard.join(joiner);
        let reply = shard.joined(token);
        assert_eq!((reply.error, reply.generation_id, reply.leader.as_str()), (error, -1, ""));
    }
    assert_eq!(shard.machine.group_count(), 0, "a refused join leaves nothing behind");
}

#[test]
fn a_member_must_speak_what_all_others_speak() {
    let mut shard = Shard::new();
    shard.stable::<1>();
    let token = shard.join(Joiner::dynamic().speaks(&["sticky"]));
    assert_eq!(shard.joined(token).error, ErrorCode::InconsistentGroupProtocol);
    let token = shard.join(Joiner::dynamic().of_type("connect"));
    assert_eq!(shard.joined(token).error, ErrorCode::InconsistentGroupProtocol);
    let token = shard.join(Joiner::dynamic().speaks(&["sticky", "range"]));
    assert!(shard.is_waiting(token));
}

#[test]
fn the_protocol_is_chosen_by_vote_among_the_common_ones() {
    let mut shard = Shard::new();
    let tokens = [
        shard.join(Joiner::dynamic().speaks(&["range", "roundrobin", "sticky"])),
        shard.join(Joiner::dynamic().speaks(&["own", "roundrobin", "range"])),
        shard.join(Joiner::dynamic().speaks(&["roundrobin", "range"])),
    ];
    shard.wait(0);
    for token in tokens {
        assert_eq!(shard.joined(token).protocol_name.as_deref(), Some("roundrobin"));
    }
}

#[test]
fn a_tied_vote_goes_by_the_leaders_wish() {
    let mut shard = Shard::new();
    let leader = shard.join(Joiner::dynamic().speaks(&["b", "a"]));
    shard.join(Joiner::dynamic().speaks(&["a", "b"]));
    shard.wait(0);
    assert_eq!(shard.joined(leader).protocol_name.as_deref(), Some("b"));
}

#[test]
fn groups_of_any_protocol_type_are_coordinated() {
    for protocol_type in ["connect", "sr", "anything"] {
        let mut shard = Shard::new();
        let metadata = vec![("v0".to_owned(), text("opaque"))];
        let token = shard.join(Joiner::dynamic().of_type(protocol_type).with(|r| r.protocols = metadata));
        shard.wait(0);
        let reply = shard.joined(token);
        assert_eq!(reply.protocol_type.as_deref(), Some(protocol_type));
        assert_eq!(reply.members[0].metadata, text("opaque"));
    }
}

#[test]
fn a_full_group_takes_nobody_and_tells_no_id() {
    let mut shard = Shard::with(GroupSettings { max_size: 1, ..settings() });
    let ([a], generation) = shard.stable();
    let token = shard.join(Joiner::dynamic());
    let reply = shard.joined(token);
    assert_eq!((reply.error, reply.member_id.as_str()), (ErrorCode::GroupMaxSizeReached, ""));
    assert_eq!(shard.heartbeat(&a, generation), ErrorCode::None, "those inside do not notice");
}

#[test]
fn a_group_above_a_lowered_limit_shrinks_to_it() {
    let mut shard = Shard::new();
    let ([a, b], _) = shard.stable();
    shard.send(GroupRequest::Reconfigure(Arc::new(GroupSettings { max_size: 1, ..settings() })));
    let first = shard.join(Joiner::known(&a));
    let second = shard.join(Joiner::known(&b));
    assert_eq!(shard.joined(second).error, ErrorCode::GroupMaxSizeReached);
    assert_eq!(shard.joined(first).members.len(), 1);
}
