//! [`Ensemble`]: the brokers as processes, each with a folder, and what can be done to a process and its folder.
//!
//! Each node is told addresses of proxies for itself and the others, so that nothing goes between two ends but through a link.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::proxy::{Callers, Network};

/// How long a node may take to stop in order before it is killed.
const STOP_TIME_MAX: Duration = Duration::from_secs(15);
/// Names the file whose orders disk and clock of a test build follow.
const ORDERS: &str = "CHAOS_ORDERS";
/// What a test build says at its start.
const TEST_BUILD: &str = "test build: disk and clock follow";
/// Settings all nodes share, beside their addresses: internal topics small enough that a run touches each.
const SETTINGS: &str = r#"
[admin]
bind = "off"
[kafka]
"auto.create.topics.enable" = "false"
"default.replication.factor" = "3"
"offsets.topic.replication.factor" = "3"
"offsets.topic.num.partitions" = "4"
"group.initial.rebalance.delay.ms" = "0"
"log.segment.delete.delay.ms" = "1000"
"#;

/// A broker that may run.
pub struct Member {
    /// Its node id.
    pub id: i32,
    dir: PathBuf,
    config: PathBuf,
    child: Option<Child>,
    kafka: SocketAddr,
    orders: PathBuf,
    /// What ails its disk from the start to the end of the run.
    chronic: String,
    ailment: String,
    skew_ms: i64,
    /// Its disk has failed since it was started: it takes no writes until it is started again, and may end by itself.
    is_sick: bool,
}

/// All brokers.
pub struct Ensemble {
    binary: PathBuf,
    dir: PathBuf,
    /// In the order of their ids, from 1.
    pub members: Vec<Member>,
    bootstrap: String,
}

/// The ports of a run, from its first on.
fn port(first: u16, group: u16, id: i32) -> SocketAddr {
    let offset = group * 10 + u16::try_from(id).expect("a small id");
    SocketAddr::from(([127, 0, 0, 1], first + offset))
}

impl Ensemble {
    /// Folders, configurations and proxies of `count` nodes below `dir`; none is started.
    ///
    /// # Errors
    /// Those of the disk; ports that are taken.
    pub async fn new(
        binary: &Path,
        dir: &Path,
        count: i32,
        first_port: u16,
        network: &Network,
    ) -> io::Result<Ensemble> {
        let kafka = |id| port(first_port, 0, id);
        let peer = |id| port(first_port, 1, id);
        let kafka_proxy = |id| port(first_port, 2, id);
        let peer_proxy = |id| port(first_port, 3, id);
        let seeds: Vec<String> = (1..=count).map(|id| peer_proxy(id).to_string()).collect();
        let mut members = Vec::new();
        for id in 1..=count {
            network.open(kafka_proxy(id), kafka(id), id, Callers::Clients)?;
            network.open(peer_proxy(id), peer(id), id, Callers::Nodes)?;
            let data = dir.join(format!("node-{id}"));
            let config = dir.join(format!("node-{id}.toml"));
            let text = format!(
                "[node]\nid = {id}\ndata_dir = {data:?}\n\
                 [cluster]\nseeds = \"{}\"\n\
                 [peer]\nbind = \"{}\"\nadvertise = \"{}\"\n\
                 [[listener]]\nname = \"PLAINTEXT\"\nbind = \"{}\"\nadvertise = \"{}\"\n{SETTINGS}",
                seeds.join(", "),
                peer(id),
                peer_proxy(id),
                kafka(id),
                kafka_proxy(id),
            );
            tokio::fs::write(&config, text).await?;
            let orders = dir.join(format!("node-{id}.orders"));
            members.push(Member::new(id, data, config, kafka(id), orders));
        }
        let bootstrap: Vec<String> = (1..=count).map(|id| kafka_proxy(id).to_string()).collect();
        Ok(Ensemble {
            binary: binary.to_owned(),
            dir: dir.to_owned(),
            members,
            bootstrap: bootstrap.join(","),
        })
    }

    /// Folders and configurations of three nodes below `dir` that reach each other directly, with these keys of Kafka beside
    /// the settings of all; none is started.
    ///
    /// # Errors
    /// Those of the disk.
    pub async fn direct(
        binary: &Path,
        dir: &Path,
        first_port: u16,
        kafka_keys: &[(&str, &str)],
    ) -> io::Result<Ensemble> {
        let (kafka, peer) = (|id| port(first_port, 0, id), |id| port(first_port, 1, id));
        let ids = 1..=3;
        let seeds: Vec<String> = ids.clone().map(|id| peer(id).to_string()).collect();
        let keys: Vec<String> =
            kafka_keys.iter().map(|(key, value)| format!("{key:?} = {value:?}\n")).collect();
        let mut members = Vec::new();
        for id in ids.clone() {
            let data = dir.join(format!("node-{id}"));
            let config = dir.join(format!("node-{id}.toml"));
            let text = format!(
                "[node]\nid = {id}\ndata_dir = {data:?}\n[cluster]\nseeds = \"{}\"\n[peer]\nbind = \"{}\"\n\
                 [[listener]]\nname = \"PLAINTEXT\"\nbind = \"{}\"\n{SETTINGS}{}",
                seeds.join(", "),
                peer(id),
                kafka(id),
                keys.concat(),
            );
            tokio::fs::write(&config, text).await?;
            let orders = dir.join(format!("node-{id}.orders"));
            members.push(Member::new(id, data, config, kafka(id), orders));
        }
        let bootstrap: Vec<String> = ids.map(|id| kafka(id).to_string()).collect();
        Ok(Ensemble {
            binary: binary.to_owned(),
            dir: dir.to_owned(),
            members,
            bootstrap: bootstrap.join(","),
        })
    }

    /// Where clients begin: the proxies of all nodes.
    pub fn bootstrap(&self) -> &str {
        &self.bootstrap
    }

    /// A node.
    pub fn member(&mut self, id: i32) -> &mut Member {
        self.members.iter_mut().find(|member| member.id == id).expect("a node of this run")
    }

    /// Starts a node that does not run.
    ///
    /// # Errors
    /// The process cannot be started.
    pub fn start(&mut self, id: i32) -> io::Result<()> {
        let log = self.log_path(id);
        let binary = self.binary.clone();
        let member = self.member(id);
        if member.child.is_some() {
            return Ok(());
        }
        let open = || std::fs::OpenOptions::new().create(true).append(true).open(&log);
        let mut command = Command::new(binary);
        command.arg("start").arg("-c").arg(&member.config);
        command.env(ORDERS, &member.orders);
        command.stdin(Stdio::null()).stdout(open()?).stderr(open()?).kill_on_drop(true);
        member.is_sick = false;
        member.child = Some(command.spawn()?);
        Ok(())
    }

    /// Where a node's log lines go.
    pub fn log_path(&self, id: i32) -> PathBuf {
        self.dir.join(format!("node-{id}.log"))
    }

    /// Whether the brokers take orders, as test builds do. Known once they are ready.
    pub async fn takes_orders(&self) -> bool {
        let logs = self.members.iter().map(|member| tokio::fs::read_to_string(self.log_path(member.id)));
        futures_util::future::join_all(logs)
            .await
            .iter()
            .all(|log| matches!(log, Ok(log) if log.contains(TEST_BUILD)))
    }

    /// Stops all in order, side by side; says who did not.
    pub async fn stop(&mut self) -> Vec<String> {
        let stops = self.members.iter_mut().map(|member| async { (member.id, member.stop().await) });
        let stopped = futures_util::future::join_all(stops).await;
        let wrong =
            stopped.into_iter().filter_map(|(id, stopped)| Some(format!("node {id} {}", stopped.err()?)));
        wrong.collect()
    }
}

impl Member {
    /// A healthy node that does not run.
    fn new(id: i32, dir: PathBuf, config: PathBuf, kafka: SocketAddr, orders: PathBuf) -> Member {
        let (chronic, ailment) = (String::new(), String::new());
        Member { id, dir, config, child: None, kafka, orders, chronic, ailment, skew_ms: 0, is_sick: false }
    }

    /// Where clients would reach it without a proxy.
    pub fn address(&self) -> SocketAddr {
        self.kafka
    }

    /// Its data.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// How its process ended, if it has ended by itself since it was last asked; one whose disk failed may.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        let status = self.child.as_mut()?.try_wait().ok()??;
        self.child = None;
        Some(status).filter(|_| !self.is_sick)
    }

    /// From now on this ails its disk.
    ///
    /// # Errors
    /// Those of this process's own disk.
    pub async fn ail(&mut self, words: &str) -> io::Result<()> {
        self.ailment = words.to_owned();
        self.is_sick |= words.contains("eio") || words.contains("everywhere");
        self.order().await
    }

    /// For the whole run its disk has this, whatever else.
    ///
    /// # Errors
    /// Those of this process's own disk.
    pub async fn plant(&mut self, words: &str) -> io::Result<()> {
        self.chronic = words.to_owned();
        self.order().await
    }

    /// From now on its wall clock is wrong by so much.
    ///
    /// # Errors
    /// Those of this process's own disk.
    pub async fn skew(&mut self, ms: i64) -> io::Result<()> {
        self.skew_ms = ms;
        self.order().await
    }

    /// Makes disk and clock well. A node whose disk has failed is killed: only a start gets it to write again.
    ///
    /// # Errors
    /// Those of this process's own disk.
    pub async fn cure(&mut self) -> io::Result<()> {
        if !self.ailment.is_empty() || self.skew_ms != 0 {
            self.ailment.clear();
            self.skew_ms = 0;
            self.order().await?;
        }
        if self.is_sick {
            self.kill().await;
        }
        Ok(())
    }

    async fn order(&self) -> io::Result<()> {
        let new = self.orders.with_extension("new");
        tokio::fs::write(&new, format!("{} {}\n{}\n", self.chronic, self.ailment, self.skew_ms)).await?;
        tokio::fs::rename(&new, &self.orders).await
    }

    /// kill -9, and waits until the process is gone.
    pub async fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            // It may have ended by itself; then there is nothing to kill.
            let _ = child.kill().await;
        }
    }

    /// SIGTERM, and waits until the process has ended.
    ///
    /// # Errors
    /// It took too long, and was killed; or it said that something went wrong.
    pub async fn stop(&mut self) -> Result<(), String> {
        self.signal(Signal::CONT);
        self.signal(Signal::TERM);
        let Some(mut child) = self.child.take() else { return Ok(()) };
        match timeout(STOP_TIME_MAX, child.wait()).await {
            Ok(Ok(status)) if status.success() => Ok(()),
            Ok(Ok(status)) => Err(format!("stopped with {status}")),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => {
                // It has ended meanwhile, or is ended.
                let _ = child.kill().await;
                Err(format!("did not stop within {STOP_TIME_MAX:?}"))
            }
        }
    }

    /// Holds the process where it is.
    pub fn pause(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets it go on.
    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        let id = self.child.as_ref().and_then(Child::id).and_then(|id| i32::try_from(id).ok());
        if let Some(pid) = id.and_then(Pid::from_raw) {
            // A process that has just ended needs no signal.
            let _ = kill_process(pid, signal);
        }
    }
}
