//! Three nodes of one system on this machine: started together, and each killed, stopped and started by itself.
//!
//! Every node has two ports, for clients and for its peers, and a folder for data and log in the folder of all.

use std::fs::OpenOptions;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::clock;
use crate::connection::LoadError;
use crate::process::is_running;

/// Nodes of a cluster; their ids are 1, 2, 3.
pub const NODES: usize = 3;
/// Longest wait for a process to end by itself, …
const STOP_TIME_MAX: Duration = Duration::from_secs(30);
/// … and for the last one: Kafka's would ask a quorum that has gone for minutes, and is killed in the end as its operators do.
const STOP_TIME_MAX_LAST: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// Kafka wants an identity before the first start.
const CLUSTER_ID: &str = "VGlkZW1hcmtCZW5jaGVzAA";
/// Heartbeats of a session, at least, so that one that is lost does not end it.
const HEARTBEATS_PER_SESSION: u32 = 4;

/// What is run as a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum System {
    /// This project's binary, as it is by default.
    Tidemark(PathBuf),
    /// The script that starts Apache Kafka, and how long a broker may be silent where that is not left at its default.
    Kafka(PathBuf, Option<Duration>),
}

/// Three nodes, running or not. Those that run are killed at the end.
#[derive(Debug)]
pub struct Nodes {
    system: System,
    data: PathBuf,
    port: u16,
    running: [Option<Process>; NODES],
}

#[derive(Debug)]
struct Process {
    pid: u32,
    /// A process of a script is nobody's child here.
    child: Option<Child>,
}

impl Nodes {
    /// Nodes in `data`, with two ports each from `port` on. None is started.
    pub fn new(system: System, data: &Path, port: u16) -> Nodes {
        Nodes { system, data: data.to_owned(), port, running: [const { None }; NODES] }
    }

    /// Where clients reach the node of an id.
    pub fn address(&self, id: i32) -> String {
        format!("127.0.0.1:{}", self.ports(id).0)
    }

    /// Ids of the nodes that run.
    pub fn alive(&self) -> Vec<i32> {
        (1..).zip(&self.running).filter(|(_, process)| process.is_some()).map(|(id, _)| id).collect()
    }

    /// The processes that run.
    pub fn pids(&self) -> Vec<u32> {
        self.running.iter().flatten().map(|process| process.pid).collect()
    }

    fn ports(&self, id: i32) -> (u16, u16) {
        let client = self.port + 2 * (u16::try_from(id).unwrap_or(1) - 1);
        (client, client + 1)
    }

    /// Starts whichever nodes do not run; returns when the last was started.
    ///
    /// # Errors
    /// When one cannot be started.
    pub fn start_all(&mut self) -> Result<Instant, LoadError> {
        let mut started = clock::now();
        for id in (1..).take(NODES) {
            if self.running[index(id)].is_none() {
                started = self.start(id)?;
            }
        }
        Ok(started)
    }

    /// Starts a node; returns when.
    ///
    /// # Errors
    /// When it cannot be.
    pub fn start(&mut self, id: i32) -> Result<Instant, LoadError> {
        let (started, process) = match &self.system {
            System::Tidemark(binary) => self.start_tidemark(binary, id)?,
            System::Kafka(script, session) => self.start_kafka(script, *session, id)?,
        };
        self.running[index(id)] = Some(process);
        Ok(started)
    }

    fn start_tidemark(&self, binary: &Path, id: i32) -> Result<(Instant, Process), LoadError> {
        let peer = |id| format!("127.0.0.1:{}", self.ports(id).1);
        let seeds: Vec<String> = (1..).take(NODES).map(peer).collect();
        let data = self.data.join(format!("node-{id}"));
        let settings = [
            format!("node.id={id}"),
            format!("node.data_dir={}", data.display()),
            format!("listener.PLAINTEXT.bind={}", self.address(id)),
            format!("peer.bind={}", peer(id)),
            format!("cluster.seeds={}", seeds.join(",")),
            "admin.bind=127.0.0.1:0".to_owned(),
        ];
        let log =
            OpenOptions::new().create(true).append(true).open(self.data.join(format!("node-{id}.log")))?;
        let mut command = Command::new(binary);
        command.arg("start");
        for setting in &settings {
            command.args(["--set", setting]);
        }
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let started = clock::now();
        let child = command
            .spawn()
            .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", binary.display())))?;
        Ok((started, Process { pid: child.id(), child: Some(child) }))
    }

    fn start_kafka(
        &self,
        script: &Path,
        session: Option<Duration>,
        id: i32,
    ) -> Result<(Instant, Process), LoadError> {
        let voter = |id| format!("{id}@127.0.0.1:{}", self.ports(id).1);
        let voters: Vec<String> = (1..).take(NODES).map(voter).collect();
        let extra = session.map_or_else(String::new, |session| {
            let beat = session / HEARTBEATS_PER_SESSION;
            format!(
                "broker.session.timeout.ms={}\nbroker.heartbeat.interval.ms={}\n",
                session.as_millis(),
                beat.as_millis()
            )
        });
        let mut command = Command::new(script);
        command
            .env("PORT", self.ports(id).0.to_string())
            .env("DATA", self.data.join(format!("node-{id}")))
            .env("NODE_ID", id.to_string())
            .env("CLUSTER_ID", CLUSTER_ID)
            .env("VOTERS", voters.join(","))
            .env("REPLICAS", NODES.to_string())
            .env("EXTRA", extra)
            .env("HEAP", "1g")
            // Old data is kept, and a new folder is formatted.
            .env("KEEP_DATA", "1")
            .env("NOWAIT", "1");
        let output = command.output()?;
        let pid = String::from_utf8_lossy(&output.stdout).trim().parse();
        let pid = pid.map_err(|_| {
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            LoadError::Protocol(format!("the Kafka script printed no pid: {said}"))
        })?;
        // Formatting the directory is not starting: counted from when the script has started the broker.
        Ok((clock::now(), Process { pid, child: None }))
    }

    /// Kills a node as a crash would; returns when.
    ///
    /// # Errors
    /// When there is none to be killed.
    pub fn kill(&mut self, id: i32) -> Result<Instant, LoadError> {
        let killed = self.signal(id, Signal::KILL)?;
        self.wait(id)?;
        Ok(killed)
    }

    /// Asks a node to stop; returns when.
    ///
    /// # Errors
    /// When there is none to be asked.
    pub fn terminate(&self, id: i32) -> Result<Instant, LoadError> {
        self.signal(id, Signal::TERM)
    }

    /// Waits for the end of a node that was asked to stop; one that takes too long is killed.
    ///
    /// # Errors
    /// Of the signal.
    pub fn wait(&mut self, id: i32) -> Result<(), LoadError> {
        let is_last = self.alive().len() == 1;
        let deadline = clock::now() + if is_last { STOP_TIME_MAX_LAST } else { STOP_TIME_MAX };
        let Some(mut process) = self.running[index(id)].take() else { return Ok(()) };
        let mut is_killed = false;
        while !process.has_ended()? {
            if clock::now() > deadline && !is_killed {
                eprintln!("  node {id} does not stop and is killed");
                signal(process.pid, Signal::KILL)?;
                is_killed = true;
            }
            clock::sleep(LOOK_EVERY);
        }
        Ok(())
    }

    /// Stops the nodes one after another, so that each has others to hand over to.
    ///
    /// # Errors
    /// Of the signals.
    pub fn stop_all(&mut self) -> Result<(), LoadError> {
        for id in self.alive() {
            self.terminate(id)?;
            self.wait(id)?;
        }
        Ok(())
    }

    fn signal(&self, id: i32, with: Signal) -> Result<Instant, LoadError> {
        let process = self.running[index(id)].as_ref();
        let process = process.ok_or_else(|| LoadError::Protocol(format!("node {id} does not run")))?;
        let at = clock::now();
        signal(process.pid, with)?;
        Ok(at)
    }
}

impl Drop for Nodes {
    fn drop(&mut self) {
        for id in self.alive() {
            // Whatever is wrong with one, the others are to be ended too.
            let _ = self.kill(id);
        }
    }
}

impl Process {
    fn has_ended(&mut self) -> io::Result<bool> {
        match &mut self.child {
            Some(child) => Ok(child.try_wait()?.is_some()),
            None => Ok(!is_running(self.pid)),
        }
    }
}

fn signal(pid: u32, signal: Signal) -> io::Result<()> {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    let pid = pid.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "pid 0"))?;
    Ok(kill_process(pid, signal)?)
}

fn index(id: i32) -> usize {
    usize::try_from(id - 1).expect("ids begin with 1")
}
