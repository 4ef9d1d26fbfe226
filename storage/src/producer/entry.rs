//! ProducerEntry: what a log knows of one producer: epoch, the last five batches, the open transaction.
//!
//! Written by ProducerStateManager only. What always holds: the window's batches are of the entry's epoch, oldest first,
//! with consecutive sequences as long as the log's leaders checked them.

use tidemark_protocol::batch::BatchHeader;
use tidemark_protocol::batch::control::EndTransactionMarker;
use tidemark_protocol::types::{Offset, ProducerEpoch, ProducerId, TimestampMs};

use super::{ProducerDescription, ProducerError, Verdict};

/// How many batches are remembered: clients keep at most five requests in flight, so no retry can be older.
pub const BATCHES_PER_PRODUCER: usize = 5;
const NO_SEQUENCE: i32 = -1;
const NO_EPOCH: ProducerEpoch = -1;

/// One appended batch, as much as a duplicate's answer needs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BatchEntry {
    /// Sequence of the last record.
    pub last_sequence: i32,
    /// Last offset minus base offset, which is also the difference of the sequences.
    pub offset_delta: i32,
    /// Offset of the last record.
    pub last_offset: Offset,
    /// The batch's largest timestamp.
    pub timestamp: TimestampMs,
}

impl BatchEntry {
    /// Sequence of the first record; sequences wrap from `i32::MAX` to 0.
    pub fn first_sequence(&self) -> i32 {
        let first = i64::from(self.last_sequence) - i64::from(self.offset_delta);
        let wrapped = if first < 0 { first + i64::from(i32::MAX) + 1 } else { first };
        i32::try_from(wrapped).expect("a sequence minus a non-negative i32, wrapped, is an i32")
    }

    /// Offset of the first record.
    pub fn base_offset(&self) -> Offset {
        self.last_offset - Offset::from(self.offset_delta)
    }
}

/// One producer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProducerEntry {
    /// Who.
    pub producer_id: ProducerId,
    /// Its newest epoch; −1 before the first batch.
    pub epoch: ProducerEpoch,
    /// Coordinator epoch of its last marker; −1 before the first.
    pub coordinator_epoch: i32,
    /// Largest timestamp of its last batch.
    pub last_timestamp: TimestampMs,
    /// Wall time it was last seen, for expiry.
    pub seen_ms: TimestampMs,
    /// First offset of its open transaction.
    pub current_txn_first_offset: Option<Offset>,
    window: [BatchEntry; BATCHES_PER_PRODUCER],
    count: u8,
}

impl ProducerEntry {
    pub(super) fn new(producer_id: ProducerId) -> Self {
        ProducerEntry {
            producer_id,
            epoch: NO_EPOCH,
            coordinator_epoch: -1,
            last_timestamp: -1,
            seen_ms: TimestampMs::MIN,
            current_txn_first_offset: None,
            window: [BatchEntry::default(); BATCHES_PER_PRODUCER],
            count: 0,
        }
    }

    /// The remembered batches, oldest first.
    pub fn batches(&self) -> &[BatchEntry] {
        &self.window[..usize::from(self.count)]
    }

    /// The newest remembered batch.
    pub fn last(&self) -> Option<&BatchEntry> {
        self.batches().last()
    }

    /// Sequence of the last record, −1 when no batch is remembered.
    pub fn last_sequence(&self) -> i32 {
        self.last().map_or(NO_SEQUENCE, |batch| batch.last_sequence)
    }

    pub(super) fn check(&self, header: &BatchHeader) -> Result<Verdict, ProducerError> {
        if let Some(duplicate) = self.find_duplicate(header) {
            return Ok(duplicate);
        }
        if header.producer_epoch < self.epoch {
            return Err(self.invalid_epoch(header.producer_epoch));
        }
        if !self.is_next(header) {
            return Err(ProducerError::OutOfOrderSequence {
                producer_id: self.producer_id,
                epoch: header.producer_epoch,
                sequence: header.base_sequence,
                known_epoch: self.epoch,
                last_sequence: self.last_sequence(),
            });
        }
        match self.current_txn_first_offset {
            Some(first_offset) if !header.is_transactional() => {
                Err(ProducerError::InvalidTxnState { producer_id: self.producer_id, first_offset })
            }
            _ => Ok(Verdict::Append),
        }
    }

    /// The answer to a batch that is in the log already.
    pub(super) fn find_duplicate(&self, header: &BatchHeader) -> Option<Verdict> {
        self.duplicate_of(header).map(|batch| Verdict::Duplicate {
            base_offset: batch.base_offset(),
            last_offset: batch.last_offset,
            timestamp: batch.timestamp,
        })
    }

    fn duplicate_of(&self, header: &BatchHeader) -> Option<&BatchEntry> {
        if header.producer_epoch != self.epoch {
            return None;
        }
        self.batches().iter().find(|batch| {
            batch.first_sequence() == header.base_sequence && batch.last_sequence == header.last_sequence()
        })
    }

    fn is_next(&self, header: &BatchHeader) -> bool {
        if self.epoch == NO_EPOCH {
            return true;
        }
        if header.producer_epoch != self.epoch {
            return header.base_sequence == 0;
        }
        // Without a batch of this epoch (only its marker is known) the next sequence is 0, as after −1.
        let last = self.last_sequence();
        let next = if last == i32::MAX { 0 } else { last + 1 };
        header.base_sequence == next
    }

    pub(super) fn check_marker(
        &self,
        epoch: ProducerEpoch,
        coordinator_epoch: i32,
        bumps_epoch: bool,
    ) -> Result<(), ProducerError> {
        let is_retry = epoch == self.epoch && self.current_txn_first_offset.is_none();
        if epoch < self.epoch || (bumps_epoch && epoch == self.epoch && !is_retry) {
            return Err(self.invalid_epoch(epoch));
        }
        if coordinator_epoch < self.coordinator_epoch {
            return Err(ProducerError::CoordinatorFenced {
                producer_id: self.producer_id,
                coordinator_epoch,
                known_epoch: self.coordinator_epoch,
            });
        }
        Ok(())
    }

    fn invalid_epoch(&self, epoch: ProducerEpoch) -> ProducerError {
        ProducerError::InvalidProducerEpoch { producer_id: self.producer_id, epoch, known_epoch: self.epoch }
    }

    /// Takes in a data batch; returns its offset if it opens a transaction.
    pub(super) fn append(&mut self, header: &BatchHeader) -> Option<Offset> {
        self.enter_epoch(header.producer_epoch);
        self.remember(BatchEntry {
            last_sequence: header.last_sequence(),
            offset_delta: header.last_offset_delta,
            last_offset: header.last_offset(),
            timestamp: header.max_timestamp,
        });
        self.last_timestamp = header.max_timestamp;
        if header.is_transactional() && self.current_txn_first_offset.is_none() {
            self.current_txn_first_offset = Some(header.base_offset);
            return self.current_txn_first_offset;
        }
        None
    }

    /// Takes in a marker; returns the first offset of the transaction it ends, if one was open.
    pub(super) fn end_transaction(
        &mut self,
        header: &BatchHeader,
        marker: EndTransactionMarker,
    ) -> Option<Offset> {
        self.enter_epoch(header.producer_epoch);
        self.coordinator_epoch = marker.coordinator_epoch;
        self.last_timestamp = header.max_timestamp;
        self.current_txn_first_offset.take()
    }

    fn enter_epoch(&mut self, epoch: ProducerEpoch) {
        if self.epoch != epoch {
            self.epoch = epoch;
            self.window = Default::default();
            self.count = 0;
        }
    }

    pub(super) fn remember(&mut self, batch: BatchEntry) {
        if usize::from(self.count) == BATCHES_PER_PRODUCER {
            self.window.rotate_left(1);
            self.window[BATCHES_PER_PRODUCER - 1] = batch;
        } else {
            self.window[usize::from(self.count)] = batch;
            self.count += 1;
        }
    }

    pub(super) fn describe(&self) -> ProducerDescription {
        ProducerDescription {
            producer_id: self.producer_id,
            producer_epoch: self.epoch,
            last_sequence: self.last_sequence(),
            last_timestamp: self.last_timestamp,
            coordinator_epoch: self.coordinator_epoch,
            current_txn_start_offset: self.current_txn_first_offset.unwrap_or(-1),
        }
    }
}
