//! The 61 bytes in front of every record batch (message format v2): parsed, written, patched.
//!
//! ```text
//!  0 base_offset i64 ┐
//!  8 batch_length i32│ PREFIX: outside the checksum, so a broker may write it
//! 12 leader_epoch i32┘
//! 16 magic i8 = 2
//! 17 crc u32 ─ CRC-32C of everything from byte 21 to the end
//! 21 attributes i16    23 last_offset_delta i32    27 base_timestamp i64    35 max_timestamp i64
//! 43 producer_id i64   51 producer_epoch i16       53 base_sequence i32     57 records_count i32
//! 61 records
//! ```
//! `batch_length` counts from byte 12. A parsed header has magic 2, a known codec and a length of at least a header.

use super::{BatchError, Compression};
use crate::types::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, TimestampMs};

/// Bytes of a batch before its records.
pub const HEADER_LEN: usize = 61;
/// Bytes a broker may change without a new checksum: base offset, length, leader epoch.
pub const PREFIX_LEN: usize = 16;
/// Bytes of base offset and length: what must be read to know how long a batch is.
pub const LENGTH_END: usize = 12;
/// The message format served.
pub const MAGIC: i8 = 2;

/// What no format goes below: then the bytes are no batch of any version.
const MIN_MESSAGE_LENGTH: i32 = 14;
/// Smallest value of the length field: a header without records.
const MIN_BATCH_LENGTH: i32 = (HEADER_LEN - LENGTH_END) as i32;
const MAGIC_AT: usize = 16;
const CRC_AT: usize = 17;
/// First byte under the checksum.
const CRC_FROM: usize = 21;

/// What the timestamps of a batch mean (KIP-32).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TimestampType {
    /// Set by the producer.
    #[default]
    CreateTime,
    /// Set by the broker when it appended: every record has the batch's maximum timestamp.
    LogAppendTime,
}

/// The attribute bits of a batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attributes(pub i16);

impl Attributes {
    /// Bits 0–2.
    pub const COMPRESSION: i16 = 0x07;
    /// Bit 3: timestamps are the broker's.
    pub const LOG_APPEND_TIME: i16 = 0x08;
    /// Bit 4: part of a transaction.
    pub const TRANSACTIONAL: i16 = 0x10;
    /// Bit 5: holds a control record (a transaction marker), not user data.
    pub const CONTROL: i16 = 0x20;
    /// Bit 6: `base_timestamp` is the delete horizon (KIP-534).
    pub const DELETE_HORIZON: i16 = 0x40;

    /// Whether all of `bits` are set.
    pub fn has(self, bits: i16) -> bool {
        self.0 & bits == bits
    }

    /// These attributes with `bits` set or cleared.
    pub fn with(self, bits: i16, on: bool) -> Self {
        Attributes(if on { self.0 | bits } else { self.0 & !bits })
    }

    /// Number of the codec, known or not.
    pub fn compression_id(self) -> u8 {
        (self.0 & Self::COMPRESSION) as u8
    }
}

/// A parsed batch header. The magic byte is not kept: it is always 2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchHeader {
    /// Offset of the first record as produced; compaction keeps it even when that record is gone.
    pub base_offset: Offset,
    /// Bytes after the length field.
    pub batch_length: i32,
    /// Epoch of the leader that appended the batch; −1 as produced.
    pub partition_leader_epoch: LeaderEpoch,
    /// CRC-32C as stored; not verified by parsing.
    pub crc: u32,
    /// Codec, timestamp type, transactional, control, delete horizon.
    pub attributes: Attributes,
    /// Last offset minus base offset; kept by compaction.
    pub last_offset_delta: i32,
    /// What the records' timestamps are relative to.
    pub base_timestamp: TimestampMs,
    /// Largest timestamp of the records, or the append time.
    pub max_timestamp: TimestampMs,
    /// −1 without idempotence.
    pub producer_id: ProducerId,
    /// −1 without idempotence.
    pub producer_epoch: ProducerEpoch,
    /// Sequence of the first record; −1 without idempotence.
    pub base_sequence: i32,
    /// Records in the batch.
    pub records_count: i32,
}

impl BatchHeader {
    /// Parses the header in front of `bytes`, which may hold more. Neither checksum nor records are looked at.
    ///
    /// # Errors
    /// `Short`, `Length`, `Magic`, `UnknownCompression`.
    #[inline]
    pub fn parse(bytes: &[u8]) -> Result<Self, BatchError> {
        if let (Some(length), Some(&magic)) = (bytes.get(8..LENGTH_END), bytes.get(MAGIC_AT)) {
            let batch_length = i32::from_be_bytes(length.try_into().expect("four bytes were sliced"));
            if magic as i8 != MAGIC && batch_length >= MIN_MESSAGE_LENGTH {
                return Err(BatchError::Magic { magic: magic as i8 });
            }
            if batch_length < MIN_BATCH_LENGTH {
                return Err(BatchError::Length { batch_length });
            }
        }
        let Some(raw) = bytes.first_chunk::<HEADER_LEN>() else {
            return Err(BatchError::Short { have: bytes.len(), need: HEADER_LEN });
        };
        let attributes = Attributes(i16::from_be_bytes(field(raw, 21)));
        let id = attributes.compression_id();
        if Compression::from_id(id).is_none() {
            return Err(BatchError::UnknownCompression { id });
        }
        Ok(BatchHeader {
            base_offset: i64::from_be_bytes(field(raw, 0)),
            batch_length: i32::from_be_bytes(field(raw, 8)),
            partition_leader_epoch: i32::from_be_bytes(field(raw, 12)),
            crc: u32::from_be_bytes(field(raw, CRC_AT)),
            attributes,
            last_offset_delta: i32::from_be_bytes(field(raw, 23)),
            base_timestamp: i64::from_be_bytes(field(raw, 27)),
            max_timestamp: i64::from_be_bytes(field(raw, 35)),
            producer_id: i64::from_be_bytes(field(raw, 43)),
            producer_epoch: i16::from_be_bytes(field(raw, 51)),
            base_sequence: i32::from_be_bytes(field(raw, 53)),
            records_count: i32::from_be_bytes(field(raw, 57)),
        })
    }

    /// The 61 bytes, with the checksum field as it stands in `self`.
    pub fn encode(&self) -> [u8; HEADER_LEN] {
        let mut raw = [0; HEADER_LEN];
        raw[..PREFIX_LEN].copy_from_slice(&self.prefix());
        raw[MAGIC_AT] = MAGIC as u8;
        raw[CRC_AT..21].copy_from_slice(&self.crc.to_be_bytes());
        raw[21..23].copy_from_slice(&self.attributes.0.to_be_bytes());
        raw[23..27].copy_from_slice(&self.last_offset_delta.to_be_bytes());
        raw[27..35].copy_from_slice(&self.base_timestamp.to_be_bytes());
        raw[35..43].copy_from_slice(&self.max_timestamp.to_be_bytes());
        raw[43..51].copy_from_slice(&self.producer_id.to_be_bytes());
        raw[51..53].copy_from_slice(&self.producer_epoch.to_be_bytes());
        raw[53..57].copy_from_slice(&self.base_sequence.to_be_bytes());
        raw[57..61].copy_from_slice(&self.records_count.to_be_bytes());
        raw
    }

    /// The 16 bytes outside the checksum.
    pub fn prefix(&self) -> [u8; PREFIX_LEN] {
        let mut raw = [0; PREFIX_LEN];
        raw[..8].copy_from_slice(&self.base_offset.to_be_bytes());
        raw[8..12].copy_from_slice(&self.batch_length.to_be_bytes());
        raw[12..].copy_from_slice(&self.partition_leader_epoch.to_be_bytes());
        raw
    }

    /// Bytes of the whole batch, header included.
    #[inline]
    pub fn total_len(&self) -> usize {
        LENGTH_END + self.batch_length as usize // at least a header, by parsing
    }

    /// Offset of the last record as produced, inclusive.
    pub fn last_offset(&self) -> Offset {
        self.base_offset.wrapping_add(i64::from(self.last_offset_delta))
    }

    /// Offset after the batch.
    pub fn next_offset(&self) -> Offset {
        self.last_offset().wrapping_add(1)
    }

    /// Sequence of the last record: after 2147483647 comes 0. −1 without idempotence.
    pub fn last_sequence(&self) -> i32 {
        if self.base_sequence < 0 {
            return -1;
        }
        let last = i64::from(self.base_sequence) + i64::from(self.last_offset_delta.max(0));
        (last % (i64::from(i32::MAX) + 1)) as i32
    }

    /// Whether the batch belongs to a transaction.
    pub fn is_transactional(&self) -> bool {
        self.attributes.has(Attributes::TRANSACTIONAL)
    }

    /// Whether the batch holds a control record.
    pub fn is_control(&self) -> bool {
        self.attributes.has(Attributes::CONTROL)
    }

    /// The codec of the records.
    pub fn compression(&self) -> Compression {
        Compression::from_id(self.attributes.compression_id()).expect("parsing refused unknown codecs")
    }

    /// Whose clock the timestamps are.
    pub fn timestamp_type(&self) -> TimestampType {
        if self.attributes.has(Attributes::LOG_APPEND_TIME) {
            TimestampType::LogAppendTime
        } else {
            TimestampType::CreateTime
        }
    }

    /// Whether an idempotent or transactional producer wrote the batch.
    pub fn has_producer(&self) -> bool {
        self.producer_id >= 0
    }

    /// When tombstones and markers in this batch may go, once compaction has set it (KIP-534).
    pub fn delete_horizon(&self) -> Option<TimestampMs> {
        self.attributes.has(Attributes::DELETE_HORIZON).then_some(self.base_timestamp)
    }
}

/// CRC-32C of a whole batch: of everything after the checksum field.
///
/// # Panics
/// With fewer than 21 bytes; callers have parsed the header.
#[inline]
pub fn checksum(batch: &[u8]) -> u32 {
    crc_fast::crc32_iscsi(&batch[CRC_FROM..])
}

/// Writes the checksum of `batch` into it and returns it.
pub(super) fn seal(batch: &mut [u8]) -> u32 {
    let crc = checksum(batch);
    batch[CRC_AT..CRC_FROM].copy_from_slice(&crc.to_be_bytes());
    crc
}

/// `N` bytes of the header at a constant position.
#[inline]
fn field<const N: usize>(raw: &[u8; HEADER_LEN], at: usize) -> [u8; N] {
    raw[at..at + N].try_into().expect("the slice has the length of the array")
}

#[cfg(test)]
mod tests;
