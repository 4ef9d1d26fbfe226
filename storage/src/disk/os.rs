//! The real disk. The only file of the project that talks to the file system.
//!
//! Nothing here buffers: what a call returns is what the kernel said.
#![allow(clippy::disallowed_methods, reason = "this file owns the file system")]

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use rustix::fs::FlockOperation;
use rustix::io::ReadWriteFlags;

use super::{DirLock, Disk, File, Mapped, OpenMode, Space};

/// The file system of the machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct OsDisk;

/// Most buffers one `pwritev` takes on Linux (IOV_MAX).
const BUFFERS_PER_WRITE: usize = 1024;

#[derive(Debug)]
struct OsFile(fs::File);

impl File for OsFile {
    fn write_all_at(&self, bufs: &[IoSlice<'_>], position: u64) -> io::Result<()> {
        let mut position = position;
        for group in bufs.chunks(BUFFERS_PER_WRITE) {
            position += write_group(&self.0, group, position)?;
        }
        Ok(())
    }

    fn read_at(&self, buf: &mut [u8], position: u64) -> io::Result<usize> {
        loop {
            match self.0.read_at(buf, position) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                result => return result,
            }
        }
    }

    fn read_cached_at(&self, buf: &mut [u8], position: u64) -> io::Result<Option<usize>> {
        let result =
            rustix::io::preadv2(&self.0, &mut [io::IoSliceMut::new(buf)], position, ReadWriteFlags::NOWAIT);
        match result {
            Ok(n) => Ok(Some(n)),
            Err(rustix::io::Errno::AGAIN) => Ok(None),
            // A file system without RWF_NOWAIT cannot say, so it counts as not cached.
            Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::INTR) => Ok(None),
            Err(e) => Err(e.into()),
        }
    }

    fn sync_data(&self) -> io::Result<()> {
        rustix::fs::fdatasync(&self.0).map_err(Into::into)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn reserve(&self, bytes: u64) -> io::Result<()> {
        Ok(rustix::fs::fallocate(&self.0, rustix::fs::FallocateFlags::KEEP_SIZE, 0, bytes)?)
    }

    fn extend(&self, len: u64) -> io::Result<()> {
        let from = self.len()?;
        if len <= from {
            return Ok(());
        }
        Ok(rustix::fs::fallocate(&self.0, rustix::fs::FallocateFlags::empty(), from, len - from)?)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn fd(&self) -> Option<BorrowedFd<'_>> {
        Some(self.0.as_fd())
    }
}

/// Writes one group of buffers whole and returns its length. Short writes go on where they stopped.
fn write_group(file: &fs::File, bufs: &[IoSlice<'_>], start: u64) -> io::Result<u64> {
    let total: u64 = bufs.iter().map(|b| b.len() as u64).sum();
    let mut done = retry_pwritev(file, bufs, start)?;
    if done == total {
        return Ok(total);
    }
    // Rare: finish buffer by buffer.
    let mut skip = done;
    for buf in bufs {
        let len = buf.len() as u64;
        if skip >= len {
            skip -= len;
            continue;
        }
        let from = usize::try_from(skip).expect("less than a buffer's length");
        file.write_all_at(&buf[from..], start + done)?;
        done += len - skip;
        skip = 0;
    }
    Ok(total)
}

fn retry_pwritev(file: &fs::File, bufs: &[IoSlice<'_>], position: u64) -> io::Result<u64> {
    loop {
        match rustix::io::pwritev(file, bufs, position) {
            Ok(n) => return Ok(n as u64),
            Err(rustix::io::Errno::INTR) => {}
            Err(e) => return Err(e.into()),
        }
    }
}

/// One directory of each file system that is watched or was ever synced as a whole. They stay open, because the kernel
/// tells a failed write-back only to descriptors that were open when it happened.
static HELD_DIRECTORIES: Mutex<BTreeMap<u64, Arc<fs::File>>> = Mutex::new(BTreeMap::new());

/// The held directory of the file system of `path`, which is that of `path` if there was none.
fn held_directory(path: &Path) -> io::Result<Arc<fs::File>> {
    let device = fs::metadata(path)?.dev();
    // Nothing panics under this lock.
    let mut held = HELD_DIRECTORIES.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(directory) = held.get(&device) {
        return Ok(Arc::clone(directory));
    }
    let directory = Arc::new(fs::File::open(path)?);
    held.insert(device, Arc::clone(&directory));
    Ok(directory)
}

/// Magic numbers of the file systems whose `syncfs` does for every file what `fdatasync` does for one: ext4 (and ext2, ext3),
/// XFS, Btrfs, F2FS, tmpfs. Those that keep files elsewhere need not tell the other side.
const WHOLE_SYNC_FILESYSTEMS: [u32; 5] = [0xEF53, 0x5846_5342, 0x9123_683E, 0xF2F5_2010, 0x0102_1994];
/// First kernel whose `syncfs` reports failed writes.
const WHOLE_SYNC_KERNEL: (u32, u32) = (5, 8);

fn reports_whole_syncs() -> bool {
    kernel_version(&rustix::system::uname().release().to_string_lossy())
        .is_some_and(|version| version >= WHOLE_SYNC_KERNEL)
}

/// Major and minor number of a release as `6.1.0-18-amd64`.
fn kernel_version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(|number| number.parse().ok());
    Some((numbers.next()??, numbers.next()??))
}

impl Disk for OsDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn File>> {
        let mut options = fs::OpenOptions::new();
        match mode {
            OpenMode::Read => options.read(true),
            OpenMode::ReadWrite => options.read(true).write(true),
            OpenMode::Create => options.read(true).write(true).create(true).truncate(false),
        };
        Ok(Arc::new(OsFile(options.open(path)?)))
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        fs::create_dir_all(path)
    }

    fn read_dir(&self, path: &Path) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(path)? {
            if let Ok(name) = entry?.file_name().into_string() {
                names.push(name);
            }
        }
        Ok(names)
    }

    fn file_len(&self, path: &Path) -> io::Result<u64> {
        Ok(fs::metadata(path)?.len())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        fs::remove_dir_all(path)
    }

    fn exists(&self, path: &Path) -> bool {
        path.exists()
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        fs::File::open(path)?.sync_all()
    }

    fn watch_filesystem(&self, path: &Path) -> io::Result<bool> {
        let directory = held_directory(path)?;
        let kind = rustix::fs::fstatfs(&*directory)?.f_type;
        Ok(WHOLE_SYNC_FILESYSTEMS.contains(&(kind as u32)) && reports_whole_syncs())
    }

    fn sync_filesystem(&self, path: &Path) -> io::Result<()> {
        rustix::fs::syncfs(&*held_directory(path)?).map_err(Into::into)
    }

    fn map(&self, path: &Path) -> io::Result<Mapped> {
        let file = fs::File::open(path)?;
        if file.metadata()?.len() == 0 {
            return Ok(Mapped::Owned(Vec::new()));
        }
        // SAFETY: only sealed files are mapped: they are written once, renamed into place, and never changed or cut
        // by this process; another program that cuts them while the broker runs can stop it with SIGBUS.
        unsafe { memmap2::Mmap::map(&file) }.map(Mapped::Map)
    }

    fn space(&self, path: &Path) -> io::Result<Space> {
        let stat = rustix::fs::statvfs(path)?;
        Ok(Space { total: stat.f_blocks * stat.f_frsize, free: stat.f_bavail * stat.f_frsize })
    }

    fn lock(&self, path: &Path) -> io::Result<DirLock> {
        let file = fs::OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive)?;
        Ok(DirLock::new(file))
    }
}

#[cfg(test)]
mod tests;
