//! `tidemark dev`: a broker to try things with, on this machine only, ready in a moment.
//!
//! Beside the data stand `tidemark.toml`, so that `tidemark start -c DIR/tidemark.toml` runs the same node, and `pid`.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::Args;
use tidemark_broker::clock::Clock;
use tidemark_broker::config::Layers;
use uuid::Uuid;

use super::Outcome;
use super::node::{self, Ready};
use crate::exit::Failure;
use crate::files;

mod cluster;

/// Port of Kafka clients unless another is asked for.
const DEFAULT_PORT: u16 = 9092;
/// Where data goes unless the command line says otherwise.
const DEFAULT_DATA: &str = "tidemark-data";
/// The listener of a node that names none.
const LISTENER: &str = "PLAINTEXT";
/// What runs the same node again, beside its data.
const CONFIG_FILE: &str = "tidemark.toml";
/// What `dev` presumes, where nothing else is said: a single node that creates topics and never makes a client wait.
const DEFAULTS: [(&str, &str); 7] = [
    ("admin.bind", "127.0.0.1:0"),
    ("peer.bind", "127.0.0.1:0"),
    ("node.id", "1"),
    ("kafka.auto.create.topics.enable", "true"),
    ("kafka.default.replication.factor", "1"),
    ("kafka.group.initial.rebalance.delay.ms", "0"),
    ("kafka.offsets.topic.replication.factor", "1"),
];

/// Flags of `dev`.
#[derive(Debug, Args)]
pub struct DevArgs {
    /// Port for Kafka clients on 127.0.0.1; 0 takes a free one [default: 9092]
    #[arg(long, value_name = "P")]
    port: Option<u16>,
    /// Where the data is kept [default: ./tidemark-data]
    #[arg(long, value_name = "DIR", conflicts_with = "ephemeral")]
    data: Option<PathBuf>,
    /// Keep the data in a temporary directory that is deleted at the end
    #[arg(long)]
    ephemeral: bool,
    /// Number of nodes, each a process of its own; their Kafka ports are P, P+1, …
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=i64::from(cluster::NODES_MAX)))]
    nodes: u32,
    /// Set a key, as node.id=2 (with --nodes: of the first one) or kafka.num.partitions=4; repeatable
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
}

/// Runs `dev`.
pub fn run(args: DevArgs, clock: Clock) -> Outcome {
    if args.nodes > 1 {
        return several(&args);
    }
    let layers = layers(&args)?;
    let config = node::checked(&layers)?;
    if let Some(listener) = config.listeners.iter().find(|listener| !listener.bind.ip().is_loopback()) {
        let message =
            format!("listener {} = {}: dev listens on 127.0.0.1 only", listener.name, listener.bind);
        return Err(Failure::usage(message).hint("`tidemark start` serves other machines."));
    }
    let ephemeral = args.ephemeral.then(|| config.data_dir.clone());
    let outcome = node::run(&config, clock, |ready| {
        leave_traces(&layers, ready)?;
        node::say_ready(ready);
        greet(ready, args.ephemeral);
        Ok(())
    });
    // A node that did not start has not written it.
    let _ = files::remove(&config.data_dir.join("pid"));
    if let Some(dir) = ephemeral {
        forget(&dir);
    }
    outcome
}

/// Runs a cluster.
fn several(args: &DevArgs) -> Outcome {
    let dir = data_dir(args).unwrap_or_else(|| PathBuf::from(DEFAULT_DATA));
    let outcome = cluster::run(args, &dir);
    if args.ephemeral {
        forget(&dir);
    }
    outcome
}

/// Removes data that was not to be kept.
fn forget(dir: &Path) {
    match files::remove_dir(dir) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            eprintln!("warning: {} is left behind: {error}", dir.display());
        }
        _ => {}
    }
}

/// Where the data goes, if the command line says so.
fn data_dir(args: &DevArgs) -> Option<PathBuf> {
    let temporary = || std::env::temp_dir().join(format!("tidemark-dev-{}", Uuid::new_v4().simple()));
    args.data.clone().or_else(|| args.ephemeral.then(temporary))
}

fn add_defaults(layers: &mut Layers) {
    for (key, value) in DEFAULTS {
        layers.add_default(key, value);
    }
}

fn layers(args: &DevArgs) -> Result<Layers, Failure> {
    let mut layers = node::layers(None, &args.set)?;
    if let Some(port) = args.port {
        layers.add_set(&format!("listener.{LISTENER}.bind=127.0.0.1:{port}"));
    } else if !layers.values().any(|(key, _, _)| key.starts_with("listener.") && key.ends_with(".bind")) {
        layers.add_default(&format!("listener.{LISTENER}.bind"), &format!("127.0.0.1:{DEFAULT_PORT}"));
    }
    if let Some(dir) = data_dir(args) {
        layers.add_set(&format!("node.data_dir={}", dir.display()));
    }
    add_defaults(&mut layers);
    Ok(layers)
}

/// Writes `tidemark.toml` and `pid` beside the data.
fn leave_traces(layers: &Layers, ready: &Ready) -> Result<(), Failure> {
    files::write_text(&ready.data_dir.join(CONFIG_FILE), &config_text(layers, ready))?;
    files::write_text(&ready.data_dir.join("pid"), &format!("{}\n", std::process::id()))
}

/// The node as it runs, ports that were chosen included.
fn config_text(layers: &Layers, ready: &Ready) -> String {
    let mut text = String::from(
        "# Written by `tidemark dev` at each start. `tidemark start -c` with this file runs the same node.\n",
    );
    let mut bound = ready.kafka.iter();
    for (key, value, _) in layers.values() {
        let value = match key {
            "node.data_dir" => ready.data_dir.display().to_string(),
            "admin.bind" => ready.admin.map_or_else(|| value.to_owned(), |address| address.to_string()),
            "peer.bind" => ready.peer.map_or_else(|| value.to_owned(), |address| address.to_string()),
            // Listeners are started, and told, in the order of their names.
            key if key.starts_with("listener.") && key.ends_with(".bind") => {
                bound.next().map_or_else(|| value.to_owned(), ToString::to_string)
            }
            _ => value.to_owned(),
        };
        writeln!(text, "{} = {}", quoted_key(key), quoted(&value)).expect("strings take all text");
    }
    if !layers.values().any(|(key, _, _)| key == "node.data_dir") {
        let dir = ready.data_dir.display().to_string();
        writeln!(text, "node.data_dir = {}", quoted(&dir)).expect("strings take all text");
    }
    text
}

/// `kafka.num.partitions` is the key `num.partitions` of the table `kafka`.
fn quoted_key(key: &str) -> String {
    match key.split_once('.') {
        Some(("kafka", name)) => format!("kafka.{}", quoted(name)),
        _ => key.to_owned(),
    }
}

fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

/// What to type next, for a person.
fn greet(ready: &Ready, ephemeral: bool) {
    let default = SocketAddr::from(([127, 0, 0, 1], DEFAULT_PORT));
    let server = match ready.kafka.first() {
        Some(address) if *address != default => format!(" -s {address}"),
        _ => String::new(),
    };
    eprintln!("\nTry, in another terminal:");
    eprintln!("  echo hi | tidemark{server} produce hello");
    eprintln!("  tidemark{server} consume hello -n 1");
    eprintln!("  tidemark{server} topic list");
    let dir = shown(&ready.data_dir);
    let fate = if ephemeral { "deleted at the end" } else { "delete to reset" };
    eprintln!("\nYour data: {dir} ({fate}). Ctrl-C stops.\n");
}

/// Relative to here where that is shorter.
fn shown(dir: &Path) -> String {
    let relative =
        std::env::current_dir().ok().and_then(|here| dir.strip_prefix(here).ok().map(Path::to_owned));
    match relative {
        Some(relative) => format!("./{}", relative.display()),
        None => dir.display().to_string(),
    }
}

#[cfg(test)]
mod tests {
    use tidemark_broker::config::NodeConfig;

    use super::*;

    fn args(set: &[&str]) -> DevArgs {
        let set = set.iter().map(|s| (*s).to_owned()).collect();
        DevArgs { port: Some(0), data: Some(PathBuf::from("/d")), ephemeral: false, nodes: 1, set }
    }

    #[test]
    fn what_dev_writes_is_the_node_it_runs() {
        let layers = layers(&args(&["kafka.num.partitions=4", "node.id=7"])).expect("layers");
        let ready = Ready {
            kafka: vec!["127.0.0.1:4711".parse().expect("address")],
            admin: Some("127.0.0.1:4712".parse().expect("address")),
            peer: Some("127.0.0.1:4713".parse().expect("address")),
            data_dir: PathBuf::from("/d"),
        };
        let mut again = Layers::default();
        again.add_file("tidemark.toml", &config_text(&layers, &ready));
        let config = NodeConfig::from_layers(&again).expect("it is valid");
        assert_eq!(config.node_id, 7);
        assert_eq!(config.listeners[0].bind, ready.kafka[0]);
        assert_eq!(config.admin, ready.admin);
        assert_eq!(config.peer, ready.peer);
        assert_eq!(config.data_dir, PathBuf::from("/d"));
        assert_eq!(config.kafka.statics().get("num.partitions").map(String::as_str), Some("4"));
    }

    #[test]
    fn what_is_said_is_stronger_than_what_dev_presumes() {
        let layers =
            layers(&args(&["kafka.auto.create.topics.enable=false", "admin.bind=off"])).expect("layers");
        let config = NodeConfig::from_layers(&layers).expect("valid");
        assert_eq!(config.admin, None);
        let statics = config.kafka.statics();
        assert_eq!(statics.get("auto.create.topics.enable").map(String::as_str), Some("false"));
        assert_eq!(statics.get("group.initial.rebalance.delay.ms").map(String::as_str), Some("0"));
    }
}
