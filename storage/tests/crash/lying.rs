//! LyingDisk: passes everything on to the simulated disk, but while told so swallows syncs: a planted bug.

use std::io::{self, IoSlice};
use std::os::fd::BorrowedFd;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tidemark_storage::disk::{DirLock, Disk, File, Mapped, OpenMode, SimDisk, Space};

/// The disk as the code under test sees it.
#[derive(Clone, Debug)]
pub struct LyingDisk {
    inner: SimDisk,
    lies: Arc<AtomicBool>,
}

impl LyingDisk {
    /// An honest disk, until told otherwise.
    pub fn new(inner: SimDisk) -> Self {
        LyingDisk { inner, lies: Arc::default() }
    }

    /// From now on syncs do nothing and say that they did.
    pub fn lie(&self, on: bool) {
        self.lies.store(on, Ordering::Relaxed);
    }

    fn lies(&self) -> bool {
        self.lies.load(Ordering::Relaxed)
    }
}

#[derive(Debug)]
struct LyingFile {
    inner: Arc<dyn File>,
    disk: LyingDisk,
}

impl File for LyingFile {
    fn write_all_at(&self, bufs: &[IoSlice<'_>], position: u64) -> io::Result<()> {
        self.inner.write_all_at(bufs, position)
    }
    fn read_at(&self, buf: &mut [u8], position: u64) -> io::Result<usize> {
        self.inner.read_at(buf, position)
    }
    fn read_cached_at(&self, buf: &mut [u8], position: u64) -> io::Result<Option<usize>> {
        self.inner.read_cached_at(buf, position)
    }
    fn sync_data(&self) -> io::Result<()> {
        if self.disk.lies() { Ok(()) } else { self.inner.sync_data() }
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        self.inner.set_len(len)
    }
    fn extend(&self, len: u64) -> io::Result<()> {
        self.inner.extend(len)
    }
    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }
    fn fd(&self) -> Option<BorrowedFd<'_>> {
        None
    }
}

impl Disk for LyingDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn File>> {
        Ok(Arc::new(LyingFile { inner: self.inner.open(path, mode)?, disk: self.clone() }))
    }
    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        self.inner.create_dir_all(path)
    }
    fn read_dir(&self, path: &Path) -> io::Result<Vec<String>> {
        self.inner.read_dir(path)
    }
    fn file_len(&self, path: &Path) -> io::Result<u64> {
        self.inner.file_len(path)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.inner.rename(from, to)
    }
    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.inner.remove_file(path)
    }
    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        self.inner.remove_dir_all(path)
    }
    fn exists(&self, path: &Path) -> bool {
        self.inner.exists(path)
    }
    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        if self.lies() { Ok(()) } else { self.inner.sync_dir(path) }
    }
    fn watch_filesystem(&self, path: &Path) -> io::Result<bool> {
        self.inner.watch_filesystem(path)
    }

    fn sync_filesystem(&self, path: &Path) -> io::Result<()> {
        if self.lies() { Ok(()) } else { self.inner.sync_filesystem(path) }
    }
    fn map(&self, path: &Path) -> io::Result<Mapped> {
        self.inner.map(path)
    }
    fn space(&self, path: &Path) -> io::Result<Space> {
        self.inner.space(path)
    }
    fn lock(&self, path: &Path) -> io::Result<DirLock> {
        self.inner.lock(path)
    }
}
