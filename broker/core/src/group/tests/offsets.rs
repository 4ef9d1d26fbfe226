//! Offsets: who may commit, what is told, how they end.

use uuid::Uuid;

use super::*;

const DAY_MS: u64 = 24 * 3_600_000;

fn id(id: u128) -> TopicId {
    TopicId(Uuid::from_u128(id))
}

#[test]
fn a_member_commits_and_reads_back() {
    let mut shard = Shard::new();
    let ([a], generation) = shard.stable();
    assert_eq!(shard.commit_offset(Commit::by(&a, generation, 42)), ErrorCode::None);
    let topics = shard.fetch(None);
    let expected = FetchedOffset {
        partition: 0,
        offset: 42,
        leader_epoch: 3,
        metadata: "m".into(),
        error: ErrorCode::None,
    };
    assert_eq!(topics[0].partitions, [expected]);
    shard.reload();
    assert_eq!(shard.offset(), 42);
}

#[test]
fn a_read_of_offsets_waits_for_what_is_uncommitted() {
    let mut shard = Shard::new();
    let request = OffsetFetchRequest { group_id: GROUP.into(), require_stable: false, topics: None };
    assert!(shard.machine.handle(1, GroupRequest::OffsetFetch(request), shard.now).barrier);
}

#[test]
fn an_offset_nobody_committed_is_minus_one_and_no_error() {
    let mut shard = Shard::new();
    assert_eq!(shard.fetch(None), []);
    let asked = vec![OffsetFetchTopic { topic: "t".into(), topic_id: TopicId::ZERO, partitions: vec![7] }];
    let expected = FetchedOffset {
        partition: 7,
        offset: -1,
        leader_epoch: -1,
        metadata: String::new(),
        error: ErrorCode::None,
    };
    assert_eq!(shard.fetch(Some(asked))[0].partitions, [expected]);
}

#[test]
fn a_consumer_outside_the_protocol_commits_to_a_group_without_members() {
    let mut shard = Shard::new();
    assert_eq!(shard.commit_offset(Commit::simple(5)), ErrorCode::None);
    assert_eq!((shard.offset(), shard.state()), (5, "Empty"));
    shard.reload();
    assert_eq!((shard.offset(), shard.state()), (5, "Empty"));
}

#[test]
fn a_consumer_outside_the_protocol_may_not_disturb_members() {
    let mut shard = Shard::new();
    let ([a], _) = shard.stable();
    assert_eq!(shard.commit_offset(Commit::simple(5)), ErrorCode::UnknownMemberId);
    shard.leave(&[(&a, None)]);
    assert_eq!(shard.commit_offset(Commit::simple(5)), ErrorCode::None);
}

#[test]
fn a_commit_is_checked_against_the_group() {
    let mut shard = Shard::new();
    assert_eq!(shard.commit_offset(Commit::by("a", 1, 0)), ErrorCode::GroupIdNotFound);
    let old = Commit { group_id_not_found: false, ..Commit::by("a", 1, 0) };
    assert_eq!(shard.commit_offset(old), ErrorCode::IllegalGeneration);
    let ([a], generation) = shard.stable();
    assert_eq!(shard.commit_offset(Commit::by("nobody", generation, 0)), ErrorCode::UnknownMemberId);
    assert_eq!(shard.commit_offset(Commit::by(&a, generation + 1, 0)), ErrorCode::IllegalGeneration);
    assert_eq!(shard.commit_offset(Commit::by(&a, -1, 0)), ErrorCode::IllegalGeneration);
    assert_eq!(shard.offset(), -1, "nothing was kept");
}

#[test]
fn a_commit_is_good_while_members_gather_but_not_while_they_wait_for_assignments() {
    let mut shard = Shard::new();
    let ([a, b], generation) = shard.stable();
    let rejoin = shard.join(Joiner::known(&a));
    assert_eq!(shard.state(), "PreparingRebalance");
    assert_eq!(shard.commit_offset(Commit::by(&b, generation, 9)), ErrorCode::None);
    shard.join(Joiner::known(&b));
    let next = shard.joined(rejoin).generation_id;
    assert_eq!(shard.commit_offset(Commit::by(&b, next, 10)), ErrorCode::RebalanceInProgress);
    assert_eq!(shard.commit_offset(Commit::by(&b, generation, 10)), ErrorCode::IllegalGeneration);
}

#[test]
fn a_note_that_is_too_long_refuses_its_partition_only() {
    let mut shard = Shard::new();
    let mut request = Commit::simple(1).request();
    let too_long =
        OffsetCommitPartition { partition: 1, offset: 1, leader_epoch: -1, metadata: "x".repeat(4_097) };
    request.topics[0].partitions.push(too_long);
    let token = shard.send(GroupRequest::OffsetCommit(request));
    let GroupReply::OffsetCommit(reply) = shard.answer(token) else { panic!("not a commit") };
    assert_eq!(reply.topics[0].1, [(0, ErrorCode::None), (1, ErrorCode::OffsetMetadataTooLarge)]);
    assert_eq!((shard.offset_of("t", 0), shard.offset_of("t", 1)), (1, -1));
}

#[test]
fn offsets_of_a_topic_made_again_under_its_name_are_not_told() {
    let mut shard = Shard::new();
    shard.commit_offset(Commit { topic_id: id(1), ..Commit::simple(5) });
    let ask = |topic_id| Some(vec![OffsetFetchTopic { topic: "t".into(), topic_id, partitions: vec![0] }]);
    assert_eq!(shard.fetch(ask(id(1)))[0].partitions[0].offset, 5);
    assert_eq!(shard.fetch(ask(TopicId::ZERO))[0].partitions[0].offset, 5);
    assert_eq!(shard.fetch(ask(id(2)))[0].partitions[0].offset, -1);
}

#[test]
fn offsets_of_an_emptied_group_expire_with_the_group() {
    let mut shard = Shard::new();
    let ([a], generation) = shard.stable();
    shard.commit_offset(Commit::by(&a, generation, 1));
    shard.leave(&[(&a, None)]);
    shard.wait(7 * DAY_MS - 60_000);
    assert_eq!(shard.offset(), 1, "not yet");
    shard.wait(700_000);
    assert_eq!((shard.offset(), shard.state()), (-1, "Dead"));
    shard.reload();
    assert_eq!((shard.offset(), shard.machine.group_count()), (-1, 0));
}

#[test]
fn the_clock_of_a_group_starts_when_it_becomes_empty() {
    let mut shard = Shard::new();
    let ([a], generation) = shard.stable();
    shard.commit_offset(Commit::by(&a, generation, 1));
    for _ in 0..8 * DAY_MS / 9_000 {
        shard.wait(9_000);
        assert_eq!(shard.heartbeat(&a, generation), ErrorCode::None);
    }
    assert_eq!(shard.offset(), 1, "older than the retention, and in use");
    shard.leave(&[(&a, None)]);
    shard.wait(6 * DAY_MS);
    assert_eq!(shard.offset(), 1);
}

#[test]
fn offsets_of_a_simple_group_expire_by_their_commit() {
    let mut shard = Shard::new();
    shard.commit_offset(Commit::simple(1));
    shard.wait(4 * DAY_MS);
    shard.commit_offset(Commit { topic: "u", ..Commit::simple(2) });
    shard.wait(4 * DAY_MS);
    assert_eq!((shard.offset_of("t", 0), shard.offset_of("u", 0)), (-1, 2));
}

#[test]
fn a_consumer_group_forgets_topics_it_no_longer_consumes() {
    let mut shard = Shard::new();
    let ([a], generation) = shard.stable();
    shard.commit_offset(Commit::by(&a, generation, 1));
    shard.commit_offset(Commit { topic: "u", ..Commit::by(&a, generation, 1) });
    for _ in 0..8 * DAY_MS / 9_000 {
        shard.wait(9_000);
        shard.heartbeat(&a, generation);
    }
    assert_eq!((shard.offset_of("t", 0), shard.offset_of("u", 0)), (1, -1));
}

#[test]
fn a_commit_may_bring_its_own_retention() {
    let mut shard = Shard::new();
    shard.commit_offset(Commit { retention_time_ms: Some(1_000), ..Commit::simple(1) });
    shard.wait(700_000);
    assert_eq!(shard.offset(), -1);
    shard.commit_offset(Commit { retention_time_ms: Some(10 * DAY_MS as i64), ..Commit::simple(1) });
    shard.wait(8 * DAY_MS);
    assert_eq!(shard.offset(), 1);
}

#[test]
fn a_pass_over_old_offsets_writes_a_bounded_batch() {
    let mut shard = Shard::new();
    let mut request = Commit::simple(1).request();
    let partition = request.topics[0].partitions[0].clone();
    request.topics[0].partitions =
        (0..2_500).map(|index| OffsetCommitPartition { partition: index, ..partition.clone() }).collect();
    shard.send(GroupRequest::OffsetCommit(request));
    shard.set_clock(shard.now.mono + Duration::from_millis(8 * DAY_MS));
    let outcome = shard.machine.on_deadline(shard.now);
    assert_eq!(outcome.records.len(), 1_000);
    shard.commit(outcome);
    shard.wait(1_000);
    assert_eq!(shard.machine.group_count(), 0);
}

#[test]
fn offsets_go_with_their_topic() {
    let mut shard = Shard::new();
    shard.commit_offset(Commit::simple(1));
    shard.commit_offset(Commit { topic: "u", ..Commit::simple(2) });
    assert_eq!(shard.machine.topics(), ["t".into(), "u".into()]);
    let token = shard
        .send(GroupRequest::TopicsDeleted { topics: vec![("t".into(), id(1)), ("never".into(), id(2))] });
    assert_eq!(shard.answer(token), GroupReply::Done(ErrorCode::None));
    assert_eq!((shard.offset_of("t", 0), shard.offset_of("u", 0)), (-1, 2));
    shard.reload();
    assert_eq!((shard.offset_of("t", 0), shard.offset_of("u", 0)), (-1, 2));
}

#[test]
fn offsets_of_a_new_topic_stay_when_the_old_one_of_its_name_goes() {
    let mut shard = Shard::new();
    shard.commit_offset(Commit { topic_id: id(2), ..Commit::simple(1) });
    shard.send(GroupRequest::TopicsDeleted { topics: vec![("t".into(), id(1))] });
    assert_eq!(shard.offset(), 1);
}

fn delete_offsets(shard: &mut Shard, topic: &str) -> OffsetDeleteReply {
    let request = OffsetDeleteRequest { group_id: GROUP.into(), topics: vec![(topic.into(), vec![0])] };
    let token = shard.send(GroupRequest::OffsetDelete(request));
    match shard.answer(token) {
        GroupReply::OffsetDelete(reply) => reply,
        other => panic!("not a delete: {other:?}"),
    }
}

#[test]
fn offsets_of_a_topic_nobody_consumes_can_be_deleted() {
    let mut shard = Shard::new();
    let ([a], generation) = shard.stable();
    shard.commit_offset(Commit::by(&a, generation, 1));
    shard.commit_offset(Commit { topic: "u", ..Commit::by(&a, generation, 2) });
    assert_eq!(delete_offsets(&mut shard, "t").topics[0].1, [(0, ErrorCode::GroupSubscribedToTopic)]);
    assert_eq!(delete_offsets(&mut shard, "u").topics[0].1, [(0, ErrorCode::None)]);
    assert_eq!((shard.offset_of("t", 0), shard.offset_of("u", 0)), (1, -1));
}

#[test]
fn metadata_that_cannot_be_read_protects_all_offsets() {
    let mut shard = Shard::new();
    let token = shard.join(Joiner::dynamic().with(|r| r.protocols = vec![("range".into(), text("?"))]));
    shard.wait(0);
    let id = shard.joined(token).member_id;
    shard.sync(&id, 1, &[]);
    shard.commit_offset(Commit::by(&id, 1, 1));
    assert_eq!(delete_offsets(&mut shard, "t").topics[0].1, [(0, ErrorCode::GroupSubscribedToTopic)]);
}

#[test]
fn offsets_of_other_kinds_of_groups_are_deleted_only_when_empty() {
    let mut shard = Shard::new();
    assert_eq!(delete_offsets(&mut shard, "t").error, ErrorCode::GroupIdNotFound);
    let token = shard.join(Joiner::dynamic().of_type("connect"));
    shard.wait(0);
    let id = shard.joined(token).member_id;
    assert_eq!(delete_offsets(&mut shard, "t").error, ErrorCode::NonEmptyGroup);
    shard.leave(&[(&id, None)]);
    assert_eq!(delete_offsets(&mut shard, "t").error, ErrorCode::None);
}
