//! Which proposals were applied already, so that a proposal made twice acts once.
//!
//! Part of the replicated state: every voter decides alike. A session is one run of a proposing process. Bounded on both
//! sides: the session that was silent longest goes first, and within one the sequences that are far behind count as applied.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Sessions remembered: many times the brokers a cluster has, counting restarts within the seconds a proposal is repeated.
const SESSIONS_MAX: usize = 256;
/// Distance to the highest applied sequence from which on a lower one counts as applied: above what a process has in flight.
const SEQUENCES_MAX: usize = 4096;

/// Applied proposals by session.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Sessions {
    sessions: BTreeMap<Uuid, Session>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Session {
    /// Index of the last entry of this session.
    last_index: u64,
    /// All sequences up to and with this one count as applied.
    floor: u64,
    /// Sequences above the floor that were applied.
    applied: BTreeSet<u64>,
}

impl Sessions {
    /// Notes that the entry at `index` carries this proposal; false if it was applied before and must not be again.
    pub fn admit(&mut self, session: Uuid, sequence: u64, index: u64) -> bool {
        if !self.sessions.contains_key(&session) && self.sessions.len() >= SESSIONS_MAX {
            let oldest =
                self.sessions.iter().min_by_key(|(_, session)| session.last_index).map(|(id, _)| *id);
            self.sessions.remove(&oldest.expect("the table is full"));
        }
        let session = self.sessions.entry(session).or_default();
        session.last_index = index;
        if sequence <= session.floor || !session.applied.insert(sequence) {
            return false;
        }
        if session.applied.len() > SEQUENCES_MAX {
            session.floor = session.applied.pop_first().expect("it is not empty");
        }
        while session.applied.first() == Some(&(session.floor + 1)) {
            session.floor += 1;
            session.applied.pop_first();
        }
        true
    }
}

#[cfg(test)]
mod tests;
