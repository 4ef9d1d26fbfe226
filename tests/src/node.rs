//! A broker as a child process: started, killed without warning, started again on the same directory.

use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long a broker may take until it says it is ready.
const READY_TIME_MAX: Duration = Duration::from_secs(60);

/// A broker of this machine.
pub struct Node {
    binary: PathBuf,
    dir: PathBuf,
    port: u16,
    settings: Vec<String>,
    child: Option<Child>,
}

impl Node {
    /// A broker that keeps its data in `dir`; not started yet.
    pub fn new(binary: &Path, dir: &Path, settings: &[&str]) -> Self {
        let settings = settings.iter().map(|setting| (*setting).to_owned()).collect();
        Node { binary: binary.to_owned(), dir: dir.to_owned(), port: free_port(), settings, child: None }
    }

    /// The binary this workspace builds, next to the running one.
    pub fn default_binary() -> PathBuf {
        let me = std::env::current_exe().expect("a running program has a path");
        me.parent().expect("it is in a folder").join("tidemark")
    }

    /// Where clients connect.
    pub fn address(&self) -> SocketAddr {
        ([127, 0, 0, 1], self.port).into()
    }

    /// Process id while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// Starts the process and returns once it serves; says how long that took.
    #[allow(clippy::disallowed_methods, reason = "a real process is waited for in real time")]
    pub fn start(&mut self) -> Result<Duration, String> {
        let begun = Instant::now();
        let mut command = Command::new(&self.binary);
        command.arg("dev").arg("--port").arg(self.port.to_string()).arg("--data").arg(&self.dir);
        for setting in &self.settings {
            command.arg("--set").arg(setting);
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(self.log()?);
        let mut child = command.spawn().map_err(|error| format!("{}: {error}", self.binary.display()))?;
        let stdout = child.stdout.take().expect("standard output is piped");
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line).map_err(|error| error.to_string())?;
        self.child = Some(child);
        if !line.contains(" ready ") {
            self.kill();
            return Err(format!("the broker did not start; see {}", self.log_path().display()));
        }
        while TcpStream::connect(self.address()).is_err() {
            if begun.elapsed() > READY_TIME_MAX {
                return Err("the broker said ready but its port is closed".to_owned());
            }
        }
        Ok(begun.elapsed())
    }

    /// Ends the process as kill -9 does.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            // It may have ended by itself; then there is nothing to kill.
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Asks the process to end, as SIGTERM does, and waits until it has; an error if it takes longer than `patience`.
    #[allow(clippy::disallowed_methods, reason = "a real process is waited for in real time")]
    pub fn stop(&mut self, patience: Duration) -> Result<(), String> {
        use rustix::process::{Pid, Signal, kill_process};
        let Some(mut child) = self.child.take() else { return Ok(()) };
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).ok_or("a process id of 0")?;
        kill_process(pid, Signal::TERM).map_err(|error| error.to_string())?;
        let begun = Instant::now();
        loop {
            match child.try_wait().map_err(|error| error.to_string())? {
                Some(status) if status.success() => return Ok(()),
                Some(status) => return Err(format!("the broker stopped with {status}")),
                None if begun.elapsed() > patience => {
                    self.child = Some(child);
                    return Err(format!("the broker does not stop within {patience:?}"));
                }
                None => std::thread::sleep(Duration::from_millis(2)),
            }
        }
    }

    /// Resident memory of the process, bytes.
    pub fn resident_bytes(&self) -> Result<u64, String> {
        resident_bytes(self.pid().ok_or("the broker does not run")?)
    }

    /// Files, sockets and the like that the process has open.
    #[allow(clippy::disallowed_methods, reason = "the kernel says a process's files in a directory")]
    pub fn open_files(&self) -> Result<usize, String> {
        let pid = self.pid().ok_or("the broker does not run")?;
        let files = std::fs::read_dir(format!("/proc/{pid}/fd")).map_err(|error| error.to_string())?;
        Ok(files.count())
    }

    /// Where the broker's own log lines go.
    pub fn log_path(&self) -> PathBuf {
        self.dir.with_extension("log")
    }

    #[allow(clippy::disallowed_methods, reason = "the harness keeps a child's log in a file")]
    fn log(&self) -> Result<Stdio, String> {
        let path = self.log_path();
        let file = std::fs::OpenOptions::new().create(true).append(true).open(&path);
        file.map(Stdio::from).map_err(|error| format!("{}: {error}", path.display()))
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Resident memory of a process, bytes.
#[allow(clippy::disallowed_methods, reason = "the kernel says a process's memory in a file")]
pub fn resident_bytes(pid: u32) -> Result<u64, String> {
    let path = format!("/proc/{pid}/status");
    let status = std::fs::read_to_string(path).map_err(|error| format!("the broker is gone: {error}"))?;
    // A process that has ended and was not waited for says no memory.
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("the broker has ended")?;
    let kib: u64 = line.trim().trim_end_matches(" kB").parse().map_err(|_| format!("VmRSS:{line}"))?;
    Ok(kib << 10)
}

/// A port nobody listens on just now.
fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    listener.local_addr().expect("a bound socket has an address").port()
}
