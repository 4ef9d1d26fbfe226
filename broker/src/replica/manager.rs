//! [`ReplicaManager`]: starts and stops the partitions of this broker as the cluster's metadata say.
//!
//! Its task is the only writer of the [`ReplicaMap`]; everybody reads the published one. It applies images in order of
//! their version and tells [`ReplicaManager::wait_applied`] how far it is, so that a topic can be used as soon as its
//! creation is answered.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tidemark_core::metadata::{BrokerConfigs, ClusterImage};
use tidemark_protocol::types::{BrokerId, PartitionIndex, TopicIdPartition};
use tidemark_storage::log::LogContext;
use tokio::sync::watch;

use super::map::ReplicaMap;
use crate::clock::Clock;
use crate::partition::PartitionHandle;
use crate::runtime::Runtimes;

/// What a replica manager is made of.
pub struct ReplicaOptions {
    /// This broker.
    pub me: BrokerId,
    /// Directory of the partitions' directories and the journals; made if missing.
    pub dir: PathBuf,
    /// What all logs share.
    pub log: Arc<LogContext>,
    /// Time.
    pub clock: Clock,
    /// Threads.
    pub runtimes: Runtimes,
    /// Static configuration of the broker, under the topics' own.
    pub configs: BrokerConfigs,
}

/// Why the replicas did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The disk or the system refused.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which path.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// How stopping went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShutdownReport {
    /// Every partition was flushed and closed in time: the directory may be marked clean.
    pub clean: bool,
}

/// The partitions of this broker.
pub struct ReplicaManager {
    map: ArcSwap<ReplicaMap>,
    applied: watch::Receiver<u64>,
    failure: watch::Receiver<Option<Arc<str>>>,
}

impl ReplicaManager {
    /// Starts the log threads, applies the present image, and follows `images` in a task of the current tokio runtime.
    pub fn start(
        _options: ReplicaOptions,
        _images: watch::Receiver<Arc<ClusterImage>>,
    ) -> Result<Arc<ReplicaManager>, StartError> {
        unimplemented!("lands next")
    }

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
        self.failure.clone()
    }

    /// Stops taking inputs, flushes and closes every log, ends the threads; gives up after `patience`.
    pub async fn shutdown(&self, _patience: Duration) -> ShutdownReport {
        unimplemented!("lands next")
    }
}
