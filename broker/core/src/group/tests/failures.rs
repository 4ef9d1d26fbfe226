//! What the log refuses has not happened.

use super::*;

impl Shard {
    /// Sends requests whose records the log then refuses as one batch.
    fn send_refused(&mut self, requests: Vec<GroupRequest>, error: ErrorCode) -> Vec<Token> {
        let mut failed = Vec::new();
        let mut tokens = Vec::new();
        for request in requests {
            let token = self.token();
            let outcome = self.machine.handle(token, request, self.now);
            for record in &outcome.records {
                self.machine.replay(0, record, self.now.wall_ms);
            }
            failed.push(outcome);
            tokens.push(token);
        }
        for (token, reply) in self.machine.on_append_failed(failed, error, self.now) {
            assert!(self.answers.insert(token, reply).is_none(), "token {token} is answered twice");
        }
        tokens
    }
}

fn commit_request(offset: i64) -> GroupRequest {
    GroupRequest::OffsetCommit(Commit::simple(offset).request())
}

#[test]
fn a_refused_commit_leaves_the_older_offset() {
    let mut shard = Shard::new();
    shard.commit_offset(Commit::simple(1));
    let tokens = shard.send_refused(vec![commit_request(2), commit_request(3)], ErrorCode::NotEnoughReplicas);
    for token in tokens {
        let GroupReply::OffsetCommit(reply) = shard.answer(token) else { panic!("not a commit") };
        assert_eq!(reply.topics[0].1, [(0, ErrorCode::CoordinatorNotAvailable)]);
    }
    assert_eq!(shard.offset(), 1);
}

#[test]
fn a_refused_first_commit_leaves_no_group() {
    let mut shard = Shard::new();
    shard.send_refused(vec![commit_request(2)], ErrorCode::KafkaStorageError);
    assert_eq!((shard.offset(), shard.machine.group_count()), (-1, 0));
}

#[test]
fn errors_of_the_log_are_told_as_errors_of_the_coordinator() {
    use ErrorCode::*;
    let cases = [
        (UnknownTopicOrPartition, CoordinatorNotAvailable),
        (NotEnoughReplicas, CoordinatorNotAvailable),
        (NotEnoughReplicasAfterAppend, CoordinatorNotAvailable),
        (RequestTimedOut, CoordinatorNotAvailable),
        (NotLeaderOrFollower, NotCoordinator),
        (KafkaStorageError, NotCoordinator),
        (MessageTooLarge, InvalidCommitOffsetSize),
        (RecordListTooLarge, InvalidCommitOffsetSize),
        (UnknownServerError, UnknownServerError),
    ];
    for (log, told) in cases {
        let mut shard = Shard::new();
        let token = shard.send_refused(vec![commit_request(1)], log)[0];
        let GroupReply::OffsetCommit(reply) = shard.answer(token) else { panic!("not a commit") };
        assert_eq!(reply.topics[0].1, [(0, told)], "{log:?}");
    }
}

#[test]
fn a_read_that_saw_a_refused_commit_is_refused_too() {
    let mut shard = Shard::new();
    let read = OffsetFetchRequest { group_id: GROUP.into(), require_stable: false, topics: None };
    let requests = vec![commit_request(1), GroupRequest::OffsetFetch(read)];
    let tokens = shard.send_refused(requests, ErrorCode::NotLeaderOrFollower);
    let GroupReply::OffsetFetch(reply) = shard.answer(tokens[1]) else { panic!("not a fetch") };
    assert_eq!((reply.error, reply.topics.len()), (ErrorCode::NotCoordinator, 0));
}

#[test]
fn a_read_is_told_to_come_again_when_replicas_are_missing() {
    let mut shard = Shard::new();
    let read = OffsetFetchRequest { group_id: GROUP.into(), require_stable: false, topics: None };
    let requests = vec![commit_request(1), GroupRequest::OffsetFetch(read)];
    let tokens = shard.send_refused(requests, ErrorCode::NotEnoughReplicas);
    let GroupReply::OffsetFetch(reply) = shard.answer(tokens[1]) else { panic!("not a fetch") };
    assert_eq!(reply.error, ErrorCode::CoordinatorLoadInProgress);
}

#[test]
fn a_refused_assignment_rebalances_the_group() {
    let mut shard = Shard::new();
    let (a, b) = (shard.join(Joiner::dynamic()), shard.join(Joiner::dynamic()));
    shard.wait(0);
    let (a, b) = (shard.joined(a).member_id, shard.joined(b).member_id);
    let follower = shard.sync(&b, 1, &[]);
    let leader = GroupRequest::Sync(SyncRequest {
        group_id: GROUP.into(),
        member_id: a.clone(),
        group_instance_id: None,
        generation_id: 1,
        protocol_type: None,
        protocol_name: None,
        assignments: vec![(b.clone(), text("x"))],
    });
    let leader = shard.send_refused(vec![leader], ErrorCode::NotEnoughReplicas)[0];
    assert_eq!(shard.synced(leader), SyncReply::failed(ErrorCode::CoordinatorNotAvailable));
    assert_eq!(shard.synced(follower), SyncReply::failed(ErrorCode::CoordinatorNotAvailable));
    assert_eq!(shard.state(), "PreparingRebalance");
    let (ra, rb) = (shard.join(Joiner::known(&a)), shard.join(Joiner::known(&b)));
    assert_eq!((shard.joined(ra).generation_id, shard.joined(rb).generation_id), (2, 2));
}

#[test]
fn a_refused_replacement_of_a_static_member_gives_the_place_back() {
    let mut shard = Shard::new();
    let token = shard.join(Joiner::fixed("i"));
    shard.wait(0);
    let id = shard.joined(token).member_id;
    shard.sync(&id, 1, &[(&id, "part")]);
    let newer = GroupRequest::Join(Joiner::fixed("i").request(77));
    let token = shard.send_refused(vec![newer], ErrorCode::NotEnoughReplicas)[0];
    assert_eq!(shard.joined(token).error, ErrorCode::CoordinatorNotAvailable);
    assert_eq!(shard.heartbeat_as(&id, Some("i"), 1), ErrorCode::None);
    let again = shard.sync(&id, 1, &[]);
    assert_eq!(shard.synced(again).assignment, text("part"));
    shard.wait(SESSION_MS as u64);
    assert_eq!(shard.state(), "Empty", "its session runs on");
}

#[test]
fn a_refused_delete_brings_the_group_back() {
    let mut shard = Shard::new();
    let ([a], generation) = shard.stable();
    shard.commit_offset(Commit::by(&a, generation, 7));
    shard.leave(&[(&a, None)]);
    let delete = GroupRequest::Delete { group_id: GROUP.into() };
    let token = shard.send_refused(vec![delete], ErrorCode::RequestTimedOut)[0];
    assert_eq!(shard.answer(token), GroupReply::Delete(ErrorCode::CoordinatorNotAvailable));
    assert_eq!((shard.offset(), shard.state()), (7, "Empty"));
    let ([_], next) = shard.stable();
    assert!(next > generation);
}

#[test]
fn a_leave_holds_even_if_it_cannot_be_written() {
    let mut shard = Shard::new();
    let ([a], generation) = shard.stable();
    let member = MemberIdentity { member_id: a.clone(), group_instance_id: None };
    let leave = GroupRequest::Leave(LeaveRequest { group_id: GROUP.into(), members: vec![member] });
    let token = shard.send_refused(vec![leave], ErrorCode::NotEnoughReplicas)[0];
    let GroupReply::Leave(reply) = shard.answer(token) else { panic!("not a leave") };
    assert_eq!(reply.members[0].1, ErrorCode::None);
    assert_eq!(shard.heartbeat(&a, generation), ErrorCode::UnknownMemberId);
    // The log still has the member: a node that loads it lets the session run out.
    shard.reload();
    shard.wait(SESSION_MS as u64);
    assert_eq!(shard.state(), "Empty");
}
