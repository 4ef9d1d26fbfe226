//! The comparison: Tidemark, Apache Kafka and the floor in turn, on the same machine, under the same load.
//!
//! Each is started on an empty directory, measured idle, loaded scenario by scenario, killed with SIGKILL and started
//! again on what it has left behind.

use std::fmt::Write;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use kafka_protocol::messages::MetadataRequest;
use rustix::process::{Pid, Signal, kill_process};
use serde::Serialize;

use crate::clock;
use crate::connection::{Connection, LoadError};
use crate::options::Plan;
use crate::process::{is_running, usage};
use crate::report::Report;
use crate::run;

/// Longest time from start to ready, and from a signal to the end.
const WAIT_MAX: Duration = Duration::from_secs(120);
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// Time a broker is left alone before its idle memory is read.
const IDLE: Duration = Duration::from_secs(3);
const METADATA_VERSION: i16 = 9;
/// How the names of topic configs begin that only Tidemark has.
const OWN_CONFIGS: &str = "tidemark.";

/// A broker that can be started.
#[derive(Clone, Debug)]
pub enum Target {
    /// This project's binary.
    Tidemark(PathBuf),
    /// A script that starts Apache Kafka on `$PORT` with `$DATA` and prints its pid; it keeps old data if `$KEEP_DATA`
    /// is set and does not wait if `$NOWAIT` is.
    Kafka(PathBuf),
    /// The floor's binary.
    Floor(PathBuf),
}

/// A broker that runs.
#[derive(Debug)]
struct Running {
    pid: u32,
    child: Option<Child>,
    ready_after: Duration,
}

/// What was found out about one broker.
#[derive(Clone, Debug, Serialize)]
pub struct Findings {
    /// Its name.
    pub name: &'static str,
    /// From starting the process on an empty directory to its first answer.
    pub start_ms: f64,
    /// Resident memory some seconds later.
    pub idle_mib: f64,
    /// From starting it after kill -9 on the loaded directory to its first answer.
    pub restart_ms: Option<f64>,
    /// One report a scenario, in their order.
    pub reports: Vec<Report>,
}

impl Target {
    /// Its name in tables.
    pub fn name(&self) -> &'static str {
        match self {
            Target::Tidemark(_) => "Tidemark",
            Target::Kafka(_) => "Apache Kafka",
            Target::Floor(_) => "floor",
        }
    }

    /// Runs every scenario against this broker, on `port` with `data`. What the scenarios say of bootstrap and pid is
    /// replaced.
    ///
    /// # Errors
    /// When it does not start, or a scenario fails.
    pub fn measure(&self, data: &Path, port: u16, scenarios: &[Plan]) -> Result<Findings, LoadError> {
        let bootstrap = format!("127.0.0.1:{port}");
        let running = self.start(data, port, false)?;
        let found = self.load(&running, &bootstrap, scenarios);
        running.kill()?;
        let mut found = found?;
        // The floor has no recovery.
        if !matches!(self, Target::Floor(_)) {
            let again = self.start(data, port, true)?;
            found.restart_ms = Some(millis(again.ready_after));
            again.kill()?;
        }
        Ok(found)
    }

    fn load(&self, running: &Running, bootstrap: &str, scenarios: &[Plan]) -> Result<Findings, LoadError> {
        clock::sleep(IDLE);
        let idle_mib = usage(running.pid)?.rss_bytes as f64 / 1024.0 / 1024.0;
        let mut reports = Vec::new();
        for scenario in scenarios {
            eprintln!("{}: {}", self.name(), scenario.mode);
            let mut plan =
                Plan { bootstrap: bootstrap.to_owned(), pids: vec![running.pid], ..scenario.clone() };
            if !matches!(self, Target::Tidemark(_)) {
                plan.topic_configs.retain(|(key, _)| !key.starts_with(OWN_CONFIGS));
            }
            reports.push(run::run(&plan)?);
        }
        let start_ms = millis(running.ready_after);
        Ok(Findings { name: self.name(), start_ms, idle_mib, restart_ms: None, reports })
    }

    fn start(&self, data: &Path, port: u16, again: bool) -> Result<Running, LoadError> {
        let address = format!("127.0.0.1:{port}");
        // Whoever answers there would be measured in place of this one.
        if Connection::open(&address).is_ok() {
            return Err(LoadError::Protocol(format!("{address} is taken by another process")));
        }
        let (started, pid, child) = match self {
            Target::Kafka(script) => {
                let mut command = Command::new(script);
                command.env("PORT", port.to_string()).env("DATA", data).env("NOWAIT", "1");
                if again {
                    command.env("KEEP_DATA", "1");
                }
                let output = command.stderr(Stdio::null()).output()?;
                let pid = String::from_utf8_lossy(&output.stdout).trim().parse();
                let pid =
                    pid.map_err(|_| LoadError::Protocol("the Kafka script printed no pid".to_owned()))?;
                // Formatting the directory is not starting: counted from when the script has started the broker.
                (clock::now(), pid, None)
            }
            Target::Tidemark(binary) => {
                let mut command = Command::new(binary);
                command.args(["dev", "--port", &port.to_string(), "--data"]).arg(data);
                spawn(command)?
            }
            Target::Floor(binary) => {
                let mut command = Command::new(binary);
                command.args(["--bind", &address, "--data"]).arg(data);
                spawn(command)?
            }
        };
        let running = Running { pid, child, ready_after: Duration::ZERO };
        let ready = wait_ready(&address, started);
        if ready.is_ok() && is_running(pid) {
            return ready.map(|ready_after| Running { ready_after, ..running });
        }
        running.kill()?;
        ready.and(Err(LoadError::Protocol(format!("{} ended as it was started", self.name()))))
    }
}

fn spawn(mut command: Command) -> Result<(Instant, u32, Option<Child>), LoadError> {
    let started = clock::now();
    let spawned = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let child = spawned.map_err(|error| {
        io::Error::new(error.kind(), format!("{}: {error}", command.get_program().to_string_lossy()))
    })?;
    Ok((started, child.id(), Some(child)))
}

/// Waits for the first answer; returns how long it took from `started`.
fn wait_ready(address: &str, started: Instant) -> Result<Duration, LoadError> {
    let request = MetadataRequest::default().with_topics(Some(Vec::new()));
    loop {
        let answer = Connection::open(address).and_then(|mut c| c.call(METADATA_VERSION, &request));
        let waited = clock::now() - started;
        match answer {
            Ok(response) if !response.brokers.is_empty() => return Ok(waited),
            Err(error) if waited > WAIT_MAX => return Err(error),
            _ if waited > WAIT_MAX => return Err(LoadError::Protocol(format!("{address} has no brokers"))),
            _ => clock::sleep(LOOK_EVERY),
        }
    }
}

impl Running {
    /// Kills it as a crash would, and waits for its end.
    fn kill(mut self) -> Result<(), LoadError> {
        if let Some(child) = &mut self.child {
            child.kill()?;
            child.wait()?;
            return Ok(());
        }
        let pid = i32::try_from(self.pid).ok().and_then(Pid::from_raw);
        let pid = pid.ok_or_else(|| LoadError::Protocol("pid 0".to_owned()))?;
        kill_process(pid, Signal::KILL).map_err(io::Error::from)?;
        let deadline = clock::now() + WAIT_MAX;
        while is_running(self.pid) && clock::now() < deadline {
            clock::sleep(LOOK_EVERY);
        }
        Ok(())
    }
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

/// The findings as Markdown tables: one for what a broker is like, one a scenario. Ratios are against Kafka where it
/// was measured.
pub fn tables(all: &[Findings]) -> String {
    let kafka = all.iter().find(|found| found.name == "Apache Kafka");
    let ratio = |mine: f64, theirs: Option<f64>| match theirs {
        Some(theirs) if theirs > 0.0 => format!("{mine:.1} ({:.3})", mine / theirs),
        _ => format!("{mine:.1}"),
    };
    let mut text = String::from("In brackets: the ratio to Apache Kafka.\n\n");
    text += "| | start to ready, ms | restart after kill -9, ms | idle memory, MiB |\n|---|---|---|---|\n";
    for found in all {
        let start = ratio(found.start_ms, kafka.map(|k| k.start_ms));
        let again = found.restart_ms.map(|ms| ratio(ms, kafka.and_then(|k| k.restart_ms)));
        let idle = ratio(found.idle_mib, kafka.map(|k| k.idle_mib));
        let again = again.unwrap_or_else(|| "–".to_owned());
        // Writing to a String does not fail, here and below.
        let _ = writeln!(text, "| {} | {start} | {again} | {idle} |", found.name);
    }
    // The last one is Tidemark, whose plans have its own topic configs too.
    for (at, report) in all.last().map_or(&[][..], |found| &found.reports).iter().enumerate() {
        let plan = &report.plan;
        let _ = writeln!(
            text,
            "\n**{}**: {} B records, {} a batch, acks {}, {} partitions, {} connections × {} in flight, {} consumers{}\n",
            plan.mode,
            plan.record_bytes,
            report.records_per_batch,
            plan.acks,
            plan.partitions,
            plan.connections,
            plan.pipeline,
            plan.consumers,
            own_configs(plan),
        );
        text += "| | requests/s | MiB/s in | MiB/s out | p50 ms | p99 ms | p99.9 ms | CPU s/GiB in | CPU µs/request | peak MiB |\n";
        text += "|---|---|---|---|---|---|---|---|---|---|\n";
        for found in all {
            scenario_row(&mut text, found.name, &found.reports[at], kafka.map(|k| &k.reports[at]));
        }
    }
    text
}

fn own_configs(plan: &Plan) -> String {
    let own = plan.topic_configs.iter().filter(|(key, _)| key.starts_with(OWN_CONFIGS));
    own.map(|(key, value)| format!("; Tidemark with {key}={value}")).collect()
}

fn scenario_row(text: &mut String, name: &str, report: &Report, kafka: Option<&Report>) {
    let out = report.consumed.map_or_else(|| "–".to_owned(), |out| format!("{:.1}", out.mib_per_second));
    let latency = report.received.or(report.acknowledged);
    let at = |pick: fn(&crate::report::Latency) -> f64| {
        latency.as_ref().map_or_else(|| "–".to_owned(), |l| format!("{:.2}", pick(l)))
    };
    let cost = |pick: fn(&crate::report::Cost) -> Option<f64>| {
        let of = |report: &Report| report.broker.as_ref().and_then(pick);
        match (of(report), kafka.and_then(of)) {
            (Some(mine), Some(theirs)) if theirs > 0.0 => format!("{mine:.2} ({:.3})", mine / theirs),
            (Some(mine), _) => format!("{mine:.2}"),
            (None, _) => "–".to_owned(),
        }
    };
    let _ = writeln!(
        text,
        "| {name} | {:.0} | {:.1} | {out} | {} | {} | {} | {} | {} | {} |",
        report.produced.requests_per_second,
        report.produced.mib_per_second,
        at(|l| l.p50_ms),
        at(|l| l.p99_ms),
        at(|l| l.p999_ms),
        cost(|c| c.cpu_seconds_per_gib_produced),
        cost(|c| c.cpu_us_per_produce_request),
        cost(|c| Some(c.peak_rss_mib)),
    );
}
