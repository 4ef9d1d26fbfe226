//! Waiting for news of partitions: how a fetch sleeps until one of its partitions has more to read.
//!
//! A fetch makes one [`FetchWaiter`] and registers it with each partition it waits on; the first partition with news
//! wakes it and forgets it. An idle partition does nothing. The guard unregisters what is left when the fetch ends.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::{PartitionHandle, PartitionView};

/// One sleeping fetch, shared with the partitions that may wake it.
#[derive(Debug, Default)]
struct Sleeper {
    woken: AtomicBool,
    notify: Notify,
}

/// A fetch that waits; unregisters itself everywhere when dropped.
#[derive(Debug, Default)]
pub struct FetchWaiter {
    sleeper: Arc<Sleeper>,
    registered: Vec<PartitionHandle>,
}

impl FetchWaiter {
    /// A waiter that waits on nothing yet.
    pub fn new() -> FetchWaiter {
        FetchWaiter::default()
    }

    /// Waits on `partition` too. `seen` is the view the caller has already looked at: if there was news since, the
    /// waiter is woken at once, so none is lost between looking and registering.
    pub fn register(&mut self, partition: &PartitionHandle, seen: &PartitionView) {
        partition.waiters().add(&self.sleeper);
        self.registered.push(partition.clone());
        if partition.news() != seen.news {
            self.sleeper.wake();
        }
    }

    /// Returns once any registered partition had news; at once if it had any since the last [`FetchWaiter::reset`].
    pub async fn woken(&self) {
        self.sleeper.notify.notified().await;
    }

    /// Forgets the wake-up and all registrations, to wait again after a look at the partitions.
    pub fn reset(&mut self) {
        self.unregister();
        self.sleeper = Arc::new(Sleeper::default());
    }

    fn unregister(&mut self) {
        for partition in self.registered.drain(..) {
            partition.waiters().remove(&self.sleeper);
        }
    }
}

impl Drop for FetchWaiter {
    fn drop(&mut self) {
        self.unregister();
    }
}

impl Sleeper {
    /// Wakes once; later calls do nothing.
    fn wake(&self) {
        if !self.woken.swap(true, Ordering::AcqRel) {
            self.notify.notify_one();
        }
    }
}

/// The fetches asleep on one partition.
#[derive(Debug, Default)]
pub struct Waiters {
    /// Spares the lock for partitions nobody waits on.
    any: AtomicBool,
    sleepers: Mutex<Vec<Arc<Sleeper>>>,
}

impl Waiters {
    fn lock(&self) -> MutexGuard<'_, Vec<Arc<Sleeper>>> {
        self.sleepers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, sleeper: &Arc<Sleeper>) {
        let mut sleepers = self.lock();
        sleepers.push(Arc::clone(sleeper));
        self.any.store(true, Ordering::SeqCst);
    }

    fn remove(&self, sleeper: &Arc<Sleeper>) {
        let mut sleepers = self.lock();
        if let Some(at) = sleepers.iter().position(|other| Arc::ptr_eq(other, sleeper)) {
            sleepers.swap_remove(at);
        }
        if sleepers.is_empty() {
            // An idle partition keeps no memory of past fetches.
            *sleepers = Vec::new();
            self.any.store(false, Ordering::SeqCst);
        }
    }

    /// Wakes and forgets everyone. Call after the news is published.
    pub fn wake_all(&self) {
        if !self.any.load(Ordering::SeqCst) {
            return;
        }
        let mut sleepers = self.lock();
        self.any.store(false, Ordering::SeqCst);
        let woken = std::mem::take(&mut *sleepers);
        drop(sleepers);
        for sleeper in woken {
            sleeper.wake();
        }
    }

    /// How many fetches sleep here.
    pub fn len(&self) -> usize {
        self.lock().len()
    }

    /// Whether nobody sleeps here.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests;
