//! `<offset>.snapshot`: the producers of a log as of an offset, so that a restart replays only what follows.
//!
//! Written at a roll and at a clean close. What always holds: a snapshot that reads back says what replaying the log
//! below its offset would say. Losing one costs a longer replay, so they need not be synced; but one *above* the log's
//! end describes batches that are gone and must be removed for good (directory synced) before the log grows past it.
//!
//! A `checkpoint` of kind `TMPS`, version 1, all big-endian:
//! ```text
//! u32 producers, each: i64 id, i16 epoch, i32 coordinator epoch, i64 last timestamp, i64 seen (wall ms),
//!                      i64 first offset of the open transaction (−1: none), u8 batches,
//!                      each: i32 last sequence, i32 offset delta, i64 last offset, i64 timestamp
//! u32 ended transactions not yet below the high watermark, each: i64 first offset, i64 marker's offset
//! ```

use std::io;
use std::path::Path;

use tidemark_protocol::types::Offset;

use super::ProducerStateManager;
use super::entry::{BATCHES_PER_PRODUCER, BatchEntry, ProducerEntry};
use crate::checkpoint::{self, CheckpointError, Durability, Format};
use crate::disk::Disk;

const FORMAT: Format = Format { kind: *b"TMPS", version: 1 };
const SUFFIX: &str = ".snapshot";

/// Name of the snapshot as of `offset`.
pub fn file_name(offset: Offset) -> String {
    format!("{offset:020}{SUFFIX}")
}

/// The offset in a snapshot's name; `None` for other files.
pub fn parse_file_name(name: &str) -> Option<Offset> {
    let digits = name.strip_suffix(SUFFIX)?;
    let all_digits = digits.len() == 20 && digits.bytes().all(|b| b.is_ascii_digit());
    all_digits.then(|| digits.parse().ok()).flatten()
}

impl ProducerStateManager {
    /// Writes the state as the snapshot of `offset`, the log's end. The same state is written even when nobody is known:
    /// a reload then need not look further back.
    pub fn take_snapshot(
        &self,
        disk: &dyn Disk,
        dir: &Path,
        offset: Offset,
        durability: Durability,
    ) -> io::Result<()> {
        checkpoint::write(disk, &dir.join(file_name(offset)), FORMAT, &self.encode(), durability)
    }

    /// Replaces the state by the newest good snapshot at or below `log_end`, and returns its offset: the caller replays
    /// the batches from there. `first` is the base offset of the first segment on disk: an older snapshot lacks batches
    /// that are gone and would refuse producers that went on, so it is not used. Without a snapshot the state is empty
    /// and `first` is returned. Damaged ones are passed over and removed.
    pub fn load(
        &mut self,
        disk: &dyn Disk,
        dir: &Path,
        first: Offset,
        log_end: Offset,
    ) -> io::Result<Offset> {
        self.clear();
        let mut offsets = list(disk, dir)?;
        offsets.retain(|&offset| offset <= log_end && offset >= first);
        while let Some(offset) = offsets.pop() {
            let path = dir.join(file_name(offset));
            match checkpoint::read(disk, &path, FORMAT) {
                Ok(Some((_, payload))) => {
                    if let Some(state) = Self::decode(&payload) {
                        *self = state;
                        return Ok(offset);
                    }
                    disk.remove_file(&path)?;
                }
                Ok(None) => {}
                Err(CheckpointError::Damaged { .. }) => disk.remove_file(&path)?,
                Err(CheckpointError::Newer { .. }) => {}
                Err(CheckpointError::Io(error)) => return Err(error),
            }
        }
        Ok(first)
    }

    fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        put_count(&mut out, self.producers.len());
        for entry in self.producers.values() {
            out.extend_from_slice(&entry.producer_id.to_be_bytes());
            out.extend_from_slice(&entry.epoch.to_be_bytes());
            out.extend_from_slice(&entry.coordinator_epoch.to_be_bytes());
            out.extend_from_slice(&entry.last_timestamp.to_be_bytes());
            out.extend_from_slice(&entry.seen_ms.to_be_bytes());
            out.extend_from_slice(&entry.current_txn_first_offset.unwrap_or(-1).to_be_bytes());
            out.push(u8::try_from(entry.batches().len()).expect("at most five"));
            for batch in entry.batches() {
                out.extend_from_slice(&batch.last_sequence.to_be_bytes());
                out.extend_from_slice(&batch.offset_delta.to_be_bytes());
                out.extend_from_slice(&batch.last_offset.to_be_bytes());
                out.extend_from_slice(&batch.timestamp.to_be_bytes());
            }
        }
        put_count(&mut out, self.unreplicated.len());
        for (first, marker) in &self.unreplicated {
            out.extend_from_slice(&first.to_be_bytes());
            out.extend_from_slice(&marker.to_be_bytes());
        }
        out
    }

    fn decode(payload: &[u8]) -> Option<Self> {
        let mut state = ProducerStateManager::new();
        let mut input = Input(payload);
        for _ in 0..input.u32()? {
            let entry = decode_entry(&mut input)?;
            if let Some(first) = entry.current_txn_first_offset {
                state.ongoing.insert(first, entry.producer_id);
            }
            state.producers.insert(entry.producer_id, entry);
        }
        for _ in 0..input.u32()? {
            state.unreplicated.insert(input.i64()?, input.i64()?);
        }
        input.0.is_empty().then_some(state)
    }
}

fn decode_entry(input: &mut Input<'_>) -> Option<ProducerEntry> {
    let mut entry = ProducerEntry::new(input.i64()?);
    entry.epoch = i16::from_be_bytes(input.take()?);
    entry.coordinator_epoch = input.i32()?;
    entry.last_timestamp = input.i64()?;
    entry.seen_ms = input.i64()?;
    entry.current_txn_first_offset = Some(input.i64()?).filter(|&first| first >= 0);
    let [count] = input.take()?;
    if usize::from(count) > BATCHES_PER_PRODUCER {
        return None;
    }
    for _ in 0..count {
        let batch = BatchEntry {
            last_sequence: input.i32()?,
            offset_delta: input.i32()?,
            last_offset: input.i64()?,
            timestamp: input.i64()?,
        };
        if batch.last_sequence < 0 || batch.offset_delta < 0 || batch.last_offset < 0 {
            return None;
        }
        entry.remember(batch);
    }
    Some(entry)
}

/// Offsets of the snapshots in `dir`, ascending; none when there is no directory.
pub fn list(disk: &dyn Disk, dir: &Path) -> io::Result<Vec<Offset>> {
    let names = match disk.read_dir(dir) {
        Ok(names) => names,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut offsets: Vec<Offset> = names.iter().filter_map(|name| parse_file_name(name)).collect();
    offsets.sort_unstable();
    Ok(offsets)
}

/// Removes the snapshots above `log_end`, after a truncation. Returns whether any went: then the directory must be
/// synced before the log grows.
pub fn remove_above(disk: &dyn Disk, dir: &Path, log_end: Offset) -> io::Result<bool> {
    let gone: Vec<Offset> = list(disk, dir)?.into_iter().filter(|&offset| offset > log_end).collect();
    for &offset in &gone {
        disk.remove_file(&dir.join(file_name(offset)))?;
    }
    Ok(!gone.is_empty())
}

/// Removes the snapshots below `offset`, once a newer one exists. Need not be synced: a resurrected one is only old.
pub fn remove_below(disk: &dyn Disk, dir: &Path, offset: Offset) -> io::Result<()> {
    for old in list(disk, dir)?.into_iter().filter(|&old| old < offset) {
        disk.remove_file(&dir.join(file_name(old)))?;
    }
    Ok(())
}

fn put_count(out: &mut Vec<u8>, count: usize) {
    out.extend_from_slice(
        &u32::try_from(count).expect("fewer than 2^32 producers fit in memory").to_be_bytes(),
    );
}

/// Reads big-endian fields off the front; `None` at the end.
struct Input<'a>(&'a [u8]);

impl Input<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*head)
    }

    fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_be_bytes)
    }

    fn i32(&mut self) -> Option<i32> {
        self.take().map(i32::from_be_bytes)
    }

    fn i64(&mut self) -> Option<i64> {
        self.take().map(i64::from_be_bytes)
    }
}
