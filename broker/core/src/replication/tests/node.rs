//! [`Node`]: one broker with its replica: the real leader and follower cores beside a log in memory.

use std::collections::BTreeMap;

use tidemark_protocol::error_code::ErrorCode;
use tidemark_protocol::types::{BrokerId, Now, Offset};

use super::bugs::Bug;
use super::controller::Image;
use super::log::{MemoryLog, Record};
use crate::replication::assignment::Assignment;
use crate::replication::epochs::{Agreement, EpochLog, FetchPosition, compare};
use crate::replication::follower::{FetchAnswer, FollowerState, FollowerStep};
use crate::replication::isr::{IsrProposal, REPLICA_LAG_MAX};
use crate::replication::leader::LeaderState;
use crate::replication::replica::{self, FlushRule, ReplicaDurable, ReplicaFetchState};

/// What a node does for the partition.
#[derive(Clone, Debug)]
pub enum Role {
    Idle,
    Leader(Box<LeaderState>),
    Follower(FollowerState),
}

/// A proposal on its way.
#[derive(Clone, Debug)]
pub struct Sent {
    pub attempt: u64,
    pub proposal: IsrProposal,
    pub at: Now,
}

#[derive(Clone, Debug)]
pub struct Node {
    pub id: BrokerId,
    pub is_up: bool,
    pub broker_epoch: i64,
    /// Index of the newest image it has applied.
    pub applied: usize,
    pub log: MemoryLog,
    pub high_watermark: Offset,
    pub role: Role,
    /// Values that wait for their commit, by offset.
    pub waiting: BTreeMap<Offset, u64>,
    pub sent: Option<Sent>,
    pub attempts: u64,
    /// Its disk is empty, and the controller does not know.
    pub is_wiped: bool,
    pub wipes: u32,
    /// Cuts since it began to follow.
    pub cuts: u32,
}

/// What a fetch brings with it from the leader.
#[derive(Clone, Debug)]
pub struct Fetched {
    pub answer: FetchAnswer,
    pub records: Vec<Record>,
    /// Hash of what comes before the leader's log start.
    pub start_hash: u64,
}

impl Node {
    pub fn new(id: BrokerId) -> Node {
        Node {
            id,
            is_up: true,
            broker_epoch: i64::from(id),
            applied: 0,
            log: MemoryLog::default(),
            high_watermark: 0,
            role: Role::Idle,
            waiting: BTreeMap::new(),
            sent: None,
            attempts: 0,
            is_wiped: false,
            wipes: 0,
            cuts: 0,
        }
    }

    pub fn leader(&mut self) -> Option<&mut LeaderState> {
        match &mut self.role {
            Role::Leader(leader) if self.is_up => Some(leader),
            _ => None,
        }
    }

    /// Takes the role that an image gives; returns whether a new leader epoch began here as leader. An image from before
    /// this incarnation registered says nothing to it.
    pub fn apply(&mut self, image: &Image, min_insync_replicas: usize, now: Now, bug: Bug) -> bool {
        let partition = &image.partition;
        if image.brokers[&self.id].epoch != self.broker_epoch {
            return false;
        }
        if !partition.replicas.contains(&self.id) {
            self.log = MemoryLog::default();
            self.high_watermark = 0;
            self.rest();
            return false;
        }
        if partition.leader == self.id {
            let assignment = self.assignment(image, min_insync_replicas, bug);
            if let Role::Leader(leader) = &mut self.role
                && leader.leader_epoch() == partition.leader_epoch
            {
                leader.reassign(assignment);
                return false;
            }
            self.log.assign_epoch(partition.leader_epoch);
            let mut leader = LeaderState::new(assignment, self.log.progress(), self.high_watermark, now);
            if bug == Bug::SkipLeaderEpochStart {
                leader.forget_leader_epoch_start();
            }
            self.role = Role::Leader(Box::new(leader));
            self.sent = None;
            return true;
        }
        match &self.role {
            Role::Follower(follower) if follower.leader_epoch() == partition.leader_epoch => {}
            _ => {
                self.rest();
                if partition.leader >= 0 {
                    self.follow(partition.leader, partition.leader_epoch, bug);
                }
            }
        }
        false
    }

    fn follow(&mut self, leader: BrokerId, leader_epoch: i32, bug: Bug) {
        if bug == Bug::TruncateToHighWatermark {
            self.log.truncate(self.high_watermark);
        }
        self.cuts = 0;
        self.role = Role::Follower(FollowerState::new(leader, leader_epoch));
    }

    fn rest(&mut self) {
        self.role = Role::Idle;
        self.waiting.clear();
        self.sent = None;
    }

    fn assignment(&self, image: &Image, min_insync_replicas: usize, bug: Bug) -> Assignment {
        let partition = &image.partition;
        let mut eligible = image.eligible();
        if bug == Bug::AllowUnknownBrokerEpoch {
            eligible.values_mut().for_each(|epoch| *epoch = -1);
        }
        Assignment {
            leader: self.id,
            leader_epoch: partition.leader_epoch,
            partition_epoch: partition.partition_epoch,
            replicas: partition.replicas.clone(),
            isr: partition.isr.clone(),
            eligible,
            min_insync_replicas,
            replica_lag_max: REPLICA_LAG_MAX,
            flush: if bug == Bug::AckBeforeDurable { FlushRule::Appended } else { FlushRule::Durable },
        }
    }

    /// The broker epoch that its fetches carry.
    fn told_epoch(&self, bug: Bug) -> i64 {
        if bug == Bug::AllowUnknownBrokerEpoch { -1 } else { self.broker_epoch }
    }

    /// The process is gone.
    pub fn stop(&mut self) {
        self.is_up = false;
        self.rest();
    }

    /// The fetch that a follower sends next.
    pub fn fetch(&self, bug: Bug) -> Option<(BrokerId, FetchPosition, ReplicaFetchState)> {
        let Role::Follower(follower) = &self.role else { return None };
        let position = follower.position(&self.log)?;
        let progress = self.log.progress();
        let state = ReplicaFetchState {
            leader_epoch: position.leader_epoch,
            broker_epoch: self.told_epoch(bug),
            append_end: progress.append_end,
            durable_end: progress.durable_end,
            log_start: self.log.log_start(),
        };
        Some((follower.leader(), position, state))
    }

    /// What a follower says when a sync is finished.
    pub fn durable(&self, bug: Bug) -> Option<(BrokerId, ReplicaDurable)> {
        let Role::Follower(follower) = &self.role else { return None };
        if !follower.agrees() && bug != Bug::ReportBeforeAgreement {
            return None;
        }
        let durable = ReplicaDurable {
            leader_epoch: follower.leader_epoch(),
            broker_epoch: self.told_epoch(bug),
            durable_end: self.log.progress().durable_end,
        };
        Some((follower.leader(), durable))
    }

    /// A fetch arrives: epochs first, then positions, then what the follower says of itself.
    pub fn on_fetch(
        &mut self,
        from: BrokerId,
        position: &FetchPosition,
        state: ReplicaFetchState,
        count: usize,
        now: Now,
        trusts: bool,
    ) -> Fetched {
        let log_start = self.log.log_start();
        let start_hash = self.log.hash_before(log_start).unwrap();
        let error = |code| Fetched { answer: FetchAnswer::Error(code), records: Vec::new(), start_hash };
        let Role::Leader(leader) = &mut self.role else { return error(ErrorCode::NotLeaderOrFollower) };
        if let Err(refused) = replica::check_leader_epoch(position.leader_epoch, leader.leader_epoch()) {
            return error(refused.code());
        }
        let (mut records, log_end) = (Vec::new(), self.log.log_end());
        let found =
            if trusts { compare(position, &Credulous(&self.log)) } else { compare(position, &self.log) };
        let answer = match found {
            Agreement::OutOfRange => FetchAnswer::OutOfRange { log_start, log_end },
            Agreement::Diverges { epoch, end_offset } => {
                FetchAnswer::Diverging { epoch, end_offset, log_start }
            }
            Agreement::Agrees => {
                if let Err(refused) = leader.on_replica_fetch(from, state, now) {
                    return error(refused.code());
                }
                records = self.log.read(position.fetch_offset, count);
                let end = position.fetch_offset + records.len() as Offset;
                let range = (!records.is_empty()).then_some((position.fetch_offset, end));
                FetchAnswer::Records { range, high_watermark: leader.high_watermark(), log_start }
            }
        };
        Fetched { answer, records, start_hash }
    }

    /// An answer arrives; returns what it meant.
    pub fn on_fetched(&mut self, asked: &FetchPosition, fetched: &Fetched) -> FollowerStep {
        let Role::Follower(follower) = &mut self.role else { return FollowerStep::Ignore };
        let step = follower.on_answer(asked, &fetched.answer, &self.log);
        match step {
            FollowerStep::Append { high_watermark, log_start } => {
                fetched.records.iter().for_each(|record| self.log.append(*record));
                self.high_watermark = high_watermark;
                self.log.advance_start(log_start);
            }
            FollowerStep::Truncate { to } => {
                assert!(to < self.log.log_end(), "a cut makes progress");
                self.cuts += 1;
                self.log.truncate(to);
                self.high_watermark = self.high_watermark.min(to);
            }
            FollowerStep::Restart { at } => {
                self.log.restart(at, fetched.start_hash);
                self.high_watermark = at;
            }
            FollowerStep::AwaitMetadata | FollowerStep::Retry(_) | FollowerStep::Ignore => {}
        }
        step
    }
}

/// A log that thinks it can place every epoch.
struct Credulous<'a>(&'a MemoryLog);

impl EpochLog for Credulous<'_> {
    fn log_start(&self) -> Offset {
        self.0.log_start()
    }

    fn log_end(&self) -> Offset {
        self.0.log_end()
    }

    fn epoch_at(&self, _offset: Offset) -> Option<i32> {
        Some(0)
    }

    fn epoch_end(&self, epoch: i32) -> (i32, Offset) {
        self.0.epoch_end(epoch)
    }
}
