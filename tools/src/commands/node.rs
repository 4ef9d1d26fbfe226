//! A node of this process: its configuration from all layers, its logs, its life from ready to stopped.
//!
//! Standard output carries one line per event of the life cycle, `ready` first; logs go to standard error. The first
//! SIGTERM or SIGINT stops cleanly, a second one at once.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tidemark_broker::broker::{Broker, StartError};
use tidemark_broker::clock::Clock;
use tidemark_broker::config::{Layers, NodeConfig, Problems};
use tidemark_broker::telemetry::logs::{self, LogsError};
use tidemark_storage::disk::{Disk, OsDisk};
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{Outcome, Running};
use crate::exit::{Exit, Failure};
use crate::files;

#[cfg(feature = "lossy-disk")]
mod hooks;

/// How long a clean stop may take before the process ends anyway; recovery then reads what was not flushed.
const STOP_TIME_MAX: Duration = Duration::from_secs(10);

/// What a started node tells of itself.
pub struct Ready {
    /// Addresses of the Kafka listeners.
    pub kafka: Vec<SocketAddr>,
    /// Address of the admin port, if it has one.
    pub admin: Option<SocketAddr>,
    /// Address of the port for other nodes, if it has one.
    pub peer: Option<SocketAddr>,
    /// Where its data is, as an absolute path.
    pub data_dir: PathBuf,
}

/// Where the configuration of a node comes from when no file is named: the first of these that exists.
const DEFAULT_FILES: [&str; 2] = ["tidemark.toml", "/etc/tidemark/tidemark.toml"];

/// Merges file, environment and `--set`.
pub fn layers(file: Option<&Path>, set: &[String]) -> Result<Layers, Failure> {
    let mut layers = Layers::default();
    if let Some(path) = file {
        layers.add_file(&path.display().to_string(), &files::read_text(path)?);
    }
    layers.add_environment(std::env::vars());
    set.iter().for_each(|assignment| layers.add_set(assignment));
    Ok(layers)
}

/// The file to read: the one named, or a default that exists.
pub fn config_file(named: Option<&Path>) -> Option<PathBuf> {
    let default = || DEFAULT_FILES.iter().map(PathBuf::from).find(|path| path.exists());
    named.map(Path::to_owned).or_else(default)
}

/// The checked configuration, or all that is wrong with it.
pub fn checked(layers: &Layers) -> Result<NodeConfig, Failure> {
    NodeConfig::from_layers(layers).map_err(|problems| problems_failure(&problems))
}

/// All problems of a configuration as one failure.
pub fn problems_failure(problems: &Problems) -> Failure {
    let count = problems.0.len();
    let noun = if count == 1 { "problem" } else { "problems" };
    let lines = problems.0.iter().map(|problem| format!("\n  {}: {}", problem.origin, problem.message));
    Failure::usage(format!("{count} {noun} in the configuration{}", lines.collect::<String>()))
}

/// Threads for what is not on the way of data: the metadata quorum, the coordinators, the admin port. Connections have
/// their own.
const CONTROL_THREADS: usize = 1;

/// Runs a node until it is told to stop; `on_ready` hears of it once clients are served and
/// says so by [`say_ready`] when whatever scripts look for is there.
pub fn run(
    config: &NodeConfig,
    clock: Clock,
    on_ready: impl FnOnce(&Ready) -> Result<(), Failure>,
) -> Outcome {
    start_logs(config)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .worker_threads(CONTROL_THREADS)
        .thread_name("tidemark")
        .build()
        .map_err(|error| Failure::new(Exit::Failed, format!("cannot start threads: {error}")))?;
    let node: Running<'_> = Box::pin(live(config, clock, on_ready));
    let outcome = runtime.block_on(node);
    // Whatever is still under way is flushed or will be recovered; nobody waits for it.
    runtime.shutdown_background();
    outcome
}

async fn live(
    config: &NodeConfig,
    clock: Clock,
    on_ready: impl FnOnce(&Ready) -> Result<(), Failure>,
) -> Outcome {
    let mut signals = Signals::new()?;
    let (disk, clock) = seams(clock);
    let started = tokio::select! {
        biased;
        () = signals.next() => return Ok(None),
        started = Broker::start(config, disk, clock) => started,
    };
    let broker = started.map_err(start_failure)?;
    let ready = Ready {
        kafka: broker.addresses().listeners.iter().map(|(_, address)| *address).collect(),
        admin: broker.addresses().admin,
        peer: broker.addresses().peer,
        data_dir: std::path::absolute(&config.data_dir).unwrap_or_else(|_| config.data_dir.clone()),
    };
    on_ready(&ready)?;
    let mut metadata = broker.metadata_failure();
    tokio::select! {
        biased;
        () = signals.next() => {}
        failed = metadata.wait_for(Option::is_some) => {
            let why = failed.ok().and_then(|why| why.clone()).unwrap_or_else(|| "its writer ended".to_owned());
            tracing::error!(%why, "the metadata cannot be written any more; this node ends");
            return Err(Failure::new(Exit::Failed, format!("the metadata cannot be written any more: {why}")));
        }
    }
    say("tidemark stopping");
    tokio::select! {
        biased;
        () = signals.next() => Err(Failure::new(Exit::Failed, "stopped at once, as the second signal asked")),
        stopped = tokio::time::timeout(STOP_TIME_MAX, broker.stop()) => {
            if stopped.is_err() {
                return Err(Failure::new(Exit::TimedOut, format!("not stopped cleanly within {STOP_TIME_MAX:?}")));
            }
            say("tidemark stopped");
            Ok(None)
        }
    }
}

pub fn say_ready(ready: &Ready) {
    let kafka = ready.kafka.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    let admin = ready.admin.map_or_else(|| "off".to_owned(), |address| address.to_string());
    let (version, data, pid) = (env!("CARGO_PKG_VERSION"), ready.data_dir.display(), std::process::id());
    say(&format!("tidemark {version} ready kafka={kafka} admin={admin} data={data} pid={pid}"));
}

/// The machine's disk, and the clock as it came.
#[cfg(not(feature = "lossy-disk"))]
fn seams(clock: Clock) -> (Arc<dyn Disk>, Clock) {
    (Arc::new(OsDisk), clock)
}

/// Disk and clock of a test build.
#[cfg(feature = "lossy-disk")]
fn seams(clock: Clock) -> (Arc<dyn Disk>, Clock) {
    hooks::seams().unwrap_or_else(|| (Arc::new(OsDisk), clock))
}

/// One event on standard output. Whoever started the node may have closed it; the node goes on.
pub fn say(line: &str) {
    let mut out = io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

fn start_failure(error: StartError) -> Failure {
    let message = format!("cannot start: {error}");
    match error {
        StartError::DataDir(_) | StartError::LostMetadata { .. } => Failure::new(Exit::Conflict, message),
        StartError::Port { .. } => Failure::new(Exit::Conflict, message)
            .hint("Another process may listen there. `tidemark dev --port 0` takes a free port."),
        StartError::Controller(_)
        | StartError::Registration(_)
        | StartError::Replicas(_)
        | StartError::Other(_) => Failure::new(Exit::Failed, message),
    }
}

/// Both signals that ask for an end.
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Listens for them from now on.
    pub fn new() -> Result<Signals, Failure> {
        let listen =
            |kind| signal(kind).map_err(|error| Failure::new(Exit::Failed, format!("no signals: {error}")));
        Ok(Signals {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
        })
    }

    /// Returns with the next one.
    pub async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

fn start_logs(config: &NodeConfig) -> Result<(), Failure> {
    logs::init(config.log_format, &config.log_filter).map_err(|error| match error {
        LogsError::Filter { .. } => Failure::usage(error.to_string()),
        LogsError::Twice => Failure::new(Exit::Failed, format!("cannot start logs: {error}")),
    })
}
