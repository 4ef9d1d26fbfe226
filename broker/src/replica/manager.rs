//! [`ReplicaManager`]: starts and stops the partitions of this broker as the cluster's metadata say.
//!
//! Its task is the only writer of the [`ReplicaMap`]; everybody reads the published one. It applies images in order of
//! their version and tells [`ReplicaManager::wait_applied`] how far it is, so that a topic can be used as soon as its
//! creation is answered. A directory is renamed away before a topic of the same name gets its place.
//!
//! It starts in two steps. The logs of partitions that have other replicas are opened first, while this broker is nobody's
//! leader or follower ([`Opening`]): what recovery finds goes into the registration. Then roles are taken as the image says.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use tidemark_core::metadata::ClusterImage;
use tidemark_protocol::types::{PartitionIndex, TopicIdPartition};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

use super::map::ReplicaMap;
use super::quarantine;
use super::reconcile::Reconciler;
use super::start::{self, ReplicaOptions, StartError};
use crate::controller::ControllerHandle;
use crate::partition::directory::Directory;
use crate::partition::inbox::Input;
use crate::partition::outlet::Outlet;
use crate::partition::{Findings, LogThreadMetrics, PartitionHandle};

/// How stopping went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShutdownReport {
    /// Every partition was flushed and closed in time: the directory may be marked clean.
    pub clean: bool,
}

/// The partitions of this broker.
pub struct ReplicaManager {
    map: Arc<ArcSwap<ReplicaMap>>,
    applied: watch::Receiver<u64>,
    directory: Arc<Directory>,
    running: Mutex<Option<Running>>,
}

/// What ends with the manager.
struct Running {
    tasks: Vec<JoinHandle<()>>,
    threads: Vec<oneshot::Receiver<bool>>,
}

/// A replica manager without roles yet.
pub struct Opening {
    manager: ReplicaManager,
    reconciler: Reconciler,
    images: watch::Receiver<Arc<ClusterImage>>,
    on_disk: start::OnDisk,
    lost_journals: bool,
}

impl Opening {
    /// Starts the log threads, which open the logs of replicated partitions.
    pub fn begin(
        options: ReplicaOptions,
        images: watch::Receiver<Arc<ClusterImage>>,
    ) -> Result<Opening, StartError> {
        let image = Arc::clone(&images.borrow());
        let started = start::start(&options, &image)?;
        let map = Arc::new(ArcSwap::from_pointee(ReplicaMap::default()));
        let (tell_applied, applied) = watch::channel(0);
        let mut reconciler = Reconciler::new(
            options.me,
            options.configs,
            Arc::clone(&started.directory),
            Arc::clone(&map),
            tell_applied,
        );
        reconciler.open(&image);
        let running = Running { tasks: Vec::new(), threads: started.threads };
        let running = Mutex::new(Some(running));
        let manager = ReplicaManager { map, applied, directory: started.directory, running };
        let (on_disk, lost_journals) = (started.on_disk, started.lost_journals);
        Ok(Opening { manager, reconciler, images, on_disk, lost_journals })
    }

    /// What the logs of replicated partitions turned out to be, once all are open.
    pub async fn findings(&self) -> Findings {
        let mut all = Findings::default();
        for inbox in self.manager.directory.inboxes() {
            let (reply, found) = oneshot::channel();
            inbox.send(Input::Findings { reply });
            // A thread that has panicked has failed the directory, which is noticed elsewhere.
            all = all.and(found.await.unwrap_or_default());
        }
        all
    }

    /// There were logs, but nothing that says how far they were durable: they prove nothing.
    pub fn has_lost_journals(&self) -> bool {
        self.lost_journals
    }

    /// Has the controller count on damaged replicas no more.
    pub async fn quarantine(&self, controller: &ControllerHandle) {
        let directory = &self.manager.directory;
        quarantine::report(directory.outlet().damaged_now(), controller, directory.me).await;
    }

    /// Leads and follows as the newest image says, and follows the images in a task of the current tokio runtime. Returns
    /// with the partitions of that image in the map; the other logs are opened later.
    pub async fn take_roles(self) -> Arc<ReplicaManager> {
        let Opening { mut manager, mut reconciler, mut images, on_disk, .. } = self;
        let image = Arc::clone(&images.borrow_and_update());
        reconciler.follow(image).await;
        let sweep = tokio::spawn(start::sweep(manager.map.load_full(), on_disk));
        let follow = tokio::spawn(follow(reconciler, images));
        let running = manager.running.get_mut().unwrap_or_else(PoisonError::into_inner);
        running.as_mut().expect("it was not shut down").tasks = vec![follow, sweep];
        Arc::new(manager)
    }
}

impl ReplicaManager {
    /// The partitions as of now. Take it once per request.
    pub fn map(&self) -> Arc<ReplicaMap> {
        self.map.load_full()
    }

    /// The partition of this name and index.
    pub fn partition(&self, topic: &str, index: PartitionIndex) -> Option<PartitionHandle> {
        self.map.load().partition(topic, index).cloned()
    }

    /// The partition of this id and index.
    pub fn partition_by_id(&self, id: TopicIdPartition) -> Option<PartitionHandle> {
        self.map.load().partition_by_id(id).cloned()
    }

    /// Returns once the map reflects the image of `version`: topics it created can be used, those it deleted are gone.
    pub async fn wait_applied(&self, version: u64) {
        let mut applied = self.applied.clone();
        // An error means the manager has stopped: there is nothing left to wait for.
        let _ = applied.wait_for(|applied| *applied >= version).await;
    }

    /// Becomes `Some(why)` when a write or a sync of the data directory failed: every produce is refused then, reads go
    /// on, and only a restart helps.
    pub fn failure(&self) -> watch::Receiver<Option<Arc<str>>> {
        self.directory.watch_failure()
    }

    /// What the writers have to say to other brokers.
    pub fn outlet(&self) -> Arc<Outlet> {
        self.directory.outlet()
    }

    /// What the log threads did.
    pub fn metrics(&self) -> Arc<LogThreadMetrics> {
        self.directory.metrics()
    }

    /// Stops taking inputs, flushes and closes every log, ends the threads; gives up after `patience`.
    pub async fn shutdown(&self, patience: Duration) -> ShutdownReport {
        let Some(running) = self.running.lock().unwrap_or_else(PoisonError::into_inner).take() else {
            return ShutdownReport { clean: false };
        };
        for task in running.tasks {
            task.abort();
        }
        for inbox in self.directory.inboxes() {
            inbox.send(Input::Stop);
        }
        let all = async {
            let mut clean = true;
            for thread in running.threads {
                // A thread that is gone without a word has panicked.
                clean &= thread.await.unwrap_or(false);
            }
            clean
        };
        let clean = tokio::time::timeout(patience, all).await.unwrap_or(false);
        ShutdownReport { clean }
    }
}

impl Drop for ReplicaManager {
    /// Without a shutdown the threads still end, and flush what they hold.
    fn drop(&mut self) {
        let running = self.running.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        let Some(running) = running else { return };
        for task in running.tasks {
            task.abort();
        }
        for inbox in self.directory.inboxes() {
            inbox.send(Input::Stop);
        }
    }
}

/// Applies image after image, until nobody makes them any more.
async fn follow(mut reconciler: Reconciler, mut images: watch::Receiver<Arc<ClusterImage>>) {
    while images.changed().await.is_ok() {
        let image = Arc::clone(&images.borrow_and_update());
        reconciler.follow(image).await;
    }
}

#[cfg(test)]
mod tests;
