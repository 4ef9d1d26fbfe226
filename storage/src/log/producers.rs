//! The producer state of a log: loaded when an idempotent producer first writes, replayed from the last snapshot on.

use tidemark_protocol::batch::control::EndTransactionMarker;
use tidemark_protocol::batch::{BatchHeader, RecordSet, TimestampType};
use tidemark_protocol::types::{Now, TimestampMs};

use super::Log;
use crate::producer::ProducerStateManager;
use crate::segment::scan::{Scan, ScanError, WALK_CHUNK};

/// A control batch holds one small record.
const CONTROL_BATCH_BYTES_MAX: usize = 1 << 16;

/// The marker in a control batch; `None` when it is of another kind.
pub(super) fn end_marker(records: &RecordSet) -> Option<EndTransactionMarker> {
    let record = records.iter().next()?.ok()?;
    EndTransactionMarker::parse(&record)
}

impl Log {
    /// The producers, loaded from the newest snapshot and what the log holds since.
    pub(super) fn load_producers(&mut self, now: Now) -> Result<&mut ProducerStateManager, ScanError> {
        if self.producers.is_none() {
            let mut producers = self.replay_producers(now)?;
            producers.on_loaded(now.wall_ms, self.context.options.producer_expiration_ms);
            self.producers = Some(Box::new(producers));
        }
        Ok(self.producers.as_mut().expect("was just put there"))
    }

    fn replay_producers(&self, now: Now) -> Result<ProducerStateManager, ScanError> {
        let mut producers = ProducerStateManager::new();
        if !self.is_created {
            return Ok(producers);
        }
        let first = self.segments[0].base_offset();
        let from = producers.load(self.disk(), self.dir(), first, self.log_end)?;
        let index = self.segments.partition_point(|s| s.base_offset() <= from).saturating_sub(1);
        for segment in &self.segments[index..] {
            let Some(located) = segment.locate(from)? else { continue };
            let file = segment.file()?;
            let mut scan =
                Scan::new(&*file, located.position, segment.size(), located.header.base_offset, WALK_CHUNK);
            while let Some((header, marker)) = next_for_producers(&mut scan)? {
                producers.update(&header, marker, seen_at(&header, now));
            }
        }
        Ok(producers)
    }

    /// Forgets producers that have been silent for too long.
    pub(super) fn expire_producers(&mut self, now: Now) {
        let expiration_ms = self.context.options.producer_expiration_ms;
        if let Some(producers) = &mut self.producers {
            producers.expire(now.wall_ms, expiration_ms);
        }
    }

    /// Takes a batch that was appended into the producer state, if that is loaded.
    pub(super) fn note_producer(
        &mut self,
        header: &BatchHeader,
        marker: Option<EndTransactionMarker>,
        wall_ms: TimestampMs,
    ) {
        if let Some(producers) = &mut self.producers {
            producers.update(header, marker, wall_ms);
        }
    }
}

/// When the producer of a batch that is read back was here, for expiry. A client's own clock says nothing of that: by a
/// wrong one a live producer would be forgotten, and its next retry appended twice. So it counts as seen now, which keeps
/// it for one more `producer.id.expiration.ms` at most, because the next snapshot holds this time.
fn seen_at(header: &BatchHeader, now: Now) -> TimestampMs {
    match header.timestamp_type() {
        TimestampType::LogAppendTime => header.max_timestamp,
        TimestampType::CreateTime => now.wall_ms,
    }
}

/// The next batch by its header; control batches are opened.
fn next_for_producers(
    scan: &mut Scan<'_>,
) -> Result<Option<(BatchHeader, Option<EndTransactionMarker>)>, ScanError> {
    let Some((position, header)) = scan.next_header()? else { return Ok(None) };
    let mut marker = None;
    if header.is_control() && header.total_len() <= CONTROL_BATCH_BYTES_MAX {
        let batch = scan.reread(position, &header)?;
        marker = batch.records(CONTROL_BATCH_BYTES_MAX).ok().and_then(|records| end_marker(&records));
    }
    Ok(Some((header, marker)))
}
