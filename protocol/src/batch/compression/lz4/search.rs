//! LZ4 frames packed tighter than the fast encoder does: for each place the longest of several earlier matches is looked
//! for, along a chain of the places that begin with the same four bytes.
//!
//! A block is a row of sequences: token (length of literals · length of match − 4, four bits each, 15 continues in bytes of
//! 255) · literals · distance u16, little-endian. The last five bytes are literals, and no match begins in the last twelve.

use super::{BLOCK_BYTES, END_MARK, FRAME_HEAD};

/// Shorter matches cannot be written.
const MATCH_MIN: usize = 4;
/// No match begins closer to the end of a block …
const MATCH_END_DISTANCE: usize = 12;
/// … and none reaches closer.
const LITERALS_AT_END: usize = 5;
const HASH_BITS: u32 = 15;
/// No place: positions in a block are below.
const NONE: u32 = u32::MAX;
/// From here on a higher level looks no further: what a producer chose to send must not hold a thread for seconds.
const ATTEMPTS_MAX: usize = 1 << 12;
/// A match of this length is taken as it is: a longer one further on would have to make good the bytes in between.
const GOOD_LEN: usize = 64;
/// Set in a block's length when it is stored as it is.
const STORED: u32 = 1 << 31;

/// Compresses into one frame, looking at `2^(level - 1)` matches for each place.
pub(super) fn compress(level: u32, input: &[u8]) -> Vec<u8> {
    let attempts = 1_usize.checked_shl(level.saturating_sub(1)).unwrap_or(ATTEMPTS_MAX).min(ATTEMPTS_MAX);
    let mut out = FRAME_HEAD.to_vec();
    let mut search = Search { heads: vec![NONE; 1 << HASH_BITS], before: vec![NONE; BLOCK_BYTES], attempts };
    let mut packed = Vec::new();
    for block in input.chunks(BLOCK_BYTES) {
        packed.clear();
        search.heads.fill(NONE);
        search.pack(block, &mut packed);
        let (len, bytes) =
            if packed.len() < block.len() { (packed.len(), packed.as_slice()) } else { (block.len(), block) };
        let flag = if packed.len() < block.len() { 0 } else { STORED };
        let len = u32::try_from(len).expect("a block is small") | flag;
        out.extend_from_slice(&len.to_le_bytes());
        out.extend_from_slice(bytes);
    }
    out.extend_from_slice(&END_MARK);
    out
}

/// The places of a block by their first four bytes.
struct Search {
    /// Hash → the latest place.
    heads: Vec<u32>,
    /// Place → the one before it with the same hash.
    before: Vec<u32>,
    attempts: usize,
}

impl Search {
    fn pack(&mut self, block: &[u8], out: &mut Vec<u8>) {
        let last_start = block.len().saturating_sub(MATCH_END_DISTANCE);
        let (mut literals, mut at) = (0, 0);
        while at < last_start {
            let Some(mut found) = self.longest(block, at) else {
                self.note(block, at);
                at += 1;
                continue;
            };
            self.note(block, at);
            // A longer match one byte later is worth that byte.
            while at + 1 < last_start
                && found.len < GOOD_LEN
                && let Some(later) = self.longest(block, at + 1).filter(|later| later.len > found.len + 1)
            {
                at += 1;
                self.note(block, at);
                found = later;
            }
            put_sequence(out, &block[literals..at], found);
            for place in at + 1..(at + found.len).min(last_start) {
                self.note(block, place);
            }
            at += found.len;
            literals = at;
        }
        put_literals(out, &block[literals..], 0);
    }

    fn note(&mut self, block: &[u8], at: usize) {
        let head = &mut self.heads[hash(block, at)];
        self.before[at] = *head;
        *head = u32::try_from(at).expect("a block is small");
    }

    fn longest(&self, block: &[u8], at: usize) -> Option<Match> {
        let limit = block.len() - LITERALS_AT_END;
        let mut best = Match { len: MATCH_MIN - 1, distance: 0 };
        let mut place = self.heads[hash(block, at)];
        for _ in 0..self.attempts {
            if place == NONE {
                break;
            }
            let from = place as usize;
            // Only one that is longer than the best so far is worth comparing from its beginning.
            if block[from + best.len] == block[at + best.len] {
                let len = block[at..limit]
                    .iter()
                    .zip(&block[from..])
                    .take_while(|(seen, known)| seen == known)
                    .count();
                if len > best.len {
                    best = Match { len, distance: at - from };
                    if at + len == limit {
                        break;
                    }
                }
            }
            place = self.before[from];
        }
        (best.len >= MATCH_MIN).then_some(best)
    }
}

#[derive(Clone, Copy)]
struct Match {
    len: usize,
    distance: usize,
}

fn hash(block: &[u8], at: usize) -> usize {
    let four = u32::from_le_bytes(block[at..at + 4].try_into().expect("four bytes"));
    (four.wrapping_mul(2_654_435_761) >> (32 - HASH_BITS)) as usize
}

fn put_sequence(out: &mut Vec<u8>, literals: &[u8], found: Match) {
    put_literals(out, literals, (found.len - MATCH_MIN).min(15));
    let distance = u16::try_from(found.distance).expect("a block has at most 64 KiB");
    out.extend_from_slice(&distance.to_le_bytes());
    put_more(out, found.len - MATCH_MIN);
}

fn put_literals(out: &mut Vec<u8>, literals: &[u8], match_bits: usize) {
    let token = literals.len().min(15) << 4 | match_bits;
    out.push(u8::try_from(token).expect("two times four bits"));
    put_more(out, literals.len());
    out.extend_from_slice(literals);
}

/// What of a length is beyond the token's 15.
fn put_more(out: &mut Vec<u8>, len: usize) {
    let Some(mut rest) = len.checked_sub(15) else { return };
    while rest >= 255 {
        out.push(255);
        rest -= 255;
    }
    out.push(u8::try_from(rest).expect("below 255"));
}
