//! GroupCoordinator: all groups of one shard, as a state machine over one partition of `__consumer_offsets`.
//!
//! Always: a group is in the map if it has members, offsets, ids handed out, or a record in the log; every member that
//! is not waiting here has a session timer; `undo` holds what was replayed since the log last accepted a batch.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tidemark_protocol::error_code::ErrorCode;
use tidemark_protocol::types::{Now, Offset, TimestampMs};

use super::group::Group;
use super::offsets::OffsetStore;
use super::record::{Key, parse_group, parse_key, parse_offset};
use super::request::{CommittedOffset, GroupReply, GroupRequest, JoinReply, OffsetDeleteReply, SyncReply};
use super::settings::GroupSettings;
use super::state::State;
use super::turn::{Timer, Turn};
use super::undo::Undo;
use crate::deadline::Deadlines;
use crate::machine::{CoordinatorRecord, Outcome, StateMachine, Token};

/// All groups of one shard.
pub struct GroupCoordinator {
    pub(super) settings: Arc<GroupSettings>,
    pub(super) groups: BTreeMap<Arc<str>, Group>,
    pub(super) offsets: OffsetStore,
    pub(super) timers: Deadlines<Timer>,
    undo: Vec<Undo>,
    /// The log is loaded: replayed records are our own and may have to be undone.
    is_live: bool,
}

impl GroupCoordinator {
    /// An empty shard, to be loaded by replay.
    pub fn new(settings: Arc<GroupSettings>) -> Self {
        GroupCoordinator {
            settings,
            groups: BTreeMap::new(),
            offsets: OffsetStore::default(),
            timers: Deadlines::default(),
            undo: Vec::new(),
            is_live: false,
        }
    }

    /// How many groups there are.
    pub fn group_count(&self) -> usize {
        self.groups.len()
    }

    /// Names of the topics some group has offsets of, sorted.
    pub fn topics(&self) -> Vec<Arc<str>> {
        let topics = self.offsets.groups().flat_map(|(_, kept)| kept.keys().cloned());
        topics.collect::<std::collections::BTreeSet<_>>().into_iter().collect()
    }

    /// Everything a decision about a group may touch, if there is such a group.
    pub(super) fn turn<'a>(
        &'a mut self,
        group_id: &str,
        out: &'a mut Outcome<GroupReply>,
        now: Now,
    ) -> Option<Turn<'a>> {
        let group = self.groups.get_mut(group_id)?;
        let (timers, undo, settings) = (&mut self.timers, &mut self.undo, &*self.settings);
        Some(Turn { group, timers, undo, settings, out, now })
    }

    /// Drops a group that nothing speaks for: no member, no offset, no id handed out, no record.
    pub(super) fn drop_if_void(&mut self, group_id: &str) {
        let is_void = self.groups.get(group_id).is_some_and(|group| {
            group.state() == State::Empty && !group.persisted && group.pending_members.is_empty()
        });
        if is_void && self.offsets.group(group_id).is_none() {
            self.groups.remove(group_id);
        }
    }

    fn replay_offset(
        &mut self,
        group_id: Arc<str>,
        topic: Arc<str>,
        partition: i32,
        value: Option<CommittedOffset>,
    ) {
        if value.is_some() && !self.groups.contains_key(&group_id) {
            // A simple group has no record of its own: its offsets speak for it.
            self.groups.insert(group_id.clone(), Group::new(group_id.clone(), -1));
        }
        let before = self.offsets.put(&group_id, &topic, partition, value);
        self.drop_if_void(&group_id);
        if self.is_live {
            self.undo.push(Undo::Offset { group_id, topic, partition, before });
        }
    }

    fn replay_group(&mut self, group_id: Arc<str>, value: Option<&[u8]>) {
        let Some(value) = value else {
            if let Some(mut group) = self.groups.remove(&group_id) {
                if self.offsets.group(&group_id).is_some() {
                    // Only newer offsets can speak for a group after its tombstone.
                    self.groups.insert(group_id.clone(), Group::new(group_id, -1));
                }
                if self.is_live {
                    group.persisted = true;
                    self.undo.push(Undo::Deleted(Box::new(group)));
                }
            }
            return;
        };
        let Ok(stored) = parse_group(value) else { return };
        let group = self.groups.entry(group_id.clone()).or_insert_with(|| Group::new(group_id.clone(), -1));
        if self.is_live && group.state() == State::CompletingRebalance {
            self.undo.push(Undo::Assigned { group_id, generation: stored.generation });
        }
        group.install(stored);
    }

    fn undo(&mut self, step: Undo, out: &mut Outcome<GroupReply>, now: Now) {
        match step {
            Undo::Offset { group_id, topic, partition, before } => {
                if before.is_some() && !self.groups.contains_key(&group_id) {
                    self.groups.insert(group_id.clone(), Group::new(group_id.clone(), -1));
                }
                self.offsets.put(&group_id, &topic, partition, before);
                self.drop_if_void(&group_id);
            }
            Undo::Deleted(group) => match self.groups.get_mut(&group.id) {
                // Somebody came meanwhile: the group lives on, and its generations go on from where they were.
                Some(live) if live.size() > 0 || !live.pending_members.is_empty() => {
                    live.persisted = true;
                    live.generation = live.generation.max(group.generation);
                }
                _ => {
                    self.groups.insert(group.id.clone(), *group);
                }
            },
            Undo::Assigned { group_id, generation } => {
                let Some(mut turn) = self.turn(&group_id, out, now) else { return };
                if turn.group.generation == generation {
                    turn.group.reset_assignments();
                    turn.maybe_prepare_rebalance();
                }
            }
            Undo::Replaced { group_id, instance_id, new_id, before } => {
                let Some(mut turn) = self.turn(&group_id, out, now) else { return };
                if turn.group.static_member(&instance_id) == Some(&new_id) {
                    let old_id = before.id.clone();
                    turn.timers.clear(&Timer::Session(group_id, new_id));
                    turn.group.replace_static(&instance_id, old_id.clone());
                    let waits = turn.group.member(&old_id).map(|m| (m.join, m.sync)).unwrap_or_default();
                    turn.dismiss(waits.0, waits.1, ErrorCode::UnknownMemberId, "");
                    if let Some(member) = turn.group.member_mut(&old_id) {
                        *member = *before;
                    }
                    turn.renew_session(&old_id);
                }
            }
        }
    }
}

impl StateMachine for GroupCoordinator {
    type Request = GroupRequest;
    type Reply = GroupReply;

    fn handle(&mut self, token: Token, request: GroupRequest, now: Now) -> Outcome<GroupReply> {
        let outcome = match request {
            GroupRequest::Join(request) => self.join(token, request, now),
            GroupRequest::Sync(request) => self.sync(token, request, now),
            GroupRequest::Heartbeat(request) => self.heartbeat(token, &request, now),
            GroupRequest::Leave(request) => self.leave(token, request, now),
            GroupRequest::OffsetCommit(request) => self.offset_commit(token, request, now),
            GroupRequest::OffsetFetch(request) => self.offset_fetch(token, &request),
            GroupRequest::OffsetDelete(request) => self.offset_delete(token, request),
            GroupRequest::Describe { group_id } => self.describe(token, &group_id),
            GroupRequest::List(request) => self.list(token, &request),
            GroupRequest::Delete { group_id } => self.delete(token, &group_id),
            GroupRequest::TopicsDeleted { topics } => self.topics_deleted(token, &topics),
            GroupRequest::Reconfigure(settings) => {
                self.settings = settings;
                self.timers.clear(&Timer::Expiry);
                Outcome::reply(token, GroupReply::Done(ErrorCode::None))
            }
        };
        self.schedule_expiry(!outcome.records.is_empty(), now);
        outcome
    }

    fn replay(&mut self, _offset: Offset, record: &CoordinatorRecord, _timestamp: TimestampMs) {
        match parse_key(&record.key) {
            Ok(Key::Offset { group_id, topic, partition }) => match &record.value {
                None => self.replay_offset(group_id, topic, partition, None),
                Some(value) => {
                    if let Ok(offset) = parse_offset(value) {
                        self.replay_offset(group_id, topic, partition, Some(offset));
                    }
                }
            },
            Ok(Key::Group { group_id }) => self.replay_group(group_id, record.value.as_deref()),
            // Written by software that knows more; compaction keeps it, and we let it be.
            Ok(Key::Unknown { .. }) | Err(_) => {}
        }
    }

    fn on_loaded(&mut self, now: Now) {
        self.is_live = true;
        let mut out = Outcome::none();
        for group_id in self.groups.keys().cloned().collect::<Vec<_>>() {
            let Some(mut turn) = self.turn(&group_id, &mut out, now) else { continue };
            for id in turn.group.member_ids() {
                turn.renew_session(&id);
            }
            if turn.group.size() > turn.settings.max_size {
                turn.prepare_rebalance();
            }
        }
        assert!(out.is_empty(), "nobody waits in a shard that was just loaded");
        self.schedule_expiry(false, now);
    }

    fn on_appended(&mut self) {
        self.undo.clear();
    }

    fn on_append_failed(
        &mut self,
        failed: Vec<Outcome<GroupReply>>,
        error: ErrorCode,
        now: Now,
    ) -> Vec<(Token, GroupReply)> {
        let mut out = Outcome::none();
        for step in std::mem::take(&mut self.undo).into_iter().rev() {
            self.undo(step, &mut out, now);
        }
        let replies = failed.into_iter().flat_map(|outcome| outcome.replies);
        out.replies.extend(replies.map(|(token, reply)| (token, refused(reply, error))));
        out.replies
    }

    fn uncommitted(reply: GroupReply) -> GroupReply {
        refused(reply, ErrorCode::RequestTimedOut)
    }

    fn next_deadline(&self) -> Option<Duration> {
        self.timers.next()
    }

    fn on_deadline(&mut self, now: Now) -> Outcome<GroupReply> {
        let mut out = Outcome::none();
        // Records must be replayed before the next decision about the same group: one that writes ends the round.
        while out.records.is_empty() {
            let Some(timer) = self.timers.pop_due(now.mono) else { break };
            match timer {
                Timer::Expiry => {
                    out.records.append(&mut self.expire_offsets(now));
                    self.schedule_expiry(false, now);
                }
                Timer::Session(group_id, member_id) => {
                    if let Some(mut turn) = self.turn(&group_id, &mut out, now) {
                        turn.on_session_deadline(&member_id);
                    }
                    self.drop_if_void(&group_id);
                }
                Timer::Join(group_id) => {
                    if let Some(mut turn) = self.turn(&group_id, &mut out, now) {
                        turn.on_join_deadline();
                    }
                }
                Timer::Sync(group_id) => {
                    if let Some(mut turn) = self.turn(&group_id, &mut out, now) {
                        turn.on_sync_deadline();
                    }
                }
            }
        }
        out
    }
}

/// The answer to send when the log refused what the answer tells of.
fn refused(reply: GroupReply, error: ErrorCode) -> GroupReply {
    let of_log = |too_large| match error {
        ErrorCode::UnknownTopicOrPartition
        | ErrorCode::NotEnoughReplicas
        | ErrorCode::NotEnoughReplicasAfterAppend
        | ErrorCode::RequestTimedOut => ErrorCode::CoordinatorNotAvailable,
        ErrorCode::NotLeaderOrFollower | ErrorCode::KafkaStorageError => ErrorCode::NotCoordinator,
        ErrorCode::MessageTooLarge | ErrorCode::RecordListTooLarge | ErrorCode::InvalidFetchSize => too_large,
        other => other,
    };
    let error = of_log(ErrorCode::UnknownServerError);
    match reply {
        GroupReply::Join(reply) if reply.error == ErrorCode::None => {
            GroupReply::Join(JoinReply::failed(error, ""))
        }
        GroupReply::Sync(reply) if reply.error == ErrorCode::None => {
            GroupReply::Sync(SyncReply::failed(error))
        }
        GroupReply::OffsetCommit(mut reply) => {
            let error = of_log(ErrorCode::InvalidCommitOffsetSize);
            for (_, result) in reply.topics.iter_mut().flat_map(|(_, results)| results) {
                if *result == ErrorCode::None {
                    *result = error;
                }
            }
            GroupReply::OffsetCommit(reply)
        }
        GroupReply::OffsetFetch(mut reply) => {
            // A read has only to come again. COORDINATOR_NOT_AVAILABLE never answers it in Kafka, which reads what is
            // committed, and clients give up on it.
            let error = match error {
                ErrorCode::CoordinatorNotAvailable => ErrorCode::CoordinatorLoadInProgress,
                error => error,
            };
            (reply.error, reply.topics) = (error, Vec::new());
            GroupReply::OffsetFetch(reply)
        }
        GroupReply::OffsetDelete(reply) if reply.error == ErrorCode::None => {
            GroupReply::OffsetDelete(OffsetDeleteReply { error, topics: Vec::new() })
        }
        GroupReply::Delete(ErrorCode::None) => GroupReply::Delete(error),
        GroupReply::Done(_) => GroupReply::Done(error),
        // Who left is gone whether or not that could be written; the rest tells of no record.
        reply @ (GroupReply::Join(_)
        | GroupReply::Sync(_)
        | GroupReply::Heartbeat(_)
        | GroupReply::Leave(_)
        | GroupReply::OffsetDelete(_)
        | GroupReply::Describe(_)
        | GroupReply::List(_)
        | GroupReply::Delete(_)) => reply,
    }
}
