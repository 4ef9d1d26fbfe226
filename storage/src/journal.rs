//! What is proven about each partition, so that opening a log after a crash reads only what is not.
//!
//! Written by one log thread. A mark is noted only after what it claims has been synced, so a mark that is read back is
//! true; a lost one only means that more is read. Two files alternate: a rotation writes all marks into the other file,
//! syncs that, and goes on there, so at every moment one file holds a synced, complete picture.
//!
//! File layout, integers big-endian:
//! ```text
//!  0  magic       4   "TMJL"
//!  4  version     1   = 1
//!  5  reserved    3
//!  8  generation  8   the higher of two good files counts
//! 16  crc32       4   of the 16 bytes before
//! 20  frames: length 4 (of the entries) · crc32 4 (of the entries) · entries
//!       the first frame is the picture at the rotation, each later one is one round
//!     entry: kind 1 · topic id 16 · partition 4, and for kind 1 (mark; kind 2 is "forgotten")
//!            log_start 8 · durable_end 8 · segment_base 8 · segment_position 8 · high_watermark 8
//! ```
//! Checksums are CRC-32/IEEE. Reading stops at the first bad frame.

use std::collections::BTreeMap;
use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tidemark_protocol::types::{Offset, TopicId, TopicIdPartition};
use uuid::Uuid;

use crate::disk::{Disk, File, OpenMode, read_file};

const MAGIC: [u8; 4] = *b"TMJL";
const VERSION: u8 = 1;
const HEADER_LEN: usize = 20;
const FRAME_HEAD_LEN: usize = 8;
const KIND_MARK: u8 = 1;
const KIND_FORGET: u8 = 2;
const IDENTITY_LEN: usize = 21;
const MARK_LEN: usize = 40;
/// A journal is rotated when it has at least this size, so that small brokers do not rotate all the time.
const ROTATE_BYTES_MIN: u64 = 4 << 20;
/// … and is this many times larger than its first frame, so that rotating costs a constant share of writing.
const ROTATE_FACTOR: u64 = 4;
/// Far above what rotation leaves; a longer file is not ours.
const FILE_LEN_MAX: u64 = 1 << 32;

/// What the journal proves about one partition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogMark {
    /// First offset that may be read.
    pub log_start: Offset,
    /// Everything below was synced.
    pub durable_end: Offset,
    /// The segment that `durable_end` lies in.
    pub segment_base: Offset,
    /// Position of `durable_end` in that segment.
    pub segment_position: u64,
    /// High watermark at that time.
    pub high_watermark: Offset,
}

/// The marks of the partitions of one log thread.
#[derive(Debug)]
pub struct Journal {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    index: usize,
    marks: BTreeMap<TopicIdPartition, LogMark>,
    /// Entries noted since the last write.
    pending: Vec<u8>,
    generation: u64,
    file: Arc<dyn File>,
    position: u64,
    /// Size right after the last rotation.
    rotated_len: u64,
}

impl Journal {
    /// Opens the journal of log thread `index` in `dir` (made if missing) and returns what it proves. A journal that
    /// cannot be read proves nothing; an error is only a disk that cannot be written.
    pub fn open(
        disk: Arc<dyn Disk>,
        dir: &Path,
        index: usize,
    ) -> io::Result<(Journal, BTreeMap<TopicIdPartition, LogMark>)> {
        if !disk.exists(dir) {
            disk.create_dir_all(dir)?;
            if let Some(parent) = dir.parent() {
                disk.sync_dir(parent)?;
            }
        }
        let mut best: Option<(u64, BTreeMap<TopicIdPartition, LogMark>)> = None;
        for side in 0..2 {
            let path = path_of(dir, index, side);
            let found = match read_file(&*disk, &path, FILE_LEN_MAX) {
                Ok(bytes) => decode(&bytes),
                Err(e) if e.kind() == io::ErrorKind::NotFound => None,
                Err(e) => return Err(e),
            };
            if let Some((generation, marks)) = found
                && best.as_ref().is_none_or(|(g, _)| generation > *g)
            {
                best = Some((generation, marks));
            }
        }
        let (generation, marks) = best.unwrap_or_default();
        // What follows the last good frame is unknown, so writing starts afresh in the other file.
        let (generation, file, position) = start(&*disk, dir, index, generation + 1, &marks)?;
        let journal = Journal {
            disk,
            dir: dir.to_owned(),
            index,
            marks: marks.clone(),
            pending: Vec::new(),
            generation,
            file,
            position,
            rotated_len: position,
        };
        Ok((journal, marks))
    }

    /// Remembers a mark for the next [`Journal::write`]. Only for what has been synced.
    pub fn note(&mut self, partition: TopicIdPartition, mark: LogMark) {
        if self.marks.insert(partition, mark) != Some(mark) {
            encode_mark(&mut self.pending, partition, &mark);
        }
    }

    /// The partition is gone.
    pub fn forget(&mut self, partition: TopicIdPartition) {
        if self.marks.remove(&partition).is_some() {
            encode_identity(&mut self.pending, KIND_FORGET, partition);
        }
    }

    /// The mark noted last.
    pub fn get(&self, partition: TopicIdPartition) -> Option<LogMark> {
        self.marks.get(&partition).copied()
    }

    /// Writes what was noted, in one write. Durable once [`Journal::file`] is synced, which the next round does with its
    /// own files. Now and then it rotates, and then syncs by itself. After a full disk it may be called again: what was
    /// noted is kept, and half a frame is written over. After any other error the journal must not be used again.
    pub fn write(&mut self) -> io::Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        if self.position >= ROTATE_BYTES_MIN.max(self.rotated_len * ROTATE_FACTOR) {
            self.rotate()?;
            self.pending.clear();
            return Ok(());
        }
        let head = frame_head(&self.pending);
        self.file.write_all_at(&[IoSlice::new(&head), IoSlice::new(&self.pending)], self.position)?;
        self.position += (head.len() + self.pending.len()) as u64;
        self.pending.clear();
        Ok(())
    }

    /// The file to sync; it changes when the journal rotates, so ask after each [`Journal::write`].
    pub fn file(&self) -> Arc<dyn File> {
        self.file.clone()
    }

    fn rotate(&mut self) -> io::Result<()> {
        let (generation, file, position) =
            start(&*self.disk, &self.dir, self.index, self.generation + 1, &self.marks)?;
        self.generation = generation;
        self.file = file;
        self.position = position;
        self.rotated_len = position;
        Ok(())
    }
}

fn path_of(dir: &Path, index: usize, side: u64) -> PathBuf {
    dir.join(format!("marks-{index}.{side}"))
}

/// Writes and syncs the file of `generation`, which replaces the one two generations back.
fn start(
    disk: &dyn Disk,
    dir: &Path,
    index: usize,
    generation: u64,
    marks: &BTreeMap<TopicIdPartition, LogMark>,
) -> io::Result<(u64, Arc<dyn File>, u64)> {
    let mut entries = Vec::with_capacity(marks.len() * (IDENTITY_LEN + MARK_LEN));
    for (partition, mark) in marks {
        encode_mark(&mut entries, *partition, mark);
    }
    let mut header = [0; HEADER_LEN];
    header[..4].copy_from_slice(&MAGIC);
    header[4] = VERSION;
    header[8..16].copy_from_slice(&generation.to_be_bytes());
    let crc = crc32fast::hash(&header[..16]);
    header[16..].copy_from_slice(&crc.to_be_bytes());
    let head = frame_head(&entries);

    let file = disk.open(&path_of(dir, index, generation % 2), OpenMode::Create)?;
    file.set_len(0)?;
    file.write_all_at(&[IoSlice::new(&header), IoSlice::new(&head), IoSlice::new(&entries)], 0)?;
    file.sync_data()?;
    disk.sync_dir(dir)?;
    Ok((generation, file, (HEADER_LEN + FRAME_HEAD_LEN + entries.len()) as u64))
}

fn frame_head(entries: &[u8]) -> [u8; FRAME_HEAD_LEN] {
    let len = u32::try_from(entries.len()).expect("a frame holds one entry per partition of a thread");
    let mut head = [0; FRAME_HEAD_LEN];
    head[..4].copy_from_slice(&len.to_be_bytes());
    head[4..].copy_from_slice(&crc32fast::hash(entries).to_be_bytes());
    head
}

fn encode_identity(out: &mut Vec<u8>, kind: u8, partition: TopicIdPartition) {
    out.push(kind);
    out.extend_from_slice(partition.topic_id.0.as_bytes());
    out.extend_from_slice(&partition.partition.to_be_bytes());
}

fn encode_mark(out: &mut Vec<u8>, partition: TopicIdPartition, mark: &LogMark) {
    encode_identity(out, KIND_MARK, partition);
    out.extend_from_slice(&mark.log_start.to_be_bytes());
    out.extend_from_slice(&mark.durable_end.to_be_bytes());
    out.extend_from_slice(&mark.segment_base.to_be_bytes());
    out.extend_from_slice(&mark.segment_position.to_be_bytes());
    out.extend_from_slice(&mark.high_watermark.to_be_bytes());
}

/// Generation and marks of a file; `None` when its header or its first frame is not whole.
fn decode(bytes: &[u8]) -> Option<(u64, BTreeMap<TopicIdPartition, LogMark>)> {
    let header = bytes.get(..HEADER_LEN)?;
    let crc = crc32fast::hash(&header[..16]).to_be_bytes();
    if header[..4] != MAGIC || header[4] != VERSION || header[16..] != crc {
        return None;
    }
    let generation = u64::from_be_bytes(header[8..16].try_into().expect("eight bytes"));
    let mut marks = BTreeMap::new();
    let mut rest = next_frame(&bytes[HEADER_LEN..], &mut marks)?;
    while let Some(after) = next_frame(rest, &mut marks) {
        rest = after;
    }
    Some((generation, marks))
}

/// Applies the frame at the start of `bytes` and returns what follows it; `None` when it is not whole.
fn next_frame<'a>(bytes: &'a [u8], marks: &mut BTreeMap<TopicIdPartition, LogMark>) -> Option<&'a [u8]> {
    let head = bytes.get(..FRAME_HEAD_LEN)?;
    let len = u32::from_be_bytes(head[..4].try_into().expect("four bytes")) as usize;
    let entries = bytes[FRAME_HEAD_LEN..].get(..len)?;
    if crc32fast::hash(entries).to_be_bytes() != head[4..] {
        return None;
    }
    let mut changes = Vec::new();
    let mut rest = entries;
    while !rest.is_empty() {
        let (change, after) = decode_entry(rest)?;
        changes.push(change);
        rest = after;
    }
    for (partition, mark) in changes {
        match mark {
            Some(mark) => marks.insert(partition, mark),
            None => marks.remove(&partition),
        };
    }
    Some(&bytes[FRAME_HEAD_LEN + len..])
}

type Change = (TopicIdPartition, Option<LogMark>);

fn decode_entry(bytes: &[u8]) -> Option<(Change, &[u8])> {
    let identity = bytes.get(..IDENTITY_LEN)?;
    let topic_id = TopicId(Uuid::from_bytes(identity[1..17].try_into().expect("sixteen bytes")));
    let partition = i32::from_be_bytes(identity[17..].try_into().expect("four bytes"));
    let partition = TopicIdPartition { topic_id, partition };
    let rest = &bytes[IDENTITY_LEN..];
    match identity[0] {
        KIND_FORGET => Some(((partition, None), rest)),
        KIND_MARK => {
            let body = rest.get(..MARK_LEN)?;
            let number = |at: usize| i64::from_be_bytes(body[at..at + 8].try_into().expect("eight bytes"));
            let mark = LogMark {
                log_start: number(0),
                durable_end: number(8),
                segment_base: number(16),
                segment_position: u64::try_from(number(24)).ok()?,
                high_watermark: number(32),
            };
            Some(((partition, Some(mark)), &rest[MARK_LEN..]))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests;
