//! World: one machine with a disk that crashes, a journal, and two logs, driven by a seed as a log thread would.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use tidemark_protocol::batch::{BatchBuilder, BuilderOptions, Compression, RecordBatch};
use tidemark_protocol::types::{LeaderEpoch, Now, Offset, ProducerId, TopicId, TopicIdPartition};
use tidemark_storage::config::{CleanupPolicy, LogConfig};
use tidemark_storage::disk::sim::Rng;
use tidemark_storage::disk::{Disk, SimDisk};
use tidemark_storage::journal::Journal;
use tidemark_storage::log::{AppendError, Log, LogContext, LogOptions, Recovery, RoomPolicy};
use tidemark_storage::tail::TailBudget;
use uuid::Uuid;

use super::lying::LyingDisk;
use super::model::Model;

/// As many requests as a client keeps in flight.
const IN_FLIGHT_MAX: usize = 5;
const PRODUCERS: i64 = 3;

/// A way to be wrong that the checks must notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// None: the real thing.
    None,
    /// Appends are acknowledged before anything is synced.
    AckBeforeSync,
    /// Files are synced, their directories not.
    SkipDirSync,
    /// The journal says durable before it is.
    MarkBeforeSync,
    /// A cut is not synced.
    SkipTruncateSync,
    /// A cut below the journal's mark without taking the mark back.
    TruncateBelowMark,
    /// DeleteRecords is answered before the journal has it.
    AckDeleteBeforeJournal,
    /// A failed sync is tried again, and believed.
    RetrySync,
    /// A retry of a producer is appended without looking.
    ForgetProducers,
}

/// All of them but `None`.
pub const BUGS: [Bug; 8] = [
    Bug::AckBeforeSync,
    Bug::SkipDirSync,
    Bug::MarkBeforeSync,
    Bug::SkipTruncateSync,
    Bug::TruncateBelowMark,
    Bug::AckDeleteBeforeJournal,
    Bug::RetrySync,
    Bug::ForgetProducers,
];

/// An idempotent producer.
#[derive(Debug)]
struct Producer {
    id: ProducerId,
    next_sequence: i32,
    /// Sent and not acknowledged: the batch, and where it went.
    in_flight: VecDeque<(RecordBatch, Offset)>,
}

struct Partition {
    identity: TopicIdPartition,
    dir: PathBuf,
    config: Arc<LogConfig>,
    log: Log,
    model: Model,
    producers: Vec<Producer>,
    epoch: LeaderEpoch,
    /// A cut was begun and not finished: which sequence is next is only known when the log is open again.
    is_cut: bool,
    /// It took over a start of its leader: producers are the leader's.
    is_follower: bool,
}

/// The machine.
pub struct World {
    bug: Bug,
    rng: Rng,
    sim: SimDisk,
    disk: LyingDisk,
    context: Arc<LogContext>,
    journal: Journal,
    partitions: Vec<Partition>,
    now: Now,
    /// A fault was injected: errors are to be expected until the next crash.
    is_faulty: bool,
    /// Counts what happened, to see that everything does.
    pub seen: BTreeMap<&'static str, u64>,
    /// Every step is printed: for finding out what a seed does.
    pub is_traced: bool,
    counter: u64,
}

fn data() -> &'static Path {
    Path::new("/data")
}

fn journal_dir() -> PathBuf {
    data().join("journal")
}

impl World {
    /// A fresh machine.
    pub fn new(seed: u64, bug: Bug) -> Self {
        let mut rng = Rng::new(seed);
        let sim = SimDisk::new(rng.next_u64());
        sim.create_dir_all(data()).unwrap();
        sim.sync_dir(Path::new("/")).unwrap();
        let disk = LyingDisk::new(sim.clone());
        let context = context_on(&disk, &mut rng);
        let (journal, _) = Journal::open(Arc::new(disk.clone()), &journal_dir(), 0).unwrap();
        let now = Now { mono: Duration::from_secs(1), wall_ms: 1_000_000_000 };
        let mut world = World {
            bug,
            rng,
            sim,
            disk,
            context,
            journal,
            partitions: Vec::new(),
            now,
            is_faulty: false,
            seen: BTreeMap::new(),
            is_traced: false,
            counter: 0,
        };
        for index in 0..2 {
            let partition = world.new_partition(index);
            world.partitions.push(partition);
        }
        world
    }

    fn new_partition(&mut self, index: i32) -> Partition {
        let identity = TopicIdPartition { topic_id: TopicId(Uuid::from_u128(7)), partition: index };
        let dir = data().join(format!("topic-{index}"));
        let config = Arc::new(self.random_config());
        let (log, recovery) =
            Log::open(&self.context, dir.clone(), identity, None, config.clone(), self.now).unwrap();
        assert_eq!(recovery, Recovery::Empty);
        let producers =
            (0..PRODUCERS).map(|id| Producer { id, next_sequence: 0, in_flight: VecDeque::new() }).collect();
        Partition {
            identity,
            dir,
            config,
            log,
            model: Model::default(),
            producers,
            epoch: 0,
            is_cut: false,
            is_follower: false,
        }
    }

    fn random_config(&mut self) -> LogConfig {
        let rng = &mut self.rng;
        let compact = rng.percent(40);
        LogConfig {
            segment_bytes: 2_000 + rng.below(6_000),
            segment_ms: 5_000 + rng.below(60_000) as i64,
            retention_ms: if rng.percent(50) { 20_000 + rng.below(60_000) as i64 } else { -1 },
            retention_bytes: if rng.percent(30) { 5_000 + rng.below(20_000) as i64 } else { -1 },
            index_interval_bytes: rng.below(1000),
            cleanup: CleanupPolicy { delete: !compact || rng.percent(30), compact },
            min_cleanable_dirty_ratio: 0.1,
            delete_retention_ms: rng.below(30_000) as i64,
            file_delete_delay_ms: rng.below(3_000) as i64,
            ..LogConfig::default()
        }
    }

    fn count(&mut self, what: &'static str) {
        *self.seen.entry(what).or_default() += 1;
        if self.is_traced {
            let state = |p: &Partition| {
                format!(
                    "{}..{}..{} mark {:?}",
                    p.log.log_start(),
                    p.log.durable_end(),
                    p.log.log_end(),
                    self.journal.get(p.identity)
                )
            };
            println!(
                "{:>6} {what}: {:?}",
                self.sim.changes_made(),
                self.partitions.iter().map(state).collect::<Vec<_>>()
            );
        }
    }

    /// Runs the workload until something makes the machine crash, recovers, checks; so many times.
    pub fn run(&mut self, crashes: usize) {
        for _ in 0..crashes {
            let steps = 5 + self.rng.below(80);
            for _ in 0..steps {
                self.step();
                if self.has_failed() {
                    break;
                }
            }
            self.crash_and_recover();
        }
    }

    /// A number that two runs of one seed share.
    pub fn digest(&self) -> u32 {
        self.sim.digest()
    }

    fn has_failed(&self) -> bool {
        self.sim.is_off() || self.partitions.iter().any(|p| p.log.failure().is_some())
    }

    /// Errors are fine once a fault was injected, and then the machine stops.
    fn tolerate<T, E: std::fmt::Display>(&mut self, result: Result<T, E>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(error) => {
                assert!(self.is_faulty || self.sim.is_off(), "no fault was injected, yet: {error}");
                None
            }
        }
    }

    fn step(&mut self) {
        let ahead = self.rng.below(4_000);
        self.now.mono += Duration::from_millis(ahead);
        self.now.wall_ms += ahead as i64;
        let p = self.rng.index(self.partitions.len());
        match self.rng.below(100) {
            0..58 => self.append(p),
            58..80 => self.flush_round(),
            80..84 => self.maintain(p),
            84 => self.adopt_log_start(p),
            85..88 => self.truncate(p),
            88..91 => self.delete_records(p),
            91..95 => self.compact(p),
            95 => self.reopen(p),
            96 => self.fill_disk(),
            97 => self.inject_error(),
            _ => {
                let nth = 1 + self.rng.below(60);
                self.sim.power_off_at(nth);
                self.count("power off");
            }
        }
    }

    fn random_batch(&mut self, producer: Option<(ProducerId, i32)>) -> RecordBatch {
        let (producer_id, base_sequence) = producer.unwrap_or((-1, -1));
        let compression = if self.rng.percent(20) { Compression::Lz4 } else { Compression::None };
        let mut builder = BatchBuilder::new(BuilderOptions {
            compression,
            producer_id,
            producer_epoch: if producer_id < 0 { -1 } else { 0 },
            base_sequence,
            ..BuilderOptions::default()
        });
        for i in 0..1 + self.rng.below(4) {
            self.counter += 1;
            let key = format!("key{}", self.rng.below(8));
            let len = if self.rng.percent(5) { 300 } else { self.rng.index(60) };
            let value = format!("{}:{}", self.counter, "v".repeat(len));
            let value = (!self.rng.percent(15)).then_some(value.as_bytes());
            builder.append(i as i64, self.now.wall_ms, Some(key.as_bytes()), value, &[]);
        }
        builder.build()
    }

    fn append(&mut self, p: usize) {
        let who = self.rng.index(PRODUCERS as usize + 1);
        if who == PRODUCERS as usize || self.partitions[p].is_follower {
            let batch = self.random_batch(None);
            self.send(p, batch);
            return;
        }
        if self.partitions[p].producers[who].in_flight.len() == IN_FLIGHT_MAX {
            return self.flush_round();
        }
        let producer = &self.partitions[p].producers[who];
        let batch = self.random_batch(Some((producer.id, producer.next_sequence)));
        if let Some(offset) = self.send(p, batch.clone()) {
            let producer = &mut self.partitions[p].producers[who];
            producer.next_sequence = batch.header().last_sequence() + 1;
            producer.in_flight.push_back((batch, offset));
        }
    }

    /// Appends a new batch; `None` when the log did not take it.
    fn send(&mut self, p: usize, batch: RecordBatch) -> Option<Offset> {
        let (now, bug) = (self.now, self.bug);
        let partition = &mut self.partitions[p];
        let epoch = partition.epoch;
        match partition.log.append_as_leader(batch.clone(), epoch, now) {
            Ok(appended) => {
                assert!(!appended.duplicate, "a new batch is no duplicate");
                if self.is_traced {
                    let h = batch.header();
                    println!(
                        "{p}: producer {} sequence {}.. at {}..{}",
                        h.producer_id, h.base_sequence, appended.base_offset, appended.last_offset
                    );
                }
                let placed = batch.place(appended.base_offset, epoch);
                partition.model.append(*placed.header(), placed.to_bytes());
                if bug == Bug::AckBeforeSync {
                    partition.model.acked_end = partition.log.log_end();
                }
                Some(appended.base_offset)
            }
            Err(AppendError::DiskFull) => {
                assert!(self.is_faulty, "the disk is not full");
                self.count("disk full");
                None
            }
            Err(error) => {
                // Nobody knows whether it was written: it may be found, and a retry must find it.
                if matches!(error, AppendError::Failed(_)) {
                    let end = partition.model.end();
                    let placed = batch.place(end, epoch);
                    partition.model.append(*placed.header(), placed.to_bytes());
                    self.tolerate::<(), _>(Err(error));
                    return Some(end);
                }
                self.tolerate(Err(error))
            }
        }
    }

    fn flush_round(&mut self) {
        self.count("flush");
        let result = self.try_flush_round();
        if self.tolerate(result).is_none() {
            self.fail_all("flush");
        }
    }

    fn fail_all(&mut self, why: &str) {
        for partition in &mut self.partitions {
            partition.log.fail(why.to_owned());
        }
    }

    /// What a log thread does once a round: sync what is dirty, note the new marks, write older ones now and then.
    fn try_flush_round(&mut self) -> io::Result<()> {
        let mut flushes = Vec::new();
        for (p, partition) in self.partitions.iter_mut().enumerate() {
            if let Some(flush) = partition.log.begin_flush() {
                if self.bug == Bug::MarkBeforeSync {
                    let mut mark = partition.log.mark(flush.end);
                    mark.durable_end = flush.end;
                    mark.segment_base = flush.end;
                    mark.segment_position = 0;
                    self.journal.note(partition.identity, mark);
                }
                flushes.push((p, flush));
            }
        }
        // The journal is written now and then and synced less often: marks lag behind.
        let (writes, syncs) = (self.rng.percent(50), self.rng.percent(50));
        if writes {
            self.journal.write()?;
        }
        if self.rng.percent(20) {
            self.disk.sync_filesystem(data())?;
        } else {
            if syncs {
                self.sync(&*self.journal.file())?;
            }
            for (_, flush) in &flushes {
                flush.files.iter().try_for_each(|file| self.sync(&**file))?;
                if self.bug != Bug::SkipDirSync {
                    flush.dirs.iter().try_for_each(|dir| self.disk.sync_dir(dir))?;
                }
            }
        }
        for (p, flush) in flushes {
            let partition = &mut self.partitions[p];
            partition.log.finish_flush(flush);
            let durable_end = partition.log.durable_end();
            partition.model.acked_end = partition.model.acked_end.max(durable_end);
            for producer in &mut partition.producers {
                producer.in_flight.retain(|(_, offset)| *offset >= durable_end);
            }
            self.journal.note(partition.identity, partition.log.mark(durable_end));
        }
        Ok(())
    }

    fn sync(&self, file: &dyn tidemark_storage::disk::File) -> io::Result<()> {
        match file.sync_data() {
            Err(_) if self.bug == Bug::RetrySync => file.sync_data(),
            result => result,
        }
    }

    fn maintain(&mut self, p: usize) {
        self.count("maintain");
        let now = self.now;
        let partition = &mut self.partitions[p];
        let done = partition.log.maintain(now, partition.log.durable_end());
        // Cut off in the middle, retention may have got as far as the high watermark.
        let is_whole = partition.log.failure().is_none() && !self.sim.is_off();
        let reached = if is_whole { partition.log.log_start() } else { partition.log.durable_end() };
        partition.model.start_seen = partition.model.start_seen.max(reached);
        if done.log_start_moved {
            let mark = partition.log.mark(partition.log.durable_end());
            self.journal.note(partition.identity, mark);
            self.count("retention");
        }
        if done.rolled {
            self.count("rolled by time");
        }
    }

    /// Journals a mark at once, as what must not be lost.
    fn journal_now(&mut self, p: usize, mark: tidemark_storage::journal::LogMark) -> io::Result<()> {
        self.journal.note(self.partitions[p].identity, mark);
        self.journal.write()?;
        self.journal.file().sync_data()
    }

    fn truncate(&mut self, p: usize) {
        let partition = &mut self.partitions[p];
        // Nobody cuts below the high watermark's batch, and the start of the log is below that.
        let lowest = partition.log.log_start().max(partition.model.compacted_to);
        let lowest = partition.model.boundary_from(lowest);
        let end = partition.log.log_end();
        if lowest > end {
            return;
        }
        let offset = lowest + self.rng.below((end - lowest) as u64 + 1) as Offset;
        let mark = partition.log.mark_before_truncate(offset, offset);
        let Some(mark) = self.tolerate(mark) else { return };
        // From here on the log may end anywhere between the cut and its end.
        let model = &mut self.partitions[p].model;
        model.acked_end = model.acked_end.min(mark.durable_end).min(offset);
        if self.bug != Bug::TruncateBelowMark {
            let journaled = self.journal_now(p, mark);
            if self.tolerate(journaled).is_none() {
                return self.fail_all("journal");
            }
        }
        let partition = &mut self.partitions[p];
        partition.is_cut = true;
        for producer in &mut partition.producers {
            // What is cut is void and not sent again.
            producer
                .in_flight
                .retain(|(batch, at)| at + Offset::from(batch.header().last_offset_delta) < offset);
        }
        self.disk.lie(self.bug == Bug::SkipTruncateSync);
        let result = self.partitions[p].log.truncate_to(offset);
        self.disk.lie(false);
        if let Some(end) = self.tolerate(result) {
            self.count("truncate");
            let partition = &mut self.partitions[p];
            assert!(end <= offset && end == partition.log.log_end());
            partition.model.truncate(end);
            assert_eq!(
                partition.model.end().max(partition.model.start_acked),
                end.max(partition.model.start_acked)
            );
            partition.epoch += 1;
            partition.log.assign_epoch(partition.epoch);
            self.resume_producers(p);
        }
    }

    /// After a cut the producers go on where the log ends.
    fn resume_producers(&mut self, p: usize) {
        let partition = &mut self.partitions[p];
        partition.is_cut = false;
        for producer in &mut partition.producers {
            producer.next_sequence = partition.model.next_sequence(producer.id);
        }
    }

    fn delete_records(&mut self, p: usize) {
        let partition = &mut self.partitions[p];
        let (start, durable) = (partition.log.log_start(), partition.log.durable_end());
        if durable <= start {
            return;
        }
        let offset = start + 1 + self.rng.below((durable - start) as u64) as Offset;
        let result = partition.log.advance_log_start(offset);
        partition.model.start_seen = partition.model.start_seen.max(offset);
        if self.tolerate(result).is_none() {
            return;
        }
        self.count("delete records");
        let partition = &self.partitions[p];
        let mark = partition.log.mark(partition.log.durable_end());
        if self.bug == Bug::AckDeleteBeforeJournal {
            self.journal.note(partition.identity, mark);
        } else {
            let result = self.journal_now(p, mark);
            if self.tolerate(result).is_none() {
                return self.fail_all("journal");
            }
        }
        self.partitions[p].model.start_acked = offset;
    }

    /// What a follower does whose leader's log starts later: the start may lie above what is durable here, and what is between
    /// may be lost.
    fn adopt_log_start(&mut self, p: usize) {
        let partition = &mut self.partitions[p];
        let (start, end) = (partition.log.log_start(), partition.log.log_end());
        if end <= start || partition.is_cut {
            return;
        }
        let asked = start + 1 + self.rng.below((end - start) as u64) as Offset;
        let offset = partition.model.boundary_from(asked).min(end);
        let result = partition.log.advance_log_start(offset);
        partition.model.start_seen = partition.model.start_seen.max(offset);
        if self.tolerate(result).is_none() {
            return;
        }
        let partition = &mut self.partitions[p];
        partition.is_follower = true;
        partition.producers.iter_mut().for_each(|producer| producer.in_flight.clear());
        let is_above = offset > partition.log.durable_end();
        // Nobody waits for it: it is journaled with the other marks.
        self.journal.note(partition.identity, partition.log.mark(partition.log.durable_end()));
        self.count(if is_above { "start adopted above what is durable" } else { "start adopted" });
    }

    fn compact(&mut self, p: usize) {
        let (now, memory) = (self.now, if self.rng.percent(30) { 16 * 24 } else { 1 << 16 });
        let partition = &mut self.partitions[p];
        let Some(job) = partition.log.compaction(now, partition.log.durable_end()) else { return };
        let end = job.sources.last().map_or(0, |source| source.end);
        partition.model.compacted_to = partition.model.compacted_to.max(end);
        let Some(compacted) = ({
            let result = job.run(memory, &AtomicBool::new(false));
            self.tolerate(result)
        }) else {
            return;
        };
        if self.rng.percent(20) {
            // The log goes on before the result is applied.
            self.append(p);
            self.maintain(p);
        }
        let result = self.partitions[p].log.apply_compaction(compacted, now);
        match self.tolerate(result) {
            Some(true) => self.count("compaction"),
            Some(false) => self.count("compaction outdated"),
            None => self.fail_all("compaction"),
        }
    }

    /// A clean stop and start of one log.
    fn reopen(&mut self, p: usize) {
        self.flush_round();
        if self.has_failed() {
            return;
        }
        self.partitions[p].log.close();
        self.count("reopen");
        let mark = self.journal.get(self.partitions[p].identity);
        let partition = &mut self.partitions[p];
        let opened = Log::open(
            &self.context,
            partition.dir.clone(),
            partition.identity,
            mark,
            partition.config.clone(),
            self.now,
        );
        if let Some((log, _)) = self.tolerate(opened) {
            let partition = &mut self.partitions[p];
            partition.log = log;
            partition.log.assign_epoch(partition.epoch);
            self.sim.power_off_at(u64::MAX);
            partition.model.check(&partition.log);
        } else {
            self.fail_all("reopen");
        }
    }

    fn fill_disk(&mut self) {
        self.is_faulty = true;
        let room = self.rng.below(2000);
        self.sim.set_capacity(self.sim.used() + room);
    }

    fn inject_error(&mut self) {
        self.is_faulty = true;
        let nth = 1 + self.rng.below(12);
        if self.rng.percent(50) {
            self.sim.fail_write(nth)
        } else {
            self.sim.fail_sync(nth)
        }
        self.count("error");
    }

    fn crash_and_recover(&mut self) {
        loop {
            // The process alone may die: what it wrote is then seen by the next one, on the disk or not. What a cut that
            // failed took away may come back later; the model does not follow that.
            let is_cut = self.partitions.iter().any(|p| p.is_cut);
            let is_only_a_restart = !self.sim.is_off() && !is_cut && self.rng.percent(30);
            self.count(if is_only_a_restart { "restart" } else { "crash" });
            self.sim = if is_only_a_restart { self.sim.restart() } else { self.sim.crash() };
            self.sim.set_capacity(u64::MAX);
            self.is_faulty = false;
            // One recovery in three is cut off by another crash.
            if self.rng.percent(33) {
                let nth = 1 + self.rng.below(25);
                self.sim.power_off_at(nth);
            }
            self.disk = LyingDisk::new(self.sim.clone());
            self.context = context_on(&self.disk, &mut self.rng);
            let recovered = self.try_recover();
            if self.sim.is_off() {
                self.count("crash in recovery");
                continue;
            }
            if let Err(error) = recovered {
                panic!("recovery failed: {error}");
            }
            // A power failure that recovery did not reach does not come during the check either.
            self.sim.power_off_at(u64::MAX);
            break;
        }
        for p in 0..self.partitions.len() {
            if self.partitions[p].log.failure().is_none() && !self.sim.is_off() {
                self.after_recovery(p);
            }
        }
    }

    fn try_recover(&mut self) -> Result<(), String> {
        let disk: Arc<dyn Disk> = Arc::new(self.disk.clone());
        let (journal, marks) = Journal::open(disk, &journal_dir(), 0).map_err(|e| e.to_string())?;
        self.journal = journal;
        for p in 0..self.partitions.len() {
            let partition = &mut self.partitions[p];
            let mark = marks.get(&partition.identity).copied();
            let (log, recovery) = Log::open(
                &self.context,
                partition.dir.clone(),
                partition.identity,
                mark,
                partition.config.clone(),
                self.now,
            )
            .map_err(|e| format!("{e} (mark {mark:?})"))?;
            partition.log = log;
            let what = match recovery {
                Recovery::Empty => "found empty",
                Recovery::Intact { .. } => "found intact",
                Recovery::Torn { .. } => "found torn",
            };
            self.count(what);
        }
        Ok(())
    }

    /// Checks one recovered log, and lets its producers retry what was not acknowledged.
    fn after_recovery(&mut self, p: usize) {
        let before = self.partitions[p].model.end();
        let partition = &mut self.partitions[p];
        partition.model.check(&partition.log);
        let lost = partition.model.end() < before;
        partition.epoch += 1;
        partition.log.assign_epoch(partition.epoch);
        if lost {
            self.count("unacknowledged lost");
        }
        for who in 0..PRODUCERS as usize {
            self.retry(p, who);
        }
        if self.partitions[p].is_cut && !self.has_failed() {
            self.resume_producers(p);
        }
    }

    fn retry(&mut self, p: usize, who: usize) {
        for i in 0..self.partitions[p].producers[who].in_flight.len() {
            let (batch, offset) = self.partitions[p].producers[who].in_flight[i].clone();
            let (now, bug) = (self.now, self.bug);
            let partition = &mut self.partitions[p];
            let header = batch.header();
            let there = partition.model.batches.iter().find(|placed| {
                (placed.header.producer_id, placed.header.base_sequence)
                    == (header.producer_id, header.base_sequence)
            });
            let there = there.map(|placed| placed.header.base_offset);
            if bug == Bug::ForgetProducers {
                let epoch = partition.epoch;
                let placed = batch.clone().place(partition.log.log_end(), epoch);
                if partition.log.append_as_follower(placed.to_bytes(), now).is_ok() {
                    partition.model.append(*placed.header(), placed.to_bytes());
                }
                continue;
            }
            let appended = partition.log.append_as_leader(batch.clone(), partition.epoch, now);
            let Some(appended) = self.tolerate(appended) else { return };
            let partition = &mut self.partitions[p];
            assert_eq!(appended.duplicate, there.is_some(), "retry of the batch first placed at {offset}");
            let now_at = appended.base_offset;
            if let Some(there) = there {
                assert_eq!(now_at, there, "a duplicate answers where the batch is");
            } else {
                let placed = batch.clone().place(now_at, partition.epoch);
                partition.model.append(*placed.header(), placed.to_bytes());
            }
            partition.producers[who].in_flight[i].1 = now_at;
            self.count(if there.is_some() { "duplicate" } else { "retried" });
        }
    }
}

fn context_on(disk: &LyingDisk, rng: &mut Rng) -> Arc<LogContext> {
    let tail = if rng.percent(50) { 0 } else { rng.index(4000) };
    // Small steps, so that the small segments of these worlds have room at every stage; none in some.
    let room = RoomPolicy { from_bytes: rng.index(2000) as u64, step_bytes: 1 + rng.index(1000) as u64 };
    let options = LogOptions { room, ..LogOptions::default() };
    LogContext::new(Arc::new(disk.clone()), Arc::new(TailBudget::new(tail)), Arc::default(), options)
}
