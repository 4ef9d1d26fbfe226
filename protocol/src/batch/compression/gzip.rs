//! gzip members around raw deflate. Read concatenated members too, as Java's reader does.
//!
//! The member format is handled here, so that one deflate state per thread serves every batch.

use std::cell::RefCell;

use flate2::{Compress, Crc, Decompress, FlushCompress, FlushDecompress, Status};

use super::{Compression, DecompressError, make_room, within};

/// Magic, deflate, no flags, no time, no extra flags, unknown system: what Java writes.
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];
/// CRC-32 and length of the content.
const TRAILER_BYTES: usize = 8;
/// Flags of the optional parts of a member's header.
const FHCRC: u8 = 2;
const FEXTRA: u8 = 4;
const FNAME: u8 = 8;
const FCOMMENT: u8 = 16;
const DEFAULT_LEVEL: i32 = 6;

thread_local! {
    static DEFLATE: RefCell<Option<(u32, Compress)>> = const { RefCell::new(None) };
    static INFLATE: RefCell<Option<Decompress>> = const { RefCell::new(None) };
}

/// Compresses into one member.
pub(super) fn compress(level: Option<i32>, input: &[u8]) -> Vec<u8> {
    let level = match level {
        None | Some(-1) => DEFAULT_LEVEL,
        Some(level) => level.clamp(1, 9),
    } as u32;
    DEFLATE.with_borrow_mut(|kept| {
        let deflate = match kept {
            Some((of, deflate)) if *of == level => {
                deflate.reset();
                deflate
            }
            other => &mut other.insert((level, Compress::new(flate2::Compression::new(level), false))).1,
        };
        let mut out = Vec::with_capacity(HEADER.len() + TRAILER_BYTES + input.len() / 2);
        out.extend_from_slice(&HEADER);
        loop {
            let rest = &input[deflate.total_in() as usize..];
            let status = deflate.compress_vec(rest, &mut out, FlushCompress::Finish);
            if status.expect("deflate into memory does not fail") == Status::StreamEnd {
                break;
            }
            out.reserve(out.len().max(64));
        }
        let mut crc = Crc::new();
        crc.update(input);
        out.extend_from_slice(&crc.sum().to_le_bytes());
        out.extend_from_slice(&crc.amount().to_le_bytes());
        out
    })
}

/// Decompresses every member.
pub(super) fn decompress(input: &[u8], cap: usize) -> Result<Vec<u8>, DecompressError> {
    let mut out = Vec::new();
    let mut rest = input;
    while !rest.is_empty() {
        rest = skip_header(rest).ok_or_else(|| Compression::Gzip.corrupt("bad member header"))?;
        let start = out.len();
        rest = inflate(rest, &mut out, cap)?;
        let (trailer, after) = rest
            .split_first_chunk::<TRAILER_BYTES>()
            .ok_or_else(|| Compression::Gzip.corrupt("trailer ends early"))?;
        let mut crc = Crc::new();
        crc.update(&out[start..]);
        if trailer[..4] != crc.sum().to_le_bytes() || trailer[4..] != crc.amount().to_le_bytes() {
            return Err(Compression::Gzip.corrupt("checksum or length of the content differs"));
        }
        rest = after;
    }
    within(out, cap)
}

/// Inflates one deflate stream; returns what follows it.
fn inflate<'a>(input: &'a [u8], out: &mut Vec<u8>, cap: usize) -> Result<&'a [u8], DecompressError> {
    INFLATE.with_borrow_mut(|kept| {
        let inflate = match kept {
            Some(inflate) => {
                inflate.reset(false);
                inflate
            }
            none => none.insert(Decompress::new(false)),
        };
        loop {
            make_room(out, cap)?;
            let (read, written) = (inflate.total_in(), inflate.total_out());
            let status = inflate
                .decompress_vec(&input[read as usize..], out, FlushDecompress::None)
                .map_err(|error| Compression::Gzip.corrupt(error))?;
            let rest = &input[inflate.total_in() as usize..];
            if status == Status::StreamEnd {
                return Ok(rest);
            }
            if inflate.total_in() == read && inflate.total_out() == written && out.len() < out.capacity() {
                return Err(Compression::Gzip.corrupt("data ends early"));
            }
        }
    })
}

/// Skips a member's header with its optional parts.
fn skip_header(input: &[u8]) -> Option<&[u8]> {
    let (fixed, mut rest) = input.split_first_chunk::<10>()?;
    if fixed[..3] != HEADER[..3] {
        return None;
    }
    let flags = fixed[3];
    if flags & FEXTRA != 0 {
        let (len, after) = rest.split_first_chunk::<2>()?;
        rest = after.get(usize::from(u16::from_le_bytes(*len))..)?;
    }
    for text in [FNAME, FCOMMENT] {
        if flags & text != 0 {
            let end = rest.iter().position(|&b| b == 0)?;
            rest = &rest[end + 1..];
        }
    }
    if flags & FHCRC != 0 { rest.get(2..) } else { Some(rest) }
}
