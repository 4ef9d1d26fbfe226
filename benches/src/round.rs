//! One round of one system: started, left alone, robbed of nodes one after another, loaded, stopped.
//!
//! Between two faults the cluster is whole again and each partition with its preferred leader, so that every node leads a third.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use clap::Parser;

use crate::clock;
use crate::connection::LoadError;
use crate::figures::{Figure, Findings};
use crate::lines::Lines;
use crate::look::{self, Look};
use crate::nodes::{NODES, Nodes, System};
use crate::options::Cli;
use crate::process::{usage, usage_of_all};
use crate::report::Report;
use crate::run;
use crate::writes::{Wanted, until_taken};

/// The topic that is there from the first round on.
const TOPIC: &str = "thousands";
/// The longest wait for anything.
const PATIENCE: Duration = Duration::from_secs(300);
/// Time left alone before it counts as idle, and time that is measured then.
const IDLE: (Duration, Duration) = (Duration::from_secs(3), Duration::from_secs(5));
/// Replicas of the topic that a controller's failover ends with: there are always so many nodes.
const REPLICAS_LEFT: i16 = 2;
/// Records a second at a fixed rate.
const RATE: &str = "4096";

/// What is to be done.
#[derive(Clone, Debug)]
pub struct Script {
    /// Partitions, a multiple of the number of nodes.
    pub partitions: usize,
    /// Seconds of each load; none without.
    pub load_seconds: f64,
    /// Leaves out what does not depend on sessions.
    pub only_failures: bool,
}

/// A cluster in a round.
struct Round<'a> {
    nodes: Nodes,
    script: &'a Script,
    findings: &'a mut Findings,
}

/// Makes the cluster in `data` with its partitions and some records in each, and stops it.
///
/// # Errors
/// The first thing that went wrong, here and below.
pub fn prepare(system: System, data: &Path, port: u16, script: &Script) -> Result<(), LoadError> {
    let mut findings = Findings::default();
    let mut round = Round { nodes: Nodes::new(system, data, port), script, findings: &mut findings };
    round.nodes.start_all()?;
    let address = round.nodes.address(1);
    let partitions = i32::try_from(script.partitions).unwrap_or(i32::MAX);
    let replicas = i16::try_from(NODES).expect("three");
    look::until("the topic", PATIENCE, || {
        let mut lines = Lines::default();
        let all = lines.with(&address, |connection| look::look(connection, TOPIC))?;
        if all.brokers.len() < NODES {
            return Ok(None);
        }
        lines.with(&address, |connection| look::create(connection, TOPIC, partitions, replicas)).map(Some)
    })?;
    round.await_whole()?;
    let all: Vec<i32> = (0..partitions).collect();
    for _ in 0..2 {
        round.await_writes(all.clone(), None)?;
    }
    round.nodes.stop_all()
}

/// Runs a round with what [`prepare`] has made.
///
/// # Errors
/// The first thing that went wrong.
pub fn run(
    system: System,
    data: &Path,
    port: u16,
    script: &Script,
    findings: &mut Findings,
) -> Result<(), LoadError> {
    let mut round = Round { nodes: Nodes::new(system, data, port), script, findings };
    round.start()?;
    if !script.only_failures {
        round.idle()?;
    }
    round.lose_leader(false)?;
    if !script.only_failures {
        round.lose_leader(true)?;
    }
    let lost = round.lose_controller()?;
    if !script.only_failures && script.load_seconds > 0.0 {
        round.restart(lost, None)?;
        round.load()?;
    }
    round.nodes.stop_all()
}

impl Round<'_> {
    fn add(&mut self, figure: Figure, from: Instant, to: Instant) {
        let ms = (to - from).as_secs_f64() * 1000.0;
        eprintln!("  {figure:?} {ms:.0} ms");
        self.findings.add(figure, ms);
    }

    fn start(&mut self) -> Result<(), LoadError> {
        let started = self.nodes.start_all()?;
        let whole = self.await_whole()?;
        self.add(Figure::StartWhole, started, whole);
        let all = (0..).take(self.script.partitions).collect();
        let written = self.await_writes(all, None)?;
        self.add(Figure::StartWrites, started, written);
        self.balance()
    }

    fn idle(&mut self) -> Result<(), LoadError> {
        let (settle, measured) = IDLE;
        clock::sleep(settle);
        let pids = self.nodes.pids();
        let before = usage_of_all(&pids)?.unwrap_or_default();
        clock::sleep(measured);
        let after = usage_of_all(&pids)?.unwrap_or_default();
        let cpu = (after.cpu_seconds - before.cpu_seconds) / measured.as_secs_f64();
        self.findings.add(Figure::IdleCpu, cpu * 1000.0);
        let mut largest = 0;
        for pid in pids {
            largest = largest.max(usage(pid)?.rss_bytes);
        }
        self.findings.add(Figure::NodeMemory, largest as f64 / 1024.0 / 1024.0);
        Ok(())
    }

    /// A node goes that leads a third and is not the controller, with or without notice, and comes back.
    fn lose_leader(&mut self, with_notice: bool) -> Result<(), LoadError> {
        let controller = self.controller()?;
        let lost = self.nodes.alive().into_iter().find(|id| *id != controller).unwrap_or(1);
        let its = self.look()?.led_by(lost);
        let (gone, back) = match with_notice {
            true => (Figure::LeaderStopped, Figure::RestartStopped),
            false => (Figure::LeaderKilled, Figure::RestartKilled),
        };
        let from = match with_notice {
            true => self.nodes.terminate(lost)?,
            false => self.nodes.kill(lost)?,
        };
        let written = self.await_writes(its, Some(lost))?;
        self.add(gone, from, written);
        self.nodes.wait(lost)?;
        self.restart(lost, Some(back))
    }

    /// The controller goes; returns who that was.
    fn lose_controller(&mut self) -> Result<i32, LoadError> {
        let lost = self.controller()?;
        let its = self.look()?.led_by(lost);
        let from = self.nodes.kill(lost)?;
        let left: Vec<String> = self.addresses(Some(lost));
        let topic = format!("after-{}", clock::wall_ms());
        let done = AtomicBool::new(false);
        let (created, moved) = thread::scope(|scope| {
            let creating: Vec<_> =
                left.iter().map(|address| scope.spawn(|| until_created(address, &topic, &done))).collect();
            let moved = until_moved(&left, lost, its.len(), self.script.partitions);
            let created = creating.into_iter().filter_map(|thread| thread.join().ok().flatten()).min();
            (created, moved)
        });
        let created = created.ok_or_else(|| LoadError::Protocol("no topic could be created".to_owned()))?;
        self.add(Figure::ControllerCreates, from, created);
        self.add(Figure::ControllerLeaders, from, moved?);
        Ok(lost)
    }

    /// Starts a node again and waits until everything is as before.
    fn restart(&mut self, id: i32, figure: Option<Figure>) -> Result<(), LoadError> {
        let started = self.nodes.start(id)?;
        let whole = self.await_whole()?;
        if let Some(figure) = figure {
            self.add(figure, started, whole);
        }
        self.balance()
    }

    fn load(&mut self) -> Result<(), LoadError> {
        let kinds = [
            (
                "1",
                "1",
                [Figure::OneThroughput, Figure::OneCpu],
                [Figure::OneLatencyHalf, Figure::OneLatencyMost, Figure::OneRateCpu],
            ),
            (
                "100",
                "6",
                [Figure::ManyThroughput, Figure::ManyCpu],
                [Figure::ManyLatencyHalf, Figure::ManyLatencyMost, Figure::ManyRateCpu],
            ),
        ];
        for (partitions, connections, fast, paced) in kinds {
            let report = self.produce(partitions, connections, "0")?;
            self.findings.add(fast[0], report.produced.mib_per_second);
            self.add_cost(fast[1], &report);
            let report = self.produce(partitions, connections, RATE)?;
            if let Some(latency) = report.acknowledged {
                self.findings.add(paced[0], latency.p50_ms);
                self.findings.add(paced[1], latency.p99_ms);
            }
            self.add_cost(paced[2], &report);
        }
        Ok(())
    }

    fn add_cost(&mut self, figure: Figure, report: &Report) {
        if let Some(cost) = report.broker.and_then(|cost| cost.cpu_seconds_per_gib_produced) {
            self.findings.add(figure, cost);
        }
    }

    fn produce(&self, partitions: &str, connections: &str, rate: &str) -> Result<Report, LoadError> {
        let (seconds, warmup) =
            (self.script.load_seconds.to_string(), (self.script.load_seconds / 2.0).to_string());
        let arguments = [
            ["load", "produce"],
            ["--partitions", partitions],
            ["--connections", connections],
            ["--rate", rate],
            ["--seconds", &seconds],
            ["--warmup", &warmup],
        ];
        let mut plan = Cli::parse_from(arguments.concat()).mode.plan(clock::wall_ms());
        plan.bootstrap = self.nodes.address(1);
        plan.replication_factor = i16::try_from(NODES).expect("three");
        plan.pids = self.nodes.pids();
        let report = run::run(&plan)?;
        let mib = report.produced.mib_per_second;
        eprintln!("  {partitions} partitions at rate {rate}: {mib:.1} MiB/s");
        Ok(report)
    }

    fn addresses(&self, without: Option<i32>) -> Vec<String> {
        let ids = self.nodes.alive().into_iter().filter(|id| Some(*id) != without);
        ids.map(|id| self.nodes.address(id)).collect()
    }

    fn look(&self) -> Result<Look, LoadError> {
        Lines::default().with(&self.nodes.address(1), |connection| look::look(connection, TOPIC))
    }

    fn controller(&self) -> Result<i32, LoadError> {
        let address = self.nodes.address(1);
        let known = look::until("the controller", PATIENCE, || {
            let id = Lines::default().with(&address, look::controller)?;
            Ok((id > 0).then_some(id))
        });
        known.map(|(id, _)| id)
    }

    /// Waits until every node has said that everything is there.
    fn await_whole(&self) -> Result<Instant, LoadError> {
        let mut lines = Lines::default();
        let mut left = self.addresses(None);
        let done = look::until("all partitions with leader and full ISR", PATIENCE, || {
            while let Some(address) = left.last() {
                let look = lines.with(address, |connection| look::look(connection, TOPIC))?;
                if !look.is_whole(NODES, self.script.partitions) {
                    return Ok(None);
                }
                left.pop();
            }
            Ok(Some(()))
        });
        done.map(|((), at)| at)
    }

    fn await_writes(&self, partitions: Vec<i32>, not_from: Option<i32>) -> Result<Instant, LoadError> {
        let ask = self.addresses(not_from);
        until_taken(&Wanted { ask: &ask, topic: TOPIC, partitions, not_from }, PATIENCE)
    }

    /// Waits until every node leads its third.
    fn balance(&self) -> Result<(), LoadError> {
        let address = self.nodes.address(1);
        let third = self.script.partitions / NODES;
        let done = look::until("each node leads its share", PATIENCE, || {
            let mut lines = Lines::default();
            let look = lines.with(&address, |connection| look::look(connection, TOPIC))?;
            if self.nodes.alive().into_iter().all(|id| look.led_by(id).len() == third) {
                return Ok(Some(()));
            }
            lines.with(&address, look::elect_preferred)?;
            Ok(None)
        });
        done.map(drop)
    }
}

/// When a topic had been created through the node at `address`; `None` if that was done through another one.
fn until_created(address: &str, topic: &str, done: &AtomicBool) -> Option<Instant> {
    let mut lines = Lines::default();
    let created = look::until("a topic", PATIENCE, || {
        if done.load(Relaxed) {
            return Ok(Some(false));
        }
        lines.with(address, |connection| look::create(connection, topic, 1, REPLICAS_LEFT))?;
        Ok(Some(true))
    });
    let (is_mine, at) = created.ok()?;
    done.store(true, Relaxed);
    is_mine.then_some(at)
}

/// When some node said that what `lost` led is led by others.
fn until_moved(left: &[String], lost: i32, led: usize, partitions: usize) -> Result<Instant, LoadError> {
    let mut lines = Lines::default();
    let mut next = left.iter().cycle();
    let moved = look::until("new leaders", PATIENCE, || {
        let address = next.next().expect("two nodes are left");
        let look = lines.with(address, |connection| look::look(connection, TOPIC))?;
        let elsewhere = look.partitions.values().filter(|(leader, _)| *leader >= 0 && *leader != lost);
        Ok((elsewhere.count() == partitions).then_some(()))
    });
    if led == 0 {
        return Err(LoadError::Protocol(format!("node {lost} led nothing")));
    }
    moved.map(|((), at)| at)
}
