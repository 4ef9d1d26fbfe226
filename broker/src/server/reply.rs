//! What a handler gives back to its connection: bytes in memory, batches of the tail, ranges of files.

use std::sync::Arc;

use bytes::Bytes;
use tidemark_protocol::batch::PlacedBatch;
use tidemark_storage::disk::File;

/// One piece of an answer, in the order in which the pieces leave.
pub enum Part {
    /// Encoded bytes.
    Bytes(Bytes),
    /// A batch served from memory; its sixteen patched bytes and its shared rest leave without a copy.
    Batch(PlacedBatch),
    /// A range of a segment file, sent from the page cache by the kernel.
    File {
        /// The open segment; holding it keeps a deleted file readable.
        file: Arc<dyn File>,
        /// First byte of the range.
        position: u64,
        /// Length of the range in bytes.
        len: usize,
    },
}

impl Part {
    /// Bytes this part puts on the wire.
    pub fn len(&self) -> usize {
        match self {
            Part::Bytes(bytes) => bytes.len(),
            Part::Batch(batch) => batch.len(),
            Part::File { len, .. } => *len,
        }
    }

    /// Whether this part puts nothing on the wire.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// The answer to one request.
pub enum Reply {
    /// Send this whole frame.
    Frame(Bytes),
    /// Send these parts, which together make one frame.
    Parts(Vec<Part>),
    /// Send nothing: a produce with acks=0 that went well.
    Nothing,
    /// Close the connection once everything before is sent: the only signal some failures have.
    Close,
}
