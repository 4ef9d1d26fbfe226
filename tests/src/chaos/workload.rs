//! The clients of a run: librdkafka's producers and consumers, each for a while, then another takes its place.
//!
//! What they do goes into the history as it happens. Client processes end at random, as real ones crash; whatever is under way then
//! has an end nobody knows.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rdkafka::ClientConfig;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::history::{Key, Recorder};
use crate::rng::Rng;

mod admin;
mod offsets;
mod producer;
mod program;
mod reader;

pub use admin::{Fates, belied};
pub use reader::read_all;

/// A client lives between so many milliseconds.
const LIFE_MS: std::ops::Range<u64> = 15_000..45_000;

/// A topic of the run and who writes it.
#[derive(Clone, Debug)]
pub struct Topic {
    /// Its name.
    pub name: String,
    /// Its partitions.
    pub partitions: i32,
    /// Whether its producers are idempotent.
    pub idempotent: bool,
    /// Its producers.
    pub producers: u32,
    /// Its readers that choose their offsets themselves.
    pub readers: u32,
    /// Members of its group.
    pub members: u32,
    /// A program that writes and reads it, with its arguments.
    pub program: Option<Vec<String>>,
}

/// What is written and read: by librdkafka, and by each of these programs in a topic of its name.
pub fn topics(programs: &BTreeMap<String, Vec<String>>) -> Vec<Topic> {
    let topic = |name: &str, partitions, idempotent, producers, readers, members| Topic {
        name: name.to_owned(),
        partitions,
        idempotent,
        producers,
        readers,
        members,
        program: None,
    };
    let own = [topic("ordered", 6, true, 2, 2, 2), topic("plain", 2, false, 1, 1, 0)];
    let others = programs
        .iter()
        .map(|(name, command)| Topic { program: Some(command.clone()), ..topic(name, 2, true, 0, 1, 0) });
    own.into_iter().chain(others).collect()
}

/// What all clients share.
pub struct Ground {
    /// Where clients begin.
    pub bootstrap: String,
    /// Where they write what they see.
    pub recorder: Arc<Recorder>,
    /// What they write and read.
    pub topics: Vec<Topic>,
    /// Records a second, over all producers.
    pub rate: u64,
    /// When the newest acknowledged record of each partition was sent.
    served: Mutex<BTreeMap<Key, Duration>>,
    /// What was acknowledged of changes of topics.
    fates: Mutex<Fates>,
    stopped: AtomicBool,
    stop: watch::Sender<bool>,
    seed: AtomicU64,
}

impl Ground {
    /// For clients that begin there, with chance from `seed`.
    pub fn new(
        bootstrap: &str,
        recorder: Arc<Recorder>,
        topics: Vec<Topic>,
        rate: u64,
        seed: u64,
    ) -> Arc<Ground> {
        Arc::new(Ground {
            bootstrap: bootstrap.to_owned(),
            recorder,
            topics,
            rate,
            served: Mutex::default(),
            fates: Mutex::default(),
            stopped: AtomicBool::new(false),
            stop: watch::channel(false).0,
            seed: AtomicU64::new(seed << 16),
        })
    }

    /// Every partition that is written.
    pub fn keys(&self) -> Vec<Key> {
        let keys =
            |topic: &Topic| (0..topic.partitions).map(|p| format!("{}/{p}", topic.name)).collect::<Vec<_>>();
        self.topics.iter().flat_map(keys).collect()
    }

    /// The partitions that have acknowledged nothing that was sent after `since`.
    pub fn unserved(&self, since: Duration) -> Vec<Key> {
        let served = self.served.lock().unwrap_or_else(PoisonError::into_inner);
        self.keys().into_iter().filter(|key| served.get(key).is_none_or(|sent| *sent < since)).collect()
    }

    /// What was acknowledged of changes of topics.
    pub fn fates(&self) -> Fates {
        self.fates.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn any_address(&self, rng: &mut Rng) -> SocketAddr {
        let all: Vec<&str> = self.bootstrap.split(',').collect();
        rng.pick(&all).parse().expect("it begins with addresses")
    }

    fn serve(&self, key: &Key, sent: Duration) {
        let mut served = self.served.lock().unwrap_or_else(PoisonError::into_inner);
        let newest = served.entry(key.clone()).or_default();
        *newest = sent.max(*newest);
    }

    fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }

    /// Chance of one more client.
    fn rng(&self) -> Rng {
        Rng::new(self.seed.fetch_add(1, Ordering::Relaxed))
    }

    /// How long a client lives.
    fn life(rng: &mut Rng) -> Duration {
        Duration::from_millis(rng.between(LIFE_MS.start, LIFE_MS.end))
    }

    /// What all clients are told. Their own patience is short: what waits in a cut link is given up and tried elsewhere.
    fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &self.bootstrap)
            .set("socket.timeout.ms", "4000")
            .set("socket.connection.setup.timeout.ms", "2000")
            .set("reconnect.backoff.ms", "50")
            .set("reconnect.backoff.max.ms", "1000")
            .set("retry.backoff.ms", "50")
            .set("topic.metadata.refresh.interval.ms", "5000")
            .set("topic.metadata.refresh.fast.interval.ms", "100");
        config
    }

    fn consumer(&self, group: &str) -> ClientConfig {
        let mut config = self.client();
        config
            .set("group.id", group)
            .set("enable.auto.commit", "false")
            .set("check.crcs", "true")
            .set("fetch.wait.max.ms", "200")
            .set("fetch.error.backoff.ms", "50")
            .set("session.timeout.ms", "6000")
            .set("heartbeat.interval.ms", "500");
        config
    }
}

/// Clients that run.
pub struct Workload {
    ground: Arc<Ground>,
    clients: JoinSet<()>,
}

impl Workload {
    /// Starts all clients; one changes metadata if that is wanted.
    pub fn start(ground: &Arc<Ground>, churns: bool) -> Workload {
        let mut clients = JoinSet::new();
        let writers = |topic: &Topic| u64::from(topic.producers) + u64::from(topic.program.is_some());
        let rate = ground.rate / ground.topics.iter().map(writers).sum::<u64>().max(1);
        for topic in &ground.topics {
            for _ in 0..topic.producers {
                clients.spawn(producer::live(Arc::clone(ground), topic.clone(), rate));
            }
            for _ in 0..topic.readers {
                clients.spawn(reader::assigned(Arc::clone(ground), topic.clone()));
            }
            for _ in 0..topic.members {
                clients.spawn(reader::member(Arc::clone(ground), topic.clone()));
            }
            if let Some(command) = topic.program.clone() {
                clients.spawn(program::live(Arc::clone(ground), topic.clone(), command, rate));
            }
        }
        if churns {
            clients.spawn(admin::churn(Arc::clone(ground)));
        }
        for work in [offsets::commit, offsets::fetch_committed, offsets::list] {
            let ground = Arc::clone(ground);
            clients.spawn_blocking(move || work(&ground));
        }
        Workload { ground: Arc::clone(ground), clients }
    }

    /// Ends all clients; producers wait for their last answers.
    pub async fn stop(mut self) {
        self.ground.stopped.store(true, Ordering::Relaxed);
        self.ground.stop.send_replace(true);
        while let Some(ended) = self.clients.join_next().await {
            if let Err(error) = ended {
                self.ground.recorder.found("C24 run", format!("a client panicked: {error}"));
            }
        }
    }
}
