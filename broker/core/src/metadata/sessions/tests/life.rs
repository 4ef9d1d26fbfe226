//! A cluster over time: brokers start, stop in order, are killed and fall silent; controllers change and lose proposals.
//!
//! How: each seed runs ticks of half a second of sessions and decisions together. A killed broker is fenced within its
//! session and what a lost proposal costs; one that wants to stop may stop; and when the faults end, everybody serves
//! again. `TIDEMARK_SEEDS=1000` runs so many seeds, `TIDEMARK_SEED=42` only that one.

use std::collections::BTreeMap;

use tidemark_protocol::types::TopicId;
use uuid::Uuid;

use super::*;
use crate::metadata::command::{NewTopic, Recovery};
use crate::metadata::decide::tests::{create, registration, run};
use crate::metadata::reply::Reply;

const SEEDS_DEFAULT: u64 = 100;
const TICK: Duration = Duration::from_millis(500);
const BROKERS: i32 = 4;
/// Ticks of faults, then ticks in which all must be well again.
const TICKS: u32 = 240;
const TICKS_TO_HEAL: u32 = 60;
/// Longest a silent broker stays unfenced: its session, and some proposals that are lost.
const SILENCE_MAX: Duration = Duration::from_secs(25);

/// A process, or where one was.
#[derive(Default)]
struct Process {
    is_up: bool,
    epoch: Option<i64>,
    stopping: bool,
    silent_since: Duration,
}

struct Life {
    chance: u64,
    image: ClusterImage,
    sessions: BrokerSessions,
    processes: BTreeMap<BrokerId, Process>,
    now: Duration,
    incarnations: u128,
    is_healing: bool,
}

impl Life {
    fn new(seed: u64) -> Life {
        let processes = (1..=BROKERS).map(|id| (id, Process::default())).collect();
        let image = ClusterImage::new("tidal");
        let sessions = BrokerSessions::new(TIMEOUT);
        let now = Duration::ZERO;
        Life { chance: seed, image, sessions, processes, now, incarnations: 0, is_healing: false }
    }

    /// SplitMix64.
    fn one_in(&mut self, n: u64) -> bool {
        self.chance = self.chance.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.chance;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)).is_multiple_of(n)
    }

    fn clock(&self) -> Now {
        Now { mono: self.now, ..Now::default() }
    }

    /// A command reaches the log, or is lost on the way.
    fn propose(&mut self, command: &Command) -> Option<Reply> {
        let is_lost = !self.is_healing && self.one_in(6);
        (!is_lost).then(|| run(&mut self.image, command))
    }

    fn tick(&mut self) {
        self.now += TICK;
        if !self.is_healing && self.one_in(60) {
            let now = self.clock();
            self.sessions.reset(&self.image, now);
            self.processes.values_mut().for_each(|process| process.silent_since = self.now);
        }
        for id in 1..=BROKERS {
            self.change_process(id);
            if self.processes[&id].is_up {
                self.act(id);
            }
        }
        let now = self.clock();
        for command in self.sessions.expired(&self.image, now) {
            self.propose(&command);
        }
        for (id, process) in &self.processes {
            let is_unfenced = self.image.brokers.get(id).is_some_and(|broker| !broker.fenced);
            let is_late = self.now > process.silent_since + SILENCE_MAX;
            assert!(process.is_up || !is_unfenced || !is_late, "broker {id} was not fenced");
        }
    }

    fn change_process(&mut self, id: BrokerId) {
        let (is_up, is_healing) = (self.processes[&id].is_up, self.is_healing);
        let (kill, stop, start) = (self.one_in(60), self.one_in(60), self.one_in(10));
        let now = self.now;
        let process = self.processes.get_mut(&id).expect("all brokers have one");
        if !is_up && (is_healing || start) {
            *process = Process { is_up: true, silent_since: now, ..Process::default() };
        } else if is_up && !is_healing && kill {
            process.is_up = false;
        } else if is_up && !is_healing && stop {
            process.stopping = true;
        }
    }

    /// What a process does in a tick: it registers, then it sends a heartbeat.
    fn act(&mut self, id: BrokerId) {
        let Some(epoch) = self.processes[&id].epoch else { return self.register(id) };
        let want_shutdown = self.processes[&id].stopping;
        let beat = Heartbeat {
            id,
            epoch,
            applied_index: self.image.version,
            want_fence: false,
            want_shutdown,
            offline_directories: Vec::new(),
        };
        let now = self.clock();
        let (reply, command) = self.sessions.heartbeat(&self.image, &beat, now).expect("it is registered");
        if let Some(command) = command {
            self.propose(&command);
        }
        let process = self.processes.get_mut(&id).expect("all brokers have one");
        process.silent_since = self.now;
        process.is_up = !reply.should_shutdown;
        assert!(!reply.should_shutdown || reply.fenced || !self.image.leads_any(id));
    }

    fn register(&mut self, id: BrokerId) {
        self.incarnations += 1;
        let mut command = registration(id, self.incarnations);
        let known = self.image.brokers.get(&id).map(|broker| broker.epoch);
        let Command::RegisterBroker { fenced, previous_epoch, recovery, session_is_live, .. } = &mut command
        else {
            unreachable!()
        };
        (*fenced, *previous_epoch, *recovery) = (true, known.unwrap_or(-1), Recovery::Intact);
        *session_is_live = known.is_some_and(|epoch| self.sessions.is_live(id, epoch));
        if let Some(Reply::BrokerRegistered(Ok(epoch))) = self.propose(&command) {
            self.processes.get_mut(&id).expect("all brokers have one").epoch = Some(epoch);
        }
    }

    fn create_topic(&mut self) {
        let manual = (0..4).map(|at| (at, (0..3).map(|step| 1 + (at + step) % BROKERS).collect())).collect();
        let topic = NewTopic {
            name: "t".to_owned(),
            id: TopicId(Uuid::from_u128(9)),
            partitions: -1,
            replication_factor: -1,
            manual,
            placement: Vec::new(),
            configs: Vec::new(),
        };
        run(&mut self.image, &create(vec![topic]));
        assert!(self.image.topic("t").is_some());
    }

    fn assert_well(&self) {
        for broker in self.image.brokers.values() {
            assert!(broker.is_usable(), "broker {} does not serve", broker.id);
        }
        for partition in &self.image.topic("t").expect("it was created").partitions {
            assert!(partition.leader >= 0, "{partition:?}");
        }
    }
}

fn live(seed: u64) {
    let mut life = Life::new(seed);
    life.is_healing = true;
    (0..TICKS_TO_HEAL).for_each(|_| life.tick());
    life.create_topic();
    life.is_healing = false;
    (0..TICKS).for_each(|_| life.tick());
    life.is_healing = true;
    // Whoever was told to stop still does so; then all start again.
    (0..2 * TICKS_TO_HEAL).for_each(|_| life.tick());
    life.assert_well();
}

fn env(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

#[test]
fn the_silent_are_fenced_the_stopping_stop_and_all_come_back() {
    let seeds = match env("TIDEMARK_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..env("TIDEMARK_SEEDS").unwrap_or(SEEDS_DEFAULT),
    };
    for seed in seeds {
        if std::panic::catch_unwind(|| live(seed)).is_err() {
            panic!("replay: TIDEMARK_SEED={seed} cargo test -p tidemark-core the_silent_are_fenced");
        }
    }
}
