//! [`Outlet`]: what the writers of a broker have to say to other brokers: where each follower stands, which ISR each leader
//! wants, and which replicas are damaged.
//!
//! News of one partition replace older ones, so a slow reader costs no memory. Written by log threads; taken by the
//! fetchers, the ISR proposer and the quarantine, which are woken once for all that has gathered.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tidemark_core::replication::epochs::FetchPosition;
use tidemark_core::replication::isr::IsrProposal;
use tidemark_protocol::error_code::ErrorCode;
use tidemark_protocol::types::{BrokerId, Offset, TopicIdPartition};
use tokio::sync::Notify;

use super::PartitionHandle;

/// Where a follower stands.
#[derive(Clone, Debug)]
pub struct FollowerPlace {
    /// The partition.
    pub handle: PartitionHandle,
    /// Whom it follows; `None` when it follows nobody any more.
    pub leader: Option<BrokerId>,
    /// What it asks for next; `None` while there is nothing to ask.
    pub position: Option<FetchPosition>,
    /// Its log is known to be a prefix of the leader's: before that a finished sync says nothing.
    pub agrees: bool,
    /// How far its log is durable.
    pub durable_end: Offset,
    /// Where its log starts.
    pub log_start: Offset,
    /// The last answer was of no use: asking again has to wait a little.
    pub pause: Option<ErrorCode>,
}

impl FollowerPlace {
    /// The replica is taken away.
    pub(super) fn gone(handle: PartitionHandle) -> FollowerPlace {
        FollowerPlace {
            handle,
            leader: None,
            position: None,
            agrees: false,
            durable_end: 0,
            log_start: 0,
            pause: None,
        }
    }
}

/// The pigeonholes.
#[derive(Debug, Default)]
pub struct Outlet {
    places: Pigeonhole<FollowerPlace>,
    proposals: Pigeonhole<(PartitionHandle, IsrProposal)>,
    damaged: Pigeonhole<PartitionHandle>,
}

impl Outlet {
    /// A follower has moved. A pause that nobody has heard of yet stays with its place: without it the place would seem to
    /// have been asked for.
    pub(super) fn tell_place(&self, place: FollowerPlace) {
        self.places.put(place.handle.id(), place, |old, new| {
            if old.leader == new.leader && old.position == new.position {
                new.pause = new.pause.or(old.pause);
            }
        });
    }

    /// A leader wants another ISR.
    pub(super) fn propose(&self, handle: PartitionHandle, proposal: IsrProposal) {
        self.proposals.put(handle.id(), (handle, proposal), |_, _| {});
    }

    /// A replica cannot vouch for what it holds.
    pub(super) fn report_damage(&self, handle: PartitionHandle) {
        self.damaged.put(handle.id(), handle, |_, _| {});
    }

    /// The newest places, once there are any.
    pub async fn places(&self) -> BTreeMap<TopicIdPartition, FollowerPlace> {
        self.places.take().await
    }

    /// The newest proposals, once there are any.
    pub async fn proposals(&self) -> BTreeMap<TopicIdPartition, (PartitionHandle, IsrProposal)> {
        self.proposals.take().await
    }

    /// Replicas that cannot vouch for what they hold, once there are any.
    pub async fn damaged(&self) -> BTreeMap<TopicIdPartition, PartitionHandle> {
        self.damaged.take().await
    }

    /// As [`Outlet::damaged`], those that are known by now.
    pub fn damaged_now(&self) -> BTreeMap<TopicIdPartition, PartitionHandle> {
        std::mem::take(&mut *self.damaged.lock())
    }
}

/// The newest of each partition.
#[derive(Debug)]
struct Pigeonhole<T> {
    newest: Mutex<BTreeMap<TopicIdPartition, T>>,
    notify: Notify,
}

impl<T> Default for Pigeonhole<T> {
    fn default() -> Self {
        Pigeonhole { newest: Mutex::default(), notify: Notify::new() }
    }
}

impl<T> Pigeonhole<T> {
    /// Puts news in the place of older ones; `merge` keeps of those what must not be lost.
    fn put(&self, id: TopicIdPartition, mut news: T, merge: impl FnOnce(&T, &mut T)) {
        let first = {
            let mut newest = self.lock();
            if let Some(old) = newest.get(&id) {
                merge(old, &mut news);
            }
            newest.insert(id, news);
            newest.len() == 1
        };
        if first {
            self.notify.notify_one();
        }
    }

    async fn take(&self) -> BTreeMap<TopicIdPartition, T> {
        loop {
            let taken = std::mem::take(&mut *self.lock());
            if !taken.is_empty() {
                return taken;
            }
            self.notify.notified().await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<TopicIdPartition, T>> {
        self.newest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
