//! The five codecs.
use thiserror::Error;

/// The codec of a batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Compression {
    /// Not compressed.
    #[default]
    None,
    /// gzip (RFC 1952).
    Gzip,
    /// Snappy in the framing of xerial's Java library; raw is read too.
    Snappy,
    /// LZ4 frame format.
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

    /// Compresses `input`; `None` is the codec's default level.
    pub fn compress(self, _level: Option<i32>, _input: &[u8]) -> Vec<u8> {
        unimplemented!("codecs follow")
    }

    /// Decompresses `input` to at most `cap` bytes.
    ///
    /// # Errors
    /// `TooLarge`, `Corrupt`.
    pub fn decompress(self, _input: &[u8], _cap: usize) -> Result<Vec<u8>, DecompressError> {
        unimplemented!("codecs follow")
    }
}
