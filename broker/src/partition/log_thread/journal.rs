//! The journal of a log thread: marks are gathered, written a few times a second, synced about once a second.
//!
//! A lost mark only means that opening reads more, so nothing waits for the journal, with two exceptions. The start of a
//! log that a client was told about must survive, so deleting records syncs it before the answer. And a log without any
//! mark cannot tell a torn end from damage, so a new log has its first mark synced before its first append.

use std::io;
use std::time::Duration;

use tidemark_protocol::types::{Now, Offset, TopicIdPartition};
use tidemark_storage::disk::is_disk_full;
use tidemark_storage::journal::{Journal, LogMark};

use super::LogThread;
use crate::partition::error::PartitionError;
use crate::partition::inbox::Slot;

/// Marks are written so long after the first of them: what a killed process has to read again at its next start.
const WRITE_AFTER: Duration = Duration::from_millis(100);
/// The journal is synced so long after it was written: what a power loss adds to that.
const SYNC_AFTER: Duration = Duration::from_secs(1);

/// A journal and what waits to be written to it.
pub(super) struct JournalKeeper {
    journal: Journal,
    /// Partitions whose mark is newer than the journal's.
    unmarked: Vec<Slot>,
    write_at: Option<Duration>,
    sync_at: Option<Duration>,
    /// A new log's first mark is not synced yet.
    has_first_marks: bool,
    /// A write failed for lack of room: the journal is behind its own memory of what it wrote.
    behind: bool,
}

impl JournalKeeper {
    pub(super) fn new(journal: Journal) -> JournalKeeper {
        JournalKeeper {
            journal,
            unmarked: Vec::new(),
            write_at: None,
            sync_at: None,
            has_first_marks: false,
            behind: false,
        }
    }

    /// What is proven of a partition.
    pub(super) fn mark(&self, id: TopicIdPartition) -> Option<LogMark> {
        self.journal.get(id)
    }

    /// Remembers a mark for the next write.
    pub(super) fn note(&mut self, id: TopicIdPartition, mark: LogMark) {
        if self.behind {
            // The journal would skip a mark it believes it has written.
            self.journal.forget(id);
        }
        self.journal.note(id, mark);
    }

    /// Remembers the mark of a log that has nothing on disk yet.
    pub(super) fn note_first(&mut self, id: TopicIdPartition, mark: LogMark) {
        self.note(id, mark);
        self.has_first_marks = true;
    }

    /// Whether an append has to wait for the journal.
    pub(super) fn has_first_marks(&self) -> bool {
        self.has_first_marks
    }

    /// The partition is gone.
    pub(super) fn forget(&mut self, id: TopicIdPartition, now: Duration) {
        self.journal.forget(id);
        self.write_at.get_or_insert(now + WRITE_AFTER);
    }

    /// When the journal wants to be written or synced.
    pub(super) fn due(&self) -> Option<Duration> {
        [self.write_at, self.sync_at].into_iter().flatten().min()
    }

    fn write(&mut self) -> io::Result<()> {
        let result = self.journal.write();
        self.behind = result.is_err();
        result
    }
}

impl LogThread {
    /// The partition's mark has moved and is to be journaled soon.
    pub(super) fn unmark(&mut self, slot: Slot, now: Duration) {
        let Some(writer) = self.writer(slot) else { return };
        if !std::mem::replace(&mut writer.flags.unmarked, true) {
            self.journal.unmarked.push(slot);
            self.journal.write_at.get_or_insert(now + WRITE_AFTER);
        }
    }

    /// Writes and syncs the journal if it is time, or at once. Returns whether it is written and synced as asked; a
    /// journal that cannot be written for another reason than a full disk fails the directory.
    pub(super) fn keep_journal(&mut self, now: Now, at_once: bool) -> bool {
        if self.directory.failure().is_some() {
            self.journal.write_at = None;
            self.journal.sync_at = None;
            return false;
        }
        if at_once || self.journal.write_at.is_some_and(|due| now.mono >= due) {
            self.note_unmarked();
            self.journal.write_at = None;
            self.directory.metrics.journal_writes.add(1);
            if let Err(error) = self.journal.write() {
                if is_disk_full(&error) {
                    tracing::warn!("no space left for the journal; it is written again later");
                    self.journal.write_at = Some(now.mono + SYNC_AFTER);
                } else {
                    self.directory.fail(&format!("a write of the journal failed: {error}"));
                    self.fail_all();
                }
                return false;
            }
            self.journal.sync_at.get_or_insert(now.mono + SYNC_AFTER);
        }
        if at_once || self.journal.sync_at.is_some_and(|due| now.mono >= due) {
            self.journal.sync_at = None;
            self.journal.has_first_marks = false;
            self.directory.metrics.journal_syncs.add(1);
            if let Err(error) = self.journal.journal.file().sync_data() {
                self.directory.fail(&format!("a sync of the journal failed: {error}"));
                self.fail_all();
                return false;
            }
        }
        true
    }

    pub(super) fn note_unmarked(&mut self) {
        let unmarked = std::mem::take(&mut self.journal.unmarked);
        for slot in unmarked {
            let Some(writer) = self.writer(slot) else { continue };
            writer.flags.unmarked = false;
            let id = writer.handle.id();
            let mark = writer.open_log().map(|open| open.log.mark(open.high_watermark()));
            if let Some(mark) = mark {
                self.journal.note(id, mark);
            }
        }
    }

    /// Deletes records: the new start of the log is journaled and synced before anybody hears of it.
    pub(super) fn delete_records(
        &mut self,
        slot: Slot,
        before: Option<Offset>,
        now: Now,
    ) -> Result<Offset, PartitionError> {
        if let Some(why) = self.directory.failure() {
            return Err(PartitionError::Storage(why.to_string()));
        }
        self.ensure_open(slot, now)?;
        let me = self.directory.me;
        let writer = self.writer(slot).ok_or(PartitionError::Closed)?;
        let (leader, leader_epoch) = (writer.image.leader, writer.image.leader_epoch);
        if leader != me {
            return Err(PartitionError::NotLeader { leader, leader_epoch });
        }
        let open = writer.open_log().ok_or(PartitionError::Closed)?;
        let (log_start, moved) = open.delete_records(before)?;
        if !moved {
            return Ok(log_start);
        }
        self.unmark(slot, now.mono);
        if !self.keep_journal(now, true) {
            let why = self.directory.failure();
            return Err(PartitionError::Storage(
                why.map_or("no space left on the disk".to_owned(), |why| why.to_string()),
            ));
        }
        self.publish(slot);
        // The segments below may go now.
        self.visit_at(slot, now.mono);
        Ok(log_start)
    }
}
