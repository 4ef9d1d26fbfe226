//! One classic group: its members, its generation, and the rules that need nothing else.
//!
//! Always: `leader`, `static_members` and `pending_sync` name members; the ids in `pending_members` are not members;
//! a group without members is Empty or PreparingRebalance; the generation never goes back.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use tidemark_protocol::error_code::ErrorCode;
use tidemark_protocol::types::TimestampMs;

use super::member::{Member, MemberId};
use super::record::GroupMetadata;
use super::request::JoinMember;
use super::state::State;
use super::subscription::subscribed_topics;

/// The protocol type whose metadata the coordinator can read.
pub(super) const CONSUMER: &str = "consumer";

/// One classic group.
#[derive(Clone, Debug)]
pub(super) struct Group {
    pub id: Arc<str>,
    state: State,
    /// When it came into its state, by the wall clock; −1 unknown.
    pub state_timestamp: TimestampMs,
    pub generation: i32,
    /// `None` until the first member joins.
    pub protocol_type: Option<String>,
    /// Chosen by vote when a generation begins; `None` without members.
    pub protocol: Option<String>,
    pub leader: Option<MemberId>,
    members: BTreeMap<MemberId, Member>,
    static_members: BTreeMap<String, MemberId>,
    /// Ids handed out with MEMBER_ID_REQUIRED and not seen again yet (KIP-394).
    pub pending_members: BTreeSet<MemberId>,
    /// Members that joined this generation and have not asked for their assignment.
    pub pending_sync: BTreeSet<MemberId>,
    /// Somebody joined while the first rebalance waits for company: it may wait on.
    pub new_member_added: bool,
    /// How much longer than the running delay the first rebalance may wait, in ms; `None` outside of that wait.
    pub initial_delay_left_ms: Option<i64>,
    /// The log has a record of this group.
    pub persisted: bool,
    /// Topics of the members of this generation; `None` when unknown.
    subscribed: Option<BTreeSet<String>>,
}

impl Group {
    /// A group without members that has been for no generation.
    pub fn new(id: Arc<str>, now_ms: TimestampMs) -> Self {
        Group {
            id,
            state: State::Empty,
            state_timestamp: now_ms,
            generation: 0,
            protocol_type: None,
            protocol: None,
            leader: None,
            members: BTreeMap::new(),
            static_members: BTreeMap::new(),
            pending_members: BTreeSet::new(),
            pending_sync: BTreeSet::new(),
            new_member_added: false,
            initial_delay_left_ms: None,
            persisted: false,
            subscribed: None,
        }
    }

    pub fn state(&self) -> State {
        self.state
    }

    /// Goes to another state. An illegal step is a bug: it panics in debug and is refused in release.
    pub fn become_state(&mut self, to: State, now_ms: TimestampMs) {
        let legal = self.state.may_become(to);
        debug_assert!(legal, "group {}: {:?} to {to:?}", self.id, self.state);
        if legal {
            self.state = to;
            self.state_timestamp = now_ms;
        }
    }

    pub fn member(&self, id: &str) -> Option<&Member> {
        self.members.get(id)
    }

    pub fn member_mut(&mut self, id: &str) -> Option<&mut Member> {
        self.members.get_mut(id)
    }

    pub fn members(&self) -> impl Iterator<Item = &Member> {
        self.members.values()
    }

    pub fn member_ids(&self) -> Vec<MemberId> {
        self.members.keys().cloned().collect()
    }

    pub fn size(&self) -> usize {
        self.members.len()
    }

    pub fn is_leader(&self, id: &str) -> bool {
        self.leader.as_deref() == Some(id)
    }

    /// The member that holds a static instance id.
    pub fn static_member(&self, instance_id: &str) -> Option<&MemberId> {
        self.static_members.get(instance_id)
    }

    /// Whether the one who asks is a member, and the present holder of its instance id.
    pub fn check_member(&self, member_id: &str, instance_id: Option<&str>) -> Result<(), ErrorCode> {
        if let Some(instance_id) = instance_id {
            match self.static_member(instance_id) {
                Some(holder) if **holder != *member_id => return Err(ErrorCode::FencedInstanceId),
                Some(_) => {}
                None => return Err(ErrorCode::UnknownMemberId),
            }
        }
        if self.members.contains_key(member_id) { Ok(()) } else { Err(ErrorCode::UnknownMemberId) }
    }

    /// Whether one who offers these protocols can speak with all members there are.
    pub fn supports(&self, protocol_type: &str, protocols: &[(String, Bytes)]) -> bool {
        if self.members.is_empty() {
            return !protocol_type.is_empty() && !protocols.is_empty();
        }
        self.protocol_type.as_deref() == Some(protocol_type)
            && protocols.iter().any(|(name, _)| self.all_speak(name))
    }

    /// Adds a member; the first one leads and sets the protocol type.
    pub fn add(&mut self, member: Member, protocol_type: &str) {
        if self.members.is_empty() {
            self.protocol_type = Some(protocol_type.to_owned());
        }
        let id = member.id.clone();
        self.pending_members.remove(&id);
        if let Some(instance_id) = &member.instance_id {
            self.static_members.insert(instance_id.clone(), id.clone());
        }
        self.leader.get_or_insert_with(|| id.clone());
        self.members.insert(id, member);
    }

    /// Takes a member out; another one leads if it led.
    pub fn remove(&mut self, id: &str) -> Option<Member> {
        let member = self.members.remove(id)?;
        if let Some(instance_id) = &member.instance_id {
            self.static_members.remove(instance_id);
        }
        self.pending_sync.remove(id);
        if self.is_leader(id) {
            self.leader = self.members.keys().next().cloned();
        }
        Some(member)
    }

    /// Gives the place of a static member to a newcomer of the same instance id (KIP-345).
    pub fn replace_static(&mut self, instance_id: &str, new_id: MemberId) {
        let old_id = self.static_members.get(instance_id).cloned().expect("the caller found the instance id");
        let mut member = self.members.remove(&old_id).expect("instance ids name members");
        member.id = new_id.clone();
        if self.is_leader(&old_id) {
            self.leader = Some(new_id.clone());
        }
        if self.pending_sync.remove(&old_id) {
            self.pending_sync.insert(new_id.clone());
        }
        self.static_members.insert(instance_id.to_owned(), new_id.clone());
        self.members.insert(new_id, member);
    }

    /// How many members wait for the rebalance to complete.
    pub fn joined(&self) -> usize {
        self.members.values().filter(|member| member.join.is_some()).count()
    }

    /// Whether nobody is missing for the next generation.
    pub fn all_joined(&self) -> bool {
        self.joined() == self.members.len() && self.pending_members.is_empty()
    }

    /// Makes sure that one who joined leads; says whether there is one.
    pub fn elect_joined_leader(&mut self) -> bool {
        let leads = |member: &Member| self.leader.as_ref() == Some(&member.id) && member.join.is_some();
        if self.members.values().any(leads) {
            return true;
        }
        match self.members.values().find(|member| member.join.is_some()) {
            Some(member) => {
                self.leader = Some(member.id.clone());
                true
            }
            None => false,
        }
    }

    /// How long a rebalance waits: as long as its most patient member.
    pub fn rebalance_timeout_ms(&self) -> i32 {
        self.members.values().map(|member| member.rebalance_timeout_ms).max().unwrap_or(0)
    }

    /// The protocol with most votes among those all members speak; the leader's order breaks ties. `None` without
    /// members.
    pub fn select_protocol(&self) -> Option<String> {
        let first =
            self.leader.as_ref().and_then(|id| self.members.get(id)).or(self.members.values().next())?;
        let candidates: Vec<&str> = first
            .protocols
            .iter()
            .map(|(name, _)| name.as_str())
            .filter(|name| self.all_speak(name))
            .collect();
        let mut votes = vec![0usize; candidates.len()];
        for choice in self.members.values().filter_map(|member| member.vote(&candidates)) {
            let at = candidates.iter().position(|name| *name == choice).expect("votes are for candidates");
            votes[at] += 1;
        }
        // max_by_key keeps the last of equals, so the search runs from the leader's least wish to its first.
        let (at, _) = votes.iter().enumerate().rev().max_by_key(|(_, votes)| **votes)?;
        Some(candidates[at].to_owned())
    }

    /// Begins the next generation: with members it waits for their assignment, without it is Empty.
    pub fn next_generation(&mut self, now_ms: TimestampMs) {
        self.generation += 1;
        self.protocol = self.select_protocol();
        self.subscribed = self.compute_subscribed();
        self.initial_delay_left_ms = None;
        self.new_member_added = false;
        let next = if self.members.is_empty() { State::Empty } else { State::CompletingRebalance };
        self.become_state(next, now_ms);
    }

    /// All members with their metadata for the chosen protocol, as the leader wants them.
    pub fn join_members(&self) -> Vec<JoinMember> {
        let protocol = self.protocol.as_deref().unwrap_or_default();
        self.members
            .values()
            .map(|member| JoinMember {
                member_id: member.id.to_string(),
                group_instance_id: member.instance_id.clone(),
                metadata: member.metadata(protocol),
            })
            .collect()
    }

    /// Whether the coordinator can tell what topics it consumes.
    pub fn is_consumer_group(&self) -> bool {
        self.protocol_type.as_deref() == Some(CONSUMER)
    }

    /// The topics its members subscribe to; `None` when they cannot be known.
    pub fn subscribed(&self) -> Option<&BTreeSet<String>> {
        self.subscribed.as_ref()
    }

    /// Whether it may consume `topic`: when in doubt, a consumer group does.
    pub fn is_subscribed(&self, topic: &str) -> bool {
        match &self.subscribed {
            Some(topics) => topics.contains(topic),
            None => self.is_consumer_group(),
        }
    }

    /// As it survives, with `assignment` for each member.
    pub fn to_metadata(&self, mut assignment: impl FnMut(&Member) -> Bytes) -> GroupMetadata {
        let members = self.members.values();
        GroupMetadata {
            protocol_type: self.protocol_type.clone().unwrap_or_default(),
            generation: self.generation,
            protocol: self.protocol.clone(),
            leader: self.leader.as_ref().map(|leader| leader.to_string()),
            state_timestamp: self.state_timestamp,
            members: members.map(|m| m.to_metadata(self.protocol.as_deref(), assignment(m))).collect(),
        }
    }

    /// Takes over what the log says. Members that are here already keep what does not survive: their waiting
    /// requests and the other protocols they speak.
    pub fn install(&mut self, stored: GroupMetadata) {
        self.persisted = true;
        self.generation = stored.generation;
        self.protocol_type = Some(stored.protocol_type).filter(|name| !name.is_empty());
        self.protocol = stored.protocol;
        self.leader = stored.leader.map(MemberId::from);
        self.state = if stored.members.is_empty() { State::Empty } else { State::Stable };
        self.state_timestamp = stored.state_timestamp;
        let mut before = std::mem::take(&mut self.members);
        self.static_members.clear();
        for member in stored.members {
            let mut restored = Member::from_metadata(member, self.protocol.as_deref());
            if let Some(live) = before.remove(&restored.id) {
                restored = restored.with_live(live, self.protocol.as_deref());
            }
            if let Some(instance_id) = &restored.instance_id {
                self.static_members.insert(instance_id.clone(), restored.id.clone());
            }
            self.members.insert(restored.id.clone(), restored);
        }
        debug_assert!(
            before.values().all(|gone| gone.join.is_none() && gone.sync.is_none()),
            "a request is lost"
        );
        self.pending_sync.retain(|id| self.members.contains_key(id));
        self.subscribed = self.compute_subscribed();
    }

    /// Forgets all assignments: the log refused them.
    pub fn reset_assignments(&mut self) {
        for member in self.members.values_mut() {
            member.assignment = Bytes::new();
        }
    }

    fn all_speak(&self, protocol: &str) -> bool {
        self.members.values().all(|member| member.protocols.iter().any(|(name, _)| name == protocol))
    }

    fn compute_subscribed(&self) -> Option<BTreeSet<String>> {
        if !self.is_consumer_group() {
            return None;
        }
        let Some(protocol) = &self.protocol else {
            return self.members.is_empty().then(BTreeSet::new);
        };
        let mut topics = BTreeSet::new();
        for member in self.members.values() {
            topics.append(&mut subscribed_topics(&member.metadata(protocol))?);
        }
        Some(topics)
    }
}
