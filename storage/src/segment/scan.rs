//! Walks over the batches of a segment file: by headers only, or whole with their checksums.

use std::io;

use bytes::Bytes;
use tidemark_protocol::batch::{BatchHeader, HEADER_LEN, RecordBatch};
use tidemark_protocol::types::Offset;

use crate::disk::{File, read_exact_at};

/// Read at a time when looking for one batch: about one index interval.
pub const LOOKUP_CHUNK: usize = 4096;
/// Read at a time when walking a whole segment.
pub const WALK_CHUNK: usize = 1 << 20;

/// Why a walk stopped before the end.
#[derive(Debug, thiserror::Error)]
pub enum ScanError {
    /// What is at `position` is not the next batch.
    #[error("position {position}: {reason}")]
    Damaged {
        /// Where.
        position: u64,
        /// What is wrong.
        reason: String,
    },
    /// The disk refused.
    #[error(transparent)]
    Io(#[from] io::Error),
}

fn damaged(position: u64, reason: impl ToString) -> ScanError {
    ScanError::Damaged { position, reason: reason.to_string() }
}

/// Walks batches in `position..end` of a file. Batches must be whole and their offsets must rise.
#[derive(Debug)]
pub struct Scan<'a> {
    file: &'a dyn File,
    position: u64,
    end: u64,
    expected: Offset,
    chunk: usize,
    buffer: Bytes,
    buffer_start: u64,
}

impl<'a> Scan<'a> {
    /// A walk from `position`, where a batch begins, to `end`; no batch may begin below offset `expected`. `chunk` bytes
    /// are read at a time.
    pub fn new(file: &'a dyn File, position: u64, end: u64, expected: Offset, chunk: usize) -> Self {
        Scan { file, position, end, expected, chunk, buffer: Bytes::new(), buffer_start: position }
    }

    /// Where the next batch begins.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Offset after the last batch returned.
    pub fn next_offset(&self) -> Offset {
        self.expected
    }

    /// The next batch: its position and its header, which was not checked against the rest of it.
    pub fn next_header(&mut self) -> Result<Option<(u64, BatchHeader)>, ScanError> {
        let position = self.position;
        if position >= self.end {
            return Ok(None);
        }
        self.fill(HEADER_LEN)?;
        let header = BatchHeader::parse(self.buffered()).map_err(|e| damaged(position, e))?;
        if header.base_offset < self.expected || header.last_offset_delta < 0 || header.next_offset() < 0 {
            let reason =
                format!("batch of offset {} where {} or later was due", header.base_offset, self.expected);
            return Err(damaged(position, reason));
        }
        if header.total_len() as u64 > self.end - position {
            return Err(damaged(position, format!("batch of {} bytes is cut off", header.total_len())));
        }
        self.position += header.total_len() as u64;
        self.expected = header.next_offset();
        Ok(Some((position, header)))
    }

    /// The next batch whole, its checksum verified.
    pub fn next_batch(&mut self) -> Result<Option<(u64, RecordBatch)>, ScanError> {
        let (before, expected) = (self.position, self.expected);
        let Some((position, header)) = self.next_header()? else { return Ok(None) };
        let after = std::mem::replace(&mut self.position, before);
        self.fill(header.total_len())?;
        let start = usize::try_from(position - self.buffer_start).expect("the batch is in the buffer");
        let bytes = self.buffer.slice(start..start + header.total_len());
        let whole = RecordBatch::parse(bytes).and_then(|batch| batch.verify_crc().map(|()| batch));
        match whole {
            Ok(batch) => {
                self.position = after;
                Ok(Some((position, batch)))
            }
            Err(e) => {
                self.expected = expected;
                Err(damaged(position, e))
            }
        }
    }

    /// The whole batch at `position`, whose header was just returned; its checksum is verified.
    pub fn reread(&self, position: u64, header: &BatchHeader) -> Result<RecordBatch, ScanError> {
        read_batch(self.file, position, header)
    }

    fn buffered(&self) -> &[u8] {
        let start = usize::try_from(self.position - self.buffer_start).unwrap_or(usize::MAX);
        self.buffer.get(start..).unwrap_or_default()
    }

    /// Has at least `need` bytes from `position` on in the buffer, or all there are before `end`.
    fn fill(&mut self, need: usize) -> io::Result<()> {
        let left = usize::try_from(self.end - self.position).unwrap_or(usize::MAX);
        if self.buffered().len() >= need.min(left) {
            return Ok(());
        }
        let mut bytes = vec![0; self.chunk.max(need).min(left)];
        read_exact_at(self.file, &mut bytes, self.position)?;
        self.buffer = Bytes::from(bytes);
        self.buffer_start = self.position;
        Ok(())
    }
}

/// Whether the file holds only zeros in `position..end`: room that no batch was written to.
pub fn is_room(file: &dyn File, mut position: u64, end: u64) -> io::Result<bool> {
    let mut bytes = vec![0; LOOKUP_CHUNK];
    while position < end {
        let len = bytes.len().min(usize::try_from(end - position).unwrap_or(usize::MAX));
        read_exact_at(file, &mut bytes[..len], position)?;
        if bytes[..len].iter().any(|&byte| byte != 0) {
            return Ok(false);
        }
        position += len as u64;
        // The first bytes tell most.
        bytes.resize(WALK_CHUNK, 0);
    }
    Ok(true)
}

/// Reads the batch at `position` and verifies its checksum.
pub fn read_batch(file: &dyn File, position: u64, header: &BatchHeader) -> Result<RecordBatch, ScanError> {
    let mut bytes = vec![0; header.total_len()];
    read_exact_at(file, &mut bytes, position)?;
    let batch = RecordBatch::parse(Bytes::from(bytes)).map_err(|e| damaged(position, e))?;
    batch.verify_crc().map_err(|e| damaged(position, e))?;
    Ok(batch)
}
