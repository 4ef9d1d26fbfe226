//! The records of one batch, borrowed from its bytes and checked as they are walked.
//!
//! ```text
//! length varint | attributes i8 | timestamp_delta varlong | offset_delta varint
//!   | key length varint, bytes | value length varint, bytes | headers count varint | headers
//! ```
//! A length of −1 is null. Header keys are kept in order, duplicates too: clients see what the producer wrote.

use bytes::Bytes;

use super::header::{Attributes, BatchHeader};
use super::{BatchError, Compression, varint};
use crate::types::{Offset, TimestampMs};

/// The records of one batch: its own bytes, or what they unfold to.
#[derive(Clone, Debug)]
pub struct RecordSet {
    header: BatchHeader,
    data: Bytes,
}

impl RecordSet {
    /// Opens the bytes after the header; compressed ones unfold to at most `cap` bytes.
    ///
    /// # Errors
    /// `Decompress`.
    pub fn open(header: BatchHeader, records: Bytes, cap: usize) -> Result<Self, BatchError> {
        let data = match header.compression() {
            Compression::None => records,
            codec => Bytes::from(codec.decompress(&records, cap)?),
        };
        Ok(RecordSet { header, data })
    }

    /// Header of the batch.
    pub fn header(&self) -> &BatchHeader {
        &self.header
    }

    /// The records' bytes, not compressed.
    pub fn data(&self) -> &Bytes {
        &self.data
    }

    /// Walks the records.
    pub fn iter(&self) -> RecordIter<'_> {
        RecordIter::new(&self.header, &self.data)
    }
}

impl<'a> IntoIterator for &'a RecordSet {
    type Item = Result<Record<'a>, BatchError>;
    type IntoIter = RecordIter<'a>;

    fn into_iter(self) -> RecordIter<'a> {
        self.iter()
    }
}

/// One record, borrowed.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// Offset in the log.
    pub offset: Offset,
    /// Timestamp as a consumer sees it: the append time of the batch if that is the timestamp type.
    pub timestamp: TimestampMs,
    /// Offset relative to the base offset, as stored.
    pub offset_delta: i32,
    /// Timestamp relative to the base timestamp, as stored whatever the timestamp type.
    pub timestamp_delta: i64,
    /// Key, or null.
    pub key: Option<&'a [u8]>,
    /// Value, or null: on a compacted topic a tombstone.
    pub value: Option<&'a [u8]>,
    /// Headers in the order written.
    pub headers: Headers<'a>,
    /// The record as it lies in the batch, its length included.
    pub raw: &'a [u8],
}

/// One header of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordHeader<'a> {
    /// Key: UTF-8 by convention, not checked, as Kafka does not.
    pub key: &'a [u8],
    /// Value, or null.
    pub value: Option<&'a [u8]>,
}

/// Iterator over the headers of a record; they were checked when the record was read.
#[derive(Clone, Copy, Debug, Default)]
pub struct Headers<'a> {
    count: usize,
    bytes: &'a [u8],
}

impl<'a> Headers<'a> {
    /// The headers as they lie in the record, without their count.
    pub fn raw(&self) -> &'a [u8] {
        self.bytes
    }

    /// Reads `count` headers off `bytes` and keeps where they lie.
    fn read(bytes: &mut &'a [u8], count: i32) -> Result<Self, &'static str> {
        let count = usize::try_from(count).map_err(|_| "negative number of headers")?;
        // A header takes at least two bytes, so a larger count cannot be true.
        if count > bytes.len() / 2 {
            return Err("more headers than bytes");
        }
        let start = *bytes;
        for _ in 0..count {
            varint::read_bytes(bytes).ok_or("header key ends early")?.ok_or("null header key")?;
            varint::read_bytes(bytes).ok_or("header value ends early")?;
        }
        Ok(Headers { count, bytes: &start[..start.len() - bytes.len()] })
    }
}

impl<'a> Iterator for Headers<'a> {
    type Item = RecordHeader<'a>;

    fn next(&mut self) -> Option<RecordHeader<'a>> {
        self.count = self.count.checked_sub(1)?;
        let key = varint::read_bytes(&mut self.bytes)??;
        let value = varint::read_bytes(&mut self.bytes)?;
        Some(RecordHeader { key, value })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.count, Some(self.count))
    }
}

impl ExactSizeIterator for Headers<'_> {}

/// Walks the records of a batch. After an error nothing follows; when the last record is not the end of the bytes,
/// that is an error too.
#[derive(Clone, Debug)]
pub struct RecordIter<'a> {
    base_offset: Offset,
    base_timestamp: TimestampMs,
    append_time: Option<TimestampMs>,
    index: i32,
    count: i32,
    rest: &'a [u8],
}

impl<'a> RecordIter<'a> {
    /// Walks `data`, the uncompressed records of the batch with this header.
    pub fn new(header: &BatchHeader, data: &'a [u8]) -> Self {
        let append_time = header.attributes.has(Attributes::LOG_APPEND_TIME).then_some(header.max_timestamp);
        RecordIter {
            base_offset: header.base_offset,
            base_timestamp: header.base_timestamp,
            append_time,
            index: 0,
            count: header.records_count,
            rest: data,
        }
    }

    /// Reads one record off the front.
    #[inline]
    fn read(&mut self) -> Result<Record<'a>, &'static str> {
        let start = self.rest;
        let mut rest = start;
        let length = varint::read_i32(&mut rest).ok_or("length ends early")?;
        let length = usize::try_from(length).map_err(|_| "negative length")?;
        let (mut body, after) = rest.split_at_checked(length).ok_or("longer than the batch")?;
        let (_attributes, fields) = body.split_first().ok_or("empty")?;
        body = fields;
        let timestamp_delta = varint::read_i64(&mut body).ok_or("timestamp ends early")?;
        let offset_delta = varint::read_i32(&mut body).ok_or("offset ends early")?;
        let key = varint::read_bytes(&mut body).ok_or("key ends early")?;
        let value = varint::read_bytes(&mut body).ok_or("value ends early")?;
        let headers_count = varint::read_i32(&mut body).ok_or("number of headers ends early")?;
        let headers = Headers::read(&mut body, headers_count)?;
        if !body.is_empty() {
            return Err("longer than its fields");
        }
        self.rest = after;
        Ok(Record {
            // Wrapping as in Kafka: the sums of hostile deltas are nonsense either way, and must not panic.
            offset: self.base_offset.wrapping_add(i64::from(offset_delta)),
            timestamp: self.append_time.unwrap_or(self.base_timestamp.wrapping_add(timestamp_delta)),
            offset_delta,
            timestamp_delta,
            key,
            value,
            headers,
            raw: &start[..start.len() - after.len()],
        })
    }
}

impl<'a> Iterator for RecordIter<'a> {
    type Item = Result<Record<'a>, BatchError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.index >= self.count {
            if self.rest.is_empty() {
                return None;
            }
            self.rest = &[];
            return Some(Err(BatchError::Record {
                index: self.index,
                reason: "bytes follow the last record",
            }));
        }
        match self.read() {
            Ok(record) => {
                self.index += 1;
                Some(Ok(record))
            }
            Err(reason) => {
                let index = self.index;
                (self.count, self.rest) = (0, &[]);
                Some(Err(BatchError::Record { index, reason }))
            }
        }
    }
}

#[cfg(test)]
mod tests;
