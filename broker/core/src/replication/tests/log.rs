//! [`MemoryLog`]: a log as replication sees it: records with epochs, two ends, an epoch cache, a crash.
//!
//! Each offset has a hash of everything before it, so that two prefixes are compared in one step.

use tidemark_protocol::types::{LeaderEpoch, Offset};

use super::chance::Rng;
use crate::replication::epochs::EpochLog;
use crate::replication::replica::ReplicaProgress;

/// One record; values are unique in a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    pub epoch: LeaderEpoch,
    pub value: u64,
}

/// What survives a crash of its node, but for the records that are not durable.
#[derive(Clone, Debug, Default)]
pub struct MemoryLog {
    start: Offset,
    /// Offset of the first record that is kept; at or below `start`.
    base: Offset,
    base_hash: u64,
    records: Vec<(Record, u64)>,
    durable_end: Offset,
    epochs: Vec<(LeaderEpoch, Offset)>,
}

impl MemoryLog {
    pub fn progress(&self) -> ReplicaProgress {
        ReplicaProgress { append_end: self.log_end(), durable_end: self.durable_end }
    }

    pub fn is_durable(&self) -> bool {
        self.durable_end == self.log_end()
    }

    /// The record at `offset`, if it is kept.
    pub fn get(&self, offset: Offset) -> Option<Record> {
        self.records.get(usize::try_from(offset - self.base).ok()?).map(|(record, _)| *record)
    }

    /// At most `count` records from `offset` on.
    pub fn read(&self, offset: Offset, count: usize) -> Vec<Record> {
        (offset..self.log_end()).take(count).filter_map(|at| self.get(at)).collect()
    }

    /// Hash of all records before `offset`; `None` where they are not kept.
    pub fn hash_before(&self, offset: Offset) -> Option<u64> {
        match usize::try_from(offset - self.base) {
            Ok(0) => Some(self.base_hash),
            Ok(after) => self.records.get(after - 1).map(|(_, hash)| *hash),
            Err(_) => None,
        }
    }

    pub fn append(&mut self, record: Record) {
        self.assign_epoch_at(record.epoch, self.log_end());
        let before = self.hash_before(self.log_end()).unwrap();
        self.records.push((record, hash(before, record)));
    }

    /// A leader's epoch begins at the end of the log.
    pub fn assign_epoch(&mut self, epoch: LeaderEpoch) {
        self.assign_epoch_at(epoch, self.log_end());
    }

    fn assign_epoch_at(&mut self, epoch: LeaderEpoch, start: Offset) {
        // A later epoch without a record may be here; below it, this very epoch.
        while self.epochs.last().is_some_and(|last| last.0 > epoch || last.0 < epoch && last.1 >= start) {
            self.epochs.pop();
        }
        if self.epochs.last().is_none_or(|last| last.0 != epoch) {
            self.epochs.push((epoch, start));
        }
    }

    /// A sync has finished that covered everything before `end`.
    pub fn sync(&mut self, end: Offset) {
        self.durable_end = self.durable_end.max(end.min(self.log_end()));
    }

    /// Cuts at `to`, durably. As the real log does, it leaves the epochs alone when there is nothing to cut.
    pub fn truncate(&mut self, to: Offset) {
        assert!(
            self.start <= to && to <= self.log_end(),
            "cut at {to} of {}..{}",
            self.start,
            self.log_end()
        );
        if to < self.log_end() {
            self.cut(to);
        }
    }

    fn cut(&mut self, to: Offset) {
        self.records.truncate(usize::try_from(to - self.base).unwrap());
        self.durable_end = self.durable_end.min(to);
        self.epochs.retain(|(_, start)| *start < to);
    }

    /// Drops everything; `hash` stands for what came before `at`.
    pub fn restart(&mut self, at: Offset, hash: u64) {
        *self = MemoryLog { start: at, base: at, base_hash: hash, durable_end: at, ..MemoryLog::default() };
    }

    /// Deletes the records before `start`.
    pub fn advance_start(&mut self, start: Offset) {
        if start <= self.start {
            return;
        }
        self.start = start;
        let covering = self.epochs.partition_point(|(_, first)| *first <= start);
        if let Some(covering) = covering.checked_sub(1) {
            self.epochs.drain(..covering);
            self.epochs[0].1 = start;
        }
    }

    /// Power fails: of what is not durable a random part stays, and is synced when the log is opened again. Returns
    /// whether records were lost.
    pub fn crash(&mut self, rng: &mut Rng) -> bool {
        let end = rng.between(self.durable_end, self.log_end());
        let is_lossy = end < self.log_end();
        let start_hash = self.hash_before(self.start).unwrap();
        self.cut(end);
        self.durable_end = end;
        if end < self.start {
            // The start was written down before the records: what is left was deleted.
            self.restart(self.start, start_hash);
        }
        is_lossy
    }

    /// What must hold for the epochs (I8): they increase, and say what the records say.
    pub fn check(&self) {
        for pair in self.epochs.windows(2) {
            assert!(pair[0].0 < pair[1].0 && pair[0].1 < pair[1].1, "epochs {:?}", self.epochs);
        }
        for offset in self.start..self.log_end() {
            let known = self.epochs.iter().rev().find(|(_, start)| *start <= offset);
            assert_eq!(
                known.map(|known| known.0),
                self.get(offset).map(|record| record.epoch),
                "at {offset}"
            );
        }
        assert!(
            self.base <= self.start && self.start <= self.log_end() && self.durable_end <= self.log_end()
        );
    }
}

impl EpochLog for MemoryLog {
    fn log_start(&self) -> Offset {
        self.start
    }

    fn log_end(&self) -> Offset {
        self.base + self.records.len() as Offset
    }

    fn epoch_at(&self, offset: Offset) -> Option<LeaderEpoch> {
        let after = self.epochs.partition_point(|(_, start)| *start <= offset);
        after.checked_sub(1).map(|at| self.epochs[at].0)
    }

    fn epoch_end(&self, asked: LeaderEpoch) -> (LeaderEpoch, Offset) {
        let after = self.epochs.partition_point(|(epoch, _)| *epoch <= asked);
        let floor = after.checked_sub(1).map(|at| self.epochs[at].0);
        match self.epochs.get(after) {
            _ if asked < 0 => (-1, -1),
            Some((_, start)) => (floor.unwrap_or(asked), *start),
            None if floor == Some(asked) => (asked, self.log_end()),
            None => (-1, -1),
        }
    }
}

/// Hash of a log that goes on with `record`.
pub fn hash(before: u64, record: Record) -> u64 {
    let mixed = before ^ record.value.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ (record.epoch as u64) << 40;
    mixed.wrapping_mul(0xD6E8_FEB8_6659_FD93).rotate_left(29)
}
