//! OffsetMap: key → newest offset, for compaction. 24 bytes a slot, whatever the keys are.
//!
//! Keys are not kept, only their 128-bit SipHash under a key of the caller's: two of a billion keys fall together with a
//! probability of about 10⁻²¹. Open addressing with linear probing in one table whose size never changes.

use siphasher::sip128::{Hasher128, SipHasher13};
use std::hash::Hasher;

use tidemark_protocol::types::Offset;

/// Bytes of a slot: hash and offset.
pub const SLOT_LEN: usize = 24;
/// Fewer slots make no sense.
const SLOTS_MIN: usize = 16;

/// A bounded map from keys to offsets.
pub struct OffsetMap {
    /// Zeroed by the allocator: pages that no key falls on are never touched.
    hashes: Vec<u128>,
    /// Offset plus one; 0 is an empty slot.
    offsets: Vec<u64>,
    len: usize,
    limit: usize,
    seed: (u64, u64),
}

impl OffsetMap {
    /// A map of at most `memory` bytes, and no larger than `keys` distinct ones need.
    pub fn new(memory: usize, keys: u64, seed: (u64, u64)) -> Self {
        let wanted = usize::try_from(keys.saturating_add(keys / 8)).unwrap_or(usize::MAX).saturating_add(1);
        let slots = (memory / SLOT_LEN).min(wanted).max(SLOTS_MIN);
        // At nine tenths full, a search takes about five probes.
        OffsetMap {
            hashes: vec![0; slots],
            offsets: vec![0; slots],
            len: 0,
            limit: slots - slots.div_ceil(10),
            seed,
        }
    }

    /// Notes that `key` is at `offset`; a lower one than known is ignored. False when there is no room: then nothing was
    /// noted.
    pub fn put(&mut self, key: &[u8], offset: Offset) -> bool {
        let stored = u64::try_from(offset).expect("offsets in a log are not negative") + 1;
        let hash = self.hash(key);
        let slot = self.slot_of(hash);
        if self.offsets[slot] == 0 {
            if self.len == self.limit {
                return false;
            }
            self.len += 1;
            self.hashes[slot] = hash;
        }
        self.offsets[slot] = self.offsets[slot].max(stored);
        true
    }

    /// The newest offset of `key`.
    pub fn get(&self, key: &[u8]) -> Option<Offset> {
        let stored = self.offsets[self.slot_of(self.hash(key))];
        stored.checked_sub(1).map(|offset| Offset::try_from(offset).expect("was an offset"))
    }

    /// How many keys it holds.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many keys fit.
    pub fn limit(&self) -> usize {
        self.limit
    }

    fn hash(&self, key: &[u8]) -> u128 {
        let mut hasher = SipHasher13::new_with_keys(self.seed.0, self.seed.1);
        hasher.write(key);
        hasher.finish128().as_u128()
    }

    /// The slot that holds `hash`, or the empty one where it belongs. There is always an empty one.
    fn slot_of(&self, hash: u128) -> usize {
        let mut slot = (hash % self.hashes.len() as u128) as usize; // below a usize
        while self.offsets[slot] != 0 && self.hashes[slot] != hash {
            slot = if slot + 1 == self.hashes.len() { 0 } else { slot + 1 };
        }
        slot
    }
}

impl std::fmt::Debug for OffsetMap {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "OffsetMap({} of {})", self.len, self.limit)
    }
}

#[cfg(test)]
mod tests;
