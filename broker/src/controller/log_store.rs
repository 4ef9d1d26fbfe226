//! The quorum's log as the consensus library wants it: content in memory, every change handed to the writer thread in order.
//!
//! Entries can be read as soon as `append` returns; its callback comes once they are synced. A vote, a truncation and a purge
//! are durable on return. The commit position is only a hint that spares time at the next start, so it is written with
//! whatever is synced next.

use std::fmt::Debug;
use std::io;
use std::ops::{Bound, RangeBounds};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use openraft::storage::{IOFlushed, RaftLogStorage};
use openraft::{LogState, OptionalSend, RaftLogReader};

use super::content::LogContent;
use super::record::LogRecord;
use super::type_config::{
    RaftEntry, RaftLogId, RaftVoteOf, TypeConfig, from_entry, from_log_id, from_vote, to_entry, to_log_id,
    to_vote,
};
use super::writer::{Done, Job, Writer};

/// Most entries handed to a follower at once; the library asks again for the rest.
const ENTRIES_PER_READ_MAX: usize = 1024;

/// The quorum's log; clones are doors to the same one.
#[derive(Clone)]
pub struct LogStore {
    content: Arc<Mutex<LogContent>>,
    writer: Writer,
    /// Bytes appended since the last purge, to take snapshots by size.
    grown_bytes: Arc<AtomicU64>,
}

impl LogStore {
    /// A log with this content, whose changes go to this writer.
    pub fn new(content: LogContent, writer: Writer) -> LogStore {
        LogStore { content: Arc::new(Mutex::new(content)), writer, grown_bytes: Arc::default() }
    }

    /// Bytes appended since the last purge.
    pub fn grown_bytes(&self) -> u64 {
        self.grown_bytes.load(Ordering::Relaxed)
    }

    fn content(&self) -> MutexGuard<'_, LogContent> {
        self.content.lock().expect("no step on the content panics")
    }

    /// Takes a record into the content and returns its stored form.
    fn take(&self, record: LogRecord) -> io::Result<Vec<u8>> {
        let bytes = record.encode();
        self.content().take(record).map_err(|why| io::Error::new(io::ErrorKind::InvalidInput, why))?;
        Ok(bytes)
    }

    async fn write_durably(&self, record: LogRecord) -> io::Result<()> {
        let records = vec![self.take(record)?];
        self.writer.run(|done| Job::Append { records, sync: true, done: Some(done) }).await
    }
}

impl RaftLogReader<TypeConfig> for LogStore {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: RB,
    ) -> io::Result<Vec<RaftEntry>> {
        let (from, end) = bounds(&range);
        Ok(self.content().range(from, end).iter().map(to_entry).collect())
    }

    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> io::Result<Vec<RaftEntry>> {
        Ok(self.content().range(start, end).iter().take(ENTRIES_PER_READ_MAX).map(to_entry).collect())
    }

    async fn read_vote(&mut self) -> io::Result<Option<RaftVoteOf>> {
        Ok(self.content().vote.map(to_vote))
    }
}

impl RaftLogStorage<TypeConfig> for LogStore {
    type LogReader = LogStore;

    async fn get_log_state(&mut self) -> io::Result<LogState<TypeConfig>> {
        let content = self.content();
        Ok(LogState {
            last_purged_log_id: content.purged.map(to_log_id),
            last_log_id: content.last().map(to_log_id),
        })
    }

    async fn get_log_reader(&mut self) -> LogStore {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &RaftVoteOf) -> io::Result<()> {
        self.write_durably(LogRecord::Vote(from_vote(vote))).await
    }

    async fn save_committed(&mut self, committed: Option<RaftLogId>) -> io::Result<()> {
        let records = vec![self.take(LogRecord::Committed(committed.as_ref().map(from_log_id)))?];
        self.writer.send(Job::Append { records, sync: false, done: None }).await
    }

    async fn read_committed(&mut self) -> io::Result<Option<RaftLogId>> {
        Ok(self.content().committed.map(to_log_id))
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<TypeConfig>) -> io::Result<()>
    where
        I: IntoIterator<Item = RaftEntry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let entries: Vec<RaftEntry> = entries.into_iter().collect();
        let records = entries
            .iter()
            .map(|entry| self.take(LogRecord::Entry(from_entry(entry))))
            .collect::<io::Result<Vec<Vec<u8>>>>()?;
        let bytes: usize = records.iter().map(Vec::len).sum();
        self.grown_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        let done: Done = Box::new(move |result| callback.io_completed(result));
        self.writer.send(Job::Append { records, sync: true, done: Some(done) }).await
    }

    async fn truncate_after(&mut self, last_log_id: Option<RaftLogId>) -> io::Result<()> {
        self.write_durably(LogRecord::Truncate(last_log_id.as_ref().map(from_log_id))).await
    }

    async fn purge(&mut self, log_id: RaftLogId) -> io::Result<()> {
        let record = self.take(LogRecord::Purge(from_log_id(&log_id)))?;
        // What lives is taken now: the writer comes to this job when exactly this was written before it.
        let content = self.content().clone();
        let live = Box::new(move || content.to_records().iter().map(LogRecord::encode).collect());
        self.grown_bytes.store(0, Ordering::Relaxed);
        self.writer.run(|done| Job::Purge { record, live, done }).await
    }
}

fn bounds(range: &impl RangeBounds<u64>) -> (u64, u64) {
    let from = match range.start_bound() {
        Bound::Included(&from) => from,
        Bound::Excluded(&before) => before + 1,
        Bound::Unbounded => 0,
    };
    let end = match range.end_bound() {
        Bound::Included(&last) => last.saturating_add(1),
        Bound::Excluded(&end) => end,
        Bound::Unbounded => u64::MAX,
    };
    (from, end)
}

#[cfg(test)]
mod tests;
