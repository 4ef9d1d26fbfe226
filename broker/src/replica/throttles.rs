//! [`Throttles`]: the replication throttles of this broker, in effect on both sides of a fetch.
//!
//! Follows the images: rates are settings of the broker, replicas of the topics. While nothing is throttled a look costs one
//! load.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tidemark_core::metadata::replication_throttle::{ReplicationThrottle, ThrottledSide};
use tidemark_core::metadata::{BrokerConfigs, ClusterImage};
use tidemark_protocol::types::{BrokerId, TopicIdPartition};
use tokio::sync::watch;

use crate::clock::Clock;

/// Both throttles.
pub struct Throttles {
    me: BrokerId,
    clock: Clock,
    configs: BrokerConfigs,
    images: watch::Receiver<Arc<ClusterImage>>,
    leader: Side,
    follower: Side,
}

#[derive(Default)]
struct Side {
    is_idle: AtomicBool,
    throttle: Mutex<ReplicationThrottle>,
}

impl Side {
    fn lock(&self) -> MutexGuard<'_, ReplicationThrottle> {
        self.throttle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn configure(&self, change: impl FnOnce(&mut ReplicationThrottle)) {
        let mut throttle = self.lock();
        change(&mut throttle);
        self.is_idle.store(throttle.is_idle(), Ordering::Relaxed);
    }
}

impl Throttles {
    /// The throttles of broker `me` as the present image has them.
    pub fn new(
        me: BrokerId,
        clock: Clock,
        configs: BrokerConfigs,
        images: watch::Receiver<Arc<ClusterImage>>,
    ) -> Arc<Throttles> {
        let (leader, follower) = (Side::default(), Side::default());
        let throttles = Throttles { me, clock, configs, images, leader, follower };
        let image = throttles.images.borrow().clone();
        throttles.apply(&image);
        Arc::new(throttles)
    }

    /// Keeps them in step with the images, for as long as it is polled.
    pub async fn follow(self: Arc<Throttles>) {
        let mut images = self.images.clone();
        let mut seen = Arc::new(ClusterImage::default());
        loop {
            let image = images.borrow_and_update().clone();
            if !image.configs.ptr_eq(&seen.configs) || !image.topic_ids.ptr_eq(&seen.topic_ids) {
                self.apply(&image);
            }
            seen = image;
            if images.changed().await.is_err() {
                return;
            }
        }
    }

    fn apply(&self, image: &ClusterImage) {
        let settings = self.configs.settings(image, self.me);
        for (side, which, rate) in [
            (&self.leader, ThrottledSide::Leader, settings.leader_replication_throttled_rate),
            (&self.follower, ThrottledSide::Follower, settings.follower_replication_throttled_rate),
        ] {
            side.configure(|throttle| throttle.configure(image, self.me, which, rate));
        }
    }

    /// How long this leader may send nothing more of a partition to a replica; `None` if it may now.
    pub(crate) fn hold_sending(&self, id: TopicIdPartition, to: BrokerId) -> Option<Duration> {
        self.hold(&self.leader, id, to)
    }

    /// So many bytes were sent to a replica.
    pub(crate) fn sent(&self, id: TopicIdPartition, to: BrokerId, bytes: usize) {
        self.spent(&self.leader, id, to, bytes);
    }

    /// How long this follower may ask for nothing more of a partition; `None` if it may now.
    pub(crate) fn hold_fetching(&self, id: TopicIdPartition) -> Option<Duration> {
        self.hold(&self.follower, id, self.me)
    }

    /// So many bytes were fetched.
    pub(crate) fn fetched(&self, id: TopicIdPartition, bytes: usize) {
        self.spent(&self.follower, id, self.me, bytes);
    }

    fn hold(&self, side: &Side, id: TopicIdPartition, replica: BrokerId) -> Option<Duration> {
        if side.is_idle.load(Ordering::Relaxed) || self.is_in_sync(id, replica) {
            return None;
        }
        let rest = side.lock().rest(id, self.clock.now().mono);
        (!rest.is_zero()).then_some(rest)
    }

    fn spent(&self, side: &Side, id: TopicIdPartition, replica: BrokerId, bytes: usize) {
        if bytes > 0 && !side.is_idle.load(Ordering::Relaxed) && !self.is_in_sync(id, replica) {
            side.lock().spend(id, bytes, self.clock.now().mono);
        }
    }

    fn is_in_sync(&self, id: TopicIdPartition, replica: BrokerId) -> bool {
        let image = self.images.borrow();
        image.partition_by_id(&id).is_none_or(|partition| partition.isr.contains(&replica))
    }
}
