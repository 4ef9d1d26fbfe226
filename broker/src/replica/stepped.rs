//! [`SteppedReplicas`]: the replicas of a broker without threads, tasks and sockets, for simulations: the same log threads,
//! fetch sessions and followees as [`ReplicaManager`](super::ReplicaManager) has, moved by whoever owns time and the network.
//!
//! It stands in for the shells only: `fetcher`, `serving` and `isr_proposer` do the same with tasks. What is to be sent comes
//! out as [`Said`]; what arrives goes in by `on_*`. Nothing here reads a clock but the one it was given.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use tidemark_core::metadata::{ClusterImage, Command, Reply};
use tidemark_protocol::error_code::ErrorCode;
use tidemark_protocol::types::{BrokerId, TopicIdPartition};
use tokio::sync::watch;

use super::fetch_session::{Answer, FetchSession, MARKS_AFTER};
use super::followees::{Followees, PAUSE, route};
use super::isr_proposer::{self, Proposals};
use super::map::ReplicaMap;
use super::messages::{ReplicaFetch, ReplicaFetched, ReplicaProgress, durable};
use super::reconcile::Reconciler;
use super::start::{self, Prepared, ReplicaOptions, StartError};
use crate::clock::Clock;
use crate::partition::directory::Directory;
use crate::partition::log_thread::LogThread;
use crate::partition::sight::ReplicaState;
use crate::partition::{PartitionHandle, PartitionView, Replication, Subscription};
use crate::runtime::WorkPool;

/// Rounds within which a command of its own is answered, or never.
const ROUNDS_MAX: usize = 1_000;

/// Names a connection from one broker to another; never used again.
pub type Connection = u64;

/// Something to send.
#[derive(Debug)]
pub enum Said {
    /// A follower asks.
    Fetch {
        /// The leader.
        to: BrokerId,
        /// By which connection.
        connection: Connection,
        /// What.
        fetch: ReplicaFetch,
    },
    /// A follower's syncs have finished.
    Progress {
        /// The leader.
        to: BrokerId,
        /// By which connection.
        connection: Connection,
        /// Which.
        progress: ReplicaProgress,
    },
    /// A leader answers the oldest fetch of a connection.
    Fetched {
        /// The follower.
        to: BrokerId,
        /// By which connection.
        connection: Connection,
        /// The answer.
        answer: ReplicaFetched,
        /// Records of all its partitions.
        records: Bytes,
    },
    /// A leader wants other ISRs; the reply goes to [`SteppedReplicas::on_altered`].
    Alter(Command),
}

/// The replicas of one broker.
pub struct SteppedReplicas {
    me: BrokerId,
    clock: Clock,
    directory: Arc<Directory>,
    threads: Vec<LogThread>,
    sync: WorkPool,
    map: Arc<ArcSwap<ReplicaMap>>,
    reconciler: Reconciler,
    image: Arc<ClusterImage>,
    leaders: BTreeMap<TopicIdPartition, BrokerId>,
    fetchers: BTreeMap<BrokerId, Fetching>,
    sessions: BTreeMap<(BrokerId, Connection), Serving>,
    /// ISRs that were proposed and not answered.
    proposals: Option<Proposals>,
    connections: Connection,
}

/// Fetching from one leader.
struct Fetching {
    followees: Followees,
    connection: Option<Connection>,
    in_flight: usize,
    /// After a failure.
    asleep_until: Option<Duration>,
}

/// One connection of a follower.
struct Serving {
    session: FetchSession,
    /// A fetch that waits for something to say, until then.
    parked: Option<(Answer, Duration)>,
}

impl SteppedReplicas {
    /// Reads what is on the disk and takes up the partitions of `image`. `first_connection` must be above all that this node
    /// ever used.
    pub fn start(
        options: ReplicaOptions,
        image: Arc<ClusterImage>,
        first_connection: Connection,
    ) -> Result<SteppedReplicas, StartError> {
        let Prepared { directory, threads, .. } = start::prepare(&options, &image)?;
        let map = Arc::new(ArcSwap::from_pointee(ReplicaMap::default()));
        let (tell_applied, _) = watch::channel(0);
        let mut reconciler = Reconciler::new(
            options.me,
            options.configs,
            Arc::clone(&directory),
            Arc::clone(&map),
            tell_applied,
        );
        let sync = options.runtimes.sync;
        let mut threads = threads;
        until_ready(reconciler.follow(Arc::clone(&image)), &mut threads, &sync);
        Ok(SteppedReplicas {
            me: options.me,
            clock: options.clock,
            directory,
            threads,
            sync,
            map,
            reconciler,
            image,
            leaders: BTreeMap::new(),
            fetchers: BTreeMap::new(),
            sessions: BTreeMap::new(),
            proposals: None,
            connections: first_connection,
        })
    }

    /// Takes up a newer image. What it takes away is gone when this returns, as for the manager.
    pub fn apply(&mut self, image: Arc<ClusterImage>) {
        self.image = Arc::clone(&image);
        let SteppedReplicas { reconciler, threads, sync, .. } = self;
        until_ready(reconciler.follow(image), threads, sync);
    }

    /// One round of every log thread, and what is to be sent then.
    pub fn step(&mut self) -> Vec<Said> {
        rounds(&mut self.threads);
        let mut said = Vec::new();
        self.follow(&mut said);
        self.serve(&mut said);
        self.propose(&mut said);
        said
    }

    /// Lets the oldest sync under way finish; false when there is none.
    pub fn finish_sync(&mut self) -> bool {
        self.sync.run_one()
    }

    /// Syncs under way.
    pub fn syncs(&self) -> usize {
        self.sync.queued()
    }

    /// Whether a step has something to do now.
    pub fn has_input(&self) -> bool {
        self.threads.iter().any(LogThread::has_input)
    }

    /// When a step has something to do by time alone, as `Now::mono`.
    pub fn next_due(&self) -> Option<Duration> {
        let now = self.clock.now().mono;
        let threads = self.threads.iter().filter_map(LogThread::patience).map(|patience| now + patience);
        let fetchers = self.fetchers.values().flat_map(|fetching| match fetching.asleep_until {
            Some(until) => Some(until),
            None => fetching.followees.resume_at(),
        });
        let parked =
            self.sessions.values().filter_map(|serving| serving.parked.as_ref().map(|(_, until)| *until));
        threads.chain(fetchers).chain(parked).min()
    }

    /// The partition of this id and index.
    pub fn partition(&self, id: TopicIdPartition) -> Option<PartitionHandle> {
        self.map.load().partition_by_id(id).cloned()
    }

    /// All replicas as their writers see them.
    pub fn sights(&mut self) -> Vec<(TopicIdPartition, ReplicaState)> {
        self.threads.iter_mut().flat_map(LogThread::sights).collect()
    }

    /// Why the data directory takes no writes any more, if it has failed.
    pub fn failure(&self) -> Option<Arc<str>> {
        self.directory.watch_failure().borrow().clone()
    }

    /// Stops in order; returns whether everything was flushed and closed.
    pub fn stop(mut self) -> bool {
        while self.sync.run_one() {}
        self.sync.stop();
        self.threads.drain(..).fold(true, |clean, thread| thread.stop() & clean)
    }

    // Following.

    fn follow(&mut self, said: &mut Vec<Said>) {
        let now = self.clock.now().mono;
        let outlet = self.directory.outlet();
        for (id, place) in at_once(outlet.places()).unwrap_or_default() {
            for leader in route(&mut self.leaders, id, &place) {
                let fetching = self.fetchers.entry(leader).or_insert_with(|| Fetching::new(leader));
                fetching.followees.take(place.clone(), now);
            }
        }
        let broker_epoch = self.image.brokers.get(&self.me).map_or(-1, |broker| broker.epoch);
        for (to, fetching) in &mut self.fetchers {
            let is_known = self.image.brokers.contains_key(to);
            fetching.say(*to, broker_epoch, is_known, now, &mut self.connections, said);
        }
    }

    /// The leader has answered the oldest fetch of this connection.
    pub fn on_fetched(
        &mut self,
        from: BrokerId,
        connection: Connection,
        answer: ReplicaFetched,
        records: Bytes,
    ) {
        let Some(fetching) = self.fetchers.get_mut(&from) else { return };
        if fetching.connection != Some(connection) {
            return;
        }
        fetching.in_flight -= 1;
        fetching.followees.answered(answer, records);
    }

    /// The connection to a leader is gone, and what was asked by it.
    pub fn on_broken(&mut self, to: BrokerId, connection: Connection) {
        let until = self.clock.now().mono + PAUSE;
        let Some(fetching) = self.fetchers.get_mut(&to) else { return };
        if fetching.connection == Some(connection) {
            fetching.connection = None;
            fetching.in_flight = 0;
            fetching.asleep_until = Some(until);
        }
    }

    // Serving.

    /// A follower asks.
    pub fn on_fetch(&mut self, from: BrokerId, connection: Connection, fetch: ReplicaFetch) -> Vec<Said> {
        let mut said = Vec::new();
        let is_first = !self.sessions.contains_key(&(from, connection));
        let new = || Serving { session: FetchSession::new(from, Subscription::new()), parked: None };
        // Whatever waits answers at once: its follower has something new to say.
        let superseded = self.sessions.entry((from, connection)).or_insert_with(new).parked.take();
        said.extend(superseded.map(|(answer, _)| fetched(from, connection, answer)));
        if fetch.continues && is_first {
            let answer = ReplicaFetched { is_lost: true, partitions: Vec::new() };
            said.push(Said::Fetched { to: from, connection, answer, records: Bytes::new() });
            return said;
        }
        let found: Vec<_> = fetch.set.iter().map(|wanted| self.find(wanted.id)).collect();
        let deadline = self.clock.now().mono + Duration::from_millis(fetch.max_wait_ms.into());
        let Some(serving) = self.sessions.get_mut(&(from, connection)) else { return said };
        let mut answer = Answer::new(fetch.max_bytes);
        for id in fetch.forget {
            serving.session.forget(id);
        }
        for (wanted, found) in fetch.set.into_iter().zip(found) {
            serving.session.begin(fetch.broker_epoch, wanted, found, &mut answer);
        }
        serving.parked = Some((answer, deadline));
        self.serve(&mut said);
        said
    }

    /// A follower's syncs have finished.
    pub fn on_progress(&mut self, from: BrokerId, progress: ReplicaProgress) {
        for (id, leader_epoch, end) in progress.durable {
            if let Some(handle) = self.partition(id) {
                let durable = durable(progress.broker_epoch, leader_epoch, end);
                handle.replicate(Replication::Durable { replica: from, durable });
            }
        }
    }

    /// The connection of a follower is gone.
    pub fn on_hung_up(&mut self, from: BrokerId, connection: Connection) {
        self.sessions.remove(&(from, connection));
    }

    fn find(&mut self, id: TopicIdPartition) -> Result<(PartitionHandle, Arc<PartitionView>), ErrorCode> {
        let handle = self.partition(id).ok_or(ErrorCode::UnknownTopicOrPartition)?;
        let view = until_ready(handle.ready_view(), &mut self.threads, &self.sync);
        view.map_err(|_| ErrorCode::KafkaStorageError).map(|view| (handle, view))
    }

    /// Answers the fetches that have waited long enough.
    fn serve(&mut self, said: &mut Vec<Said>) {
        let now = self.clock.now().mono;
        for ((from, connection), serving) in &mut self.sessions {
            let Some((mut answer, deadline)) = serving.parked.take() else { continue };
            while let Some(cold) = serving.session.collect(&mut answer) {
                serving.session.give(&cold, cold.read(), &mut answer);
            }
            let marks_due = if serving.session.is_behind() { now + MARKS_AFTER } else { deadline };
            let deadline = deadline.min(marks_due);
            if !answer.is_empty() || now >= deadline {
                serving.session.tell_marks(&mut answer);
                said.push(fetched(*from, *connection, answer));
            } else {
                serving.parked = Some((answer, deadline));
            }
        }
    }

    // Proposing.

    fn propose(&mut self, said: &mut Vec<Said>) {
        if self.proposals.is_some() {
            return;
        }
        let Some(proposals) = at_once(self.directory.outlet().proposals()) else { return };
        let broker_epoch = self.image.brokers.get(&self.me).map_or(-1, |broker| broker.epoch);
        said.push(Said::Alter(isr_proposer::command(self.me, broker_epoch, &proposals)));
        self.proposals = Some(proposals);
    }

    /// What became of the ISRs that were wanted. The image that the reply belongs to must be applied before.
    pub fn on_altered(&mut self, reply: Reply) {
        let Some(proposals) = self.proposals.take() else { return };
        let answers = isr_proposer::answers(reply, &proposals);
        for (id, (handle, proposal)) in proposals {
            let answer = answers.get(&id).cloned().unwrap_or(Err(ErrorCode::RequestTimedOut));
            handle.replicate(Replication::IsrAnswered { proposal, answer });
        }
    }
}

impl Fetching {
    fn new(leader: BrokerId) -> Fetching {
        Fetching { followees: Followees::new(leader), connection: None, in_flight: 0, asleep_until: None }
    }

    /// What the loop of a fetcher does when it is awake.
    fn say(
        &mut self,
        to: BrokerId,
        broker_epoch: i64,
        is_known: bool,
        now: Duration,
        connections: &mut Connection,
        said: &mut Vec<Said>,
    ) {
        match self.asleep_until {
            Some(until) if now < until => return,
            Some(_) => {
                self.asleep_until = None;
                self.followees.say_all_again();
            }
            None => {}
        }
        self.followees.end_pauses(now);
        let progress = self.followees.progress(broker_epoch);
        if let (Some(connection), Some(progress)) = (self.connection, progress) {
            said.push(Said::Progress { to, connection, progress });
        }
        if !self.followees.has_news() && (self.in_flight > 0 || self.followees.is_empty()) {
            return;
        }
        if !is_known {
            self.followees.wait_for_leader();
            self.asleep_until = Some(now + PAUSE);
            return;
        }
        let connection = *self.connection.get_or_insert_with(|| {
            *connections += 1;
            *connections
        });
        self.in_flight += 1;
        said.push(Said::Fetch { to, connection, fetch: self.followees.fetch(broker_epoch) });
    }
}

fn fetched(to: BrokerId, connection: Connection, answer: Answer) -> Said {
    let message = answer.message();
    let records = match message.raw.as_slice() {
        [one] => one.clone(),
        parts => parts.concat().into(),
    };
    Said::Fetched { to, connection, answer: message.head, records }
}

fn rounds(threads: &mut [LogThread]) {
    for thread in threads {
        thread.receive_now();
        thread.round();
    }
}

/// Runs the log threads, and the syncs they wait for, until something of theirs is ready.
fn until_ready<T>(future: impl Future<Output = T>, threads: &mut [LogThread], sync: &WorkPool) -> T {
    let mut future = pin!(future);
    for _ in 0..ROUNDS_MAX {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return output;
        }
        rounds(threads);
        sync.run_one();
    }
    unreachable!("a log thread answers its commands")
}

/// What is there already.
fn at_once<T>(future: impl Future<Output = T>) -> Option<T> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}
