//! LZ4 frames: independent blocks of 64 KiB without checksums, as Kafka's Java code writes them.
//!
//! Linked blocks, larger blocks and checksums are read too.

use std::cell::RefCell;
use std::io::{Read, Write};

use lz4_flex::frame::{BlockMode, BlockSize, FrameDecoder, FrameEncoder, FrameInfo};

use super::{Compression, DecompressError, OUTPUT_START_BYTES, within};

mod search;

/// The level of Kafka's default, for which its Java code takes the fast compressor too.
const FAST_LEVEL: i32 = 9;
const MAX_LEVEL: i32 = 17;
const BLOCK_BYTES: usize = 64 * 1024;

thread_local! {
    /// Keeps its buffers and hash table; each batch is a new frame.
    static ENCODER: RefCell<FrameEncoder<Vec<u8>>> = RefCell::new(FrameEncoder::with_frame_info(
        FrameInfo::new().block_size(BlockSize::Max64KB).block_mode(BlockMode::Independent),
        Vec::new(),
    ));
}

/// Compresses into one frame: fast by default, at any other level by a search that grows with it.
pub(super) fn compress(level: Option<i32>, input: &[u8]) -> Vec<u8> {
    match level.map(|level| level.clamp(1, MAX_LEVEL)) {
        None | Some(FAST_LEVEL) => compress_fast(input),
        Some(level) => search::compress(level.unsigned_abs(), input),
    }
}

fn compress_fast(input: &[u8]) -> Vec<u8> {
    ENCODER.with_borrow_mut(|encoder| {
        *encoder.get_mut() = Vec::with_capacity(OUTPUT_START_BYTES.min(input.len() + 64));
        encoder.write_all(input).expect("a Vec takes all bytes");
        // Without input no frame was begun, and only the first frame of an encoder begins by itself.
        if input.is_empty() {
            return [&FRAME_HEAD[..], &END_MARK].concat();
        }
        encoder.try_finish().expect("a Vec takes all bytes");
        std::mem::take(encoder.get_mut())
    })
}

/// Magic, descriptor (version 1, independent, 64 KiB) with its checksum.
const FRAME_HEAD: [u8; 7] = [0x04, 0x22, 0x4d, 0x18, 0x60, 0x40, 0x82];
/// A block of no length.
const END_MARK: [u8; 4] = [0; 4];

/// Decompresses one frame; what follows it is ignored, as Kafka's reader does.
pub(super) fn decompress(input: &[u8], cap: usize) -> Result<Vec<u8>, DecompressError> {
    let mut out = Vec::new();
    // A reader over its end by one byte shows that there is too much. `Take` and `read_to_end` grow with what comes.
    FrameDecoder::new(input)
        .take(cap as u64 + 1)
        .read_to_end(&mut out)
        .map_err(|error| Compression::Lz4.corrupt(error))?;
    within(out, cap)
}
