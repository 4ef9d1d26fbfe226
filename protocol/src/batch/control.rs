//! Control records: the COMMIT and ABORT markers that end a transaction in a partition (KIP-98).
//!
//! ```text
//! key:   version i16 | type i16 (0 abort, 1 commit)      value: version i16 | coordinator_epoch i32
//! ```
//! Both carry a version so that fields may be added at their end; readers take what they know.

use super::{BatchBuilder, BuilderOptions, Record, RecordBatch};
use crate::types::{Offset, ProducerEpoch, ProducerId, TimestampMs};

/// Version of key and value that is written.
const VERSION: i16 = 0;

/// What a control record says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ControlType {
    /// The transaction's records are to be ignored.
    Abort,
    /// The transaction's records count.
    Commit,
    /// A type of Kafka's that has no meaning here (such as the leader changes of its metadata log).
    Other(i16),
}

/// A transaction marker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EndTransactionMarker {
    /// How the transaction ended.
    pub control_type: ControlType,
    /// Epoch of the transaction coordinator that ended it; an older one is refused.
    pub coordinator_epoch: i32,
}

impl ControlType {
    /// Number of the type in the key.
    pub fn id(self) -> i16 {
        match self {
            ControlType::Abort => 0,
            ControlType::Commit => 1,
            ControlType::Other(id) => id,
        }
    }

    /// Reads the type from the key of a control record; `None` when the key is none of a control record.
    pub fn parse(record: &Record<'_>) -> Option<Self> {
        let key = record.key?;
        let version = i16::from_be_bytes(key.get(..2)?.try_into().ok()?);
        let id = i16::from_be_bytes(key.get(2..4)?.try_into().ok()?);
        if version < 0 {
            return None;
        }
        Some(match id {
            0 => ControlType::Abort,
            1 => ControlType::Commit,
            other => ControlType::Other(other),
        })
    }
}

impl EndTransactionMarker {
    /// Reads a marker; `None` when the record is none.
    pub fn parse(record: &Record<'_>) -> Option<Self> {
        let control_type = ControlType::parse(record)?;
        if matches!(control_type, ControlType::Other(_)) {
            return None;
        }
        let value = record.value?;
        let version = i16::from_be_bytes(value.get(..2)?.try_into().ok()?);
        let coordinator_epoch = i32::from_be_bytes(value.get(2..6)?.try_into().ok()?);
        (version >= 0).then_some(EndTransactionMarker { control_type, coordinator_epoch })
    }

    /// The batch that carries this marker: transactional, control, one record, no sequence.
    pub fn batch(
        &self,
        base_offset: Offset,
        timestamp: TimestampMs,
        producer_id: ProducerId,
        producer_epoch: ProducerEpoch,
    ) -> RecordBatch {
        let mut key = [0; 4];
        key[..2].copy_from_slice(&VERSION.to_be_bytes());
        key[2..].copy_from_slice(&self.control_type.id().to_be_bytes());
        let mut value = [0; 6];
        value[..2].copy_from_slice(&VERSION.to_be_bytes());
        value[2..].copy_from_slice(&self.coordinator_epoch.to_be_bytes());
        let mut builder = BatchBuilder::new(BuilderOptions {
            base_offset,
            producer_id,
            producer_epoch,
            transactional: true,
            control: true,
            ..BuilderOptions::default()
        });
        builder.append(base_offset, timestamp, Some(&key), Some(&value), &[]);
        builder.build()
    }
}

#[cfg(test)]
mod tests;
