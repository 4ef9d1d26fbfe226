//! The threads of the process: network threads, log threads, the sync pool, the background pool.
//!
//! Network threads serve connections (`network`). Log threads own partitions (`partition::log_thread`); the sync pool runs `fdatasync`s side by side, which the file
//! system merges into one journal commit; the background pool runs compactions and removes deleted directories. All are
//! plain threads with names, started and joined here. `Runtimes::single` runs pool jobs inline, on the thread that
//! submits them, so that a simulation sees one order of events.

use std::collections::VecDeque;
use std::io;
use std::panic::{self, AssertUnwindSafe};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

/// One for each core serves any number of connections; beyond so many the disk is the limit.
pub const NETWORK_THREADS_MAX: usize = 16;
/// Each log thread makes its own groups of commits, so more of them mean smaller groups: on two cores a second one costs a
/// fifth more CPU and gives nothing. Checksums are the network threads' work; one core writes faster than most disks.
const CORES_PER_LOG_THREAD: usize = 4;
/// Beyond so many the disk is the limit.
pub const LOG_THREADS_MAX: usize = 4;
/// `fdatasync`s side by side; measured to give most of the gain of 32 with fewer wake-ups.
pub const SYNC_THREADS: usize = 16;
/// Compactions and deletions at a time: they are bound by one disk.
pub const BACKGROUND_THREADS: usize = 1;

pub mod network;

pub use network::NetworkThreads;

/// Lets the process open as many files as the system allows it to: connections and segments each take one, and the
/// usual soft limit is a small part of the hard one. Returns the limit now in force.
pub fn raise_file_limit() -> Option<u64> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(error) => {
            tracing::warn!(%error, limit = ?limit.current, "the limit of open files could not be raised");
            limit.current
        }
    }
}

/// Number of each kind of thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RuntimeConfig {
    /// Event loops over connections; 0 serves them on the runtime that accepts them.
    pub network_threads: usize,
    /// Event loops over partitions.
    pub log_threads: usize,
    /// `fdatasync`s side by side; 0 runs them on the log thread.
    pub sync_threads: usize,
    /// Compactions and deletions side by side; 0 runs them on the log thread.
    pub background_threads: usize,
}

impl Default for RuntimeConfig {
    fn default() -> Self {
        let cores = thread::available_parallelism().map_or(2, usize::from);
        RuntimeConfig {
            network_threads: cores.clamp(1, NETWORK_THREADS_MAX),
            log_threads: cores.div_ceil(CORES_PER_LOG_THREAD).clamp(1, LOG_THREADS_MAX),
            sync_threads: SYNC_THREADS,
            background_threads: BACKGROUND_THREADS,
        }
    }
}

/// The pools, handed to whoever starts log threads.
#[derive(Clone)]
pub struct Runtimes {
    /// What the pools were made from.
    pub config: RuntimeConfig,
    /// Connections.
    pub network: NetworkThreads,
    /// `fdatasync` jobs.
    pub sync: WorkPool,
    /// Compaction and deletion jobs.
    pub background: WorkPool,
}

impl Runtimes {
    /// Starts the pools.
    pub fn start(config: RuntimeConfig) -> io::Result<Runtimes> {
        Ok(Runtimes {
            config,
            network: NetworkThreads::start(config.network_threads)?,
            sync: WorkPool::start("sync", config.sync_threads)?,
            background: WorkPool::start("background", config.background_threads)?,
        })
    }

    /// No threads: pool jobs run inline, for simulations and small tests.
    pub fn single() -> Runtimes {
        let config =
            RuntimeConfig { network_threads: 0, log_threads: 1, sync_threads: 0, background_threads: 0 };
        Runtimes {
            config,
            network: NetworkThreads::none(),
            sync: WorkPool::inline(),
            background: WorkPool::inline(),
        }
    }

    /// Cuts the connections that are left, finishes the queued jobs and joins all threads.
    pub fn stop(&self) {
        self.network.stop();
        self.sync.stop();
        self.background.stop();
    }
}

/// Starts one named thread.
pub fn spawn_thread<F>(name: String, body: F) -> io::Result<JoinHandle<()>>
where
    F: FnOnce() + Send + 'static,
{
    thread::Builder::new().name(name).spawn(body)
}

/// One unit of work for a pool.
pub type Job = Box<dyn FnOnce() + Send>;

/// A fixed number of threads that take jobs in order. Clones share the threads.
///
/// The queue has no bound of its own: a log thread submits at most one sync per open file and one job per compaction
/// or deletion, so its partitions bound it.
#[derive(Clone)]
pub struct WorkPool {
    shared: Option<Arc<PoolShared>>,
}

struct PoolShared {
    state: Mutex<PoolState>,
    more: Condvar,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

#[derive(Default)]
struct PoolState {
    jobs: VecDeque<Job>,
    stopping: bool,
}

impl WorkPool {
    /// Starts `threads` threads called `name-0`, `name-1`, …; 0 makes an inline pool.
    pub fn start(name: &str, threads: usize) -> io::Result<WorkPool> {
        if threads == 0 {
            return Ok(WorkPool::inline());
        }
        let shared = Arc::new(PoolShared {
            state: Mutex::new(PoolState::default()),
            more: Condvar::new(),
            threads: Mutex::new(Vec::with_capacity(threads)),
        });
        for index in 0..threads {
            let worker = Arc::clone(&shared);
            let thread = spawn_thread(format!("{name}-{index}"), move || worker.run())?;
            lock(&shared.threads).push(thread);
        }
        Ok(WorkPool { shared: Some(shared) })
    }

    /// A pool without threads: `submit` runs the job before it returns.
    pub fn inline() -> WorkPool {
        WorkPool { shared: None }
    }

    /// A pool without threads whose jobs wait until [`WorkPool::run_one`] is called: for simulations, in which a sync takes as
    /// long as it is told to.
    pub fn by_hand() -> WorkPool {
        let (state, more, threads) = (Mutex::default(), Condvar::new(), Mutex::default());
        WorkPool { shared: Some(Arc::new(PoolShared { state, more, threads })) }
    }

    /// Jobs that wait.
    pub fn queued(&self) -> usize {
        self.shared.as_ref().map_or(0, |shared| lock(&shared.state).jobs.len())
    }

    /// Runs the oldest job of a pool by hand here and now; false when there is none.
    pub fn run_one(&self) -> bool {
        let job = self.shared.as_ref().and_then(|shared| lock(&shared.state).jobs.pop_front());
        job.map(|job| job()).is_some()
    }

    /// Whether jobs run on the submitting thread.
    pub fn is_inline(&self) -> bool {
        self.shared.is_none()
    }

    /// Queues a job. After `stop` the job runs on the calling thread: work that was promised still happens.
    pub fn submit(&self, job: Job) {
        let Some(shared) = &self.shared else { return job() };
        let mut state = lock(&shared.state);
        if state.stopping {
            drop(state);
            return job();
        }
        state.jobs.push_back(job);
        drop(state);
        shared.more.notify_one();
    }

    /// Runs what is queued, then ends the threads. Called twice it does nothing more.
    pub fn stop(&self) {
        let Some(shared) = &self.shared else { return };
        lock(&shared.state).stopping = true;
        shared.more.notify_all();
        let threads = std::mem::take(&mut *lock(&shared.threads));
        for thread in threads {
            // Jobs cannot make it panic, so there is nothing to learn from the result.
            let _ = thread.join();
        }
    }
}

impl PoolShared {
    fn run(&self) {
        loop {
            let mut state = lock(&self.state);
            let job = loop {
                if let Some(job) = state.jobs.pop_front() {
                    break job;
                }
                if state.stopping {
                    return;
                }
                state = self.more.wait(state).unwrap_or_else(PoisonError::into_inner);
            };
            drop(state);
            // The panic hook reports it; the pool keeps its threads, and the job's owner sees that no result came.
            let _ = panic::catch_unwind(AssertUnwindSafe(job));
        }
    }
}

/// Locks, ignoring poison: no job runs under these locks, so what they guard is whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
