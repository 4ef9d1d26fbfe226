//! [`World`]: nodes, a controller and a network that loses, doubles and reorders, driven by a seed; checked after every
//! step.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tidemark_protocol::error_code::ErrorCode;
use tidemark_protocol::types::{BrokerId, Now, Offset};

use super::bugs::Bug;
use super::chance::Rng;
use super::controller::Controller;
use super::log::Record;
use super::node::{Fetched, Node, Role, Sent};
use crate::replication::epochs::{EpochLog, FetchPosition};
use crate::replication::follower::FollowerStep;
use crate::replication::isr::{IsrAnswer, IsrProposal};
use crate::replication::replica::{ReplicaDurable, ReplicaFetchState};

/// A proposal without an answer is given up after so long.
const ALTER_TIMEOUT: Duration = Duration::from_millis(200);
/// More on the way than this, and the oldest is lost.
const MESSAGES_MAX: usize = 24;

#[derive(Clone, Debug)]
pub enum Message {
    Fetch { from: BrokerId, to: BrokerId, position: FetchPosition, state: ReplicaFetchState },
    Fetched { from: BrokerId, to: BrokerId, asked: FetchPosition, fetched: Fetched },
    Durable { from: BrokerId, to: BrokerId, durable: ReplicaDurable },
    Alter { from: BrokerId, broker_epoch: i64, attempt: u64, proposal: IsrProposal },
    Altered { to: BrokerId, broker_epoch: i64, attempt: u64, answer: IsrAnswer },
}

/// Everything there is.
pub struct World {
    pub bug: Bug,
    pub rng: Rng,
    pub now: Now,
    pub nodes: BTreeMap<BrokerId, Node>,
    pub controller: Controller,
    pub messages: Vec<Message>,
    /// Messages that are somewhere for a long time.
    pub held: Vec<Message>,
    /// Nodes that no message reaches or leaves.
    pub isolated: BTreeSet<BrokerId>,
    /// What was ever below a leader's high watermark, and the hash of everything before each offset.
    pub committed: Vec<Record>,
    pub committed_hashes: Vec<u64>,
    /// Offset of each acknowledged value.
    pub acknowledged: BTreeMap<u64, Offset>,
    pub leaders: BTreeMap<i32, BrokerId>,
    pub values: u64,
    /// How often of a hundred times the oldest message comes first; each seed has its network.
    pub order_percent: usize,
    /// Counts what happened, to see that everything does.
    pub seen: BTreeMap<&'static str, u64>,
    /// Every step is printed: for finding out what a seed does.
    pub is_traced: bool,
}

impl World {
    pub fn new(seed: u64, bug: Bug) -> World {
        let mut rng = Rng::new(seed);
        let brokers = rng.between(3, 5) as i32;
        let replicas = rng.between(3, i64::from(brokers)) as i32;
        let min_insync_replicas = [1, 2, 2, 2, 3][rng.below(5)];
        let order_percent = [20, 60, 95][rng.below(3)];
        let mut controller = Controller::new(brokers, replicas, min_insync_replicas);
        controller.allows_unknown_epoch = bug == Bug::AllowUnknownBrokerEpoch;
        controller.allows_late_attempts = bug == Bug::LateAttempts;
        let mut world = World {
            bug,
            rng,
            now: Now { mono: Duration::from_secs(100), wall_ms: 0 },
            nodes: (1..=brokers).map(|id| (id, Node::new(id))).collect(),
            controller,
            messages: Vec::new(),
            held: Vec::new(),
            isolated: BTreeSet::new(),
            committed: Vec::new(),
            committed_hashes: vec![0],
            acknowledged: BTreeMap::new(),
            leaders: BTreeMap::new(),
            values: 0,
            order_percent,
            seen: BTreeMap::new(),
            is_traced: false,
        };
        for id in 1..=brokers {
            world.apply(id, 0);
        }
        world
    }

    pub fn saw(&mut self, what: &'static str) {
        *self.seen.entry(what).or_default() += 1;
    }

    pub fn node(&mut self, id: BrokerId) -> &mut Node {
        self.nodes.get_mut(&id).unwrap()
    }

    pub fn send(&mut self, message: Message) {
        if self.messages.len() >= MESSAGES_MAX {
            self.messages.remove(0);
            self.saw("message lost");
        }
        self.messages.push(message);
    }

    /// The node takes note of the image of this index.
    pub fn apply(&mut self, id: BrokerId, index: usize) {
        let image = std::rc::Rc::clone(&self.controller.images[index]);
        let (min_insync_replicas, now, bug) = (self.controller.min_insync_replicas, self.now, self.bug);
        let node = self.node(id);
        node.applied = index;
        if !node.is_up {
            return;
        }
        if node.apply(&image, min_insync_replicas, now, bug) {
            self.check_new_leader(id, image.partition.leader_epoch);
        }
        self.settle(id);
    }

    pub fn deliver(&mut self, message: Message) {
        let now = self.now;
        match message {
            Message::Fetch { from, to, position, state } => {
                if !self.connects(from, to) {
                    return;
                }
                let (count, trusts) = (self.rng.below(6), self.bug == Bug::TrustDeletedEpochs);
                let fetched = self.node(to).on_fetch(from, &position, state, count, now, trusts);
                self.settle(to);
                self.send(Message::Fetched { from: to, to: from, asked: position, fetched });
            }
            Message::Fetched { from, to, asked, fetched } => {
                if self.connects(from, to) {
                    let step = self.node(to).on_fetched(&asked, &fetched);
                    self.note_step(to, step);
                }
            }
            Message::Durable { from, to, mut durable } => {
                if !self.connects(from, to) {
                    return;
                }
                let trusts = self.bug == Bug::TrustOldSyncs;
                if let Some(leader) = self.node(to).leader() {
                    if trusts {
                        durable.leader_epoch = leader.leader_epoch();
                        let known = leader.followers().find(|(id, _)| *id == from);
                        durable.broker_epoch = known.and_then(|(_, f)| f.broker_epoch()).unwrap_or(-1);
                    }
                    leader.on_replica_durable(from, durable, now);
                    self.settle(to);
                }
            }
            Message::Alter { from, broker_epoch, attempt, proposal } => {
                self.alter(from, broker_epoch, attempt, &proposal);
            }
            Message::Altered { to, broker_epoch, attempt, answer } => {
                self.altered(to, broker_epoch, attempt, answer);
            }
        }
    }

    fn connects(&self, from: BrokerId, to: BrokerId) -> bool {
        self.nodes[&to].is_up && !self.isolated.contains(&from) && !self.isolated.contains(&to)
    }

    fn alter(&mut self, from: BrokerId, broker_epoch: i64, attempt: u64, proposal: &IsrProposal) {
        if self.isolated.contains(&from) {
            return;
        }
        let mut after = self.controller.clone();
        let Some(answer) = after.alter(from, broker_epoch, attempt, proposal) else { return };
        if self.is_stranded(&after) {
            return;
        }
        if answer.is_ok() {
            let members = after.now.partition.isr.len();
            let before = self.controller.now.partition.isr.len();
            self.saw(if members > before { "expanded" } else { "shrunk" });
        }
        self.controller = after;
        self.send(Message::Altered { to: from, broker_epoch, attempt, answer });
    }

    fn altered(&mut self, to: BrokerId, broker_epoch: i64, attempt: u64, answer: IsrAnswer) {
        if self.isolated.contains(&to) || self.nodes[&to].broker_epoch != broker_epoch {
            return;
        }
        // An answer to what was given up finds nobody who waits for it.
        let Some(sent) = self.node(to).sent.take_if(|sent| sent.attempt == attempt) else { return };
        self.answer(to, &sent.proposal, answer);
    }

    fn answer(&mut self, to: BrokerId, proposal: &IsrProposal, mut answer: IsrAnswer) {
        let now = self.now;
        match answer.as_ref().err() {
            Some(ErrorCode::IneligibleReplica) => self.saw("rolled back"),
            Some(ErrorCode::InvalidUpdateVersion) => self.saw("outdated"),
            Some(ErrorCode::RequestTimedOut) => self.saw("given up"),
            _ => {}
        }
        if self.bug == Bug::ForgetUnanswered && answer == Err(ErrorCode::RequestTimedOut) {
            answer = Err(ErrorCode::OperationNotAttempted);
        }
        if let Some(leader) = self.node(to).leader() {
            leader.on_isr_answer(proposal, answer, now);
            self.settle(to);
        }
    }

    /// Time passes.
    pub fn wait(&mut self, time: Duration) {
        self.now.mono += time;
        let now = self.now;
        for id in self.ids() {
            let late = |sent: &mut Sent| now.mono >= sent.at.mono + ALTER_TIMEOUT;
            if let Some(sent) = self.node(id).sent.take_if(late) {
                self.answer(id, &sent.proposal, Err(ErrorCode::RequestTimedOut));
            }
            if let Some(leader) = self.node(id).leader()
                && leader.next_deadline().is_some_and(|at| now.mono >= at)
            {
                let moved = leader.on_tick(now);
                if moved.is_some() {
                    self.saw("laggard no longer awaited");
                }
                self.settle(id);
            }
        }
    }

    pub fn ids(&self) -> Vec<BrokerId> {
        self.nodes.keys().copied().collect()
    }

    /// What a leader's owner does after each input: proposals leave, commits are noted, acks are given.
    pub fn settle(&mut self, id: BrokerId) {
        let (now, bug) = (self.now, self.bug);
        let node = self.nodes.get_mut(&id).unwrap();
        let broker_epoch = node.broker_epoch;
        let base = node.sent.as_ref().map(|sent| sent.proposal.partition_epoch);
        let Role::Leader(leader) = &mut node.role else { return };
        let proposal = leader.proposal(now);
        if proposal.is_some() && bug == Bug::TrustShrink {
            leader.trust_proposal();
        }
        let due = leader.next_deadline();
        assert!(due.is_none_or(|due| due > now.mono), "a deadline that was looked at stays due: {due:?}");
        node.high_watermark = leader.high_watermark();
        if let Some(proposal) = proposal {
            let is_alone = base.is_none_or(|base| base < proposal.partition_epoch);
            assert!(is_alone, "one change is in flight at a time, unless a newer state overrides it");
            node.attempts += 1;
            let attempt = node.attempts;
            node.sent = Some(Sent { attempt, proposal: proposal.clone(), at: now });
            self.send(Message::Alter { from: id, broker_epoch, attempt, proposal });
        }
        self.note_commits(id);
        self.acknowledge(id);
    }

    fn note_step(&mut self, id: BrokerId, step: FollowerStep) {
        match step {
            FollowerStep::Truncate { .. } if self.node(id).cuts > 1 => self.saw("cut in several rounds"),
            FollowerStep::Truncate { .. } => self.saw("cut"),
            FollowerStep::Restart { .. } => self.saw("log restarted"),
            FollowerStep::AwaitMetadata => self.saw("fenced by a newer leader epoch"),
            FollowerStep::Ignore => self.saw("late answer ignored"),
            FollowerStep::Append { .. } | FollowerStep::Retry(_) => {}
        }
    }

    /// A client writes with acks=all to a node that thinks it leads.
    pub fn produce(&mut self, id: BrokerId) {
        self.values += 1;
        let value = self.values;
        let node = self.node(id);
        let Role::Leader(leader) = &mut node.role else { return };
        if leader.check_isr().is_err() {
            return self.saw("too few in sync");
        }
        let offset = node.log.log_end();
        node.log.append(Record { epoch: leader.leader_epoch(), value });
        leader.on_append(offset + 1);
        node.waiting.insert(offset, value);
        self.settle(id);
    }
}
