//! [`World`]: machines, a network, a quorum and clients in one thread, driven by a seed through simulated time.
//!
//! Every event is one entry of a queue ordered by time; whatever is left to chance comes from the seed's dice, so one seed is
//! one history. After each event what it touched is checked (`checks`).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use tidemark_broker::partition::{Acks, ProduceError};
use tidemark_broker::replica::messages::{ReplicaFetch, ReplicaFetched, ReplicaProgress};
use tidemark_core::metadata::Heartbeat;
use tidemark_core::metadata::sessions::HeartbeatReply;
use tidemark_protocol::batch::RecordBatch;
use tidemark_protocol::types::{BrokerId, LeaderEpoch, Offset, TopicIdPartition};

use super::bugs::Bug;
use super::clients::Producer;
use super::faults::Undo;
use super::mirror::Ledger;
use super::net::Net;
use super::node::{CLUSTER, Node};
use super::plan::Plan;
use super::quorum::{Entry, Quorum};
use crate::rng::Rng;

/// A history that has not ended after so many events runs in circles.
const EVENTS_MAX: u64 = 3_000_000;

/// Something on its way.
pub enum Letter {
    /// A follower asks.
    Fetch { from: BrokerId, to: BrokerId, connection: u64, fetch: ReplicaFetch },
    /// A follower's syncs have finished.
    Progress { from: BrokerId, to: BrokerId, connection: u64, progress: ReplicaProgress },
    /// A leader answers.
    Fetched { from: BrokerId, to: BrokerId, connection: u64, answer: ReplicaFetched, records: Bytes },
    /// To the controller.
    Propose { to: BrokerId, entry: Entry },
    /// From the controller: it is decided.
    Decided { to: BrokerId, session: u64, sequence: u64 },
    /// A broker lives.
    Beat { from: BrokerId, to: BrokerId, beat: Heartbeat },
    /// … and is told so.
    Alive { to: BrokerId, session: u64, reply: HeartbeatReply },
    /// A client writes.
    Produce {
        to: BrokerId,
        producer: usize,
        attempt: u64,
        id: TopicIdPartition,
        acks: Acks,
        batch: RecordBatch,
    },
    /// … and is answered.
    Produced { producer: usize, attempt: u64, answer: Result<Offset, ProduceError> },
}

impl Letter {
    /// The node it goes to; `None` for a client's.
    fn to(&self) -> Option<BrokerId> {
        match self {
            Letter::Fetch { to, .. }
            | Letter::Progress { to, .. }
            | Letter::Fetched { to, .. }
            | Letter::Propose { to, .. }
            | Letter::Decided { to, .. }
            | Letter::Beat { to, .. }
            | Letter::Alive { to, .. }
            | Letter::Produce { to, .. } => Some(*to),
            Letter::Produced { .. } => None,
        }
    }
}

/// Something that happens at a time.
pub enum Event {
    /// A node's threads run.
    Step(BrokerId),
    /// A sync comes back.
    Sync(BrokerId, u64),
    /// A message arrives.
    Deliver(Letter),
    /// A broker's heartbeat is due.
    Beat(BrokerId, u64),
    /// The controller looks after sessions; if there is none, one may be elected.
    Watch,
    /// A majority may have what the leader has.
    Commit,
    /// A node hears of newer metadata.
    Apply(BrokerId),
    /// A node proposes what waits.
    Pump(BrokerId, u64),
    /// A proposal has no answer yet.
    Retry(BrokerId, u64),
    /// A follower learns that its connection is gone.
    Broken { follower: BrokerId, to: BrokerId, connection: u64 },
    /// A leader learns it.
    HungUp { leader: BrokerId, run: u64, follower: BrokerId, connection: u64 },
    /// A producer may send.
    Produce(usize),
    /// A producer waits no longer.
    GiveUp(usize, u64),
    /// Something goes wrong.
    Fault,
    /// An operator does something.
    Errand,
    /// A fault is over.
    Undo(Undo),
    /// A machine is switched on.
    Boot(BrokerId),
}

/// Everything there is.
pub struct World {
    pub seed: u64,
    pub bug: Bug,
    pub plan: Plan,
    pub rng: Rng,
    /// Since the beginning.
    pub now: Duration,
    queue: BTreeMap<(Duration, u64), Event>,
    count: u64,
    pub events: u64,
    pub nodes: BTreeMap<BrokerId, Node>,
    pub net: Net,
    pub quorum: Quorum,
    /// Which process of a leader took a connection: leader and its run.
    pub connections: BTreeMap<(BrokerId, u64), (BrokerId, u64)>,
    pub producers: Vec<Producer>,
    pub ledgers: BTreeMap<TopicIdPartition, Ledger>,
    /// Faults and errands are over.
    pub is_healing: bool,
    /// Numbers topics.
    pub topics: u64,
    /// Partitions whose newest state was not checked.
    pub dirty: BTreeSet<TopicIdPartition>,
    pub is_commit_due: bool,
    /// What planted bugs have to remember: epochs that were left out of fetches, …
    pub hidden_epochs: BTreeMap<(BrokerId, TopicIdPartition, LeaderEpoch, Offset), Option<LeaderEpoch>>,
    /// … and logs that were cut, in which leader epoch.
    pub truncated: BTreeSet<(BrokerId, u64, TopicIdPartition, LeaderEpoch)>,
    /// Counts what happened, to see that everything does.
    pub seen: BTreeMap<&'static str, u64>,
    /// A number that tells two histories apart.
    pub trace: u64,
    pub is_traced: bool,
}

impl World {
    /// The beginning of a seed: machines off, no cluster.
    pub fn new(seed: u64, bug: Bug) -> World {
        let mut rng = Rng::new(seed.wrapping_add(0x7469_6465));
        let mut plan = Plan::new(&mut rng);
        bug.twist_plan(&mut plan);
        let has_drift = rng.percent(30);
        let nodes = (1..=plan.brokers).map(|id| {
            let rate = if has_drift { rng.between(980, 1021) } else { 1000 };
            (id, Node::new(id, seed << 8 | u64::from(id.unsigned_abs()), rate))
        });
        let nodes = nodes.collect();
        World {
            seed,
            bug,
            plan,
            rng,
            now: Duration::ZERO,
            queue: BTreeMap::new(),
            count: 0,
            events: 0,
            nodes,
            net: Net::default(),
            quorum: Quorum::new(CLUSTER),
            connections: BTreeMap::new(),
            producers: Vec::new(),
            ledgers: BTreeMap::new(),
            is_healing: false,
            topics: 0,
            dirty: BTreeSet::new(),
            is_commit_due: false,
            hidden_epochs: BTreeMap::new(),
            truncated: BTreeSet::new(),
            seen: BTreeMap::new(),
            trace: 0xcbf2_9ce4_8422_2325,
            is_traced: false,
        }
    }

    /// Something happened.
    pub fn saw(&mut self, what: &'static str) {
        *self.seen.entry(what).or_default() += 1;
    }

    /// Something is to happen after `delay`.
    pub fn after(&mut self, delay: Duration, event: Event) {
        self.at(self.now + delay, event);
    }

    /// Something is to happen at `time`.
    pub fn at(&mut self, time: Duration, event: Event) {
        self.count += 1;
        self.queue.insert((time.max(self.now), self.count), event);
    }

    /// A duration below `micros` microseconds.
    pub fn within_us(&mut self, micros: u64) -> Duration {
        Duration::from_micros(self.rng.below(micros.max(1)))
    }

    /// A duration around `mean_ms` milliseconds.
    pub fn around_ms(&mut self, mean_ms: u64) -> Duration {
        self.within_us(mean_ms * 2_000)
    }

    /// The node.
    pub fn node(&mut self, id: BrokerId) -> &mut Node {
        self.nodes.get_mut(&id).expect("nodes are never removed")
    }

    /// Nodes for which `fits` holds.
    pub fn ids(&self, fits: impl Fn(&Node) -> bool) -> Vec<BrokerId> {
        self.nodes.values().filter(|node| fits(node)).map(|node| node.id).collect()
    }

    /// One of them.
    pub fn pick<T: Copy>(&mut self, of: &[T]) -> Option<T> {
        if of.is_empty() { None } else { Some(*self.rng.pick(of)) }
    }

    /// Notes a step of the history.
    pub fn note(&mut self, what: &str) {
        for byte in what.bytes() {
            self.trace = (self.trace ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        if self.is_traced {
            println!("{:>12.6} {what}", self.now.as_secs_f64());
        }
    }

    /// Runs until `end`, or until `done` says so, which is asked each half second.
    pub fn run_until(&mut self, end: Duration, mut done: impl FnMut(&mut World) -> bool) -> bool {
        let mut ask_at = self.now;
        while let Some(((time, _), event)) = self.queue.pop_first() {
            if time > end {
                self.queue.insert((time, 0), event);
                self.now = end;
                return done(self);
            }
            if time >= ask_at {
                if done(self) {
                    self.queue.insert((time, 0), event);
                    return true;
                }
                ask_at = time + Duration::from_millis(500);
            }
            self.now = time;
            self.events += 1;
            assert!(self.events < EVENTS_MAX, "liveness: the history never ends");
            self.happen(event);
            self.check_dirty();
        }
        unreachable!("a cluster always has something to do")
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Step(id) => self.step_event(id),
            Event::Sync(id, run) => self.sync_event(id, run),
            Event::Deliver(letter) => self.deliver(letter),
            Event::Beat(id, run) => self.beat(id, run),
            Event::Watch => self.watch(),
            Event::Commit => self.commit(),
            Event::Apply(id) => self.apply(id),
            Event::Pump(id, run) => {
                if self.nodes[&id].run == run && self.nodes[&id].is_up {
                    self.pump(id);
                }
            }
            Event::Retry(id, sequence) => self.retry(id, sequence),
            Event::Broken { follower, to, connection } => self.broken(follower, to, connection),
            Event::HungUp { leader, run, follower, connection } => {
                let node = self.node(leader);
                if node.run == run
                    && let Some(replicas) = &mut node.replicas
                {
                    replicas.on_hung_up(follower, connection);
                }
            }
            Event::Produce(producer) => self.produce(producer),
            Event::GiveUp(producer, attempt) => self.give_up(producer, attempt),
            Event::Fault => self.fault(),
            Event::Errand => self.errand(),
            Event::Undo(undo) => self.undo(undo),
            Event::Boot(id) => self.boot(id),
        }
    }

    /// Sends a call; whether it arrives is the network's matter.
    pub fn call(&mut self, from: BrokerId, to: BrokerId, letter: Letter) {
        let (now, World { net, rng, plan, .. }) = (self.now, &mut *self);
        if let Some(at) = net.call(from, to, now, plan, rng) {
            self.at(at, Event::Deliver(letter));
        } else {
            self.saw("message lost");
        }
    }

    /// Sends by a connection that `follower` has opened to `leader`.
    pub fn stream(
        &mut self,
        from: BrokerId,
        to: BrokerId,
        follower: BrokerId,
        connection: u64,
        letter: Letter,
    ) {
        let (now, World { net, rng, plan, .. }) = (self.now, &mut *self);
        if let Some(at) = net.stream(from, to, (follower, connection), now, plan, rng) {
            self.at(at, Event::Deliver(letter));
        } else {
            let leader = if from == follower { to } else { from };
            self.break_connection(follower, leader, connection);
        }
    }

    /// A connection has lost something: both sides learn of it sooner or later.
    pub fn break_connection(&mut self, follower: BrokerId, leader: BrokerId, connection: u64) {
        self.net.kill((follower, connection));
        self.saw("connection broken");
        let patience = if self.rng.percent(70) { 300 } else { 5_000 };
        let delay = self.around_ms(patience);
        self.after(delay, Event::Broken { follower, to: leader, connection });
        if let Some((_, run)) = self.connections.get(&(follower, connection)).copied() {
            let delay = self.around_ms(3_000);
            self.after(delay, Event::HungUp { leader, run, follower, connection });
        }
    }

    fn broken(&mut self, follower: BrokerId, to: BrokerId, connection: u64) {
        let now = self.now;
        let node = self.node(follower);
        node.tick(now);
        if let Some(replicas) = &mut node.replicas {
            replicas.on_broken(to, connection);
            self.wake(follower, Duration::ZERO);
        }
    }

    /// Has the threads of a node run soon.
    pub fn wake(&mut self, id: BrokerId, delay: Duration) {
        let at = self.now + delay;
        let node = self.node(id);
        if node.step_at.is_none_or(|known| known > at) {
            node.step_at = Some(at);
            self.at(at, Event::Step(id));
        }
    }

    /// Hands over what has arrived; what arrives at a process that stands still waits for it.
    fn deliver(&mut self, letter: Letter) {
        let Some(to) = letter.to() else {
            let Letter::Produced { producer, attempt, answer } = letter else { return };
            return self.produced(producer, attempt, answer);
        };
        if self.nodes[&to].is_paused {
            let delay = self.around_ms(20);
            return self.after(delay, Event::Deliver(letter));
        }
        let now = self.now;
        self.node(to).tick(now);
        match letter {
            Letter::Produced { .. } => unreachable!("it went to its client"),
            Letter::Propose { entry, .. } => self.propose_at(to, entry),
            Letter::Decided { session, sequence, .. } => self.decided(to, session, sequence),
            Letter::Beat { from, beat, .. } => self.heard(to, from, &beat),
            Letter::Alive { session, reply, .. } => self.alive(to, session, reply),
            Letter::Produce { producer, attempt, id, acks, batch, .. } => {
                self.append(to, producer, attempt, id, acks, batch);
            }
            Letter::Fetched { from, connection, mut answer, records, .. } => {
                self.twist_fetched(to, &mut answer);
                if let Some(replicas) = &mut self.node(to).replicas {
                    replicas.on_fetched(from, connection, answer, records);
                    self.wake(to, Duration::ZERO);
                }
            }
            Letter::Fetch { from, connection, mut fetch, .. } => {
                self.twist_fetch(from, &mut fetch);
                if self.takes(to, from, connection)
                    && let Some(replicas) = &mut self.node(to).replicas
                {
                    let said = replicas.on_fetch(from, connection, fetch);
                    self.look(to);
                    self.send(to, said);
                    self.wake(to, Duration::ZERO);
                }
            }
            Letter::Progress { from, connection, progress, .. } => {
                if self.takes(to, from, connection)
                    && let Some(replicas) = &mut self.node(to).replicas
                {
                    replicas.on_progress(from, progress);
                    self.wake(to, Duration::ZERO);
                }
            }
        }
    }

    /// Whether the process that runs at `leader` is the one the connection leads to.
    fn takes(&mut self, leader: BrokerId, follower: BrokerId, connection: u64) -> bool {
        let node = &self.nodes[&leader];
        if node.replicas.is_none() {
            self.break_connection(follower, leader, connection);
            return false;
        }
        let run = node.run;
        let known = *self.connections.entry((follower, connection)).or_insert((leader, run));
        if known != (leader, run) {
            self.break_connection(follower, leader, connection);
            return false;
        }
        true
    }
}
