//! JoinGroup: who may become a member, and what a rejoin means in each state.

use bytes::Bytes;
use tidemark_protocol::error_code::ErrorCode;
use tidemark_protocol::types::Now;
use uuid::Uuid;

use super::coordinator::GroupCoordinator;
use super::group::Group;
use super::member::{Member, MemberId};
use super::record::{STRING_BYTES_MAX, group_record};
use super::request::{GroupReply, JoinReply, JoinRequest};
use super::state::State;
use super::turn::{Timer, Turn};
use super::undo::Undo;
use crate::machine::{Outcome, Token};

/// Ids handed out and not seen again yet that one group remembers: a client that never comes back with its id must not
/// fill the memory before they expire.
const PENDING_MEMBERS_MAX: usize = 10_000;

impl GroupCoordinator {
    /// Decides about a join: an answer now, or the request waits in its member until the rebalance completes.
    pub(super) fn join(&mut self, token: Token, request: JoinRequest, now: Now) -> Outcome<GroupReply> {
        let refuse =
            |error| Outcome::reply(token, GroupReply::Join(JoinReply::failed(error, &*request.member_id)));
        if let Err(error) = self.check_join(&request) {
            return refuse(error);
        }
        if !self.groups.contains_key(&*request.group_id) {
            if !request.member_id.is_empty() {
                return refuse(ErrorCode::UnknownMemberId);
            }
            let group = Group::new(request.group_id.as_str().into(), now.wall_ms);
            self.groups.insert(group.id.clone(), group);
        }
        let group_id = request.group_id.clone();
        let mut out = Outcome::none();
        let mut turn = self.turn(&group_id, &mut out, now).expect("the group was made above");
        turn.join(token, request);
        turn.try_complete_join();
        self.drop_if_void(&group_id);
        out
    }

    /// What can be said without looking at the group.
    fn check_join(&self, request: &JoinRequest) -> Result<(), ErrorCode> {
        if request.group_id.is_empty() {
            return Err(ErrorCode::InvalidGroupId);
        }
        let bounds = self.settings.min_session_timeout_ms..=self.settings.max_session_timeout_ms;
        if !bounds.contains(&request.session_timeout_ms) {
            return Err(ErrorCode::InvalidSessionTimeout);
        }
        // A new member id is made of the client's or instance's id, so these leave room for the uuid.
        let texts = [&request.group_id, &request.member_id, &request.client_host, &request.protocol_type];
        let sources = [Some(&request.client_id), request.group_instance_id.as_ref()];
        let too_long = texts.iter().any(|text| text.len() > STRING_BYTES_MAX)
            || sources.into_iter().flatten().any(|text| text.len() > STRING_BYTES_MAX - 64)
            || request.protocols.iter().any(|(name, _)| name.len() > STRING_BYTES_MAX);
        if too_long { Err(ErrorCode::InvalidRequest) } else { Ok(()) }
    }
}

impl Turn<'_> {
    fn join(&mut self, token: Token, request: JoinRequest) {
        if !self.has_room_for(&request.member_id) {
            let id = MemberId::from(request.member_id.as_str());
            if self.group.member(&id).is_some() {
                self.remove_member(&id);
            }
            return self.refuse_join(token, ErrorCode::GroupMaxSizeReached, "");
        }
        if !self.group.supports(&request.protocol_type, &request.protocols) {
            return self.refuse_join(token, ErrorCode::InconsistentGroupProtocol, &request.member_id);
        }
        if request.member_id.is_empty() {
            self.join_new(token, request);
        } else {
            self.join_known(token, request);
        }
    }

    /// Whether the group may hold the one who asks. While members gather, those who joined are counted, so that a
    /// group above a lowered limit shrinks to it.
    fn has_room_for(&self, member_id: &str) -> bool {
        let limit = self.settings.max_size;
        match self.group.state() {
            State::Empty => true,
            State::PreparingRebalance => {
                let waits = self.group.member(member_id).is_some_and(|member| member.join.is_some());
                waits || self.group.joined() < limit
            }
            State::CompletingRebalance | State::Stable => {
                self.group.member(member_id).is_some() || self.group.size() < limit
            }
        }
    }

    fn join_new(&mut self, token: Token, request: JoinRequest) {
        let stem = request.group_instance_id.as_deref().unwrap_or(&request.client_id);
        let id = MemberId::from(format!("{stem}-{}", Uuid::from_u128(request.uuid).hyphenated()));
        match request
            .group_instance_id
            .as_deref()
            .and_then(|instance| self.group.static_member(instance))
            .cloned()
        {
            Some(old_id) => self.replace_static(token, &old_id, id, request),
            None if request.group_instance_id.is_none() && request.member_id_required => {
                if self.group.pending_members.len() >= PENDING_MEMBERS_MAX {
                    return self.refuse_join(token, ErrorCode::GroupMaxSizeReached, "");
                }
                self.group.pending_members.insert(id.clone());
                self.watch(&id, request.session_timeout_ms);
                self.refuse_join(token, ErrorCode::MemberIdRequired, &id);
            }
            None => {
                let protocol_type = request.protocol_type.clone();
                self.add_member(new_member(id, token, request), &protocol_type);
            }
        }
    }

    fn join_known(&mut self, token: Token, request: JoinRequest) {
        let id = MemberId::from(request.member_id.as_str());
        if self.group.pending_members.contains(&id) && request.group_instance_id.is_none() {
            let protocol_type = request.protocol_type.clone();
            return self.add_member(new_member(id, token, request), &protocol_type);
        }
        if let Err(error) = self.group.check_member(&id, request.group_instance_id.as_deref()) {
            return self.refuse_join(token, error, &id);
        }
        let same = self.group.member(&id).is_some_and(|member| member.offers(&request.protocols));
        let replay = match self.group.state() {
            // A repeat of a join whose answer got lost.
            State::CompletingRebalance => same,
            // The leader rejoins to assign anew; a follower only when it has something new to say.
            State::Stable => same && !self.group.is_leader(&id),
            State::Empty | State::PreparingRebalance => false,
        };
        if replay {
            let reply = self.generation_reply(&id);
            self.renew_session(&id);
            self.reply(token, GroupReply::Join(reply));
        } else {
            self.update_member(token, &id, request);
            self.maybe_prepare_rebalance();
        }
    }

    /// A member joins again: its newest request waits, an older one that still waits is dismissed.
    fn update_member(&mut self, token: Token, id: &MemberId, request: JoinRequest) {
        let member = self.group.member_mut(id).expect("the caller found the member");
        member.protocols = owned(request.protocols);
        member.session_timeout_ms = request.session_timeout_ms;
        member.rebalance_timeout_ms = request.rebalance_timeout_ms;
        let before = member.join.replace(token);
        let sync = member.sync.take();
        self.dismiss(before, sync, ErrorCode::RebalanceInProgress, id);
    }

    /// A static member came back without its id: it takes its old place, and the old id is fenced. When the group
    /// would choose the same protocol again nobody else needs to know.
    fn replace_static(&mut self, token: Token, old_id: &MemberId, id: MemberId, request: JoinRequest) {
        let instance_id = request.group_instance_id.clone().expect("static members have an instance id");
        let skip = request.supports_skip_assignment;
        let old_leader = self.group.leader.as_deref().unwrap_or_default().to_owned();
        let mut before = self.group.member(old_id).expect("instance ids name members").clone();
        self.dismiss(before.join.take(), before.sync.take(), ErrorCode::FencedInstanceId, old_id);
        self.timers.clear(&Timer::Session(self.group.id.clone(), old_id.clone()));
        self.group.replace_static(&instance_id, id.clone());
        let member = self.group.member_mut(&id).expect("it was just put there");
        (member.join, member.sync) = (None, None);
        self.update_member(token, &id, request);
        self.renew_session(&id);
        match self.group.state() {
            State::Stable if self.group.select_protocol() == self.group.protocol => {
                if let Some(member) = self.group.member_mut(&id) {
                    member.join = None;
                }
                let mut reply = self.generation_reply(&id);
                if skip {
                    reply.skip_assignment = self.group.is_leader(&id);
                } else {
                    // Told another leader, an old client does not compute an assignment that nobody would take.
                    (reply.leader, reply.members) = (old_leader, Vec::new());
                }
                self.reply(token, GroupReply::Join(reply));
                let stored = self.group.to_metadata(|member| member.assignment.clone());
                self.out.records.push(group_record(&self.group.id, &stored));
                let (group_id, before) = (self.group.id.clone(), Box::new(before));
                self.undo.push(Undo::Replaced { group_id, instance_id, new_id: id, before });
            }
            // The leader may be assigning to the old id.
            State::Stable | State::CompletingRebalance => self.prepare_rebalance(),
            State::Empty | State::PreparingRebalance => {}
        }
    }
}

fn new_member(id: MemberId, token: Token, request: JoinRequest) -> Member {
    Member {
        id,
        instance_id: request.group_instance_id,
        client_id: request.client_id,
        client_host: request.client_host,
        session_timeout_ms: request.session_timeout_ms,
        rebalance_timeout_ms: request.rebalance_timeout_ms,
        protocols: owned(request.protocols),
        assignment: Bytes::new(),
        join: Some(token),
        sync: None,
        is_new: true,
    }
}

/// Copies what is kept, so that a few bytes do not hold a whole network buffer.
fn owned(protocols: Vec<(String, Bytes)>) -> Vec<(String, Bytes)> {
    protocols.into_iter().map(|(name, metadata)| (name, Bytes::copy_from_slice(&metadata))).collect()
}
