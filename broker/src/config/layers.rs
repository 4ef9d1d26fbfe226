//! Where configuration values come from, merged: file, environment, `--set`; and the reader that types them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::{SocketAddr, ToSocketAddrs};

use tidemark_core::metadata::{BrokerConfigs, units};
use tidemark_protocol::types::TopicId;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::keys::{self, DEFAULT_LISTENER, KEYS, LISTENER_KEYS, OTHER_VARIABLES};
use super::{ListenerConfig, NodeConfig, Roles};

/// Prefix of environment variables; `__` stands for a dot: `TIDEMARK_NODE__ID`.
const ENVIRONMENT_PREFIX: &str = "TIDEMARK_";

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// Built in.
    Default,
    /// A line of the file, from 1.
    File(String, usize),
    /// An environment variable.
    Environment(String),
    /// `--set`.
    Set,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Default => f.write_str("default"),
            Origin::File(file, line) => write!(f, "{file}:{line}"),
            Origin::Environment(name) => write!(f, "environment variable {name}"),
            Origin::Set => f.write_str("--set"),
        }
    }
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where.
    pub origin: Origin,
    /// What, and what would be right.
    pub message: String,
}

/// Everything that is wrong, in the order of its places.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.iter().map(|p| format!("{}: {}", p.origin, p.message)).collect::<Vec<_>>().join("\n"))]
pub struct Problems(pub Vec<Problem>);

/// The merged values by dotted key, each with its origin.
#[derive(Clone, Debug, Default)]
pub struct Layers {
    values: BTreeMap<String, (String, Origin)>,
    problems: Vec<Problem>,
}

impl Layers {
    /// Reads a file's text; `name` is what errors call it.
    pub fn add_file(&mut self, name: &str, text: &str) {
        let line_of = |at: usize| text[..at.min(text.len())].matches('\n').count() + 1;
        match DeTable::parse(text) {
            Ok(table) => self.add_table(name, "", table.get_ref(), &line_of),
            Err(error) => {
                let line = error.span().map_or(1, |span| line_of(span.start));
                self.problem(Origin::File(name.to_owned(), line), error.message().to_owned());
            }
        }
    }

    /// Reads the variables that start with `TIDEMARK_`.
    pub fn add_environment(&mut self, variables: impl Iterator<Item = (String, String)>) {
        for (name, value) in variables {
            let Some(rest) = name.strip_prefix(ENVIRONMENT_PREFIX) else { continue };
            if OTHER_VARIABLES.contains(&name.as_str()) {
                continue;
            }
            let key = match rest.strip_prefix("KAFKA__") {
                Some(kafka) => format!("kafka.{}", kafka.to_lowercase().replace('_', ".")),
                None => environment_key(rest),
            };
            self.put(key, value, Origin::Environment(name));
        }
    }

    /// Reads one `KEY=VALUE`.
    pub fn add_set(&mut self, assignment: &str) {
        match assignment.split_once('=') {
            Some((key, value)) => self.put(key.trim().to_owned(), value.trim().to_owned(), Origin::Set),
            None => self.problem(Origin::Set, format!("{assignment:?} is not KEY=VALUE, as in node.id=1")),
        }
    }

    /// Sets a value where nothing stronger did, as `dev` does for what suites presume.
    pub fn add_default(&mut self, key: &str, value: &str) {
        self.values.entry(key.to_owned()).or_insert_with(|| (value.to_owned(), Origin::Default));
    }

    /// The merged values that were given, with their origins.
    pub fn values(&self) -> impl Iterator<Item = (&str, &str, &Origin)> {
        self.values.iter().map(|(key, (value, origin))| (key.as_str(), value.as_str(), origin))
    }

    pub(super) fn reader(&self) -> Reader<'_> {
        Reader { layers: self, problems: self.problems.clone(), used: BTreeSet::new() }
    }

    fn put(&mut self, key: String, value: String, origin: Origin) {
        self.values.insert(key, (value, origin));
    }

    fn problem(&mut self, origin: Origin, message: String) {
        self.problems.push(Problem { origin, message });
    }

    fn add_table(&mut self, file: &str, prefix: &str, table: &DeTable<'_>, line_of: &dyn Fn(usize) -> usize) {
        for (key, value) in table {
            let name = format!("{prefix}{}", key.get_ref());
            let origin = Origin::File(file.to_owned(), line_of(key.span().start));
            match value.get_ref() {
                DeValue::Table(inner) => self.add_table(file, &format!("{name}."), inner, line_of),
                DeValue::Array(items) if name == "listener" => {
                    items.iter().for_each(|item| self.add_listener(file, item, line_of));
                }
                DeValue::String(text) => self.put(name, text.to_string(), origin),
                DeValue::Integer(number) => self.put(name, number.as_str().replace('_', ""), origin),
                DeValue::Float(number) => self.put(name, number.as_str().replace('_', ""), origin),
                DeValue::Boolean(flag) => self.put(name, flag.to_string(), origin),
                other => self.problem(origin, format!("{name} cannot be a {}", other.type_str())),
            }
        }
    }

    /// `[[listener]]` with a `name` becomes `listener.NAME.*`.
    fn add_listener(&mut self, file: &str, item: &Spanned<DeValue<'_>>, line_of: &dyn Fn(usize) -> usize) {
        let origin = Origin::File(file.to_owned(), line_of(item.span().start));
        let DeValue::Table(table) = item.get_ref() else {
            return self.problem(origin, "a listener is a table: [[listener]] with name and bind".to_owned());
        };
        let name = table.iter().find(|(key, _)| key.get_ref() == "name").map(|(_, value)| value.get_ref());
        let Some(DeValue::String(name)) = name else {
            return self
                .problem(origin, "a [[listener]] needs a name, as in name = \"PLAINTEXT\"".to_owned());
        };
        let prefix = format!("listener.{name}.");
        self.add_table(file, &prefix, table, line_of);
        self.values.remove(&format!("{prefix}name"));
    }
}

/// `NODE__DATA_DIR` → `node.data_dir`; the middle part of a listener keeps its case.
fn environment_key(rest: &str) -> String {
    let parts: Vec<&str> = rest.split("__").collect();
    match parts.as_slice() {
        ["LISTENER", name, key] => format!("listener.{name}.{}", key.to_lowercase()),
        parts => parts.join(".").to_lowercase(),
    }
}

fn host_and_port(text: &str) -> Option<(String, u16)> {
    let (host, port) = text.rsplit_once(':')?;
    Some((host.to_owned(), port.parse().ok()?))
}

/// Types values and collects what is wrong with them.
pub(super) struct Reader<'a> {
    layers: &'a Layers,
    problems: Vec<Problem>,
    used: BTreeSet<String>,
}

impl Reader<'_> {
    fn raw(&mut self, key: &str) -> (String, Origin) {
        self.used.insert(key.to_owned());
        let default = || {
            let known = KEYS.iter().find(|known| known.name == key).expect("only known keys are read");
            (known.default.to_owned(), Origin::Default)
        };
        self.layers.values.get(key).cloned().unwrap_or_else(default)
    }

    fn bad(&mut self, origin: Origin, key: &str, value: &str, expected: &str) {
        self.problems.push(Problem { origin, message: format!("{key} = {value:?} is not {expected}") });
    }

    pub(super) fn text(&mut self, key: &str) -> String {
        self.raw(key).0
    }

    pub(super) fn optional(&mut self, key: &str) -> Option<String> {
        Some(self.text(key)).filter(|text| !text.is_empty())
    }

    pub(super) fn int(&mut self, key: &str, min: i64, max: i64) -> i64 {
        let (value, origin) = self.raw(key);
        match value.parse::<i64>() {
            Ok(number) if (min..=max).contains(&number) => number,
            _ => {
                self.bad(origin, key, &value, &format!("a number from {min} to {max}"));
                min
            }
        }
    }

    /// A number of threads; 0 leaves the choice to the machine.
    pub(super) fn threads(&mut self, key: &str) -> Option<usize> {
        usize::try_from(self.int(key, 0, 64)).ok().filter(|&count| count > 0)
    }

    pub(super) fn bytes(&mut self, key: &str, min: i64) -> usize {
        let (value, origin) = self.raw(key);
        match units::parse_bytes(&value) {
            Ok(bytes) if bytes >= min => usize::try_from(bytes).unwrap_or(usize::MAX),
            Ok(_) => {
                self.bad(origin, key, &value, &format!("at least {min} bytes"));
                0
            }
            Err(error) => {
                self.bad(origin, key, &value, error.expected);
                0
            }
        }
    }

    pub(super) fn one_of(&mut self, key: &str, allowed: &[&str]) -> String {
        let (value, origin) = self.raw(key);
        if !allowed.contains(&value.as_str()) {
            self.bad(origin, key, &value, &format!("one of {}", allowed.join(", ")));
        }
        value
    }

    pub(super) fn cluster_id(&mut self) -> Option<String> {
        let (value, origin) = self.raw("cluster.id");
        if !value.is_empty() && TopicId::parse(&value).is_none() {
            self.bad(origin, "cluster.id", &value, "a uuid in 22 characters of url-safe base64");
        }
        Some(value).filter(|value| !value.is_empty())
    }

    /// An address to bind, or `off`.
    pub(super) fn port(&mut self, key: &str) -> Option<SocketAddr> {
        let (value, origin) = self.raw(key);
        if value == "off" { None } else { self.address(key, &value, origin) }
    }

    /// `host:port`, as others are told.
    pub(super) fn host_port(&mut self, key: &str) -> Option<String> {
        let (value, origin) = self.raw(key);
        let value = Some(value).filter(|value| !value.is_empty())?;
        if host_and_port(&value).is_none() {
            self.bad(origin, key, &value, "host:port");
        }
        Some(value)
    }

    /// `node.roles`.
    pub(super) fn roles(&mut self) -> Roles {
        let (value, origin) = self.raw("node.roles");
        let mut roles = Roles { broker: false, controller: false };
        for role in value.split(',').map(str::trim) {
            match role {
                "broker" => roles.broker = true,
                "controller" => roles.controller = true,
                _ => {
                    self.bad(origin.clone(), "node.roles", &value, "broker, controller, or both with a comma")
                }
            }
        }
        roles
    }

    /// `cluster.seeds`. Who may not vote cannot found a cluster, and has to find one.
    pub(super) fn seeds(&mut self, roles: Roles) -> Vec<String> {
        let (value, origin) = self.raw("cluster.seeds");
        if !roles.controller && value.trim().is_empty() {
            let message =
                "a node with node.roles = \"broker\" needs cluster.seeds: it cannot found a cluster";
            self.problems.push(Problem { origin: origin.clone(), message: message.to_owned() });
        }
        let seeds: Vec<String> =
            value.split(',').map(|seed| seed.trim().to_owned()).filter(|seed| !seed.is_empty()).collect();
        for seed in seeds.iter().filter(|seed| host_and_port(seed).is_none()) {
            self.bad(origin.clone(), "cluster.seeds", seed, "host:port");
        }
        seeds
    }

    fn address(&mut self, key: &str, value: &str, origin: Origin) -> Option<SocketAddr> {
        let resolved = value.to_socket_addrs().ok().and_then(|mut addresses| addresses.next());
        if resolved.is_none() {
            self.bad(origin, key, value, "an address this machine can resolve, as 127.0.0.1:9092");
        }
        resolved
    }

    /// `listener.*`. A node that is no broker has none.
    pub(super) fn listeners(&mut self, roles: Roles) -> Vec<ListenerConfig> {
        let mut names: BTreeSet<String> = BTreeSet::new();
        for key in self.layers.values.keys() {
            if let Some((name, part)) = key.strip_prefix("listener.").and_then(|rest| rest.rsplit_once('.'))
                && LISTENER_KEYS.iter().any(|known| known.name == part)
            {
                names.insert(name.to_owned());
            }
        }
        if names.is_empty() && roles.broker {
            names.insert(DEFAULT_LISTENER.to_owned());
        }
        let listeners: Vec<_> = names.into_iter().filter_map(|name| self.listener(name)).collect();
        if let Some(listener) = listeners.first().filter(|_| !roles.broker) {
            let key = format!("listener.{}.bind", listener.name);
            let origin = self.layers.values.get(&key).map_or(Origin::Default, |(_, origin)| origin.clone());
            let message = format!("{key}: a node that is no broker (node.roles) serves no clients");
            self.problems.push(Problem { origin, message });
        }
        listeners
    }

    fn listener(&mut self, name: String) -> Option<ListenerConfig> {
        let value = |reader: &mut Self, part: &str| {
            let key = format!("listener.{name}.{part}");
            reader.used.insert(key.clone());
            let given = reader.layers.values.get(&key).cloned();
            (key, given)
        };
        let (bind_key, bind) = value(self, "bind");
        let (bind, origin) = bind.unwrap_or_else(|| {
            let known =
                LISTENER_KEYS.iter().find(|known| known.name == "bind").expect("bind is a listener's key");
            (known.default.to_owned(), Origin::Default)
        });
        let bind = self.address(&bind_key, &bind, origin)?;
        let (advertise_key, advertise) = value(self, "advertise");
        let advertise = advertise.filter(|(text, _)| !text.is_empty()).and_then(|(text, origin)| {
            let parsed = host_and_port(&text);
            if parsed.is_none() {
                self.bad(origin, &advertise_key, &text, "host:port");
            }
            parsed
        });
        Some(ListenerConfig { name, bind, advertise })
    }

    pub(super) fn kafka(&mut self) -> BrokerConfigs {
        let raw: BTreeMap<String, String> = self
            .layers
            .values
            .iter()
            .filter_map(|(key, (value, _))| Some((key.strip_prefix("kafka.")?.to_owned(), value.clone())))
            .collect();
        self.used.extend(raw.keys().map(|key| format!("kafka.{key}")));
        BrokerConfigs::parse(&raw).unwrap_or_else(|problems| {
            for problem in problems {
                let key = format!("kafka.{}", problem.key);
                let origin =
                    self.layers.values.get(&key).map_or(Origin::Default, |(_, origin)| origin.clone());
                self.problems.push(Problem { origin, message: format!("{key}: {}", problem.message) });
            }
            BrokerConfigs::default()
        })
    }

    /// The configuration, or everything that is wrong, unknown keys included.
    pub(super) fn finish(mut self, config: NodeConfig) -> Result<NodeConfig, Problems> {
        for (key, (_, origin)) in &self.layers.values {
            if !self.used.contains(key) {
                let nearest = keys::nearest(key, KEYS.iter().map(|known| known.name));
                let hint = nearest.map_or_else(String::new, |known| format!(", did you mean {known}?"));
                self.problems
                    .push(Problem { origin: origin.clone(), message: format!("unknown key {key}{hint}") });
            }
        }
        if self.problems.is_empty() {
            return Ok(config);
        }
        self.problems.sort_by(|a, b| a.origin.cmp(&b.origin));
        Err(Problems(self.problems))
    }
}
