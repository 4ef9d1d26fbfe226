//! [`Quorum`] by openraft: opens the files, starts the voter, and translates proposals, errors and metrics.
//!
//! A voter that is alone needs no clock: its ticks are off (an idle quorum of one wakes nobody), and it is made leader at once
//! instead of waiting out an election. With company the ticks run, and pre-votes keep a voter that was away from raising terms.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use openraft::async_runtime::watch::WatchReceiver;
use openraft::errors::{ClientWriteError, Fatal, ForwardToLeader, RaftError};
use openraft::metrics::RaftMetrics;
use openraft::{Config, Raft, ReadPolicy, SnapshotPolicy};
use tidemark_core::metadata::{ClusterImage, Reply};
use tidemark_storage::disk::Disk;
use tokio::sync::watch;
use uuid::Uuid;

use super::StartError;
use super::log::LogFile;
use super::log_store::LogStore;
use super::network::NoPeers;
use super::quorum::{Proposal, ProposeError, Quorum, QuorumMetrics, RaftId, Voter};
use super::snapshot::{self, SnapshotDir};
use super::state_machine::StateMachine;
use super::type_config::{ProposalData, TypeConfig};
use super::writer::Writer;

/// Entries after which a snapshot is taken and the log is cut.
const ENTRIES_PER_SNAPSHOT: u64 = 10_000;
/// Bytes after which it is taken even if they are fewer entries: bounds memory and the time of a start.
const BYTES_PER_SNAPSHOT: u64 = 64 << 20;
/// Entries kept behind a snapshot for voters and brokers that are slow.
const ENTRIES_KEPT: u64 = 1000;
/// Entries purged at once, so that the log file is not touched for every few.
const PURGE_BATCH: u64 = 1000;
/// Leader to followers; elections start after 3 to 6 of these (about a second from failure to a new leader).
const HEARTBEAT: Duration = Duration::from_millis(100);
/// How long a start waits for the quorum. Alone it takes milliseconds; the rest is for a very slow disk.
const START_PATIENCE: Duration = Duration::from_secs(30);

type Voting = Raft<TypeConfig, StateMachine>;

/// Whether the voter looks at the time by itself, many times a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ticks {
    /// It is alone: there is nobody to send heartbeats to or to miss.
    Off,
    /// It has company.
    On,
}

/// This node's voter.
pub struct RaftQuorum {
    raft: Voting,
    store: LogStore,
    writer: Writer,
    snapshot_asked: AtomicBool,
}

impl RaftQuorum {
    /// Opens the files in `dir` and starts the voter `id`. A voter without history becomes a quorum by itself. Returns once
    /// this voter leads, or follows, and its image holds what was committed.
    pub async fn start(
        disk: &Arc<dyn Disk>,
        dir: &Path,
        id: RaftId,
        voter: Voter,
        session: Uuid,
    ) -> Result<(RaftQuorum, watch::Receiver<Arc<ClusterImage>>), StartError> {
        let (quorum, image, is_new) = RaftQuorum::open(disk, dir, id, session).await?;
        match tokio::time::timeout(START_PATIENCE, quorum.come_up(id, voter, is_new)).await {
            Ok(Ok(ticks)) => {
                tracing::debug!(?ticks, "the quorum has come up");
                Ok((quorum, image))
            }
            Ok(Err(error)) => {
                quorum.stop().await;
                Err(error)
            }
            Err(_) => {
                quorum.stop().await;
                Err(StartError::Quorum(format!("no leader within {} s", START_PATIENCE.as_secs())))
            }
        }
    }

    /// The voter of the files in `dir`, its image, and whether it has no history.
    async fn open(
        disk: &Arc<dyn Disk>,
        dir: &Path,
        id: RaftId,
        session: Uuid,
    ) -> Result<(RaftQuorum, watch::Receiver<Arc<ClusterImage>>, bool), StartError> {
        let (log, content) = LogFile::open(disk, dir)?;
        let io = |action| move |source| StartError::Io { action, path: dir.to_owned(), source };
        let snapshots = SnapshotDir::open(disk, dir).map_err(io("list"))?;
        let restored = match snapshots.read().map_err(io("read the snapshot in"))? {
            None => None,
            Some(bytes) => Some(snapshot::decode(&bytes).map_err(|error| StartError::Damaged {
                path: snapshots.newest_path().expect("it was just read"),
                why: error.to_string(),
            })?),
        };
        let reached = restored.as_ref().and_then(|(head, _)| head.position);
        if content.purged > reached {
            let why = format!(
                "the log begins after {:?}, but the newest snapshot ends at {reached:?}",
                content.purged
            );
            return Err(StartError::Damaged { path: dir.to_owned(), why });
        }
        let is_new = content.vote.is_none() && content.last().is_none() && reached.is_none();

        let writer = Writer::start(log, snapshots).map_err(io("start the writer of"))?;
        let store = LogStore::new(content, writer.clone());
        let (machine, image) = StateMachine::new(restored, session, writer.clone());
        let raft =
            Raft::new(id, Arc::new(config()), NoPeers, store.clone(), machine).await.map_err(quorum_error)?;
        let quorum = RaftQuorum { raft, store, writer, snapshot_asked: AtomicBool::new(false) };
        Ok((quorum, image, is_new))
    }

    /// Leads or follows, and knows what was committed.
    async fn come_up(&self, id: RaftId, voter: Voter, is_new: bool) -> Result<Ticks, StartError> {
        if is_new {
            self.raft.initialize(BTreeMap::from([(id, voter)])).await.map_err(quorum_error)?;
        }
        // Asked of the voter itself: its metrics may not have been published yet, and then it seems to have company.
        let voters = self.raft.with_raft_state(|state| {
            state.membership_state.effective().voter_ids().collect::<BTreeSet<RaftId>>()
        });
        let alone = voters.await.map_err(quorum_error)? == BTreeSet::from([id]);
        let ticks = if alone { Ticks::Off } else { Ticks::On };
        match ticks {
            Ticks::Off => self.raft.trigger().elect(false).await.map_err(quorum_error)?,
            Ticks::On => self.raft.runtime_config().tick(true),
        }
        self.leader_known().await.map_err(quorum_error)?;
        if self.is_leader() {
            // Its own first entry of the term is committed and applied, and so is everything before it.
            self.raft.ensure_linearizable(ReadPolicy::ReadIndex).await.map_err(quorum_error)?;
        }
        Ok(ticks)
    }

    async fn stop(&self) {
        // An error says that the voter's task panicked; it is gone then, too.
        if let Err(error) = self.raft.shutdown().await {
            tracing::error!(%error, "the quorum's task did not end cleanly");
        }
        self.writer.stop().await;
    }

    /// Takes a snapshot when the log grew by many bytes; the count of entries is watched by the library.
    async fn snapshot_if_grown(&self) {
        if self.store.grown_bytes() < BYTES_PER_SNAPSHOT {
            self.snapshot_asked.store(false, Ordering::Relaxed);
        } else if !self.snapshot_asked.swap(true, Ordering::Relaxed) {
            // An error means that the voter has stopped, which the next proposal reports.
            let _ = self.raft.trigger().snapshot().await;
        }
    }

    fn stopped(&self, error: &Fatal<TypeConfig>) -> ProposeError {
        let why = self.writer.failure().borrow().clone();
        ProposeError::Stopped(why.unwrap_or_else(|| error.to_string()))
    }

    async fn write(&self, proposal: Proposal) -> Result<Reply, ProposeError> {
        let result = self.raft.client_write(ProposalData(Arc::new(proposal))).await;
        self.snapshot_if_grown().await;
        match result {
            Ok(response) => response.data.0.ok_or_else(|| {
                ProposeError::Stopped(
                    "the command was applied before and its reply is no longer known".to_owned(),
                )
            }),
            Err(RaftError::Fatal(error)) => Err(self.stopped(&error)),
            Err(RaftError::APIError(ClientWriteError::ForwardToLeader(ForwardToLeader {
                leader_id,
                ..
            })))
            | Err(RaftError::APIError(ClientWriteError::LogEntryDiscarded(ForwardToLeader {
                leader_id,
                ..
            }))) => Err(ProposeError::NotLeader { leader: leader_id }),
            Err(RaftError::APIError(error)) => {
                unreachable!("only a change of voters fails like this: {error}")
            }
        }
    }
}

impl Quorum for RaftQuorum {
    fn propose(&self, proposal: Proposal) -> BoxFuture<'_, Result<Reply, ProposeError>> {
        self.write(proposal).boxed()
    }

    fn leader_known(&self) -> BoxFuture<'_, Result<RaftId, ProposeError>> {
        async {
            let mut metrics = self.raft.metrics();
            loop {
                let seen = match &*metrics.borrow_watched() {
                    RaftMetrics { running_state: Err(error), .. } => return Err(self.stopped(error)),
                    RaftMetrics { current_leader, .. } => *current_leader,
                };
                if let Some(leader) = seen {
                    return Ok(leader);
                }
                metrics.changed().await.map_err(|_| self.stopped(&Fatal::Stopped))?;
            }
        }
        .boxed()
    }

    fn is_leader(&self) -> bool {
        self.raft.is_leader()
    }

    fn metrics(&self) -> QuorumMetrics {
        let metrics = self.raft.metrics();
        let metrics: &RaftMetrics<TypeConfig> = &metrics.borrow_watched();
        QuorumMetrics {
            id: metrics.id,
            term: metrics.current_term,
            leader: metrics.current_leader,
            last_log_index: metrics.last_log_index,
            committed_index: metrics.cluster_committed.as_ref().map(|id| id.index),
            applied_index: metrics.last_applied.as_ref().map(|id| id.index),
            snapshot_index: metrics.snapshot.as_ref().map(|id| id.index),
            purged_index: metrics.purged.as_ref().map(|id| id.index),
            voters: metrics.membership_config.membership().voter_ids().collect(),
        }
    }

    fn failure(&self) -> watch::Receiver<Option<String>> {
        self.writer.failure()
    }

    fn shutdown(&self) -> BoxFuture<'_, ()> {
        self.stop().boxed()
    }
}

fn config() -> Config {
    let heartbeat = u64::try_from(HEARTBEAT.as_millis()).expect("a fraction of a second");
    Config {
        cluster_name: "metadata".to_owned(),
        heartbeat_interval: heartbeat,
        election_timeout_min: 3 * heartbeat,
        election_timeout_max: 6 * heartbeat,
        enable_pre_vote: Some(true),
        enable_tick: false,
        snapshot_policy: SnapshotPolicy::LogsSinceLast(ENTRIES_PER_SNAPSHOT),
        max_in_snapshot_log_to_keep: ENTRIES_KEPT,
        purge_batch_size: PURGE_BATCH,
        replication_lag_threshold: 2 * ENTRIES_PER_SNAPSHOT,
        ..Config::default()
    }
    .validate()
    .expect("constants that fit together")
}

fn quorum_error(error: impl std::fmt::Display) -> StartError {
    StartError::Quorum(error.to_string())
}

#[cfg(test)]
mod tests;
