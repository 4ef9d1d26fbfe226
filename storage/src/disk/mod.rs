//! The seam between the log and whatever keeps its bytes: a real file system or a simulated one that crashes.
//!
//! What callers may rely on is what POSIX gives and no more: written bytes are durable only after `sync_data` of the
//! file, a created, renamed or removed name only after `sync_dir` of its directory. After a failed write or sync nothing
//! is known about the file any more, so callers stop using it; a sync is never tried twice.

use std::fmt;
use std::io::{self, IoSlice};
use std::ops::Deref;
use std::os::fd::BorrowedFd;
use std::path::Path;
use std::sync::Arc;

pub mod faulty;
pub mod lossy;
pub mod os;
pub mod sim;

pub use faulty::{Ailment, FaultyDisk};
pub use lossy::LossyDisk;
pub use os::OsDisk;
pub use sim::SimDisk;

/// How a file is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenMode {
    /// The file must exist; it is only read.
    Read,
    /// The file must exist; it is read and written.
    ReadWrite,
    /// The file is made if it does not exist (its bytes are kept if it does); it is read and written.
    Create,
}

/// Room on the file system that holds a path, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// Size of the file system.
    pub total: u64,
    /// What an unprivileged process may still write.
    pub free: u64,
}

/// An open file. All positions are absolute, so one handle serves a writer and many readers at once.
pub trait File: Send + Sync + fmt::Debug {
    /// Writes all of `bufs`, one after another, from `position` on. On an error any part of it may have been written.
    fn write_all_at(&self, bufs: &[IoSlice<'_>], position: u64) -> io::Result<()>;

    /// Reads at most `buf.len()` bytes from `position`; 0 means the end of the file.
    fn read_at(&self, buf: &mut [u8], position: u64) -> io::Result<usize>;

    /// As [`File::read_at`], but only if the disk need not be asked: `None` when the bytes are not in memory.
    fn read_cached_at(&self, buf: &mut [u8], position: u64) -> io::Result<Option<usize>>;

    /// Makes the bytes and the length of the file durable (`fdatasync`).
    fn sync_data(&self) -> io::Result<()>;

    /// Cuts or extends (with zeros) the file.
    fn set_len(&self, len: u64) -> io::Result<()>;

    /// Sets `bytes` of disk aside for the file without changing its length; a hint that a disk may ignore. Cutting the
    /// file to its length gives back what was not used.
    fn reserve(&self, bytes: u64) -> io::Result<()> {
        let _ = bytes;
        Ok(())
    }

    /// Makes the file at least `len` bytes long, with zeros that have their room on the disk already: writes into them
    /// change neither length nor layout, which leaves a sync less to do. A hint that a disk may ignore; what it did is
    /// undone by cutting the file.
    fn extend(&self, len: u64) -> io::Result<()> {
        let _ = len;
        Ok(())
    }

    /// Length in bytes.
    fn len(&self) -> io::Result<u64>;

    /// Whether the file has no bytes.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }

    /// The descriptor, for `sendfile`; `None` when there is no kernel file behind it.
    fn fd(&self) -> Option<BorrowedFd<'_>>;
}

/// A file system. Paths are absolute or relative to the process; names in results are UTF-8 (others are skipped).
pub trait Disk: Send + Sync + fmt::Debug {
    /// Opens a file.
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn File>>;
    /// Makes a directory and what is missing above it.
    fn create_dir_all(&self, path: &Path) -> io::Result<()>;
    /// Names of the entries of a directory, in no particular order; `NotFound` when there is none.
    fn read_dir(&self, path: &Path) -> io::Result<Vec<String>>;
    /// Length of a file without opening it; `NotFound` when there is none.
    fn file_len(&self, path: &Path) -> io::Result<u64>;
    /// Renames a file or directory, replacing a file of the new name.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file.
    fn remove_file(&self, path: &Path) -> io::Result<()>;
    /// Removes a directory and all below it.
    fn remove_dir_all(&self, path: &Path) -> io::Result<()>;
    /// Whether something has this path.
    fn exists(&self, path: &Path) -> bool;
    /// Makes the entries of a directory durable: names created, renamed and removed in it.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;
    /// From now on, writes to the file system of `path` that fail on their way to the disk are reported by
    /// [`Disk::sync_filesystem`], too, and not by their files alone. To be called before the first write. Returns whether
    /// that call may be relied upon there at all.
    fn watch_filesystem(&self, path: &Path) -> io::Result<bool>;
    /// Makes everything written so far on the file system of `path` durable (`syncfs`). Errors of writes that went to the
    /// disk before [`Disk::watch_filesystem`] are not reported, and each error is reported to one caller only.
    fn sync_filesystem(&self, path: &Path) -> io::Result<()>;
    /// The bytes of a file that no longer changes.
    fn map(&self, path: &Path) -> io::Result<Mapped>;
    /// Room on the file system of `path`.
    fn space(&self, path: &Path) -> io::Result<Space>;
    /// Takes the lock file at `path` (made if missing) for this process; `WouldBlock` when another one holds it.
    fn lock(&self, path: &Path) -> io::Result<DirLock>;
}

/// Bytes of a whole file: mapped, or owned by the simulator.
pub enum Mapped {
    /// Pages of the file itself.
    Map(memmap2::Mmap),
    /// A copy.
    Owned(Vec<u8>),
}

impl Deref for Mapped {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Mapped::Map(map) => map,
            Mapped::Owned(bytes) => bytes,
        }
    }
}

impl fmt::Debug for Mapped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Mapped({} bytes)", self.len())
    }
}

/// Holds a directory for this process until dropped.
pub struct DirLock(#[allow(dead_code)] Box<dyn Send + Sync>);

impl DirLock {
    /// A lock that is released when `held` is dropped.
    pub fn new(held: impl Send + Sync + 'static) -> Self {
        DirLock(Box::new(held))
    }
}

impl fmt::Debug for DirLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DirLock")
    }
}

/// Whether something failed because there is no room (the disk is full, a quota is used up, every file descriptor is
/// taken), which is no fault of the disk and passes.
pub fn is_disk_full(error: &io::Error) -> bool {
    let no_descriptor =
        [rustix::io::Errno::MFILE, rustix::io::Errno::NFILE].map(|errno| Some(errno.raw_os_error()));
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
        || no_descriptor.contains(&error.raw_os_error())
}

/// Reads exactly `buf.len()` bytes from `position`; `UnexpectedEof` when the file is shorter.
pub fn read_exact_at(file: &dyn File, mut buf: &mut [u8], mut position: u64) -> io::Result<()> {
    while !buf.is_empty() {
        let n = file.read_at(buf, position)?;
        if n == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        buf = &mut buf[n..];
        position += n as u64;
    }
    Ok(())
}

/// Read and written at a time by [`rewrite`].
const REWRITE_CHUNK: u64 = 1 << 20;

/// Writes the bytes `start..end` of a file over themselves. After a failed write-back the kernel takes pages for clean
/// that are in memory only, and does not write them at a later sync; now it has to.
pub fn rewrite(file: &dyn File, start: u64, end: u64) -> io::Result<()> {
    let mut position = start;
    let mut buffer = Vec::new();
    while position < end {
        let len = (end - position).min(REWRITE_CHUNK);
        buffer.resize(usize::try_from(len).expect("at most a chunk"), 0);
        read_exact_at(file, &mut buffer, position)?;
        file.write_all_at(&[IoSlice::new(&buffer)], position)?;
        position += len;
    }
    Ok(())
}

/// All bytes of a file of at most `max` bytes; `InvalidData` when it is longer.
pub fn read_file(disk: &dyn Disk, path: &Path, max: u64) -> io::Result<Vec<u8>> {
    let file = disk.open(path, OpenMode::Read)?;
    let len = file.len()?;
    if len > max {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("{} has {len} bytes", path.display()),
        ));
    }
    let mut bytes = vec![0; usize::try_from(len).expect("at most `max` bytes")];
    read_exact_at(&*file, &mut bytes, 0)?;
    Ok(bytes)
}
