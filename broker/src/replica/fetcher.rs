//! [`Fetchers`]: how the followers of this broker get what their leaders have: one task for each leader.
//!
//! A fetcher keeps one fetch at its leader. It says what has changed since the last: where logs have grown to, what begins and
//! what ends. Answers go to the writers, which say through the outlet where they stand then; that is the next fetch. While a
//! sync runs the next fetch is on its way, and the end of the sync is told beside it.
//!
//! ```text
//!  outlet ─▶ places by leader ─▶ ReplicaFetch{set, forget} ─▶ leader … answer ─▶ writers ─▶ outlet
//!                └──── durable_end moved while a fetch waits ─▶ ReplicaProgress ─▶ leader
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use tidemark_core::metadata::ClusterImage;
use tidemark_protocol::types::{BrokerId, LeaderEpoch, Offset, TopicIdPartition};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::messages::{Found, ReplicaFetch, ReplicaFetched, ReplicaProgress, Wanted};
use crate::partition::outlet::{FollowerPlace, Outlet};
use crate::partition::{Replicated, Replication};
use crate::peer::call::Message;
use crate::peer::{CallError, PeerClient, PeerClients, Purpose};

/// Name of the endpoint under which brokers register where other nodes reach them.
pub const PEER_LISTENER: &str = "peer";
/// Most bytes of one answer.
const ANSWER_BYTES: u32 = 8 << 20;
/// How long a leader may wait for something to say.
const WAIT_MS: u32 = 500;
/// … and how long this side waits for its answer.
const ANSWER_PATIENCE: Duration = Duration::from_secs(10);
/// After an answer that was of no use.
const PAUSE: Duration = Duration::from_millis(100);

/// What followers need to know of their leaders.
#[derive(Clone)]
pub struct Followed {
    /// This broker.
    pub me: BrokerId,
    /// The cluster.
    pub images: watch::Receiver<Arc<ClusterImage>>,
    /// Calls to other nodes.
    pub clients: PeerClients,
}

/// Hands places to the fetchers of their leaders, for as long as it is polled.
pub async fn run(outlet: Arc<Outlet>, followed: Followed) {
    let mut fetchers: BTreeMap<BrokerId, mpsc::UnboundedSender<FollowerPlace>> = BTreeMap::new();
    let mut leaders: BTreeMap<TopicIdPartition, BrokerId> = BTreeMap::new();
    let mut tasks = JoinSet::new();
    loop {
        for (id, place) in outlet.places().await {
            let old = match place.leader {
                Some(leader) => leaders.insert(id, leader),
                None => leaders.remove(&id),
            };
            // Who is not asked any more forgets the partition.
            for leader in [old, place.leader].into_iter().flatten().collect::<BTreeSet<_>>() {
                let sender = fetchers.entry(leader).or_insert_with(|| {
                    // As many messages as partitions move: the outlet keeps one of each.
                    let (sender, places) = mpsc::unbounded_channel();
                    tasks.spawn(Fetcher::new(leader, followed.clone()).run(places));
                    sender
                });
                // A fetcher ends only with this task.
                let _ = sender.send(place.clone());
            }
        }
    }
}

/// Fetches from one leader.
struct Fetcher {
    leader: BrokerId,
    followed: Followed,
    partitions: BTreeMap<TopicIdPartition, Followee>,
    /// To be said with the next fetch.
    changed: BTreeSet<TopicIdPartition>,
    forget: BTreeSet<TopicIdPartition>,
    /// Durable ends to be told while a fetch waits.
    durable: BTreeSet<TopicIdPartition>,
    /// When partitions may be asked for again.
    paused: BTreeSet<(Instant, TopicIdPartition)>,
    /// The leader answers them in their order.
    in_flight: FuturesUnordered<BoxFuture<'static, Fetched>>,
    /// The leader knows what was said so far.
    continues: bool,
    client: Option<PeerClient>,
}

/// One partition that is fetched.
struct Followee {
    place: FollowerPlace,
    /// Durable end the leader knows.
    told: Offset,
}

impl Fetcher {
    fn new(leader: BrokerId, followed: Followed) -> Fetcher {
        Fetcher {
            leader,
            followed,
            partitions: BTreeMap::new(),
            changed: BTreeSet::new(),
            forget: BTreeSet::new(),
            durable: BTreeSet::new(),
            paused: BTreeSet::new(),
            in_flight: FuturesUnordered::new(),
            continues: false,
            client: None,
        }
    }

    async fn run(mut self, mut places: mpsc::UnboundedReceiver<FollowerPlace>) {
        loop {
            while let Ok(place) = places.try_recv() {
                self.take(place);
            }
            self.end_pauses();
            self.tell_durable();
            let has_news = !self.changed.is_empty() || !self.forget.is_empty();
            if has_news || (self.in_flight.is_empty() && !self.partitions.is_empty()) {
                self.fetch();
            }
            let resume = self.paused.first().map(|(at, _)| *at);
            tokio::select! {
                biased;
                place = places.recv() => match place {
                    Some(place) => self.take(place),
                    None => return,
                },
                Some(answer) = self.in_flight.next() => self.answered(answer).await,
                () = resumed(resume) => {}
            }
        }
    }

    /// A partition stands somewhere else.
    fn take(&mut self, place: FollowerPlace) {
        let id = place.handle.id();
        let (Some(position), true) = (place.position, place.leader == Some(self.leader)) else {
            if self.partitions.remove(&id).is_some() {
                self.forget.insert(id);
            }
            self.changed.remove(&id);
            self.durable.remove(&id);
            return;
        };
        let known = self.partitions.get(&id);
        let moved = known.is_none_or(|known| known.place.position != Some(position));
        let told = known.map_or(-1, |known| known.told);
        let (durable_end, agrees, pause) = (place.durable_end, place.agrees, place.pause);
        self.partitions.insert(id, Followee { place, told });
        self.forget.remove(&id);
        if pause.is_some() {
            self.paused.insert((Instant::now() + PAUSE, id));
        } else if moved {
            self.changed.insert(id);
        } else if durable_end > told && agrees {
            self.durable.insert(id);
        }
    }

    fn end_pauses(&mut self) {
        let now = Instant::now();
        while let Some((at, id)) = self.paused.first().copied().filter(|(at, _)| *at <= now) {
            self.paused.remove(&(at, id));
            if self.partitions.contains_key(&id) {
                self.changed.insert(id);
            }
        }
    }

    /// Tells of syncs that have finished, unless the next fetch says so anyway.
    fn tell_durable(&mut self) {
        if self.durable.is_empty() {
            return;
        }
        let mut durable: Vec<(TopicIdPartition, LeaderEpoch, Offset)> = Vec::new();
        for id in std::mem::take(&mut self.durable) {
            let Some(followee) = self.partitions.get_mut(&id).filter(|_| !self.changed.contains(&id)) else {
                continue;
            };
            let Some(position) = followee.place.position else { continue };
            followee.told = followee.place.durable_end;
            durable.push((id, position.leader_epoch, followee.told));
        }
        if let (Some(client), false) = (&self.client, durable.is_empty()) {
            client.tell(ReplicaProgress { broker_epoch: self.broker_epoch(), durable });
        }
    }

    fn broker_epoch(&self) -> i64 {
        self.followed.images.borrow().brokers.get(&self.followed.me).map_or(-1, |broker| broker.epoch)
    }

    /// Starts the next fetch; the leader ends the one that waits there when it hears of it.
    fn fetch(&mut self) {
        let endpoint = {
            let image = self.followed.images.borrow();
            let leader = image.brokers.get(&self.leader);
            leader
                .and_then(|leader| leader.endpoint(PEER_LISTENER))
                .map(|at| format!("{}:{}", at.host, at.port))
        };
        let Some(address) = endpoint else { return self.wait_for_leader() };
        if self.client.as_ref().is_none_or(|client| client.address() != address) {
            self.client = Some(self.followed.clients.to(&address, Purpose::Replication));
            self.say_all_again();
        }
        let Some(client) = self.client.clone() else { return };
        let mut set = Vec::with_capacity(self.changed.len());
        for id in std::mem::take(&mut self.changed) {
            let Some(followee) = self.partitions.get_mut(&id) else { continue };
            followee.told = followee.place.durable_end;
            set.extend(wanted(id, &followee.place));
        }
        let fetch = ReplicaFetch {
            broker_epoch: self.broker_epoch(),
            continues: self.continues,
            set,
            forget: std::mem::take(&mut self.forget).into_iter().collect(),
            max_bytes: ANSWER_BYTES,
            max_wait_ms: WAIT_MS,
        };
        self.continues = true;
        self.in_flight
            .push(async move { client.exchange(Message::from(fetch), ANSWER_PATIENCE).await }.boxed());
    }

    /// Nobody knows where the leader is.
    fn wait_for_leader(&mut self) {
        self.changed.clear();
        let later = Instant::now() + PAUSE;
        let lost = ReplicaFetched { is_lost: true, partitions: Vec::new() };
        self.in_flight.push(
            async move {
                sleep_until(later).await;
                Ok(Message::from(lost))
            }
            .boxed(),
        );
    }

    /// A new connection knows nothing of what was said on the last one.
    fn say_all_again(&mut self) {
        self.continues = false;
        self.changed = self.partitions.keys().copied().collect();
        self.forget.clear();
    }

    async fn answered(&mut self, answer: Result<Message<ReplicaFetched>, CallError>) {
        let message = match answer {
            Ok(message) => message,
            Err(error) => {
                tracing::debug!(leader = self.leader, %error, "a fetch from a leader failed");
                tokio::time::sleep(PAUSE).await;
                return self.say_all_again();
            }
        };
        if message.head.is_lost {
            return self.say_all_again();
        }
        let mut raw = message.raw.into_iter().next().unwrap_or_default();
        for found in message.head.partitions {
            let bytes = found.bytes as usize;
            if bytes > raw.len() {
                tracing::warn!(leader = self.leader, "an answer brought less than it promised; asking anew");
                return self.say_all_again();
            }
            let records = raw.split_to(bytes);
            self.hand_over(found, records);
        }
    }

    fn hand_over(&mut self, found: Found, records: Bytes) {
        let Some(followee) = self.partitions.get(&found.id) else { return };
        let replicated = Replicated { asked: found.asked, answer: found.answer, records };
        followee.place.handle.replicate(Replication::Answered(replicated));
    }
}

fn wanted(id: TopicIdPartition, place: &FollowerPlace) -> Option<Wanted> {
    let position = place.position?;
    Some(Wanted { id, position, durable_end: place.durable_end, log_start: place.log_start })
}

type Fetched = Result<Message<ReplicaFetched>, CallError>;

/// Returns at `at`; never, without it.
async fn resumed(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}
