//! The reading half of a connection: bytes in, whole frames out, with memory bounded by what frames really need.
//!
//! A buffer is sized by the frame that is awaited, so a batch that stays in the tail cache pins no more
//! memory than its own request, and a connection that says nothing holds no buffer at all.

use std::future::Future;
use std::io;
use std::pin::pin;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes, BytesMut};
use tidemark_protocol::frame::{FrameError, next_frame};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

/// First read on a quiet connection: most requests that are no produce fit.
const READ_BYTES_MIN: usize = 4 * 1024;
/// Largest first read; a larger frame is read into a buffer of exactly its size once its length is known.
const READ_BYTES_MAX: usize = 256 * 1024;
/// A length prefix.
const PREFIX_BYTES: usize = 4;

/// Collects the bytes of one connection.
pub struct Inbound {
    buffer: BytesMut,
    frame_bytes_max: usize,
    last_frame_bytes: usize,
}

/// What one read brought.
#[derive(Debug, PartialEq, Eq)]
pub enum ReadOutcome {
    /// Some bytes arrived.
    Bytes,
    /// The peer closed its side.
    End,
}

impl Inbound {
    /// An empty reader that refuses frames above `frame_bytes_max`.
    pub fn new(frame_bytes_max: usize) -> Self {
        Inbound { buffer: BytesMut::new(), frame_bytes_max, last_frame_bytes: 0 }
    }

    /// Bytes the awaited frame still needs, prefix included; the prefix itself when no length is known yet.
    pub fn awaited_bytes(&self) -> usize {
        match self.buffer.get(..PREFIX_BYTES) {
            Some(mut prefix) => {
                let len = prefix.get_i32().max(0) as usize + PREFIX_BYTES;
                len.min(self.frame_bytes_max + PREFIX_BYTES).saturating_sub(self.buffer.len())
            }
            None => PREFIX_BYTES - self.buffer.len(),
        }
    }

    /// Reads once. A read that does not fill its room has emptied the socket, which is then not asked again before it
    /// has news.
    pub fn poll_read(
        &mut self,
        stream: &mut TcpStream,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<ReadOutcome>> {
        let wanted = if self.buffer.len() >= PREFIX_BYTES {
            self.awaited_bytes().max(1)
        } else {
            // Producers send frames of like size: reading as much as the last one took is usually one frame,
            // one read and no copy.
            (self.last_frame_bytes + PREFIX_BYTES).clamp(READ_BYTES_MIN, READ_BYTES_MAX)
        };
        self.buffer.reserve(wanted);
        // The future keeps nothing between polls: dropping it loses no bytes.
        let read = pin!(stream.read_buf(&mut self.buffer)).poll(cx);
        if read.is_pending() {
            self.release_if_empty();
        }
        read.map_ok(|count| if count == 0 { ReadOutcome::End } else { ReadOutcome::Bytes })
    }

    /// Splits the next whole frame off, without its length prefix.
    pub fn next_frame(&mut self) -> Result<Option<Bytes>, FrameError> {
        let frame = next_frame(&mut self.buffer, self.frame_bytes_max)?;
        match &frame {
            Some(frame) => self.last_frame_bytes = frame.len(),
            None => self.release_if_empty(),
        }
        Ok(frame)
    }

    fn release_if_empty(&mut self) {
        if self.buffer.is_empty() {
            self.buffer = BytesMut::new();
        }
    }
}
