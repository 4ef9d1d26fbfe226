//! `tidemark dev --nodes N`: a whole cluster on this machine, each node a process of its own.
//!
//! Node I has its data, its `tidemark.toml` and its `pid` in `DIR/node-I`, so that one can be killed and started again with
//! `tidemark start -c DIR/node-I/tidemark.toml` while the others go on. Its log goes to `DIR/node-I.log`. Ports between nodes
//! are chosen once and stay with the data.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tidemark_broker::config::{Layers, NodeConfig};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::task::JoinSet;

use super::super::node::{self, Ready, Signals};
use super::super::{Outcome, small_runtime};
use super::{CONFIG_FILE, DEFAULT_PORT, DevArgs, LISTENER, config_text};
use crate::exit::{Exit, Failure};
use crate::files;
use crate::output::{Table, left, right};

/// More nodes than this are no help on one machine.
pub const NODES_MAX: u32 = 9;
/// Copies of a topic where there are nodes enough.
const REPLICAS: u32 = 3;
/// The one key of a node's own that `--set` may give here.
const FIRST_ID: &str = "node.id=";
/// How long the nodes may take to form a cluster: elections take seconds, a slow disk more.
const START_TIME_MAX: Duration = Duration::from_secs(60);
/// How long they may take to stop; each gives itself ten seconds.
const STOP_TIME_MAX: Duration = Duration::from_secs(15);

/// A node as it is started.
struct Spec {
    id: u32,
    dir: PathBuf,
    kafka: SocketAddr,
    config: PathBuf,
}

/// A node that runs.
struct Running {
    id: u32,
    child: Child,
}

/// Runs `dev --nodes N`.
pub fn run(args: &DevArgs, dir: &Path) -> Outcome {
    let dir = std::path::absolute(dir).unwrap_or_else(|_| dir.to_owned());
    let specs = specs(args, &dir)?;
    small_runtime(live(args, &dir, &specs))
}

async fn live(args: &DevArgs, dir: &Path, specs: &[Spec]) -> Outcome {
    let mut signals = Signals::new()?;
    let mut nodes = Vec::new();
    let mut ready = JoinSet::new();
    for spec in specs {
        let mut child = spawn(spec, dir)?;
        let out = child.stdout.take().expect("its output is a pipe");
        let id = spec.id;
        // Reads on after the first line, so that the node never writes into a closed pipe.
        ready.spawn(async move {
            let mut lines = BufReader::new(out).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                if line.contains(" ready ") {
                    return (id, Some((admin_of(&line), lines)));
                }
            }
            (id, None)
        });
        nodes.push(Running { id, child });
    }
    let (mut outputs, mut admins) = (Vec::new(), BTreeMap::new());
    let all_ready = async {
        while let Some(Ok((id, lines))) = ready.join_next().await {
            let (admin, lines) = lines.ok_or_else(|| not_started(id, dir))?;
            admins.insert(id, admin);
            outputs.push(lines);
        }
        Ok::<_, Failure>(())
    };
    let started = tokio::select! {
        biased;
        () = signals.next() => None,
        started = tokio::time::timeout(START_TIME_MAX, all_ready) => Some(started.unwrap_or_else(|_| {
            Err(Failure::new(Exit::TimedOut, format!("the cluster was not ready within {START_TIME_MAX:?}"))
                .hint(format!("Its logs are {}/node-*.log.", dir.display())))
        })),
    };
    if let Some(Ok(())) = started {
        say_ready(specs, dir);
        introduce(specs, &nodes, &admins);
        greet(specs, dir, args.ephemeral);
        drain(outputs);
        watch(&mut nodes, &mut signals, dir).await;
        node::say("tidemark stopping");
    }
    stop(nodes, &mut signals).await?;
    started.unwrap_or(Ok(()))?;
    node::say("tidemark stopped");
    Ok(None)
}

/// Says when a node ends, until told to stop or none is left.
async fn watch(nodes: &mut Vec<Running>, signals: &mut Signals, dir: &Path) {
    while !nodes.is_empty() {
        let ended =
            futures_util::future::select_all(nodes.iter_mut().map(|node| Box::pin(node.child.wait())));
        let (status, at) = tokio::select! {
            biased;
            () = signals.next() => return,
            (status, at, _) = ended => (status, at),
        };
        let Running { id, .. } = nodes.remove(at);
        let how = status.map_or_else(|error| error.to_string(), describe);
        eprintln!("node {id} has ended ({how}). Start it again with:");
        eprintln!("  tidemark start -c {}/node-{id}/tidemark.toml", dir.display());
    }
}

fn describe(status: ExitStatus) -> String {
    status.to_string()
}

/// Sends each node SIGTERM and waits; a second signal, or too long a wait, ends them at once.
async fn stop(mut nodes: Vec<Running>, signals: &mut Signals) -> Result<(), Failure> {
    // Side by side: whoever is last has nobody to hand over to, and does not wait for it.
    for node in &nodes {
        eprintln!("stopping node {} …", node.id);
        terminate(&node.child);
    }
    let all = futures_util::future::join_all(nodes.iter_mut().map(|Running { id, child }| async move {
        match child.wait().await {
            Ok(status) if status.success() => eprintln!("node {id} has stopped"),
            Ok(status) => eprintln!("node {id} has ended ({})", describe(status)),
            Err(error) => eprintln!("node {id}: {error}"),
        }
    }));
    let ended = tokio::select! {
        biased;
        () = signals.next() => Err("stopped at once, as the second signal asked"),
        ended = tokio::time::timeout(STOP_TIME_MAX, all) => ended.map(drop).map_err(|_| "not all nodes stopped in time"),
    };
    ended.map_err(|why| {
        for node in &mut nodes {
            // The same.
            let _ = node.child.start_kill();
        }
        Failure::new(Exit::TimedOut, why)
    })
}

fn terminate(child: &Child) {
    let pid = child.id().and_then(|id| i32::try_from(id).ok()).and_then(rustix::process::Pid::from_raw);
    if let Some(pid) = pid {
        // It may have ended by itself.
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
    }
}

/// Keeps reading what the nodes say, and forgets it.
fn drain<R: tokio::io::AsyncBufRead + Unpin + Send + 'static>(outputs: Vec<tokio::io::Lines<R>>) {
    for mut lines in outputs {
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    }
}

fn spawn(spec: &Spec, dir: &Path) -> Result<Child, Failure> {
    let cannot =
        |error: std::io::Error| Failure::new(Exit::Failed, format!("cannot start node {}: {error}", spec.id));
    let log = files::append(&dir.join(format!("node-{}.log", spec.id)))?;
    let me = std::env::current_exe().map_err(cannot)?;
    let mut command = Command::new(me);
    command.arg("start").arg("-c").arg(&spec.config).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log);
    // Ctrl-C at the terminal reaches this process; the nodes are stopped by it, in order.
    command.process_group(0).kill_on_drop(true);
    command.spawn().map_err(cannot)
}

fn not_started(id: u32, dir: &Path) -> Failure {
    let log = dir.join(format!("node-{id}.log"));
    let said = files::read_text(&log).unwrap_or_default();
    let last =
        said.lines().rev().find(|line| line.starts_with("error:")).unwrap_or("it ended without a word");
    Failure::new(Exit::Failed, format!("node {id} did not start: {}", last.trim_start_matches("error: ")))
        .hint(format!("Its log is {}.", log.display()))
}

/// What each node is started with; written to its directory.
fn specs(args: &DevArgs, dir: &Path) -> Result<Vec<Spec>, Failure> {
    let first = args.port.unwrap_or(DEFAULT_PORT);
    let first_id = first_id(args)?;
    let ids = first_id..first_id + args.nodes;
    let dirs: Vec<PathBuf> = ids.clone().map(|id| dir.join(format!("node-{id}"))).collect();
    let known: Vec<Option<NodeConfig>> = dirs.iter().map(|dir| written(&dir.join(CONFIG_FILE))).collect();
    let mut peers = Vec::new();
    for known in &known {
        let address = known.as_ref().and_then(|config| config.peer).map_or_else(free_port, Ok)?;
        peers.push(address.to_string());
    }
    let mut specs = Vec::new();
    for ((id, dir), nth) in ids.zip(dirs).zip(0..) {
        let kafka = match first {
            0 => free_port()?,
            first => {
                let port = u16::try_from(u32::from(first) + nth);
                let port = port.map_err(|_| Failure::usage(format!("no port {first} + {nth}")))?;
                SocketAddr::from(([127, 0, 0, 1], port))
            }
        };
        let layers = layers(args, id, &dir, kafka, &peers[nth as usize], &peers)?;
        node::checked(&layers)?;
        files::make_dir(&dir)?;
        let config = dir.join(CONFIG_FILE);
        let ready = Ready { kafka: vec![kafka], admin: None, peer: None, data_dir: dir.clone() };
        files::write_text(&config, &config_text(&layers, &ready))?;
        specs.push(Spec { id, dir, kafka, config });
    }
    Ok(specs)
}

/// The id of the first node, which `--set node.id=` may choose; the others count on from it.
fn first_id(args: &DevArgs) -> Result<u32, Failure> {
    let Some(id) = args.set.iter().rev().find_map(|set| set.strip_prefix(FIRST_ID)) else { return Ok(1) };
    let usable = id.parse().ok().filter(|id| *id <= i32::MAX as u32 - NODES_MAX);
    usable.ok_or_else(|| Failure::usage(format!("--set {FIRST_ID}{id}: not the id of a first node")))
}

fn layers(
    args: &DevArgs,
    id: u32,
    dir: &Path,
    kafka: SocketAddr,
    own_peer: &str,
    peers: &[String],
) -> Result<Layers, Failure> {
    let own = |set: &&String| ["node.", "listener.", "peer."].iter().any(|of| set.starts_with(of));
    if let Some(own) = args.set.iter().filter(|set| !set.starts_with(FIRST_ID)).find(own) {
        return Err(Failure::usage(format!("--set {own}: with --nodes each node has its own"))
            .hint("Start nodes with `tidemark start -c FILE` to say more than `dev` asks."));
    }
    let mut layers = node::layers(None, &args.set)?;
    layers.add_set(&format!("node.id={id}"));
    layers.add_set(&format!("node.data_dir={}", dir.display()));
    layers.add_set(&format!("listener.{LISTENER}.bind={kafka}"));
    layers.add_set(&format!("peer.bind={own_peer}"));
    layers.add_set(&format!("cluster.seeds={}", peers.join(",")));
    let replicas = REPLICAS.min(args.nodes);
    layers.add_default("kafka.default.replication.factor", &replicas.to_string());
    layers.add_default("kafka.offsets.topic.replication.factor", &replicas.to_string());
    super::add_defaults(&mut layers);
    Ok(layers)
}

/// The node as it was configured the last time.
fn written(config: &Path) -> Option<NodeConfig> {
    let mut layers = Layers::default();
    layers.add_file(&config.display().to_string(), &files::read_text(config).ok()?);
    NodeConfig::from_layers(&layers).ok()
}

/// A port nobody has now; whoever is quicker may take it before the node does, which then says so.
fn free_port() -> Result<SocketAddr, Failure> {
    TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .map_err(|error| Failure::new(Exit::Failed, format!("no free port: {error}")))
}

fn say_ready(specs: &[Spec], dir: &Path) {
    let kafka: Vec<String> = specs.iter().map(|spec| spec.kafka.to_string()).collect();
    let (version, kafka, dir) = (env!("CARGO_PKG_VERSION"), kafka.join(","), dir.display());
    let pid = std::process::id();
    node::say(&format!("tidemark {version} ready nodes={} kafka={kafka} data={dir} pid={pid}", specs.len()));
}

/// Where the admin port is, as a node says when it is ready.
fn admin_of(line: &str) -> String {
    let field = line.split(' ').find_map(|field| field.strip_prefix("admin="));
    field.unwrap_or("off").to_owned()
}

/// Who is who, for a person.
fn introduce(specs: &[Spec], nodes: &[Running], admins: &BTreeMap<u32, String>) {
    let mut table = Table::new([right("NODE"), left("KAFKA"), left("ADMIN"), right("PID"), left("DATA")]);
    for (spec, node) in specs.iter().zip(nodes) {
        let pid = node.child.id().map_or_else(|| "ended".to_owned(), |pid| pid.to_string());
        let admin = admins.get(&spec.id).map_or("off", String::as_str);
        let admin = if admin == "off" { admin.to_owned() } else { format!("http://{admin}") };
        table.row([
            spec.id.into(),
            spec.kafka.to_string().into(),
            admin.into(),
            pid.into(),
            super::shown(&spec.dir).into(),
        ]);
    }
    eprint!("\n{}", table.render(true));
}

fn greet(specs: &[Spec], dir: &Path, ephemeral: bool) {
    let default = SocketAddr::from(([127, 0, 0, 1], DEFAULT_PORT));
    let server = match specs.first().map(|spec| spec.kafka) {
        Some(address) if address != default => format!(" -s {address}"),
        _ => String::new(),
    };
    eprintln!("\nTry, in another terminal:");
    eprintln!("  echo hi | tidemark{server} produce hello");
    eprintln!("  tidemark{server} consume hello -n 1");
    eprintln!("  tidemark{server} cluster status");
    if let Some(last) = specs.last() {
        let (id, at) = (last.id, super::shown(&last.dir));
        eprintln!("  tidemark{server} broker drain {id} && tidemark{server} broker undrain {id}");
        eprintln!("  kill -9 $(cat {at}/pid); tidemark{server} cluster health");
        eprintln!("  tidemark start -c {at}/{CONFIG_FILE}");
    }
    let fate = if ephemeral { "deleted at the end" } else { "delete to reset" };
    eprintln!("\nYour data and the nodes' logs: {} ({fate}). Ctrl-C stops.\n", super::shown(dir));
}
