//! Conversations with one shard: what clients ask, what they are told, what is in the log.
//!
//! [`Shard`] plays the shell with a log that accepts everything at once, and a clock that moves when told. Each file is
//! one part of the protocol; read `joins` first.

mod admin;
mod failures;
mod heartbeats;
mod joins;
mod leaving;
mod offsets;
mod random;
mod rebalances;
mod static_members;
mod syncs;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tidemark_protocol::error_code::ErrorCode;
use tidemark_protocol::types::{Now, TopicId};

use super::request::*;
use super::settings::GroupSettings;
use super::{GroupCoordinator, GroupReply, GroupRequest};
use crate::machine::{CoordinatorRecord, Outcome, StateMachine, Token};

const GROUP: &str = "g";
const SESSION_MS: i32 = 10_000;
const REBALANCE_MS: i32 = 60_000;

/// A shard, its log and its clients.
struct Shard {
    machine: GroupCoordinator,
    log: Vec<CoordinatorRecord>,
    answers: BTreeMap<Token, GroupReply>,
    now: Now,
    last_token: Token,
}

/// No initial delay: conversations about it say so.
fn settings() -> GroupSettings {
    GroupSettings { initial_rebalance_delay_ms: 0, ..GroupSettings::default() }
}

impl Shard {
    fn new() -> Self {
        Shard::with(settings())
    }

    fn with(settings: GroupSettings) -> Self {
        let now = Now { mono: Duration::from_secs(1), wall_ms: 1_000_000 };
        let mut machine = GroupCoordinator::new(Arc::new(settings));
        machine.on_loaded(now);
        Shard { machine, log: Vec::new(), answers: BTreeMap::new(), now, last_token: 0 }
    }

    /// Another node takes over: all it has is the log.
    fn reload(&mut self) {
        let mut machine = GroupCoordinator::new(self.machine.settings.clone());
        for record in &self.log {
            machine.replay(0, record, 0);
        }
        machine.on_loaded(self.now);
        self.machine = machine;
    }

    /// Sends a request; its answer is there when it is decided.
    fn send(&mut self, request: GroupRequest) -> Token {
        let token = self.token();
        let outcome = self.machine.handle(token, request, self.now);
        self.commit(outcome);
        token
    }

    fn token(&mut self) -> Token {
        self.last_token += 1;
        self.last_token
    }

    fn commit(&mut self, outcome: Outcome<GroupReply>) {
        for record in &outcome.records {
            self.machine.replay(0, record, self.now.wall_ms);
        }
        self.machine.on_appended();
        self.log.extend(outcome.records);
        for (token, reply) in outcome.replies {
            assert!(self.answers.insert(token, reply).is_none(), "token {token} is answered twice");
        }
    }

    /// Lets time pass, a deadline at a time.
    fn wait(&mut self, ms: u64) {
        let end = self.now.mono + Duration::from_millis(ms);
        while let Some(at) = self.machine.next_deadline().filter(|at| *at <= end) {
            self.set_clock(at.max(self.now.mono));
            let outcome = self.machine.on_deadline(self.now);
            self.commit(outcome);
        }
        self.set_clock(end);
    }

    fn set_clock(&mut self, mono: Duration) {
        let passed = i64::try_from((mono - self.now.mono).as_millis()).unwrap();
        self.now = Now { mono, wall_ms: self.now.wall_ms + passed };
    }

    fn is_waiting(&self, token: Token) -> bool {
        !self.answers.contains_key(&token)
    }

    fn answer(&mut self, token: Token) -> GroupReply {
        self.answers.remove(&token).unwrap_or_else(|| panic!("token {token} still waits"))
    }

    fn joined(&mut self, token: Token) -> JoinReply {
        match self.answer(token) {
            GroupReply::Join(reply) => reply,
            other => panic!("not a join: {other:?}"),
        }
    }

    fn synced(&mut self, token: Token) -> SyncReply {
        match self.answer(token) {
            GroupReply::Sync(reply) => reply,
            other => panic!("not a sync: {other:?}"),
        }
    }

    fn join(&mut self, member: Joiner) -> Token {
        let uuid = u128::from(self.last_token) + 1;
        self.send(GroupRequest::Join(member.request(uuid)))
    }

    fn sync(&mut self, member_id: &str, generation_id: i32, assignments: &[(&str, &str)]) -> Token {
        self.send(GroupRequest::Sync(SyncRequest {
            group_id: GROUP.into(),
            member_id: member_id.into(),
            group_instance_id: None,
            generation_id,
            protocol_type: None,
            protocol_name: None,
            assignments: assignments.iter().map(|(id, data)| (id.to_string(), text(data))).collect(),
        }))
    }

    fn heartbeat(&mut self, member_id: &str, generation_id: i32) -> ErrorCode {
        self.heartbeat_as(member_id, None, generation_id)
    }

    fn heartbeat_as(&mut self, member_id: &str, instance: Option<&str>, generation_id: i32) -> ErrorCode {
        let token = self.send(GroupRequest::Heartbeat(HeartbeatRequest {
            group_id: GROUP.into(),
            member_id: member_id.into(),
            group_instance_id: instance.map(str::to_owned),
            generation_id,
        }));
        match self.answer(token) {
            GroupReply::Heartbeat(error) => error,
            other => panic!("not a heartbeat: {other:?}"),
        }
    }

    fn leave(&mut self, members: &[(&str, Option<&str>)]) -> LeaveReply {
        let members = members.iter().map(|(member_id, instance)| MemberIdentity {
            member_id: member_id.to_string(),
            group_instance_id: instance.map(str::to_owned),
        });
        let request = LeaveRequest { group_id: GROUP.into(), members: members.collect() };
        let token = self.send(GroupRequest::Leave(request));
        match self.answer(token) {
            GroupReply::Leave(reply) => reply,
            other => panic!("not a leave: {other:?}"),
        }
    }

    fn describe(&mut self) -> DescribeReply {
        let token = self.send(GroupRequest::Describe { group_id: GROUP.into() });
        match self.answer(token) {
            GroupReply::Describe(reply) => reply,
            other => panic!("not a description: {other:?}"),
        }
    }

    fn state(&mut self) -> &'static str {
        self.describe().state
    }

    fn delete(&mut self) -> ErrorCode {
        let token = self.send(GroupRequest::Delete { group_id: GROUP.into() });
        match self.answer(token) {
            GroupReply::Delete(error) => error,
            other => panic!("not a delete: {other:?}"),
        }
    }

    fn commit_offset(&mut self, commit: Commit) -> ErrorCode {
        let token = self.send(GroupRequest::OffsetCommit(commit.request()));
        match self.answer(token) {
            GroupReply::OffsetCommit(reply) => reply.topics[0].1[0].1,
            other => panic!("not a commit: {other:?}"),
        }
    }

    /// The committed offset of t-0; −1 when there is none.
    fn offset(&mut self) -> i64 {
        self.offset_of("t", 0)
    }

    fn offset_of(&mut self, topic: &str, partition: i32) -> i64 {
        let topics = vec![OffsetFetchTopic {
            topic: topic.into(),
            topic_id: TopicId::ZERO,
            partitions: vec![partition],
        }];
        self.fetch(Some(topics))[0].partitions[0].offset
    }

    fn fetch(&mut self, topics: Option<Vec<OffsetFetchTopic>>) -> Vec<FetchedTopic> {
        let request = OffsetFetchRequest { group_id: GROUP.into(), require_stable: false, topics };
        let token = self.send(GroupRequest::OffsetFetch(request));
        match self.answer(token) {
            GroupReply::OffsetFetch(reply) => reply.topics,
            other => panic!("not a fetch: {other:?}"),
        }
    }

    /// A Stable group of dynamic members, by the old way of joining without an id; the first leads.
    fn stable<const N: usize>(&mut self) -> ([String; N], i32) {
        let tokens: Vec<Token> = (0..N).map(|_| self.join(Joiner::dynamic())).collect();
        self.wait(0);
        let replies: Vec<JoinReply> = tokens.into_iter().map(|token| self.joined(token)).collect();
        let generation = replies[0].generation_id;
        let mut ids: Vec<String> = replies.iter().map(|reply| reply.member_id.clone()).collect();
        let leader = replies[0].leader.clone();
        ids.sort_by_key(|id| *id != leader);
        for id in ids.iter().rev() {
            let plan: Vec<(&str, &str)> = ids.iter().map(|id| (id.as_str(), id.as_str())).collect();
            let plan = if *id == leader { plan } else { Vec::new() };
            self.sync(id, generation, &plan);
        }
        assert_eq!(self.state(), "Stable");
        (ids.try_into().expect("one id a member"), generation)
    }
}

/// How a member joins.
#[derive(Clone)]
struct Joiner {
    request: JoinRequest,
}

impl Joiner {
    /// By the old way: no id, and none is required.
    fn dynamic() -> Self {
        Joiner {
            request: JoinRequest {
                group_id: GROUP.into(),
                member_id: String::new(),
                group_instance_id: None,
                client_id: "c".into(),
                client_host: "/127.0.0.1".into(),
                session_timeout_ms: SESSION_MS,
                rebalance_timeout_ms: REBALANCE_MS,
                protocol_type: "consumer".into(),
                protocols: vec![("range".into(), subscription(&["t"]))],
                member_id_required: false,
                supports_skip_assignment: false,
                uuid: 0,
            },
        }
    }

    fn known(member_id: &str) -> Self {
        Joiner::dynamic().id(member_id)
    }

    fn fixed(instance_id: &str) -> Self {
        let mut joiner = Joiner::dynamic();
        joiner.request.group_instance_id = Some(instance_id.into());
        joiner.request.member_id_required = true;
        joiner
    }

    fn id(mut self, member_id: &str) -> Self {
        self.request.member_id = member_id.into();
        self
    }

    fn speaks(mut self, protocols: &[&str]) -> Self {
        self.request.protocols =
            protocols.iter().map(|name| (name.to_string(), subscription(&["t"]))).collect();
        self
    }

    fn subscribes(mut self, topics: &[&str]) -> Self {
        self.request.protocols = vec![("range".into(), subscription(topics))];
        self
    }

    fn of_type(mut self, protocol_type: &str) -> Self {
        self.request.protocol_type = protocol_type.into();
        self
    }

    fn with(mut self, change: impl FnOnce(&mut JoinRequest)) -> Self {
        change(&mut self.request);
        self
    }

    fn request(self, uuid: u128) -> JoinRequest {
        JoinRequest { uuid, ..self.request }
    }
}

/// An offset commit of t-0.
struct Commit {
    member_id: String,
    generation_id: i32,
    offset: i64,
    topic: &'static str,
    metadata: String,
    retention_time_ms: Option<i64>,
    group_id_not_found: bool,
    topic_id: TopicId,
}

impl Commit {
    /// From outside the group protocol.
    fn simple(offset: i64) -> Self {
        Commit::by("", -1, offset)
    }

    fn by(member_id: &str, generation_id: i32, offset: i64) -> Self {
        Commit {
            member_id: member_id.into(),
            generation_id,
            offset,
            topic: "t",
            metadata: "m".into(),
            retention_time_ms: None,
            group_id_not_found: true,
            topic_id: TopicId::ZERO,
        }
    }

    fn request(self) -> OffsetCommitRequest {
        OffsetCommitRequest {
            group_id: GROUP.into(),
            member_id: self.member_id,
            group_instance_id: None,
            generation_id: self.generation_id,
            retention_time_ms: self.retention_time_ms,
            group_id_not_found: self.group_id_not_found,
            topics: vec![OffsetCommitTopic {
                topic: self.topic.into(),
                topic_id: self.topic_id,
                partitions: vec![OffsetCommitPartition {
                    partition: 0,
                    offset: self.offset,
                    leader_epoch: 3,
                    metadata: self.metadata,
                }],
            }],
        }
    }
}

fn text(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

/// A ConsumerProtocol subscription, version 0.
fn subscription(topics: &[&str]) -> Bytes {
    let mut out = vec![0, 0];
    out.extend_from_slice(&u32::try_from(topics.len()).unwrap().to_be_bytes());
    for topic in topics {
        out.extend_from_slice(&u16::try_from(topic.len()).unwrap().to_be_bytes());
        out.extend_from_slice(topic.as_bytes());
    }
    out.extend_from_slice(&[0xff; 4]);
    out.into()
}
