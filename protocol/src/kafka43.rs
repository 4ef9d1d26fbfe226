//! What Kafka 4.3 speaks and the kafka-protocol crate (generated from 4.1) does not, only where we need it.
//!
//! OffsetCommit 10 and OffsetFetch 10 say topics by id where 9 says them by name, and nothing else is new. The crate
//! writes their responses and has the field `topic_id`, but reads no such request. [`readable_by_crate`] turns the body
//! into one of version 9 whose topic names are the texts of the ids: handlers of version 10 read
//! `TopicId::parse(&topic.name)` and answer in `topic_id`. Their rows in [`crate::api::APIS`] say 10 once handlers do that.

use bytes::{BufMut, Bytes, BytesMut};
use uuid::Uuid;

use crate::api::ApiKey;
use crate::types::base64_uuid;

/// The version the crate's decoder of requests is to be asked for.
pub fn request_codec_version(key: ApiKey, version: i16) -> i16 {
    match (key, version) {
        // 11 only allows the special timestamp −6 (KIP-1023).
        (ApiKey::ListOffsets, 11) => 10,
        // 5 changes the response only.
        (ApiKey::DescribeLogDirs, 5) => 4,
        // 1 adds a field of the request; see `readable_by_crate`.
        (ApiKey::AddRaftVoter, 1) => 0,
        // 10 says topics by id; see `readable_by_crate`.
        (ApiKey::OffsetCommit | ApiKey::OffsetFetch, 10) => 9,
        _ => version,
    }
}

/// The version the crate's encoder of responses is to be asked for.
pub fn response_codec_version(key: ApiKey, version: i16) -> i16 {
    match (key, version) {
        (ApiKey::ListOffsets, 11) => 10,
        // 1 changes the request only.
        (ApiKey::AddRaftVoter, 1) => 0,
        // 5 adds a field; see `as_kafka_writes`.
        (ApiKey::DescribeLogDirs, 5) => 4,
        _ => version,
    }
}

/// The body in the form of `request_codec_version`; `None` if it ends early, which the guard does not let happen.
pub(crate) fn readable_by_crate(key: ApiKey, version: i16, body: Bytes) -> Option<Bytes> {
    match (key, version) {
        (ApiKey::OffsetCommit | ApiKey::OffsetFetch, 10) | (ApiKey::AddRaftVoter, 1) => {}
        _ => return Some(body),
    }
    // An id of 16 bytes becomes 23 of text.
    let mut pass = Rewrite { rest: &body, out: BytesMut::with_capacity(body.len() * 3 / 2) };
    match key {
        ApiKey::OffsetCommit => pass.offset_commit()?,
        ApiKey::AddRaftVoter => pass.add_raft_voter()?,
        _ => pass.offset_fetch()?,
    }
    Some(pass.out.freeze())
}

/// The body of a response as Kafka writes it, from the one of `response_codec_version`; `None` where the two are the same.
pub(crate) fn as_kafka_writes(key: ApiKey, version: i16, body: &[u8]) -> Option<BytesMut> {
    if (key, version) != (ApiKey::DescribeLogDirs, 5) {
        return None;
    }
    let mut pass = Rewrite { rest: body, out: BytesMut::with_capacity(body.len() + 16) };
    pass.describe_log_dirs()?;
    Some(pass.out)
}

/// One pass over a flexible body: what is not said to be a topic id is copied. Steps are `None` where the body ends early.
struct Rewrite<'a> {
    rest: &'a [u8],
    out: BytesMut,
}

impl Rewrite<'_> {
    fn offset_commit(&mut self) -> Option<()> {
        self.text()?; // group id
        self.copy(4)?; // generation or member epoch
        self.text()?; // member id
        self.text()?; // group instance id
        self.each(|topic| {
            topic.id_as_name()?;
            topic.each(|partition| {
                partition.copy(4 + 8 + 4)?; // index, offset, leader epoch
                partition.text()?; // metadata
                partition.tags()
            })?;
            topic.tags()
        })?;
        self.tags()
    }

    fn offset_fetch(&mut self) -> Option<()> {
        self.each(|group| {
            group.text()?; // group id
            group.text()?; // member id
            group.copy(4)?; // member epoch
            group.each(|topic| {
                topic.id_as_name()?;
                topic.each(|partition| partition.copy(4))?;
                topic.tags()
            })?;
            group.tags()
        })?;
        self.copy(1)?; // require stable
        self.tags()
    }

    /// Version 1 says whether the answer may come before the change is committed (KIP-1186); ours never does.
    fn add_raft_voter(&mut self) -> Option<()> {
        self.text()?; // cluster id
        self.copy(4 + 4 + 16)?; // timeout, voter, directory
        self.each(|listener| {
            listener.text()?; // name
            listener.text()?; // host
            listener.copy(2)?; // port
            listener.tags()
        })?;
        self.rest = self.rest.get(1..)?; // ack when committed
        self.tags()
    }

    fn describe_log_dirs(&mut self) -> Option<()> {
        self.copy(4 + 2)?; // throttle time, error
        self.each(|dir| {
            dir.copy(2)?; // error
            dir.text()?; // path
            dir.each(|topic| {
                topic.text()?; // name
                topic.each(|partition| {
                    partition.copy(4 + 8 + 8 + 1)?; // index, size, lag, future
                    partition.tags()
                })?;
                topic.tags()
            })?;
            dir.copy(8 + 8)?; // total, usable
            dir.out.put_u8(0); // not cordoned (KIP-1066)
            dir.tags()
        })?;
        self.tags()
    }

    fn id_as_name(&mut self) -> Option<()> {
        let (id, rest) = self.rest.split_first_chunk::<16>()?;
        self.rest = rest;
        let name = base64_uuid(Uuid::from_bytes(*id));
        // A compact string's length is one more than it is.
        self.out.put_u8(name.len() as u8 + 1);
        self.out.put_slice(name.as_bytes());
        Some(())
    }

    fn copy(&mut self, len: usize) -> Option<()> {
        let (head, rest) = self.rest.split_at_checked(len)?;
        self.rest = rest;
        self.out.put_slice(head);
        Some(())
    }

    fn varint(&mut self) -> Option<usize> {
        let mut value = 0;
        for shift in [0, 7, 14, 21, 28] {
            let byte = *self.rest.first()?;
            self.copy(1)?;
            value |= usize::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }

    fn text(&mut self) -> Option<()> {
        let len = self.varint()?;
        self.copy(len.saturating_sub(1))
    }

    fn each(&mut self, mut item: impl FnMut(&mut Self) -> Option<()>) -> Option<()> {
        let count = self.varint()?.saturating_sub(1);
        (0..count).try_for_each(|_| item(self))
    }

    fn tags(&mut self) -> Option<()> {
        for _ in 0..self.varint()? {
            self.varint()?;
            let size = self.varint()?;
            self.copy(size)?;
        }
        Some(())
    }
}

#[cfg(test)]
mod tests;
