//! LeaveGroup: one member, several, by id or by instance.

use super::*;

#[test]
fn a_leave_rebalances_the_others_at_once() {
    let mut shard = Shard::new();
    let ([a, b], generation) = shard.stable();
    assert_eq!(shard.leave(&[(&a, None)]).members[0].1, ErrorCode::None);
    assert_eq!(shard.heartbeat(&b, generation), ErrorCode::RebalanceInProgress);
    let rejoin = shard.join(Joiner::known(&b));
    assert_eq!(shard.joined(rejoin).leader, b);
}

#[test]
fn the_last_to_leave_empties_the_group_and_that_is_written() {
    let mut shard = Shard::new();
    let ([a], _) = shard.stable();
    let written = shard.log.len();
    shard.leave(&[(&a, None)]);
    assert_eq!((shard.state(), shard.log.len()), ("Empty", written + 1));
}

#[test]
fn each_member_of_a_batch_has_its_own_result() {
    let mut shard = Shard::new();
    let ([a, b], _) = shard.stable();
    let reply = shard.leave(&[(&a, None), ("nobody", None), (&b, None), (&a, None), ("", Some("i"))]);
    let errors: Vec<ErrorCode> = reply.members.iter().map(|(_, error)| *error).collect();
    let (ok, unknown) = (ErrorCode::None, ErrorCode::UnknownMemberId);
    assert_eq!(reply.error, ErrorCode::None);
    assert_eq!(errors, [ok, unknown, ok, unknown, unknown]);
    assert_eq!(shard.state(), "Empty");
}

#[test]
fn an_operator_removes_static_members_by_instance_id() {
    let mut shard = Shard::new();
    let token = shard.join(Joiner::fixed("i0"));
    shard.wait(0);
    shard.joined(token);
    assert_eq!(shard.leave(&[("", Some("i0"))]).members[0].1, ErrorCode::None);
    assert_eq!(shard.state(), "Empty");
}

#[test]
fn an_id_that_was_handed_out_can_be_given_back() {
    let mut shard = Shard::new();
    let joiner = Joiner::dynamic().with(|request| request.member_id_required = true);
    let token = shard.join(joiner.clone());
    let id = shard.joined(token).member_id;
    assert_eq!(shard.leave(&[(&id, None)]).members[0].1, ErrorCode::None);
    let token = shard.join(joiner.id(&id));
    assert_eq!(shard.joined(token).error, ErrorCode::UnknownMemberId);
}

#[test]
fn a_leave_frees_the_join_that_waits() {
    let mut shard = Shard::new();
    let ([a, b], generation) = shard.stable();
    let waiting = shard.join(Joiner::known(&a));
    shard.leave(&[(&a, None)]);
    assert_eq!(shard.joined(waiting).error, ErrorCode::UnknownMemberId);
    assert_eq!(shard.heartbeat(&b, generation), ErrorCode::RebalanceInProgress);
}

#[test]
fn a_leave_of_an_unknown_group_names_each_member_unknown() {
    let mut shard = Shard::new();
    let reply = shard.leave(&[("a", None)]);
    assert_eq!((reply.error, reply.members[0].1), (ErrorCode::None, ErrorCode::UnknownMemberId));
    let request = LeaveRequest { group_id: String::new(), members: Vec::new() };
    let token = shard.send(GroupRequest::Leave(request));
    let expected = LeaveReply { error: ErrorCode::InvalidGroupId, members: Vec::new() };
    assert_eq!(shard.answer(token), GroupReply::Leave(expected));
}
