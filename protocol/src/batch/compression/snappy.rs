//! Snappy blocks, alone or in xerial's framing.
//!
//! ```text
//! magic 82 "SNAPPY" 00 | version i32 = 1 | compatible version i32 = 1 | { length i32 | raw block }*
//! ```
//! Java clients and Kafka write the framing; librdkafka, franz-go and others write one raw block. All numbers are
//! big-endian.

use std::cell::RefCell;

use snap::raw::{Decoder, Encoder, decompress_len, max_compress_len};

use super::{Compression, DecompressError};

const MAGIC: [u8; 8] = [0x82, b'S', b'N', b'A', b'P', b'P', b'Y', 0];
const FRAME_HEADER_BYTES: usize = 16;
const VERSION: i32 = 1;
/// Block size of the Java library.
const BLOCK_BYTES: usize = 32 * 1024;
/// The densest element copies 64 bytes and takes 3; no block unfolds to more than this many times its length.
const MAX_RATIO: usize = 32;

thread_local! {
    /// The encoder keeps its hash table.
    static ENCODER: RefCell<Encoder> = RefCell::new(Encoder::new());
}

/// Compresses into the framing.
pub(super) fn compress(input: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(FRAME_HEADER_BYTES + 4 + input.len() / 2);
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&VERSION.to_be_bytes());
    out.extend_from_slice(&VERSION.to_be_bytes());
    ENCODER.with_borrow_mut(|encoder| {
        for block in input.chunks(BLOCK_BYTES) {
            let at = out.len();
            out.resize(at + 4 + max_compress_len(block.len()), 0);
            let written =
                encoder.compress(block, &mut out[at + 4..]).expect("the room fits any 32 KiB block");
            out[at..at + 4].copy_from_slice(&(written as i32).to_be_bytes());
            out.truncate(at + 4 + written);
        }
    });
    out
}

/// Decompresses framed or raw data.
pub(super) fn decompress(input: &[u8], cap: usize) -> Result<Vec<u8>, DecompressError> {
    let mut out = Vec::new();
    let Some(framed) = input.strip_prefix(&MAGIC) else {
        block(input, &mut out, cap)?;
        return Ok(out);
    };
    let mut rest = framed.get(8..).ok_or_else(|| Compression::Snappy.corrupt("frame header ends early"))?;
    while !rest.is_empty() {
        // Concatenated streams repeat the header.
        if rest.starts_with(&MAGIC) && rest.len() >= FRAME_HEADER_BYTES {
            rest = &rest[FRAME_HEADER_BYTES..];
            continue;
        }
        let (len, after) = rest
            .split_first_chunk::<4>()
            .ok_or_else(|| Compression::Snappy.corrupt("block length ends early"))?;
        let (data, after) = usize::try_from(i32::from_be_bytes(*len))
            .ok()
            .and_then(|len| after.split_at_checked(len))
            .ok_or_else(|| Compression::Snappy.corrupt("block longer than the data"))?;
        block(data, &mut out, cap)?;
        rest = after;
    }
    Ok(out)
}

/// Appends one raw block. Its announced length is believed only as far as its bytes can fill it.
fn block(data: &[u8], out: &mut Vec<u8>, cap: usize) -> Result<(), DecompressError> {
    let len = decompress_len(data).map_err(|error| Compression::Snappy.corrupt(error))?;
    if len > cap.saturating_sub(out.len()) {
        return Err(DecompressError::TooLarge { cap });
    }
    if len > data.len().saturating_mul(MAX_RATIO) {
        return Err(Compression::Snappy.corrupt("announces more than its bytes can unfold to"));
    }
    let at = out.len();
    out.resize(at + len, 0);
    Decoder::new().decompress(data, &mut out[at..]).map_err(|error| Compression::Snappy.corrupt(error))?;
    Ok(())
}
