//! Frames: a 4-byte big-endian length, then that many bytes. The codec is synchronous and copies nothing.
//!
//! It never reserves memory by a length the peer announced: the buffer grows only by bytes that arrived.

use bytes::{Buf, Bytes, BytesMut};
use thiserror::Error;

/// Bytes of the length in front of each frame.
pub const LENGTH_PREFIX: usize = 4;

/// Why no frame can be read from this connection any more. Kafka closes without an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum FrameError {
    /// The announced length is over what this connection may send in its state.
    #[error("frame of {len} bytes, at most {max} are allowed here")]
    TooLarge {
        /// Announced length in bytes.
        len: usize,
        /// Longest frame allowed, inclusive.
        max: usize,
    },
    /// The announced length is negative: this is not Kafka's protocol.
    #[error("frame length {len} is negative")]
    Negative {
        /// Announced length.
        len: i32,
    },
}

/// Splits the first whole frame off `buf`, without its length; `None` while bytes of it are missing.
///
/// The frame shares the memory of `buf`. A length over `max_len` is refused as soon as its four bytes are here.
pub fn next_frame(buf: &mut BytesMut, max_len: usize) -> Result<Option<Bytes>, FrameError> {
    let Some(prefix) = buf.first_chunk::<LENGTH_PREFIX>() else {
        return Ok(None);
    };
    let announced = i32::from_be_bytes(*prefix);
    let len = usize::try_from(announced).map_err(|_| FrameError::Negative { len: announced })?;
    if len > max_len {
        return Err(FrameError::TooLarge { len, max: max_len });
    }
    if buf.len() - LENGTH_PREFIX < len {
        return Ok(None);
    }
    buf.advance(LENGTH_PREFIX);
    Ok(Some(buf.split_to(len).freeze()))
}

#[cfg(test)]
mod tests;
