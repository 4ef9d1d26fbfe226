//! Snapshots of the image: the file, and the folder that keeps the newest.
//!
//! A snapshot is written aside, synced, renamed, its directory synced; only then are older ones removed, and only after that
//! does the log purge what it holds. So there always is a snapshot that reaches to where the log begins.
//!
//! ```text
//! snapshot-<index>.snap = magic "TMQS" | version u8 = 1 | crc32 u32 of all that follows | head length u32 | head | image
//! ```
//! Little-endian; the head is [`SnapshotHead`] as record.rs encodes it, the image is what core's `encode_snapshot` makes.

use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tidemark_core::metadata::ClusterImage;
use tidemark_storage::disk::{Disk, OpenMode, read_file};

use super::quorum::LogPosition;
use super::record::{self, StoredMembers};
use super::session::Sessions;

const MAGIC: [u8; 4] = *b"TMQS";
const VERSION: u8 = 1;
const PREFIX_LEN: usize = 13;
/// A million partitions take some hundred MiB; anything longer is not a snapshot.
const SNAPSHOT_BYTES_MAX: u64 = 2 << 30;

/// What a snapshot says besides the image.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SnapshotHead {
    /// The last entry it holds; `None` for the state before any.
    pub position: Option<LogPosition>,
    /// The entry that set the voters.
    pub members_position: Option<LogPosition>,
    /// The voters.
    pub members: StoredMembers,
    /// Proposals that were applied, to recognise repetitions.
    pub sessions: Sessions,
}

/// Why bytes are not a snapshot.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotError {
    /// Too short or without the magic.
    #[error("not a metadata snapshot")]
    NotOne,
    /// Written by another version of the software.
    #[error("snapshot version {0} is not known to this version of tidemark")]
    Version(u8),
    /// The checksum differs.
    #[error("the snapshot's checksum is {computed:08x}, it should be {stored:08x}")]
    Checksum {
        /// As stored.
        stored: u32,
        /// As computed.
        computed: u32,
    },
    /// It does not parse.
    #[error("a malformed snapshot: {0}")]
    Malformed(String),
}

/// The bytes of a snapshot file.
pub fn encode(head: &SnapshotHead, image: &ClusterImage) -> Bytes {
    let head = record::encode(head);
    let image = image.encode_snapshot();
    let mut bytes = Vec::with_capacity(PREFIX_LEN + head.len() + image.len());
    bytes.extend_from_slice(&MAGIC);
    bytes.push(VERSION);
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(&u32::try_from(head.len()).expect("the head is small").to_le_bytes());
    bytes.extend_from_slice(&head);
    bytes.extend_from_slice(&image);
    let crc = crc32fast::hash(&bytes[9..]);
    bytes[5..9].copy_from_slice(&crc.to_le_bytes());
    Bytes::from(bytes)
}

/// Reads [`encode`]'s bytes.
pub fn decode(bytes: &[u8]) -> Result<(SnapshotHead, ClusterImage), SnapshotError> {
    let number = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"));
    if bytes.len() < PREFIX_LEN || bytes[..4] != MAGIC {
        return Err(SnapshotError::NotOne);
    }
    if bytes[4] != VERSION {
        return Err(SnapshotError::Version(bytes[4]));
    }
    let (stored, computed) = (number(5), crc32fast::hash(&bytes[9..]));
    if stored != computed {
        return Err(SnapshotError::Checksum { stored, computed });
    }
    let body = &bytes[PREFIX_LEN..];
    let malformed = |error: String| SnapshotError::Malformed(error);
    let head_len = usize::try_from(number(9)).ok().filter(|&len| len <= body.len());
    let (head, image) =
        body.split_at(head_len.ok_or_else(|| malformed("the head is longer than the file".to_owned()))?);
    let head = record::decode(head).map_err(|error| malformed(error.to_string()))?;
    let image = ClusterImage::decode_snapshot(image).map_err(|error| malformed(error.to_string()))?;
    Ok((head, image))
}

/// The folder with the newest snapshot.
#[derive(Debug)]
pub struct SnapshotDir {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    newest: Option<u64>,
}

impl SnapshotDir {
    /// Looks for the newest snapshot, and removes what an interrupted write left.
    pub fn open(disk: &Arc<dyn Disk>, dir: &Path) -> io::Result<SnapshotDir> {
        let mut newest = None;
        for name in disk.read_dir(dir)? {
            if let Some(index) = parse_name(&name) {
                newest = newest.max(Some(index));
            } else if name.starts_with("snapshot-") && name.ends_with(".tmp") {
                disk.remove_file(&dir.join(name))?;
            }
        }
        Ok(SnapshotDir { disk: Arc::clone(disk), dir: dir.to_owned(), newest })
    }

    /// Path of the newest snapshot.
    pub fn newest_path(&self) -> Option<PathBuf> {
        self.newest.map(|index| self.path(index))
    }

    /// Bytes of the newest snapshot.
    pub fn read(&self) -> io::Result<Option<Bytes>> {
        let Some(path) = self.newest_path() else { return Ok(None) };
        read_file(&*self.disk, &path, SNAPSHOT_BYTES_MAX).map(|bytes| Some(Bytes::from(bytes)))
    }

    /// Keeps a snapshot that reaches to `position`: durable on return, older ones removed.
    pub fn save(&mut self, position: LogPosition, bytes: &Bytes) -> io::Result<()> {
        let path = self.path(position.index);
        let aside = path.with_extension("tmp");
        let file = self.disk.open(&aside, OpenMode::Create)?;
        file.set_len(0)?;
        file.write_all_at(&[IoSlice::new(bytes)], 0)?;
        file.sync_data()?;
        self.disk.rename(&aside, &path)?;
        self.disk.sync_dir(&self.dir)?;
        self.newest = Some(position.index);
        for name in self.disk.read_dir(&self.dir)? {
            if parse_name(&name).is_some_and(|index| index != position.index) {
                self.disk.remove_file(&self.dir.join(name))?;
            }
        }
        Ok(())
    }

    fn path(&self, index: u64) -> PathBuf {
        self.dir.join(format!("snapshot-{index:020}.snap"))
    }
}

fn parse_name(name: &str) -> Option<u64> {
    name.strip_prefix("snapshot-")?.strip_suffix(".snap")?.parse().ok()
}

#[cfg(test)]
mod tests;
