//! The controller of this node: the metadata quorum's voter, and the door through which everybody else proposes and reads.
//!
//! The image is written by the quorum's state machine alone and published once per batch of applied entries. A reply to
//! [`ControllerHandle::submit`] leaves after the image that contains it was published, on this node. Nothing outside this
//! folder names a type of the consensus library.
//!
//! ```text
//!  submit ─▶ Quorum::propose ─▶ log_store ─▶ writer thread (group commit, fdatasync) ─▶ committed
//!                                                                                          │
//!  image(), watch() ◀── publish once per batch ◀── decide + apply ◀── state_machine ◀──────┘
//! ```

mod content;
mod departures;
pub mod formation;
mod hashes;
mod keeper;
pub mod lease;
pub mod liveness;
mod log;
mod log_store;
mod membership;
mod messages;
mod network;
mod peers;
pub mod progress;
pub mod quorum;
mod raft;
mod record;
mod service;
mod session;
mod snapshot;
mod state_machine;
mod type_config;
pub mod upkeep;
mod voters;
mod voting;
mod writer;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

pub use tidemark_core::metadata::Recovery;
use tidemark_core::metadata::{ClusterImage, Command, Endpoint, Failure, Reply, features};
use tidemark_protocol::types::BrokerId;
use tidemark_storage::disk::Disk;
use tokio::sync::{Notify, Semaphore, watch};
use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::clock::Clock;
use crate::data_dir::Identity;
use crate::peer::{CallError, Purpose};
use hashes::Hashes;
use lease::Lease;
use liveness::Liveness;
pub use liveness::Timing;
use network::Network;
pub use peers::Peers;
use progress::{Progress, QuorumState};
pub use quorum::{Members, QuorumMetrics, RaftId, Voter};
use quorum::{Proposal, ProposeError, Quorum};
pub use raft::Beginning;
use raft::{RaftQuorum, Seat};
use service::{Decided, NotDecided, Propose};
pub use voters::VoterChange;

/// Proposals of this process that are on their way at once: more only wait longer, each holding its command in memory.
const PROPOSALS_IN_FLIGHT_MAX: usize = 1024;
/// How long a proposal is repeated while no voter leads, before its submitter is told. Longer than an election takes.
const PROPOSE_PATIENCE: Duration = Duration::from_secs(30);
/// How long a forwarded proposal may take before it is sent again, perhaps to another leader.
const FORWARD_PATIENCE: Duration = Duration::from_secs(5);
/// Between two attempts to find the leader.
const FORWARD_PAUSE: Duration = Duration::from_millis(50);

/// Where the controller's files are, in the data directory.
pub const METADATA_DIR: &str = "metadata";

/// What the controller of a node is made of.
pub struct StartOptions {
    /// Where its files are.
    pub disk: Arc<dyn Disk>,
    /// The node's data directory; the controller's files are in `metadata/` below it.
    pub data_dir: PathBuf,
    /// Whose directory that is, from [`DataDir`](crate::data_dir::DataDir).
    pub identity: Identity,
    /// Names this run of the process; never used twice.
    pub incarnation: Uuid,
    /// The other nodes.
    pub peers: Peers,
    /// What a node without metadata does first.
    pub beginning: Beginning,
    /// Addresses of other nodes to begin with.
    pub seeds: Vec<String>,
    /// Whether this node may be a voter.
    pub may_vote: bool,
    /// How many voters there should be, where there are nodes enough.
    pub voters: usize,
    /// Time.
    pub clock: Clock,
    /// When a silent broker counts as dead.
    pub timing: Timing,
}

/// Why the controller did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The files are damaged, or a newer version wrote them.
    #[error("{path}: {why}", path = path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The disk failed.
    #[error("cannot {action} {path}: {source}", path = path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The metadata belong to another cluster than the directory says.
    #[error("the metadata log belongs to cluster {found}, the data directory to {expected}")]
    OtherCluster {
        /// As in the log.
        found: String,
        /// As in the directory's identity.
        expected: String,
    },
    /// The quorum did not come up.
    #[error("the metadata quorum did not start: {0}")]
    Quorum(String),
}

/// Why a command was not answered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubmitError {
    /// Another node leads the quorum, or none does. To the client: NOT_CONTROLLER.
    #[error("not the controller{}", match leader { Some(id) => format!(": voter {id} leads"), None => String::new() })]
    NotLeader {
        /// The leader, if known.
        leader: Option<RaftId>,
    },
    /// No answer in time; the command may still be applied. To the client: REQUEST_TIMED_OUT.
    #[error("no answer from the metadata quorum in time; the command may still be applied")]
    TimedOut,
    /// The controller of this node has stopped.
    #[error("the controller has stopped: {0}")]
    Stopped(String),
}

/// Owns the quorum of this node; whoever started it shuts it down.
pub struct Controller {
    handle: ControllerHandle,
    liveness: Arc<Liveness>,
    tasks: Vec<JoinHandle<()>>,
}

impl Controller {
    /// Opens the metadata, joins or forms the quorum, and returns once the image holds everything that was ever answered.
    pub async fn start(options: StartOptions) -> Result<Controller, StartError> {
        let StartOptions { disk, data_dir, identity, incarnation, peers, beginning, clock, timing, .. } =
            options;
        let dir = data_dir.join(METADATA_DIR);
        let prepare = || {
            disk.create_dir_all(&dir)?;
            disk.sync_dir(&data_dir)
        };
        prepare().map_err(|source| StartError::Io { action: "make", path: dir.clone(), source })?;
        let voter = Voter {
            broker_id: identity.node_id,
            directory_id: identity.directory_id,
            address: peers.address.clone(),
            may_vote: options.may_vote,
        };
        let id = identity.raft_id;
        let (failure, _) = watch::channel(None);
        let hashes = Hashes::new(failure.clone());
        let network = Network::new(id, peers.clients.clone(), hashes.clone());
        let seat =
            Seat { id, voter: voter.clone(), session: incarnation, network, beginning, hashes, failure };
        let (raft, image, is_new) = RaftQuorum::open(&disk, &dir, &seat).await?;
        voting::serve(&peers.services, raft.voting(), &seat);
        let raft = Arc::new(raft);
        let quorum: Arc<dyn Quorum> = Arc::clone(&raft) as Arc<dyn Quorum>;
        let newcomer = Arc::new(Notify::new());
        let progress = Progress::serve(&peers, &quorum, clock.clone());
        let liveness = Liveness::new(Arc::clone(&quorum), image.clone(), clock, timing);
        service::serve(&peers, &quorum, &image, &newcomer, &liveness);
        let handle = ControllerHandle {
            quorum: Arc::clone(&quorum),
            image,
            peers: peers.clone(),
            liveness: Arc::clone(&liveness),
            progress,
            session: incarnation,
            sequence: Arc::default(),
            in_flight: Arc::new(Semaphore::new(PROPOSALS_IN_FLIGHT_MAX)),
        };
        liveness::serve(&peers, &liveness, &handle);
        voters::serve(&peers, &quorum);
        let mut tasks = Vec::new();
        if !peers.address.is_empty() {
            tasks.push(tokio::spawn(keeper::join(
                peers.clients.clone(),
                Arc::clone(&quorum),
                id,
                voter,
                options.seeds,
            )));
        }
        raft.come_up(&seat, is_new).await?;
        tasks.push(tokio::spawn(keeper::keep(Arc::clone(&quorum), handle.watch(), options.voters, newcomer)));
        tasks.push(tokio::spawn(liveness::watch_over(Arc::clone(&liveness), handle.clone())));
        tasks.push(tokio::spawn(departures::see_off(handle.clone())));
        let controller = Controller { handle, liveness, tasks };
        match controller.claim(&identity).await {
            Ok(()) => Ok(controller),
            Err(error) => {
                controller.shutdown().await;
                Err(error)
            }
        }
    }

    /// Gives a new cluster its identity, or checks the one it has. A node that follows thereby also waits until its image has
    /// everything that was ever answered: the command changes nothing, but it comes after all of that.
    async fn claim(&self, identity: &Identity) -> Result<(), StartError> {
        let found = self.handle.image().cluster_id.clone();
        if found == identity.cluster_id && self.handle.is_leader() {
            return Ok(());
        }
        if !found.is_empty() && found != identity.cluster_id {
            return Err(StartError::OtherCluster { found, expected: identity.cluster_id.clone() });
        }
        let command = Command::InitializeCluster {
            cluster_id: identity.cluster_id.clone(),
            features: features::of_new_cluster(),
        };
        match self.handle.submit(command).await.map_err(|error| StartError::Quorum(error.to_string()))? {
            Reply::Initialized(Ok(())) => Ok(()),
            other => Err(StartError::Quorum(format!("the cluster was not initialised: {other:?}"))),
        }
    }

    /// A door for others; cheap to clone.
    pub fn handle(&self) -> ControllerHandle {
        self.handle.clone()
    }

    /// Who is alive, for the heartbeats of this node's broker.
    pub fn liveness(&self) -> Arc<Liveness> {
        Arc::clone(&self.liveness)
    }

    /// Stops the quorum. Everything that was answered is on disk already.
    pub async fn shutdown(self) {
        for task in &self.tasks {
            task.abort();
        }
        self.handle.quorum.shutdown().await;
    }
}

/// The door to the controller; cheap to clone.
#[derive(Clone)]
pub struct ControllerHandle {
    quorum: Arc<dyn Quorum>,
    image: watch::Receiver<Arc<ClusterImage>>,
    peers: Peers,
    liveness: Arc<Liveness>,
    progress: Arc<Progress>,
    session: Uuid,
    sequence: Arc<AtomicU64>,
    in_flight: Arc<Semaphore>,
}

impl ControllerHandle {
    /// The image as of the last applied entry.
    pub fn image(&self) -> Arc<ClusterImage> {
        Arc::clone(&self.image.borrow())
    }

    /// Follows the image. A receiver that was not looked at for a while sees only the newest one.
    pub fn watch(&self) -> watch::Receiver<Arc<ClusterImage>> {
        self.image.clone()
    }

    /// Has the command decided and applied, and answers what it returned: by then the image of this node contains it.
    /// Waits out elections; a command is applied at most once, however often it had to be proposed.
    pub async fn submit(&self, command: Command) -> Result<Reply, SubmitError> {
        let _permit = self.in_flight.acquire().await.expect("this semaphore is never closed");
        let sequence = self.sequence.fetch_add(1, Ordering::Relaxed) + 1;
        let proposal = Proposal { session: self.session, sequence, command };
        match tokio::time::timeout(PROPOSE_PATIENCE, self.propose(proposal)).await {
            Ok(result) => result,
            Err(_) => Err(SubmitError::TimedOut),
        }
    }

    /// As [`ControllerHandle::submit`], but never gives up: for commands that must not take effect after a later one was
    /// answered.
    pub async fn submit_for_sure(&self, command: Command) -> Result<Reply, SubmitError> {
        let _permit = self.in_flight.acquire().await.expect("this semaphore is never closed");
        let sequence = self.sequence.fetch_add(1, Ordering::Relaxed) + 1;
        self.propose(Proposal { session: self.session, sequence, command }).await
    }

    async fn propose(&self, proposal: Proposal) -> Result<Reply, SubmitError> {
        loop {
            let proposal = service::prepared(&self.liveness, proposal.clone());
            let error = match self.quorum.propose(proposal.clone()).await {
                Ok(reply) => return Ok(reply),
                Err(error) => error,
            };
            match error {
                ProposeError::NotLeader { .. } => match peers::leader_address(&*self.quorum) {
                    Some(leader) if leader != self.peers.address => {
                        if let Some(reply) = self.forward(&leader, &proposal).await? {
                            return Ok(reply);
                        }
                        tokio::time::sleep(FORWARD_PAUSE).await;
                    }
                    _ => {
                        self.quorum.leader_known().await.map_err(SubmitError::from)?;
                        // It may be this node, which does not know yet that it may answer.
                        tokio::task::yield_now().await;
                    }
                },
                ProposeError::AlreadyApplied => return self.remembered(proposal.sequence).await,
                error @ ProposeError::Stopped(_) => return Err(error.into()),
            }
        }
    }

    /// Has another node decide the proposal; `None` if it has to be tried again.
    async fn forward(&self, leader: &str, proposal: &Proposal) -> Result<Option<Reply>, SubmitError> {
        let client = self.peers.clients.to(leader, Purpose::Control);
        match client.call(Propose { proposal: proposal.clone() }, FORWARD_PATIENCE).await {
            Ok(Ok(Decided { reply, version })) => {
                // Whoever has the reply sees its effect on this node, too.
                self.wait_version(version).await;
                Ok(Some(reply))
            }
            Ok(Err(NotDecided::AlreadyApplied)) => self.remembered(proposal.sequence).await.map(Some),
            Ok(Err(NotDecided::NotLeader(_) | NotDecided::Stopped(_)))
            | Err(
                CallError::Unreachable { .. }
                | CallError::TimedOut { .. }
                | CallError::Refused { .. }
                | CallError::Namesake { .. },
            ) => Ok(None),
        }
    }

    /// The reply to a proposal that was applied: this node applies it too, and remembers what it returned.
    async fn remembered(&self, sequence: u64) -> Result<Reply, SubmitError> {
        let mut images = self.image.clone();
        loop {
            if let Some(reply) = self.quorum.recent_reply(sequence) {
                return Ok(reply);
            }
            if images.changed().await.is_err() {
                return Err(SubmitError::Stopped("it applies nothing more".to_owned()));
            }
        }
    }

    /// Returns once the image of this node has this version.
    pub async fn wait_version(&self, version: u64) {
        // An error means that there are no more images: there is nothing left to wait for.
        let _ = self.image.clone().wait_for(|image| image.version >= version).await;
    }

    /// Registers this broker, and answers its epoch. Each run of the process registers once, with its own incarnation.
    pub async fn register_broker(
        &self,
        registration: Registration,
    ) -> Result<Result<i64, Failure>, SubmitError> {
        let command = Command::RegisterBroker {
            id: registration.id,
            cluster_id: self.image().cluster_id.clone(),
            incarnation: self.session,
            rack: registration.rack,
            endpoints: registration.endpoints,
            directories: registration.directories,
            statics: registration.statics,
            fenced: registration.fenced,
            previous_epoch: registration.previous_epoch,
            recovery: registration.recovery,
            session_is_live: false,
        };
        match self.submit(command).await? {
            Reply::BrokerRegistered(result) => Ok(result),
            other => unreachable!("a registration is answered by its own kind of reply, not {other:?}"),
        }
    }

    /// The right to serve what this broker leads.
    pub fn lease(&self) -> Arc<Lease> {
        self.liveness.lease()
    }

    /// Whether this node is the quorum by itself.
    pub fn is_alone(&self) -> bool {
        self.members().is_alone(self.metrics().id)
    }

    /// Returns once this node is not the quorum by itself.
    pub async fn has_company(&self) {
        self.quorum.has_company().await;
    }

    /// Who belongs to the quorum, as far as this node knows.
    pub fn members(&self) -> Members {
        self.quorum.members()
    }

    /// How the quorum stands, as its leader says if that can be asked.
    pub async fn quorum_state(&self) -> QuorumState {
        self.progress.describe().await
    }

    /// Has a node become a voter, or vote no more.
    pub async fn change_voters(&self, change: VoterChange) -> Result<(), Failure> {
        voters::change(&*self.quorum, &self.peers, change).await
    }

    /// Why the quorum could not do without this broker: it votes, and no other node could take its place. None if it could.
    pub fn is_needed(&self, broker: BrokerId) -> Option<String> {
        let (members, image) = (self.members(), self.image());
        let votes = members.voters.values().any(|voter| voter.broker_id == broker);
        let may_follow = |id: &i32| *id != broker && !image.is_leaving(*id) && image.is_usable(*id);
        let is_voter = |id: &i32| members.voters.values().any(|voter| voter.broker_id == *id);
        let successor = members
            .learners
            .values()
            .filter(|learner| learner.may_vote)
            .map(|learner| learner.broker_id)
            .find(|id| may_follow(id) && !is_voter(id));
        (votes && successor.is_none()).then(|| {
            let left = members.voters.len() - 1;
            format!(
                "broker {broker} is one of {} voters of the metadata quorum, and no other node could take its place: \
                 with {left} left, the loss of one more would stop the cluster; add a broker first",
                members.voters.len()
            )
        })
    }

    /// Whether this node leads the quorum.
    pub fn is_leader(&self) -> bool {
        self.quorum.is_leader()
    }

    /// How the quorum stands now.
    pub fn metrics(&self) -> QuorumMetrics {
        self.quorum.metrics()
    }

    /// Becomes `Some(why)` when the controller of this node can go on no more, for example because its disk failed. The
    /// process should exit then: its metadata would fall behind for good.
    pub fn failure(&self) -> watch::Receiver<Option<String>> {
        self.quorum.failure()
    }

    /// Names this run of the process.
    pub fn incarnation(&self) -> Uuid {
        self.session
    }
}

/// What a broker says of itself when it registers.
#[derive(Clone, Debug, PartialEq)]
pub struct Registration {
    /// Its node id.
    pub id: i32,
    /// Its rack, if it has one.
    pub rack: Option<String>,
    /// Where it is reached, listener by listener.
    pub endpoints: Vec<Endpoint>,
    /// Identities of its data directories.
    pub directories: Vec<Uuid>,
    /// It leads nothing until the controller has heard that it is ready. A node that is a cluster by itself asks nobody.
    pub fenced: bool,
    /// Its static configuration.
    pub statics: BTreeMap<String, String>,
    /// Its epoch when it last ended in order; −1 when it did not, or nothing tells.
    pub previous_epoch: i64,
    /// What it found on its disk.
    pub recovery: Recovery,
}

impl From<ProposeError> for SubmitError {
    fn from(error: ProposeError) -> Self {
        match error {
            ProposeError::NotLeader { leader } => SubmitError::NotLeader { leader },
            ProposeError::Stopped(why) => SubmitError::Stopped(why),
            ProposeError::AlreadyApplied => SubmitError::TimedOut,
        }
    }
}

#[cfg(test)]
mod tests;
