//! A run from its first process to its verdict.
//!
//! ```text
//!  start ─▶ topics ─▶ clients ─▶ rounds of faults ⇄ heal: serve, be whole ─▶ clients end ─▶ read all ─▶ stop ─▶ check
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use tidemark_broker::clock::Clock;
use tokio::time::{Instant, sleep};

use super::checker::{Checker, Violation, replicas};
use super::ensemble::Ensemble;
use super::history::{self, Kind, Op, Recorder};
use super::log_files;
use super::proxy::Network;
use super::schedule::{Fault, Schedule, Sort, Step};
use super::summary::Summary;
use super::wire;
use super::workload::{self, Ground, Workload};

/// After healing every partition must take records within this time.
const SERVE_TIME_MAX: Duration = Duration::from_secs(15);
/// And every replica be in sync within this.
const WHOLE_TIME_MAX: Duration = Duration::from_secs(60);
/// What is waited for beyond the limit, to say how late it was.
const PATIENCE: Duration = Duration::from_secs(120);
/// How long the cluster may take to form.
const START_TIME_MAX: Duration = Duration::from_secs(60);
/// Between two looks at something that is waited for.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Nodes of the cluster.
const NODES: i32 = 3;
/// Violations of one check that are printed.
const PRINTED_MAX: usize = 10;

/// What a run is.
#[derive(Clone, Debug)]
pub struct Options {
    /// How long faults go on.
    pub time: Duration,
    /// Where chance comes from.
    pub seed: u64,
    /// Where everything is kept.
    pub dir: PathBuf,
    /// The broker.
    pub binary: PathBuf,
    /// The first of fifty ports.
    pub first_port: u16,
    /// Records a second.
    pub rate: u64,
    /// Kinds of faults.
    pub sorts: BTreeSet<Sort>,
    /// Whether metadata changes all the time.
    pub churns: bool,
    /// What ails all disks for the whole run, in the words of the test build: a planted bug that the checks must find.
    pub planted: String,
    /// Clients over other libraries, with their commands.
    pub programs: BTreeMap<String, Vec<String>>,
}

/// Runs, checks, prints; whether nothing was wrong.
///
/// # Errors
/// The run itself could not go on.
pub async fn run(options: &Options) -> io::Result<bool> {
    tokio::fs::create_dir_all(&options.dir).await?;
    let history = options.dir.join("history.jsonl");
    let recorder = Arc::new(Recorder::create(&history, Clock::system())?);
    let ids: Vec<i32> = (1..=NODES).collect();
    let network = Network::new(&ids);
    let ensemble = Ensemble::new(&options.binary, &options.dir, NODES, options.first_port, &network).await?;
    let ground = Ground::new(
        ensemble.bootstrap(),
        Arc::clone(&recorder),
        workload::topics(&options.programs),
        options.rate,
        options.seed,
    );
    let mut run = Run { last_view: wire::View::new(), ensemble, network, recorder, ground };
    run.begin(&ids).await?;
    if !options.planted.is_empty() {
        for id in &ids {
            run.ensemble.member(*id).plant(&options.planted).await?;
        }
    }
    let workload = Workload::start(&run.ground, options.churns);
    run.turmoil(options, &ids).await?;
    run.heal().await?;
    workload.stop().await;
    run.settle().await;
    for topic in &run.ground.topics {
        workload::read_all(&run.ground, topic).await;
    }
    for wrong in run.ensemble.stop().await {
        run.recorder.found("C23 liveness", wrong);
    }
    run.recorder.flush();
    let violations = run.violations(&history, &ids)?;
    report(&violations);
    Ok(violations.is_empty())
}

struct Run {
    /// The cluster as all nodes saw it in the end.
    last_view: wire::View,
    ensemble: Ensemble,
    network: Network,
    recorder: Arc<Recorder>,
    ground: Arc<Ground>,
}

impl Run {
    /// Starts all nodes and makes the topics.
    async fn begin(&mut self, ids: &[i32]) -> io::Result<()> {
        for id in ids {
            self.ensemble.start(*id)?;
        }
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", self.ensemble.bootstrap());
        let admin: AdminClient<DefaultClientContext> = config.create().map_err(io::Error::other)?;
        let until = Instant::now() + START_TIME_MAX;
        for topic in &self.ground.topics {
            let wanted = NewTopic::new(&topic.name, topic.partitions, TopicReplication::Fixed(NODES))
                .set("segment.bytes", "1048576")
                .set("retention.ms", "-1")
                // Brokers whose clocks are wrong would refuse what clients stamp with theirs.
                .set("message.timestamp.after.max.ms", "9223372036854775807")
                .set("min.insync.replicas", "2");
            let options = AdminOptions::new().operation_timeout(Some(Duration::from_secs(5)));
            loop {
                use rdkafka::error::RDKafkaErrorCode::TopicAlreadyExists;
                let created = admin.create_topics([&wanted], &options).await;
                match created.map(|mut results| results.pop()) {
                    Ok(Some(Ok(_) | Err((_, TopicAlreadyExists)))) => break,
                    other if Instant::now() > until => {
                        return Err(io::Error::other(format!("the cluster does not start: {other:?}")));
                    }
                    _ => sleep(LOOK_EVERY).await,
                }
            }
        }
        Ok(())
    }

    /// Goes through the schedule until time is up.
    async fn turmoil(&mut self, options: &Options, ids: &[i32]) -> io::Result<()> {
        let mut sorts = options.sorts.clone();
        if !self.ensemble.takes_orders().await {
            println!("no test build of the broker (--features lossy-disk): disks and clocks stay well");
            sorts.retain(|sort| !sort.needs_hooks());
        }
        let mut schedule = Schedule::new(options.seed, &sorts, ids);
        let until = self.recorder.now() + options.time;
        let mut whole = false;
        while self.recorder.now() < until {
            match schedule.next_step() {
                Step::Round(length, faults) => {
                    for fault in faults {
                        self.inflict(fault).await?;
                    }
                    self.last(length).await;
                    self.undo().await?;
                }
                Step::Heal => whole = self.heal().await?,
                Step::Damage(fault) if whole => self.inflict(fault).await?,
                Step::Damage(_) => {}
            }
        }
        Ok(())
    }

    /// Lets a round last; a node that ends by itself meanwhile has something to answer for.
    async fn last(&mut self, length: Duration) {
        let until = Instant::now() + length;
        while Instant::now() < until {
            sleep(LOOK_EVERY).await;
            self.watch();
        }
    }

    fn watch(&mut self) {
        for member in &mut self.ensemble.members {
            if let Some(status) = member.ended() {
                self.recorder.found("C24 node", format!("node {} ended by itself: {status}", member.id));
            }
        }
    }

    async fn inflict(&mut self, fault: Fault) -> io::Result<()> {
        self.watch();
        let op = Op::Fault { what: format!("{fault:?}"), sort: fault.sort().to_string() };
        println!("{:>8.1} s  {fault:?}", self.recorder.now().as_secs_f64());
        self.recorder.note(0, Kind::Info, op);
        match fault {
            Fault::Kill(nodes) => {
                for id in nodes {
                    self.ensemble.member(id).kill().await;
                }
            }
            Fault::Pause(id) => self.ensemble.member(id).pause(),
            Fault::Restart(id) => {
                if let Err(why) = self.ensemble.member(id).stop().await {
                    // What it waits for may be cut off.
                    println!("            node {id} {why}");
                }
                self.ensemble.start(id)?;
            }
            Fault::Links(_, links, effect) => {
                links.into_iter().for_each(|(from, to)| self.network.set(from, to, effect));
            }
            Fault::Disk(id, words) => self.ensemble.member(id).ail(&words).await?,
            Fault::Clock(id, ms) => self.ensemble.member(id).skew(ms).await?,
            Fault::Flip(id, count, seed) => {
                let member = self.ensemble.member(id);
                member.kill().await;
                log_files::flip(member.dir(), count, seed)?;
                self.ensemble.start(id)?;
            }
            Fault::Wipe(id) => {
                let member = self.ensemble.member(id);
                member.kill().await;
                tokio::fs::remove_dir_all(member.dir()).await?;
                self.ensemble.start(id)?;
            }
        }
        Ok(())
    }

    /// Undoes what lasts.
    async fn undo(&mut self) -> io::Result<()> {
        self.watch();
        self.network.heal();
        let ids: Vec<i32> = self.ensemble.members.iter().map(|member| member.id).collect();
        for id in ids {
            let member = self.ensemble.member(id);
            member.resume();
            member.cure().await?;
            self.ensemble.start(id)?;
        }
        Ok(())
    }

    /// Undoes everything and waits until the cluster serves and is whole; whether it is.
    async fn heal(&mut self) -> io::Result<bool> {
        self.undo().await?;
        let begun = self.recorder.now();
        self.recorder.note(0, Kind::Info, Op::Heal);
        let mut unserved: BTreeSet<String> = self.ground.keys().into_iter().collect();
        let mut broken = vec!["nothing is known yet".to_owned()];
        while !(unserved.is_empty() && broken.is_empty()) && self.since(begun) < PATIENCE {
            sleep(LOOK_EVERY).await;
            self.watch();
            let now: BTreeSet<String> = self.ground.unserved(begun).into_iter().collect();
            for key in unserved.difference(&now) {
                self.served(key, self.since(begun));
            }
            unserved = now;
            if !broken.is_empty() {
                broken = self.broken().await;
                if broken.is_empty() {
                    let after = self.since(begun);
                    println!("{:>8.1} s  whole after {after:.1?}", self.recorder.now().as_secs_f64());
                    self.recorder.note(0, Kind::Info, Op::Whole { ms: after.as_millis() as u64 });
                    self.late(after, WHOLE_TIME_MAX, "the cluster was whole");
                }
            }
        }
        for key in &unserved {
            self.recorder.found("C23 liveness", format!("{key} takes nothing {PATIENCE:?} after healing"));
        }
        if !broken.is_empty() {
            let text = format!("not whole {PATIENCE:?} after healing: {}", broken.join("; "));
            self.recorder.found("C23 liveness", text);
        }
        self.recorder.flush();
        Ok(broken.is_empty())
    }

    /// Waits until reassignments that were under way have ended, and compares what was acknowledged with what is there (C22).
    async fn settle(&mut self) {
        let begun = self.recorder.now();
        let fates = self.ground.fates();
        loop {
            let mut wrong = self.broken().await;
            wrong.extend(workload::belied(&fates, &self.last_view));
            if wrong.is_empty() {
                return;
            }
            if self.since(begun) > WHOLE_TIME_MAX {
                return self.recorder.found("C22 metadata", wrong.join("; "));
            }
            sleep(LOOK_EVERY).await;
        }
    }

    fn since(&self, begun: Duration) -> Duration {
        self.recorder.now() - begun
    }

    fn served(&self, key: &str, after: Duration) {
        let ms = u64::try_from(after.as_millis()).expect("a run is shorter than ages");
        self.recorder.note(0, Kind::Info, Op::Served { key: key.to_owned(), ms });
        self.late(after, SERVE_TIME_MAX, key);
    }

    fn late(&self, after: Duration, limit: Duration, what: &str) {
        if after > limit {
            self.recorder.found("C23 liveness", format!("{what} only {after:.1?} after healing"));
        }
    }

    /// What any node sees that is not whole, and whether they see the same (C22).
    async fn broken(&mut self) -> Vec<String> {
        let mut views = BTreeMap::new();
        for member in &self.ensemble.members {
            let address = member.address();
            let view = tokio::task::spawn_blocking(move || wire::view(address)).await;
            match view.map_err(io::Error::other).and_then(|view| view) {
                Ok(view) => views.insert(member.id, view),
                Err(error) => return vec![format!("node {} does not answer: {error}", member.id)],
            };
        }
        let mut broken: Vec<String> = views.values().flat_map(wire::broken).collect();
        let mut all = views.values();
        let first = all.next();
        if broken.is_empty() && all.any(|view| Some(view) != first) {
            broken.push("nodes see different things".to_owned());
        }
        broken.sort();
        broken.dedup();
        self.last_view = views.into_values().next().unwrap_or_default();
        broken
    }

    /// Everything that is wrong with the run.
    fn violations(&self, history: &Path, ids: &[i32]) -> io::Result<Vec<Violation>> {
        let mut checker = Checker::default();
        let mut summary = Summary::default();
        history::read(history, |event| {
            checker.take(&event);
            summary.take(&event);
        })?;
        println!("\n{}", summary.text());
        let mut violations = checker.finish();
        let mut logs: BTreeMap<String, BTreeMap<i32, replicas::ReplicaLog>> = BTreeMap::new();
        for (member, id) in self.ensemble.members.iter().zip(ids) {
            for (key, log) in log_files::partitions(*id, member.dir())? {
                logs.entry(key).or_default().insert(*id, log);
            }
            let alarms = log_files::alarms(&self.ensemble.log_path(*id))?;
            violations.extend(alarms.into_iter().map(|line| Violation {
                check: "C24 node".to_owned(),
                about: format!("node {id}"),
                text: line,
            }));
        }
        for (key, mut logs) in logs {
            // A replica that was never written to has no folder; one that is none any more may not have lost it yet.
            let Some(placed) = self.last_view.get(&key) else { continue };
            let whole = placed.replicas.iter().map(|node| {
                logs.remove(node).unwrap_or(replicas::ReplicaLog { node: *node, batches: Vec::new() })
            });
            let (key, logs) = (&key, whole.collect::<Vec<_>>());
            violations.extend(replicas::equality(key, &logs));
            violations.extend(logs.iter().flat_map(|log| replicas::order(key, log)));
            violations.extend(logs.first().into_iter().flat_map(|log| replicas::sequences(key, log)));
        }
        Ok(violations)
    }
}

fn report(violations: &[Violation]) {
    let mut by_check: BTreeMap<&str, Vec<&Violation>> = BTreeMap::new();
    for violation in violations {
        by_check.entry(&violation.check).or_default().push(violation);
    }
    for (check, violations) in by_check {
        println!("{check}: {} violations", violations.len());
        for violation in violations.iter().take(PRINTED_MAX) {
            println!("  {}: {}", violation.about, violation.text);
        }
    }
}
