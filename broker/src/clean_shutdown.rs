//! `clean-shutdown`: says that the last run of this node ended in order, and as which incarnation.
//!
//! Written last of all when a broker stops, with its broker epoch; taken away before anything is loaded, so that it never speaks of
//! a run that it does not belong to (KAFKA-10471). The controller believes it only with the epoch it knows itself.
//!
//! A `checkpoint` of kind `TMCS`, version 1: the broker epoch as an i64, big-endian.

use std::io;
use std::path::Path;

use tidemark_storage::checkpoint::{self, CheckpointError, Durability, Format};
use tidemark_storage::disk::Disk;

/// Name of the file in the data directory.
const FILE_NAME: &str = "clean-shutdown";
const FORMAT: Format = Format { kind: *b"TMCS", version: 1 };

/// Takes the word of the last run: the epoch in which it ended in order, or `None`. It is gone for good when this returns.
///
/// # Errors
/// When the disk fails. A file that does not read back says nothing.
pub fn take(disk: &dyn Disk, dir: &Path) -> io::Result<Option<i64>> {
    let path = dir.join(FILE_NAME);
    let epoch = match checkpoint::read(disk, &path, FORMAT) {
        Ok(Some((_, payload))) => payload.try_into().ok().map(i64::from_be_bytes),
        Ok(None) => return Ok(None),
        Err(CheckpointError::Damaged { .. } | CheckpointError::Newer { .. }) => None,
        Err(CheckpointError::Io(error)) => return Err(error),
    };
    disk.remove_file(&path)?;
    disk.sync_dir(dir)?;
    Ok(epoch)
}

/// Leaves word that the run with this broker epoch ends in order.
///
/// # Errors
/// When the disk fails: the next start then takes this one for killed, which costs it nothing but time.
pub fn leave(disk: &dyn Disk, dir: &Path, broker_epoch: i64) -> io::Result<()> {
    checkpoint::write(disk, &dir.join(FILE_NAME), FORMAT, &broker_epoch.to_be_bytes(), Durability::Synced)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use tidemark_storage::disk::SimDisk;

    use super::*;

    fn dir(disk: &SimDisk) -> PathBuf {
        let dir = PathBuf::from("/data");
        disk.create_dir_all(&dir).unwrap();
        disk.sync_dir(Path::new("/")).unwrap();
        dir
    }

    #[test]
    fn the_word_is_taken_once_and_survives_a_power_loss_until_then() {
        let disk = SimDisk::new(1);
        let dir = dir(&disk);
        assert_eq!(take(&disk, &dir).unwrap(), None);
        leave(&disk, &dir, 77).unwrap();
        let disk = disk.crash();
        assert_eq!(take(&disk, &dir).unwrap(), Some(77));
        assert_eq!(take(&disk.crash(), &dir).unwrap(), None, "not even a power loss brings it back");
    }

    #[test]
    fn a_damaged_word_is_none() {
        let disk = SimDisk::new(1);
        let dir = dir(&disk);
        leave(&disk, &dir, 77).unwrap();
        disk.flip(&dir.join(FILE_NAME), 100).unwrap();
        assert_eq!(take(&disk, &dir).unwrap(), None);
        assert!(!disk.exists(&dir.join(FILE_NAME)));
    }
}
