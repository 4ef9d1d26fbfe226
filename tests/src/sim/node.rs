//! [`Node`]: one machine with its disk and clock, and the broker's process on it, if one runs.
//!
//! The process is the real replicas, moved step by step; around it is what a broker does for its place in the cluster:
//! registering, proposing one thing at a time until it is decided, applying images.

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tidemark_broker::clock::Clock;
use tidemark_broker::partition::{AppendWait, PartitionError};
use tidemark_broker::replica::ReplicaOptions;
use tidemark_broker::replica::stepped::SteppedReplicas;
use tidemark_broker::runtime::{Runtimes, WorkPool};
use tidemark_core::metadata::{BrokerConfigs, ClusterImage, Command, Endpoint, Recovery};
use tidemark_protocol::types::{BrokerId, Now, Offset, TopicIdPartition};
use tidemark_storage::disk::{Disk, SimDisk};
use tidemark_storage::log::{LogContext, LogOptions};
use tidemark_storage::metrics::LogMetrics;
use tidemark_storage::tail::TailBudget;
use uuid::Uuid;

use super::bugs::Bug;
use super::mirror::Mirror;

/// Identity of the simulated cluster.
pub const CLUSTER: &str = "simulated";
/// Where the partitions are.
pub const DATA: &str = "/data";
/// Small, so that fetches read from files, too.
const TAIL_BYTES: usize = 16 << 10;

/// What a decided proposal is for.
#[derive(Clone, Debug, PartialEq)]
pub enum Purpose {
    /// The broker gets its epoch.
    Register,
    /// Leaders get their ISRs.
    Alter,
    /// An operator wanted it.
    Errand,
}

/// A proposal under way.
#[derive(Clone, Debug)]
pub struct UnderWay {
    /// Which of this run.
    pub sequence: u64,
    /// What.
    pub command: Command,
    /// What for.
    pub purpose: Purpose,
    /// The index at which it was decided, once that is known here.
    pub decided: Option<u64>,
}

/// A produce that is not answered.
pub struct Waiting {
    /// Whose.
    pub producer: usize,
    /// Which attempt.
    pub attempt: u64,
    /// Of which partition.
    pub id: TopicIdPartition,
    /// Checksum of the batch.
    pub crc: u32,
    /// acks=all.
    pub is_all: bool,
    /// The answer to come.
    pub wait: AppendWait,
}

/// A deletion of records under way.
pub type Deletion = (TopicIdPartition, Pin<Box<dyn Future<Output = Result<Offset, PartitionError>>>>);

/// One machine.
pub struct Node {
    /// Broker and voter.
    pub id: BrokerId,
    /// Its disk, as the present boot sees it.
    pub disk: SimDisk,
    /// Its clock.
    pub clock: Clock,
    /// How fast the clock is, in thousandths.
    pub rate_permille: u64,
    /// Global time up to which the clock was moved.
    pub clock_at: Duration,
    /// Identity of the data directory.
    pub directory: Uuid,
    /// Counts processes; a number for each.
    pub run: u64,
    /// A process runs.
    pub is_up: bool,
    /// … but stands still.
    pub is_paused: bool,
    /// The disk was emptied, and the cluster does not know it yet.
    pub is_wiped: bool,
    /// How often the disk was emptied.
    pub wipes: u64,
    /// It is going to be started again.
    pub is_restarting: bool,
    /// How far the metadata are applied.
    pub applied: u64,
    /// The replicas, once registered.
    pub replicas: Option<SteppedReplicas>,
    /// Epoch of this run.
    pub broker_epoch: Option<i64>,
    /// To be proposed.
    pub queue: VecDeque<(Command, Purpose)>,
    /// Being proposed.
    pub under_way: Option<UnderWay>,
    /// Numbers proposals of this run.
    pub sequence: u64,
    /// Wants to stop since.
    pub stopping_since: Option<Duration>,
    /// When the next step is due.
    pub step_at: Option<Duration>,
    /// A sync is going to finish.
    pub is_sync_due: bool,
    /// Syncs take longer by so many microseconds.
    pub slow_sync_us: u64,
    /// Produces that are not answered.
    pub waiting: Vec<Waiting>,
    /// Deletions that are not answered.
    pub deletions: Vec<Deletion>,
    /// What its logs hold, as last seen.
    pub mirrors: BTreeMap<TopicIdPartition, Mirror>,
}

impl Node {
    /// A machine with an empty disk, switched off.
    pub fn new(id: BrokerId, seed: u64, rate_permille: u64) -> Node {
        Node {
            id,
            disk: SimDisk::new(seed),
            clock: Clock::manual(Now { mono: Duration::from_secs(100), wall_ms: 1_700_000_000_000 }),
            rate_permille,
            clock_at: Duration::ZERO,
            directory: Uuid::from_u128(u128::from(seed) << 8 | 1),
            run: 0,
            is_up: false,
            is_paused: false,
            is_wiped: false,
            wipes: 0,
            is_restarting: false,
            applied: 0,
            replicas: None,
            broker_epoch: None,
            queue: VecDeque::new(),
            under_way: None,
            sequence: 0,
            stopping_since: None,
            step_at: None,
            is_sync_due: false,
            slow_sync_us: 0,
            waiting: Vec::new(),
            deletions: Vec::new(),
            mirrors: BTreeMap::new(),
        }
    }

    /// Runs and moves.
    pub fn is_awake(&self) -> bool {
        self.is_up && !self.is_paused
    }

    /// Names the proposals of this run.
    pub fn session(&self) -> u64 {
        (u64::from(self.id.unsigned_abs()) << 32) | self.run
    }

    /// Moves the clock to global time `now`.
    pub fn tick(&mut self, now: Duration) {
        let passed = now.saturating_sub(self.clock_at);
        self.clock_at = now;
        let micros = u64::try_from(passed.as_micros()).unwrap_or(u64::MAX);
        self.clock.advance(Duration::from_micros(micros * self.rate_permille / 1000));
    }

    /// A process starts; it has to register before it holds partitions.
    pub fn boot(&mut self, recovery: Recovery) {
        self.run += 1;
        self.is_up = true;
        self.is_paused = false;
        self.is_restarting = false;
        self.sequence = 0;
        self.queue = VecDeque::from([(self.registration(recovery), Purpose::Register)]);
    }

    /// What it says of itself.
    pub fn registration(&self, recovery: Recovery) -> Command {
        let port = 9000 + u16::try_from(self.id).expect("few brokers");
        Command::RegisterBroker {
            id: self.id,
            cluster_id: CLUSTER.to_owned(),
            incarnation: Uuid::from_u128(u128::from(self.session())),
            rack: None,
            endpoints: vec![Endpoint { listener: "peer".to_owned(), host: "node".to_owned(), port }],
            directories: vec![self.directory],
            statics: BTreeMap::new(),
            fenced: true,
            previous_epoch: -1,
            recovery,
            session_is_live: false,
        }
    }

    /// The process is gone. What its logs held is remembered.
    pub fn down(&mut self) {
        self.is_up = false;
        self.is_paused = false;
        self.replicas = None;
        self.broker_epoch = None;
        self.queue.clear();
        self.under_way = None;
        self.stopping_since = None;
        self.step_at = None;
        self.is_sync_due = false;
        self.waiting.clear();
        self.deletions.clear();
        for mirror in self.mirrors.values_mut() {
            mirror.on_down();
        }
    }

    /// Takes up the partitions that `image` gives to this broker.
    pub fn open(&mut self, image: Arc<ClusterImage>, bug: Bug) -> Result<(), String> {
        let disk: Arc<dyn Disk> = bug.twist_disk(Arc::new(self.disk.clone()));
        let options = LogOptions::default();
        let tail = Arc::new(TailBudget::new(TAIL_BYTES));
        let log = LogContext::new(disk, tail, Arc::new(LogMetrics::default()), options);
        let runtimes = Runtimes { sync: WorkPool::by_hand(), ..Runtimes::single() };
        let options = ReplicaOptions {
            me: self.id,
            dir: PathBuf::from(DATA),
            log,
            clock: self.clock.clone(),
            runtimes,
            configs: BrokerConfigs::default(),
        };
        let started = SteppedReplicas::start(options, image, self.run << 32);
        self.replicas = Some(started.map_err(|error| error.to_string())?);
        Ok(())
    }
}
