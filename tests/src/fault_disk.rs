//! A real disk on which a test can let writes or syncs below some directories go wrong, as long as it likes.

use std::io::{self, IoSlice};
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};

use rustix::io::Errno;
use tidemark_storage::disk::{DirLock, Disk, File, Mapped, OpenMode, OsDisk, Space};

/// What is wrong with a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Fault {
    /// Nothing.
    None = 0,
    /// No write finds room.
    Full = 1,
    /// No sync succeeds.
    Sync = 2,
}

/// The disk of one node. Clones are the same disk.
#[derive(Clone, Debug)]
pub struct FaultDisk {
    switch: Arc<AtomicU8>,
    faults: Arc<AtomicUsize>,
    /// Files in a directory of which the name begins so are concerned.
    prefix: &'static str,
}

impl FaultDisk {
    /// A disk in good health. Faults will concern the directories of partitions of topics whose names begin with `prefix`.
    pub fn new(prefix: &'static str) -> FaultDisk {
        FaultDisk { switch: Arc::new(AtomicU8::new(Fault::None as u8)), faults: Arc::default(), prefix }
    }

    /// From now on, this is wrong.
    pub fn set(&self, fault: Fault) {
        self.switch.store(fault as u8, Ordering::SeqCst);
    }

    /// How often something went wrong so far.
    pub fn faults(&self) -> usize {
        self.faults.load(Ordering::SeqCst)
    }

    fn has(&self, fault: Fault) -> bool {
        self.switch.load(Ordering::SeqCst) == fault as u8
    }

    fn concerns(&self, path: &Path) -> bool {
        let mut names = path.iter().filter_map(|name| name.to_str());
        names.any(|name| name.starts_with(self.prefix))
    }
}

/// A file of a [`FaultDisk`].
#[derive(Debug)]
struct FaultFile {
    file: Arc<dyn File>,
    disk: FaultDisk,
    path: PathBuf,
}

impl FaultFile {
    fn fails(&self, fault: Fault) -> bool {
        let fails = self.disk.has(fault) && self.disk.concerns(&self.path);
        self.disk.faults.fetch_add(usize::from(fails), Ordering::SeqCst);
        fails
    }
}

impl File for FaultFile {
    fn write_all_at(&self, bufs: &[IoSlice<'_>], position: u64) -> io::Result<()> {
        if self.fails(Fault::Full) {
            return Err(Errno::NOSPC.into());
        }
        self.file.write_all_at(bufs, position)
    }

    fn read_at(&self, buf: &mut [u8], position: u64) -> io::Result<usize> {
        self.file.read_at(buf, position)
    }

    fn read_cached_at(&self, buf: &mut [u8], position: u64) -> io::Result<Option<usize>> {
        self.file.read_cached_at(buf, position)
    }

    fn sync_data(&self) -> io::Result<()> {
        if self.fails(Fault::Sync) {
            return Err(Errno::IO.into());
        }
        self.file.sync_data()
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn reserve(&self, bytes: u64) -> io::Result<()> {
        self.file.reserve(bytes)
    }

    fn extend(&self, len: u64) -> io::Result<()> {
        if self.fails(Fault::Full) {
            return Err(Errno::NOSPC.into());
        }
        self.file.extend(len)
    }

    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.file.fd()
    }
}

impl Disk for FaultDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn File>> {
        let file = OsDisk.open(path, mode)?;
        Ok(Arc::new(FaultFile { file, disk: self.clone(), path: path.to_owned() }))
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        OsDisk.create_dir_all(path)
    }

    fn read_dir(&self, path: &Path) -> io::Result<Vec<String>> {
        OsDisk.read_dir(path)
    }

    fn file_len(&self, path: &Path) -> io::Result<u64> {
        OsDisk.file_len(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        OsDisk.rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        OsDisk.remove_file(path)
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        OsDisk.remove_dir_all(path)
    }

    fn exists(&self, path: &Path) -> bool {
        OsDisk.exists(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        OsDisk.sync_dir(path)
    }

    /// Files are synced one by one, so that a failure is that of a file.
    fn watch_filesystem(&self, _: &Path) -> io::Result<bool> {
        Ok(false)
    }

    fn sync_filesystem(&self, path: &Path) -> io::Result<()> {
        OsDisk.sync_filesystem(path)
    }

    fn map(&self, path: &Path) -> io::Result<Mapped> {
        OsDisk.map(path)
    }

    fn space(&self, path: &Path) -> io::Result<Space> {
        OsDisk.space(path)
    }

    fn lock(&self, path: &Path) -> io::Result<DirLock> {
        OsDisk.lock(path)
    }
}
