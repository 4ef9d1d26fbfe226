//! Appends: as the leader, which gives batches their place, and as a follower, which takes them as they are.
//!
//! Order of one append: checks that change nothing, roll and files, epoch, write; only then is anything counted.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use tidemark_protocol::batch::control::EndTransactionMarker;
use tidemark_protocol::batch::{BatchHeader, PlacedBatch, RecordBatch, TimestampType, batches};
use tidemark_protocol::types::{LeaderEpoch, Now, Offset, TimestampMs};

use super::producers::end_marker;
use super::{AppendError, Appended, Log};
use crate::disk::is_disk_full;
use crate::producer::{Verdict, VerificationGuard};

/// A control batch holds one small record.
const CONTROL_BYTES_MAX: usize = 1 << 16;
/// Batches of a follower written at once: bounds the gathered write, far above what one fetch brings per segment.
const BATCHES_PER_WRITE: usize = 512;

/// What a batch is held to beyond its place in its producer's sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// Nothing: it is in no transaction, or this broker wrote it itself.
    Plain,
    /// It is in a transaction of which the coordinator knows.
    Transaction {
        /// What [`Log::begin_verification`] gave before the coordinator was asked; `None` if there was nothing to ask.
        guard: Option<VerificationGuard>,
        /// The producer follows the new rules (transaction.version 2).
        bumps_epoch: bool,
    },
    /// It is a marker of the coordinator.
    Marker {
        /// It ends a transaction of the new rules: its epoch is above the producer's.
        bumps_epoch: bool,
    },
}

impl Log {
    /// Places a producer's batch at the end of the log: producer-state checks, offsets, epoch, write. The bytes are in
    /// the file (not yet durable) when this returns.
    pub fn append_as_leader(
        &mut self,
        batch: RecordBatch,
        epoch: LeaderEpoch,
        now: Now,
    ) -> Result<Appended, AppendError> {
        self.append_admitted(batch, epoch, Admission::Plain, now)
    }

    /// The same for a batch that is held to more: one of a transaction, or its marker.
    pub fn append_admitted(
        &mut self,
        batch: RecordBatch,
        epoch: LeaderEpoch,
        admission: Admission,
        now: Now,
    ) -> Result<Appended, AppendError> {
        self.check_alive()?;
        self.check_size(batch.len())?;
        let header = *batch.header();
        if header.last_offset_delta < 0 {
            return Err(AppendError::Corrupt(format!("last offset delta {}", header.last_offset_delta)));
        }
        let mut marker = None;
        if header.has_producer() {
            marker = control_marker(&batch)?;
            if let Some(duplicate) = self.check_producer(&header, marker, admission, now)? {
                return Ok(duplicate);
            }
        }
        let placed = batch.place(self.log_end, epoch);
        let (base_offset, last_offset) = (placed.base_offset(), placed.last_offset());
        self.write(std::slice::from_ref(&placed), now)?;
        self.note_producer(placed.header(), marker, now.wall_ms);
        self.tail.push(placed, now.mono);
        Ok(Appended { base_offset, last_offset, log_append_time: append_time(&header), duplicate: false })
    }

    /// Appends whole batches as the leader placed them and returns the new end. An incomplete last batch is ignored.
    pub fn append_as_follower(&mut self, bytes: Bytes, now: Now) -> Result<Offset, AppendError> {
        self.check_alive()?;
        let placed = self.parse_placed(&bytes)?;
        let mut rest = &placed[..];
        while !rest.is_empty() {
            let n = self.batches_for_one_write(rest);
            let (group, after) = rest.split_at(n);
            self.write(group, now)?;
            for batch in group {
                let marker = marker_of(batch);
                self.note_producer(batch.header(), marker, now.wall_ms);
                self.tail.push(batch.clone(), now.mono);
            }
            rest = after;
        }
        Ok(self.log_end)
    }

    fn check_alive(&self) -> Result<(), AppendError> {
        match &self.failure {
            Some(why) => Err(AppendError::Failed(why.to_string())),
            None => Ok(()),
        }
    }

    fn check_size(&self, size: usize) -> Result<(), AppendError> {
        let max = self.config.segment_bytes;
        if size as u64 > max { Err(AppendError::BatchTooLarge { size, max }) } else { Ok(()) }
    }

    /// `Some` when the batch is in the log already.
    fn check_producer(
        &mut self,
        header: &BatchHeader,
        marker: Option<EndTransactionMarker>,
        admission: Admission,
        now: Now,
    ) -> Result<Option<Appended>, AppendError> {
        let offset = self.log_end;
        let producers = match self.load_producers(now) {
            Ok(producers) => producers,
            Err(e) => return Err(self.failed(format!("producer state cannot be loaded: {e}"))),
        };
        if let Some(marker) = marker {
            let bumps_epoch = matches!(admission, Admission::Marker { bumps_epoch: true });
            return producers
                .check_marker(
                    header.producer_id,
                    header.producer_epoch,
                    marker.coordinator_epoch,
                    bumps_epoch,
                )
                .map(|()| None)
                .map_err(|e| AppendError::refused(&e, offset));
        }
        let verdict = match admission {
            Admission::Transaction { guard, bumps_epoch } => {
                producers.check_transactional(header, guard, bumps_epoch)
            }
            Admission::Plain | Admission::Marker { .. } => producers.check(header),
        };
        match verdict.map_err(|e| AppendError::refused(&e, offset))? {
            Verdict::Append => Ok(None),
            Verdict::Duplicate { base_offset, last_offset, timestamp } => {
                let is_stamped = header.timestamp_type() == TimestampType::LogAppendTime;
                let log_append_time = if is_stamped { timestamp } else { -1 };
                Ok(Some(Appended { base_offset, last_offset, log_append_time, duplicate: true }))
            }
        }
    }

    /// The coordinator is about to be asked about the transaction of a batch: the guard to show with its append. `None` if
    /// the transaction is open here, so that there is nothing to ask.
    pub fn begin_verification(
        &mut self,
        header: &BatchHeader,
        now: Now,
    ) -> Result<Option<VerificationGuard>, AppendError> {
        self.check_alive()?;
        let log_end = self.log_end;
        let begun = match self.load_producers(now) {
            Ok(producers) => producers.begin_verification(header, log_end),
            Err(e) => return Err(self.failed(format!("producer state cannot be loaded: {e}"))),
        };
        begun.map_err(|e| AppendError::refused(&e, log_end))
    }

    fn parse_placed(&self, bytes: &Bytes) -> Result<Vec<PlacedBatch>, AppendError> {
        let corrupt = |e: &dyn ToString| AppendError::Corrupt(e.to_string());
        let mut placed = Vec::new();
        let mut next = self.log_end;
        for item in batches(bytes) {
            let (header, range) = item.map_err(|e| corrupt(&e))?;
            if header.base_offset < next || header.last_offset_delta < 0 {
                let text = format!("offset {} came where {next} was due", header.base_offset);
                return Err(AppendError::Corrupt(text));
            }
            next = header.next_offset();
            let batch = RecordBatch::parse(bytes.slice(range)).map_err(|e| corrupt(&e))?;
            batch.verify_crc().map_err(|e| corrupt(&e))?;
            placed.push(batch.placed());
        }
        Ok(placed)
    }

    /// How many of the batches go into the last segment with one write: at least one.
    fn batches_for_one_write(&self, batches: &[PlacedBatch]) -> usize {
        let room = self.config.segment_bytes.saturating_sub(self.active().size());
        let mut bytes = 0;
        let fits = |batch: &&PlacedBatch| {
            bytes += batch.len() as u64;
            bytes <= room
        };
        batches.iter().take(BATCHES_PER_WRITE).take_while(fits).count().max(1)
    }

    /// Writes batches that fit into one segment, and counts them. Nothing is counted when it fails.
    fn write(&mut self, batches: &[PlacedBatch], now: Now) -> Result<(), AppendError> {
        let (first, last) = (&batches[0], &batches[batches.len() - 1]);
        let bytes: u64 = batches.iter().map(|b| b.len() as u64).sum();
        self.take_over().map_err(|e| self.write_failed(&e))?;
        self.roll_for(first.header(), last.next_offset(), bytes, now).map_err(|e| self.write_failed(&e))?;
        self.ensure_created().map_err(|e| self.write_failed(&e))?;
        self.assign_epochs(batches).map_err(|e| self.write_failed(&e))?;
        self.note_unsynced().map_err(|e| self.write_failed(&e))?;
        let segment = self.active().clone();
        if let Err(error) = segment.append(batches) {
            return Err(self.undo_append(&error));
        }
        self.log_end = last.next_offset();
        self.touch(now);
        self.context.metrics.appended_batches.add(batches.len() as u64);
        self.context.metrics.appended_bytes.add(bytes);
        Ok(())
    }

    /// Epochs are stored before their first batch, so that no durable batch has an epoch the file does not know.
    fn assign_epochs(&mut self, batches: &[PlacedBatch]) -> io::Result<()> {
        for batch in batches {
            if self.latest_epoch() != Some(batch.leader_epoch()) {
                Arc::make_mut(&mut self.epochs).assign(batch.leader_epoch(), batch.base_offset());
            }
        }
        if self.epochs.is_dirty() { self.store_epochs() } else { Ok(()) }
    }

    /// A write of batches failed: cuts what it left. A full disk passes, everything else is the end.
    fn undo_append(&mut self, error: &io::Error) -> AppendError {
        if is_disk_full(error) {
            return match self.active().clone().undo_append() {
                Ok(()) => AppendError::DiskFull,
                Err(e) => self.failed(format!("cutting a partial write: {e}")),
            };
        }
        self.failed(format!("write: {error}"))
    }

    fn write_failed(&mut self, error: &io::Error) -> AppendError {
        if is_disk_full(error) { AppendError::DiskFull } else { self.failed(format!("write: {error}")) }
    }

    fn failed(&mut self, why: String) -> AppendError {
        self.fail(why.clone());
        AppendError::Failed(why)
    }
}

/// The append time of a batch that carries the broker's clock; −1 for one with its producer's.
fn append_time(header: &BatchHeader) -> TimestampMs {
    match header.timestamp_type() {
        TimestampType::LogAppendTime => header.max_timestamp,
        TimestampType::CreateTime => -1,
    }
}

/// The marker of a control batch, which must have one that can be read.
fn control_marker(batch: &RecordBatch) -> Result<Option<EndTransactionMarker>, AppendError> {
    if !batch.header().is_control() {
        return Ok(None);
    }
    let records = batch.records(CONTROL_BYTES_MAX).map_err(|e| AppendError::Corrupt(e.to_string()))?;
    Ok(end_marker(&records))
}

fn marker_of(batch: &PlacedBatch) -> Option<EndTransactionMarker> {
    let is_marker = batch.header().is_control() && batch.header().has_producer();
    is_marker.then(|| batch.records(CONTROL_BYTES_MAX).ok().and_then(|records| end_marker(&records)))?
}

#[cfg(test)]
mod tests;
