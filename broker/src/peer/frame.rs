//! Frames between nodes: `length: u32` (of what follows) · `kind: u8` · `number: u64` · body. Big-endian.
//!
//! The answer to a call has its number and kind [`ANSWER`], or [`REFUSED`] or [`NAMESAKE`] with a text. A call that wants no answer has
//! number 0.

use std::io::{self, IoSlice};

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Kind of the answer to a hello whose sender has the id of the node that answers; only a text.
pub const NAMESAKE: u8 = 0xFD;
/// Kind of an answer.
pub const ANSWER: u8 = 0xFE;
/// Kind of an answer that is only a text saying why there is none.
pub const REFUSED: u8 = 0xFF;
/// Number of a call nobody answers.
pub const UNANSWERED: u64 = 0;

/// The largest frame: a fetch of replicas and a chunk of a snapshot stay well below.
pub const FRAME_BYTES_MAX: usize = 64 << 20;
/// Kind and number.
const HEAD_BYTES: usize = 9;
/// Read at once while frames are small.
const READ_BYTES: usize = 64 << 10;
/// With less room than this a new piece of memory is begun: frames share one, also those whose records stay in memory for long.
const ROOM_BYTES: usize = 4 << 10;

/// One frame as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Which call, or [`ANSWER`], [`REFUSED`] or [`NAMESAKE`].
    pub kind: u8,
    /// What matches an answer to its call.
    pub number: u64,
    /// The rest.
    pub body: Bytes,
}

/// A frame to send: its parts leave together, without being copied into one.
#[derive(Debug)]
pub struct Outgoing {
    head: [u8; 4 + HEAD_BYTES],
    parts: Vec<Bytes>,
}

impl Outgoing {
    /// A frame of these parts.
    pub fn new(kind: u8, number: u64, parts: Vec<Bytes>) -> Outgoing {
        let length = HEAD_BYTES + parts.iter().map(Bytes::len).sum::<usize>();
        assert!(
            length <= FRAME_BYTES_MAX,
            "a frame of {length} bytes: whoever makes one keeps below the limit"
        );
        let mut head = [0; 4 + HEAD_BYTES];
        head[..4].copy_from_slice(&(length as u32).to_be_bytes());
        head[4] = kind;
        head[5..].copy_from_slice(&number.to_be_bytes());
        Outgoing { head, parts }
    }

    fn len(&self) -> usize {
        self.head.len() + self.parts.iter().map(Bytes::len).sum::<usize>()
    }

    /// Writes the frame.
    ///
    /// # Errors
    /// Those of the socket.
    pub async fn write<W: AsyncWrite + Unpin>(&self, to: &mut W) -> io::Result<()> {
        let mut done = 0;
        while done < self.len() {
            let slices = self.slices_after(done);
            let written = to.write_vectored(&slices).await?;
            if written == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            done += written;
        }
        Ok(())
    }

    fn slices_after(&self, mut done: usize) -> Vec<IoSlice<'_>> {
        let parts = std::iter::once(&self.head[..]).chain(self.parts.iter().map(|part| &part[..]));
        let left = parts.filter_map(|part| {
            let skipped = done.min(part.len());
            done -= skipped;
            Some(&part[skipped..]).filter(|rest| !rest.is_empty())
        });
        left.map(IoSlice::new).collect()
    }
}

/// Takes frames from a stream. What a caller gives up waiting for is not lost: the next call goes on with it.
#[derive(Debug, Default)]
pub struct FrameReader {
    buffer: BytesMut,
}

impl FrameReader {
    /// The next frame; `None` when the other side has closed between two.
    ///
    /// # Errors
    /// Those of the socket; a frame that is too long, too short or cut off.
    pub async fn next<R: AsyncRead + Unpin>(&mut self, from: &mut R) -> io::Result<Option<Frame>> {
        loop {
            if let Some(frame) = self.take()? {
                return Ok(Some(frame));
            }
            if from.read_buf(&mut self.buffer).await? == 0 {
                let cut_off = !self.buffer.is_empty();
                return if cut_off { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(None) };
            }
        }
    }

    /// A whole frame, if there is one; else room for what is missing.
    fn take(&mut self) -> io::Result<Option<Frame>> {
        let Some(length) = self.buffer.first_chunk::<4>() else {
            if self.buffer.capacity() - self.buffer.len() < ROOM_BYTES {
                self.buffer.reserve(READ_BYTES);
            }
            return Ok(None);
        };
        let length = u32::from_be_bytes(*length) as usize;
        if !(HEAD_BYTES..=FRAME_BYTES_MAX).contains(&length) {
            let why = format!("a frame of {length} bytes between nodes");
            return Err(io::Error::new(io::ErrorKind::InvalidData, why));
        }
        if self.buffer.len() < 4 + length {
            // Memory follows the bytes that come, not the length they announce.
            let missing = 4 + length - self.buffer.len();
            self.buffer.reserve(missing.min(self.buffer.len().max(READ_BYTES)));
            return Ok(None);
        }
        let mut frame = self.buffer.split_to(4 + length).freeze();
        frame.advance(4);
        let (kind, number) = (frame.get_u8(), frame.get_u64());
        Ok(Some(Frame { kind, number, body: frame }))
    }

    /// Bytes held.
    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.buffer.capacity()
    }
}
