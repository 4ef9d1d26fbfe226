//! [`Quorum`] by openraft: opens the files, starts the voter, and translates proposals, errors and metrics.
//!
//! A member that is alone needs no clock: its ticks are off (an idle quorum of one wakes nobody), and it is made leader at once
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
use openraft::{ChangeMembers, Config, Instant as _, Raft, ReadPolicy, SnapshotPolicy};
use tidemark_core::metadata::{ClusterImage, Reply};
use tidemark_storage::disk::Disk;
use tokio::sync::watch;
use uuid::Uuid;

use super::StartError;
use super::hashes::Hashes;
use super::log::LogFile;
use super::log_store::LogStore;
use super::network::Network;
use super::quorum::{
    ChangeError, MemberProgress, Members, Proposal, ProposeError, Quorum, QuorumMetrics, RaftId, Voter,
};
use super::snapshot::{self, SnapshotDir};
use super::state_machine::{RecentReplies, StateMachine};
use super::type_config::{ProposalData, RaftLogId, RaftMembers, TypeConfig, from_log_id};
use super::writer::Writer;

/// Entries after which a snapshot is taken and the log is cut.
const ENTRIES_PER_SNAPSHOT: u64 = 10_000;
/// Bytes after which it is taken even if they are fewer entries: bounds memory and the time of a start.
const BYTES_PER_SNAPSHOT: u64 = 64 << 20;
/// Entries kept behind a snapshot for voters and brokers that are slow.
const ENTRIES_KEPT: u64 = 1000;
/// Entries purged at once, so that the log file is not touched for every few.
const PURGE_BATCH: u64 = 1000;
/// No voter elects another leader within this after it heard of one, and no leader counts as one for longer without a majority.
pub(super) const LEADER_LEASE: Duration = Duration::from_millis(600);
/// Leader to followers; elections start after 3 to 6 of these (about a second from failure to a new leader).
const HEARTBEAT: Duration = Duration::from_millis(100);
/// A member this close to the end of the log counts as having it.
const CAUGHT_UP_ENTRIES: u64 = 100;
/// Ids of members that join are places in the log beyond this, so that none is the founder's.
const FIRST_ID_OF_OTHERS: u64 = 1000;
/// How long a start waits for the quorum. Alone it takes milliseconds; the rest is for a very slow disk.
const START_PATIENCE: Duration = Duration::from_secs(30);

pub(super) type Voting = Raft<TypeConfig, StateMachine>;

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
    recent: RecentReplies,
}

/// What a voter without history does first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beginning {
    /// It becomes a quorum by itself.
    Found,
    /// It waits for a leader to send it the log.
    Follow,
}

/// A voter and how it reaches others.
pub struct Seat {
    /// Its id.
    pub id: RaftId,
    /// What the others know of it.
    pub voter: Voter,
    /// This run of the process.
    pub session: Uuid,
    /// The way to the others.
    pub network: Network,
    /// What it does without history.
    pub beginning: Beginning,
    /// What its image was.
    pub hashes: Hashes,
    /// Told when it can go on no more.
    pub failure: watch::Sender<Option<String>>,
}

impl RaftQuorum {
    /// Opens the files in `dir` and starts the voter. It takes part, but [`RaftQuorum::come_up`] has to be called.
    pub async fn open(
        disk: &Arc<dyn Disk>,
        dir: &Path,
        seat: &Seat,
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

        let writer =
            Writer::start(log, snapshots, seat.failure.clone()).map_err(io("start the writer of"))?;
        let store = LogStore::new(content, writer.clone());
        let (machine, image) = StateMachine::new(restored, seat.session, writer.clone(), seat.hashes.clone());
        let recent = machine.recent();
        let raft = Raft::new(seat.id, Arc::new(config()), seat.network.clone(), store.clone(), machine);
        let raft = raft.await.map_err(quorum_error)?;
        let quorum = RaftQuorum { raft, store, writer, snapshot_asked: AtomicBool::new(false), recent };
        Ok((quorum, image, is_new))
    }

    /// The voter, for messages of others.
    pub(super) fn voting(&self) -> &Voting {
        &self.raft
    }

    /// Leads or follows, and knows what was committed; stops the voter when that takes too long. Whoever joins a quorum
    /// waits for as long as it takes.
    pub async fn come_up(&self, seat: &Seat, is_new: bool) -> Result<(), StartError> {
        let joins = is_new && seat.beginning == Beginning::Follow;
        let patience = if joins { Duration::MAX } else { START_PATIENCE };
        match tokio::time::timeout(patience, self.take_seat(seat, is_new)).await {
            Ok(Ok(ticks)) => {
                tracing::debug!(?ticks, "the quorum has come up");
                Ok(())
            }
            Ok(Err(error)) => {
                self.stop().await;
                Err(error)
            }
            Err(_) => {
                self.stop().await;
                Err(StartError::Quorum(format!("no leader within {} s", START_PATIENCE.as_secs())))
            }
        }
    }

    async fn take_seat(&self, seat: &Seat, is_new: bool) -> Result<Ticks, StartError> {
        if is_new && seat.beginning == Beginning::Found {
            let members = BTreeMap::from([(seat.id, seat.voter.clone())]);
            self.raft.initialize(members).await.map_err(quorum_error)?;
        }
        // Asked of the voter itself: its metrics may not have been published yet, and then it seems to have company.
        let members = self.raft.with_raft_state(|state| members_of(state.membership_state.effective()));
        let alone = members.await.map_err(quorum_error)?.is_alone(seat.id);
        let ticks = if alone { Ticks::Off } else { Ticks::On };
        match ticks {
            Ticks::Off => self.raft.trigger().elect(false).await.map_err(quorum_error)?,
            Ticks::On => self.raft.runtime_config().tick(true),
        }
        loop {
            self.leader_known().await.map_err(quorum_error)?;
            if !self.is_leader() {
                return Ok(ticks);
            }
            // Its own first entry of the term is committed and applied, and so is everything before it.
            match self.raft.ensure_linearizable(ReadPolicy::ReadIndex).await {
                Ok(_) => return Ok(ticks),
                // It led before it was stopped, and has yet to hear who leads now.
                Err(RaftError::APIError(_)) => tokio::time::sleep(HEARTBEAT).await,
                Err(error) => return Err(quorum_error(error)),
            }
        }
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
            Ok(response) => response.data.0.ok_or(ProposeError::AlreadyApplied),
            Err(error) => match self.write_error(error) {
                ChangeError::Propose(error) => Err(error),
                ChangeError::Refused(why) => unreachable!("only a change of voters fails like this: {why}"),
            },
        }
    }

    fn write_error(&self, error: RaftError<TypeConfig, ClientWriteError<TypeConfig>>) -> ChangeError {
        match error {
            RaftError::Fatal(error) => self.stopped(&error).into(),
            RaftError::APIError(
                ClientWriteError::ForwardToLeader(ForwardToLeader { leader_id, .. })
                | ClientWriteError::LogEntryDiscarded(ForwardToLeader { leader_id, .. }),
            ) => ProposeError::NotLeader { leader: leader_id }.into(),
            RaftError::APIError(error) => ChangeError::Refused(error.to_string()),
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

    fn authority_age(&self) -> Option<Duration> {
        let metrics = self.raft.metrics();
        let metrics: &RaftMetrics<TypeConfig> = &metrics.borrow_watched();
        let applied_term = metrics.last_applied.as_ref().map(|id| from_log_id(id).term);
        if !metrics.state.is_leader() || applied_term != Some(metrics.current_term) {
            return None;
        }
        // The leader's own word is a quorum where it is the only voter.
        if metrics.membership_config.membership().voter_ids().eq([metrics.id]) {
            return Some(Duration::ZERO);
        }
        metrics.last_quorum_acked.as_ref().map(|acked| acked.elapsed())
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

    fn members(&self) -> Members {
        let metrics = self.raft.metrics();
        let metrics: &RaftMetrics<TypeConfig> = &metrics.borrow_watched();
        members_of(&metrics.membership_config)
    }

    fn has_company(&self) -> BoxFuture<'_, ()> {
        async {
            let mut metrics = self.raft.metrics();
            loop {
                let alone = {
                    let seen = metrics.borrow_watched();
                    members_of(&seen.membership_config).is_alone(seen.id)
                };
                if !alone {
                    return;
                }
                if metrics.changed().await.is_err() {
                    // The voter has stopped: nothing changes any more.
                    return std::future::pending().await;
                }
            }
        }
        .boxed()
    }

    fn caught_up(&self) -> BTreeSet<RaftId> {
        let metrics = self.raft.metrics();
        let metrics: &RaftMetrics<TypeConfig> = &metrics.borrow_watched();
        let enough = metrics.last_log_index.unwrap_or(0).saturating_sub(CAUGHT_UP_ENTRIES);
        let replication = metrics.replication.iter().flatten();
        let has_enough =
            |position: &Option<RaftLogId>| position.as_ref().is_some_and(|id| id.index >= enough);
        replication.filter(|(_, position)| has_enough(position)).map(|(id, _)| *id).collect()
    }

    fn progress(&self) -> BTreeMap<RaftId, MemberProgress> {
        let metrics = self.raft.metrics();
        let metrics: &RaftMetrics<TypeConfig> = &metrics.borrow_watched();
        let mut members: BTreeMap<RaftId, MemberProgress> = BTreeMap::new();
        for (id, position) in metrics.replication.iter().flatten() {
            members.entry(*id).or_default().last_log_index = position.as_ref().map(|id| id.index);
        }
        for (id, heard) in metrics.heartbeat.iter().flatten() {
            members.entry(*id).or_default().silent_for = heard.as_ref().map(|at| at.elapsed());
        }
        members
    }

    fn new_id(&self) -> BoxFuture<'_, Result<RaftId, ProposeError>> {
        async {
            // The place of an entry in the log is never another's, and the founder's id is below all of them.
            match self.raft.write_blank().await {
                Ok(response) => Ok(response.log_id.index + FIRST_ID_OF_OTHERS),
                Err(error) => match self.write_error(error) {
                    ChangeError::Propose(error) => Err(error),
                    ChangeError::Refused(why) => Err(ProposeError::Stopped(why)),
                },
            }
        }
        .boxed()
    }

    fn admit(&self, id: RaftId, member: Voter) -> BoxFuture<'_, Result<(), ChangeError>> {
        async move {
            // From now on there is somebody to send heartbeats to.
            self.raft.runtime_config().tick(true);
            let known = self.members().get(id).cloned();
            let result = match known {
                Some(known) if known == member => return Ok(()),
                Some(_) => {
                    let change = ChangeMembers::SetNodes(BTreeMap::from([(id, member)]));
                    self.raft.change_membership(change, true).await
                }
                None => self.raft.add_learner(id, member, false).await,
            };
            result.map(|_| ()).map_err(|error| self.write_error(error))
        }
        .boxed()
    }

    fn set_voters(&self, voters: BTreeSet<RaftId>) -> BoxFuture<'_, Result<(), ChangeError>> {
        async move {
            let result = self.raft.change_membership(ChangeMembers::ReplaceAllVoters(voters), false).await;
            result.map(|_| ()).map_err(|error| self.write_error(error))
        }
        .boxed()
    }

    fn swap_voters(&self, voters: BTreeSet<RaftId>) -> BoxFuture<'_, Result<(), ChangeError>> {
        async move {
            let result = self.raft.change_membership(ChangeMembers::ReplaceAllVoters(voters), true).await;
            result.map(|_| ()).map_err(|error| self.write_error(error))
        }
        .boxed()
    }

    fn dismiss(&self, learners: BTreeSet<RaftId>) -> BoxFuture<'_, Result<(), ChangeError>> {
        async move {
            let result = self.raft.change_membership(ChangeMembers::RemoveNodes(learners), false).await;
            result.map(|_| ()).map_err(|error| self.write_error(error))
        }
        .boxed()
    }

    fn hand_over(&self, to: RaftId) -> BoxFuture<'_, Result<(), ProposeError>> {
        async move { self.raft.trigger().transfer_leader(to).await.map_err(|error| self.stopped(&error)) }
            .boxed()
    }

    fn recent_reply(&self, sequence: u64) -> Option<Reply> {
        self.recent.get(sequence)
    }

    fn failure(&self) -> watch::Receiver<Option<String>> {
        self.writer.failure()
    }

    fn shutdown(&self) -> BoxFuture<'_, ()> {
        self.stop().boxed()
    }
}

fn members_of(stored: &RaftMembers) -> Members {
    let voters: BTreeSet<RaftId> = stored.membership().voter_ids().collect();
    let mut members = Members::default();
    for (id, node) in stored.membership().nodes() {
        let list = if voters.contains(id) { &mut members.voters } else { &mut members.learners };
        list.insert(*id, node.clone());
    }
    members
}

fn config() -> Config {
    let heartbeat = u64::try_from(HEARTBEAT.as_millis()).expect("a fraction of a second");
    Config {
        cluster_name: "metadata".to_owned(),
        heartbeat_interval: heartbeat,
        election_timeout_min: 3 * heartbeat,
        election_timeout_max: u64::try_from(LEADER_LEASE.as_millis()).expect("less than a second"),
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
