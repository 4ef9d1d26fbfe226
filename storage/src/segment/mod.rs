//! One segment: a file of batches and its indexes. Shared by the log that writes it and by readers.
//!
//! Only the log's owner appends, cuts, seals and retires; readers look up and read at the same time. The file is opened
//! and the index loaded (or rebuilt from the file) when first needed, and both can be let go of at any time.

use std::fmt;
use std::io::{self, IoSlice};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use tidemark_protocol::batch::{BatchHeader, HEADER_LEN, PlacedBatch};
use tidemark_protocol::types::{Offset, TimestampMs};

use crate::disk::{Disk, File, OpenMode};
use crate::index::Summary;
use crate::metrics::LogMetrics;

pub mod index;
pub mod names;
pub mod open_files;
mod room;
pub mod scan;

pub use index::SegmentIndex;
pub use open_files::OpenFiles;
pub use room::RoomPolicy;
pub use scan::{Scan, ScanError};

use names::{DELETED, LOG, SEGMENT_FILES, file_name};
use room::Room;
use scan::LOOKUP_CHUNK;

/// Where the segments of one log live, and what they share.
#[derive(Debug)]
pub struct Place {
    /// The disk.
    pub disk: Arc<dyn Disk>,
    /// Directory of the log.
    pub dir: PathBuf,
    /// The broker's open sealed segments.
    pub open_files: Arc<OpenFiles>,
    /// Counters.
    pub metrics: Arc<LogMetrics>,
    /// `index.interval.bytes`.
    pub index_interval: AtomicU64,
    /// Bytes of disk set aside for a new segment; 0 for none (`preallocate`).
    pub preallocated_bytes: AtomicU64,
    /// Room at the end of segments that grow.
    pub room: RoomPolicy,
}

impl Place {
    /// Path of a segment's file.
    pub fn path(&self, base_offset: Offset, suffix: &str) -> PathBuf {
        self.dir.join(file_name(base_offset, suffix))
    }

    /// `index.interval.bytes` now in effect.
    pub fn interval(&self) -> u64 {
        self.index_interval.load(Ordering::Relaxed)
    }
}

/// A batch in a segment.
#[derive(Clone, Copy, Debug)]
pub struct Located {
    /// Where it begins.
    pub position: u64,
    /// Its header.
    pub header: BatchHeader,
}

/// A file of batches and its indexes.
pub struct Segment {
    place: Arc<Place>,
    base_offset: Offset,
    /// Bytes of whole batches in the file; grows after they are written.
    size: AtomicU64,
    /// What the file is longer than that.
    room: Room,
    /// Used since the cache of open segments last looked.
    used: AtomicBool,
    state: RwLock<State>,
}

#[derive(Default)]
struct State {
    sealed: bool,
    /// Not known to be durable: an index on disk would say that it is.
    unproven: bool,
    retired: bool,
    /// The log's owner is writing here: file and index stay until it says otherwise.
    busy: bool,
    file: Option<Arc<dyn File>>,
    index: Option<Box<SegmentIndex>>,
    /// Of a sealed segment whose index is not in memory.
    summary: Option<Box<Summary>>,
}

impl Drop for Segment {
    fn drop(&mut self) {
        if self.is_busy() {
            self.place.open_files.on_busy(false);
        }
    }
}

impl Segment {
    /// A segment of `size` bytes that exists, or will when the first batch comes. Touches no disk.
    pub fn new(place: Arc<Place>, base_offset: Offset, size: u64, sealed: bool) -> Arc<Self> {
        Arc::new(Segment {
            place,
            base_offset,
            size: AtomicU64::new(size),
            room: Room::default(),
            used: AtomicBool::new(false),
            state: RwLock::new(State { sealed, ..State::default() }),
        })
    }

    /// Offset in its name: no batch in it begins before.
    pub fn base_offset(&self) -> Offset {
        self.base_offset
    }

    /// Bytes of whole batches.
    pub fn size(&self) -> u64 {
        self.size.load(Ordering::Acquire)
    }

    fn read_state(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_state(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// The open file.
    pub fn file(self: &Arc<Self>) -> io::Result<Arc<dyn File>> {
        self.used.store(true, Ordering::Relaxed);
        if let Some(file) = &self.read_state().file {
            return Ok(file.clone());
        }
        let mut state = self.write_state();
        let opened = !state.busy && state.file.is_none() && state.index.is_none();
        let file = self.open(&mut state)?;
        drop(state);
        if opened {
            self.place.open_files.on_opened(self);
        }
        Ok(file)
    }

    fn open(&self, state: &mut State) -> io::Result<Arc<dyn File>> {
        if let Some(file) = &state.file {
            return Ok(file.clone());
        }
        let mut path = self.place.path(self.base_offset, LOG);
        if state.retired {
            path.as_mut_os_string().push(DELETED);
        }
        let mode = if state.sealed { OpenMode::Read } else { OpenMode::ReadWrite };
        let file = self.place.disk.open(&path, mode)?;
        state.file = Some(file.clone());
        Ok(file)
    }

    /// Makes the file of a segment that is about to get its first batch.
    pub fn create(&self) -> io::Result<Arc<dyn File>> {
        let mut state = self.write_state();
        let file = self.place.disk.open(&self.place.path(self.base_offset, LOG), OpenMode::Create)?;
        // A file left over by a crash between creating and journaling holds nothing of ours.
        if file.len()? != self.size() {
            file.set_len(self.size())?;
        }
        match self.place.preallocated_bytes.load(Ordering::Relaxed) {
            0 => {}
            bytes => file.reserve(bytes)?,
        }
        state.file = Some(file.clone());
        self.set_busy(&mut state, true);
        state.index.get_or_insert_with(|| Box::new(SegmentIndex::new(self.base_offset)));
        Ok(file)
    }

    /// Writes batches at the end. On an error nothing is counted as written, and the file may hold part of it.
    pub fn append(self: &Arc<Self>, batches: &[PlacedBatch]) -> io::Result<()> {
        let file = self.file()?;
        let start = self.size();
        let mut slices = Vec::with_capacity(2 * batches.len());
        for batch in batches {
            slices.push(IoSlice::new(batch.prefix()));
            slices.push(IoSlice::new(batch.body()));
        }
        let end = start + batches.iter().map(|batch| batch.len() as u64).sum::<u64>();
        self.room.make(&*file, end, self.place.room);
        file.write_all_at(&slices, start)?;
        let mut position = start;
        let mut state = self.write_state();
        self.set_busy(&mut state, true);
        for batch in batches {
            if let Some(index) = &mut state.index {
                index.on_batch(batch.header(), position, self.place.interval());
            }
            position += batch.len() as u64;
        }
        self.size.store(position, Ordering::Release);
        Ok(())
    }

    /// Cuts what a failed append may have left behind.
    pub fn undo_append(self: &Arc<Self>) -> io::Result<()> {
        self.room.forget();
        self.file()?.set_len(self.size())
    }

    /// Whether the file is longer than its batches.
    pub fn has_room(&self) -> bool {
        self.room.is_there()
    }

    /// Gives back what the file is longer than its batches. Returns whether there ever was any: then the segment must be
    /// synced before another one follows it.
    pub fn give_back_room(self: &Arc<Self>) -> io::Result<bool> {
        if self.room.is_there() {
            self.undo_append()?;
        }
        Ok(self.room.was_there())
    }

    /// Cuts the file at `position`, where a batch begins or the last one ends. The indexes go; the caller syncs.
    pub fn truncate(self: &Arc<Self>, position: u64) -> io::Result<()> {
        let mut state = self.write_state();
        if state.sealed {
            state.sealed = false;
            state.file = None;
        }
        state.index = None;
        state.summary = None;
        self.room.forget();
        let file = self.open(&mut state)?;
        self.size.store(position, Ordering::Release);
        for suffix in SEGMENT_FILES.iter().filter(|&&s| s != LOG) {
            remove_if_there(&*self.place.disk, &self.place.path(self.base_offset, suffix))?;
        }
        file.set_len(position)
    }

    /// Looks something up in the index, which is loaded or rebuilt first if need be.
    pub fn with_index<T>(self: &Arc<Self>, look: impl FnOnce(&SegmentIndex) -> T) -> Result<T, ScanError> {
        self.used.store(true, Ordering::Relaxed);
        {
            let state = self.read_state();
            if let Some(index) = &state.index {
                return Ok(look(index));
            }
        }
        let mut state = self.write_state();
        let opened = !state.busy && state.file.is_none() && state.index.is_none();
        let result = self.load_index(&mut state).map(look);
        drop(state);
        if opened {
            self.place.open_files.on_opened(self);
        }
        result
    }

    fn load_index<'a>(&self, state: &'a mut State) -> Result<&'a SegmentIndex, ScanError> {
        if state.index.is_none() {
            let loaded = SegmentIndex::load(&self.place, self.base_offset, self.size(), state.sealed);
            let index = match loaded {
                Ok(index) => self.caught_up(state, index)?,
                Err(_) => None,
            };
            let index = match index {
                Some(index) => index,
                None => self.rebuilt(state)?,
            };
            state.index = Some(Box::new(index));
        }
        Ok(state.index.as_ref().expect("was just put there"))
    }

    /// A loaded index that knows all bytes; `None` when it does not fit the file.
    fn caught_up(
        &self,
        state: &mut State,
        mut index: SegmentIndex,
    ) -> Result<Option<SegmentIndex>, ScanError> {
        if index.summary().covered_position == self.size() {
            return Ok(Some(index));
        }
        let file = self.open(state)?;
        match index.catch_up(&*file, self.size(), self.place.interval()) {
            Ok(()) => Ok(Some(index)),
            Err(ScanError::Damaged { .. }) => Ok(None),
            Err(e) => Err(e),
        }
    }

    fn rebuilt(&self, state: &mut State) -> Result<SegmentIndex, ScanError> {
        let mut index = SegmentIndex::new(self.base_offset);
        if self.size() == 0 {
            return Ok(index);
        }
        let file = self.open(state)?;
        index.catch_up(&*file, self.size(), self.place.interval())?;
        self.place.metrics.rebuilt_indexes.add(1);
        if state.sealed && !state.unproven && !state.retired {
            // Only saves the next reader this walk: a failure costs nothing but time.
            let _ = index.write(&self.place, true);
        }
        Ok(index)
    }

    /// Forgets the index, in memory and on disk: it pointed to something that is not the batch it said, or is in the way.
    pub fn distrust_index(&self) {
        self.write_state().index = None;
        for suffix in [names::INDEX, names::TIME_INDEX] {
            let _ = remove_if_there(&*self.place.disk, &self.place.path(self.base_offset, suffix));
        }
    }

    /// What the index knows of the segment as a whole.
    pub fn summary(self: &Arc<Self>) -> Result<Summary, ScanError> {
        if let Some(summary) = &self.read_state().summary {
            return Ok(**summary);
        }
        self.with_index(|index| *index.summary())
    }

    /// Whether the summary is in memory.
    pub fn has_summary(&self) -> bool {
        let state = self.read_state();
        state.index.is_some() || state.summary.is_some()
    }

    /// The first batch whose last record is at or after `offset`; `None` when there is none in this segment.
    pub fn locate(self: &Arc<Self>, offset: Offset) -> Result<Option<Located>, ScanError> {
        match self.try_locate(offset) {
            Err(ScanError::Damaged { .. }) => {
                self.distrust_index();
                self.try_locate(offset)
            }
            result => result,
        }
    }

    fn try_locate(self: &Arc<Self>, offset: Offset) -> Result<Option<Located>, ScanError> {
        let (start, position) = self.with_index(|index| index.lookup(offset))?;
        let file = self.file()?;
        let mut scan = self.verified_scan(&*file, start, position)?;
        while let Some((position, header)) = scan.next_header()? {
            if header.last_offset() >= offset {
                return Ok(Some(Located { position, header }));
            }
        }
        Ok(None)
    }

    /// A walk from an index entry on; the batch there must be the one the entry is about.
    fn verified_scan<'a>(
        &self,
        file: &'a dyn File,
        start: Offset,
        position: u64,
    ) -> Result<Scan<'a>, ScanError> {
        let scan = || Scan::new(file, position, self.size(), start, LOOKUP_CHUNK);
        if position > 0 {
            match scan().next_header()? {
                Some((_, header)) if header.base_offset == start => {}
                _ => {
                    return Err(ScanError::Damaged { position, reason: "not the batch of the index".into() });
                }
            }
        }
        Ok(scan())
    }

    /// How far whole batches reach from `first` on: below offset `up_to`, within `max_bytes`. Returns the position and
    /// the offset after the last one; those of `first` itself when not even it fits.
    pub fn extent(
        self: &Arc<Self>,
        first: &Located,
        up_to: Offset,
        max_bytes: u64,
    ) -> Result<(u64, Offset), ScanError> {
        match self.try_extent(first, up_to, max_bytes) {
            Err(ScanError::Damaged { .. }) => {
                self.distrust_index();
                self.try_extent(first, up_to, max_bytes)
            }
            result => result,
        }
    }

    fn try_extent(
        self: &Arc<Self>,
        first: &Located,
        up_to: Offset,
        max_bytes: u64,
    ) -> Result<(u64, Offset), ScanError> {
        let limit = first.position.saturating_add(max_bytes);
        let (mut next, mut end) = (first.header.base_offset, first.position);
        let (offset, position) = self.with_index(|index| index.lookup_position(limit, up_to))?;
        if position > end {
            (next, end) = (offset, position);
        }
        let file = self.file()?;
        let mut scan = self.verified_scan(&*file, next, end)?;
        while end < limit
            && let Some((position, header)) = scan.next_header()?
        {
            let after = position + header.total_len() as u64;
            if after > limit || header.next_offset() > up_to {
                break;
            }
            (next, end) = (header.next_offset(), after);
        }
        Ok((end, next))
    }

    /// No more batches come. The index stays in memory until [`Segment::settle`].
    pub fn seal(&self) {
        self.write_state().sealed = true;
    }

    /// The sealed segment was found after a crash and is not known to be durable until [`Segment::settle`].
    pub fn doubt(&self) {
        self.write_state().unproven = true;
    }

    /// The sealed segment is durable: writes the indexes and lets go of everything. An index that cannot be written is
    /// rebuilt when needed.
    pub fn settle(&self) {
        let mut state = self.write_state();
        state.unproven = false;
        if let Some(index) = state.index.take() {
            let written = if state.retired { Ok(()) } else { index.write(&self.place, true) };
            if let Err(error) = written {
                tracing::debug!(dir = %self.place.dir.display(), %error, "index not written");
            }
            state.summary = Some(Box::new(*index.summary()));
        }
        if self.place.preallocated_bytes.load(Ordering::Relaxed) > 0
            && let Some(file) = &state.file
            && let Err(error) = file.set_len(self.size())
        {
            tracing::debug!(dir = %self.place.dir.display(), %error, "room set aside was not given back");
        }
        // The handle was opened for writing; readers that hold it go on, the next one opens the file anew.
        state.file = None;
        self.set_busy(&mut state, false);
    }

    /// The index of a segment that grows as it is now, to be saved once these bytes are durable. `None` when it is not in
    /// memory.
    pub fn copy_index(&self) -> Option<SegmentIndex> {
        self.read_state().index.as_ref().map(|index| index.copy())
    }

    /// Lets go of file and index of an idle segment that grows. The index must have been saved to be cheap to reload.
    pub fn rest(&self) {
        let mut state = self.write_state();
        state.index = None;
        state.file = None;
        self.set_busy(&mut state, false);
    }

    fn set_busy(&self, state: &mut State, busy: bool) {
        if state.busy != busy {
            state.busy = busy;
            self.place.open_files.on_busy(busy);
        }
    }

    /// Whether the segment holds file and index for its writer.
    pub fn is_busy(&self) -> bool {
        self.read_state().busy
    }

    /// Largest timestamp of the first batch, read from the file when the index is not in memory; −1 without batches.
    pub fn first_timestamp(self: &Arc<Self>) -> Result<TimestampMs, ScanError> {
        if self.size() == 0 {
            return Ok(-1);
        }
        if self.has_summary() {
            return Ok(self.summary()?.first_timestamp);
        }
        let file = self.file()?;
        let mut scan = Scan::new(&*file, 0, self.size(), self.base_offset, HEADER_LEN);
        Ok(scan.next_header()?.map_or(-1, |(_, header)| header.max_timestamp))
    }

    /// Whether the segment was used since this was last asked.
    fn was_used(&self) -> bool {
        self.used.swap(false, Ordering::Relaxed)
    }

    /// Lets go of file and index, unless the segment is being written or could not be opened again.
    fn close(&self) {
        let mut state = self.write_state();
        if state.busy {
            return;
        }
        if let Some(index) = state.index.take()
            && state.sealed
        {
            state.summary = Some(Box::new(*index.summary()));
        }
        state.file = None;
    }

    /// Renames the files, first step of removing a segment that has been taken out of the log. Readers go on.
    pub fn retire(&self) -> io::Result<()> {
        let mut state = self.write_state();
        if state.retired {
            return Ok(());
        }
        for suffix in SEGMENT_FILES {
            let path = self.place.path(self.base_offset, suffix);
            let mut to = path.clone();
            to.as_mut_os_string().push(DELETED);
            match self.place.disk.rename(&path, &to) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
                _ => {}
            }
        }
        state.retired = true;
        Ok(())
    }

    /// Removes the retired files. Readers that still hold the segment keep its bytes.
    pub fn remove(self: &Arc<Self>) -> io::Result<()> {
        if Arc::strong_count(self) > 1 {
            let mut state = self.write_state();
            // Held open by the segment itself from here on, and no longer by the cache, which could not open it again.
            match self.open(&mut state) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
                _ => state.busy = true,
            }
        }
        for suffix in SEGMENT_FILES {
            let mut path = self.place.path(self.base_offset, suffix);
            path.as_mut_os_string().push(DELETED);
            remove_if_there(&*self.place.disk, &path)?;
        }
        Ok(())
    }
}

/// Removes a file; one that is not there is as good as removed.
pub fn remove_if_there(disk: &dyn Disk, path: &std::path::Path) -> io::Result<()> {
    match disk.remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    }
}

impl fmt::Debug for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Segment({}, {} bytes)", self.base_offset, self.size())
    }
}

#[cfg(test)]
mod tests;
