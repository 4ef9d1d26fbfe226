//! From one image to the next: which partitions to stop, to start, to tell about a change.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tidemark_core::metadata::{
    BrokerConfigs, ClusterDelta, ClusterImage, PartitionImage, TopicImage, TopicSettings, delta,
};
use tidemark_protocol::types::BrokerId;
use tokio::sync::watch;

use super::map::ReplicaMap;
use crate::partition::directory::{Directory, UpkeepSettings};
use crate::partition::inbox::Input;
use crate::partition::{Brokers, PartitionConfig, PartitionHandle, Removal};

/// Follows the images and writes the map.
pub(super) struct Reconciler {
    me: BrokerId,
    configs: BrokerConfigs,
    directory: Arc<Directory>,
    map: Arc<ArcSwap<ReplicaMap>>,
    image: Arc<ClusterImage>,
    applied: watch::Sender<u64>,
}

impl Reconciler {
    pub(super) fn new(
        me: BrokerId,
        configs: BrokerConfigs,
        directory: Arc<Directory>,
        map: Arc<ArcSwap<ReplicaMap>>,
        applied: watch::Sender<u64>,
    ) -> Reconciler {
        Reconciler { me, configs, directory, map, image: Arc::default(), applied }
    }

    /// Applies an image in two steps: what goes is out of the map and renamed away before what comes takes its place.
    pub(super) async fn follow(&mut self, image: Arc<ClusterImage>) {
        let delta = delta(&self.image, &image, self.me);
        for removal in self.stop(&delta) {
            removal.done().await;
        }
        self.start(&delta, image);
    }

    /// Opens the replicas of an image that has partitions with others: nobody leads them yet. The first of all images.
    pub(super) fn open(&mut self, image: &ClusterImage) {
        let image = Arc::new(without_leaders(image));
        let delta = delta(&self.image, &image, self.me);
        assert!(delta.stop.is_empty(), "there was nothing before the first image");
        self.start(&delta, image);
    }

    fn stop(&mut self, delta: &ClusterDelta) -> Vec<Removal> {
        if delta.stop.is_empty() {
            return Vec::new();
        }
        let mut map = ReplicaMap::clone(&self.map.load());
        let removed: Vec<_> = delta.stop.iter().filter_map(|stopped| map.remove(stopped.id)).collect();
        // Nobody finds them any more before they refuse.
        self.map.store(Arc::new(map));
        removed.iter().map(PartitionHandle::remove).collect()
    }

    fn start(&mut self, delta: &ClusterDelta, image: Arc<ClusterImage>) {
        self.tell_brokers(&image);
        let mut map = ReplicaMap::clone(&self.map.load());
        let mut configs = ConfigCache::default();
        let mut attach: BTreeMap<usize, Vec<(PartitionHandle, PartitionImage)>> = BTreeMap::new();
        let threads = self.directory.inboxes().len();
        let known = map.clone();
        for assigned in &delta.start {
            let config = configs.get(&self.configs, &image, self.me, &assigned.tp.topic);
            if let Some(handle) = map.partition_by_id(assigned.id) {
                // An ISR in this image may count on a min ISR in it, and the other way round: an image may be many changes
                // ahead of the last, so the new minimum may be one under which the old ISR never was.
                handle.assign_configured(assigned.partition.clone(), &config);
                continue;
            }
            let inbox = Arc::clone(self.directory.inbox_of(assigned.id));
            let handle = PartitionHandle::new(assigned.id, assigned.tp.clone(), inbox, config);
            map.insert(handle.clone());
            let thread = crate::partition::thread_of(assigned.id, threads);
            attach.entry(thread).or_default().push((handle, assigned.partition.clone()));
        }
        self.reconfigure(delta, &image, &known, &mut configs);
        for (thread, partitions) in attach {
            self.directory.inboxes()[thread].send(Input::Attach(partitions));
        }
        self.directory.set_upkeep(UpkeepSettings::new(&self.configs.settings(&image, self.me)));
        // A handle is in the map only after its thread was told of it: inputs are handled in order.
        self.map.store(Arc::new(map));
        self.image = image;
        self.applied.send_replace(self.image.version);
    }

    /// Tells the log threads of brokers that may be in sync, before anything they are needed for.
    fn tell_brokers(&self, image: &ClusterImage) {
        if image.brokers.ptr_eq(&self.image.brokers) {
            return;
        }
        let usable = image.usable_brokers().map(|broker| (broker.id, broker.epoch));
        let lag_max = self.configs.settings(image, self.me).replica_lag_time_max_ms;
        let replica_lag_max = Duration::from_millis(u64::try_from(lag_max).unwrap_or(0));
        let brokers = Arc::new(Brokers { me: self.me, eligible: usable.collect(), replica_lag_max });
        for inbox in self.directory.inboxes() {
            inbox.send(Input::Brokers(Arc::clone(&brokers)));
        }
    }

    fn reconfigure(
        &self,
        delta: &ClusterDelta,
        image: &ClusterImage,
        map: &ReplicaMap,
        configs: &mut ConfigCache,
    ) {
        let changed = map
            .topics()
            .filter(|topic| delta.broker_config_changed || delta.reconfigure.contains(&topic.name));
        for topic in changed {
            let config = configs.get(&self.configs, image, self.me, &topic.name);
            for handle in topic.partitions() {
                handle.configure(&config);
            }
        }
    }
}

/// The image with replicated partitions only, none of which has a leader, before all others: its version is 0.
fn without_leaders(image: &ClusterImage) -> ClusterImage {
    let mut masked = image.clone();
    masked.version = 0;
    for (id, topic) in &image.topics {
        if topic.partitions.iter().all(|partition| partition.replicas.len() < 2) {
            masked.topics.remove(id);
            continue;
        }
        let mut topic = TopicImage::clone(topic);
        for partition in &mut topic.partitions {
            partition.leader = -1;
            if partition.replicas.len() < 2 {
                partition.replicas = Arc::from([]);
            }
        }
        masked.topics.insert(*id, Arc::new(topic));
    }
    masked
}

/// Settings already worked out for one image; topics without overrides share one value.
#[derive(Default)]
struct ConfigCache {
    plain: Option<Arc<PartitionConfig>>,
    last: Option<(Arc<str>, Arc<PartitionConfig>)>,
}

impl ConfigCache {
    fn get(
        &mut self,
        configs: &BrokerConfigs,
        image: &ClusterImage,
        me: BrokerId,
        topic: &Arc<str>,
    ) -> Arc<PartitionConfig> {
        let resolve = |overrides: &BTreeMap<String, String>| {
            let layers = configs.layers(image, me);
            Arc::new(PartitionConfig::new(&TopicSettings::resolve(overrides, &layers)))
        };
        let Some(overrides) = image.topic_config(topic) else {
            return Arc::clone(self.plain.get_or_insert_with(|| resolve(&BTreeMap::new())));
        };
        // Partitions of a topic come one after another.
        if let Some((name, config)) = &self.last
            && name == topic
        {
            return Arc::clone(config);
        }
        let config = resolve(overrides);
        self.last = Some((Arc::clone(topic), Arc::clone(&config)));
        config
    }
}
