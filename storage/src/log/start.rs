//! The start of a log, written down before segments below it are removed.
//!
//! Removed names are not synced, so after a crash any of them may be back, in any combination. What always holds: no
//! segment is removed that lies at or above the offset written here or in the journal, so whatever is found below counts
//! for nothing, and whatever is missing above was lost.
//!
//! `log-start-checkpoint` is a `checkpoint` of kind `TMLS`, version 1: the offset as an i64, big-endian.

use std::io::{self, IoSlice};
use std::path::Path;

use tidemark_protocol::types::Offset;

use crate::checkpoint::{self, CheckpointError, Format};
use crate::disk::{Disk, OpenMode};

/// Name of the file in the partition's directory.
pub const FILE_NAME: &str = "log-start-checkpoint";
const FORMAT: Format = Format { kind: *b"TMLS", version: 1 };

/// Writes the start down, durably. In place: the file is smaller than a sector, which disks write whole, and needs no new
/// room once it is there, so retention can free a disk that is full.
pub(super) fn store(disk: &dyn Disk, dir: &Path, start: Offset) -> io::Result<()> {
    let bytes = checkpoint::encode(FORMAT, &start.to_be_bytes());
    let file = disk.open(&dir.join(FILE_NAME), OpenMode::Create)?;
    let is_new = file.len()? < bytes.len() as u64;
    file.write_all_at(&[IoSlice::new(&bytes)], 0)?;
    file.sync_data()?;
    if is_new { disk.sync_dir(dir) } else { Ok(()) }
}

/// Takes back a later start, durably: what is written above the lower one counts again.
pub(super) fn lower(disk: &dyn Disk, dir: &Path, start: Offset) -> io::Result<()> {
    match load(disk, dir)? {
        Some(stored) if stored > start => store(disk, dir, start),
        _ => Ok(()),
    }
}

/// The start written down last; `None` when there is none, or it does not read back: then the journal alone tells.
pub(super) fn load(disk: &dyn Disk, dir: &Path) -> io::Result<Option<Offset>> {
    match checkpoint::read(disk, &dir.join(FILE_NAME), FORMAT) {
        Ok(Some((_, payload))) => Ok(payload.try_into().ok().map(i64::from_be_bytes)),
        Ok(None) | Err(CheckpointError::Damaged { .. } | CheckpointError::Newer { .. }) => Ok(None),
        Err(CheckpointError::Io(error)) => Err(error),
    }
}
