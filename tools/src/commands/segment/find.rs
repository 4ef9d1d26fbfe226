//! Finds segment files: one that is named, those of a partition, or all of a data directory.

use std::path::{Path, PathBuf};

use tidemark_protocol::types::Offset;
use tidemark_storage::disk::{Disk, Mapped, OsDisk};
use tidemark_storage::segment::names::{self, LOG};

use crate::exit::{Exit, Failure};

/// A segment file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SegmentFile {
    /// Directory of its partition.
    pub dir: PathBuf,
    /// Base offset, from its name.
    pub base_offset: Offset,
}

impl SegmentFile {
    /// One of its files.
    pub fn path(&self, suffix: &str) -> PathBuf {
        self.dir.join(names::file_name(self.base_offset, suffix))
    }
}

/// The segments at `path`, sorted by directory and offset. A directory of partitions is searched one level down.
pub fn segments(path: &Path) -> Result<Vec<SegmentFile>, Failure> {
    let disk = OsDisk;
    if let Some(file) = named(path) {
        return Ok(vec![file]);
    }
    let mut found = Vec::new();
    let entries = disk.read_dir(path).map_err(|error| unreadable(path, &error))?;
    for entry in entries {
        let below = path.join(&entry);
        match names::base_offset(&entry, LOG) {
            Some(base_offset) => found.push(SegmentFile { dir: path.to_owned(), base_offset }),
            None => {
                // What is no directory holds no segments.
                let names = disk.read_dir(&below).unwrap_or_default();
                let offsets = names.iter().filter_map(|name| names::base_offset(name, LOG));
                found.extend(offsets.map(|base_offset| SegmentFile { dir: below.clone(), base_offset }));
            }
        }
    }
    if found.is_empty() {
        return Err(Failure::new(Exit::NotFound, format!("no segment files in {}", path.display()))
            .hint("Segments are named by 20 digits, as 00000000000000000000.log."));
    }
    found.sort();
    Ok(found)
}

/// The bytes of a file; empty files cannot be mapped and need not be.
pub fn bytes(path: &Path) -> Result<Mapped, Failure> {
    let disk = OsDisk;
    let len = disk.file_len(path).map_err(|error| unreadable(path, &error))?;
    if len == 0 {
        return Ok(Mapped::Owned(Vec::new()));
    }
    disk.map(path).map_err(|error| unreadable(path, &error))
}

/// Whether what follows the last batch is room that a running broker made for appends.
pub fn is_room(rest: &[u8]) -> bool {
    rest.iter().all(|&byte| byte == 0)
}

/// The failure of reading a file.
pub fn unreadable(path: &Path, error: &std::io::Error) -> Failure {
    let exit = if error.kind() == std::io::ErrorKind::NotFound { Exit::NotFound } else { Exit::Failed };
    Failure::new(exit, format!("cannot read {}: {error}", path.display()))
}

fn named(path: &Path) -> Option<SegmentFile> {
    let base_offset = names::base_offset(path.file_name()?.to_str()?, LOG)?;
    let dir = path.parent().map(Path::to_owned).unwrap_or_default();
    Some(SegmentFile { dir, base_offset })
}
