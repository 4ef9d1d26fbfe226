//! SyncGroup, Heartbeat and LeaveGroup: getting an assignment, staying, going.

use std::collections::BTreeMap;

use bytes::Bytes;
use tidemark_protocol::error_code::ErrorCode;
use tidemark_protocol::types::Now;

use super::coordinator::GroupCoordinator;
use super::member::MemberId;
use super::record::group_record;
use super::request::{
    GroupReply, HeartbeatRequest, LeaveReply, LeaveRequest, MemberIdentity, SyncReply, SyncRequest,
};
use super::state::State;
use super::turn::Turn;
use crate::machine::{Outcome, Token};

impl GroupCoordinator {
    /// Decides about a sync: an answer now, or the request waits until the leader's assignment is in the log.
    pub(super) fn sync(&mut self, token: Token, request: SyncRequest, now: Now) -> Outcome<GroupReply> {
        let refuse = |error| Outcome::reply(token, GroupReply::Sync(SyncReply::failed(error)));
        if request.group_id.is_empty() {
            return refuse(ErrorCode::InvalidGroupId);
        }
        let mut out = Outcome::none();
        let Some(mut turn) = self.turn(&request.group_id, &mut out, now) else {
            return refuse(ErrorCode::UnknownMemberId);
        };
        if let Err(error) = turn.check_sync(&request) {
            return refuse(error);
        }
        let id = MemberId::from(request.member_id.as_str());
        match turn.group.state() {
            State::Empty => return refuse(ErrorCode::UnknownMemberId),
            State::PreparingRebalance => return refuse(ErrorCode::RebalanceInProgress),
            State::CompletingRebalance => turn.wait_for_assignment(token, &id, request),
            State::Stable => turn.replay_assignment(token, &id),
        }
        out
    }

    /// Answers a sign of life.
    pub(super) fn heartbeat(
        &mut self,
        token: Token,
        request: &HeartbeatRequest,
        now: Now,
    ) -> Outcome<GroupReply> {
        let answer = |error| Outcome::reply(token, GroupReply::Heartbeat(error));
        if request.group_id.is_empty() {
            return answer(ErrorCode::InvalidGroupId);
        }
        let mut out = Outcome::none();
        let Some(mut turn) = self.turn(&request.group_id, &mut out, now) else {
            return answer(ErrorCode::UnknownMemberId);
        };
        if let Err(error) = turn.group.check_member(&request.member_id, request.group_instance_id.as_deref())
        {
            return answer(error);
        }
        if request.generation_id != turn.group.generation {
            return answer(ErrorCode::IllegalGeneration);
        }
        let error = match turn.group.state() {
            State::Empty => ErrorCode::UnknownMemberId,
            State::PreparingRebalance => ErrorCode::RebalanceInProgress,
            State::CompletingRebalance | State::Stable => ErrorCode::None,
        };
        turn.renew_session(&MemberId::from(request.member_id.as_str()));
        answer(error)
    }

    /// Lets members go, by their own wish or an operator's.
    pub(super) fn leave(&mut self, token: Token, request: LeaveRequest, now: Now) -> Outcome<GroupReply> {
        let mut reply = LeaveReply { error: ErrorCode::None, members: Vec::new() };
        if request.group_id.is_empty() {
            reply.error = ErrorCode::InvalidGroupId;
            return Outcome::reply(token, GroupReply::Leave(reply));
        }
        let mut out = Outcome::none();
        for identity in request.members {
            let error = match self.turn(&request.group_id, &mut out, now) {
                Some(mut turn) => turn.leave(&identity),
                None => ErrorCode::UnknownMemberId,
            };
            reply.members.push((identity, error));
        }
        self.drop_if_void(&request.group_id);
        out.replies.push((token, GroupReply::Leave(reply)));
        out
    }
}

impl Turn<'_> {
    fn check_sync(&self, request: &SyncRequest) -> Result<(), ErrorCode> {
        self.group.check_member(&request.member_id, request.group_instance_id.as_deref())?;
        if request.generation_id != self.group.generation {
            return Err(ErrorCode::IllegalGeneration);
        }
        let differs = |asked: &Option<String>, ours: &Option<String>| asked.is_some() && asked != ours;
        let mismatch = differs(&request.protocol_type, &self.group.protocol_type)
            || differs(&request.protocol_name, &self.group.protocol);
        if mismatch { Err(ErrorCode::InconsistentGroupProtocol) } else { Ok(()) }
    }

    /// Parks a sync. The leader's brings the assignment: it is written, and everybody who waits is answered once it is
    /// committed.
    fn wait_for_assignment(&mut self, token: Token, id: &MemberId, request: SyncRequest) {
        self.group.pending_sync.remove(id);
        let member = self.group.member_mut(id).expect("the sync was checked");
        if let Some(before) = member.sync.replace(token) {
            self.refuse_sync(before, ErrorCode::RebalanceInProgress);
        }
        if !self.group.is_leader(id) {
            return;
        }
        let assignments: BTreeMap<String, Bytes> = request.assignments.into_iter().collect();
        let of = |member_id: &str| assignments.get(member_id).cloned().unwrap_or_default();
        let stored = self.group.to_metadata(|member| of(&member.id));
        self.out.records.push(group_record(&self.group.id, &stored));
        for id in self.group.member_ids() {
            let Some(token) = self.group.member_mut(&id).and_then(|member| member.sync.take()) else {
                continue;
            };
            self.renew_session(&id);
            let reply = self.assignment_reply(of(&id));
            self.reply(token, reply);
        }
    }

    /// The generation is settled: the member gets what it was given, once that is committed.
    fn replay_assignment(&mut self, token: Token, id: &MemberId) {
        self.group.pending_sync.remove(id);
        self.renew_session(id);
        let assignment = self.group.member(id).map(|member| member.assignment.clone()).unwrap_or_default();
        let reply = self.assignment_reply(assignment);
        self.reply(token, reply);
        self.out.barrier = true;
    }

    fn assignment_reply(&self, assignment: Bytes) -> GroupReply {
        GroupReply::Sync(SyncReply {
            error: ErrorCode::None,
            protocol_type: self.group.protocol_type.clone(),
            protocol_name: self.group.protocol.clone(),
            assignment,
        })
    }

    fn leave(&mut self, identity: &MemberIdentity) -> ErrorCode {
        let instance_id = identity.group_instance_id.as_deref();
        let id = if identity.member_id.is_empty() {
            // An operator names static members by their instance id alone.
            match instance_id.and_then(|instance_id| self.group.static_member(instance_id)) {
                Some(id) => id.clone(),
                None => return ErrorCode::UnknownMemberId,
            }
        } else {
            MemberId::from(identity.member_id.as_str())
        };
        if self.group.pending_members.contains(&id) {
            self.remove_pending(&id);
            return ErrorCode::None;
        }
        if let Err(error) = self.group.check_member(&id, instance_id) {
            return error;
        }
        self.remove_member(&id);
        ErrorCode::None
    }
}
