//! Opening a log, also after a crash.
//!
//! What lies below the journal's mark is trusted and not read. What lies above is read and checked batch by batch:
//! - all good: **intact**;
//! - something bad at or after the mark: a **torn tail** that was never claimed durable; it is cut and the cut synced;
//!   nothing but zeros is room that was made for appends, and is cut without a word;
//! - something bad or missing below the mark: **corrupt**; nothing is changed and the log stays closed.
//!
//! What is good above the mark may be in memory only: after a write-back that failed, the kernel calls the pages clean, and
//! a later sync of them succeeds and does nothing. So those bytes are written anew, and claimed after the first flush.
//!
//! Without a mark everything is read; then something bad counts as torn unless a segment after it was sealed and durable.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use tidemark_protocol::batch::HEADER_LEN;
use tidemark_protocol::types::{Now, Offset, TopicId, TopicIdPartition};

use super::compaction::swap;
use super::roll::Unsettled;
use super::start;
use super::{Log, LogContext, OpenError, Position, Recovery, Unsynced};
use crate::config::LogConfig;
use crate::disk::{OpenMode, read_file, rewrite};
use crate::epoch::LeaderEpochCache;
use crate::index::OffsetIndex;
use crate::journal::LogMark;
use crate::producer::snapshot;
use crate::segment::names::{CLEANED, DELETED, INDEX, LOG, METADATA, TEMPORARY, base_offset};
use crate::segment::scan::{Scan, ScanError, WALK_CHUNK, is_room};
use crate::segment::{Place, Segment};
use crate::tail::Tail;

/// `partition.metadata` has two short lines.
const METADATA_LEN_MAX: u64 = 1024;

/// A segment file as found.
#[derive(Clone, Copy, Debug)]
struct Found {
    base: Offset,
    size: u64,
}

/// Where the unproven part begins.
#[derive(Clone, Copy, Debug)]
struct Start {
    /// Segment, position and offset of the first batch to be checked.
    segment: usize,
    position: u64,
    offset: Offset,
    /// Below this, nothing may be bad or missing; `Offset::MIN` without a mark.
    proven: Offset,
}

/// Where the good part ends, and why, if that is before the end of the files.
struct Checked {
    segment: usize,
    position: u64,
    end: Offset,
    damage: Option<String>,
    scanned: u64,
}

/// One opening.
struct Opening<'a> {
    place: Arc<Place>,
    mark: Option<LogMark>,
    /// Compaction may have left gaps between segments.
    is_compacted: bool,
    epochs: &'a mut LeaderEpochCache,
    /// Segments with room at the end, and where it begins.
    rooms: Vec<(usize, u64)>,
}

impl Log {
    /// Opens the log in `dir`, which need not exist. `mark` is what the journal proves; without one everything there
    /// is read and checked. Nothing is created.
    pub fn open(
        context: &Arc<LogContext>,
        dir: PathBuf,
        identity: TopicIdPartition,
        mark: Option<LogMark>,
        config: Arc<LogConfig>,
        now: Now,
    ) -> Result<(Log, Recovery), OpenError> {
        let place = context.place(dir, &config);
        let mut names = read_names(&place)?;
        if finish_compaction(&place, &names)? {
            names = read_names(&place)?;
        }
        let mut found = find_segments(&place, &names)?;
        let stored_start = load_start(&place, mark)?;
        let known_start = stored_start.max(mark.map(|m| m.log_start)).unwrap_or(0);
        if let Some(mark) = mark.filter(|m| m.log_start == m.durable_end)
            && found.iter().all(|f| f.base < mark.segment_base)
        {
            // The log was to go on from an offset beyond all of them, and a crash came in between.
            remove_all(&place, &found)?;
            found.clear();
        }
        let proven = mark.map_or_else(|| settled_end(&place, &found), |m| m.durable_end);
        drop_below(&place, &mut found, known_start, proven)?;
        if found.is_empty() {
            let log = Log::empty(context, place, identity, (mark, known_start), config, now)?;
            return Ok((log, Recovery::Empty));
        }
        if mark.is_none() {
            check_topic(&place, identity.topic_id)?;
        }
        let mut epochs = load_epochs(&place, &found, (mark, known_start))?;
        let is_compacted = config.cleanup.compact;
        let mut opening =
            Opening { place: place.clone(), mark, is_compacted, epochs: &mut epochs, rooms: Vec::new() };
        let start = opening.start(&found);
        let checked = opening.check(&found, start)?;
        let recovery = opening.settle(&mut found, &checked)?;
        opening.rewrite(&found, start).map_err(|e| place.io_error(e))?;
        remove_leftovers(&place, &names);
        let log = Log::assemble(
            context,
            place,
            identity,
            (known_start, start, checked),
            (found, epochs),
            (config, now),
        )?;
        log.count_recovery(&recovery);
        Ok((log, recovery))
    }

    fn empty(
        context: &Arc<LogContext>,
        place: Arc<Place>,
        identity: TopicIdPartition,
        (mark, start): (Option<LogMark>, Offset),
        config: Arc<LogConfig>,
        now: Now,
    ) -> Result<Log, OpenError> {
        let mark = mark.unwrap_or_default();
        if mark.durable_end > start {
            return Err(place.corrupt(mark.segment_base, 0, mark.log_start, "there are no segments".into()));
        }
        let segments = vec![Segment::new(place.clone(), start, 0, false)];
        let durable = Position { end: start, segment_base: start, position: 0 };
        let epochs = LeaderEpochCache::new();
        let mut log = Log::new(context, place, identity, segments, epochs, durable, config, now);
        (log.is_created, log.is_inherited) = (false, false);
        log.log_start = start;
        Ok(log)
    }

    #[allow(clippy::too_many_arguments, reason = "one value per part of the log")]
    fn new(
        context: &Arc<LogContext>,
        place: Arc<Place>,
        identity: TopicIdPartition,
        segments: Vec<Arc<Segment>>,
        epochs: LeaderEpochCache,
        durable: Position,
        config: Arc<LogConfig>,
        now: Now,
    ) -> Log {
        Log {
            context: context.clone(),
            place,
            identity,
            config,
            log_start: segments[0].base_offset(),
            segments: Arc::new(segments),
            is_created: true,
            tail: Arc::new(Tail::new(context.tail.clone())),
            epochs: Arc::new(epochs),
            producers: None,
            log_end: durable.end,
            durable,
            unsynced: Unsynced::default(),
            is_inherited: true,
            unsettled: Vec::new(),
            removed: Vec::new(),
            cuts: 0,
            saved_position: 0,
            last_used: now.mono,
            retention_due: now.mono + context.options.retention_check_interval,
            rolled_at: now.mono,
            failure: None,
        }
    }

    fn assemble(
        context: &Arc<LogContext>,
        place: Arc<Place>,
        identity: TopicIdPartition,
        (known_start, start, checked): (Offset, Start, Checked),
        (found, mut epochs): (Vec<Found>, LeaderEpochCache),
        (config, now): (Arc<LogConfig>, Now),
    ) -> Result<Log, OpenError> {
        let last = found.len() - 1;
        let segments: Vec<_> = found
            .iter()
            .enumerate()
            .map(|(i, f)| Segment::new(place.clone(), f.base, f.size, i < last))
            .collect();
        let log_start = known_start.max(found[0].base).min(checked.end);
        epochs.truncate_from_end(checked.end);
        let durable =
            Position { end: start.offset, segment_base: found[start.segment].base, position: start.position };
        let is_known = checked.scanned == 0 && start.segment == last;
        let mut log = Log::new(context, place, identity, segments, epochs, durable, config, now);
        log.log_start = log_start;
        log.log_end = checked.end;
        let prepared = if is_known { Ok(()) } else { log.unsynced_from(start.segment) };
        // The mark may pass these batches only once their epochs are stored.
        let stored = prepared.and_then(|()| if log.epochs.is_dirty() { log.store_epochs() } else { Ok(()) });
        stored.map_err(|source| log.place.io_error(source))?;
        Arc::make_mut(&mut log.epochs).truncate_from_start(log_start);
        if log_start < known_start {
            start::lower(log.disk(), log.dir(), log_start).map_err(|source| log.place.io_error(source))?;
        }
        // A snapshot or an epoch of records that are gone must not meet other records with their offsets.
        let gone = snapshot::remove_above(log.disk(), log.dir(), checked.end);
        if gone.map_err(|source| log.place.io_error(source))? {
            log.disk().sync_dir(log.dir()).map_err(|source| log.place.io_error(source))?;
        }
        Ok(log)
    }

    /// What was read is in the file, but may not be on the disk yet: the first flush syncs it.
    fn unsynced_from(&mut self, segment: usize) -> io::Result<()> {
        for (i, found) in self.segments.iter().enumerate().skip(segment) {
            self.unsynced.files.push(found.file()?);
            if let Some(next) = self.segments.get(i + 1) {
                found.doubt();
                let segment = Arc::clone(found);
                self.unsettled.push(Unsettled { segment, end: next.base_offset(), producers: None });
            }
        }
        self.unsynced.has_active = true;
        self.is_inherited = false;
        if let Some(parent) = self.place.dir.parent() {
            self.unsynced.add_dir(parent);
        }
        self.unsynced.add_dir(&self.place.dir);
        Ok(())
    }

    fn count_recovery(&self, recovery: &Recovery) {
        let metrics = &self.context.metrics;
        match recovery {
            Recovery::Empty => {}
            Recovery::Intact { scanned } => metrics.recovery_scanned_bytes.add(*scanned),
            Recovery::Torn { scanned, truncated_to, truncated_bytes } => {
                metrics.recovery_scanned_bytes.add(*scanned);
                metrics.torn_tails.add(1);
                tracing::warn!(dir = %self.dir().display(), truncated_to, truncated_bytes, "torn tail was cut");
            }
        }
    }
}

impl Opening<'_> {
    fn start(&self, found: &[Found]) -> Start {
        let Some(mark) = self.mark else {
            return Start {
                segment: 0,
                position: 0,
                offset: found[0].base,
                proven: settled_end(&self.place, found),
            };
        };
        let proven = mark.durable_end;
        let marked =
            found.iter().position(|f| f.base == mark.segment_base && f.size >= mark.segment_position);
        if let Some(segment) = marked.filter(|&i| self.is_where_it_was(found, i, &mark)) {
            return Start { segment, position: mark.segment_position, offset: proven, proven };
        }
        // The segment was compacted into another one, or is damaged: reading from the start of whatever holds the
        // offset tells.
        // The one with the last proven record: what an append that failed left behind it may be there too.
        let segment = found.partition_point(|f| f.base < proven).saturating_sub(1);
        Start { segment, position: 0, offset: found[segment].base, proven }
    }

    /// Whether the mark still names a place between two batches. Compaction replaces segments only after the journal has
    /// moved on, so this is in doubt only if a newer mark was lost, and only for segments that others follow.
    fn is_where_it_was(&self, found: &[Found], i: usize, mark: &LogMark) -> bool {
        let Some(next) = found.get(i + 1) else { return true };
        if found[i].size == mark.segment_position {
            return next.base == mark.durable_end || !self.is_compacted;
        }
        let path = self.place.path(found[i].base, LOG);
        let Ok(file) = self.place.disk.open(&path, OpenMode::Read) else { return false };
        let mut scan = Scan::new(&*file, mark.segment_position, found[i].size, mark.durable_end, HEADER_LEN);
        scan.next_header().is_ok_and(|header| header.is_some_and(|(_, h)| h.base_offset == mark.durable_end))
    }

    /// Checks everything from `start` on.
    fn check(&mut self, found: &[Found], start: Start) -> Result<Checked, OpenError> {
        let mut at = Checked {
            segment: start.segment,
            position: start.position,
            end: start.offset,
            damage: None,
            scanned: 0,
        };
        for (i, segment) in found.iter().enumerate().skip(start.segment) {
            if i > start.segment {
                // Above what is proven nothing was compacted, so a gap is the lost end of the segment before.
                let may_skip = segment.base <= start.proven && (self.mark.is_some() || self.is_compacted);
                if segment.base < at.end || (segment.base > at.end && !may_skip) {
                    let reason = format!("segment {} follows offset {}", segment.base, at.end);
                    return self.verdict(found, start, at, reason);
                }
                at = Checked { segment: i, position: 0, end: segment.base, ..at };
            }
            if at.position == segment.size {
                continue;
            }
            if let Some(reason) = self.check_segment(segment, &mut at)? {
                let is_whole = found.get(i + 1).map_or(at.end >= start.proven, |next| next.base == at.end);
                if !is_whole || !self.is_room(segment, at.position).map_err(|e| self.place.io_error(e))? {
                    return self.verdict(found, start, at, reason);
                }
                self.rooms.push((i, at.position));
            }
        }
        if at.end < start.proven {
            let reason = format!("the log ends at offset {}, {} was durable", at.end, start.proven);
            return self.verdict(found, start, at, reason);
        }
        Ok(at)
    }

    /// Checks one segment from `at` on; `Some` says what is bad at the new `at`.
    fn check_segment(&mut self, segment: &Found, at: &mut Checked) -> Result<Option<String>, OpenError> {
        let place = self.place.clone();
        let path = place.path(segment.base, LOG);
        let file = place.disk.open(&path, OpenMode::Read).map_err(|e| place.io_error(e))?;
        let from = at.position;
        let mut scan = Scan::new(&*file, at.position, segment.size, at.end, WALK_CHUNK);
        let damage = loop {
            match scan.next_batch() {
                Ok(Some((_, batch))) => {
                    // The epochs below the mark are known already.
                    if batch.header().base_offset >= self.mark.map_or(Offset::MIN, |m| m.durable_end) {
                        self.epochs.assign(batch.header().partition_leader_epoch, batch.header().base_offset);
                    }
                    at.position = scan.position();
                    at.end = scan.next_offset();
                }
                Ok(None) => break None,
                Err(ScanError::Damaged { reason, .. }) => break Some(reason),
                Err(ScanError::Io(e)) => return Err(place.io_error(e)),
            }
        };
        at.scanned += at.position - from;
        Ok(damage)
    }

    /// Whether the segment has nothing but zeros from `position` on.
    fn is_room(&self, segment: &Found, position: u64) -> io::Result<bool> {
        let file = self.place.disk.open(&self.place.path(segment.base, LOG), OpenMode::Read)?;
        is_room(&*file, position, segment.size)
    }

    /// Something is bad at `at`: is it a torn tail, or are proven bytes damaged?
    fn verdict(
        &self,
        found: &[Found],
        start: Start,
        at: Checked,
        reason: String,
    ) -> Result<Checked, OpenError> {
        if at.end < start.proven {
            return Err(self.place.corrupt(found[at.segment].base, at.position, at.end, reason));
        }
        let unread = found[at.segment].size - at.position;
        Ok(Checked { damage: Some(reason), scanned: at.scanned + unread, ..at })
    }

    /// Cuts a torn tail, last things first, so that a crash in between leaves what the next opening cuts again.
    fn settle(&mut self, found: &mut Vec<Found>, checked: &Checked) -> Result<Recovery, OpenError> {
        for (i, position) in std::mem::take(&mut self.rooms) {
            self.cut(&[], &found[i], position).map_err(|e| self.place.io_error(e))?;
            found[i].size = position;
        }
        if checked.damage.is_none() {
            return Ok(Recovery::Intact { scanned: checked.scanned });
        }
        let gone = found.split_off(checked.segment + 1);
        let last = found.last_mut().expect("the segment that was checked");
        let cut: u64 = gone.iter().map(|f| f.size).sum::<u64>() + last.size - checked.position;
        self.cut(&gone, last, checked.position).map_err(|e| self.place.io_error(e))?;
        last.size = checked.position;
        self.epochs.truncate_from_end(checked.end);
        Ok(Recovery::Torn { truncated_to: checked.end, truncated_bytes: cut, scanned: checked.scanned })
    }

    /// Writes the unproven part of what is left anew, so that the first flush writes it to the disk whatever became of it
    /// before.
    fn rewrite(&self, found: &[Found], start: Start) -> io::Result<()> {
        let mut from = start.position;
        for segment in &found[start.segment..] {
            // Without a mark, the segments with an index are proven all the same.
            if segment.size > from && (self.mark.is_some() || segment.base >= start.proven) {
                let path = self.place.path(segment.base, LOG);
                rewrite(&*self.place.disk.open(&path, OpenMode::ReadWrite)?, from, segment.size)?;
            }
            from = 0;
        }
        Ok(())
    }

    fn cut(&mut self, gone: &[Found], last: &Found, position: u64) -> io::Result<()> {
        let place = &self.place;
        for found in gone.iter().rev() {
            remove_segment(place, found.base)?;
        }
        let segment = Segment::new(place.clone(), last.base, last.size, false);
        segment.truncate(position)?;
        segment.file()?.sync_data()?;
        place.disk.sync_dir(&place.dir)
    }
}

impl Place {
    fn io_error(&self, source: io::Error) -> OpenError {
        OpenError::Io { dir: self.dir.clone(), source }
    }

    fn corrupt(&self, segment_base: Offset, position: u64, offset: Offset, reason: String) -> OpenError {
        OpenError::Corrupt { dir: self.dir.clone(), segment_base, position, offset, reason }
    }
}

/// The start written down last. The one the journal does not know is stored again before anything is removed on its
/// account: a restarted process may read what never reached the disk.
fn load_start(place: &Place, mark: Option<LogMark>) -> Result<Option<Offset>, OpenError> {
    let load = || {
        let stored = start::load(&*place.disk, &place.dir)?;
        match stored {
            Some(offset) if mark.is_none_or(|mark| mark.log_start < offset) => {
                start::store(&*place.disk, &place.dir, offset)?;
            }
            _ => {}
        }
        Ok(stored)
    };
    load().map_err(|e| place.io_error(e))
}

fn read_names(place: &Place) -> Result<Vec<String>, OpenError> {
    match place.disk.read_dir(&place.dir) {
        Ok(names) => Ok(names),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(source) => Err(place.io_error(source)),
    }
}

/// Finishes or undoes what a crash has cut off of a compaction; true when that changed the directory.
fn finish_compaction(place: &Place, names: &[String]) -> Result<bool, OpenError> {
    swap::recover(&*place.disk, &place.dir, names).map_err(|e| match e.kind() {
        io::ErrorKind::InvalidData => place.corrupt(-1, 0, -1, format!("half done compaction: {e}")),
        _ => place.io_error(e),
    })
}

fn find_segments(place: &Place, names: &[String]) -> Result<Vec<Found>, OpenError> {
    let mut found = Vec::new();
    for base in names.iter().filter_map(|name| base_offset(name, LOG)) {
        let size = place.disk.file_len(&place.path(base, LOG)).map_err(|e| place.io_error(e))?;
        found.push(Found { base, size });
    }
    found.sort_unstable_by_key(|f| f.base);
    Ok(found)
}

fn remove_segment(place: &Place, base: Offset) -> io::Result<()> {
    for suffix in crate::segment::names::SEGMENT_FILES {
        crate::segment::remove_if_there(&*place.disk, &place.path(base, suffix))?;
    }
    Ok(())
}

fn remove_all(place: &Place, found: &[Found]) -> Result<(), OpenError> {
    if found.is_empty() {
        return Ok(());
    }
    let result = found.iter().rev().try_for_each(|f| remove_segment(place, f.base));
    result.and_then(|()| place.disk.sync_dir(&place.dir)).map_err(|e| place.io_error(e))
}

/// Takes out what lies wholly below the start of the log: segments whose removal a crash has undone, perhaps not of all.
/// If the first segment that is left begins above the start, what was before it is lost: when nothing of it was proven,
/// all that follows goes too, as the rest of a torn tail.
fn drop_below(
    place: &Place,
    found: &mut Vec<Found>,
    known_start: Offset,
    proven: Offset,
) -> Result<(), OpenError> {
    let below = found.partition_point(|f| f.base <= known_start).saturating_sub(1);
    let gone: Vec<Found> = found.drain(..below).collect();
    remove_all(place, &gone)?;
    match found.first().copied() {
        Some(first) if first.base > known_start && proven <= known_start => {
            remove_all(place, found)?;
            found.clear();
            Ok(())
        }
        Some(first) if first.base > known_start => {
            let reason = format!("segment {} is the first, the log starts at {known_start}", first.base);
            Err(place.corrupt(first.base, 0, known_start, reason))
        }
        _ => Ok(()),
    }
}

/// What is known to have been durable without a mark: the index of a sealed segment is written only once the segment is.
/// A log that was never marked, because its first flush was not over, may end in any of its segments; the last one may
/// have been given room and nothing else.
fn settled_end(place: &Place, found: &[Found]) -> Offset {
    let used = found.iter().rposition(|f| f.size > 0).map_or(0, |last| last + 1);
    let is_settled =
        |f: &Found| OffsetIndex::load(&*place.disk, &place.path(f.base, INDEX), f.base, true).is_ok();
    let settled = found[..used].windows(2).rev().find(|pair| is_settled(&pair[0]));
    settled.map_or(Offset::MIN, |pair| pair[1].base)
}

/// Files that a crash left half made or half removed. Best effort: they are tried again next time.
fn remove_leftovers(place: &Place, names: &[String]) {
    for name in names {
        if [DELETED, CLEANED, TEMPORARY].iter().any(|suffix| name.ends_with(suffix)) {
            let _ = place.disk.remove_file(&place.dir.join(name));
        }
    }
}

/// The directory must be of this topic: one of the same name may have been deleted and made again.
fn check_topic(place: &Place, expected: TopicId) -> Result<(), OpenError> {
    let bytes = match read_file(&*place.disk, &place.dir.join(METADATA), METADATA_LEN_MAX) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(place.io_error(e)),
    };
    let text = String::from_utf8_lossy(&bytes);
    let Some(found) = text.lines().find_map(|line| line.strip_prefix("topic_id: ")) else { return Ok(()) };
    match TopicId::parse(found.trim()) {
        // A file torn by a crash says nothing; its partition is known by the directory's name.
        None => Ok(()),
        Some(id) if id == expected => Ok(()),
        Some(id) => Err(OpenError::WrongTopic {
            dir: place.dir.clone(),
            expected: expected.to_string(),
            found: id.to_string(),
        }),
    }
}

/// The epochs of the batches below the mark: from the file, or when that is missing, damaged or says nothing of the first of them,
/// from their headers. What is above, or everything without a mark, is read anyway.
fn load_epochs(
    place: &Arc<Place>,
    found: &[Found],
    (mark, known_start): (Option<LogMark>, Offset),
) -> Result<LeaderEpochCache, OpenError> {
    let mut epochs = LeaderEpochCache::new();
    let Some(mark) = mark else { return Ok(epochs) };
    if let Ok(Some(mut stored)) = LeaderEpochCache::load(&*place.disk, &place.dir) {
        // What it says beyond the mark may be of batches that were lost, and the others are read anyway.
        stored.truncate_from_end(mark.durable_end);
        // It may have been stored with a later start of the log, one that was lost with the records before it.
        let first = known_start.max(found[0].base);
        if first >= mark.durable_end || stored.epoch_for(first).is_some() {
            return Ok(stored);
        }
    }
    for segment in found.iter().take_while(|f| f.base < mark.durable_end) {
        let path = place.path(segment.base, LOG);
        let file = place.disk.open(&path, OpenMode::Read).map_err(|e| place.io_error(e))?;
        let mut scan = Scan::new(&*file, 0, segment.size, segment.base, WALK_CHUNK);
        while scan.next_offset() < mark.durable_end {
            match scan.next_header() {
                Ok(Some((_, header))) => {
                    epochs.assign(header.partition_leader_epoch, header.base_offset);
                }
                Ok(None) => break,
                Err(ScanError::Io(e)) => return Err(place.io_error(e)),
                Err(ScanError::Damaged { position, reason }) => {
                    return Err(place.corrupt(segment.base, position, scan.next_offset(), reason));
                }
            }
        }
    }
    Ok(epochs)
}

#[cfg(test)]
mod tests;
