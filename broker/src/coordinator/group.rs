//! [`GroupShards`]: the group coordinators of this broker, one for each partition of `__consumer_offsets` it leads.
//!
//! Shards start when the image says that this broker leads their partition, or when the first request comes, whichever
//! is earlier, and end when it does not lead them any more. The map of shards is this file's alone.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tidemark_core::group::{GroupCoordinator, GroupReply, GroupRequest, GroupSettings};
use tidemark_core::metadata::{BrokerConfigs, BrokerSettings, ClusterImage, PartitionImage};
use tidemark_protocol::error_code::ErrorCode;
use tidemark_protocol::types::{BrokerId, LeaderEpoch, PartitionIndex, TopicId};
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, watch};

use super::log::PartitionLog;
use super::runtime::{self, ShardHandle, ShardOptions};
use super::shard_of;
use crate::clock::Clock;
use crate::controller::lease::Lease;
use crate::partition::PartitionHandle;

/// The topic groups and their offsets are kept in.
pub const OFFSETS_TOPIC: &str = "__consumer_offsets";
/// Shards that load side by side: enough to keep a disk busy, few enough to leave the pool to others.
const LOADS_AT_ONCE: usize = 4;

/// Requests wait so long for a shard that is being loaded before they are told to come again.
const LOAD_PATIENCE: Duration = Duration::from_millis(500);

/// Finds a partition of this broker.
pub type FindPartition = dyn Fn(&str, PartitionIndex) -> Option<PartitionHandle> + Send + Sync;

/// What the group coordinators of a broker are made of.
pub struct GroupShardsOptions {
    /// This broker.
    pub me: BrokerId,
    /// Time.
    pub clock: Clock,
    /// The cluster.
    pub images: watch::Receiver<Arc<ClusterImage>>,
    /// Static configuration, under the dynamic one of the image.
    pub configs: BrokerConfigs,
    /// The partitions of this broker.
    pub partitions: Arc<FindPartition>,
    /// The right to serve what it leads.
    pub lease: Arc<Lease>,
}

/// The group coordinators of this broker.
pub struct GroupShards {
    me: BrokerId,
    images: watch::Receiver<Arc<ClusterImage>>,
    configs: BrokerConfigs,
    partitions: Arc<FindPartition>,
    lease: Arc<Lease>,
    options: ShardOptions,
    shards: Mutex<Shards>,
}

/// The shards there are.
#[derive(Default)]
struct Shards {
    by_partition: BTreeMap<PartitionIndex, Shard>,
    /// The broker stops: no shard starts any more.
    stopped: bool,
}

/// One shard, and the leadership it was started for.
struct Shard {
    topic_id: TopicId,
    leader_epoch: LeaderEpoch,
    handle: ShardHandle<GroupCoordinator>,
}

impl GroupShards {
    /// No shard yet; [`GroupShards::follow`] starts them.
    pub fn new(options: GroupShardsOptions) -> Arc<Self> {
        let settings = options.configs.settings(&options.images.borrow(), options.me);
        Arc::new(GroupShards {
            me: options.me,
            images: options.images,
            configs: options.configs,
            partitions: options.partitions,
            lease: options.lease,
            options: ShardOptions {
                tasks: Handle::current(),
                clock: options.clock,
                commit_timeout: millis(settings.offsets_commit_timeout_ms),
                load_patience: LOAD_PATIENCE,
                loads: Arc::new(Semaphore::new(LOADS_AT_ONCE)),
            },
            shards: Mutex::new(Shards::default()),
        })
    }

    /// Asks the coordinator of a group. Errors are of the shard, see [`ShardHandle::ask`].
    pub async fn ask(&self, group_id: &str, request: GroupRequest) -> Result<GroupReply, ErrorCode> {
        // Others may be in charge by now, of commits this broker has not heard of.
        if !self.lease.is_held(self.options.clock.now()) {
            return Err(ErrorCode::NotCoordinator);
        }
        let image = self.image();
        let topic = image.topic(OFFSETS_TOPIC).ok_or(ErrorCode::NotCoordinator)?;
        let index = shard_of(group_id, topic.partitions.len());
        let shard = self.shard(&image, index).ok_or(ErrorCode::NotCoordinator)?;
        shard.ask(request).await
    }

    /// Asks every shard of this broker the same. A shard that has just gone to another broker says nothing; any other
    /// error is the answer.
    pub async fn ask_all(&self, request: &GroupRequest) -> Result<Vec<GroupReply>, ErrorCode> {
        let image = self.image();
        let shards: Vec<_> = self.led(&image).filter_map(|(index, _)| self.shard(&image, index)).collect();
        let mut replies = Vec::with_capacity(shards.len());
        for answer in
            futures_util::future::join_all(shards.into_iter().map(|shard| shard.ask(request.clone()))).await
        {
            match answer {
                Ok(reply) => replies.push(reply),
                Err(ErrorCode::NotCoordinator) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(replies)
    }

    /// The broker in charge of a group: E15 while there is none.
    pub fn coordinator_of(&self, image: &ClusterImage, group_id: &str) -> Result<BrokerId, ErrorCode> {
        let topic = image.topic(OFFSETS_TOPIC).ok_or(ErrorCode::CoordinatorNotAvailable)?;
        let partition = topic.partition(shard_of(group_id, topic.partitions.len()));
        partition
            .map(|partition| partition.leader)
            .filter(|leader| *leader >= 0)
            .ok_or(ErrorCode::CoordinatorNotAvailable)
    }

    /// Keeps the shards in step with the cluster until nobody makes images any more. To be run as a task.
    pub async fn follow(self: Arc<Self>) {
        let mut images = self.images.clone();
        let mut before = Arc::clone(&images.borrow_and_update());
        self.reconcile(&before);
        while images.changed().await.is_ok() {
            let image = Arc::clone(&images.borrow_and_update());
            self.reconcile(&image);
            self.tell_settings(&before, &image);
            self.tell_deleted(&before, &image);
            before = image;
        }
        self.stop();
    }

    /// Ends all shards: whoever waits for an answer is told NOT_COORDINATOR, and looks for another one. What was
    /// answered is committed.
    pub fn stop(&self) {
        let mut shards = self.lock();
        shards.stopped = true;
        shards.by_partition.clear();
    }

    /// Starts the shards this broker leads and lets go of the others.
    fn reconcile(&self, image: &ClusterImage) {
        let led: Vec<PartitionIndex> = self.led(image).map(|(index, _)| index).collect();
        self.lock().by_partition.retain(|index, _| led.binary_search(index).is_ok());
        for index in led {
            // A partition that is not here yet is started by its first request.
            let _ = self.shard(image, index);
        }
    }

    fn led<'a>(
        &'a self,
        image: &'a ClusterImage,
    ) -> impl Iterator<Item = (PartitionIndex, &'a PartitionImage)> {
        let partitions = image.topic(OFFSETS_TOPIC).map_or(&[][..], |topic| &topic.partitions);
        (0..).zip(partitions).filter(|(_, partition)| partition.leader == self.me)
    }

    /// The shard of a partition, started now if it must be; `None` when this broker does not lead it.
    fn shard(&self, image: &ClusterImage, index: PartitionIndex) -> Option<ShardHandle<GroupCoordinator>> {
        let topic = image.topic(OFFSETS_TOPIC)?;
        let partition = topic.partition(index).filter(|partition| partition.leader == self.me)?;
        let mut shards = self.lock();
        if shards.stopped {
            return None;
        }
        if let Some(shard) = shards.by_partition.get(&index).filter(|shard| !shard.handle.is_closed()) {
            let current = shard.topic_id == topic.id && shard.leader_epoch >= partition.leader_epoch;
            if current {
                return Some(shard.handle.clone());
            }
        }
        let partition_handle = (self.partitions)(OFFSETS_TOPIC, index)?;
        if partition_handle.id().topic_id != topic.id {
            return None;
        }
        let machine = GroupCoordinator::new(Arc::new(self.settings(image)));
        let log = PartitionLog::new(partition_handle, partition.leader_epoch);
        let name = format!("{OFFSETS_TOPIC}-{index}");
        // The task ends by itself when its handle is dropped.
        let (handle, _task) = runtime::start(name, machine, log, self.options.clone());
        let shard =
            Shard { topic_id: topic.id, leader_epoch: partition.leader_epoch, handle: handle.clone() };
        shards.by_partition.insert(index, shard);
        Some(handle)
    }

    fn tell_settings(&self, before: &ClusterImage, image: &ClusterImage) {
        let settings = self.settings(image);
        if settings != self.settings(before) {
            self.tell(GroupRequest::Reconfigure(Arc::new(settings)));
        }
    }

    /// Offsets of deleted topics go. A shard that is not reached keeps them until they expire; they are not told for a
    /// topic of another id.
    fn tell_deleted(&self, before: &ClusterImage, image: &ClusterImage) {
        let gone = before.topics.diff(&image.topics).filter_map(|item| match item {
            imbl::ordmap::DiffItem::Remove(id, topic) => Some((Arc::clone(&topic.name), *id)),
            _ => None,
        });
        let topics: Vec<_> = gone.collect();
        if !topics.is_empty() {
            self.tell(GroupRequest::TopicsDeleted { topics });
        }
    }

    /// Sends news to every shard; each is delivered by a task of its own, so that a busy one holds up nobody.
    fn tell(&self, request: GroupRequest) {
        for (index, shard) in &self.lock().by_partition {
            let (index, handle, request) = (*index, shard.handle.clone(), request.clone());
            self.options.tasks.spawn(async move {
                if let Err(error) = handle.ask(request).await {
                    tracing::info!(
                        shard = index,
                        error = error.name(),
                        "news did not reach a coordinator shard"
                    );
                }
            });
        }
    }

    fn settings(&self, image: &ClusterImage) -> GroupSettings {
        group_settings(&self.configs.settings(image, self.me))
    }

    fn image(&self) -> Arc<ClusterImage> {
        Arc::clone(&self.images.borrow())
    }

    /// Held for map operations and the start of a task only.
    fn lock(&self) -> MutexGuard<'_, Shards> {
        self.shards.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn group_settings(settings: &BrokerSettings) -> GroupSettings {
    GroupSettings {
        initial_rebalance_delay_ms: settings.group_initial_rebalance_delay_ms,
        min_session_timeout_ms: settings.group_min_session_timeout_ms,
        max_session_timeout_ms: settings.group_max_session_timeout_ms,
        max_size: usize::try_from(settings.group_max_size).unwrap_or(usize::MAX),
        offset_metadata_max_bytes: usize::try_from(settings.offset_metadata_max_bytes).unwrap_or(0),
        offsets_retention_ms: settings.offsets_retention_ms,
        offsets_retention_check_interval_ms: settings.offsets_retention_check_interval_ms,
    }
}

fn millis(value: i32) -> Duration {
    Duration::from_millis(u64::try_from(value).unwrap_or(0))
}
