//! DescribeGroups, ListGroups, DeleteGroups.

use super::*;

fn list(shard: &mut Shard, states: &[&str], types: &[&str]) -> Vec<GroupListing> {
    let owned = |names: &[&str]| names.iter().map(|name| name.to_string()).collect();
    let token = shard.send(GroupRequest::List(ListRequest { states: owned(states), types: owned(types) }));
    match shard.answer(token) {
        GroupReply::List(listings) => listings,
        other => panic!("not a list: {other:?}"),
    }
}

#[test]
fn a_stable_group_is_described_with_metadata_and_assignments() {
    let mut shard = Shard::new();
    let ([a], _) = shard.stable();
    let reply = shard.describe();
    assert_eq!((reply.error, reply.state), (ErrorCode::None, "Stable"));
    assert_eq!((reply.protocol_type.as_str(), reply.protocol.as_str()), ("consumer", "range"));
    let member = &reply.members[0];
    assert_eq!((member.client_id.as_str(), member.client_host.as_str()), ("c", "/127.0.0.1"));
    assert_eq!((&member.member_id, &member.metadata), (&a, &subscription(&["t"])));
    assert_eq!(member.assignment, text(&a));
}

#[test]
fn an_unsettled_group_is_described_without_them() {
    let mut shard = Shard::new();
    let ([a], _) = shard.stable();
    shard.join(Joiner::known(&a));
    let reply = shard.describe();
    assert_eq!((reply.state, reply.protocol.as_str()), ("CompletingRebalance", ""));
    assert_eq!((reply.members[0].metadata.len(), reply.members[0].assignment.len()), (0, 0));
}

#[test]
fn an_unknown_group_is_dead() {
    let reply = Shard::new().describe();
    assert_eq!((reply.error, reply.state, reply.members.len()), (ErrorCode::GroupIdNotFound, "Dead", 0));
}

#[test]
fn groups_are_listed_by_state_and_type_whatever_the_case() {
    let mut shard = Shard::new();
    shard.stable::<1>();
    let listing = GroupListing {
        group_id: GROUP.into(),
        protocol_type: "consumer".into(),
        state: "Stable",
        group_type: "classic",
    };
    assert_eq!(list(&mut shard, &[], &[]), std::slice::from_ref(&listing));
    assert_eq!(list(&mut shard, &["sTABLE", "Empty"], &["Classic"]), [listing]);
    assert_eq!(list(&mut shard, &["Empty"], &[]), []);
    assert_eq!(list(&mut shard, &[], &["consumer"]), []);
}

#[test]
fn only_an_empty_group_can_be_deleted_and_its_offsets_go_with_it() {
    let mut shard = Shard::new();
    assert_eq!(shard.delete(), ErrorCode::GroupIdNotFound);
    let ([a], generation) = shard.stable();
    shard.commit_offset(Commit::by(&a, generation, 1));
    assert_eq!(shard.delete(), ErrorCode::NonEmptyGroup);
    shard.leave(&[(&a, None)]);
    assert_eq!(shard.delete(), ErrorCode::None);
    assert_eq!((shard.offset(), shard.state()), (-1, "Dead"));
    shard.reload();
    assert_eq!((shard.offset(), shard.machine.group_count()), (-1, 0));
}

#[test]
fn a_group_of_offsets_alone_can_be_deleted() {
    let mut shard = Shard::new();
    shard.commit_offset(Commit::simple(1));
    assert_eq!(shard.delete(), ErrorCode::None);
    assert_eq!((shard.offset(), shard.machine.group_count()), (-1, 0));
}

#[test]
fn records_of_newer_kinds_are_skipped_when_loading() {
    let mut shard = Shard::new();
    shard.commit_offset(Commit::simple(1));
    let newer =
        CoordinatorRecord { key: Bytes::from_static(b"\0\x05x"), value: Some(Bytes::from_static(b"?")) };
    let broken = CoordinatorRecord { key: Bytes::from_static(b"\0\x01"), value: None };
    shard.log.splice(0..0, [newer, broken]);
    shard.reload();
    assert_eq!((shard.offset(), shard.machine.group_count()), (1, 1));
}

#[test]
fn a_shard_without_groups_waits_for_nothing() {
    let mut shard = Shard::new();
    assert_eq!(shard.machine.next_deadline(), None);
    shard.commit_offset(Commit::simple(1));
    assert!(shard.machine.next_deadline().is_some());
    shard.delete();
    shard.wait(600_000);
    assert_eq!(shard.machine.next_deadline(), None);
}
