//! Writes record batches: what producers send, what compaction leaves, what recompression and coordinators make.
//!
//! The builder writes any batch the format allows, offset gaps and empty batches included; judging is `validate`'s.

use bytes::Bytes;

use super::header::{self, Attributes, BatchHeader, HEADER_LEN, LENGTH_END, TimestampType};
use super::{Compression, Record, RecordBatch, RecordHeader, varint};
use crate::types::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, TimestampMs};

/// Everything about a batch that is not its records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BuilderOptions {
    /// Codec of the records.
    pub compression: Compression,
    /// Level of the codec; `None` is its default.
    pub level: Option<i32>,
    /// Whose clock the timestamps are.
    pub timestamp_type: TimestampType,
    /// Offset the records are relative to; not necessarily that of a record.
    pub base_offset: Offset,
    /// Last offset of the batch when it is not that of the last record, as after compaction.
    pub last_offset: Option<Offset>,
    /// Timestamp the records are relative to; `None` is that of the first record.
    pub base_timestamp: Option<TimestampMs>,
    /// Maximum timestamp when it is not that of the records, as for LogAppendTime.
    pub max_timestamp: Option<TimestampMs>,
    /// Epoch of the leader; −1 as produced.
    pub partition_leader_epoch: LeaderEpoch,
    /// −1 without idempotence.
    pub producer_id: ProducerId,
    /// −1 without idempotence.
    pub producer_epoch: ProducerEpoch,
    /// Sequence of the first record; −1 without idempotence.
    pub base_sequence: i32,
    /// Part of a transaction.
    pub transactional: bool,
    /// Holds a control record.
    pub control: bool,
    /// When tombstones and markers may go (KIP-534). It takes the place of the base timestamp.
    pub delete_horizon: Option<TimestampMs>,
}

impl Default for BuilderOptions {
    fn default() -> Self {
        BuilderOptions {
            compression: Compression::None,
            level: None,
            timestamp_type: TimestampType::CreateTime,
            base_offset: 0,
            last_offset: None,
            base_timestamp: None,
            max_timestamp: None,
            partition_leader_epoch: -1,
            producer_id: -1,
            producer_epoch: -1,
            base_sequence: -1,
            transactional: false,
            control: false,
            delete_horizon: None,
        }
    }
}

impl BuilderOptions {
    /// Options that keep all of an existing batch: its offsets, times, producer and codec. What compaction starts from.
    pub fn like(header: &BatchHeader) -> Self {
        let timestamp_type = header.timestamp_type();
        BuilderOptions {
            compression: header.compression(),
            level: None,
            timestamp_type,
            base_offset: header.base_offset,
            last_offset: Some(header.last_offset()),
            base_timestamp: Some(header.base_timestamp),
            max_timestamp: (timestamp_type == TimestampType::LogAppendTime).then_some(header.max_timestamp),
            partition_leader_epoch: header.partition_leader_epoch,
            producer_id: header.producer_id,
            producer_epoch: header.producer_epoch,
            base_sequence: header.base_sequence,
            transactional: header.is_transactional(),
            control: header.is_control(),
            delete_horizon: header.delete_horizon(),
        }
    }

    fn attributes(&self) -> Attributes {
        Attributes(i16::from(self.compression.id()))
            .with(Attributes::LOG_APPEND_TIME, self.timestamp_type == TimestampType::LogAppendTime)
            .with(Attributes::TRANSACTIONAL, self.transactional)
            .with(Attributes::CONTROL, self.control)
            .with(Attributes::DELETE_HORIZON, self.delete_horizon.is_some())
    }
}

/// Collects records and builds one batch.
#[derive(Clone, Debug)]
pub struct BatchBuilder {
    options: BuilderOptions,
    base_timestamp: Option<TimestampMs>,
    max_timestamp: TimestampMs,
    last_offset: Option<Offset>,
    records_count: i32,
    /// Header space, then the records, not compressed.
    buffer: Vec<u8>,
}

impl BatchBuilder {
    /// An empty batch.
    pub fn new(options: BuilderOptions) -> Self {
        BatchBuilder {
            base_timestamp: options.delete_horizon.or(options.base_timestamp),
            max_timestamp: -1,
            last_offset: None,
            records_count: 0,
            buffer: vec![0; HEADER_LEN],
            options,
        }
    }

    /// Appends a record.
    ///
    /// # Panics
    /// When `offset` is further than 2³¹ from the base offset, or the record longer than 2 GiB.
    pub fn append(
        &mut self,
        offset: Offset,
        timestamp: TimestampMs,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[RecordHeader<'_>],
    ) {
        let timestamp_delta = self.timestamp_delta(timestamp);
        let headers_len: usize =
            headers.iter().map(|h| varint::len_bytes(Some(h.key)) + varint::len_bytes(h.value)).sum();
        self.record(offset, timestamp_delta, key, value, headers.len(), headers_len);
        for header in headers {
            varint::write_bytes(&mut self.buffer, Some(header.key));
            varint::write_bytes(&mut self.buffer, header.value);
        }
        self.count(offset, timestamp);
    }

    /// Appends a record of another batch under its own offset.
    pub fn append_record(&mut self, record: &Record<'_>) {
        self.append_record_at(record.offset, record);
    }

    /// Appends a record of another batch under a new offset; timestamp, key, value and headers stay as they are.
    ///
    /// # Panics
    /// As [`BatchBuilder::append`].
    pub fn append_record_at(&mut self, offset: Offset, record: &Record<'_>) {
        // Under an append time the stored deltas say what the producer said; nobody reads them, so they stay.
        let timestamp_delta = match self.options.timestamp_type {
            TimestampType::CreateTime => self.timestamp_delta(record.timestamp),
            TimestampType::LogAppendTime => record.timestamp_delta,
        };
        if timestamp_delta == record.timestamp_delta && self.offset_delta(offset) == record.offset_delta {
            self.buffer.extend_from_slice(record.raw);
        } else {
            let headers = record.headers;
            self.record(
                offset,
                timestamp_delta,
                record.key,
                record.value,
                headers.len(),
                headers.raw().len(),
            );
            self.buffer.extend_from_slice(headers.raw());
        }
        self.count(offset, record.timestamp);
    }

    /// Records appended so far.
    pub fn records_count(&self) -> i32 {
        self.records_count
    }

    /// Whether nothing was appended.
    pub fn is_empty(&self) -> bool {
        self.records_count == 0
    }

    /// Bytes of the batch so far, header included, before compression.
    pub fn len(&self) -> usize {
        self.buffer.len()
    }

    /// The batch. Without records it is a bare header, which keeps its place in the offsets and its producer's
    /// sequence, as compaction needs it.
    pub fn build(mut self) -> RecordBatch {
        let mut attributes = self.options.attributes();
        if self.is_empty() {
            attributes.0 &= !Attributes::COMPRESSION;
        } else if self.options.compression != Compression::None {
            let packed = self.options.compression.compress(self.options.level, &self.buffer[HEADER_LEN..]);
            self.buffer.truncate(HEADER_LEN);
            self.buffer.extend_from_slice(&packed);
        }
        let options = &self.options;
        let last_offset = options.last_offset.or(self.last_offset).unwrap_or(options.base_offset - 1);
        let mut header = BatchHeader {
            base_offset: options.base_offset,
            batch_length: i32::try_from(self.buffer.len() - LENGTH_END).expect("a batch is below 2 GiB"),
            partition_leader_epoch: options.partition_leader_epoch,
            crc: 0,
            attributes,
            last_offset_delta: self.offset_delta(last_offset),
            base_timestamp: self.base_timestamp.unwrap_or(-1),
            max_timestamp: options.max_timestamp.unwrap_or(self.max_timestamp),
            producer_id: options.producer_id,
            producer_epoch: options.producer_epoch,
            base_sequence: options.base_sequence,
            records_count: self.records_count,
        };
        self.buffer[..HEADER_LEN].copy_from_slice(&header.encode());
        header.crc = header::seal(&mut self.buffer);
        RecordBatch { header, bytes: Bytes::from(self.buffer) }
    }

    /// Everything of a record up to its headers.
    fn record(
        &mut self,
        offset: Offset,
        timestamp_delta: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: usize,
        headers_len: usize,
    ) {
        let offset_delta = self.offset_delta(offset);
        let length = 1
            + varint::len_i64(timestamp_delta)
            + varint::len_i64(i64::from(offset_delta))
            + varint::len_bytes(key)
            + varint::len_bytes(value)
            + varint::len_i64(headers as i64)
            + headers_len;
        let out = &mut self.buffer;
        varint::write_i32(out, i32::try_from(length).expect("a record is below 2 GiB"));
        out.push(0);
        varint::write_i64(out, timestamp_delta);
        varint::write_i32(out, offset_delta);
        varint::write_bytes(out, key);
        varint::write_bytes(out, value);
        varint::write_i64(out, headers as i64);
    }

    fn offset_delta(&self, offset: Offset) -> i32 {
        offset
            .checked_sub(self.options.base_offset)
            .and_then(|delta| i32::try_from(delta).ok())
            .expect("offsets of one batch lie within 2^31 of its base")
    }

    fn timestamp_delta(&mut self, timestamp: TimestampMs) -> i64 {
        timestamp.wrapping_sub(*self.base_timestamp.get_or_insert(timestamp))
    }

    fn count(&mut self, offset: Offset, timestamp: TimestampMs) {
        self.records_count += 1;
        self.last_offset = Some(offset);
        self.max_timestamp = self.max_timestamp.max(timestamp);
    }
}

#[cfg(test)]
mod tests;
