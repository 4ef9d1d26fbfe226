//! [`Quorum`]: the metadata log as the brokers see it: entries that a majority has, decided in their order by the real rules.
//!
//! Consensus itself is not simulated. What it does to others is: a leader for each term, proposals that wait for a majority
//! and may be lost with their leader, retries that are taken once, nodes that have applied a prefix only. What always holds:
//! the image of an index never changes, and an entry is decided once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tidemark_core::metadata::sessions::BrokerSessions;
use tidemark_core::metadata::{ClusterImage, Command, Reply, decide};
use tidemark_protocol::types::{BrokerId, Now};

use super::bugs::Bug;

/// As the controller's: a broker that was silent for so long is fenced.
const SESSION: Duration = Duration::from_secs(2);

/// One proposal.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Who proposed, and in which run.
    pub session: u64,
    /// Which of its proposals.
    pub sequence: u64,
    /// What.
    pub command: Command,
}

/// The log and whoever leads it.
pub struct Quorum {
    /// Image after so many entries.
    images: Vec<Arc<ClusterImage>>,
    /// Index of each proposal that was decided, and its reply.
    decided: BTreeMap<(u64, u64), (u64, Reply)>,
    /// Who leads; nobody for a while after one was lost.
    pub leader: Option<BrokerId>,
    /// Counts leaders.
    pub term: u64,
    /// What the leader has and the majority does not yet.
    pending: Vec<Entry>,
    /// Who is alive, as the leader knows.
    pub sessions: BrokerSessions,
    own: u64,
}

impl Quorum {
    /// An empty log of a cluster with this identity.
    pub fn new(cluster_id: &str) -> Quorum {
        Quorum {
            images: vec![Arc::new(ClusterImage::new(cluster_id))],
            decided: BTreeMap::new(),
            leader: None,
            term: 0,
            pending: Vec::new(),
            sessions: BrokerSessions::new(SESSION),
            own: 0,
        }
    }

    /// Number of committed entries.
    pub fn committed(&self) -> u64 {
        self.images.len() as u64 - 1
    }

    /// The image after `index` entries.
    pub fn image(&self, index: u64) -> &Arc<ClusterImage> {
        &self.images[index as usize]
    }

    /// The newest image.
    pub fn newest(&self) -> &Arc<ClusterImage> {
        self.images.last().expect("there is an empty one")
    }

    /// The index and reply of a proposal that was decided.
    pub fn decision(&self, session: u64, sequence: u64) -> Option<(u64, &Reply)> {
        self.decided.get(&(session, sequence)).map(|(index, reply)| (*index, reply))
    }

    /// The leader takes a proposal.
    pub fn propose(&mut self, entry: Entry) {
        self.pending.push(entry);
    }

    /// The leader proposes by itself.
    pub fn propose_own(&mut self, command: Command) {
        self.own += 1;
        self.pending.push(Entry { session: 0, sequence: self.own, command });
    }

    /// A majority has what the leader has. Returns whose proposals that were, and which of theirs.
    pub fn commit(&mut self, bug: Bug) -> Vec<(u64, u64)> {
        let pending = std::mem::take(&mut self.pending);
        let mut done = Vec::new();
        for Entry { session, sequence, command } in pending {
            let is_new = !self.decided.contains_key(&(session, sequence));
            done.push((session, sequence));
            if !is_new {
                continue;
            }
            let index = self.images.len() as u64;
            let mut image = ClusterImage::clone(self.newest());
            let command = bug.twist_command(command, &image);
            let mut outcome = decide(&image, &command, index);
            bug.twist_records(&mut outcome.records);
            for record in &outcome.records {
                image.apply(record);
            }
            image.set_version(index);
            self.images.push(Arc::new(image));
            self.decided.insert((session, sequence), (index, outcome.reply));
        }
        done
    }

    /// Another node leads; it has the first `kept` of what the last leader had not committed.
    pub fn elect(&mut self, leader: BrokerId, kept: usize, now: Now) {
        self.pending.truncate(kept);
        self.leader = Some(leader);
        self.term += 1;
        let image = Arc::clone(self.newest());
        self.sessions.reset(&image, now);
    }

    /// Proposals that are not committed.
    pub fn pending(&self) -> usize {
        self.pending.len()
    }

    /// Topics that exist now.
    pub fn topic_names(&self) -> BTreeSet<String> {
        self.newest().topics.values().map(|topic| topic.name.to_string()).collect()
    }
}
