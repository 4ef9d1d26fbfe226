//! Zstandard frames.

use std::cell::RefCell;

use zstd::bulk::Compressor;
use zstd::zstd_safe::{DCtx, InBuffer, OutBuffer, ResetDirective, get_error_name};

use super::{Compression, DecompressError, make_room, within};

const DEFAULT_LEVEL: i32 = 3;
const MIN_LEVEL: i32 = -131_072;
const MAX_LEVEL: i32 = 22;

thread_local! {
    static COMPRESSOR: RefCell<Option<(i32, Compressor<'static>)>> = const { RefCell::new(None) };
    static DECODER: RefCell<Option<DCtx<'static>>> = const { RefCell::new(None) };
}

/// Compresses into one frame that tells its content's size.
pub(super) fn compress(level: Option<i32>, input: &[u8]) -> Vec<u8> {
    let level = level.unwrap_or(DEFAULT_LEVEL).clamp(MIN_LEVEL, MAX_LEVEL);
    COMPRESSOR.with_borrow_mut(|kept| {
        let compressor = match kept {
            Some((of, compressor)) => {
                if *of != level {
                    compressor.set_compression_level(level).expect("the level is within its bounds");
                    *of = level;
                }
                compressor
            }
            none => {
                &mut none.insert((level, Compressor::new(level).expect("the level is within its bounds"))).1
            }
        };
        compressor.compress(input).expect("the output has room for the worst case")
    })
}

/// Decompresses every frame.
pub(super) fn decompress(input: &[u8], cap: usize) -> Result<Vec<u8>, DecompressError> {
    DECODER.with_borrow_mut(|kept| {
        let decoder = kept.get_or_insert_with(DCtx::create);
        decoder
            .reset(ResetDirective::SessionOnly)
            .map_err(|code| Compression::Zstd.corrupt(get_error_name(code)))?;
        let mut out = Vec::new();
        let mut source = InBuffer::around(input);
        let wanted = loop {
            make_room(&mut out, cap)?;
            let (read, written) = (source.pos, out.len());
            // A frame's end needs no reset: the next call begins the next frame.
            let wanted = {
                let mut target = OutBuffer::around_pos(&mut out, written);
                decoder
                    .decompress_stream(&mut target, &mut source)
                    .map_err(|code| Compression::Zstd.corrupt(get_error_name(code)))?
            };
            let idle = source.pos == read && out.len() == written;
            let room_left = out.len() < out.capacity();
            if source.pos == input.len() && (wanted == 0 || (idle && room_left)) {
                break wanted;
            }
        };
        if wanted != 0 {
            return Err(Compression::Zstd.corrupt("data ends early"));
        }
        within(out, cap)
    })
}
