//! Deadlines in order, without a clock: one per key, the earliest first.
//!
//! Setting a key again moves its deadline. Equal deadlines fall due in key order, so runs repeat exactly.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// A set of deadlines, at most one per key. Setting and clearing cost O(log n).
#[derive(Clone, Debug)]
pub struct Deadlines<K> {
    by_key: BTreeMap<K, Duration>,
    by_time: BTreeSet<(Duration, K)>,
}

impl<K> Default for Deadlines<K> {
    fn default() -> Self {
        Deadlines { by_key: BTreeMap::new(), by_time: BTreeSet::new() }
    }
}

impl<K: Ord + Clone> Deadlines<K> {
    /// Sets or moves the deadline of `key` to `at` (as `Now::mono`).
    pub fn set(&mut self, key: K, at: Duration) {
        if let Some(old) = self.by_key.insert(key.clone(), at) {
            self.by_time.remove(&(old, key.clone()));
        }
        self.by_time.insert((at, key));
    }

    /// Forgets the deadline of `key`; says whether there was one.
    pub fn clear(&mut self, key: &K) -> bool {
        match self.by_key.remove(key) {
            Some(at) => self.by_time.remove(&(at, key.clone())),
            None => false,
        }
    }

    /// The deadline of `key`, if it has one.
    pub fn get(&self, key: &K) -> Option<Duration> {
        self.by_key.get(key).copied()
    }

    /// The earliest deadline of all.
    pub fn next(&self) -> Option<Duration> {
        self.by_time.first().map(|(at, _)| *at)
    }

    /// Takes out the earliest key due by `now` (inclusive).
    pub fn pop_due(&mut self, now: Duration) -> Option<K> {
        if self.next()? > now {
            return None;
        }
        let (_, key) = self.by_time.pop_first()?;
        self.by_key.remove(&key);
        Some(key)
    }

    /// How many keys have a deadline.
    pub fn len(&self) -> usize {
        self.by_key.len()
    }

    /// Whether no key has a deadline.
    pub fn is_empty(&self) -> bool {
        self.by_key.is_empty()
    }
}

#[cfg(test)]
mod tests;
