//! Small checksummed files that are replaced whole: epoch checkpoints, producer snapshots.
//!
//! Written by the owner of a partition's directory only. What always holds: a reader gets back exactly the bytes of one
//! earlier `write`, or is told that the file is damaged; never a mixture.
//!
//! ```text
//! offset  size  field
//!      0     4  kind, four ASCII letters that name the format
//!      4     1  version of the format, from 1
//!      5     3  zero
//!      8     4  length of the payload, big-endian
//!     12     n  payload
//!   12+n     4  CRC-32 (IEEE, crc32fast) of all bytes before it, big-endian
//! ```

use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};

use crate::disk::{Disk, OpenMode, read_file};

const HEADER_LEN: usize = 12;
const CRC_LEN: usize = 4;
/// A checkpoint is read into memory whole; a longer file is damage, not data.
const FILE_LEN_MAX: u64 = 1 << 30;
/// What a checkpoint is called while it is being written. Left over by a crash, it means nothing and may be removed.
pub const TEMPORARY_SUFFIX: &str = ".tmp";

/// Why a checkpoint could not be read.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// The bytes are not what was written: torn, flipped, or of another format.
    #[error("{path}: {what}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        what: &'static str,
    },
    /// The format is newer than this program.
    #[error("{path}: version {version} is newer than this program knows ({known})")]
    Newer {
        /// The file.
        path: PathBuf,
        /// Version in the file.
        version: u8,
        /// Newest version this program reads.
        known: u8,
    },
    /// The disk failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// The name of one format and the newest version this program writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Format {
    /// Four letters at the head of the file.
    pub kind: [u8; 4],
    /// Version written; the same and older ones are read.
    pub version: u8,
}

/// Whether a write must survive a power failure before it returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// File and directory entry are synced before the call returns; the old content stays until then.
    Synced,
    /// Nothing is synced. Only for files whose loss or damage costs time, never truth: the reader falls back to an older
    /// one or to the log itself.
    Relaxed,
}

/// Frames `payload` as the file's bytes.
pub fn encode(format: Format, payload: &[u8]) -> Vec<u8> {
    let len = u32::try_from(payload.len()).expect("a checkpoint is far below 4 GiB");
    let mut bytes = Vec::with_capacity(HEADER_LEN + payload.len() + CRC_LEN);
    bytes.extend_from_slice(&format.kind);
    bytes.extend_from_slice(&[format.version, 0, 0, 0]);
    bytes.extend_from_slice(&len.to_be_bytes());
    bytes.extend_from_slice(payload);
    let crc = crc32fast::hash(&bytes);
    bytes.extend_from_slice(&crc.to_be_bytes());
    bytes
}

/// Takes the payload out of a file's bytes: `(version, payload)`. `path` is only for the error.
pub fn decode<'a>(format: Format, bytes: &'a [u8], path: &Path) -> Result<(u8, &'a [u8]), CheckpointError> {
    let damaged = |what| CheckpointError::Damaged { path: path.to_owned(), what };
    if bytes.len() < HEADER_LEN + CRC_LEN {
        return Err(damaged("shorter than an empty checkpoint"));
    }
    let (content, crc) = bytes.split_at(bytes.len() - CRC_LEN);
    if crc != crc32fast::hash(content).to_be_bytes() {
        return Err(damaged("the checksum does not fit"));
    }
    if content[..4] != format.kind {
        return Err(damaged("another kind of file"));
    }
    let version = content[4];
    if version > format.version {
        return Err(CheckpointError::Newer { path: path.to_owned(), version, known: format.version });
    }
    let len = u32::from_be_bytes(content[8..HEADER_LEN].try_into().expect("four bytes"));
    if version == 0 || len as usize != content.len() - HEADER_LEN {
        return Err(damaged("the length does not fit"));
    }
    Ok((version, &content[HEADER_LEN..]))
}

/// Replaces the file at `path` by `payload`, whole or not at all: temporary file, sync, rename, sync of the directory.
pub fn write(
    disk: &dyn Disk,
    path: &Path,
    format: Format,
    payload: &[u8],
    durability: Durability,
) -> io::Result<()> {
    let bytes = encode(format, payload);
    let temporary = temporary_name(path);
    let file = disk.open(&temporary, OpenMode::Create)?;
    file.set_len(0)?;
    file.write_all_at(&[IoSlice::new(&bytes)], 0)?;
    if durability == Durability::Synced {
        file.sync_data()?;
    }
    drop(file);
    disk.rename(&temporary, path)?;
    if durability == Durability::Synced {
        disk.sync_dir(path.parent().unwrap_or(Path::new(".")))?;
    }
    Ok(())
}

/// Reads the file at `path`: `None` when there is none, else `(version, payload)`.
pub fn read(disk: &dyn Disk, path: &Path, format: Format) -> Result<Option<(u8, Vec<u8>)>, CheckpointError> {
    let bytes = match read_file(disk, path, FILE_LEN_MAX) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            return Err(CheckpointError::Damaged {
                path: path.to_owned(),
                what: "longer than any checkpoint",
            });
        }
        Err(error) => return Err(error.into()),
    };
    let (version, payload) = decode(format, &bytes, path)?;
    Ok(Some((version, payload.to_vec())))
}

fn temporary_name(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(TEMPORARY_SUFFIX);
    PathBuf::from(name)
}

#[cfg(test)]
mod tests;
