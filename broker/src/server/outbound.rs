//! The writing half of a connection: parts in, vectored writes and `sendfile` out, never blocking.

use std::collections::VecDeque;
use std::io::{self, IoSlice};

use bytes::Bytes;
use tokio::io::Interest;
use tokio::net::TcpStream;

use super::reply::Part;

/// Slices handed to one `writev`; the kernel takes up to 1,024.
const SLICES_MAX: usize = 128;
/// Bytes of one file read into memory when the file has no descriptor to send from (the simulated disk).
const COPY_BYTES_MAX: usize = 1024 * 1024;

/// Parts that wait to be written, in order.
#[derive(Default)]
pub struct Outbound {
    parts: VecDeque<Part>,
    /// Bytes of the front part that have left already.
    sent: usize,
    /// Bytes that have not left yet.
    queued: usize,
}

impl Outbound {
    /// Appends one part.
    pub fn push(&mut self, part: Part) {
        if !part.is_empty() {
            self.queued += part.len();
            self.parts.push_back(part);
        }
    }

    /// Bytes that have not left yet.
    pub fn queued_bytes(&self) -> usize {
        self.queued
    }

    /// Whether everything has left.
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// Writes what the socket takes now. `Ok(true)` when nothing is left.
    pub fn flush(&mut self, stream: &TcpStream) -> io::Result<bool> {
        while let Some(front) = self.parts.front() {
            let written = match front {
                Part::File { file, position, len } => {
                    let position = position + self.sent as u64;
                    let len = len - self.sent;
                    send_file(stream, file.as_ref(), position, len)
                }
                _ => self.write_memory(stream),
            };
            match written {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => self.advance(count),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    /// One `writev` over the parts in memory that lead the queue.
    fn write_memory(&self, stream: &TcpStream) -> io::Result<usize> {
        let mut slices = [IoSlice::new(&[]); SLICES_MAX];
        let mut used = 0;
        let mut skip = self.sent;
        for part in &self.parts {
            let (first, second): (&[u8], &[u8]) = match part {
                Part::Bytes(bytes) => (bytes, &[]),
                Part::Batch(batch) => (batch.prefix(), batch.body()),
                Part::File { .. } => break,
            };
            for slice in [first, second] {
                let skipped = skip.min(slice.len());
                skip -= skipped;
                if skipped < slice.len() && used < SLICES_MAX {
                    slices[used] = IoSlice::new(&slice[skipped..]);
                    used += 1;
                }
            }
            if used == SLICES_MAX {
                break;
            }
        }
        stream.try_write_vectored(&slices[..used])
    }

    fn advance(&mut self, mut count: usize) {
        self.queued -= count;
        count += self.sent;
        while let Some(front) = self.parts.front() {
            if count < front.len() {
                break;
            }
            count -= front.len();
            self.parts.pop_front();
        }
        self.sent = count;
        if self.parts.is_empty() && self.parts.capacity() > SLICES_MAX {
            self.parts = VecDeque::new();
        }
    }
}

/// Sends a range of a file: by the kernel where there is a descriptor, through memory otherwise.
fn send_file(
    stream: &TcpStream,
    file: &dyn tidemark_storage::disk::File,
    position: u64,
    len: usize,
) -> io::Result<usize> {
    let Some(descriptor) = file.fd() else {
        let mut copy = vec![0; len.min(COPY_BYTES_MAX)];
        let read = file.read_at(&mut copy, position)?;
        return stream.try_write(&Bytes::from(copy).slice(..read));
    };
    stream.try_io(Interest::WRITABLE, || {
        let mut offset = position;
        match rustix::fs::sendfile(stream, descriptor, Some(&mut offset), len) {
            Ok(0) => {
                Err(io::Error::new(io::ErrorKind::UnexpectedEof, "a segment is shorter than its index says"))
            }
            Ok(count) => Ok(count),
            Err(error) => Err(error.into()),
        }
    })
}
