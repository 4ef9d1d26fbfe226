//! The keys of `tidemark.toml`: name, default, unit, meaning. `config/tidemark.toml` documents the same table; a test
//! holds the two together.

/// One key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    /// Dotted name, as `--set` takes it.
    pub name: &'static str,
    /// Default as written in the file; empty for none.
    pub default: &'static str,
    /// What values look like.
    pub form: &'static str,
    /// What it does.
    pub doc: &'static str,
}

const fn key(name: &'static str, default: &'static str, form: &'static str, doc: &'static str) -> Key {
    Key { name, default, form, doc }
}

/// All keys but listeners' and Kafka's.
pub const KEYS: &[Key] = &[
    key(
        "admin.bind",
        "127.0.0.1:9640",
        "address:port or \"off\"",
        "HTTP port for metrics, health and operators' commands.",
    ),
    key(
        "cluster.id",
        "",
        "22 characters of base64",
        "Identity given to an empty data directory; random when empty.",
    ),
    key(
        "cluster.seeds",
        "",
        "host:port, host:port, …",
        "Peer addresses of nodes to find the cluster by; the first founds it. Empty: this node founds its own.",
    ),
    key(
        "cluster.voters",
        "3",
        "1, 3 or 5",
        "Controllers that vote on metadata once there are so many; a majority of them must live.",
    ),
    key(
        "log.filter",
        "info",
        "tracing filter",
        "Which log lines are written, as in `info,tidemark_broker::server=debug`.",
    ),
    key("log.format", "text", "\"text\" or \"json\"", "How log lines look; they go to standard error."),
    key(
        "memory.requests",
        "256MiB",
        "bytes, at least 1MiB",
        "Requests in work at a time; past it large requests wait unread.",
    ),
    key(
        "memory.tail",
        "128MiB",
        "bytes",
        "Recent batches kept in memory for consumers at the end of the log.",
    ),
    key("node.data_dir", "tidemark-data", "path", "Where this node keeps its data."),
    key("node.id", "1", "0 to 2147483647", "Id of this node, unique in the cluster, never changed."),
    key(
        "node.roles",
        "broker,controller",
        "broker, controller, or both",
        "A broker holds partitions and serves clients; a controller may vote on the cluster's metadata.",
    ),
    key("node.rack", "", "name", "Where this node stands, for placement of replicas and reads."),
    key("peer.advertise", "", "host:port", "Where other nodes reach this one; the bound address when empty."),
    key(
        "peer.bind",
        "127.0.0.1:9093",
        "address:port or \"off\"",
        "Port for the other nodes of the cluster; a free one if the default is taken and there are no seeds.",
    ),
    key("threads.log", "0", "0 to 64", "Threads that write partitions; 0 chooses by the machine."),
    key("threads.network", "0", "0 to 64", "Threads that serve connections; 0 chooses by the machine."),
];

/// The keys of a listener, below `listener.NAME.`.
pub const LISTENER_KEYS: &[Key] = &[
    key("advertise", "", "host:port", "What clients are told to connect to; the bound address when empty."),
    key("bind", "127.0.0.1:9092", "address:port", "Where this listener listens."),
];

/// The listener of a configuration that names none.
pub const DEFAULT_LISTENER: &str = "PLAINTEXT";

/// Environment variables with our prefix that are no configuration of a node.
pub const OTHER_VARIABLES: &[&str] =
    &["TIDEMARK_SERVER", "TIDEMARK_SEED", "TIDEMARK_SEEDS", "TIDEMARK_CONFIG"];

/// The known key nearest to a mistyped one, if any is near.
pub fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let most = (name.len() / 3).max(2);
    known
        .map(|candidate| (edits(name, candidate), candidate))
        .filter(|(distance, _)| *distance <= most)
        .min()
        .map(|(_, candidate)| candidate)
}

/// Levenshtein distance.
fn edits(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let change = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = change.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}
