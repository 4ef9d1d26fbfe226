//! Keys and values of `__consumer_offsets`, exactly as Kafka writes them, so that its readers understand ours.
//!
//! ```text
//! key     int16 type: 0, 1  offset commit    group string, topic string, partition int32
//!                     2     group metadata   group string
//!                     others belong to newer group kinds and are kept but not read here
//! value   int16 version, then
//!   offset commit   0: offset int64, metadata string, commit_timestamp int64
//!                   1: … + expire_timestamp int64       (written when the commit has its own expiry)
//!                   2: as 0
//!                   3: offset int64, leader_epoch int32, metadata string, commit_timestamp int64
//!                   4: as 3, flexible, tag 0 topic_id   (written otherwise)
//!   group metadata  0: protocol_type string, generation int32, protocol string?, leader string?, members
//!                   1: member + rebalance_timeout       2: + current_state_timestamp int64 before members
//!                   3: member + group_instance_id       (written)      4: as 3, flexible
//! ```
//! A record batch carries the checksum. Versions above 4 and bytes that do not fit are errors, which loading skips.

use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use tidemark_protocol::types::{PartitionIndex, TimestampMs, TopicId};
use uuid::Uuid;

use super::request::CommittedOffset;
use crate::machine::CoordinatorRecord;
use crate::record_bytes::{
    Malformed, for_each_tag, get_bytes, get_count, get_i16, get_i32, get_i64, get_nullable, get_string,
    put_bytes, put_nullable, put_string, put_varint,
};

const OFFSET_COMMIT_KEY: i16 = 1;
const GROUP_METADATA_KEY: i16 = 2;
const OFFSET_VALUE_WITH_EXPIRY: i16 = 1;
const OFFSET_VALUE: i16 = 4;
const GROUP_VALUE: i16 = 3;
/// First version with compact lengths and tags, of both values, and the highest known.
const FLEXIBLE: i16 = 4;
/// Longest string of these records: their length is an int16 in the versions we write.
pub(super) const STRING_BYTES_MAX: usize = i16::MAX as usize;

/// What a record is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    /// The committed offset of a group on a partition.
    Offset {
        /// The group.
        group_id: Arc<str>,
        /// Name of the topic.
        topic: Arc<str>,
        /// Index of the partition.
        partition: PartitionIndex,
    },
    /// A classic group.
    Group {
        /// The group.
        group_id: Arc<str>,
    },
    /// Written by software that knows more than this one.
    Unknown {
        /// Number of the key type.
        key_type: i16,
    },
}

/// A classic group as it survives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupMetadata {
    /// "consumer", "connect", …; empty when there never was a member.
    pub protocol_type: String,
    /// Counts the rebalances.
    pub generation: i32,
    /// Chosen by vote; `None` without members.
    pub protocol: Option<String>,
    /// Member id of the leader; `None` without members.
    pub leader: Option<String>,
    /// When the group came into its state; −1 unknown.
    pub state_timestamp: TimestampMs,
    /// Its members.
    pub members: Vec<MemberMetadata>,
}

/// A member as it survives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberMetadata {
    /// Id given by the coordinator.
    pub member_id: String,
    /// Instance id of a static member.
    pub group_instance_id: Option<String>,
    /// From the request header of its join.
    pub client_id: String,
    /// Where it joined from.
    pub client_host: String,
    /// How long a rebalance waits for it; −1 in old records.
    pub rebalance_timeout_ms: i32,
    /// Silence after which it is gone.
    pub session_timeout_ms: i32,
    /// Its metadata for the chosen protocol.
    pub subscription: Bytes,
    /// Its assignment.
    pub assignment: Bytes,
}

/// Why a record cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// The bytes end early, a length cannot be, or a text is not UTF-8.
    #[error("the record does not fit its format")]
    Malformed,
    /// The value is of a later version.
    #[error("value version {version} is not known")]
    UnknownVersion {
        /// What the record says.
        version: i16,
    },
}

impl From<Malformed> for RecordError {
    fn from(_: Malformed) -> Self {
        RecordError::Malformed
    }
}

/// The record that keeps an offset.
pub fn offset_record(
    group_id: &str,
    topic: &str,
    partition: PartitionIndex,
    kept: &CommittedOffset,
) -> CoordinatorRecord {
    let version = if kept.expire_timestamp.is_some() { OFFSET_VALUE_WITH_EXPIRY } else { OFFSET_VALUE };
    let mut out = BytesMut::with_capacity(48 + kept.metadata.len());
    out.put_i16(version);
    out.put_i64(kept.offset);
    if version == OFFSET_VALUE {
        out.put_i32(kept.leader_epoch);
        put_varint(&mut out, kept.metadata.len() + 1);
        out.put_slice(kept.metadata.as_bytes());
        out.put_i64(kept.commit_timestamp);
        if kept.topic_id.is_zero() {
            put_varint(&mut out, 0);
        } else {
            out.put_slice(&[1, 0, 16]); // one tagged field, tag 0, 16 bytes
            out.put_slice(kept.topic_id.0.as_bytes());
        }
    } else {
        put_string(&mut out, &kept.metadata);
        out.put_i64(kept.commit_timestamp);
        out.put_i64(kept.expire_timestamp.unwrap_or(-1));
    }
    CoordinatorRecord { key: offset_key(group_id, topic, partition), value: Some(out.freeze()) }
}

/// The record that forgets an offset.
pub fn offset_tombstone(group_id: &str, topic: &str, partition: PartitionIndex) -> CoordinatorRecord {
    CoordinatorRecord { key: offset_key(group_id, topic, partition), value: None }
}

/// The record that keeps a group.
pub fn group_record(group_id: &str, group: &GroupMetadata) -> CoordinatorRecord {
    let mut out = BytesMut::new();
    out.put_i16(GROUP_VALUE);
    put_string(&mut out, &group.protocol_type);
    out.put_i32(group.generation);
    put_nullable(&mut out, group.protocol.as_deref());
    put_nullable(&mut out, group.leader.as_deref());
    out.put_i64(group.state_timestamp);
    out.put_i32(i32::try_from(group.members.len()).expect("a group has fewer than 2^31 members"));
    for member in &group.members {
        put_string(&mut out, &member.member_id);
        put_nullable(&mut out, member.group_instance_id.as_deref());
        put_string(&mut out, &member.client_id);
        put_string(&mut out, &member.client_host);
        out.put_i32(member.rebalance_timeout_ms);
        out.put_i32(member.session_timeout_ms);
        put_bytes(&mut out, &member.subscription);
        put_bytes(&mut out, &member.assignment);
    }
    CoordinatorRecord { key: group_key(group_id), value: Some(out.freeze()) }
}

/// The record that forgets a group.
pub fn group_tombstone(group_id: &str) -> CoordinatorRecord {
    CoordinatorRecord { key: group_key(group_id), value: None }
}

/// Reads a key. Key types this software does not know are [`Key::Unknown`].
pub fn parse_key(mut key: &[u8]) -> Result<Key, RecordError> {
    let buf = &mut key;
    match get_i16(buf)? {
        0 | OFFSET_COMMIT_KEY => Ok(Key::Offset {
            group_id: get_string(buf, false)?.into(),
            topic: get_string(buf, false)?.into(),
            partition: get_i32(buf)?,
        }),
        GROUP_METADATA_KEY => Ok(Key::Group { group_id: get_string(buf, false)?.into() }),
        key_type => Ok(Key::Unknown { key_type }),
    }
}

/// Reads the value of an offset commit, any version Kafka ever wrote.
pub fn parse_offset(mut value: &[u8]) -> Result<CommittedOffset, RecordError> {
    let buf = &mut value;
    let version = known_version(get_i16(buf)?)?;
    let flexible = version >= FLEXIBLE;
    let offset = get_i64(buf)?;
    let leader_epoch = if version >= 3 { get_i32(buf)? } else { -1 };
    let metadata = get_string(buf, flexible)?.to_owned();
    let commit_timestamp = get_i64(buf)?;
    let expire_timestamp = if version == 1 { Some(get_i64(buf)?).filter(|at| *at != -1) } else { None };
    let mut topic_id = TopicId::ZERO;
    if flexible {
        for_each_tag::<Malformed>(buf, |tag, field| {
            if tag == 0 {
                topic_id = TopicId(Uuid::from_slice(field).map_err(|_| Malformed)?);
            }
            Ok(())
        })?;
    }
    Ok(CommittedOffset { offset, leader_epoch, metadata, commit_timestamp, expire_timestamp, topic_id })
}

/// Reads the value of a group, any version Kafka ever wrote.
pub fn parse_group(mut value: &[u8]) -> Result<GroupMetadata, RecordError> {
    let buf = &mut value;
    let version = known_version(get_i16(buf)?)?;
    let flexible = version >= FLEXIBLE;
    let protocol_type = get_string(buf, flexible)?.to_owned();
    let generation = get_i32(buf)?;
    let protocol = get_nullable(buf, flexible)?.map(str::to_owned);
    let leader = get_nullable(buf, flexible)?.map(str::to_owned);
    let state_timestamp = if version >= 2 { get_i64(buf)? } else { -1 };
    let count = get_count(buf, flexible)?;
    let mut members = Vec::new();
    for _ in 0..count {
        members.push(parse_member(buf, version)?);
    }
    if flexible {
        for_each_tag::<Malformed>(buf, |_, _| Ok(()))?;
    }
    Ok(GroupMetadata { protocol_type, generation, protocol, leader, state_timestamp, members })
}

fn parse_member(buf: &mut &[u8], version: i16) -> Result<MemberMetadata, RecordError> {
    let flexible = version >= FLEXIBLE;
    let member = MemberMetadata {
        member_id: get_string(buf, flexible)?.to_owned(),
        group_instance_id: if version >= 3 { get_nullable(buf, flexible)?.map(str::to_owned) } else { None },
        client_id: get_string(buf, flexible)?.to_owned(),
        client_host: get_string(buf, flexible)?.to_owned(),
        rebalance_timeout_ms: if version >= 1 { get_i32(buf)? } else { -1 },
        session_timeout_ms: get_i32(buf)?,
        subscription: get_bytes(buf, flexible)?,
        assignment: get_bytes(buf, flexible)?,
    };
    if flexible {
        for_each_tag::<Malformed>(buf, |_, _| Ok(()))?;
    }
    Ok(member)
}

fn known_version(version: i16) -> Result<i16, RecordError> {
    if (0..=FLEXIBLE).contains(&version) { Ok(version) } else { Err(RecordError::UnknownVersion { version }) }
}

fn offset_key(group_id: &str, topic: &str, partition: PartitionIndex) -> Bytes {
    let mut out = BytesMut::with_capacity(10 + group_id.len() + topic.len());
    out.put_i16(OFFSET_COMMIT_KEY);
    put_string(&mut out, group_id);
    put_string(&mut out, topic);
    out.put_i32(partition);
    out.freeze()
}

fn group_key(group_id: &str) -> Bytes {
    let mut out = BytesMut::with_capacity(4 + group_id.len());
    out.put_i16(GROUP_METADATA_KEY);
    put_string(&mut out, group_id);
    out.freeze()
}

#[cfg(test)]
mod tests;
