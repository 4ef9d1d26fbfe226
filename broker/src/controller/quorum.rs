//! What the controller asks of consensus, without naming the library that gives it.
//!
//! Whoever implements [`Quorum`] promises: a proposal that was answered is durable on a majority of the voters, was applied
//! exactly once, and was applied in the same order on all of them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};
use tidemark_core::metadata::{Command, Reply};
use tokio::sync::watch;
use uuid::Uuid;

/// Id of a voter within the quorum. It is not the broker's id, and a voter that lost its log comes back under a new one:
/// an id that is used twice can vote twice.
pub type RaftId = u64;

/// Where one entry stands in the quorum's log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LogPosition {
    /// Term of the leader that wrote the entry.
    pub term: u64,
    /// Place of the entry, counted from 0.
    pub index: u64,
}

/// A command together with the name of its proposal, by which a repetition is recognised.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Proposal {
    /// Incarnation of the process that proposes.
    pub session: Uuid,
    /// Number of the proposal in its session, from 1.
    pub sequence: u64,
    /// What to do.
    pub command: Command,
}

impl fmt::Debug for Proposal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{} {:?}", self.session, self.sequence, self.command)
    }
}

/// A voter as the other voters know it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Voter {
    /// Id of the broker that votes.
    pub broker_id: i32,
    /// The data directory that holds the voter's log.
    pub directory_id: Uuid,
    /// `host:port` where it takes messages of the quorum; empty while it is alone.
    pub address: String,
    /// It may decide; otherwise it only listens.
    pub may_vote: bool,
}

/// Everyone who has the quorum's log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Members {
    /// Those who decide.
    pub voters: BTreeMap<RaftId, Voter>,
    /// Those who only listen.
    pub learners: BTreeMap<RaftId, Voter>,
}

impl Members {
    /// A member by its id.
    pub fn get(&self, id: RaftId) -> Option<&Voter> {
        self.voters.get(&id).or_else(|| self.learners.get(&id))
    }

    /// Whether `id` is the only member.
    pub fn is_alone(&self, id: RaftId) -> bool {
        self.learners.is_empty() && self.voters.len() == 1 && self.voters.contains_key(&id)
    }
}

/// How the quorum stands, for metrics and for `DescribeQuorum`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QuorumMetrics {
    /// This voter.
    pub id: RaftId,
    /// Current term.
    pub term: u64,
    /// The leader this voter follows, or itself.
    pub leader: Option<RaftId>,
    /// Index of the last entry in this voter's log.
    pub last_log_index: Option<u64>,
    /// Index of the last entry known to be committed.
    pub committed_index: Option<u64>,
    /// Index of the last entry applied to the image.
    pub applied_index: Option<u64>,
    /// Index up to which a snapshot holds the image.
    pub snapshot_index: Option<u64>,
    /// Index up to which the log was dropped because a snapshot holds it.
    pub purged_index: Option<u64>,
    /// The voters, ascending.
    pub voters: Vec<RaftId>,
}

/// A member as the leader knows it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemberProgress {
    /// Index of the last entry it is known to have.
    pub last_log_index: Option<u64>,
    /// How long ago it was heard of; `None` if it never was.
    pub silent_for: Option<Duration>,
}

/// Why a proposal was not applied, or why that is not known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProposeError {
    /// Another voter leads, or none does yet. The proposal may still be applied if this voter led when it was taken.
    #[error("this controller does not lead{}", match leader { Some(id) => format!(", voter {id} does"), None => " and knows no leader".to_string() })]
    NotLeader {
        /// The leader, if this voter knows it.
        leader: Option<RaftId>,
    },
    /// The quorum stopped on this node and answers nothing more.
    #[error("the controller has stopped: {0}")]
    Stopped(String),
    /// It was applied before, and this voter does not know any more what it returned.
    #[error("the command was applied before and its reply is no longer known")]
    AlreadyApplied,
}

/// Why the members were not changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError {
    /// Another voter leads, or none does.
    #[error(transparent)]
    Propose(#[from] ProposeError),
    /// An earlier change is not through, or the change is not possible.
    #[error("the members cannot be changed: {0}")]
    Refused(String),
}

/// Consensus over [`Proposal`]s.
pub trait Quorum: Send + Sync + 'static {
    /// Has the proposal committed and applied, and answers what it returned. Proposing the same one again is harmless: the
    /// second is recognised by its session and sequence.
    fn propose(&self, proposal: Proposal) -> BoxFuture<'_, Result<Reply, ProposeError>>;
    /// Waits until this voter leads or knows who does.
    fn leader_known(&self) -> BoxFuture<'_, Result<RaftId, ProposeError>>;
    /// Whether this voter leads and may answer.
    fn is_leader(&self) -> bool;
    /// How old the proof is that this voter leads and has applied all that earlier leaders committed: nobody else can have been
    /// elected before. `None` while there is no such proof.
    fn authority_age(&self) -> Option<Duration>;
    /// How the quorum stands now.
    fn metrics(&self) -> QuorumMetrics;
    /// Who belongs to it, as far as this member knows.
    fn members(&self) -> Members;
    /// Returns once this member is not the only one.
    fn has_company(&self) -> BoxFuture<'_, ()>;
    /// Members that have nearly the whole log. Only the leader knows.
    fn caught_up(&self) -> BTreeSet<RaftId>;
    /// How far members are, and when they were heard of. Only the leader knows.
    fn progress(&self) -> BTreeMap<RaftId, MemberProgress>;
    /// An id that no member ever had.
    fn new_id(&self) -> BoxFuture<'_, Result<RaftId, ProposeError>>;
    /// Sends the log to this member from now on, at this address.
    fn admit(&self, id: RaftId, member: Voter) -> BoxFuture<'_, Result<(), ChangeError>>;
    /// Makes these members the voters; voters that are none any more leave.
    fn set_voters(&self, voters: BTreeSet<RaftId>) -> BoxFuture<'_, Result<(), ChangeError>>;
    /// Makes these members the voters; voters that are none any more go on listening.
    fn swap_voters(&self, voters: BTreeSet<RaftId>) -> BoxFuture<'_, Result<(), ChangeError>>;
    /// Sends the log no more to these members, none of which votes.
    fn dismiss(&self, learners: BTreeSet<RaftId>) -> BoxFuture<'_, Result<(), ChangeError>>;
    /// Asks another voter to lead.
    fn hand_over(&self, to: RaftId) -> BoxFuture<'_, Result<(), ProposeError>>;
    /// What applying a proposal of this process returned, for a while.
    fn recent_reply(&self, sequence: u64) -> Option<Reply>;
    /// Becomes `Some(why)` when this voter can go on no more, for example because its disk failed.
    fn failure(&self) -> watch::Receiver<Option<String>>;
    /// Stops, once everything taken is on disk.
    fn shutdown(&self) -> BoxFuture<'_, ()>;
}
