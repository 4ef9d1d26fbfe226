//! [`Subscription`]: how a follower's fetch session learns which of many partitions have something for it.
//!
//! Unlike a consumer's waiter it stays registered: a session follows thousands of partitions for as long as it lives, and a
//! fetch must cost what changed, not what is followed.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tidemark_protocol::types::TopicIdPartition;
use tokio::sync::Notify;

/// The partitions of one session that have changed since it looked.
#[derive(Debug, Default)]
pub struct Subscription {
    changed: Mutex<BTreeSet<TopicIdPartition>>,
    notify: Notify,
}

impl Subscription {
    /// A subscription to nothing yet.
    pub fn new() -> Arc<Subscription> {
        Arc::default()
    }

    /// Takes what has changed.
    pub fn take(&self) -> BTreeSet<TopicIdPartition> {
        std::mem::take(&mut *self.lock())
    }

    /// Returns when something changed since the last return; perhaps once too often.
    pub async fn changed(&self) {
        self.notify.notified().await;
    }

    /// Counts a partition as changed.
    pub fn mark(&self, id: TopicIdPartition) {
        let first = {
            let mut changed = self.lock();
            changed.insert(id);
            changed.len() == 1
        };
        if first {
            self.notify.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeSet<TopicIdPartition>> {
        self.changed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The sessions that follow one partition. A partition nobody follows keeps no memory for it.
#[derive(Debug, Default)]
pub struct Subscribers {
    any: AtomicBool,
    list: Mutex<Vec<Weak<Subscription>>>,
}

impl Subscribers {
    /// Tells `subscription` of changes from now on, until it is dropped.
    pub fn add(&self, subscription: &Arc<Subscription>) {
        let mut list = self.lock();
        list.retain(|other| other.strong_count() > 0);
        let weak = Arc::downgrade(subscription);
        if !list.iter().any(|other| other.ptr_eq(&weak)) {
            list.push(weak);
        }
        self.any.store(true, Ordering::SeqCst);
    }

    /// The partition has changed. Call after the view is published.
    pub fn tell(&self, id: TopicIdPartition) {
        if !self.any.load(Ordering::SeqCst) {
            return;
        }
        let mut list = self.lock();
        list.retain(|subscription| match subscription.upgrade() {
            Some(subscription) => {
                subscription.mark(id);
                true
            }
            None => false,
        });
        if list.is_empty() {
            *list = Vec::new();
            self.any.store(false, Ordering::SeqCst);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Weak<Subscription>>> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use tidemark_protocol::types::TopicId;
    use uuid::Uuid;

    use super::*;

    fn id(partition: i32) -> TopicIdPartition {
        TopicIdPartition { topic_id: TopicId(Uuid::from_u128(1)), partition }
    }

    #[test]
    fn what_changes_is_told_once_until_it_is_taken() {
        let subscribers = Subscribers::default();
        let subscription = Subscription::new();
        subscribers.add(&subscription);
        subscribers.add(&subscription);
        subscribers.tell(id(1));
        subscribers.tell(id(1));
        assert_eq!(subscription.take(), BTreeSet::from([id(1)]));
        assert_eq!(subscription.take(), BTreeSet::new());
    }

    #[test]
    fn a_session_that_is_gone_is_forgotten() {
        let subscribers = Subscribers::default();
        subscribers.add(&Subscription::new());
        subscribers.tell(id(1));
        assert!(subscribers.lock().is_empty());
        assert!(!subscribers.any.load(Ordering::SeqCst));
    }
}
