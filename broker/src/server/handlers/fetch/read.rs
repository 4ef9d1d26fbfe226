//! Reading the partitions of a fetch: limits in request order, memory first, the disk off the network threads.

use std::sync::Arc;

use bytes::BytesMut;
use tidemark_protocol::batch::{Compression, TopicCompression};
use tidemark_protocol::error_code::ErrorCode;
use tidemark_protocol::types::{BrokerId, LeaderEpoch, Offset};
use tidemark_storage::log::{Piece, ReadError, Slice};

use super::super::super::fetch_session::{FetchTarget, TopicRef};
use super::super::super::reply::Part;
use super::super::super::{Ctx, partitions};
use super::Wanted;
use crate::partition::{PartitionHandle, PartitionView};

/// First version of clients that read zstd (KIP-110).
const ZSTD_FROM: i16 = 10;
/// First version whose consumers may read from followers (KIP-392).
const FOLLOWERS_FROM: i16 = 11;

/// A partition of the request, looked up.
pub(super) struct Target {
    pub(super) asked: FetchTarget,
    partition: Result<PartitionHandle, ErrorCode>,
}

/// One pass over the targets.
pub(super) struct Round {
    pub(super) parts: Vec<PartitionRead>,
    pub(super) bytes: usize,
}

/// What one partition gave.
pub(super) struct PartitionRead {
    pub(super) error: ErrorCode,
    pub(super) high_watermark: Offset,
    pub(super) last_stable: Offset,
    pub(super) log_start: Offset,
    pub(super) diverging: Option<(LeaderEpoch, Offset)>,
    /// The replica to read from instead; then there are no records.
    pub(super) preferred_replica: Option<BrokerId>,
    pub(super) records: Vec<Part>,
    pub(super) bytes: usize,
    /// The view that was read, to wait for the next one; none where the partition could not be read.
    pub(super) seen: Option<Arc<PartitionView>>,
}

impl Target {
    /// Finds the partition by name or id.
    pub(super) fn resolve(ctx: &Ctx, asked: &FetchTarget) -> Target {
        let partition = match &asked.topic {
            TopicRef::Name(name) => partitions::held(ctx, name, asked.partition),
            TopicRef::Id(id) => partitions::held_by_id(ctx, *id, asked.partition),
        };
        Target { asked: asked.clone(), partition }
    }

    /// The partition, if this node holds it.
    pub(super) fn handle(&self) -> Option<&PartitionHandle> {
        self.partition.as_ref().ok()
    }
}

/// Reads every target once.
pub(super) async fn read(ctx: &Arc<Ctx>, targets: &[Target], wanted: &Wanted) -> Round {
    let mut round = Round { parts: Vec::with_capacity(targets.len()), bytes: 0 };
    let may_lead = ctx.holds_lease();
    for target in targets {
        let left = wanted.max_bytes.saturating_sub(round.bytes);
        let part = read_one(ctx, target, wanted, may_lead, left, round.bytes == 0).await;
        round.bytes += part.bytes;
        round.parts.push(part);
    }
    round
}

async fn read_one(
    ctx: &Arc<Ctx>,
    target: &Target,
    wanted: &Wanted,
    may_lead: bool,
    left: usize,
    first: bool,
) -> PartitionRead {
    let handle = match &target.partition {
        Ok(handle) => handle,
        Err(code) => return PartitionRead::failed(*code),
    };
    let view = match handle.ready_view().await {
        Ok(view) => view,
        Err(error) => return PartitionRead::failed(super::super::super::error::of_partition(&error)),
    };
    if view.is_leader && !may_lead {
        return PartitionRead::failed(ErrorCode::NotLeaderOrFollower);
    }
    let asked = &target.asked;
    if let Some(code) = partitions::check_epoch(asked.current_leader_epoch, view.leader_epoch) {
        return PartitionRead::failed(code);
    }
    if !view.is_leader && wanted.version < FOLLOWERS_FROM {
        return PartitionRead::failed(ErrorCode::NotLeaderOrFollower);
    }
    if wanted.version < ZSTD_FROM && is_zstd(handle) {
        return PartitionRead::failed(ErrorCode::UnsupportedCompressionType);
    }
    let mut part = PartitionRead::of(&view);
    part.preferred_replica =
        wanted.nearest.as_ref().and_then(|nearest| nearest.choose(handle, &view, asked.fetch_offset));
    if part.preferred_replica.is_some() {
        return part;
    }
    if asked.last_fetched_epoch >= 0 {
        let (epoch, end) = view.reader.epoch_end(asked.last_fetched_epoch);
        if epoch < asked.last_fetched_epoch || end < asked.fetch_offset {
            part.diverging = Some((epoch, end));
            return part;
        }
    }
    let up_to = if wanted.read_committed { view.last_stable } else { view.high_watermark };
    if asked.fetch_offset < view.log_start || asked.fetch_offset > view.log_end {
        return PartitionRead {
            error: ErrorCode::OffsetOutOfRange,
            high_watermark: -1,
            last_stable: -1,
            log_start: -1,
            ..part
        };
    }
    let max_bytes = left.min(asked.max_bytes);
    if asked.fetch_offset >= up_to || (max_bytes == 0 && !first) {
        return part;
    }
    match read_records(ctx, &view, asked.fetch_offset, up_to, max_bytes, first).await {
        Ok((records, bytes)) => PartitionRead { records, bytes, ..part },
        Err(code) => PartitionRead { error: code, high_watermark: -1, last_stable: -1, ..part },
    }
}

/// Whether the topic stores everything as zstd. What producers compressed so by themselves is sent as it is, as Kafka
/// does.
fn is_zstd(handle: &PartitionHandle) -> bool {
    matches!(handle.config().rules.compression, TopicCompression::Fixed(Compression::Zstd, _))
}

async fn read_records(
    ctx: &Arc<Ctx>,
    view: &Arc<PartitionView>,
    from: Offset,
    up_to: Offset,
    max_bytes: usize,
    first: bool,
) -> Result<(Vec<Part>, usize), ErrorCode> {
    let slice = if let Some(slice) = view.reader.read_tail(from, up_to, max_bytes, first) {
        Ok(slice)
    } else {
        // Finding the batch boundaries reads the file: that may wait for the disk and must not hold a network thread.
        let reader = view.reader.clone();
        let read = tokio::task::spawn_blocking(move || reader.read(from, up_to, max_bytes, first).map(warm));
        match read.await {
            Ok(slice) => slice,
            Err(error) => {
                tracing::error!(topic_partition = %view.tp, %error, "a read of the log panicked");
                return Err(ErrorCode::UnknownServerError);
            }
        }
    };
    match slice {
        Ok(slice) => Ok((parts(slice.pieces), slice.bytes)),
        Err(ReadError::OffsetOutOfRange { .. }) => Err(ErrorCode::OffsetOutOfRange),
        Err(error) => {
            tracing::error!(topic_partition = %view.tp, epoch = view.leader_epoch, offset = from, %error, "read failed");
            ctx.metrics.read_failed();
            Err(ErrorCode::KafkaStorageError)
        }
    }
}

fn parts(pieces: Vec<Piece>) -> Vec<Part> {
    pieces
        .into_iter()
        .map(|piece| match piece {
            Piece::Memory(batch) => Part::Batch(batch),
            Piece::File { file, position, len } => Part::File { file, position, len },
        })
        .collect()
}

/// Replaces file ranges that the page cache does not hold by their bytes, read here where waiting is allowed; the
/// others stay ranges and are sent by the kernel.
fn warm(slice: Slice) -> Slice {
    let pieces = slice.pieces.into_iter().map(|piece| match piece {
        Piece::File { file, position, len } if !is_cached(file.as_ref(), position, len) => {
            // Reading brings the pages in; the range is then sent from the page cache as any other.
            read_through(file.as_ref(), position, len);
            Piece::File { file, position, len }
        }
        piece => piece,
    });
    Slice { pieces: pieces.collect(), ..slice }
}

/// Step of the probe: the kernel reads ahead in larger steps than this.
const PROBE_STEP: u64 = 64 * 1024;

fn is_cached(file: &dyn tidemark_storage::disk::File, position: u64, len: usize) -> bool {
    let end = position + len as u64;
    let mut at = position;
    let mut byte = [0u8; 1];
    while at < end {
        if !matches!(file.read_cached_at(&mut byte, at), Ok(Some(1))) {
            return false;
        }
        at += PROBE_STEP;
    }
    matches!(file.read_cached_at(&mut byte, end - 1), Ok(Some(1)))
}

fn read_through(file: &dyn tidemark_storage::disk::File, position: u64, len: usize) {
    let mut buffer = BytesMut::zeroed(len.min(PROBE_STEP as usize));
    let end = position + len as u64;
    let mut at = position;
    while at < end {
        let step = buffer.len().min((end - at) as usize);
        match file.read_at(&mut buffer[..step], at) {
            Ok(0) | Err(_) => return, // The send meets the same error and reports it.
            Ok(count) => at += count as u64,
        }
    }
}

impl PartitionRead {
    fn of(view: &Arc<PartitionView>) -> Self {
        PartitionRead {
            error: ErrorCode::None,
            high_watermark: view.high_watermark,
            last_stable: view.last_stable,
            log_start: view.log_start,
            diverging: None,
            preferred_replica: None,
            records: Vec::new(),
            bytes: 0,
            seen: Some(view.clone()),
        }
    }

    fn failed(error: ErrorCode) -> Self {
        PartitionRead {
            error,
            high_watermark: -1,
            last_stable: -1,
            log_start: -1,
            diverging: None,
            preferred_replica: None,
            records: Vec::new(),
            bytes: 0,
            seen: None,
        }
    }
}
