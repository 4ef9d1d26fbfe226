//! The consensus library's own suite for log stores and state machines, on files of a simulated disk.

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;

use openraft::StorageError;
use openraft::testing::log::{StoreBuilder, Suite};
use tidemark_storage::disk::Disk;
use tidemark_storage::disk::sim::SimDisk;
use uuid::Uuid;

use super::super::hashes::Hashes;
use super::super::log::LogFile;
use super::super::snapshot::SnapshotDir;
use super::super::state_machine::StateMachine;
use super::*;

#[derive(Default)]
struct Builder {
    built: AtomicU64,
}

impl StoreBuilder<TypeConfig, LogStore, StateMachine> for Builder {
    async fn build(&self) -> Result<((), LogStore, StateMachine), StorageError<TypeConfig>> {
        let disk: Arc<dyn Disk> = Arc::new(SimDisk::new(self.built.fetch_add(1, Ordering::Relaxed)));
        let (store, machine) = open(&disk);
        Ok(((), store, machine))
    }
}

fn dir() -> PathBuf {
    PathBuf::from("/metadata")
}

fn open(disk: &Arc<dyn Disk>) -> (LogStore, StateMachine) {
    disk.create_dir_all(&dir()).unwrap();
    disk.sync_dir(Path::new("/")).unwrap();
    let (log, content) = LogFile::open(disk, &dir()).unwrap();
    let (failure, _) = tokio::sync::watch::channel(None);
    let writer = Writer::start(log, SnapshotDir::open(disk, &dir()).unwrap(), failure.clone()).unwrap();
    let (machine, _) = StateMachine::new(None, Uuid::nil(), writer.clone(), Hashes::new(failure));
    (LogStore::new(content, writer), machine)
}

#[test]
fn the_library_s_own_suite_passes() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(Suite::test_all(Builder::default())).unwrap();
}

#[tokio::test]
async fn a_vote_is_durable_when_save_vote_returns() {
    let sim = SimDisk::new(1);
    let disk: Arc<dyn Disk> = Arc::new(sim.clone());
    let (mut store, _machine) = open(&disk);
    let vote = to_vote(super::super::record::Ballot { term: 7, candidate: 3, granted: false });
    store.save_vote(&vote).await.unwrap();
    let disk: Arc<dyn Disk> = Arc::new(sim.crash());
    let (mut store, _machine) = open(&disk);
    assert_eq!(store.read_vote().await.unwrap(), Some(vote));
}
