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
    starts: u32,
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
            members.push(Member { id, dir: data, config, child: None, kafka: kafka(id), starts: 0 });
        }
        let bootstrap: Vec<String> = (1..=count).map(|id| kafka_proxy(id).to_string()).collect();
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
        command.stdin(Stdio::null()).stdout(open()?).stderr(open()?).kill_on_drop(true);
        member.starts += 1;
        member.child = Some(command.spawn()?);
        Ok(())
    }

    /// Where a node's log lines go.
    pub fn log_path(&self, id: i32) -> PathBuf {
        self.dir.join(format!("node-{id}.log"))
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
    /// Where clients would reach it without a proxy.
    pub fn address(&self) -> SocketAddr {
        self.kafka
    }

    /// Its data.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Whether there is a process.
    pub fn is_started(&self) -> bool {
        self.child.is_some()
    }

    /// How its process ended, if it has ended by itself since it was last asked.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        let status = self.child.as_mut()?.try_wait().ok()??;
        self.child = None;
        Some(status)
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
