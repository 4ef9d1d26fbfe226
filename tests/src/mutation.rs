//! Damage done to valid requests: the ways in which bytes of a peer may be wrong.
//!
//! A mutation gives the bytes to send, length prefix included. Everything is a function of the seed.

use tidemark_protocol::api::{APIS, ApiKey};
use tidemark_protocol::batch::{HEADER_LEN, header};

use crate::corpus::Entry;
use crate::rng::Rng;

/// Bytes that stand at the limits of varints and integers.
const EDGES: [u8; 6] = [0x00, 0x01, 0x7f, 0x80, 0xfe, 0xff];
/// Counts and lengths that no body of ours can hold, plain and compact, and one that it nearly can.
const COUNTS: [&[u8]; 7] = [
    b"\x7f\xff\xff\xff",
    b"\x80\0\0\0",
    b"\xff\xff\xff\xff",
    b"\xff\xff\xff\xff\x0f",
    b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
    b"\0\0\x42\x68",
    b"\xe9\x84\x01",
];
/// Most bytes inserted, removed or repeated at a time.
const RUN_MAX: u64 = 64;
/// Where the CRC of a batch stands and what it covers: all that follows.
const CRC_AT: usize = 17;
const CRC_END: usize = 21;

/// A frame to send.
#[derive(Clone, Debug)]
pub struct Mutant {
    /// Length prefix, header and body.
    pub bytes: Vec<u8>,
    /// Whether the length prefix is wrong, so that the frame does not end where its bytes do.
    pub is_misframed: bool,
}

/// A damaged form of one of `entries`; now and then an undamaged one.
pub fn mutant(entries: &[Entry], rng: &mut Rng) -> Mutant {
    let entry = rng.pick(entries);
    let mut frame = entry.frame.clone();
    let body_at = entry.body_at;
    match rng.below(100) {
        0..3 => {}
        3..18 => (0..rng.between(1, 4)).for_each(|_| flip_bit(&mut frame, body_at, rng)),
        18..36 => (0..rng.between(1, 4)).for_each(|_| set_byte(&mut frame, body_at, rng)),
        36..44 => insert(&mut frame, body_at, rng),
        44..52 => remove(&mut frame, body_at, rng),
        52..58 => duplicate(&mut frame, body_at, rng),
        58..64 => frame.truncate(rng.between(body_at as u64, frame.len() as u64 + 1) as usize),
        64..72 => count(&mut frame, body_at, rng),
        72..78 => splice(&mut frame, body_at, rng.pick(entries), rng),
        78..84 => header_damage(&mut frame, body_at, rng),
        84..92 => batch_damage(&mut frame, entry, rng),
        92..98 => {
            set_byte(&mut frame, body_at, rng);
            insert(&mut frame, body_at, rng);
            flip_bit(&mut frame, body_at, rng);
            remove(&mut frame, body_at, rng);
        }
        _ => return misframed(&frame, rng),
    }
    framed(frame)
}

fn framed(frame: Vec<u8>) -> Mutant {
    let mut bytes = (frame.len() as u32).to_be_bytes().to_vec();
    bytes.extend_from_slice(&frame);
    Mutant { bytes, is_misframed: false }
}

/// A length prefix that does not fit: negative, zero, larger than allowed, a little off.
fn misframed(frame: &[u8], rng: &mut Rng) -> Mutant {
    let len = frame.len() as i64;
    let claimed = match rng.below(6) {
        0 => -1,
        1 => i64::from(i32::MIN),
        2 => 0,
        3 => i64::from(i32::MAX),
        4 => len + rng.between(1, 100) as i64,
        _ => len - rng.between(1, len as u64) as i64,
    };
    let mut bytes = (claimed as u32).to_be_bytes().to_vec();
    bytes.extend_from_slice(frame);
    Mutant { bytes, is_misframed: true }
}

/// A place in the body; its end if it is empty.
fn place(frame: &[u8], body_at: usize, rng: &mut Rng) -> usize {
    let start = body_at.min(frame.len());
    start + rng.below((frame.len() - start).max(1) as u64) as usize
}

fn flip_bit(frame: &mut [u8], body_at: usize, rng: &mut Rng) {
    let at = place(frame, body_at, rng);
    if let Some(byte) = frame.get_mut(at) {
        *byte ^= 1 << rng.below(8);
    }
}

fn set_byte(frame: &mut [u8], body_at: usize, rng: &mut Rng) {
    let at = place(frame, body_at, rng);
    if let Some(byte) = frame.get_mut(at) {
        *byte = if rng.percent(80) { *rng.pick(&EDGES) } else { rng.next_u64() as u8 };
    }
}

fn insert(frame: &mut Vec<u8>, body_at: usize, rng: &mut Rng) {
    let at = place(frame, body_at, rng).min(frame.len());
    let run: Vec<u8> = (0..rng.between(1, 1 + RUN_MAX)).map(|_| *rng.pick(&EDGES)).collect();
    frame.splice(at..at, run);
}

fn run(frame: &[u8], body_at: usize, rng: &mut Rng) -> std::ops::Range<usize> {
    let at = place(frame, body_at, rng).min(frame.len());
    at..(at + rng.between(1, 1 + RUN_MAX) as usize).min(frame.len())
}

fn remove(frame: &mut Vec<u8>, body_at: usize, rng: &mut Rng) {
    let run = run(frame, body_at, rng);
    frame.drain(run);
}

fn duplicate(frame: &mut Vec<u8>, body_at: usize, rng: &mut Rng) {
    let run = run(frame, body_at, rng);
    let bytes = frame[run.clone()].repeat(rng.between(1, 20) as usize);
    frame.splice(run.end..run.end, bytes);
}

fn count(frame: &mut Vec<u8>, body_at: usize, rng: &mut Rng) {
    let at = place(frame, body_at, rng).min(frame.len());
    let count = *rng.pick(&COUNTS);
    let end = if rng.percent(50) { (at + count.len()).min(frame.len()) } else { at };
    frame.splice(at..end, count.iter().copied());
}

/// Another API's body behind this header, whole or from the middle on.
fn splice(frame: &mut Vec<u8>, body_at: usize, other: &Entry, rng: &mut Rng) {
    let at = if rng.percent(50) { body_at } else { place(frame, body_at, rng).min(frame.len()) };
    frame.truncate(at);
    let from = if rng.percent(50) { other.body_at } else { place(&other.frame, other.body_at, rng) };
    frame.extend_from_slice(&other.frame[from.min(other.frame.len())..]);
}

/// Another API, another version, or wrong bytes in the header.
fn header_damage(frame: &mut Vec<u8>, body_at: usize, rng: &mut Rng) {
    const KEY: std::ops::Range<usize> = 0..2;
    const VERSION: std::ops::Range<usize> = 2..4;
    match rng.below(6) {
        0 => frame[KEY].copy_from_slice(&(rng.pick(APIS).key as i16).to_be_bytes()),
        1 => frame[KEY].copy_from_slice(&(rng.below(110) as i16).to_be_bytes()),
        2 => frame[VERSION].copy_from_slice(&(rng.below(20) as i16).to_be_bytes()),
        3 => frame.truncate(rng.below(body_at as u64 + 1) as usize),
        4 => frame[rng.below(body_at as u64) as usize] = *rng.pick(&EDGES),
        _ => frame[8..body_at].iter_mut().for_each(|byte| *byte = *rng.pick(&EDGES)),
    }
}

/// Damage inside a batch under a CRC that is right again, so that it meets the checks behind the CRC.
fn batch_damage(frame: &mut [u8], entry: &Entry, rng: &mut Rng) {
    // The magic byte is where it would be if the leader epoch before it is the one producers send.
    const EPOCH_AND_MAGIC: [u8; 5] = [0xff, 0xff, 0xff, 0xff, 2];
    const MAGIC_AT: usize = 16;
    let found = (entry.api.key == ApiKey::Produce)
        .then(|| frame.windows(5).position(|window| window == EPOCH_AND_MAGIC))
        .flatten()
        .and_then(|at| (at + 4).checked_sub(MAGIC_AT));
    let Some(start) = found.filter(|start| start + HEADER_LEN <= frame.len()) else {
        return set_byte(frame, entry.body_at, rng);
    };
    let length = u32::from_be_bytes(frame[start + 8..start + 12].try_into().expect("four bytes")) as usize;
    let end = (start + 12 + length).min(frame.len());
    let batch = &mut frame[start..end];
    for _ in 0..rng.between(1, 4) {
        match rng.below(3) {
            0 => set_byte(&mut batch[..HEADER_LEN], CRC_END, rng),
            1 => set_byte(batch, CRC_END, rng),
            _ => flip_bit(batch, HEADER_LEN, rng),
        }
    }
    let crc = header::checksum(batch);
    batch[CRC_AT..CRC_END].copy_from_slice(&crc.to_be_bytes());
}

#[cfg(test)]
mod tests;
