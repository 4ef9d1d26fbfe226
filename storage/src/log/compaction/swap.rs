//! Swap: puts rewritten segments in the place of those they replace, so that a crash leaves all old or all new.
//!
//! ```text
//! run (beside the writer)   write <base>.log.cleaned …, sync them; write compaction-swap.ready, sync it
//! writer, `commit`          rename compaction-swap.ready → compaction-swap, sync the directory   ← from here on: new
//! writer                    rename the old files to *.deleted
//! writer, `finish`          rename <base>.log.cleaned → <base>.log, sync the directory; remove compaction-swap
//! ```
//! `recover`, before a log's files are looked at: with a `compaction-swap` it does the rest of the way, without one it
//! removes what a run left behind. Both may be cut off by another crash and done again.
//!
//! `compaction-swap` is a `checkpoint` of kind `TMCS`, version 1, big-endian: i64 clean end, u32 segments, each: i64 base
//! offset, u8 has aborted transactions, u32 replaced, each i64 base offset. `compaction-checkpoint` (kind `TMCC`,
//! version 1) is an i64: the offset below which keys are unique. It may be too low, never too high.

use std::io;
use std::path::{Path, PathBuf};

use tidemark_protocol::types::Offset;

use super::{Compacted, CompactedSegment};
use crate::checkpoint::{self, CheckpointError, Durability, Format};
use crate::disk::{Disk, OpenMode};
use crate::index::transaction::{AbortedTransaction, TransactionIndex};
use crate::segment::names::{CLEANED, INDEX, LOG, TIME_INDEX, TXN_INDEX, file_name};

/// Says that a swap is under way.
pub const SWAP_FILE: &str = "compaction-swap";
/// A swap that is ready but not decided.
const READY_FILE: &str = "compaction-swap.ready";
/// Remembers the clean end.
pub const CHECKPOINT_FILE: &str = "compaction-checkpoint";
const SWAP_FORMAT: Format = Format { kind: *b"TMCS", version: 1 };
const CHECKPOINT_FORMAT: Format = Format { kind: *b"TMCC", version: 1 };

impl Compacted {
    /// Last step of a run: everything on disk but undecided.
    pub(super) fn prepare(&self, disk: &dyn Disk, dir: &Path) -> io::Result<()> {
        if self.segments.is_empty() {
            return Ok(());
        }
        checkpoint::write(disk, &dir.join(READY_FILE), SWAP_FORMAT, &self.encode(), Durability::Synced)
    }

    /// Decides for the new segments, durably. The caller has checked that all they replace are still in the log, and
    /// takes those out of it next; after a failure the log must fail, and opening it anew finishes or undoes the swap.
    pub fn commit(&self, disk: &dyn Disk, dir: &Path) -> io::Result<()> {
        if self.segments.is_empty() {
            return Ok(());
        }
        disk.rename(&dir.join(READY_FILE), &dir.join(SWAP_FILE))?;
        disk.sync_dir(dir)
    }

    /// Gives the new segments their names, durably, after `commit` and after the old files have been renamed or removed
    /// (indexes too: what they say is wrong now). Also notes the clean end.
    pub fn finish(&self, disk: &dyn Disk, dir: &Path) -> io::Result<()> {
        if !self.segments.is_empty() {
            put_in_place(disk, dir, &self.segments)?;
        }
        store_clean_end(disk, dir, self.clean_end, Durability::Relaxed)
    }

    /// Instead of `commit`: the log has changed meanwhile, the new segments do not fit it any more.
    pub fn discard(self, disk: &dyn Disk, dir: &Path) -> io::Result<()> {
        remove_leftovers(disk, dir)
    }

    fn encode(&self) -> Vec<u8> {
        let count = |n: usize| u32::try_from(n).expect("a log has fewer than 2^32 segments").to_be_bytes();
        let mut out = self.clean_end.to_be_bytes().to_vec();
        out.extend_from_slice(&count(self.segments.len()));
        for segment in &self.segments {
            out.extend_from_slice(&segment.base_offset.to_be_bytes());
            out.push(u8::from(segment.has_aborted));
            out.extend_from_slice(&count(segment.replaces.len()));
            for replaced in &segment.replaces {
                out.extend_from_slice(&replaced.to_be_bytes());
            }
        }
        out
    }
}

/// What a swap file says of one segment.
type SwapEntry = (Offset, bool, Vec<Offset>);

fn decode(mut payload: &[u8]) -> Option<(Offset, Vec<SwapEntry>)> {
    fn take<const N: usize>(input: &mut &[u8]) -> Option<[u8; N]> {
        let (head, rest) = input.split_first_chunk::<N>()?;
        *input = rest;
        Some(*head)
    }
    let input = &mut payload;
    let clean_end = i64::from_be_bytes(take(input)?);
    let mut entries = Vec::new();
    for _ in 0..u32::from_be_bytes(take(input)?) {
        let base_offset = i64::from_be_bytes(take(input)?);
        let [has_aborted] = take(input)?;
        let mut replaces = Vec::new();
        for _ in 0..u32::from_be_bytes(take(input)?) {
            replaces.push(i64::from_be_bytes(take(input)?));
        }
        entries.push((base_offset, has_aborted != 0, replaces));
    }
    input.is_empty().then_some((clean_end, entries))
}

/// Finishes or undoes a swap that a crash has cut off, and returns whether it touched anything: then `names`, the
/// entries of the directory, are to be read again. Must run before the files of the log are looked at. An error of kind
/// `InvalidData` means that the swap file is rotten and nobody knows which segments count.
pub fn recover(disk: &dyn Disk, dir: &Path, names: &[String]) -> io::Result<bool> {
    if !names.iter().any(|name| is_leftover(name) || name == SWAP_FILE) {
        return Ok(false);
    }
    let found = match checkpoint::read(disk, &dir.join(SWAP_FILE), SWAP_FORMAT) {
        Ok(found) => found,
        Err(CheckpointError::Io(error)) => return Err(error),
        Err(error) => return Err(io::Error::new(io::ErrorKind::InvalidData, error)),
    };
    if let Some((_, payload)) = found {
        let (clean_end, entries) = decode(&payload)
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "a swap file that does not parse"))?;
        // A process that died within `commit` may have left a name that only memory knows: nothing goes on its account.
        disk.sync_dir(dir)?;
        for entry in &entries {
            remove_replaced(disk, dir, entry)?;
        }
        put_entries_in_place(disk, dir, entries.iter().map(|(base, aborted, _)| (*base, *aborted)))?;
        store_clean_end(disk, dir, clean_end, Durability::Relaxed)?;
    }
    remove_leftovers(disk, dir)?;
    Ok(true)
}

/// Whether a file was left behind by a run that came to nothing.
fn is_leftover(name: &str) -> bool {
    let name = name.strip_suffix(checkpoint::TEMPORARY_SUFFIX).unwrap_or(name);
    name.ends_with(CLEANED) || name == READY_FILE
}

/// Removes the old files as far as they are still there, and no new one.
fn remove_replaced(disk: &dyn Disk, dir: &Path, (base, has_aborted, replaces): &SwapEntry) -> io::Result<()> {
    let waits = disk.exists(&cleaned_log(dir, *base));
    let aborted_waits = disk.exists(&cleaned_aborted(dir, *base));
    for old in replaces {
        remove_if_there(disk, &dir.join(file_name(*old, INDEX)))?;
        remove_if_there(disk, &dir.join(file_name(*old, TIME_INDEX)))?;
        // Under the base offset lies the new file once it does not wait any more.
        if old != base || !has_aborted || aborted_waits {
            remove_if_there(disk, &dir.join(file_name(*old, TXN_INDEX)))?;
        }
        if old != base || waits {
            remove_if_there(disk, &dir.join(file_name(*old, LOG)))?;
        }
    }
    Ok(())
}

fn put_in_place(disk: &dyn Disk, dir: &Path, segments: &[CompactedSegment]) -> io::Result<()> {
    put_entries_in_place(disk, dir, segments.iter().map(|s| (s.base_offset, s.has_aborted)))
}

fn put_entries_in_place(
    disk: &dyn Disk,
    dir: &Path,
    entries: impl Iterator<Item = (Offset, bool)>,
) -> io::Result<()> {
    for (base, has_aborted) in entries {
        if has_aborted {
            rename_if_there(disk, &cleaned_aborted(dir, base), &dir.join(file_name(base, TXN_INDEX)))?;
        }
        rename_if_there(disk, &cleaned_log(dir, base), &dir.join(file_name(base, LOG)))?;
    }
    disk.sync_dir(dir)?;
    disk.remove_file(&dir.join(SWAP_FILE))
}

/// Removes what runs have left behind, durably: a leftover that came back after the next run's swap file was written would
/// be taken for that run's.
pub(super) fn remove_leftovers(disk: &dyn Disk, dir: &Path) -> io::Result<()> {
    let names = match disk.read_dir(dir) {
        Ok(names) => names,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    for name in names.iter().filter(|name| is_leftover(name)) {
        disk.remove_file(&dir.join(name))?;
    }
    // Also makes the removal of the last swap file durable.
    disk.sync_dir(dir)
}

/// The offset below which keys are unique; 0 when that is not known.
pub fn load_clean_end(disk: &dyn Disk, dir: &Path) -> io::Result<Offset> {
    match checkpoint::read(disk, &dir.join(CHECKPOINT_FILE), CHECKPOINT_FORMAT) {
        Ok(Some((_, payload))) => Ok(payload.try_into().map_or(0, i64::from_be_bytes)),
        Ok(None) | Err(CheckpointError::Damaged { .. } | CheckpointError::Newer { .. }) => Ok(0),
        Err(CheckpointError::Io(error)) => Err(error),
    }
}

/// Notes the clean end. When a log is cut below it, the lower one must be stored `Synced` before the log grows again:
/// records above it have never been compared.
pub fn store_clean_end(
    disk: &dyn Disk,
    dir: &Path,
    clean_end: Offset,
    durability: Durability,
) -> io::Result<()> {
    checkpoint::write(
        disk,
        &dir.join(CHECKPOINT_FILE),
        CHECKPOINT_FORMAT,
        &clean_end.to_be_bytes(),
        durability,
    )
}

/// The log is cut at `end`: what is written there from now on has never been compared.
pub fn on_cut(disk: &dyn Disk, dir: &Path, end: Offset) -> io::Result<()> {
    if load_clean_end(disk, dir)? > end {
        store_clean_end(disk, dir, end, Durability::Synced)
    } else {
        Ok(())
    }
}

/// Path of a rewritten segment that waits.
pub(super) fn cleaned_log(dir: &Path, base: Offset) -> PathBuf {
    dir.join(file_name(base, LOG) + CLEANED)
}

fn cleaned_aborted(dir: &Path, base: Offset) -> PathBuf {
    dir.join(file_name(base, TXN_INDEX) + CLEANED)
}

/// Writes the aborted transactions of a rewritten segment, synced; no file when there are none.
pub(super) fn write_aborted(
    disk: &dyn Disk,
    dir: &Path,
    base: Offset,
    aborted: &[AbortedTransaction],
) -> io::Result<()> {
    let path = cleaned_aborted(dir, base);
    let mut index = TransactionIndex::default();
    for entry in aborted {
        index.append(disk, &path, base, *entry)?;
    }
    if aborted.is_empty() { Ok(()) } else { disk.open(&path, OpenMode::ReadWrite)?.sync_data() }
}

fn remove_if_there(disk: &dyn Disk, path: &Path) -> io::Result<()> {
    ignore_missing(disk.remove_file(path))
}

fn rename_if_there(disk: &dyn Disk, from: &Path, to: &Path) -> io::Result<()> {
    ignore_missing(disk.rename(from, to))
}

fn ignore_missing(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
