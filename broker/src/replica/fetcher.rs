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

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use tidemark_core::metadata::ClusterImage;
use tidemark_protocol::types::{BrokerId, TopicIdPartition};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::followees::{Followees, PAUSE, route};
use super::messages::ReplicaFetched;
use super::throttles::Throttles;
use crate::partition::outlet::{FollowerPlace, Outlet};
use crate::peer::call::Message;
use crate::peer::{CallError, PeerClient, PeerClients, Purpose};

/// Name of the endpoint under which brokers register where other nodes reach them.
pub const PEER_LISTENER: &str = "peer";
/// How long this side waits for an answer, longer than a leader may wait for something to say.
const ANSWER_PATIENCE: Duration = Duration::from_secs(10);

/// What followers need to know of their leaders.
#[derive(Clone)]
pub struct Followed {
    /// This broker.
    pub me: BrokerId,
    /// The cluster.
    pub images: watch::Receiver<Arc<ClusterImage>>,
    /// Calls to other nodes.
    pub clients: PeerClients,
    /// How fast replicas that are not in sync are filled.
    pub throttles: Arc<Throttles>,
}

/// Hands places to the fetchers of their leaders, for as long as it is polled.
pub async fn run(outlet: Arc<Outlet>, followed: Followed) {
    let mut fetchers: BTreeMap<BrokerId, mpsc::UnboundedSender<FollowerPlace>> = BTreeMap::new();
    let mut leaders: BTreeMap<TopicIdPartition, BrokerId> = BTreeMap::new();
    let mut tasks = JoinSet::new();
    loop {
        for (id, place) in outlet.places().await {
            for leader in route(&mut leaders, id, &place) {
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
    followed: Followed,
    followees: Followees,
    /// What the followees' time counts from.
    started: Instant,
    /// The leader answers them in their order.
    in_flight: FuturesUnordered<BoxFuture<'static, Fetched>>,
    leader: BrokerId,
    client: Option<PeerClient>,
}

impl Fetcher {
    fn new(leader: BrokerId, followed: Followed) -> Fetcher {
        Fetcher {
            followees: Followees::new(leader).throttled_by(Arc::clone(&followed.throttles)),
            followed,
            started: Instant::now(),
            in_flight: FuturesUnordered::new(),
            leader,
            client: None,
        }
    }

    async fn run(mut self, mut places: mpsc::UnboundedReceiver<FollowerPlace>) {
        loop {
            while let Ok(place) = places.try_recv() {
                self.followees.take(place, self.started.elapsed());
            }
            self.followees.end_pauses(self.started.elapsed());
            let progress = self.followees.progress(self.broker_epoch());
            if let (Some(client), Some(progress)) = (&self.client, progress) {
                client.tell(progress);
            }
            if self.followees.has_news() || (self.in_flight.is_empty() && !self.followees.is_empty()) {
                self.fetch();
            }
            let resume = self.followees.resume_at().map(|at| self.started + at);
            tokio::select! {
                biased;
                place = places.recv() => match place {
                    Some(place) => self.followees.take(place, self.started.elapsed()),
                    None => return,
                },
                Some(answer) = self.in_flight.next() => self.answered(answer).await,
                () = resumed(resume) => {}
            }
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
            self.followees.say_all_again();
        }
        let Some(client) = self.client.clone() else { return };
        let fetch = self.followees.fetch(self.broker_epoch());
        self.in_flight
            .push(async move { client.exchange(Message::from(fetch), ANSWER_PATIENCE).await }.boxed());
    }

    /// Nobody knows where the leader is.
    fn wait_for_leader(&mut self) {
        self.followees.wait_for_leader();
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

    async fn answered(&mut self, answer: Result<Message<ReplicaFetched>, CallError>) {
        match answer {
            Ok(message) => {
                let raw = message.raw.into_iter().next().unwrap_or_default();
                self.followees.answered(message.head, raw);
            }
            Err(error) => {
                tracing::debug!(leader = self.leader, %error, "a fetch from a leader failed");
                tokio::time::sleep(PAUSE).await;
                self.followees.say_all_again();
            }
        }
    }
}

type Fetched = Result<Message<ReplicaFetched>, CallError>;

/// Returns at `at`; never, without it.
async fn resumed(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}
