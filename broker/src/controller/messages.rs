//! What voters say to each other, in our own layout: none of the consensus library's types is ever on the wire.
//!
//! Each message names the voter it is for: an address may belong to another voter by now, and a vote that reaches the wrong
//! one would count.

use serde::{Deserialize, Serialize};

use super::quorum::{LogPosition, RaftId};
use super::record::{Ballot, StoredEntry};
use crate::peer::Call;

/// Entries for the log; without any it is a heartbeat.
#[derive(Debug, Serialize, Deserialize)]
pub struct Append {
    /// The voter it is for.
    pub to: RaftId,
    /// Who leads.
    pub ballot: Ballot,
    /// The entry before the first.
    pub previous: Option<LogPosition>,
    /// The entries.
    pub entries: Vec<StoredEntry>,
    /// The last entry that is committed.
    pub committed: Option<LogPosition>,
    /// An entry, and the hash of the image of whoever leads after it.
    pub image: Option<(u64, u64)>,
}

/// Answer to [`Append`].
#[derive(Debug, Serialize, Deserialize)]
pub enum Appended {
    /// All of them are in the log.
    All,
    /// Those up to here are.
    UpTo(Option<LogPosition>),
    /// The entry before the first is another one there.
    Conflict,
    /// There is a newer vote.
    Outvoted(Ballot),
}

impl Call for Append {
    const KIND: u8 = 10;
    const NAME: &'static str = "append";
    type Answer = Appended;
}

/// Asks for a vote.
#[derive(Debug, Serialize, Deserialize)]
pub struct AskVote {
    /// The voter it is for.
    pub to: RaftId,
    /// Who asks.
    pub ballot: Ballot,
    /// The end of its log.
    pub last: Option<LogPosition>,
    /// The leader has told it to stand.
    pub is_transfer: bool,
    /// It only asks whether it would be given (pre-vote).
    pub is_trial: bool,
}

/// Answer to [`AskVote`].
#[derive(Debug, Serialize, Deserialize)]
pub struct Voted {
    /// The vote of whoever answers.
    pub ballot: Ballot,
    /// Whether it is given.
    pub granted: bool,
    /// The end of the log of whoever answers.
    pub last: Option<LogPosition>,
}

impl Call for AskVote {
    const KIND: u8 = 11;
    const NAME: &'static str = "ask vote";
    type Answer = Voted;
}

/// A whole snapshot; its bytes follow.
#[derive(Debug, Serialize, Deserialize)]
pub struct InstallSnapshot {
    /// The voter it is for.
    pub to: RaftId,
    /// Who leads.
    pub ballot: Ballot,
}

impl Call for InstallSnapshot {
    const KIND: u8 = 12;
    const NAME: &'static str = "install snapshot";
    type Answer = Ballot;
}

/// The leader wants another voter to lead.
#[derive(Debug, Serialize, Deserialize)]
pub struct TakeOver {
    /// The voter that is to lead.
    pub to: RaftId,
    /// Who leads.
    pub ballot: Ballot,
    /// What its log must reach.
    pub last: Option<LogPosition>,
}

/// Answer to [`TakeOver`].
#[derive(Debug, Serialize, Deserialize)]
pub enum TakenOver {
    /// It stands for election.
    Standing,
    /// It has another vote by now.
    Outvoted(Ballot),
    /// Its log ends here.
    Behind(Option<LogPosition>),
}

impl Call for TakeOver {
    const KIND: u8 = 13;
    const NAME: &'static str = "take over";
    type Answer = TakenOver;
}
