//! The node's configuration: `tidemark.toml`, the environment and `--set`, merged, checked as a whole, and typed.
//!
//! Precedence: `--set` > environment > file > default. Every problem is reported at once, with where the value came
//! from. Keys below `kafka.` are Kafka's own, checked by the table of broker configs in `core`.

pub mod keys;
pub mod layers;

use std::net::SocketAddr;
use std::path::PathBuf;

use tidemark_core::metadata::BrokerConfigs;
use tidemark_protocol::types::BrokerId;

pub use layers::{Layers, Origin, Problem, Problems};

/// A node's configuration, checked.
#[derive(Clone, Debug)]
pub struct NodeConfig {
    /// `node.id`.
    pub node_id: BrokerId,
    /// `node.data_dir`.
    pub data_dir: PathBuf,
    /// `node.rack`.
    pub rack: Option<String>,
    /// `node.roles`.
    pub roles: Roles,
    /// `cluster.id`: the identity an empty data directory is given; drawn at random when not set.
    pub cluster_id: Option<String>,
    /// `listener.NAME.*`, in the order of their names.
    pub listeners: Vec<ListenerConfig>,
    /// `admin.bind`; `None` for `off`.
    pub admin: Option<SocketAddr>,
    /// `peer.bind`; `None` for `off`.
    pub peer: Option<SocketAddr>,
    /// `peer.advertise`; the bound address when not set.
    pub peer_advertise: Option<String>,
    /// `cluster.seeds`, in their order.
    pub seeds: Vec<String>,
    /// `cluster.voters`.
    pub voters: usize,
    /// `log.format`.
    pub log_format: LogFormat,
    /// `log.filter`.
    pub log_filter: String,
    /// `memory.requests`: bytes of requests in work.
    pub request_bytes_max: usize,
    /// `memory.tail`: bytes of recent batches kept for consumers at the end of the log.
    pub tail_bytes_max: usize,
    /// `threads.log`; `None` chooses by the machine.
    pub log_threads: Option<usize>,
    /// `threads.network`; `None` chooses by the machine.
    pub network_threads: Option<usize>,
    /// `kafka.*`.
    pub kafka: BrokerConfigs,
}

/// What a node is for (Kafka's `process.roles`). One that is neither is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Roles {
    /// It holds partitions and serves clients.
    pub broker: bool,
    /// It may vote on the cluster's metadata.
    pub controller: bool,
}

/// A port for Kafka clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenerConfig {
    /// Kafka's listener name.
    pub name: String,
    /// Address to bind; port 0 takes a free one.
    pub bind: SocketAddr,
    /// Host and port that clients are told; the bound ones when not set.
    pub advertise: Option<(String, u16)>,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

impl NodeConfig {
    /// Types the merged values; all problems at once.
    pub fn from_layers(layers: &Layers) -> Result<NodeConfig, Problems> {
        let mut reader = layers.reader();
        let roles = reader.roles();
        let config = NodeConfig {
            node_id: reader.int("node.id", 0, i64::from(i32::MAX)) as BrokerId,
            data_dir: PathBuf::from(reader.text("node.data_dir")),
            rack: reader.optional("node.rack"),
            roles,
            cluster_id: reader.cluster_id(),
            listeners: reader.listeners(roles),
            admin: reader.port("admin.bind"),
            peer: reader.port("peer.bind"),
            peer_advertise: reader.host_port("peer.advertise"),
            seeds: reader.seeds(roles),
            voters: reader.one_of("cluster.voters", &["1", "3", "5"]).parse().unwrap_or(1),
            log_format: match reader.one_of("log.format", &["text", "json"]).as_str() {
                "json" => LogFormat::Json,
                _ => LogFormat::Text,
            },
            log_filter: reader.text("log.filter"),
            request_bytes_max: reader.bytes("memory.requests", 1 << 20),
            tail_bytes_max: reader.bytes("memory.tail", 0),
            log_threads: reader.threads("threads.log"),
            network_threads: reader.threads("threads.network"),
            kafka: reader.kafka(),
        };
        reader.finish(config)
    }
}

#[cfg(test)]
mod tests;
