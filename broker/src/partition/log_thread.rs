//! [`LogThread`]: the event loop that owns many partitions.
//!
//! A round: take what is queued (bounded), hand each input to its partition's writer, publish the views acks or readers
//! wait for, start the syncs of what became dirty, visit partitions whose time has come, write the journal. Syncs run on
//! the sync pool and come back as inputs, so appends go on meanwhile and gather into the next group. A file is never
//! synced twice at once: an error is reported to one of two concurrent syncs only.
//!
//! ```text
//!  inputs ─▶ append … append ─▶ publish, acks=1 ─▶ begin flush ─▶ sync pool ─┐
//!     ▲                                                                      │
//!     └───────────── Flushed: high watermark, publish, acks=all ◀────────────┘
//! ```

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tidemark_core::metadata::PartitionImage;
use tidemark_core::replication::isr::REPLICA_LAG_MAX;
use tidemark_protocol::types::Now;
use tidemark_storage::journal::Journal;
use tidemark_storage::log::{Log, OpenError, Recovery};

use super::PartitionHandle;
use super::append::{Acks, Append};
use super::directory::Directory;
use super::error::{PartitionError, ProduceError};
use super::inbox::{Command, Findings, Inbox, Input, Slot};
use super::writer::{AfterAppend, Brokers, LogState, PartitionWriter};

mod compact;
pub(crate) mod damage;
mod flush;
mod journal;
mod remove;
pub(crate) mod replicate;
mod sight;
mod upkeep;

use flush::FlushQueue;
use journal::JournalKeeper;
use remove::Removals;
pub(crate) use remove::{DELETED_SUFFIX, remove_later};

/// Bytes appended in one round: more would keep finished syncs and other partitions waiting for milliseconds.
const ROUND_BYTES_MAX: usize = 8 << 20;
/// Inputs handled in one round, for the same reason.
const ROUND_INPUTS_MAX: usize = 4096;

/// A full disk refuses thousands of appends a second, and stays full for hours.
const DISK_FULL_SAID_EVERY: Duration = Duration::from_secs(60);

/// An event loop over the partitions of one log thread.
pub(crate) struct LogThread {
    directory: Arc<Directory>,
    inbox: Arc<Inbox>,
    queue: VecDeque<Input>,
    writers: Vec<Option<Box<PartitionWriter>>>,
    /// To be published at the end of the round.
    touched: Vec<Slot>,
    flushes: FlushQueue,
    journal: JournalKeeper,
    /// When partitions want to be visited.
    due: BTreeSet<(Duration, Slot)>,
    removals: Removals,
    /// Partitions to take away once their flush is back.
    leaving: Vec<(Slot, Command)>,
    stopping: bool,
    /// A full disk is not spoken of before this.
    disk_full_said_again: Duration,
    brokers: Arc<Brokers>,
    findings: Findings,
}

impl LogThread {
    /// A thread without partitions; `journal` holds the marks of those it will be given.
    pub(crate) fn new(directory: Arc<Directory>, inbox: Arc<Inbox>, journal: Journal) -> LogThread {
        let brokers = Arc::new(Brokers {
            me: directory.me,
            eligible: BTreeMap::new(),
            replica_lag_max: REPLICA_LAG_MAX,
        });
        LogThread {
            directory,
            inbox,
            queue: VecDeque::new(),
            writers: Vec::new(),
            touched: Vec::new(),
            flushes: FlushQueue::default(),
            journal: JournalKeeper::new(journal),
            due: BTreeSet::new(),
            removals: Removals::default(),
            leaving: Vec::new(),
            stopping: false,
            disk_full_said_again: Duration::ZERO,
            brokers,
            findings: Findings::default(),
        }
    }

    /// Runs until told to stop. Returns whether everything was flushed and closed.
    pub(crate) fn run(mut self) -> bool {
        while !self.stopping {
            let patience = self.patience();
            self.inbox.receive(&mut self.queue, ROUND_INPUTS_MAX, patience);
            self.round();
        }
        self.stop()
    }

    /// How long the thread may sleep when nothing is queued; `None`: until an input comes.
    pub(crate) fn patience(&self) -> Option<Duration> {
        if !self.queue.is_empty() {
            return Some(Duration::ZERO);
        }
        let next = [self.due.first().map(|(due, _)| *due), self.journal.due(), self.removals.due()];
        let next = next.into_iter().flatten().min()?;
        Some(next.saturating_sub(self.directory.clock.now().mono))
    }

    /// One round over what is queued.
    pub(crate) fn round(&mut self) {
        let now = self.directory.clock.now();
        self.open_for_round(now);
        let (mut inputs, mut bytes) = (0, 0);
        while inputs < ROUND_INPUTS_MAX && bytes < ROUND_BYTES_MAX && !self.stopping {
            let Some(input) = self.queue.pop_front() else { break };
            inputs += 1;
            if let Input::Append { append, .. } = &input {
                bytes += append.batch.len();
            }
            self.handle(input, now);
        }
        if inputs > 0 {
            self.directory.metrics.rounds.add(1);
        }
        self.visit_due(now);
        self.publish_touched();
        self.start_flushes(inputs, now);
        self.keep_journal(now, false);
        self.remove_due(now);
    }

    /// Opens the logs the queued appends are for, so that one sync of the journal serves all that are new.
    fn open_for_round(&mut self, now: Now) {
        for at in 0..self.queue.len().min(ROUND_INPUTS_MAX) {
            let Input::Append { slot, .. } = self.queue[at] else { continue };
            let unopened = self.writer(slot).is_some_and(|writer| matches!(writer.state, LogState::Unopened));
            if unopened {
                // A log that cannot be opened tells the append, which tries again.
                let _ = self.ensure_open(slot, now);
            }
        }
    }

    fn handle(&mut self, input: Input, now: Now) {
        match input {
            Input::Append { slot, append } => self.append(slot, append, now),
            Input::Command { slot, command } => self.command(slot, command, now),
            Input::Attach(partitions) => self.attach(partitions, now),
            Input::Brokers(brokers) => self.brokers_changed(brokers, now),
            Input::Flushed { flushes, took } => self.flushed(flushes, took, now),
            // The asker may have gone.
            Input::Findings { reply } => drop(reply.send(self.findings)),
            Input::DirectoryFailed => self.fail_all(),
            Input::Stop => self.stopping = true,
        }
    }

    fn attach(&mut self, partitions: Vec<(PartitionHandle, PartitionImage)>, now: Now) {
        for (handle, image) in partitions {
            let slot = handle.slot();
            if self.writers.len() <= slot as usize {
                self.writers.resize_with(slot as usize + 1, || None);
            }
            self.writers[slot as usize] = Some(Box::new(PartitionWriter::new(handle, image)));
            self.take_role(slot, now);
        }
    }

    /// A replica among others asks its leader for more, or lets the others in; one without others has nothing to do.
    fn take_role(&mut self, slot: Slot, now: Now) {
        if !self.writer(slot).is_some_and(|writer| writer.is_replicated()) {
            return;
        }
        if self.ensure_open(slot, now).is_err() {
            self.fetch_again(slot, now);
        }
        // A log that cannot be opened says so itself; the partition stays without this replica.
        if self.ensure_open(slot, now).is_ok() {
            self.publish(slot);
            self.tell_place(slot, None);
            self.propose(slot, now);
        }
    }

    fn brokers_changed(&mut self, brokers: Arc<Brokers>, now: Now) {
        self.brokers = Arc::clone(&brokers);
        for slot in 0..self.writers.len() as Slot {
            let Some(writer) = self.writer(slot).filter(|writer| writer.is_replicated()) else { continue };
            writer.look_again(&brokers, now);
            self.touch(slot);
            self.propose(slot, now);
        }
    }

    fn writer(&mut self, slot: Slot) -> Option<&mut PartitionWriter> {
        self.writers.get_mut(slot as usize)?.as_deref_mut()
    }

    fn append(&mut self, slot: Slot, append: Append, now: Now) {
        self.directory.metrics.appends.add(1);
        if let Some(why) = self.directory.failure() {
            return append.reply.send(Err(ProduceError::Storage(why.to_string())));
        }
        if let Err(error) = self.ensure_open(slot, now) {
            return append.reply.send(Err(match error {
                PartitionError::Storage(why) => ProduceError::Storage(why),
                _ => ProduceError::Closed,
            }));
        }
        if self.journal.has_first_marks() && !self.keep_journal(now, true) {
            let why = self.directory.failure();
            return append.reply.send(Err(match why {
                Some(why) => ProduceError::Storage(why.to_string()),
                None => ProduceError::DiskFull,
            }));
        }
        let patient = append.acks == Acks::All;
        let Some(writer) = self.writer(slot) else { return append.reply.send(Err(ProduceError::Closed)) };
        let after = writer.append(append, now);
        let patient = patient && !writer.open_log().is_some_and(|open| open.is_async());
        match after {
            AfterAppend::Nothing => return,
            AfterAppend::DiskFull => return self.disk_is_full(now.mono),
            AfterAppend::Publish => self.touch(slot),
            AfterAppend::Flush => {
                self.touch(slot);
                self.dirty(slot);
            }
            AfterAppend::Failed => {
                let failure = writer.open_log().and_then(|open| open.log.failure().map(str::to_owned));
                self.directory.fail(&failure.unwrap_or_else(|| "a write failed".to_owned()));
                return self.fail_all();
            }
        }
        self.flushes.on_append(patient, now.mono);
        self.visit_after_append(slot, now.mono);
    }

    /// An append was refused for want of room; the log says so now and then, not for each of them.
    fn disk_is_full(&mut self, now: Duration) {
        self.directory.metrics.disk_full_refusals.add(1);
        if now >= self.disk_full_said_again {
            self.disk_full_said_again = now + DISK_FULL_SAID_EVERY;
            let directory = self.directory.path.display();
            tracing::warn!(%directory, "the disk is full: appends are refused until there is room, reads go on");
        }
    }

    fn command(&mut self, slot: Slot, command: Command, now: Now) {
        // A reply whose asker has gone is dropped: the command has done its work all the same.
        match command {
            Command::Open { reply } => {
                let opened = self.ensure_open(slot, now);
                let view = opened.and_then(|()| {
                    self.writer(slot).and_then(|writer| writer.handle.view()).ok_or(PartitionError::Closed)
                });
                let _ = reply.send(view);
            }
            Command::Assign(image, config) => {
                let brokers = Arc::clone(&self.brokers);
                if let Some(writer) = self.writer(slot) {
                    let was_replicated = writer.is_replicated();
                    writer.assign(image, config, &brokers, now);
                    // Before anybody hears where it stands in a new epoch.
                    self.fetch_again(slot, now);
                    self.publish(slot);
                    if was_replicated {
                        self.tell_place(slot, None);
                    }
                    self.take_role(slot, now);
                }
            }
            Command::Damaged { why } => self.damage_found(slot, &why),
            Command::Replication(news) => self.replication(slot, *news, now),
            Command::Configure(config) => self.configure(slot, config, now),
            Command::DeleteRecords { before, reply } => {
                let _ = reply.send(self.delete_records(slot, before, now));
            }
            Command::DescribeProducers { reply } => {
                let opened = self.ensure_open(slot, now);
                let producers = opened.and_then(|()| {
                    let open = self.writer(slot).and_then(PartitionWriter::open_log);
                    open.map(|open| open.log.producers(now)).ok_or(PartitionError::Closed)
                });
                let _ = reply.send(producers);
            }
            Command::Flush { reply } => self.flush_command(slot, reply),
            Command::Compacted { result } => self.compacted(slot, result, now),
            remove @ Command::Remove { .. } => self.remove(slot, remove, now),
        }
    }

    /// Opens the log of a partition unless it is open; publishes its first view.
    fn ensure_open(&mut self, slot: Slot, now: Now) -> Result<(), PartitionError> {
        let writer = self.writer(slot).ok_or(PartitionError::Closed)?;
        match &writer.state {
            LogState::Open(_) => return Ok(()),
            LogState::Offline(why) => return Err(PartitionError::Storage(why.to_string())),
            LogState::Unopened => {}
        }
        let handle = writer.handle.clone();
        let brokers = Arc::clone(&self.brokers);
        let (mark, config) = (self.journal.mark(handle.id()), handle.config());
        let opened = self.open_log(&handle, now);
        let failure = self.directory.failure();
        let writer = self.writer(slot).ok_or(PartitionError::Closed)?;
        match opened {
            Ok((log, recovery)) => {
                let is_new = recovery == Recovery::Empty;
                let is_torn = matches!(recovery, Recovery::Torn { .. }) && writer.is_replicated();
                let first_mark = (is_new && mark.is_none()).then(|| log.mark(0));
                let unflushed = writer.start(log, mark, config, &brokers, now);
                if let (Some(why), Some(open)) = (&failure, writer.open_log()) {
                    open.fail(why);
                }
                self.directory.metrics.opened_logs.add(1);
                self.findings.torn += usize::from(is_torn);
                if let Some(first_mark) = first_mark {
                    self.journal.note_first(handle.id(), first_mark);
                }
                if unflushed && failure.is_none() {
                    self.flush_recovered(slot, now);
                }
                self.publish(slot);
                self.visit_at(slot, now.mono);
                Ok(())
            }
            Err(error) => {
                let why = error.to_string();
                // Damage stays; whatever else the disk refused may pass, so the next use tries again.
                if matches!(error, OpenError::Corrupt { .. }) {
                    self.findings.damaged += usize::from(writer.is_replicated());
                    self.damaged_at_opening(slot, &why);
                } else {
                    tracing::warn!(partition = %handle.tp(), why, "the log cannot be opened");
                }
                Err(PartitionError::Storage(why))
            }
        }
    }

    fn open_log(&mut self, handle: &PartitionHandle, now: Now) -> Result<(Log, Recovery), OpenError> {
        let dir = self.directory.path.join(handle.tp().to_string());
        let context = Arc::clone(&self.directory.log);
        let open = |mark| {
            let config = Arc::clone(&handle.config().log);
            Log::open(&context, dir.clone(), handle.id(), mark, config, now)
        };
        let opened = match open(self.journal.mark(handle.id())) {
            Err(OpenError::WrongTopic { found, .. }) => {
                // A deleted topic of the same name left its files when the broker was killed.
                tracing::warn!(partition = %handle.tp(), found, "a directory of a deleted topic is put aside");
                self.put_aside(&dir, now).map_err(|source| OpenError::Io { dir: dir.clone(), source })?;
                open(None)
            }
            opened => opened,
        };
        if let Ok((_, Recovery::Torn { truncated_to, truncated_bytes, .. })) = opened {
            tracing::warn!(partition = %handle.tp(), truncated_to, truncated_bytes, "a torn tail was cut");
        }
        opened
    }

    fn configure(&mut self, slot: Slot, config: Arc<super::PartitionConfig>, now: Now) {
        let brokers = Arc::clone(&self.brokers);
        let Some(writer) = self.writer(slot) else { return };
        let PartitionWriter { image, state, .. } = writer;
        if let LogState::Open(open) = state {
            open.configure(image, config, &brokers, now);
            // Retention may want to act at once, and a topic that became synchronous to flush what it has.
            self.publish(slot);
            self.dirty(slot);
            self.visit_at(slot, now.mono);
        }
    }

    fn flush_command(&mut self, slot: Slot, reply: tokio::sync::oneshot::Sender<Result<(), PartitionError>>) {
        let failure = self.directory.failure();
        let Some(writer) = self.writer(slot) else { return };
        let needed = match (&mut writer.state, failure) {
            (LogState::Open(_) | LogState::Offline(_), Some(why)) => {
                // The asker may have gone.
                let _ = reply.send(Err(PartitionError::Storage(why.to_string())));
                false
            }
            (LogState::Open(open), None) => open.await_flush(reply),
            // What was not opened has nothing to flush.
            _ => {
                let _ = reply.send(Ok(()));
                false
            }
        };
        if needed {
            self.dirty(slot);
        }
    }

    /// Publishes at the end of the round, if acks or readers wait for it.
    fn touch(&mut self, slot: Slot) {
        if let Some(writer) = self.writer(slot)
            && !std::mem::replace(&mut writer.flags.touched, true)
        {
            self.touched.push(slot);
        }
    }

    fn publish_touched(&mut self) {
        let mut touched = std::mem::take(&mut self.touched);
        for slot in touched.drain(..) {
            let Some(writer) = self.writer(slot) else { continue };
            writer.flags.touched = false;
            let published = writer.handle.view();
            let replicated = writer.is_replicated();
            let wanted =
                writer.open_log().is_some_and(|open| open.wants_publish(replicated, published.as_deref()));
            if wanted {
                self.publish(slot);
                if replicated {
                    self.tell_place(slot, None);
                }
            }
        }
        // Keeps its allocation for the next round.
        self.touched = touched;
    }

    fn publish(&mut self, slot: Slot) {
        let me = self.directory.me;
        if let Some(writer) = self.writer(slot) {
            writer.publish(me);
        }
    }

    /// After the directory has failed: every partition refuses writes from now on.
    fn fail_all(&mut self) {
        let Some(why) = self.directory.failure() else { return };
        let me = self.directory.me;
        for writer in self.writers.iter_mut().flatten() {
            if let Some(open) = writer.open_log() {
                open.fail(&why);
                writer.publish(me);
            }
        }
        self.flushes.clear();
    }

    /// Takes nothing more in, flushes and closes every log, and returns whether all of that went well.
    pub(crate) fn stop(mut self) -> bool {
        let rest = self.inbox.refuse();
        self.queue.extend(rest);
        self.drain_flushes();
        let clean = self.directory.failure().is_none() && self.flush_everything();
        for slot in 0..self.writers.len() {
            let Some(writer) = self.writers[slot].as_deref_mut() else { continue };
            if clean && let Some(open) = writer.open_log() {
                open.log.close();
                let mark = open.log.mark(open.high_watermark());
                let id = writer.handle.id();
                self.journal.note(id, mark);
            }
            writer.close(&ProduceError::Closed);
        }
        let now = self.directory.clock.now();
        let journaled = clean && self.keep_journal(now, true);
        self.removals.submit_all(&self.directory);
        journaled
    }
}

/// Driven by hand: by tests, and by simulations.
impl LogThread {
    /// Whether something is queued.
    pub(crate) fn has_input(&self) -> bool {
        !self.queue.is_empty() || !self.inbox.is_empty()
    }

    /// Takes in what is queued, without waiting.
    pub(crate) fn receive_now(&mut self) {
        self.inbox.receive(&mut self.queue, ROUND_INPUTS_MAX, Some(Duration::ZERO));
    }
}

#[cfg(test)]
mod crash_tests;
#[cfg(test)]
mod tests;
