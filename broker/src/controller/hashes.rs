//! [`Hashes`]: what the image of this member was at certain entries, by which members notice that theirs differ.
//!
//! Applying the log is meant to give the same image everywhere. Should it not, the members would answer clients
//! differently for ever and nobody would see it. The leader tells its newest hash with what it sends; a member that has
//! another one for the same entry stops.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

/// Entries between two hashes. Each costs a walk over the whole image.
pub const HASH_EVERY: u64 = 1000;
/// Hashes that are kept: a member may be behind the leader, or ahead of what a leader has told.
const KEPT: usize = 8;

/// The newest hashes of this member; cheap to clone.
#[derive(Clone)]
pub struct Hashes {
    known: Arc<Mutex<BTreeMap<u64, u64>>>,
    failure: watch::Sender<Option<String>>,
}

impl Hashes {
    /// No hash yet. `failure` is told when this member differs from the leader.
    pub fn new(failure: watch::Sender<Option<String>>) -> Hashes {
        Hashes { known: Arc::default(), failure }
    }

    /// Keeps the hash of the image after the entry `index`.
    pub fn put(&self, index: u64, hash: u64) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(index, hash);
        if known.len() > KEPT {
            known.pop_first();
        }
    }

    /// The last entry that has a hash, and the hash.
    pub fn newest(&self) -> Option<(u64, u64)> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.last_key_value().map(|(index, hash)| (*index, *hash))
    }

    /// Compares with what the leader says of the entry `index`; if this member knows another hash, it has failed.
    pub fn compare(&self, index: u64, leaders: u64) -> Result<(), String> {
        let own = self.known.lock().unwrap_or_else(PoisonError::into_inner).get(&index).copied();
        let Some(own) = own.filter(|own| *own != leaders) else { return Ok(()) };
        let why = format!(
            "this node's metadata differ from the controller's at entry {index} ({own:016x}, {leaders:016x} there). \
             Keep the directory metadata/ for a report; a node that joins with an empty data directory gets good ones"
        );
        tracing::error!(why, "this node's controller stops");
        self.failure.send_replace(Some(why.clone()));
        Err(why)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hashes() -> (Hashes, watch::Receiver<Option<String>>) {
        let (failure, failed) = watch::channel(None);
        (Hashes::new(failure), failed)
    }

    #[test]
    fn a_member_whose_hash_is_the_leaders_goes_on() {
        let (hashes, failed) = hashes();
        hashes.put(1000, 7);
        assert_eq!(hashes.compare(1000, 7), Ok(()));
        assert_eq!(*failed.borrow(), None);
    }

    #[test]
    fn a_member_that_has_another_hash_stops_and_says_where() {
        let (hashes, failed) = hashes();
        hashes.put(1000, 7);
        assert!(hashes.compare(1000, 8).is_err_and(|why| why.contains("entry 1000")));
        assert!(failed.borrow().is_some(), "the process is told");
    }

    #[test]
    fn an_entry_this_member_has_no_hash_of_says_nothing() {
        let (hashes, failed) = hashes();
        assert_eq!(hashes.compare(1000, 8), Ok(()), "it is behind");
        for nth in 1..=20 {
            hashes.put(nth * 1000, nth);
        }
        assert_eq!(hashes.compare(1000, 8), Ok(()), "it is ahead, and has forgotten");
        assert_eq!(hashes.newest(), Some((20_000, 20)));
        assert_eq!(*failed.borrow(), None);
    }
}
