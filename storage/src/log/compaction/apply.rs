//! Log's side of compaction: says when it is worth while, hands out the job, and puts the result in place.
//!
//! At most one job of a log is under way: the next is asked for only after the last one's result was applied or dropped.

use std::collections::BTreeMap;
use std::sync::Arc;

use tidemark_protocol::types::{Now, Offset, ProducerId};

use super::super::Log;
use super::super::retention::SegmentFacts;
use super::super::roll::into_io;
use super::{Compacted, CompactionError, CompactionJob, Source, plan, swap};
use crate::index::transaction::TransactionIndex;
use crate::producer::LastBatch;
use crate::segment::Segment;
use crate::segment::names::TXN_INDEX;

impl Log {
    /// The compaction that is due, to be run on another thread. `None` when none is, or when the disk did not let it be
    /// found out. Cheap when there is nothing new.
    pub fn compaction(&mut self, now: Now, high_watermark: Offset) -> Option<CompactionJob> {
        let may_be_due = self.config.cleanup.compact && self.is_created && self.segments.len() > 1;
        if !may_be_due || self.failure.is_some() {
            return None;
        }
        match self.plan_compaction(now, high_watermark) {
            Ok(job) => job,
            Err(error) => {
                tracing::warn!(dir = %self.dir().display(), %error, "compaction could not be planned");
                None
            }
        }
    }

    fn plan_compaction(
        &mut self,
        now: Now,
        high_watermark: Offset,
    ) -> Result<Option<CompactionJob>, CompactionError> {
        let clean_end = swap::load_clean_end(self.disk(), self.dir())?;
        // Until the plan needs producers, their state is not loaded; without any, no transaction is open.
        let unstable = self.producers.as_ref().and_then(|producers| producers.first_unstable_offset());
        // The journal's mark lies in a segment that must not change under it.
        let limit = high_watermark.min(self.durable.segment_base).min(unstable.unwrap_or(Offset::MAX));
        let facts = self.compaction_facts(clean_end)?;
        if plan(&facts, &self.config, clean_end, limit, now.wall_ms).is_none() {
            return Ok(None);
        }
        let producers = self.last_batches(now)?;
        let unstable = self.producers.as_ref().and_then(|producers| producers.first_unstable_offset());
        let limit = limit.min(unstable.unwrap_or(Offset::MAX));
        let Some(plan) = plan(&facts, &self.config, clean_end, limit, now.wall_ms) else { return Ok(None) };
        Ok(Some(CompactionJob {
            place: self.place.clone(),
            sources: self.sources(&facts[..plan.segments])?,
            clean_end: plan.clean_end,
            config: self.config.clone(),
            producers,
            wall_ms: now.wall_ms,
            seed: (self.hash(now.wall_ms), self.hash(clean_end)),
            cuts: self.cuts,
        }))
    }

    /// Facts of all segments; times only of dirty ones, which alone are asked for them.
    fn compaction_facts(&self, clean_end: Offset) -> Result<Vec<SegmentFacts>, CompactionError> {
        let mut facts = Vec::with_capacity(self.segments.len());
        for (i, segment) in self.segments.iter().enumerate() {
            let next = self.segments.get(i + 1);
            let end_offset = next.map_or(self.log_end, |next| next.base_offset());
            let is_asked = next.is_some() && end_offset > clean_end;
            let (first_timestamp, largest_timestamp) = if is_asked {
                let summary = segment.summary().map_err(into_io)?;
                (summary.first_timestamp, summary.largest_timestamp)
            } else {
                (-1, -1)
            };
            facts.push(SegmentFacts {
                base_offset: segment.base_offset(),
                end_offset,
                size_bytes: segment.size(),
                first_timestamp,
                largest_timestamp,
            });
        }
        Ok(facts)
    }

    fn last_batches(&mut self, now: Now) -> Result<BTreeMap<ProducerId, LastBatch>, CompactionError> {
        Ok(self.load_producers(now).map_err(into_io)?.last_batches())
    }

    fn sources(&self, facts: &[SegmentFacts]) -> Result<Vec<Source>, CompactionError> {
        let mut sources = Vec::with_capacity(facts.len());
        for (segment, facts) in self.segments.iter().zip(facts) {
            let path = self.place.path(facts.base_offset, TXN_INDEX);
            let (index, is_whole) = TransactionIndex::load(self.disk(), &path, facts.base_offset)?;
            if !is_whole {
                let reason = "index of aborted transactions is damaged".to_owned();
                return Err(CompactionError::Damaged {
                    segment_base: facts.base_offset,
                    position: 0,
                    reason,
                });
            }
            sources.push(Source {
                segment: segment.clone(),
                end: facts.end_offset,
                aborted: index.entries().to_vec(),
            });
        }
        Ok(sources)
    }

    /// Puts the result of a job in place; false when the log has changed meanwhile and the result was dropped. The new
    /// segments are seen by readers taken from now on, older readers go on with the old ones. After an error the log has
    /// failed.
    pub fn apply_compaction(&mut self, compacted: Compacted, now: Now) -> Result<bool, CompactionError> {
        if self.failure.is_some() || compacted.cuts != self.cuts || !self.holds_sources_of(&compacted) {
            compacted.discard(self.disk(), self.dir())?;
            return Ok(false);
        }
        let clean_end = compacted.clean_end;
        match self.swap_in(compacted, now) {
            Ok(()) => {
                // What was dropped from the files is not to be read from memory.
                self.tail.advance(clean_end);
                Ok(true)
            }
            Err(error) => {
                self.fail(format!("compaction: {error}"));
                Err(error)
            }
        }
    }

    /// Whether all segments that are to be replaced are still in the log, next to each other.
    fn holds_sources_of(&self, compacted: &Compacted) -> bool {
        compacted.segments.iter().all(|new| {
            let first = self.segments.partition_point(|s| s.base_offset() < new.base_offset);
            let found = self.segments[first..].iter().map(|s| s.base_offset());
            let next = self.segments.get(first + new.replaces.len()).map(|s| s.base_offset());
            found.take(new.replaces.len()).eq(new.replaces.iter().copied()) && next == Some(new.end_offset)
        })
    }

    fn swap_in(&mut self, compacted: Compacted, now: Now) -> Result<(), CompactionError> {
        let (context, dir) = (self.context.clone(), self.place.dir.clone());
        compacted.commit(&*context.disk, &dir)?;
        let is_replaced =
            |base: Offset| compacted.segments.iter().any(|new| new.replaces.binary_search(&base).is_ok());
        let (gone, stay): (Vec<_>, Vec<_>) =
            self.segments.iter().cloned().partition(|segment| is_replaced(segment.base_offset()));
        self.unsettled.retain(|unsettled| !is_replaced(unsettled.segment.base_offset()));
        self.retire_segments(gone, now)?;
        compacted.finish(&*context.disk, &dir)?;
        let mut segments = stay;
        for new in &compacted.segments {
            // Only saves the first reader a walk: a failure costs nothing but time.
            let _ = new.index.write(&self.place, true);
            segments.push(Segment::new(self.place.clone(), new.base_offset, new.size, true));
        }
        segments.sort_by_key(|segment| segment.base_offset());
        self.segments = Arc::new(segments);
        Ok(())
    }
}
