//! The file under the quorum's log: framed records, appended and made durable in batches, replaced when mostly dead.
//!
//! One file, `metadata/quorum-<generation>.log`, holds entries, votes, commits, truncations and purges in the order they
//! happened. Written only by the writer thread. When much of it is dead, its live content is written aside as the next
//! generation, synced and renamed; only then is the old one removed.
//!
//! ```text
//! file   = header frame*  zeros
//! header = magic "TMQL" | version u8 = 1 | 3 zero bytes | generation u64 | crc32 of the 16 bytes before, u32      (20 bytes)
//! frame  = magic "TMQF" | crc32 u32 | length u32 | flags u8 | batch u64 | record (record.rs)                      (21 bytes + record)
//! ```
//! Numbers are little-endian. A frame's checksum covers the file's generation and everything after the checksum itself, so a
//! frame of an older file never counts. All frames of a batch carry its number, and the last one the `LAST` flag: the next
//! batch is written only after this one was synced. Hence the rule when a frame does not check: if any frame of a *later*
//! batch does, the damage is to bytes that were durable, and the log refuses to open rather than forget what was answered;
//! otherwise a crash interrupted the batch, and the file is cut there.
//!
//! Space is filled with zeros ahead of the writer: a sync that changes no file size costs half.

use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tidemark_storage::disk::{Disk, File, OpenMode, read_exact_at, rewrite};

use super::StartError;
use super::content::LogContent;
use super::record::LogRecord;

const FILE_MAGIC: [u8; 4] = *b"TMQL";
const FILE_VERSION: u8 = 1;
const FILE_HEADER_LEN: usize = 20;
const FRAME_MAGIC: [u8; 4] = *b"TMQF";
const FRAME_HEADER_LEN: usize = 21;
/// The last frame of a batch.
const FLAG_LAST: u8 = 1;
/// A record is one command, and a command one request: far below this. A longer length is damage.
const RECORD_BYTES_MAX: usize = 256 << 20;
/// Zeros written ahead at a time: some thousand small commands.
const PREFILL_BYTES: u64 = 256 << 10;
/// Below this size a file is not worth replacing.
const REPLACE_BYTES_MIN: u64 = 1 << 20;

/// The open log file, positioned at its end.
#[derive(Debug)]
pub struct LogFile {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    file: Arc<dyn File>,
    generation: u64,
    /// Where the next frame goes.
    end: u64,
    /// Up to where the file has bytes, zeros included.
    filled: u64,
    /// Number of the batch that is being written.
    batch: u64,
}

impl LogFile {
    /// Opens the newest generation in `dir`, or makes the first. Cuts what a crash left of an interrupted batch.
    pub fn open(disk: &Arc<dyn Disk>, dir: &Path) -> Result<(LogFile, LogContent), StartError> {
        let mut generations = Vec::new();
        for name in disk.read_dir(dir).map_err(|source| io_error("list", dir, source))? {
            if let Some(generation) = parse_name(&name) {
                generations.push(generation);
            } else if name.starts_with("quorum-") && name.ends_with(".tmp") {
                let path = dir.join(&name);
                disk.remove_file(&path).map_err(|source| io_error("remove", &path, source))?;
            }
        }
        generations.sort_unstable();
        let Some(generation) = generations.pop() else {
            let log = Self::create(disk, dir, 1, &[])
                .map_err(|source| io_error("create", &file_path(dir, 1), source))?;
            return Ok((log, LogContent::default()));
        };
        let opened = Self::open_generation(disk, dir, generation)?;
        // Whoever was killed after a rename may not have come to this; what is built on now must not vanish.
        disk.sync_dir(dir).map_err(|source| io_error("sync", dir, source))?;
        for old in generations {
            let path = file_path(dir, old);
            disk.remove_file(&path).map_err(|source| io_error("remove", &path, source))?;
        }
        Ok(opened)
    }

    fn open_generation(
        disk: &Arc<dyn Disk>,
        dir: &Path,
        generation: u64,
    ) -> Result<(LogFile, LogContent), StartError> {
        let path = file_path(dir, generation);
        let io = |action| {
            let path = path.clone();
            move |source| io_error(action, &path, source)
        };
        let damaged = |why: String| StartError::Damaged { path: path.clone(), why };
        let file = disk.open(&path, OpenMode::ReadWrite).map_err(io("open"))?;
        let len = file.len().map_err(io("read"))?;
        let mut bytes =
            vec![0; usize::try_from(len).map_err(|_| damaged(format!("{len} bytes are too many")))?];
        read_exact_at(&*file, &mut bytes, 0).map_err(io("read"))?;
        check_file_header(&bytes, generation).map_err(damaged)?;

        let scan = scan(&bytes, generation).map_err(damaged)?;
        let mut content = LogContent::default();
        for record in scan.records {
            content.take(record).map_err(damaged)?;
        }
        content.check().map_err(damaged)?;
        let end = scan.end as u64;
        let mut log = LogFile {
            disk: Arc::clone(disk),
            dir: dir.to_owned(),
            file,
            generation,
            end,
            filled: len,
            batch: scan.batch,
        };
        // What a killed process wrote but did not sync is taken for durable from here on, so it must be. After a sync that
        // failed the kernel would not write it again by itself.
        rewrite(&*log.file, scan.last_batch as u64, end).map_err(io("write"))?;
        log.file.sync_data().map_err(io("sync"))?;
        if scan.dirty {
            tracing::warn!(path = %path.display(), bytes = len - end, "cut an interrupted write off the quorum's log");
            log.file.set_len(end).map_err(io("cut"))?;
            log.file.sync_data().map_err(io("sync"))?;
            log.filled = end;
        }
        if scan.open_batch {
            // What the interrupted batch left counts from here on, so it must be durable and end like any other batch.
            let mark = LogRecord::Committed(content.committed).encode();
            log.write(&[mark], true).map_err(io("write"))?;
        }
        Ok((log, content))
    }

    /// Makes a generation whose only batch is `records`.
    fn create(disk: &Arc<dyn Disk>, dir: &Path, generation: u64, records: &[Vec<u8>]) -> io::Result<LogFile> {
        let path = file_path(dir, generation);
        let aside = path.with_extension("tmp");
        let file = disk.open(&aside, OpenMode::Create)?;
        file.set_len(0)?;
        let mut bytes = file_header(generation);
        encode_batch(&mut bytes, generation, 1, records, true);
        let end = bytes.len() as u64;
        let filled = end.next_multiple_of(PREFILL_BYTES);
        bytes.resize(usize::try_from(filled).expect("the bytes are in memory"), 0);
        file.write_all_at(&[IoSlice::new(&bytes)], 0)?;
        file.sync_data()?;
        disk.rename(&aside, &path)?;
        disk.sync_dir(dir)?;
        let batch = if records.is_empty() { 1 } else { 2 };
        Ok(LogFile { disk: Arc::clone(disk), dir: dir.to_owned(), file, generation, end, filled, batch })
    }

    /// Appends records; with `sync` they, and all before them, are durable on return. After an error nothing is known of the
    /// batch, save that a full disk leaves the log as it was.
    pub fn write(&mut self, records: &[Vec<u8>], sync: bool) -> io::Result<()> {
        let mut bytes = Vec::new();
        encode_batch(&mut bytes, self.generation, self.batch, records, sync);
        let end = self.end + bytes.len() as u64;
        if end > self.filled {
            let filled = end.next_multiple_of(PREFILL_BYTES);
            bytes.resize(usize::try_from(filled - self.end).expect("the bytes are in memory"), 0);
            self.file.write_all_at(&[IoSlice::new(&bytes)], self.end)?;
            self.filled = filled;
        } else {
            self.file.write_all_at(&[IoSlice::new(&bytes)], self.end)?;
        }
        self.end = end;
        if sync {
            self.file.sync_data()?;
            self.batch += 1;
        }
        Ok(())
    }

    /// Whether so much is written that replacing the file by its live content is worth it.
    pub fn is_worth_replacing(&self) -> bool {
        self.end >= REPLACE_BYTES_MIN
    }

    /// Replaces the file by one that holds just `records`, durable on return.
    pub fn replace(&mut self, records: &[Vec<u8>]) -> io::Result<()> {
        let old = file_path(&self.dir, self.generation);
        *self = Self::create(&self.disk, &self.dir, self.generation + 1, records)?;
        self.disk.remove_file(&old)
    }
}

fn file_path(dir: &Path, generation: u64) -> PathBuf {
    dir.join(format!("quorum-{generation:020}.log"))
}

fn parse_name(name: &str) -> Option<u64> {
    name.strip_prefix("quorum-")?.strip_suffix(".log")?.parse().ok()
}

fn file_header(generation: u64) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(FILE_HEADER_LEN);
    bytes.extend_from_slice(&FILE_MAGIC);
    bytes.extend_from_slice(&[FILE_VERSION, 0, 0, 0]);
    bytes.extend_from_slice(&generation.to_le_bytes());
    let crc = crc32fast::hash(&bytes);
    bytes.extend_from_slice(&crc.to_le_bytes());
    bytes
}

fn check_file_header(bytes: &[u8], generation: u64) -> Result<(), String> {
    if bytes.len() < FILE_HEADER_LEN || bytes[..4] != FILE_MAGIC {
        return Err("not a quorum log".to_owned());
    }
    if bytes[4] != FILE_VERSION {
        return Err(format!("layout version {} is not known to this version of tidemark", bytes[4]));
    }
    if bytes[..FILE_HEADER_LEN] != file_header(generation) {
        return Err("the file header does not check".to_owned());
    }
    Ok(())
}

fn encode_batch(bytes: &mut Vec<u8>, generation: u64, batch: u64, records: &[Vec<u8>], whole: bool) {
    for (i, record) in records.iter().enumerate() {
        let flags = if whole && i + 1 == records.len() { FLAG_LAST } else { 0 };
        let length = u32::try_from(record.len()).expect("commands are far below 4 GiB");
        let mut head = [0; FRAME_HEADER_LEN];
        head[..4].copy_from_slice(&FRAME_MAGIC);
        head[8..12].copy_from_slice(&length.to_le_bytes());
        head[12] = flags;
        head[13..].copy_from_slice(&batch.to_le_bytes());
        let crc = frame_crc(generation, &head[8..], record);
        head[4..8].copy_from_slice(&crc.to_le_bytes());
        bytes.extend_from_slice(&head);
        bytes.extend_from_slice(record);
    }
}

fn frame_crc(generation: u64, head: &[u8], record: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&generation.to_le_bytes());
    hasher.update(head);
    hasher.update(record);
    hasher.finalize()
}

/// What a pass over a file found.
struct Scan {
    records: Vec<LogRecord>,
    /// Where the last good frame ends.
    end: usize,
    /// Where the last batch begins: all before it was synced before it was written.
    last_batch: usize,
    /// Bytes other than zeros follow it.
    dirty: bool,
    /// The batch that is written next.
    batch: u64,
    /// That batch has frames already, but not its last.
    open_batch: bool,
}

fn scan(bytes: &[u8], generation: u64) -> Result<Scan, String> {
    let mut found = Scan {
        records: Vec::new(),
        end: FILE_HEADER_LEN,
        last_batch: FILE_HEADER_LEN,
        dirty: false,
        batch: 1,
        open_batch: false,
    };
    while let Some(frame) = frame_at(bytes, found.end, generation) {
        let record =
            LogRecord::decode(frame.record).map_err(|error| format!("at byte {}: {error}", found.end))?;
        found.records.push(record);
        if !found.open_batch {
            found.last_batch = found.end;
        }
        found.end += FRAME_HEADER_LEN + frame.record.len();
        found.open_batch = !frame.is_last;
        found.batch = if frame.is_last { frame.batch + 1 } else { frame.batch };
    }
    found.dirty = bytes[found.end..].iter().any(|&byte| byte != 0);
    if found.dirty {
        // Frames start with their magic, so a later one is found by looking for that.
        for position in found.end..bytes.len().saturating_sub(FRAME_HEADER_LEN) {
            if bytes[position..].starts_with(&FRAME_MAGIC)
                && frame_at(bytes, position, generation).is_some_and(|later| later.batch > found.batch)
            {
                return Err(format!(
                    "the record at byte {} is damaged although it was durable: what was written after it is intact. \
                     Restore the disk or a copy of this file; do not cut it, it holds acknowledged changes",
                    found.end
                ));
            }
        }
    }
    Ok(found)
}

struct Frame<'a> {
    batch: u64,
    is_last: bool,
    record: &'a [u8],
}

fn frame_at(bytes: &[u8], position: usize, generation: u64) -> Option<Frame<'_>> {
    let head = bytes.get(position..position + FRAME_HEADER_LEN)?;
    if head[..4] != FRAME_MAGIC {
        return None;
    }
    let number = |at: usize| u32::from_le_bytes(head[at..at + 4].try_into().expect("four bytes"));
    let length = usize::try_from(number(8)).ok().filter(|&length| length <= RECORD_BYTES_MAX)?;
    let start = position + FRAME_HEADER_LEN;
    let record = bytes.get(start..start + length)?;
    if frame_crc(generation, &head[8..], record) != number(4) {
        return None;
    }
    let batch = u64::from_le_bytes(head[13..].try_into().expect("eight bytes"));
    Some(Frame { batch, is_last: head[12] & FLAG_LAST != 0, record })
}

fn io_error(action: &'static str, path: &Path, source: io::Error) -> StartError {
    StartError::Io { action, path: path.to_owned(), source }
}

#[cfg(test)]
mod tests;
