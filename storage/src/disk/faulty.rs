//! [`FaultyDisk`]: a disk that fails, fills and dawdles when it is told to. Brokers use it in test builds only.
//!
//! [`Ailment`] is shared with whoever gives the orders, and read at each call.

use std::io::{self, IoSlice};
use std::os::fd::BorrowedFd;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::{DirLock, Disk, File, Mapped, OpenMode, Space};

/// What ails a disk, as bits, with the milliseconds a sync takes longer above them.
#[derive(Debug, Default)]
pub struct Ailment(AtomicU32);

/// Writes fail.
const WRITES_FAIL: u32 = 1;
/// Syncs fail.
const SYNCS_FAIL: u32 = 2;
/// There is no room.
const FULL: u32 = 4;
/// Files of the spared folder ail too.
const NONE_SPARED: u32 = 8;
/// Syncs do nothing and say that all is well.
const LIES: u32 = 16;
/// Where the milliseconds begin.
const SLOW_SHIFT: u32 = 8;

impl Ailment {
    /// From now on it is this: words of `eio-write`, `eio-sync`, `full`, `slow=MILLISECONDS`, `lies` for syncs
    /// that do nothing, and `everywhere` for the spared folder too; none of them for a healthy disk. Others mean nothing.
    pub fn set(&self, words: &str) {
        let bits = words.split_whitespace().map(|word| match word {
            "eio-write" => WRITES_FAIL,
            "eio-sync" => SYNCS_FAIL,
            "full" => FULL,
            "everywhere" => NONE_SPARED,
            "lies" => LIES,
            _ => word.strip_prefix("slow=").and_then(|ms| ms.parse::<u32>().ok()).unwrap_or(0) << SLOW_SHIFT,
        });
        self.0.store(bits.fold(0, |all, bit| all | bit), Ordering::Relaxed);
    }

    fn bits(&self, spared: bool) -> u32 {
        let bits = self.0.load(Ordering::Relaxed);
        if spared && bits & NONE_SPARED == 0 { 0 } else { bits }
    }

    fn write(&self, spared: bool) -> io::Result<()> {
        match self.bits(spared) {
            bits if bits & WRITES_FAIL != 0 => Err(rustix::io::Errno::IO.into()),
            bits if bits & FULL != 0 => Err(io::ErrorKind::StorageFull.into()),
            _ => Ok(()),
        }
    }

    #[allow(clippy::disallowed_methods, reason = "a slow disk makes its caller wait")]
    /// Whether a sync goes on to the disk below.
    fn sync(&self, spared: bool) -> io::Result<bool> {
        let bits = self.bits(spared);
        if bits >> SLOW_SHIFT > 0 {
            std::thread::sleep(Duration::from_millis(u64::from(bits >> SLOW_SHIFT)));
        }
        if bits & SYNCS_FAIL != 0 { Err(rustix::io::Errno::IO.into()) } else { Ok(bits & LIES == 0) }
    }
}

/// A disk with an ailment.
#[derive(Debug)]
pub struct FaultyDisk<D> {
    disk: D,
    ailment: Arc<Ailment>,
    /// Folders of this name stay well unless nothing is spared.
    spared: String,
}

impl<D> FaultyDisk<D> {
    /// `disk`, with what ails it but in folders of the name `spared`.
    pub fn new(disk: D, ailment: Arc<Ailment>, spared: &str) -> FaultyDisk<D> {
        FaultyDisk { disk, ailment, spared: spared.to_owned() }
    }

    fn spares(&self, path: &Path) -> bool {
        path.components().any(|part| part.as_os_str() == self.spared.as_str())
    }
}

#[derive(Debug)]
struct FaultyFile {
    file: Arc<dyn File>,
    ailment: Arc<Ailment>,
    spared: bool,
}

impl File for FaultyFile {
    fn write_all_at(&self, bufs: &[IoSlice<'_>], position: u64) -> io::Result<()> {
        self.ailment.write(self.spared)?;
        self.file.write_all_at(bufs, position)
    }

    fn read_at(&self, buf: &mut [u8], position: u64) -> io::Result<usize> {
        self.file.read_at(buf, position)
    }

    fn read_cached_at(&self, buf: &mut [u8], position: u64) -> io::Result<Option<usize>> {
        self.file.read_cached_at(buf, position)
    }

    fn sync_data(&self) -> io::Result<()> {
        if self.ailment.sync(self.spared)? { self.file.sync_data() } else { Ok(()) }
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn reserve(&self, bytes: u64) -> io::Result<()> {
        self.ailment.write(self.spared)?;
        self.file.reserve(bytes)
    }

    fn extend(&self, len: u64) -> io::Result<()> {
        self.ailment.write(self.spared)?;
        self.file.extend(len)
    }

    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.file.fd()
    }
}

impl<D: Disk> Disk for FaultyDisk<D> {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn File>> {
        if mode == OpenMode::Create && !self.disk.exists(path) {
            self.ailment.write(self.spares(path))?;
        }
        let file = self.disk.open(path, mode)?;
        Ok(Arc::new(FaultyFile { file, ailment: Arc::clone(&self.ailment), spared: self.spares(path) }))
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        if !self.disk.exists(path) {
            self.ailment.write(self.spares(path))?;
        }
        self.disk.create_dir_all(path)
    }

    fn read_dir(&self, path: &Path) -> io::Result<Vec<String>> {
        self.disk.read_dir(path)
    }

    fn file_len(&self, path: &Path) -> io::Result<u64> {
        self.disk.file_len(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
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
        if self.ailment.sync(self.spares(path))? { self.disk.sync_dir(path) } else { Ok(()) }
    }

    fn watch_filesystem(&self, path: &Path) -> io::Result<bool> {
        self.disk.watch_filesystem(path)
    }

    fn sync_filesystem(&self, path: &Path) -> io::Result<()> {
        if self.ailment.sync(self.spares(path))? { self.disk.sync_filesystem(path) } else { Ok(()) }
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

#[cfg(test)]
mod tests;
