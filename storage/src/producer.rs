//! ProducerStateManager: what one log knows of the producers that wrote to it, so that a retry is answered and not
//! appended twice, a zombie is fenced, and open transactions are known.
//!
//! Owned and written by the partition's log. What always holds: the state is a pure function of the log's batches in
//! order (the time a producer was last seen aside), so a snapshot plus a replay of what follows gives the same state on
//! every replica. Checking and updating are apart: `check` decides before the append and changes nothing, `update`
//! follows the append; a failed append leaves no trace.
//!
//! An idle log with no producers owns no memory here. The number of producers is bounded by
//! `producer.id.expiration.ms` alone, as in Kafka: dropping a live one would let a duplicate in.

use std::collections::BTreeMap;

use tidemark_protocol::batch::BatchHeader;
use tidemark_protocol::batch::control::{ControlType, EndTransactionMarker};
use tidemark_protocol::types::{Offset, ProducerEpoch, ProducerId, TimestampMs};

mod entry;
pub mod snapshot;
mod verification;

pub use entry::{BATCHES_PER_PRODUCER, BatchEntry, ProducerEntry};
use verification::Verification;
pub use verification::VerificationGuard;

/// What a leader must do with a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Append it, then `update`.
    Append,
    /// It is in the log already: answer with the original place.
    Duplicate {
        /// Offset its first record got.
        base_offset: Offset,
        /// Offset its last record got.
        last_offset: Offset,
        /// Its largest record timestamp as stored (the append time, for LogAppendTime).
        timestamp: TimestampMs,
    },
}

/// Why a leader refuses a batch of a producer. Followers and recovery never refuse.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProducerError {
    /// OUT_OF_ORDER_SEQUENCE_NUMBER: a gap, a duplicate that left the window, or a new epoch that does not start at 0.
    #[error(
        "producer {producer_id} epoch {epoch} sent sequence {sequence}, the last one known is {last_sequence} of epoch {known_epoch}"
    )]
    OutOfOrderSequence {
        /// The producer.
        producer_id: ProducerId,
        /// Epoch of the batch.
        epoch: ProducerEpoch,
        /// First sequence of the batch.
        sequence: i32,
        /// Epoch the log knows.
        known_epoch: ProducerEpoch,
        /// Last sequence the log knows of it; −1 when none.
        last_sequence: i32,
    },
    /// INVALID_PRODUCER_EPOCH: an older incarnation of the producer.
    #[error("producer {producer_id} sent epoch {epoch}, known is {known_epoch}")]
    InvalidProducerEpoch {
        /// The producer.
        producer_id: ProducerId,
        /// Epoch of the batch.
        epoch: ProducerEpoch,
        /// Epoch the log knows.
        known_epoch: ProducerEpoch,
    },
    /// INVALID_TXN_STATE: a non-transactional batch of a producer that has a transaction open here.
    #[error(
        "producer {producer_id} has a transaction open since offset {first_offset} and sent a batch outside of it"
    )]
    InvalidTxnState {
        /// The producer.
        producer_id: ProducerId,
        /// First offset of the open transaction.
        first_offset: Offset,
    },
    /// INVALID_TXN_STATE: a batch would open a transaction, and the coordinator was not asked, or a marker came since.
    #[error("a batch of producer {producer_id} would open a transaction that is not verified")]
    Unverified {
        /// The producer.
        producer_id: ProducerId,
    },
    /// TRANSACTION_COORDINATOR_FENCED: a marker of a coordinator that has been replaced.
    #[error(
        "producer {producer_id}: marker of coordinator epoch {coordinator_epoch}, known is {known_epoch}"
    )]
    CoordinatorFenced {
        /// The producer.
        producer_id: ProducerId,
        /// Coordinator epoch of the marker.
        coordinator_epoch: i32,
        /// Coordinator epoch of the last marker.
        known_epoch: i32,
    },
}

/// A transaction that a marker has just ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CompletedTransaction {
    /// Who.
    pub producer_id: ProducerId,
    /// Its first record here.
    pub first_offset: Offset,
    /// The marker's offset.
    pub last_offset: Offset,
    /// Ended by ABORT.
    pub aborted: bool,
    /// What the last stable offset is once this one has ended: for the aborted-transaction index.
    pub last_stable_offset: Offset,
}

/// One producer as DescribeProducers shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProducerDescription {
    /// The producer.
    pub producer_id: ProducerId,
    /// Its epoch.
    pub producer_epoch: ProducerEpoch,
    /// Its last sequence, −1 when only a marker is known.
    pub last_sequence: i32,
    /// Largest timestamp of its last batch.
    pub last_timestamp: TimestampMs,
    /// Coordinator epoch of its last marker, −1 when none.
    pub coordinator_epoch: i32,
    /// First offset of its open transaction, −1 when none.
    pub current_txn_start_offset: Offset,
}

/// The producers of one log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProducerStateManager {
    producers: BTreeMap<ProducerId, ProducerEntry>,
    /// Open transactions: first offset → producer.
    ongoing: BTreeMap<Offset, ProducerId>,
    /// Ended transactions whose marker is not yet below the high watermark: first offset → marker's offset.
    unreplicated: BTreeMap<Offset, Offset>,
    /// Transactions the coordinator was asked about that are not open here yet.
    verifications: BTreeMap<ProducerId, Verification>,
    verification_count: u64,
}

impl ProducerStateManager {
    /// Knows nobody.
    pub fn new() -> Self {
        Self::default()
    }

    /// What the leader must do with a data batch of a client. The order is Kafka's: duplicate, epoch, sequence, open
    /// transaction. Batches without a producer are always appended.
    pub fn check(&self, header: &BatchHeader) -> Result<Verdict, ProducerError> {
        match self.producers.get(&header.producer_id) {
            Some(entry) if header.has_producer() => entry.check(header),
            _ => Ok(Verdict::Append),
        }
    }

    /// The coordinator is about to be asked about the transaction of this batch: the guard to show with its append. `None`
    /// if the transaction is open here, so that there is nothing to ask. An epoch that is out of date is refused.
    pub fn begin_verification(
        &mut self,
        header: &BatchHeader,
        log_end: Offset,
    ) -> Result<Option<VerificationGuard>, ProducerError> {
        let (producer_id, epoch) = (header.producer_id, header.producer_epoch);
        let entry = self.producers.get(&producer_id);
        if entry.is_some_and(|entry| entry.current_txn_first_offset.is_some() && entry.epoch == epoch) {
            return Ok(None);
        }
        let waiting = self.verifications.get(&producer_id);
        let known_epoch = waiting.map_or(-1, |waiting| waiting.epoch).max(entry.map_or(-1, |e| e.epoch));
        if epoch < known_epoch {
            return Err(ProducerError::InvalidProducerEpoch { producer_id, epoch, known_epoch });
        }
        if let Some(waiting) =
            self.verifications.get_mut(&producer_id).filter(|waiting| waiting.epoch == epoch)
        {
            waiting.lowest_sequence = waiting.lowest_sequence.min(header.base_sequence);
            return Ok(Some(waiting.guard));
        }
        self.verification_count += 1;
        let guard = VerificationGuard { log_end, count: self.verification_count };
        let verification = Verification { guard, epoch, lowest_sequence: header.base_sequence };
        self.verifications.insert(producer_id, verification);
        Ok(Some(guard))
    }

    /// What the leader must do with a batch of a transaction. One that opens it here needs the guard under which the
    /// coordinator was asked. By the new rules (`bumps_epoch`) a producer starts each transaction at 0, so one nobody
    /// knows must, too. The order is Kafka's: duplicate, guard, epoch, sequence.
    pub fn check_transactional(
        &self,
        header: &BatchHeader,
        guard: Option<VerificationGuard>,
        bumps_epoch: bool,
    ) -> Result<Verdict, ProducerError> {
        let entry = self.producers.get(&header.producer_id);
        if let Some(duplicate) = entry.and_then(|entry| entry.find_duplicate(header)) {
            return Ok(duplicate);
        }
        let is_open = entry.is_some_and(|entry| entry.current_txn_first_offset.is_some());
        let waiting = self.verifications.get(&header.producer_id);
        if !is_open && (guard.is_none() || waiting.map(|waiting| waiting.guard) != guard) {
            return Err(ProducerError::Unverified { producer_id: header.producer_id });
        }
        let verdict = self.check(header)?;
        let overtakes = waiting.is_some_and(|waiting| {
            waiting.epoch == header.producer_epoch && waiting.lowest_sequence < header.base_sequence
        });
        let is_unknown = entry.is_none() && bumps_epoch && header.base_sequence != 0;
        if !is_open && (overtakes || is_unknown) {
            return Err(ProducerError::OutOfOrderSequence {
                producer_id: header.producer_id,
                epoch: header.producer_epoch,
                sequence: header.base_sequence,
                known_epoch: entry.map_or(-1, |entry| entry.epoch),
                last_sequence: entry.map_or(-1, ProducerEntry::last_sequence),
            });
        }
        Ok(verdict)
    }

    /// Whether a coordinator may write a marker. With `bumps_epoch` (transaction.version 2) the marker carries an epoch
    /// above the producer's; a marker of the known epoch is then only a retry, taken when no transaction is open.
    pub fn check_marker(
        &self,
        producer_id: ProducerId,
        epoch: ProducerEpoch,
        coordinator_epoch: i32,
        bumps_epoch: bool,
    ) -> Result<(), ProducerError> {
        match self.producers.get(&producer_id) {
            Some(entry) => entry.check_marker(epoch, coordinator_epoch, bumps_epoch),
            None => Ok(()),
        }
    }

    /// Takes in a batch that has been placed in the log: after an append as leader or follower, and when recovery replays
    /// the log. `marker` is given exactly for control batches that end a transaction. `wall_ms` is when the producer was
    /// seen, for expiry: record timestamps are the client's and may lie years back. Never refuses.
    pub fn update(
        &mut self,
        header: &BatchHeader,
        marker: Option<EndTransactionMarker>,
        wall_ms: TimestampMs,
    ) -> Option<CompletedTransaction> {
        if !header.has_producer() {
            return None;
        }
        let entry = self
            .producers
            .entry(header.producer_id)
            .or_insert_with(|| ProducerEntry::new(header.producer_id));
        entry.seen_ms = entry.seen_ms.max(wall_ms);
        if header.is_transactional() {
            // Open, or over: either way what was asked before says nothing any more.
            self.verifications.remove(&header.producer_id);
        }
        match marker {
            Some(marker) => {
                let first_offset = entry.end_transaction(header, marker);
                first_offset.map(|first| self.complete(header, marker, first))
            }
            None if header.is_control() => None,
            None => {
                if let Some(first_offset) = entry.append(header) {
                    self.ongoing.insert(first_offset, header.producer_id);
                }
                None
            }
        }
    }

    fn complete(
        &mut self,
        header: &BatchHeader,
        marker: EndTransactionMarker,
        first: Offset,
    ) -> CompletedTransaction {
        let last = header.last_offset();
        self.ongoing.remove(&first);
        self.unreplicated.insert(first, last);
        CompletedTransaction {
            producer_id: header.producer_id,
            first_offset: first,
            last_offset: last,
            aborted: marker.control_type == ControlType::Abort,
            last_stable_offset: self
                .ongoing
                .first_key_value()
                .map_or(last + 1, |(&open, _)| open.min(last + 1)),
        }
    }

    /// The first offset that a read_committed reader may not see: the oldest transaction that is open, or whose marker
    /// is not below the high watermark yet.
    pub fn first_unstable_offset(&self) -> Option<Offset> {
        let first = |map: Option<&Offset>| map.copied();
        let ongoing = first(self.ongoing.keys().next());
        let unreplicated = first(self.unreplicated.keys().next());
        ongoing.into_iter().chain(unreplicated).min()
    }

    /// News: markers below `high_watermark` are safe, their transactions stable.
    pub fn on_high_watermark(&mut self, high_watermark: Offset) {
        self.unreplicated.retain(|_, &mut marker| marker >= high_watermark);
    }

    /// Forgets producers not seen for `expiration_ms`, never one with an open transaction. Returns how many went.
    pub fn expire(&mut self, wall_ms: TimestampMs, expiration_ms: i64) -> usize {
        let before = self.producers.len();
        self.producers.retain(|_, entry| {
            entry.current_txn_first_offset.is_some() || wall_ms.saturating_sub(entry.seen_ms) < expiration_ms
        });
        before - self.producers.len()
    }

    /// After a load: nobody was seen later than now, whatever clock was set when the snapshot was taken, and who expired
    /// meanwhile is not taken over.
    pub fn on_loaded(&mut self, wall_ms: TimestampMs, expiration_ms: i64) {
        for entry in self.producers.values_mut() {
            entry.seen_ms = entry.seen_ms.min(wall_ms);
        }
        self.expire(wall_ms, expiration_ms);
    }

    /// Forgets everybody, as before a reload or when the log starts anew.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// How many producers are known.
    pub fn len(&self) -> usize {
        self.producers.len()
    }

    /// Whether nobody is known.
    pub fn is_empty(&self) -> bool {
        self.producers.is_empty()
    }

    /// The state of one producer.
    pub fn get(&self, producer_id: ProducerId) -> Option<&ProducerEntry> {
        self.producers.get(&producer_id)
    }

    /// All producers by id, for DescribeProducers.
    pub fn describe(&self) -> Vec<ProducerDescription> {
        self.producers.values().map(ProducerEntry::describe).collect()
    }

    /// For compaction: the last data offset of each producer (`None`: only a marker is known) and its epoch. The batch
    /// that holds it must keep its header, or a retry would not be recognised after a reload.
    pub fn last_batches(&self) -> BTreeMap<ProducerId, LastBatch> {
        let last = |entry: &ProducerEntry| LastBatch {
            last_data_offset: entry.last().map(|batch| batch.last_offset),
            epoch: entry.epoch,
        };
        self.producers.iter().map(|(&id, entry)| (id, last(entry))).collect()
    }
}

/// What compaction must keep of one producer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastBatch {
    /// Last offset of its newest data batch.
    pub last_data_offset: Option<Offset>,
    /// Its epoch.
    pub epoch: ProducerEpoch,
}

#[cfg(test)]
mod tests;
