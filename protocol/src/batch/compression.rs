//! The codecs of record batches: compress at a level, decompress to a cap.
//!
//! Output memory grows with what was really written, never by a length the data announces, and stops at the caller's
//! cap: a gigabyte of zeros is 32 KiB of zstd. Contexts are kept per thread, since making one costs more than a small
//! batch takes to unfold.

use thiserror::Error;

mod gzip;

mod lz4;

mod snappy;

mod zstd;

/// The codec of a batch. The numbers are those of the attributes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Compression {
    /// Not compressed.
    #[default]
    None,
    /// gzip (RFC 1952).
    Gzip,
    /// Snappy. Written in the framing of xerial's Java library, as Kafka does; raw blocks are read too.
    Snappy,
    /// LZ4 frame format, independent blocks of 64 KiB.
    Lz4,
    /// Zstandard.
    Zstd,
}

/// Why compressed bytes do not unfold.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum DecompressError {
    /// They unfold to more than the reader allows.
    #[error("the records unfold to more than {cap} bytes")]
    TooLarge {
        /// Most bytes allowed.
        cap: usize,
    },
    /// They are not what the codec writes.
    #[error("{codec} data is corrupt: {reason}")]
    Corrupt {
        /// Name of the codec.
        codec: &'static str,
        /// What the decoder says.
        reason: String,
    },
}

impl Compression {
    /// Number of the codec in the attributes.
    pub fn id(self) -> u8 {
        self as u8
    }

    /// The codec with this number.
    #[inline]
    pub fn from_id(id: u8) -> Option<Self> {
        match id {
            0 => Some(Compression::None),
            1 => Some(Compression::Gzip),
            2 => Some(Compression::Snappy),
            3 => Some(Compression::Lz4),
            4 => Some(Compression::Zstd),
            _ => None,
        }
    }

    /// Kafka's name of the codec.
    pub fn name(self) -> &'static str {
        match self {
            Compression::None => "none",
            Compression::Gzip => "gzip",
            Compression::Snappy => "snappy",
            Compression::Lz4 => "lz4",
            Compression::Zstd => "zstd",
        }
    }

    /// The codec with Kafka's name. A topic says `uncompressed` where a producer says `none`.
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "none" | "uncompressed" => Some(Compression::None),
            "gzip" => Some(Compression::Gzip),
            "snappy" => Some(Compression::Snappy),
            "lz4" => Some(Compression::Lz4),
            "zstd" => Some(Compression::Zstd),
            _ => None,
        }
    }

    /// Compresses `input`. `None` is the codec's default level; otherwise gzip takes 1 to 9 (−1 is its default), lz4
    /// 1 to 17 (9 is its default, and the fast one, as in Kafka) and zstd −131072 to 22, and values outside are clamped.
    /// Snappy has no levels.
    pub fn compress(self, level: Option<i32>, input: &[u8]) -> Vec<u8> {
        match self {
            Compression::None => input.to_vec(),
            Compression::Gzip => gzip::compress(level, input),
            Compression::Snappy => snappy::compress(input),
            Compression::Lz4 => lz4::compress(level, input),
            Compression::Zstd => zstd::compress(level, input),
        }
    }

    /// Decompresses `input` to at most `cap` bytes.
    ///
    /// # Errors
    /// `TooLarge` when there would be more, `Corrupt` when the input is not whole or not of this codec.
    pub fn decompress(self, input: &[u8], cap: usize) -> Result<Vec<u8>, DecompressError> {
        match self {
            Compression::None if input.len() > cap => Err(DecompressError::TooLarge { cap }),
            Compression::None => Ok(input.to_vec()),
            Compression::Gzip => gzip::decompress(input, cap),
            Compression::Snappy => snappy::decompress(input, cap),
            Compression::Lz4 => lz4::decompress(input, cap),
            Compression::Zstd => zstd::decompress(input, cap),
        }
    }

    fn corrupt(self, reason: impl ToString) -> DecompressError {
        DecompressError::Corrupt { codec: self.name(), reason: reason.to_string() }
    }
}

/// First room given to decompressed output.
const OUTPUT_START_BYTES: usize = 16 * 1024;

/// Makes room in `out` for a decoder that fills spare capacity. Room at most doubles, and ends one byte past the cap:
/// a byte there proves that there is too much.
fn make_room(out: &mut Vec<u8>, cap: usize) -> Result<(), DecompressError> {
    if out.len() > cap {
        return Err(DecompressError::TooLarge { cap });
    }
    if out.len() == out.capacity() {
        let more = out.len().max(OUTPUT_START_BYTES).min(cap.saturating_add(1) - out.len());
        out.reserve_exact(more);
    }
    Ok(())
}

/// The output, if it ended within the cap.
fn within(out: Vec<u8>, cap: usize) -> Result<Vec<u8>, DecompressError> {
    if out.len() > cap { Err(DecompressError::TooLarge { cap }) } else { Ok(out) }
}

#[cfg(test)]
mod tests;
