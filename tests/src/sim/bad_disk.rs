//! [`BadDisk`]: a disk between the product and the simulated one that does not do what it is told: for planted bugs.

use std::io::{self, IoSlice};
use std::os::fd::BorrowedFd;
use std::path::Path;
use std::sync::Arc;

use tidemark_storage::disk::{DirLock, Disk, File, Mapped, OpenMode, Space};

/// What it does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing is ever synced.
    NoSync,
    /// Names are never synced.
    NoDirectorySync,
    /// The journal is never synced.
    NoJournalSync,
    /// A file of leader epochs is written once.
    StaleEpochs,
    /// A failed sync is done again.
    RetrySync,
}

/// A disk with one fault.
#[derive(Debug)]
pub struct BadDisk {
    /// The real one.
    pub disk: Arc<dyn Disk>,
    /// What is wrong with it.
    pub fault: Fault,
}

#[derive(Debug)]
struct BadFile {
    file: Arc<dyn File>,
    fault: Fault,
    is_journal: bool,
}

impl File for BadFile {
    fn write_all_at(&self, bufs: &[IoSlice<'_>], position: u64) -> io::Result<()> {
        self.file.write_all_at(bufs, position)
    }

    fn read_at(&self, buf: &mut [u8], position: u64) -> io::Result<usize> {
        self.file.read_at(buf, position)
    }

    fn read_cached_at(&self, buf: &mut [u8], position: u64) -> io::Result<Option<usize>> {
        self.file.read_cached_at(buf, position)
    }

    fn sync_data(&self) -> io::Result<()> {
        match self.fault {
            Fault::NoSync => Ok(()),
            Fault::NoJournalSync if self.is_journal => Ok(()),
            Fault::RetrySync => self.file.sync_data().or_else(|_| self.file.sync_data()),
            _ => self.file.sync_data(),
        }
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn extend(&self, len: u64) -> io::Result<()> {
        self.file.extend(len)
    }

    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn fd(&self) -> Option<BorrowedFd<'_>> {
        None
    }
}

impl Disk for BadDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn File>> {
        let is_journal = path.components().any(|part| part.as_os_str() == "journal");
        Ok(Arc::new(BadFile { file: self.disk.open(path, mode)?, fault: self.fault, is_journal }))
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        self.disk.create_dir_all(path)
    }

    fn read_dir(&self, path: &Path) -> io::Result<Vec<String>> {
        self.disk.read_dir(path)
    }

    fn file_len(&self, path: &Path) -> io::Result<u64> {
        self.disk.file_len(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let is_epochs = to.file_name().is_some_and(|name| name == "leader-epoch-checkpoint");
        if self.fault == Fault::StaleEpochs && is_epochs && self.disk.exists(to) {
            return self.disk.remove_file(from);
        }
        self.disk.rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.disk.remove_file(path)
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        self.disk.remove_dir_all(path)
    }

    fn exists(&self, path: &Path) -> bool {
        self.disk.exists(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        match self.fault {
            Fault::NoSync | Fault::NoDirectorySync => Ok(()),
            Fault::RetrySync => self.disk.sync_dir(path).or_else(|_| self.disk.sync_dir(path)),
            _ => self.disk.sync_dir(path),
        }
    }

    fn watch_filesystem(&self, _path: &Path) -> io::Result<bool> {
        // So that every file and directory is synced by itself.
        Ok(false)
    }

    fn sync_filesystem(&self, path: &Path) -> io::Result<()> {
        self.disk.sync_filesystem(path)
    }

    fn map(&self, path: &Path) -> io::Result<Mapped> {
        self.disk.map(path)
    }

    fn space(&self, path: &Path) -> io::Result<Space> {
        self.disk.space(path)
    }

    fn lock(&self, path: &Path) -> io::Result<DirLock> {
        self.disk.lock(path)
    }
}
