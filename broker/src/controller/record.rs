//! What the quorum's log and snapshots store, in our own layout: none of the consensus library's types is ever on disk.
//!
//! An encoded record is `version: u8 = 1`, then [`LogRecord`] in postcard. Variants and fields are only added at the end;
//! another meaning takes another version byte. The frame around it (log.rs, snapshot.rs) carries the checksum.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::quorum::{LogPosition, Proposal, RaftId, Voter};

/// First byte of every encoded record.
const RECORD_VERSION: u8 = 1;

/// One line of the quorum's log file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum LogRecord {
    /// An entry follows the last one, or replaces it and all after it if it has a lower index.
    Entry(StoredEntry),
    /// This voter's vote.
    Vote(Ballot),
    /// Entries up to here are committed; `None` before any is.
    Committed(Option<LogPosition>),
    /// Entries after this one are dropped; `None` drops all.
    Truncate(Option<LogPosition>),
    /// Entries up to and with this one are dropped: a snapshot holds them.
    Purge(LogPosition),
}

/// For whom this voter voted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ballot {
    /// The term.
    pub term: u64,
    /// The candidate.
    pub candidate: RaftId,
    /// Whether a majority granted it, which makes the candidate the term's leader.
    pub granted: bool,
}

/// An entry of the quorum's log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StoredEntry {
    /// Where it stands.
    pub position: LogPosition,
    /// What it says.
    pub payload: StoredPayload,
}

/// What an entry says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum StoredPayload {
    /// Nothing; a new leader commits one to commit what came before.
    Blank,
    /// A command.
    Proposal(Arc<Proposal>),
    /// The voters changed.
    Membership(StoredMembers),
}

/// Who votes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredMembers {
    /// The set of voters; two of them while one is replaced by the other (joint consensus).
    pub configs: Vec<BTreeSet<RaftId>>,
    /// Everyone in those sets and those who only listen.
    pub nodes: BTreeMap<RaftId, Voter>,
}

/// Why stored bytes are not a record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// Nothing there.
    #[error("an empty record")]
    Empty,
    /// Another version of the software wrote it.
    #[error("record version {0} is not known to this version of tidemark")]
    Version(u8),
    /// The bytes do not parse.
    #[error("a malformed record: {0}")]
    Malformed(String),
}

impl LogRecord {
    /// The stored form.
    pub fn encode(&self) -> Vec<u8> {
        encode(self)
    }

    /// Reads the stored form.
    pub fn decode(bytes: &[u8]) -> Result<LogRecord, RecordError> {
        decode(bytes)
    }
}

/// Version byte and postcard.
pub(super) fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    postcard::to_extend(value, vec![RECORD_VERSION]).expect("plain data always encodes into memory")
}

/// The reverse of [`encode`]; bytes left over are an error.
pub(super) fn decode<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, RecordError> {
    let (&version, body) = bytes.split_first().ok_or(RecordError::Empty)?;
    if version != RECORD_VERSION {
        return Err(RecordError::Version(version));
    }
    let (value, rest) =
        postcard::take_from_bytes(body).map_err(|error| RecordError::Malformed(error.to_string()))?;
    if !rest.is_empty() {
        return Err(RecordError::Malformed(format!("{} bytes too many", rest.len())));
    }
    Ok(value)
}

#[cfg(test)]
mod tests;
