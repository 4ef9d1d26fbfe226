//! A data partition, as far as transactions go: one open transaction a producer id, and how each ended.

use super::super::*;

/// A transaction as its producer means it: the client, and its count.
pub type Tag = (usize, u32);

/// One producer id at one partition.
#[derive(Clone, Debug)]
struct Producer {
    epoch: ProducerEpoch,
    coordinator_epoch: i32,
    open: Option<Tag>,
    /// Grows with every marker: who asked the coordinator before may not append after.
    guard: u64,
}

/// What a marker did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Marked {
    /// It ended this transaction.
    Ended(Tag),
    /// Nothing was open.
    Nothing,
}

/// A partition.
#[derive(Clone, Debug, Default)]
pub struct Partition {
    producers: BTreeMap<ProducerId, Producer>,
}

impl Partition {
    fn producer(&mut self, producer_id: ProducerId) -> &mut Producer {
        let new = Producer { epoch: -1, coordinator_epoch: -1, open: None, guard: 0 };
        self.producers.entry(producer_id).or_insert(new)
    }

    /// Taken before the coordinator is asked, shown with the append.
    pub fn guard(&mut self, producer_id: ProducerId) -> u64 {
        self.producer(producer_id).guard
    }

    /// Whether the producer's transaction is open here: its leader asks nobody then.
    pub fn is_open(&mut self, producer_id: ProducerId, epoch: ProducerEpoch) -> bool {
        let producer = self.producer(producer_id);
        producer.open.is_some() && producer.epoch == epoch
    }

    pub fn append(
        &mut self,
        producer_id: ProducerId,
        epoch: ProducerEpoch,
        tag: Tag,
        guard: Option<u64>,
    ) -> Result<(), ErrorCode> {
        let producer = self.producer(producer_id);
        if producer.open.is_none() && guard.is_some_and(|guard| guard != producer.guard) {
            return Err(ErrorCode::InvalidTxnState);
        }
        if epoch < producer.epoch {
            return Err(ErrorCode::InvalidProducerEpoch);
        }
        let open = *producer.open.get_or_insert(tag);
        assert_eq!(open, tag, "a batch comes into another transaction");
        producer.epoch = epoch;
        Ok(())
    }

    pub fn mark(&mut self, marker: &MarkersToSend, checks_coordinator: bool) -> Result<Marked, ErrorCode> {
        let producer = self.producer(marker.producer_id);
        let is_repeat = marker.producer_epoch == producer.epoch && producer.open.is_none();
        let too_low = match marker.version {
            TransactionVersion::V1 => marker.producer_epoch < producer.epoch,
            TransactionVersion::V2 => marker.producer_epoch <= producer.epoch && !is_repeat,
        };
        if too_low {
            return Err(ErrorCode::InvalidProducerEpoch);
        }
        if checks_coordinator && marker.coordinator_epoch < producer.coordinator_epoch {
            return Err(ErrorCode::TransactionCoordinatorFenced);
        }
        producer.epoch = marker.producer_epoch;
        producer.coordinator_epoch = producer.coordinator_epoch.max(marker.coordinator_epoch);
        producer.guard += 1;
        Ok(producer.open.take().map_or(Marked::Nothing, Marked::Ended))
    }

    /// Transactions nobody ended.
    pub fn hanging(&self) -> Vec<Tag> {
        self.producers.values().filter_map(|producer| producer.open).collect()
    }
}
