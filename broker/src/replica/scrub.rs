//! Reads replicated logs again from the disk, slowly and all the time, to find what has rotted there.
//!
//! Opening a log trusts what lies below its mark, and a replica that nobody reads may rot for years until it is the one that is
//! needed. A round reads every replicated partition of this broker once; the first follows the start. Partitions without
//! other replicas are not read: nothing could be done about them.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tidemark_core::metadata::ClusterImage;
use tidemark_protocol::batch::{RecordBatch, batches};
use tidemark_protocol::types::Offset;
use tidemark_storage::disk::read_exact_at;
use tidemark_storage::log::{LogReader, Piece, ReadError};

use tokio::sync::watch;

use super::ReplicaManager;
use crate::partition::{PartitionHandle, PartitionView};

/// Read at once, and then there is a pause: a disk has others to serve.
const CHUNK_BYTES: usize = 1 << 20;
/// With the chunk, at most 32 MiB a second: a percent or two of one core, and far below what disks give.
const CHUNK_PAUSE: Duration = Duration::from_millis(32);
/// Between the end of a round and the next.
const ROUND_PAUSE: Duration = Duration::from_secs(24 * 60 * 60);
/// How soon it is looked again whether there is anything to read where there was nothing.
const IDLE_PAUSE: Duration = Duration::from_secs(60);

/// Scrubs for as long as it is polled.
pub async fn run(replicas: Arc<ReplicaManager>, images: watch::Receiver<Arc<ClusterImage>>) {
    loop {
        let mut read_any = false;
        let map = replicas.map();
        for handle in map.partitions() {
            let image = Arc::clone(&images.borrow());
            if image.partition_by_id(&handle.id()).is_some_and(|partition| partition.replicas.len() > 1) {
                read_any |= scrub(handle).await;
            }
        }
        tokio::time::sleep(if read_any { ROUND_PAUSE } else { IDLE_PAUSE }).await;
    }
}

/// Reads one partition; says whether there was anything to read.
async fn scrub(handle: &PartitionHandle) -> bool {
    let Some(first) = handle.view() else { return false };
    let mut next = first.log_start;
    let end = sound_end(&first);
    while next < end {
        let Some(view) = handle.view() else { break };
        let from = next.max(view.log_start);
        let up_to = end.min(sound_end(&view));
        if from >= up_to {
            break;
        }
        let may_skip = handle.config().log.cleanup.compact;
        match check(&view, (from, up_to), may_skip).await {
            Checked::UpTo(offset) => next = offset,
            Checked::Unreadable => break,
            Checked::Damaged(why) => {
                // Unless the log was cut or trimmed meanwhile, the present view shows the same.
                let Some(view) = handle.view() else { break };
                let still = from >= view.log_start && up_to <= sound_end(&view);
                if still && matches!(check(&view, (from, up_to), may_skip).await, Checked::Damaged(_)) {
                    handle.report_damage(why.into());
                }
                break;
            }
        }
        tokio::time::sleep(CHUNK_PAUSE).await;
    }
    end > first.log_start
}

/// Below this, every byte is called durable.
fn sound_end(view: &PartitionView) -> Offset {
    view.durable_end.min(view.high_watermark)
}

/// What a stretch of a log turned out to be.
enum Checked {
    /// Good, up to here.
    UpTo(Offset),
    /// Not what was written.
    Damaged(String),
    /// The disk did not give it now, or it is gone: nothing is known.
    Unreadable,
}

async fn check(view: &PartitionView, range: (Offset, Offset), may_skip: bool) -> Checked {
    let reader = Arc::clone(&view.reader);
    let checked = tokio::task::spawn_blocking(move || read(&reader, range, may_skip));
    checked.await.unwrap_or(Checked::Unreadable)
}

fn read(reader: &LogReader, (from, up_to): (Offset, Offset), may_skip: bool) -> Checked {
    let slice = match reader.read(from, up_to, CHUNK_BYTES, true) {
        Ok(slice) if slice.next_offset > from => slice,
        // A compacted log may end in a gap.
        Ok(_) if may_skip => return Checked::UpTo(up_to),
        Ok(_) => return Checked::Damaged(format!("nothing is found at offset {from}")),
        Err(error @ ReadError::Corrupt { .. }) => return Checked::Damaged(error.to_string()),
        Err(ReadError::OffsetOutOfRange { .. } | ReadError::Io(_)) => return Checked::Unreadable,
    };
    let mut next = from;
    for piece in &slice.pieces {
        // What is in memory was checked when it came; its file is read in another round.
        let (file, position, len) = match piece {
            Piece::Memory(batch) => {
                next = batch.next_offset();
                continue;
            }
            Piece::File { file, position, len } => (file, position, len),
        };
        let mut bytes = vec![0; *len];
        if read_exact_at(&**file, &mut bytes, *position).is_err() {
            return Checked::Unreadable;
        }
        match verify(&bytes.into(), reader, next, may_skip) {
            Ok(end) => next = end,
            Err(why) => {
                return Checked::Damaged(format!("within {len} bytes at position {position}: {why}"));
            }
        }
    }
    Checked::UpTo(slice.next_offset)
}

/// Checks whole batches, of which the first holds `from`: by their checksums, and what those do not cover, their places and leader
/// epochs, by each other and by what the log knows. Compaction lets a log skip offsets. Returns the end of the last.
pub(crate) fn verify(
    bytes: &Bytes,
    reader: &LogReader,
    from: Offset,
    may_skip: bool,
) -> Result<Offset, String> {
    let mut next = from;
    for (index, batch) in batches(bytes).enumerate() {
        let (header, range) = batch.map_err(|error| error.to_string())?;
        let batch = RecordBatch::parse(bytes.slice(range)).map_err(|error| error.to_string())?;
        batch.verify_crc().map_err(|error| error.to_string())?;
        let (base, end) = (header.base_offset, header.next_offset());
        let follows = base == next || may_skip && base > next || index == 0 && base < next && end > next;
        if !follows {
            return Err(format!("the batch at offset {base} does not follow offset {next}"));
        }
        let (found, known) = (header.partition_leader_epoch, reader.epoch_for(base.max(reader.log_start())));
        if known.is_some_and(|known| known != found) {
            return Err(format!("the batch at offset {base} has leader epoch {found}, not {known:?}"));
        }
        next = end;
    }
    Ok(next)
}

#[cfg(test)]
mod tests;
