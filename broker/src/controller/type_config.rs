//! The consensus library's types as we use them, and their translation to ours. Nothing outside this folder sees them.

use std::fmt;
use std::sync::Arc;

use openraft::alias::{CommittedLeaderIdOf, LogIdOf, StoredMembershipOf, VoteOf};
use openraft::impls::leader_id_std;
use openraft::vote::{RaftLeaderId, RaftVote};
use openraft::{EntryPayload, Membership};
use serde::{Deserialize, Serialize};
use tidemark_core::metadata::Reply;

use super::quorum::{LogPosition, Proposal, RaftId, Voter};
use super::record::{Ballot, StoredEntry, StoredMembers, StoredPayload};

openraft::declare_raft_types!(
    /// One leader a term, ids and terms as plain numbers.
    pub TypeConfig:
        D = ProposalData,
        R = Response,
        NodeId = RaftId,
        Node = Voter,
        Term = u64,
        LeaderId = leader_id_std::LeaderId<u64, RaftId>,
);

/// An entry as the library handles it.
pub type RaftEntry = openraft::alias::EntryOf<TypeConfig>;
/// A vote as the library handles it.
pub type RaftVoteOf = VoteOf<TypeConfig>;
/// A position as the library handles it.
pub type RaftLogId = LogIdOf<TypeConfig>;
/// Voters, and where they were set, as the library handles them.
pub type RaftMembers = StoredMembershipOf<TypeConfig>;

/// A proposal, shared between the log and the state machine.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ProposalData(pub Arc<Proposal>);

/// What applying an entry returned: a reply for a proposal, nothing for the quorum's own entries and for a proposal whose
/// reply is no longer known.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Response(pub Option<Reply>);

impl fmt::Display for ProposalData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.0.session, self.0.sequence)
    }
}

/// Our form of a position.
pub fn from_log_id(id: &RaftLogId) -> LogPosition {
    LogPosition { term: id.leader_id.term, index: id.index }
}

/// The library's form of a position.
pub fn to_log_id(position: LogPosition) -> RaftLogId {
    RaftLogId::new(CommittedLeaderIdOf::<TypeConfig>::new(position.term), position.index)
}

/// Our form of a vote.
pub fn from_vote(vote: &RaftVoteOf) -> Ballot {
    let leader = vote.leader_id();
    Ballot { term: leader.term(), candidate: *leader.node_id(), granted: vote.is_committed() }
}

/// The library's form of a vote.
pub fn to_vote(ballot: Ballot) -> RaftVoteOf {
    let leader = <leader_id_std::LeaderId<u64, RaftId> as RaftLeaderId>::new(ballot.term, ballot.candidate);
    RaftVoteOf::from_leader_id(leader, ballot.granted)
}

/// Our form of an entry; proposals stay shared.
pub fn from_entry(entry: &RaftEntry) -> StoredEntry {
    let payload = match &entry.payload {
        EntryPayload::Blank => StoredPayload::Blank,
        EntryPayload::Normal(data) => StoredPayload::Proposal(Arc::clone(&data.0)),
        EntryPayload::Membership(members) => StoredPayload::Membership(from_members(members)),
    };
    StoredEntry { position: from_log_id(&entry.log_id), payload }
}

/// The library's form of an entry.
pub fn to_entry(entry: &StoredEntry) -> RaftEntry {
    let payload = match &entry.payload {
        StoredPayload::Blank => EntryPayload::Blank,
        StoredPayload::Proposal(proposal) => EntryPayload::Normal(ProposalData(Arc::clone(proposal))),
        StoredPayload::Membership(members) => EntryPayload::Membership(to_members(members)),
    };
    RaftEntry { log_id: to_log_id(entry.position), payload }
}

/// Our form of the voters.
pub fn from_members(members: &Membership<RaftId, Voter>) -> StoredMembers {
    StoredMembers {
        configs: members.get_joint_config().clone(),
        nodes: members.nodes().map(|(id, voter)| (*id, voter.clone())).collect(),
    }
}

/// The library's form of the voters.
pub fn to_members(members: &StoredMembers) -> Membership<RaftId, Voter> {
    if members.configs.is_empty() {
        return Membership::default();
    }
    Membership::new(members.configs.clone(), members.nodes.clone())
        .expect("only what the library gave us is stored, and that names every voter")
}
