//! Keys and values of `__transaction_state`, exactly as Kafka writes them.
//!
//! ```text
//! key     int16 0, transactional id string
//! value   int16 version, then
//!   0     producer id int64, epoch int16, timeout int32, state int8,
//!         partitions (null while Empty): [topic string, [index int32]], last update int64, start int64
//!   1     the same, flexible, with tags: 0 previous producer id int64, 1 next producer id int64,
//!         2 client transaction version int16, 4 last epoch int16          (written)
//! ```
//! Kafka 4.3 has tag 3, the next epoch of KIP-939, which is not served; it skips tag 4, by which a client may repeat an
//! InitProducerId that rotated its id, whoever coordinates by then. A tag is left out where it has its default.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use tidemark_protocol::types::TopicPartition;

use super::state::{State, TransactionVersion};
use super::transaction::{NO_EPOCH, NO_PRODUCER_ID, Transaction};
use crate::machine::CoordinatorRecord;
use crate::record_bytes::{
    Malformed, for_each_tag, get_count, get_i8, get_i16, get_i32, get_i64, get_string, put_string, put_varint,
};

const KEY: i16 = 0;
const VALUE: i16 = 1;
/// First version with compact lengths and tags, and the highest known.
const FLEXIBLE: i16 = 1;
/// Longest transactional id: the key's length is an int16.
pub const ID_BYTES_MAX: usize = i16::MAX as usize;

const TAG_PREVIOUS_ID: usize = 0;
const TAG_NEXT_ID: usize = 1;
const TAG_CLIENT_VERSION: usize = 2;
const TAG_LAST_EPOCH: usize = 4;

/// Why a record cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// The bytes end early, a length cannot be, or a text is not UTF-8.
    #[error("the record does not fit its format")]
    Malformed,
    /// The key is of another type.
    #[error("key type {key_type} is not known")]
    UnknownKey {
        /// What the record says.
        key_type: i16,
    },
    /// The value is of a later version.
    #[error("value version {version} is not known")]
    UnknownVersion {
        /// What the record says.
        version: i16,
    },
    /// No transaction is ever stored in this state.
    #[error("state {state} is not one that is stored")]
    UnknownState {
        /// What the record says.
        state: i8,
    },
}

impl From<Malformed> for RecordError {
    fn from(_: Malformed) -> Self {
        RecordError::Malformed
    }
}

/// The record that keeps a transaction.
pub fn transaction_record(transactional_id: &str, transaction: &Transaction) -> CoordinatorRecord {
    let mut out = BytesMut::with_capacity(64);
    out.put_i16(VALUE);
    out.put_i64(transaction.producer_id);
    out.put_i16(transaction.producer_epoch);
    out.put_i32(transaction.timeout_ms);
    out.put_i8(transaction.state.id());
    put_partitions(&mut out, transaction);
    out.put_i64(transaction.last_update_ms);
    out.put_i64(transaction.start_ms);
    put_tags(&mut out, transaction);
    CoordinatorRecord { key: key(transactional_id), value: Some(out.freeze()) }
}

/// The record that forgets a transactional id.
pub fn tombstone(transactional_id: &str) -> CoordinatorRecord {
    CoordinatorRecord { key: key(transactional_id), value: None }
}

/// The transactional id of a key.
pub fn parse_key(mut key: &[u8]) -> Result<Arc<str>, RecordError> {
    let buf = &mut key;
    let key_type = get_i16(buf)?;
    if key_type != KEY {
        return Err(RecordError::UnknownKey { key_type });
    }
    Ok(get_string(buf, false)?.into())
}

/// Reads a value of either version.
pub fn parse_value(mut value: &[u8]) -> Result<Transaction, RecordError> {
    let buf = &mut value;
    let version = get_i16(buf)?;
    if !(0..=FLEXIBLE).contains(&version) {
        return Err(RecordError::UnknownVersion { version });
    }
    let flexible = version >= FLEXIBLE;
    let producer_id = get_i64(buf)?;
    let mut transaction = Transaction::new(producer_id, 0, 0);
    transaction.producer_epoch = get_i16(buf)?;
    transaction.timeout_ms = get_i32(buf)?;
    let state = get_i8(buf)?;
    transaction.state = State::from_id(state).ok_or(RecordError::UnknownState { state })?;
    transaction.partitions = get_partitions(buf, flexible)?;
    transaction.last_update_ms = get_i64(buf)?;
    transaction.start_ms = get_i64(buf)?;
    if flexible {
        get_tags(buf, &mut transaction)?;
    }
    Ok(transaction)
}

fn key(transactional_id: &str) -> Bytes {
    let mut out = BytesMut::with_capacity(4 + transactional_id.len());
    out.put_i16(KEY);
    put_string(&mut out, transactional_id);
    out.freeze()
}

/// Topics in order, each with its partitions in order.
fn put_partitions(out: &mut BytesMut, transaction: &Transaction) {
    if transaction.state == State::Empty {
        return put_varint(out, 0);
    }
    let partitions: Vec<&TopicPartition> = transaction.partitions.iter().collect();
    let by_topic: Vec<&[&TopicPartition]> = partitions.chunk_by(|a, b| a.topic == b.topic).collect();
    put_varint(out, by_topic.len() + 1);
    for of_topic in by_topic {
        put_varint(out, of_topic[0].topic.len() + 1);
        out.put_slice(of_topic[0].topic.as_bytes());
        put_varint(out, of_topic.len() + 1);
        of_topic.iter().for_each(|partition| out.put_i32(partition.partition));
        put_varint(out, 0); // no tags
    }
}

fn put_tags(out: &mut BytesMut, transaction: &Transaction) {
    let id = |id: i64| (id != NO_PRODUCER_ID).then(|| id.to_be_bytes().to_vec());
    let level = transaction.client_version.level();
    let last = transaction.last_producer_epoch;
    let tags = [
        (TAG_PREVIOUS_ID, id(transaction.previous_producer_id)),
        (TAG_NEXT_ID, id(transaction.next_producer_id)),
        (TAG_CLIENT_VERSION, (level != 0).then(|| level.to_be_bytes().to_vec())),
        (TAG_LAST_EPOCH, (last != NO_EPOCH).then(|| last.to_be_bytes().to_vec())),
    ];
    put_varint(out, tags.iter().filter(|(_, field)| field.is_some()).count());
    for (tag, field) in tags {
        let Some(field) = field else { continue };
        put_varint(out, tag);
        put_varint(out, field.len());
        out.put_slice(&field);
    }
}

fn get_partitions(buf: &mut &[u8], flexible: bool) -> Result<BTreeSet<TopicPartition>, RecordError> {
    let mut partitions = BTreeSet::new();
    for _ in 0..get_count(buf, flexible)? {
        let topic: Arc<str> = get_string(buf, flexible)?.into();
        for _ in 0..get_count(buf, flexible)? {
            let partition = get_i32(buf)?;
            partitions.insert(TopicPartition { topic: topic.clone(), partition });
        }
        if flexible {
            for_each_tag::<Malformed>(buf, |_, _| Ok(()))?;
        }
    }
    Ok(partitions)
}

fn get_tags(buf: &mut &[u8], transaction: &mut Transaction) -> Result<(), RecordError> {
    for_each_tag(buf, |tag, mut field| {
        match tag {
            TAG_PREVIOUS_ID => transaction.previous_producer_id = get_i64(&mut field)?,
            TAG_NEXT_ID => transaction.next_producer_id = get_i64(&mut field)?,
            TAG_LAST_EPOCH => transaction.last_producer_epoch = get_i16(&mut field)?,
            TAG_CLIENT_VERSION => {
                let level = get_i16(&mut field)?;
                transaction.client_version = TransactionVersion::from_level(level);
            }
            _ => {}
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests;
