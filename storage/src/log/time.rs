//! Searches by time: exact to the record, inside compressed batches too.

use std::sync::Arc;

use tidemark_protocol::batch::{BatchHeader, RecordBatch};
use tidemark_protocol::types::{Offset, TimestampMs};

use super::read::{Found, LogReader, ReadError};
use crate::disk::File;
use crate::segment::scan::{LOOKUP_CHUNK, Scan, ScanError, read_batch};
use crate::segment::{Located, Segment};

/// Most bytes a batch may unfold to when it is searched: what a producer's largest request of tiny records can become
/// under the strongest codec. A batch beyond it is answered with its first record.
const UNFOLDED_BYTES_MAX: usize = 256 << 20;

impl LogReader {
    /// The first record below `up_to` with a timestamp of at least `timestamp`.
    pub fn offset_for_timestamp(
        &self,
        timestamp: TimestampMs,
        up_to: Offset,
    ) -> Result<Option<Found>, ReadError> {
        let up_to = up_to.min(self.log_end);
        for segment in &self.segments[self.segment_of(self.log_start)..] {
            if segment.base_offset() >= up_to {
                break;
            }
            let found = self
                .search_segment(segment, timestamp, up_to)
                .map_err(|e| ReadError::in_segment(segment, e))?;
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    fn search_segment(
        &self,
        segment: &Arc<Segment>,
        timestamp: TimestampMs,
        up_to: Offset,
    ) -> Result<Option<Found>, ScanError> {
        if segment.summary()?.largest_timestamp < timestamp {
            return Ok(None);
        }
        let from = segment.with_index(|index| index.lookup_time(timestamp))?.max(self.log_start);
        let Some(located) = segment.locate(from)? else { return Ok(None) };
        let file = segment.file()?;
        let mut scan = scan_from(segment, &*file, &located);
        while let Some((position, header)) = scan.next_header()? {
            if header.next_offset() > up_to {
                break;
            }
            if header.max_timestamp >= timestamp {
                let batch = read_batch(&*file, position, &header)?;
                if let Some(found) = first_at_least(&batch, timestamp, self.log_start) {
                    return Ok(Some(found));
                }
            }
        }
        Ok(None)
    }

    /// The first record below `up_to` that has the largest timestamp.
    pub fn max_timestamp(&self, up_to: Offset) -> Result<Option<Found>, ReadError> {
        let up_to = up_to.min(self.log_end);
        let mut best: Option<(TimestampMs, usize, Offset)> = None;
        for (i, segment) in self.segments.iter().enumerate().skip(self.segment_of(self.log_start)) {
            if segment.base_offset() >= up_to {
                break;
            }
            let largest = self.largest_of(segment, up_to).map_err(|e| ReadError::in_segment(segment, e))?;
            if let Some((timestamp, offset)) = largest
                && best.is_none_or(|(known, ..)| timestamp > known)
            {
                best = Some((timestamp, i, offset));
            }
        }
        let Some((timestamp, i, offset)) = best else { return Ok(None) };
        let segment = &self.segments[i];
        self.record_with(segment, timestamp, offset).map_err(|e| ReadError::in_segment(segment, e))
    }

    /// Largest timestamp of a segment's batches from the log's start to `up_to`, and an offset at or before the first
    /// batch that has it.
    fn largest_of(
        &self,
        segment: &Arc<Segment>,
        up_to: Offset,
    ) -> Result<Option<(TimestampMs, Offset)>, ScanError> {
        let summary = segment.summary()?;
        let is_inside = summary.covered_end <= up_to && segment.base_offset() >= self.log_start;
        if is_inside {
            let largest = (summary.largest_timestamp, summary.largest_timestamp_offset);
            return Ok(Some(largest).filter(|(timestamp, _)| *timestamp >= 0));
        }
        // The last entry below `up_to` knows everything before it; what follows is walked. When the log's start lies
        // within the segment, the entries also speak of what is no longer there, and all is walked.
        let (mut largest, mut from) = segment.with_index(|index| index.largest_before(up_to))?;
        let mut at = segment.with_index(|index| index.lookup_time(largest))?;
        if segment.base_offset() < self.log_start {
            (largest, from, at) = (-1, self.log_start, self.log_start);
        }
        let Some(located) = segment.locate(from)? else { return Ok(None) };
        let file = segment.file()?;
        let mut scan = scan_from(segment, &*file, &located);
        while let Some((position, header)) = scan.next_header()? {
            if header.next_offset() > up_to {
                break;
            }
            let timestamp = self.largest_in(&*file, position, &header)?;
            if timestamp > largest {
                (largest, at) = (timestamp, header.base_offset);
            }
        }
        Ok((largest >= 0).then_some((largest, at)))
    }

    /// Largest timestamp of a batch's records; those before the log's start do not count.
    fn largest_in(
        &self,
        file: &dyn File,
        position: u64,
        header: &BatchHeader,
    ) -> Result<TimestampMs, ScanError> {
        if header.base_offset >= self.log_start {
            return Ok(header.max_timestamp);
        }
        let batch = read_batch(file, position, header)?;
        let Ok(records) = batch.records(UNFOLDED_BYTES_MAX) else { return Ok(header.max_timestamp) };
        let still_there =
            records.iter().map_while(Result::ok).filter(|record| record.offset >= self.log_start);
        Ok(still_there.map(|record| record.timestamp).max().unwrap_or(-1))
    }

    /// The first record with `timestamp` at or after the batch at `offset`.
    fn record_with(
        &self,
        segment: &Arc<Segment>,
        timestamp: TimestampMs,
        offset: Offset,
    ) -> Result<Option<Found>, ScanError> {
        let Some(located) = segment.locate(offset)? else { return Ok(None) };
        let file = segment.file()?;
        let mut scan = scan_from(segment, &*file, &located);
        while let Some((position, header)) = scan.next_header()? {
            if self.largest_in(&*file, position, &header)? == timestamp {
                let batch = read_batch(&*file, position, &header)?;
                let found = first_at_least(&batch, timestamp, self.log_start);
                return Ok(found.or_else(|| Some(found_in(&header, self.log_start, timestamp))));
            }
        }
        Ok(None)
    }
}

fn scan_from<'a>(segment: &Segment, file: &'a dyn File, first: &Located) -> Scan<'a> {
    Scan::new(file, first.position, segment.size(), first.header.base_offset, LOOKUP_CHUNK)
}

fn found_in(header: &BatchHeader, log_start: Offset, timestamp: TimestampMs) -> Found {
    Found { offset: header.base_offset.max(log_start), timestamp, epoch: header.partition_leader_epoch }
}

/// The first record of the batch at or after `log_start` with at least `timestamp`. `None` when no record keeps the
/// header's promise, or they cannot be read.
fn first_at_least(batch: &RecordBatch, timestamp: TimestampMs, log_start: Offset) -> Option<Found> {
    let epoch = batch.header().partition_leader_epoch;
    let records = batch.records(UNFOLDED_BYTES_MAX).ok()?;
    records
        .iter()
        .map_while(Result::ok)
        .find(|record| record.timestamp >= timestamp && record.offset >= log_start)
        .map(|record| Found { offset: record.offset, timestamp: record.timestamp, epoch })
}
