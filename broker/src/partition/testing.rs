//! A rig for tests: one log thread that moves only when told to, over a simulated disk and a manual clock.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tidemark_core::metadata::{ConfigLayers, PartitionImage, TopicSettings};
use tidemark_protocol::batch::{BatchBuilder, BuilderOptions, RecordBatch};
use tidemark_protocol::types::{Now, TopicId, TopicIdPartition, TopicPartition};
use tidemark_storage::disk::{Disk, SimDisk};
use tidemark_storage::journal::Journal;
use tidemark_storage::log::{LogContext, LogOptions, Slice};
use tidemark_storage::metrics::LogMetrics;
use tidemark_storage::tail::TailBudget;

use super::directory::Directory;
use super::inbox::{Inbox, Input};
use super::log_thread::LogThread;
use super::*;
use crate::clock::Clock;
use crate::runtime::WorkPool;

/// The broker under test.
pub(crate) const ME: i32 = 1;

/// One log thread, driven by hand.
pub(crate) struct Rig {
    pub(crate) disk: SimDisk,
    pub(crate) clock: Clock,
    pub(crate) directory: Arc<Directory>,
    pub(crate) thread: LogThread,
    inbox: Arc<Inbox>,
}

impl Rig {
    /// A thread over an empty disk.
    pub(crate) fn new() -> Rig {
        Rig::over(SimDisk::new(7))
    }

    /// As [`Rig::new`], over a disk with another seed.
    pub(crate) fn seeded(seed: u64) -> Rig {
        Rig::over(SimDisk::new(seed))
    }

    /// A thread over what `disk` holds.
    pub(crate) fn over(disk: SimDisk) -> Rig {
        let clock = Clock::manual(Now { mono: Duration::from_secs(100), wall_ms: 1_700_000_000_000 });
        let dir = PathBuf::from("/data");
        let shared: Arc<dyn Disk> = Arc::new(disk.clone());
        if !shared.exists(&dir) {
            shared.create_dir_all(&dir).unwrap();
            shared.sync_dir(Path::new("/")).unwrap();
        }
        let (journal, _) = Journal::open(Arc::clone(&shared), &dir.join("journal"), 0).unwrap();
        let tail = Arc::new(TailBudget::new(1 << 20));
        let log = LogContext::new(shared, tail, Arc::new(LogMetrics::default()), LogOptions::default());
        let inbox = Arc::new(Inbox::default());
        let pools = (WorkPool::inline(), WorkPool::inline());
        let directory =
            Arc::new(Directory::new(ME, dir, log, clock.clone(), pools, vec![Arc::clone(&inbox)]));
        let thread = LogThread::new(Arc::clone(&directory), Arc::clone(&inbox), journal);
        Rig { disk, clock, directory, thread, inbox }
    }

    /// The power fails and comes back; the next rig sees what the disk kept.
    pub(crate) fn crash(self) -> Rig {
        Rig::over(self.disk.crash())
    }

    /// A partition of topic `t` led by this broker, with Kafka's defaults and `overrides`.
    pub(crate) fn partition(&self, index: i32, overrides: &[(&str, &str)]) -> PartitionHandle {
        self.partition_of(1, index, overrides)
    }

    /// As [`Rig::partition`], of the topic `t` with the `n`th id.
    pub(crate) fn partition_of(&self, n: u128, index: i32, overrides: &[(&str, &str)]) -> PartitionHandle {
        let id = TopicIdPartition { topic_id: topic_id(n), partition: index };
        let handle = PartitionHandle::new(
            id,
            TopicPartition::new("t", index),
            Arc::clone(&self.inbox),
            config(overrides),
        );
        self.inbox.send(Input::Attach(vec![(handle.clone(), PartitionImage::new(&[ME], &[ME]))]));
        handle
    }

    /// One round over what is queued.
    pub(crate) fn round(&mut self) {
        self.thread.receive_now();
        self.thread.round();
    }

    /// Rounds until nothing is queued, twice over so that inline syncs come back.
    pub(crate) fn settle(&mut self) {
        while {
            self.round();
            !self.inbox.is_empty()
        } {}
    }

    /// Moves the clock and runs what became due.
    pub(crate) fn advance(&mut self, by: Duration) {
        self.clock.advance(by);
        self.settle();
    }

    /// Stops the thread; returns whether it ended well.
    pub(crate) fn stop(self) -> bool {
        self.thread.stop()
    }

    /// Appends one record and settles.
    pub(crate) fn append(&mut self, handle: &PartitionHandle, acks: Acks, value: &str) -> AppendResult {
        let wait = send(handle, acks, value);
        self.settle();
        now_or_never(wait.one()).expect("the append is answered")
    }
}

/// Id of the `n`th topic.
pub(crate) fn topic_id(n: u128) -> TopicId {
    TopicId(uuid::Uuid::from_u128(n))
}

/// Settings of a topic with `overrides`.
pub(crate) fn config(overrides: &[(&str, &str)]) -> Arc<PartitionConfig> {
    let overrides = overrides.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Arc::new(PartitionConfig::new(&TopicSettings::resolve(&overrides, &ConfigLayers::default())))
}

/// One record.
pub(crate) fn batch(value: &str) -> RecordBatch {
    batch_with(BuilderOptions::default(), value)
}

/// One record, with options.
pub(crate) fn batch_with(options: BuilderOptions, value: &str) -> RecordBatch {
    let mut builder = BatchBuilder::new(options);
    builder.append(0, 1_700_000_000_000, None, Some(value.as_bytes()), &[]);
    builder.build()
}

/// One record with a key.
pub(crate) fn keyed_batch(key: &str, value: &str) -> RecordBatch {
    let mut builder = BatchBuilder::new(BuilderOptions::default());
    builder.append(0, 1_700_000_000_000, Some(key.as_bytes()), Some(value.as_bytes()), &[]);
    builder.build()
}

/// Sends one record without running the thread.
pub(crate) fn send(handle: &PartitionHandle, acks: Acks, value: &str) -> AppendWait {
    send_batch(handle, acks, batch(value))
}

/// Sends a batch without running the thread.
pub(crate) fn send_batch(handle: &PartitionHandle, acks: Acks, batch: RecordBatch) -> AppendWait {
    let (wait, reply) = AppendWait::single();
    handle.append(Append { batch, acks, reply });
    wait
}

/// The values of all records a consumer can read.
pub(crate) fn committed(view: &PartitionView) -> Vec<String> {
    let records = committed_with_offsets(view).expect("the disk can be read");
    records.into_iter().map(|(_, value)| value).collect()
}

/// As [`committed`], with the offsets; `None` when the disk cannot be read.
pub(crate) fn committed_with_offsets(view: &PartitionView) -> Option<Vec<(i64, String)>> {
    let (mut from, mut records) = (view.log_start, Vec::new());
    while from < view.high_watermark {
        let slice = view.reader.read(from, view.high_watermark, usize::MAX, true).ok()?;
        if slice.pieces.is_empty() {
            break;
        }
        from = slice.next_offset;
        records.extend(values(slice)?);
    }
    records.retain(|(offset, _)| *offset >= view.log_start);
    Some(records)
}

fn values(slice: Slice) -> Option<Vec<(i64, String)>> {
    let mut values = Vec::new();
    for piece in slice.pieces {
        let bytes = match piece {
            tidemark_storage::log::Piece::Memory(placed) => placed.to_bytes(),
            tidemark_storage::log::Piece::File { file, position, len } => {
                let mut bytes = vec![0; len];
                tidemark_storage::disk::read_exact_at(&*file, &mut bytes, position).ok()?;
                bytes.into()
            }
        };
        for batch in tidemark_protocol::batch::batches(&bytes) {
            let (_, range) = batch.unwrap();
            let batch = RecordBatch::parse(bytes.slice(range)).unwrap();
            let records = batch.records(1 << 20).unwrap();
            for record in records.iter() {
                let record = record.unwrap();
                values.push((record.offset, String::from_utf8(record.value.unwrap().to_vec()).unwrap()));
            }
        }
    }
    Some(values)
}

/// Runs the thread until a command is answered.
pub(crate) fn ask<T>(rig: &mut Rig, command: impl Future<Output = T>) -> T {
    let mut command = pin!(command);
    let mut context = Context::from_waker(Waker::noop());
    for _ in 0..100 {
        if let Poll::Ready(answer) = command.as_mut().poll(&mut context) {
            return answer;
        }
        rig.settle();
    }
    panic!("the command is never answered");
}

/// Polls once.
pub(crate) fn now_or_never<F: Future>(future: F) -> Option<F::Output> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}
