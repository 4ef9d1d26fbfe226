//! One decision about one group: the rebalance, and the timers and answers that go with it.
//!
//! A rebalance begins by waiting for joins ([`Turn::prepare_rebalance`]), ends by a new generation
//! ([`Turn::complete_join`]), and is settled when the leader's assignment is in the log (see `membership.rs`). Only soft
//! state changes here; the one record written is that of a group that became empty.

use std::sync::Arc;
use std::time::Duration;

use tidemark_protocol::error_code::ErrorCode;
use tidemark_protocol::types::Now;

use super::group::Group;
use super::member::{Member, MemberId};
use super::record::group_record;
use super::request::{GroupReply, JoinReply, SyncReply};
use super::settings::GroupSettings;
use super::state::State;
use super::undo::Undo;
use crate::deadline::Deadlines;
use crate::machine::{Outcome, Token};

/// A member that waits in its first join can give no other sign of life, so its wait ends here: the client's own request
/// timeout is shorter, and without a bound, retries of lost requests would pile up as members (Kafka's value).
const NEW_MEMBER_JOIN_TIMEOUT: Duration = Duration::from_secs(300);
/// A rebalance nobody joined is tried again, but not more often than this, whatever timeout members claim.
const POSTPONE_MIN: Duration = Duration::from_millis(100);

/// What a shard waits for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timer {
    /// A member, or one with a pending id, is silent for too long.
    Session(Arc<str>, MemberId),
    /// The rebalance has waited long enough for joins.
    Join(Arc<str>),
    /// Members of the generation have had time enough to ask for their assignment.
    Sync(Arc<str>),
    /// Old offsets are looked for.
    Expiry,
}

/// Everything a decision about one group may touch.
pub(super) struct Turn<'a> {
    pub group: &'a mut Group,
    pub timers: &'a mut Deadlines<Timer>,
    pub undo: &'a mut Vec<Undo>,
    pub settings: &'a GroupSettings,
    pub out: &'a mut Outcome<GroupReply>,
    pub now: Now,
}

impl Turn<'_> {
    /// Answers a waiting request.
    pub fn reply(&mut self, token: Token, reply: GroupReply) {
        self.out.replies.push((token, reply));
    }

    /// Answers a join with an error.
    pub fn refuse_join(&mut self, token: Token, error: ErrorCode, member_id: &str) {
        self.reply(token, GroupReply::Join(JoinReply::failed(error, member_id)));
    }

    /// Answers a sync with an error.
    pub fn refuse_sync(&mut self, token: Token, error: ErrorCode) {
        self.reply(token, GroupReply::Sync(SyncReply::failed(error)));
    }

    /// A member gave a sign of life: its session starts anew.
    pub fn renew_session(&mut self, member_id: &MemberId) {
        if let Some(member) = self.group.member(member_id) {
            let timeout = Duration::from_millis(u64::try_from(member.session_timeout_ms).unwrap_or(0));
            self.timers
                .set(Timer::Session(self.group.id.clone(), member_id.clone()), self.now.mono + timeout);
        }
    }

    /// Watches somebody who is not a full member yet.
    pub fn watch(&mut self, member_id: &MemberId, timeout_ms: i32) {
        let timeout = Duration::from_millis(u64::try_from(timeout_ms).unwrap_or(0));
        self.timers.set(Timer::Session(self.group.id.clone(), member_id.clone()), self.now.mono + timeout);
    }

    /// A new member joins and waits; its first join may wait long.
    pub fn add_member(&mut self, member: Member, protocol_type: &str) {
        let id = member.id.clone();
        if self.group.state() == State::PreparingRebalance && self.group.generation == 0 {
            self.group.new_member_added = true;
        }
        self.group.add(member, protocol_type);
        self.timers.set(Timer::Session(self.group.id.clone(), id), self.now.mono + NEW_MEMBER_JOIN_TIMEOUT);
        self.maybe_prepare_rebalance();
    }

    /// Begins a rebalance unless one has begun.
    pub fn maybe_prepare_rebalance(&mut self) {
        if self.group.state() != State::PreparingRebalance {
            self.prepare_rebalance();
        }
    }

    /// Begins a rebalance: who waits for an assignment is sent to join again, and all others learn by their heartbeat.
    pub fn prepare_rebalance(&mut self) {
        if self.group.state() == State::CompletingRebalance {
            self.abandon_sync();
        }
        self.group.pending_sync.clear();
        self.timers.clear(&Timer::Sync(self.group.id.clone()));
        let patience = i64::from(self.group.rebalance_timeout_ms()).max(0);
        let delay_ms = if self.group.state() == State::Empty {
            // The first of an empty group waits for company, so that a group that starts does not rebalance for each.
            let delay = i64::from(self.settings.initial_rebalance_delay_ms).max(0);
            self.group.initial_delay_left_ms = Some((patience - delay).max(0));
            delay
        } else {
            patience
        };
        self.group.become_state(State::PreparingRebalance, self.now.wall_ms);
        self.set_join_timer(delay_ms);
    }

    /// Ends the rebalance if everybody is here. During the initial delay only time ends it.
    pub fn try_complete_join(&mut self) {
        let waiting =
            self.group.state() == State::PreparingRebalance && self.group.initial_delay_left_ms.is_none();
        if waiting && self.group.all_joined() {
            self.complete_join();
        }
    }

    /// The wait for joins is over.
    pub fn on_join_deadline(&mut self) {
        if self.group.state() != State::PreparingRebalance {
            return;
        }
        match self.group.initial_delay_left_ms {
            Some(left) if left > 0 && self.group.new_member_added => {
                let delay = left.min(i64::from(self.settings.initial_rebalance_delay_ms).max(0));
                self.group.new_member_added = false;
                self.group.initial_delay_left_ms = Some(left - delay);
                self.set_join_timer(delay);
            }
            _ => {
                self.group.initial_delay_left_ms = None;
                self.complete_join();
            }
        }
    }

    /// Starts the next generation with those who joined. Dynamic members who did not are gone; static ones stay until
    /// their session ends (KIP-345).
    fn complete_join(&mut self) {
        for id in self.group.member_ids() {
            let late = self.group.member(&id).is_some_and(|m| m.join.is_none() && m.instance_id.is_none());
            if late {
                self.forget(&id);
            }
        }
        if self.group.size() > 0 && !self.group.elect_joined_leader() {
            let patience =
                Duration::from_millis(u64::try_from(self.group.rebalance_timeout_ms()).unwrap_or(0));
            let at = self.now.mono + patience.max(POSTPONE_MIN);
            self.timers.set(Timer::Join(self.group.id.clone()), at);
            return;
        }
        self.timers.clear(&Timer::Join(self.group.id.clone()));
        self.group.next_generation(self.now.wall_ms);
        if self.group.state() == State::Empty {
            let stored = self.group.to_metadata(|member| member.assignment.clone());
            self.out.records.push(group_record(&self.group.id, &stored));
        } else {
            self.tell_generation();
        }
    }

    /// Answers every waiting join; from now on each member has the rebalance timeout to ask for its assignment.
    fn tell_generation(&mut self) {
        for id in self.group.member_ids() {
            let Some(member) = self.group.member_mut(&id) else { continue };
            member.is_new = false;
            let token = member.join.take();
            self.group.pending_sync.insert(id.clone());
            self.renew_session(&id);
            if let Some(token) = token {
                let reply = self.generation_reply(&id);
                self.reply(token, GroupReply::Join(reply));
            }
        }
        let patience = Duration::from_millis(u64::try_from(self.group.rebalance_timeout_ms()).unwrap_or(0));
        self.timers.set(Timer::Sync(self.group.id.clone()), self.now.mono + patience);
    }

    /// The present generation as a member is told it; only the leader is told the members.
    pub fn generation_reply(&self, member_id: &str) -> JoinReply {
        let leads = self.group.is_leader(member_id);
        JoinReply {
            error: ErrorCode::None,
            generation_id: self.group.generation,
            protocol_type: self.group.protocol_type.clone(),
            protocol_name: self.group.protocol.clone(),
            leader: self.group.leader.as_deref().unwrap_or_default().to_owned(),
            skip_assignment: false,
            member_id: member_id.to_owned(),
            members: if leads { self.group.join_members() } else { Vec::new() },
        }
    }

    /// Members that never asked for their assignment are gone, and the others rebalance.
    pub fn on_sync_deadline(&mut self) {
        let settled = !matches!(self.group.state(), State::CompletingRebalance | State::Stable);
        if settled || self.group.pending_sync.is_empty() {
            return;
        }
        for id in std::mem::take(&mut self.group.pending_sync) {
            self.forget(&id);
        }
        self.maybe_prepare_rebalance();
        self.try_complete_join();
    }

    /// Nothing was heard of a member, or of a pending id, for too long.
    pub fn on_session_deadline(&mut self, member_id: &MemberId) {
        if self.group.pending_members.contains(member_id) {
            self.remove_pending(member_id);
        } else if self.group.member(member_id).is_some_and(|member| !member.may_be_silent()) {
            self.remove_member(member_id);
        }
    }

    /// Takes a member out and lets the others rebalance.
    pub fn remove_member(&mut self, member_id: &MemberId) {
        self.forget(member_id);
        match self.group.state() {
            State::Empty => {}
            State::Stable | State::CompletingRebalance => {
                self.maybe_prepare_rebalance();
                self.try_complete_join();
            }
            State::PreparingRebalance => self.try_complete_join(),
        }
    }

    /// An id that was handed out will not be used.
    pub fn remove_pending(&mut self, member_id: &MemberId) {
        self.group.pending_members.remove(member_id);
        self.timers.clear(&Timer::Session(self.group.id.clone(), member_id.clone()));
        self.try_complete_join();
    }

    /// Drops a member and its timer; a request of its that waits here is told to start over.
    fn forget(&mut self, member_id: &MemberId) {
        self.timers.clear(&Timer::Session(self.group.id.clone(), member_id.clone()));
        let Some(member) = self.group.remove(member_id) else { return };
        self.dismiss(member.join, member.sync, ErrorCode::UnknownMemberId, "");
    }

    /// Answers what waits of a member with an error.
    pub fn dismiss(&mut self, join: Option<Token>, sync: Option<Token>, error: ErrorCode, member_id: &str) {
        if let Some(token) = join {
            self.refuse_join(token, error, member_id);
        }
        if let Some(token) = sync {
            self.refuse_sync(token, error);
        }
    }

    /// Everybody who waits for an assignment of this generation is told that it will not come.
    fn abandon_sync(&mut self) {
        for id in self.group.member_ids() {
            let token = self.group.member_mut(&id).and_then(|member| member.sync.take());
            if let Some(token) = token {
                self.refuse_sync(token, ErrorCode::RebalanceInProgress);
                self.renew_session(&id);
            }
        }
    }

    fn set_join_timer(&mut self, delay_ms: i64) {
        let delay = Duration::from_millis(u64::try_from(delay_ms).unwrap_or(0));
        self.timers.set(Timer::Join(self.group.id.clone()), self.now.mono + delay);
    }
}
