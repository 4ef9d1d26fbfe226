//! Produce requests encoded once; each send patches a few bytes.

use bytes::Bytes;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{ProduceRequest, TopicName};
use tidemark_protocol::batch::{BatchBuilder, BuilderOptions, HEADER_LEN, RecordBatch, header};

use crate::clock;
use crate::cluster::text;
use crate::connection::{LoadError, encode, set_correlation_id};
use crate::options::Plan;

/// Version sent: known to every broker since 2.4, by topic name.
pub const PRODUCE_VERSION: i16 = 9;
/// Bytes at the front of a batch's first value that tell when the batch was due, in nanoseconds since the run's start.
pub const STAMP_BYTES: usize = 8;
/// What a record costs besides its value, about.
const RECORD_OVERHEAD: usize = 10;
const PRODUCE_TIMEOUT_MS: i32 = 30_000;
const SEQUENCE_AT: usize = 53;
const CRC_AT: usize = 17;

/// A batch to be sent over and over.
#[derive(Clone, Debug)]
pub struct Payload {
    batch: RecordBatch,
    /// Where in the batch the stamp goes; `None` when the batch is compressed or its values too short.
    pub stamp_at: Option<usize>,
    /// Records in the batch.
    pub records: i32,
}

/// An encoded Produce request for one partition.
#[derive(Clone, Debug)]
pub struct Prepared {
    frame: Vec<u8>,
    batch_at: usize,
    batch_len: usize,
    stamp_at: Option<usize>,
    idempotent: bool,
    sequence: i32,
    records: i32,
}

impl Payload {
    /// Builds the batch of a plan. Values are text that compresses about threefold.
    pub fn new(plan: &Plan, producer: (i64, i16)) -> Self {
        let per_batch =
            (plan.batch_bytes.saturating_sub(HEADER_LEN) / (plan.record_bytes + RECORD_OVERHEAD)).max(1);
        let now = clock::wall_ms();
        let (producer_id, producer_epoch) = producer;
        let mut builder = BatchBuilder::new(BuilderOptions {
            compression: plan.codec.into(),
            producer_id,
            producer_epoch,
            base_sequence: if producer_id < 0 { -1 } else { 0 },
            ..BuilderOptions::default()
        });
        let mut state = 0x9e37_79b9_7f4a_7c15;
        for offset in (0..).take(per_batch) {
            builder.append(offset, now, None, Some(&value(plan.record_bytes, &mut state)), &[]);
        }
        let batch = builder.build();
        let stamp_at = (batch.header().compression().id() == 0 && plan.record_bytes >= STAMP_BYTES)
            .then(|| first_value_at(&batch))
            .flatten();
        Payload { records: batch.header().records_count, stamp_at, batch }
    }

    /// Bytes of the batch.
    #[allow(clippy::len_without_is_empty, reason = "a batch has at least a header")]
    pub fn len(&self) -> usize {
        self.batch.len()
    }

    /// The request that sends this batch to a partition.
    ///
    /// # Errors
    /// `Protocol`.
    pub fn prepare(&self, plan: &Plan, partition: i32, stamped: bool) -> Result<Prepared, LoadError> {
        let data = PartitionProduceData::default()
            .with_index(partition)
            .with_records(Some(self.batch.bytes().clone()));
        let topic = TopicProduceData::default()
            .with_name(TopicName(text(&plan.topic)))
            .with_partition_data(vec![data]);
        let request = ProduceRequest::default()
            .with_acks(plan.acks)
            .with_timeout_ms(PRODUCE_TIMEOUT_MS)
            .with_topic_data(vec![topic]);
        let frame = encode(PRODUCE_VERSION, &request)?;
        let batch: &Bytes = self.batch.bytes();
        let batch_at = frame
            .windows(batch.len())
            .position(|bytes| bytes == batch)
            .ok_or_else(|| LoadError::Protocol("the batch is not in its request".to_owned()))?;
        Ok(Prepared {
            frame,
            batch_at,
            batch_len: batch.len(),
            stamp_at: self.stamp_at.filter(|_| stamped),
            idempotent: self.batch.header().has_producer(),
            sequence: 0,
            records: self.records,
        })
    }
}

impl Prepared {
    /// The frame of the next send. `due_nanos` is stamped into the batch if consumers look at it.
    pub fn next(&mut self, correlation_id: i32, due_nanos: u64) -> &[u8] {
        set_correlation_id(&mut self.frame, correlation_id);
        let batch = &mut self.frame[self.batch_at..self.batch_at + self.batch_len];
        if let Some(at) = self.stamp_at {
            batch[at..at + STAMP_BYTES].copy_from_slice(&due_nanos.to_be_bytes());
        }
        if self.idempotent {
            batch[SEQUENCE_AT..SEQUENCE_AT + 4].copy_from_slice(&self.sequence.to_be_bytes());
            self.sequence = self.sequence.wrapping_add(self.records) & i32::MAX;
        }
        if self.idempotent || self.stamp_at.is_some() {
            let crc = header::checksum(batch);
            batch[CRC_AT..CRC_AT + 4].copy_from_slice(&crc.to_be_bytes());
        }
        &self.frame
    }
}

/// Where the first value begins in an uncompressed batch.
fn first_value_at(batch: &RecordBatch) -> Option<usize> {
    let records = batch.records(0).ok()?;
    let record = records.iter().next()?.ok()?;
    Some(record.value?.as_ptr() as usize - batch.bytes().as_ptr() as usize)
}

/// Text of sixteen letters: four bits a byte, so that codecs have something to do.
fn value(len: usize, state: &mut u64) -> Vec<u8> {
    let mut letter = || {
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        b"etaoinshrdlucmfw"[(*state >> 40) as usize & 15]
    };
    (0..len).map(|_| letter()).collect()
}

#[cfg(test)]
mod tests;
