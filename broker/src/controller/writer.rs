//! The thread that owns the quorum's files: one writer, everything in the order it was asked for.
//!
//! It takes all jobs that wait, writes their records in one go and syncs once, then reports them done. After a failed write or
//! sync nothing more is written, since nothing is known of the file any more; every later job is told so, and the failure is
//! published. A full disk is no failure: the write is repeated until there is room or the node stops.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use tidemark_storage::disk::is_disk_full;
use tokio::sync::{mpsc, oneshot, watch};

use super::log::LogFile;
use super::quorum::LogPosition;
use super::snapshot::SnapshotDir;

/// Jobs that may wait: consensus itself bounds what is in flight to less.
const JOBS_WAITING_MAX: usize = 4096;
/// Records written and synced at once.
const RECORDS_PER_BATCH_MAX: usize = 4096;
/// How long the writer waits before it tries a full disk again.
const DISK_FULL_PAUSE: Duration = Duration::from_millis(200);

/// Told when a job is done, on the writer's thread: must not block.
pub type Done = Box<dyn FnOnce(io::Result<()>) + Send>;

/// What the writer is asked for.
pub enum Job {
    /// Append records. `done` is called once they are durable, or once they are written when `sync` is not asked for.
    Append {
        /// Encoded records.
        records: Vec<Vec<u8>>,
        /// Whether they must be durable.
        sync: bool,
        /// Whom to tell.
        done: Option<Done>,
    },
    /// Append one record durably; then, if the file is mostly dead, replace it by these live records.
    Purge {
        /// The encoded purge.
        record: Vec<u8>,
        /// What lives afterwards, encoded only if it is needed.
        live: Box<dyn FnOnce() -> Vec<Vec<u8>> + Send>,
        /// Whom to tell.
        done: Done,
    },
    /// Keep a snapshot, durably, and drop older ones.
    SaveSnapshot {
        /// Up to which entry it holds.
        position: LogPosition,
        /// The file's bytes.
        bytes: bytes::Bytes,
        /// Whom to tell.
        done: Done,
    },
    /// Read the newest snapshot.
    ReadSnapshot {
        /// Where its bytes go.
        done: oneshot::Sender<io::Result<Option<bytes::Bytes>>>,
    },
    /// Write nothing more and end.
    Stop,
}

/// The door to the writer; cheap to clone. The thread ends when told to, or when the last door is dropped.
#[derive(Clone)]
pub struct Writer {
    jobs: mpsc::Sender<Job>,
    stopping: Arc<AtomicBool>,
    failure: watch::Receiver<Option<String>>,
    ended: watch::Receiver<bool>,
}

impl Writer {
    /// Starts the thread over files that were opened. `failure_out` is told when the disk failed.
    pub fn start(
        log: LogFile,
        snapshots: SnapshotDir,
        failure_out: watch::Sender<Option<String>>,
    ) -> io::Result<Writer> {
        let (jobs, inbox) = mpsc::channel(JOBS_WAITING_MAX);
        let failure = failure_out.subscribe();
        let (ended_out, ended) = watch::channel(false);
        let stopping = Arc::new(AtomicBool::new(false));
        let state = WriterThread {
            log,
            snapshots,
            stopping: Arc::clone(&stopping),
            failure: failure_out,
            broken: None,
        };
        thread::Builder::new().name("metadata-log".to_owned()).spawn(move || {
            state.run(inbox);
            ended_out.send_replace(true);
        })?;
        Ok(Writer { jobs, stopping, failure, ended })
    }

    /// Hands a job over; an error when the writer has ended.
    pub async fn send(&self, job: Job) -> io::Result<()> {
        self.jobs.send(job).await.map_err(|_| ended())
    }

    /// Hands a job over and waits until it is done.
    pub async fn run(&self, job: impl FnOnce(Done) -> Job) -> io::Result<()> {
        let (sender, receiver) = oneshot::channel();
        // Whoever asked may be gone by the time it is done.
        let done: Done = Box::new(move |result| drop(sender.send(result)));
        self.send(job(done)).await?;
        receiver.await.unwrap_or_else(|_| Err(ended()))
    }

    /// The newest snapshot's bytes.
    pub async fn read_snapshot(&self) -> io::Result<Option<bytes::Bytes>> {
        let (done, receiver) = oneshot::channel();
        self.send(Job::ReadSnapshot { done }).await?;
        receiver.await.unwrap_or_else(|_| Err(ended()))
    }

    /// Becomes `Some(why)` when this member can go on no more, as when the disk failed.
    pub fn failure(&self) -> watch::Receiver<Option<String>> {
        self.failure.clone()
    }

    /// Ends the thread once it has done what it was handed, and waits for that.
    pub async fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
        // An error means that it has ended already.
        let _ = self.send(Job::Stop).await;
        let mut ended = self.ended.clone();
        let _ = ended.wait_for(|ended| *ended).await;
    }
}

fn ended() -> io::Error {
    io::Error::new(io::ErrorKind::BrokenPipe, "the metadata log's writer has ended")
}

struct WriterThread {
    log: LogFile,
    snapshots: SnapshotDir,
    stopping: Arc<AtomicBool>,
    failure: watch::Sender<Option<String>>,
    /// Why nothing more is written.
    broken: Option<String>,
}

/// Records to be written together and whom to tell.
#[derive(Default)]
struct Batch {
    records: Vec<Vec<u8>>,
    sync: bool,
    done: Vec<Done>,
}

impl WriterThread {
    fn run(mut self, mut inbox: mpsc::Receiver<Job>) {
        let mut batch = Batch::default();
        while let Some(job) = inbox.blocking_recv() {
            let mut next = Some(job);
            while let Some(job) = next {
                match job {
                    Job::Append { records, sync, done } => {
                        batch.records.extend(records);
                        batch.sync |= sync;
                        batch.done.extend(done);
                    }
                    Job::Stop => {
                        self.flush(&mut batch);
                        return;
                    }
                    other => {
                        self.flush(&mut batch);
                        self.perform(other);
                    }
                }
                next = if batch.records.len() < RECORDS_PER_BATCH_MAX { inbox.try_recv().ok() } else { None };
            }
            self.flush(&mut batch);
        }
    }

    fn flush(&mut self, batch: &mut Batch) {
        let Batch { records, sync, done } = std::mem::take(batch);
        if records.is_empty() && done.is_empty() {
            return;
        }
        let result = self.attempt(|this| this.log.write(&records, sync));
        for done in done {
            done(copy(&result));
        }
    }

    fn perform(&mut self, job: Job) {
        match job {
            Job::Purge { record, live, done } => {
                let mut result = self.attempt(|this| this.log.write(std::slice::from_ref(&record), true));
                if result.is_ok() && self.log.is_worth_replacing() {
                    let live = live();
                    result = self.attempt(|this| this.log.replace(&live));
                }
                done(result);
            }
            Job::SaveSnapshot { position, bytes, done } => {
                done(self.attempt(|this| this.snapshots.save(position, &bytes)));
            }
            Job::ReadSnapshot { done } => {
                // Whoever asked may be gone.
                let _ = done.send(self.snapshots.read());
            }
            Job::Append { .. } | Job::Stop => unreachable!("the loop takes these itself"),
        }
    }

    /// Runs one step on the disk, waiting for room while the disk is full.
    fn attempt(&mut self, mut step: impl FnMut(&mut Self) -> io::Result<()>) -> io::Result<()> {
        if let Some(why) = &self.broken {
            return Err(io::Error::other(why.clone()));
        }
        let mut told = false;
        loop {
            match step(self) {
                Err(error) if is_disk_full(&error) && !self.stopping.load(Ordering::Relaxed) => {
                    if !told {
                        tracing::error!(%error, "the disk is full: changes to the cluster's metadata wait for room");
                        told = true;
                    }
                    thread::park_timeout(DISK_FULL_PAUSE);
                }
                Err(error) => {
                    let why = format!("writing the cluster's metadata failed: {error}");
                    tracing::error!(%error, "writing the cluster's metadata failed; this node's controller stops");
                    self.broken = Some(why.clone());
                    self.failure.send_replace(Some(why));
                    return Err(error);
                }
                Ok(()) => return Ok(()),
            }
        }
    }
}

fn copy(result: &io::Result<()>) -> io::Result<()> {
    match result {
        Ok(()) => Ok(()),
        Err(error) => Err(io::Error::new(error.kind(), error.to_string())),
    }
}
