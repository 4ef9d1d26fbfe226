//! [`Progress`]: how far the members of the quorum are, which only its leader knows; any node asks it.
//!
//! A member has caught up at the last moment at which it was seen to have all that the leader had. The leader looks about
//! once a second, and whenever somebody asks; what it saw belongs to its term.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tidemark_protocol::types::TimestampMs;

use super::peers::{Peers, leader_address};
use super::quorum::{Quorum, RaftId};
use crate::clock::Clock;
use crate::peer::call::Message;
use crate::peer::{Call, Purpose};

/// How long the leader may take to tell; the answer then says only what this node knows.
const TELL_PATIENCE: Duration = Duration::from_secs(2);

/// The quorum as its leader knows it, or as a follower does.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuorumState {
    /// Who leads, if that is known.
    pub leader: Option<RaftId>,
    /// Its term.
    pub term: u64,
    /// End of what is committed, exclusive.
    pub committed_end: u64,
    /// Members of which anything is known.
    pub members: BTreeMap<RaftId, MemberState>,
}

/// One member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberState {
    /// End of its log, exclusive.
    pub log_end: u64,
    /// When it was heard of last; −1 for never.
    pub last_heard: TimestampMs,
    /// When it had last all that the leader had; −1 for never.
    pub last_caught_up: TimestampMs,
}

#[derive(Debug, Serialize, Deserialize)]
struct Describe;

impl Call for Describe {
    const KIND: u8 = 25;
    const NAME: &'static str = "describe quorum";
    /// `None` from whoever does not lead.
    type Answer = Option<QuorumState>;
}

/// What the leader has seen, and the way to it for everybody else.
pub struct Progress {
    quorum: Arc<dyn Quorum>,
    peers: Peers,
    clock: Clock,
    seen: Mutex<Seen>,
}

/// When members had caught up, in one term.
#[derive(Default)]
struct Seen {
    term: u64,
    caught_up: BTreeMap<RaftId, TimestampMs>,
}

impl Progress {
    /// Nothing is seen yet; other nodes are answered from now on.
    pub(super) fn serve(peers: &Peers, quorum: &Arc<dyn Quorum>, clock: Clock) -> Arc<Progress> {
        let (quorum, peers) = (Arc::clone(quorum), peers.clone());
        let progress = Arc::new(Progress { quorum, peers, clock, seen: Mutex::default() });
        let own = Arc::clone(&progress);
        progress
            .peers
            .services
            .serve(move |_, _: Message<Describe>| std::future::ready(Ok(Message::from(own.look()))));
        progress
    }

    /// How the quorum stands: as its leader says, or as this node knows where the leader cannot be asked.
    pub async fn describe(&self) -> QuorumState {
        if let Some(state) = self.look() {
            return state;
        }
        if let Some(address) = leader_address(&*self.quorum).filter(|at| *at != self.peers.address) {
            let client = self.peers.clients.to(&address, Purpose::Control);
            if let Ok(Some(state)) = client.call(Describe, TELL_PATIENCE).await {
                return state;
            }
        }
        self.own_sight()
    }

    /// What the leader sees now; `None` if this node does not lead.
    pub(super) fn look(&self) -> Option<QuorumState> {
        if !self.quorum.is_leader() {
            return None;
        }
        let now_ms = self.clock.now().wall_ms;
        let mut state = self.own_sight();
        let own = self.quorum.metrics();
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.term != state.term {
            *seen = Seen { term: state.term, caught_up: BTreeMap::new() };
        }
        let log_end = end(own.last_log_index);
        for (id, member) in self.quorum.progress() {
            if id == own.id {
                continue;
            }
            let ago = |silent: Duration| now_ms - i64::try_from(silent.as_millis()).unwrap_or(now_ms);
            let last_heard = member.silent_for.map_or(-1, ago);
            let member_end = end(member.last_log_index);
            if member_end >= log_end && last_heard >= 0 {
                seen.caught_up.insert(id, last_heard);
            }
            let last_caught_up = seen.caught_up.get(&id).copied().unwrap_or(-1);
            state.members.insert(id, MemberState { log_end: member_end, last_heard, last_caught_up });
        }
        Some(state)
    }

    /// What this member knows of itself.
    fn own_sight(&self) -> QuorumState {
        let (own, now_ms) = (self.quorum.metrics(), self.clock.now().wall_ms);
        let me = MemberState { log_end: end(own.last_log_index), last_heard: now_ms, last_caught_up: now_ms };
        QuorumState {
            leader: own.leader,
            term: own.term,
            committed_end: end(own.committed_index),
            members: BTreeMap::from([(own.id, me)]),
        }
    }
}

/// Entries are counted from 0.
fn end(last: Option<u64>) -> u64 {
    last.map_or(0, |last| last + 1)
}
