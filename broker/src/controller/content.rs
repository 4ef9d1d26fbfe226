//! What the quorum's log says, in memory: the same steps build it while the node runs and when its file is read again.
//!
//! Entries ascend without holes and follow the purged part; bounded because a snapshot every so many entries purges.

use super::quorum::LogPosition;
use super::record::{Ballot, LogRecord, StoredEntry};

/// The live content of the quorum's log.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LogContent {
    /// Entries, ascending without holes.
    pub entries: Vec<StoredEntry>,
    /// Last vote.
    pub vote: Option<Ballot>,
    /// Last known commit.
    pub committed: Option<LogPosition>,
    /// Everything up to here is in a snapshot and dropped.
    pub purged: Option<LogPosition>,
}

impl LogContent {
    /// Takes one record in. Fails if it would leave a hole.
    pub fn take(&mut self, record: LogRecord) -> Result<(), String> {
        match record {
            LogRecord::Entry(entry) => self.append(entry)?,
            LogRecord::Vote(vote) => self.vote = Some(vote),
            LogRecord::Committed(position) => self.committed = position,
            LogRecord::Truncate(position) => {
                let kept = position.map_or(0, |position| position.index + 1);
                self.entries.retain(|entry| entry.position.index < kept);
            }
            LogRecord::Purge(position) => {
                self.entries.retain(|entry| entry.position.index > position.index);
                self.purged = self.purged.max(Some(position));
            }
        }
        Ok(())
    }

    fn append(&mut self, entry: StoredEntry) -> Result<(), String> {
        let index = entry.position.index;
        while self.entries.last().is_some_and(|last| last.position.index >= index) {
            self.entries.pop();
        }
        match self.last() {
            Some(last) if last.index + 1 != index => {
                Err(format!("entry {index} does not follow entry {}", last.index))
            }
            _ => {
                self.entries.push(entry);
                Ok(())
            }
        }
    }

    /// The last entry, or what was purged when there is none.
    pub fn last(&self) -> Option<LogPosition> {
        self.entries.last().map(|entry| entry.position).or(self.purged)
    }

    /// Entries of these indexes that are there.
    pub fn range(&self, from: u64, end: u64) -> &[StoredEntry] {
        let place = |index: u64| self.entries.partition_point(|entry| entry.position.index < index);
        let (from, end) = (place(from), place(end));
        &self.entries[from..end.max(from)]
    }

    /// Records that build this content from nothing.
    pub fn to_records(&self) -> Vec<LogRecord> {
        let mut records = Vec::with_capacity(self.entries.len() + 3);
        records.extend(self.vote.map(LogRecord::Vote));
        records.extend(self.purged.map(LogRecord::Purge));
        records.extend(self.entries.iter().cloned().map(LogRecord::Entry));
        records.extend(self.committed.map(|position| LogRecord::Committed(Some(position))));
        records
    }

    /// What was committed was answered: it must be there.
    pub fn check(&self) -> Result<(), String> {
        let last = self.last().map(|last| last.index);
        match self.committed {
            Some(committed) if last.is_none_or(|last| last < committed.index) => Err(format!(
                "entry {} was committed but is not there (the last one is {last:?})",
                committed.index
            )),
            _ => Ok(()),
        }
    }
}
