//! A partition of the floor: one file, and where its batches begin, in memory.

use std::fs::{File, OpenOptions};
use std::io::{self, IoSlice};
use std::net::TcpStream;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Mutex;

use tidemark_protocol::batch::RecordBatch;

/// An end of the log: exclusive offset and byte position.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct End {
    pub(super) offset: i64,
    pub(super) position: u64,
}

/// A partition.
#[derive(Debug)]
pub(super) struct Log {
    file: File,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    written: End,
    visible: End,
    /// Base offset and position of every batch.
    batches: Vec<(i64, u64)>,
}

impl Log {
    /// A new log in a file of its own.
    pub(super) fn create(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(path)?;
        Ok(Log { file, state: Mutex::default() })
    }

    /// Removes the file of a log.
    #[allow(clippy::disallowed_methods, reason = "the floor has files of its own and must not cost a seam")]
    pub(super) fn remove(path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }

    /// Writes a batch at the end; returns its base offset and the new end.
    pub(super) fn append(&self, batch: RecordBatch) -> io::Result<(i64, End)> {
        let mut state = self.state.lock().expect("no holder panics");
        let End { offset, position } = state.written;
        let placed = batch.place(offset, 0);
        let pieces = [IoSlice::new(placed.prefix()), IoSlice::new(placed.body())];
        let written = rustix::io::pwritev(&self.file, &pieces, position)?;
        if written < placed.len() {
            self.file.write_all_at(&placed.to_bytes()[written..], position + written as u64)?;
        }
        state.batches.push((offset, position));
        state.written = End { offset: placed.next_offset(), position: position + placed.len() as u64 };
        Ok((offset, state.written))
    }

    /// Makes what is written durable.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    /// Shows consumers the log up to `end`.
    pub(super) fn publish(&self, end: End) {
        let mut state = self.state.lock().expect("no holder panics");
        if end.offset > state.visible.offset {
            state.visible = end;
        }
    }

    /// Exclusive end of what consumers may read.
    pub(super) fn visible_end(&self) -> i64 {
        self.state.lock().expect("no holder panics").visible.offset
    }

    /// Whole visible batches from `offset` on, in up to `max_bytes` or one batch: position and length.
    pub(super) fn find(&self, offset: i64, max_bytes: usize) -> (u64, usize) {
        let state = self.state.lock().expect("no holder panics");
        if offset >= state.visible.offset {
            return (state.visible.position, 0);
        }
        let first = state.batches.partition_point(|&(base, _)| base <= offset).saturating_sub(1);
        let start = state.batches[first].1;
        let visible = state.batches.partition_point(|&(base, _)| base < state.visible.offset);
        let limit = start + max_bytes as u64;
        let within = state.batches[first + 1..visible].partition_point(|&(_, position)| position <= limit);
        let end = if state.visible.position <= limit || first + 1 == visible {
            state.visible.position
        } else {
            state.batches[first + within.max(1)].1
        };
        (start, (end - start) as usize)
    }

    /// Sends a range of the file without copying it through this process.
    pub(super) fn send(&self, stream: &TcpStream, position: u64, len: usize) -> io::Result<()> {
        let (mut position, end) = (position, position + len as u64);
        while position < end {
            let left = (end - position) as usize;
            if rustix::fs::sendfile(stream, &self.file, Some(&mut position), left)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(())
    }
}
