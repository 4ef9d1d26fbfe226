//! [`NetworkThreads`]: the event loops that serve connections.
//!
//! Each thread runs a loop of its own and a connection stays on the one it was given to, so that waking it wakes one
//! thread. A work-stealing runtime wakes a second one each time, to look for more work: with a request or two at a time
//! that is most of what a request costs.

use std::future::Future;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use tokio::runtime::{Builder, Handle};
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};

use super::spawn_thread;

/// A fixed number of event loops. Clones share them.
#[derive(Clone)]
pub struct NetworkThreads {
    loops: Arc<[EventLoop]>,
    stop: watch::Sender<bool>,
    threads: Arc<Mutex<Vec<JoinHandle<()>>>>,
}

struct EventLoop {
    handle: Handle,
    /// Tasks it was given that have not ended.
    load: Arc<AtomicUsize>,
}

/// Counts a task for as long as it lives.
struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn new(load: &Arc<AtomicUsize>) -> Counted {
        load.fetch_add(1, Ordering::Relaxed);
        Counted(Arc::clone(load))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl NetworkThreads {
    /// Starts `count` threads called `net-0`, `net-1`, …
    ///
    /// # Errors
    /// When the system gives no more threads or descriptors.
    pub fn start(count: usize) -> io::Result<NetworkThreads> {
        let (stop, stopping) = watch::channel(false);
        let (mut loops, mut threads) = (Vec::with_capacity(count), Vec::with_capacity(count));
        for index in 0..count {
            let runtime = Builder::new_current_thread().enable_all().build()?;
            loops.push(EventLoop { handle: runtime.handle().clone(), load: Arc::default() });
            let mut stopping = stopping.clone();
            threads.push(spawn_thread(format!("net-{index}"), move || {
                // Ends as well when whoever would stop it is gone.
                let _ = runtime.block_on(stopping.wait_for(|stop| *stop));
                // Work of its own on other threads is not waited for: nobody is left to be told of it.
                runtime.shutdown_background();
            })?);
        }
        Ok(NetworkThreads { loops: loops.into(), stop, threads: Arc::new(Mutex::new(threads)) })
    }

    /// No threads: tasks run where they are spawned.
    pub fn none() -> NetworkThreads {
        NetworkThreads { loops: Arc::new([]), stop: watch::Sender::new(false), threads: Arc::default() }
    }

    /// Starts a task, a member of `set`, on the thread with the fewest.
    pub fn spawn<F>(&self, set: &mut JoinSet<()>, task: F) -> AbortHandle
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let Some(idlest) = self.loops.iter().min_by_key(|l| l.load.load(Ordering::Relaxed)) else {
            return set.spawn(task);
        };
        let counted = Counted::new(&idlest.load);
        let task = async move {
            let _counted = counted;
            task.await;
        };
        set.spawn_on(task, &idlest.handle)
    }

    /// Drops the tasks that are left and joins the threads. Called twice it does nothing more.
    pub fn stop(&self) {
        self.stop.send_replace(true);
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            // A task that panicked was reported by the panic hook.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests;
