//! Why bytes are not a record batch, or not the records it promises.

use thiserror::Error;

use super::compression::DecompressError;

/// What is wrong with a batch. The texts name facts, so that a log line is enough to understand the case.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum BatchError {
    /// Fewer bytes than the batch needs.
    #[error("batch needs {need} bytes, only {have} are here")]
    Short {
        /// Bytes at hand.
        have: usize,
        /// Bytes needed.
        need: usize,
    },
    /// More bytes than the one batch that was expected.
    #[error("{extra} bytes follow the batch")]
    Trailing {
        /// Bytes after the end of the batch.
        extra: usize,
    },
    /// The length field cannot be that of a batch.
    #[error("batch length {batch_length} is below the minimum")]
    Length {
        /// The length field as found.
        batch_length: i32,
    },
    /// Not message format v2. Formats 0 and 1 ended with Kafka 4.0 (KIP-724).
    #[error("record batch has magic {magic}, only 2 is supported")]
    Magic {
        /// The magic byte as found.
        magic: i8,
    },
    /// The attributes name a codec that does not exist.
    #[error("unknown compression codec {id}")]
    UnknownCompression {
        /// Lowest three bits of the attributes.
        id: u8,
    },
    /// The checksum does not fit the bytes.
    #[error("record batch is corrupt (stored crc = {stored}, computed crc = {computed})")]
    Crc {
        /// Checksum in the header.
        stored: u32,
        /// Checksum of the bytes.
        computed: u32,
    },
    /// A record does not parse.
    #[error("record {index} is invalid: {reason}")]
    Record {
        /// Position in the batch, from 0.
        index: i32,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The records do not decompress.
    #[error(transparent)]
    Decompress(#[from] DecompressError),
}
