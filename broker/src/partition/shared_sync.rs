//! [`SharedSync`]: a sync of everything, shared by all who asked before it began.
//!
//! Syncs run one after another. Whoever asked while one was under way cannot rely on it, which may have passed by what
//! they wrote; the next one serves all of them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// Runs syncs one at a time, and no more than needed.
#[derive(Debug, Default)]
pub(super) struct SharedSync {
    /// How many have begun.
    begun: AtomicU64,
    /// The number of the last that succeeded, counted from 1. Locked while one runs.
    succeeded: Mutex<u64>,
}

/// A wish for a sync, made after writing what it is for: any sync with a higher number serves.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked(u64);

impl SharedSync {
    /// Asks for a sync that begins after this call.
    pub(super) fn ask(&self) -> Asked {
        Asked(self.begun.load(Ordering::SeqCst))
    }

    /// Returns after a sync that began after `asked`: somebody else's if there was one, else `sync`, which says whether
    /// it succeeded.
    pub(super) fn settle(&self, asked: Asked, sync: impl FnOnce() -> bool) {
        // After a panic nothing was counted, so nobody relies on that sync.
        let mut succeeded = self.succeeded.lock().unwrap_or_else(PoisonError::into_inner);
        if *succeeded > asked.0 {
            return;
        }
        let number = self.begun.fetch_add(1, Ordering::SeqCst) + 1;
        if sync() {
            *succeeded = number;
        }
    }
}

#[cfg(test)]
mod tests;
