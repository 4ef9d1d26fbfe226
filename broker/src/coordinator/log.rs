//! The log below a shard: what a coordinator needs of its partition, and the partition as such.
//!
//! The seam is here so that the runtime can be tested against a log that refuses, delays and forgets on command.

use std::future::Future;
use std::sync::Arc;

use bytes::Bytes;
use tidemark_core::machine::CoordinatorRecord;
use tidemark_protocol::batch::{BatchError, RecordBatch, batches};
use tidemark_protocol::error_code::ErrorCode;
use tidemark_protocol::types::{LeaderEpoch, Offset, TimestampMs};
use tidemark_storage::disk::read_exact_at;
use tidemark_storage::log::{LogReader, Piece, ReadError};

use crate::partition::{Acks, FetchWaiter, PartitionError, PartitionHandle, PartitionView, ProduceError};

/// Bytes read at a time while loading.
const CHUNK_BYTES: usize = 1 << 20;
/// Bytes a compressed batch of coordinator records may unfold to; ours are far smaller.
const UNFOLDED_BYTES_MAX: usize = 64 << 20;

/// Some records of the log, in order.
#[derive(Debug, Default)]
pub struct Chunk {
    /// Offset, record, timestamp.
    pub records: Vec<(Offset, CoordinatorRecord, TimestampMs)>,
    /// Where the next chunk begins.
    pub next: Offset,
}

/// Why a shard cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The partition is not led here any more.
    #[error("this broker no longer leads the partition in epoch {leader_epoch}")]
    NotLeader {
        /// The epoch the shard was started for.
        leader_epoch: LeaderEpoch,
    },
    /// The partition cannot be opened.
    #[error(transparent)]
    Partition(#[from] PartitionError),
    /// The log cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A batch is not one.
    #[error("damaged batch: {0}")]
    Batch(#[from] BatchError),
    /// The disk refused.
    #[error("read failed: {0}")]
    Io(#[from] std::io::Error),
}

/// The log of one shard, for as long as this broker leads it in one epoch.
pub trait ShardLog: Send + 'static {
    /// Opens the log; the offsets to load: from the first, up to the second (exclusive).
    fn open(&mut self) -> impl Future<Output = Result<(Offset, Offset), LoadError>> + Send;

    /// Reads some records from `from` on, below `end`.
    fn read(&mut self, from: Offset, end: Offset) -> impl Future<Output = Result<Chunk, LoadError>> + Send;

    /// Appends a batch; the end of the log after it, exclusive. It is committed once [`ShardLog::committed`] says so.
    fn append(&mut self, batch: RecordBatch) -> impl Future<Output = Result<Offset, ErrorCode>> + Send;

    /// The high watermark; `None` when the partition is not led here any more.
    fn committed(&mut self) -> Option<Offset>;

    /// Returns when [`ShardLog::committed`] may say something else than the last time it was asked.
    fn changed(&mut self) -> impl Future<Output = ()> + Send;
}

/// A partition, in one epoch of its leader.
pub struct PartitionLog {
    handle: PartitionHandle,
    leader_epoch: LeaderEpoch,
    /// What [`ShardLog::committed`] last looked at.
    seen: Option<Arc<PartitionView>>,
    waiter: FetchWaiter,
}

impl PartitionLog {
    /// The log of `handle` while this broker leads it in `leader_epoch`.
    pub fn new(handle: PartitionHandle, leader_epoch: LeaderEpoch) -> Self {
        PartitionLog { handle, leader_epoch, seen: None, waiter: FetchWaiter::new() }
    }

    fn is_ours(&self, view: &PartitionView) -> bool {
        view.is_leader && view.leader_epoch == self.leader_epoch
    }
}

impl ShardLog for PartitionLog {
    async fn open(&mut self) -> Result<(Offset, Offset), LoadError> {
        let mut view = self.handle.ready_view().await?;
        // The image that made us start may be ahead of the log thread.
        while view.leader_epoch < self.leader_epoch {
            self.waiter.reset();
            self.waiter.register(&self.handle, &view);
            self.waiter.woken().await;
            view = self.handle.ready_view().await?;
        }
        if !self.is_ours(&view) {
            return Err(LoadError::NotLeader { leader_epoch: self.leader_epoch });
        }
        Ok((view.log_start, view.log_end))
    }

    async fn read(&mut self, from: Offset, end: Offset) -> Result<Chunk, LoadError> {
        let reader = self.handle.ready_view().await?.reader.clone();
        let read = tokio::task::spawn_blocking(move || read_chunk(&reader, from, end));
        read.await.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
    }

    async fn append(&mut self, batch: RecordBatch) -> Result<Offset, ErrorCode> {
        if self.committed().is_none() {
            return Err(ErrorCode::NotLeaderOrFollower);
        }
        match self.handle.append_one(batch, Acks::Leader).await {
            Ok(appended) => Ok(appended.last_offset + 1),
            Err(error) => Err(code(&error)),
        }
    }

    fn committed(&mut self) -> Option<Offset> {
        self.seen = self.handle.view();
        let view = self.seen.as_ref().filter(|view| self.is_ours(view))?;
        Some(view.high_watermark)
    }

    async fn changed(&mut self) {
        self.waiter.reset();
        let Some(seen) = &self.seen else { return };
        self.waiter.register(&self.handle, seen);
        self.waiter.woken().await;
    }
}

/// The code of a refused append, which the machine translates for its clients.
fn code(error: &ProduceError) -> ErrorCode {
    match error {
        ProduceError::Closed | ProduceError::NotLeader { .. } => ErrorCode::NotLeaderOrFollower,
        ProduceError::NotEnoughReplicas(_) => ErrorCode::NotEnoughReplicas,
        ProduceError::NotEnoughReplicasAfterAppend(_) => ErrorCode::NotEnoughReplicasAfterAppend,
        ProduceError::BatchTooLarge { .. } => ErrorCode::RecordListTooLarge,
        ProduceError::DiskFull | ProduceError::Storage(_) => ErrorCode::KafkaStorageError,
        ProduceError::Overloaded => ErrorCode::RequestTimedOut,
        // Batches of a coordinator are well formed and carry no producer id.
        ProduceError::OutOfOrderSequence { .. }
        | ProduceError::InvalidProducerEpoch { .. }
        | ProduceError::InvalidTxnState { .. }
        | ProduceError::CoordinatorFenced { .. }
        | ProduceError::Corrupt(_) => ErrorCode::UnknownServerError,
    }
}

fn read_chunk(reader: &LogReader, from: Offset, end: Offset) -> Result<Chunk, LoadError> {
    let slice = reader.read(from, end, CHUNK_BYTES, true)?;
    let mut chunk = Chunk { records: Vec::new(), next: slice.next_offset };
    for piece in slice.pieces {
        let bytes = match piece {
            Piece::Memory(batch) => batch.to_bytes(),
            Piece::File { file, position, len } => {
                let mut bytes = vec![0; len];
                read_exact_at(&*file, &mut bytes, position)?;
                Bytes::from(bytes)
            }
        };
        for found in batches(&bytes) {
            let (_, range) = found?;
            read_batch(RecordBatch::parse(bytes.slice(range))?, from, &mut chunk)?;
        }
    }
    Ok(chunk)
}

/// Takes the records of one batch from `from` on. Control records say how transactions ended and are no state.
fn read_batch(batch: RecordBatch, from: Offset, chunk: &mut Chunk) -> Result<(), LoadError> {
    batch.verify_crc()?;
    if batch.header().is_control() {
        return Ok(());
    }
    for record in &batch.records(UNFOLDED_BYTES_MAX)? {
        let record = record?;
        // A record without a key says nothing about anything: compacted topics have none.
        let Some(key) = record.key.filter(|_| record.offset >= from) else { continue };
        let key = Bytes::copy_from_slice(key);
        let value = record.value.map(Bytes::copy_from_slice);
        chunk.records.push((record.offset, CoordinatorRecord { key, value }, record.timestamp));
    }
    Ok(())
}
