//! SimDisk: a file system in memory whose power can fail at any call, for tests of what survives.
//!
//! It promises what POSIX promises and nothing more (see `state`). What always holds: the same seed and the same calls
//! give the same result, byte for byte. It also fails on demand: the k-th write or sync, no room left, flipped bits,
//! short reads. After `crash` everything from before, handles and the disk value itself, answers only errors.

use std::io::{self, IoSlice};
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use super::{DirLock, Disk, File, Mapped, OpenMode, Space};

mod rng;
mod state;

pub use rng::Rng;
use state::{Inode, State, eio};

/// A simulated disk, as one boot of the machine sees it. Clones see the same disk.
#[derive(Clone, Debug)]
pub struct SimDisk {
    state: Arc<Mutex<State>>,
    boot: u64,
}

impl SimDisk {
    /// An empty disk of unlimited size; `seed` decides everything that is left to chance.
    pub fn new(seed: u64) -> Self {
        SimDisk { state: Arc::new(Mutex::new(State::new(seed))), boot: 0 }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no call panics while it holds the lock")
    }

    /// The state, if this value is of the present boot and the power is on.
    fn live(&self) -> io::Result<MutexGuard<'_, State>> {
        let state = self.state();
        if state.boot != self.boot || state.off { Err(eio()) } else { Ok(state) }
    }

    /// The power fails and comes back. Returns the disk as the next boot finds it; this value is dead from now on.
    #[must_use]
    pub fn crash(&self) -> SimDisk {
        let mut state = self.state();
        state.crash();
        SimDisk { state: Arc::clone(&self.state), boot: state.boot }
    }

    /// The process dies and another one starts, the machine stays up: everything is seen as before, also what a failed
    /// sync has left in memory only. Returns the disk as the new process finds it; this value is dead from now on.
    #[must_use]
    pub fn restart(&self) -> SimDisk {
        let mut state = self.state();
        state.restart();
        SimDisk { state: Arc::clone(&self.state), boot: state.boot }
    }

    /// The power fails at the `nth` change or sync from now (1: the next): from then on every call fails, until `crash`.
    pub fn power_off_at(&self, nth: u64) {
        self.state().faults.power_off = Some(nth);
    }

    /// Whether the power is off.
    pub fn is_off(&self) -> bool {
        self.state().off
    }

    /// The `nth` write from now fails with EIO; some of its bytes may have been written.
    pub fn fail_write(&self, nth: u64) {
        self.state().faults.write = Some(nth);
    }

    /// The `nth` sync from now (of a file, a directory, the file system) fails with EIO, and half of the bytes it should
    /// have made durable are forgotten: they are still read, but a second sync succeeds and lies.
    pub fn fail_sync(&self, nth: u64) {
        self.state().faults.sync = Some(nth);
    }

    /// Gives the disk this many bytes in all; writes beyond fail with ENOSPC after what fits.
    pub fn set_capacity(&self, bytes: u64) {
        self.state().capacity = bytes;
    }

    /// Reads return fewer bytes than asked, at random.
    pub fn set_short_reads(&self, on: bool) {
        self.state().faults.short_reads = on;
    }

    /// Cached reads sometimes say that the disk must be asked.
    pub fn set_cold_reads(&self, on: bool) {
        self.state().faults.cold_reads = on;
    }

    /// Flips one bit of a file, as a rotten disk does: `bit / 8` is the byte.
    pub fn flip(&self, path: &Path, bit: usize) -> io::Result<()> {
        let mut state = self.state();
        let inode = state.lookup(path)?;
        state.flip(inode, bit)
    }

    /// Bytes in files that have a name.
    pub fn used(&self) -> u64 {
        self.state().used
    }

    /// How many changes and syncs there were so far: what `power_off_at` counts.
    pub fn changes_made(&self) -> u64 {
        self.state().changes_made
    }

    /// A checksum over all content, to compare two runs of one seed.
    pub fn digest(&self) -> u32 {
        self.state().digest()
    }
}

#[derive(Debug)]
struct SimFile {
    disk: SimDisk,
    inode: Inode,
    writable: bool,
}

impl SimFile {
    fn writable(&self) -> io::Result<MutexGuard<'_, State>> {
        if !self.writable {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        self.disk.live()
    }
}

fn to_usize(position: u64) -> io::Result<usize> {
    usize::try_from(position).map_err(|_| io::ErrorKind::InvalidInput.into())
}

impl File for SimFile {
    fn write_all_at(&self, bufs: &[IoSlice<'_>], position: u64) -> io::Result<()> {
        let bytes: Vec<u8> = bufs.iter().flat_map(|buf| buf.iter().copied()).collect();
        self.writable()?.write(self.inode, &bytes, to_usize(position)?)
    }

    fn read_at(&self, buf: &mut [u8], position: u64) -> io::Result<usize> {
        let mut state = self.disk.live()?;
        let len = state.file(self.inode)?.cache.len();
        let start = to_usize(position)?.min(len);
        let mut n = (len - start).min(buf.len());
        if state.faults.short_reads && n > 1 && state.rng.percent(30) {
            n = 1 + state.rng.index(n - 1);
        }
        buf[..n].copy_from_slice(&state.file(self.inode)?.cache[start..start + n]);
        Ok(n)
    }

    fn read_cached_at(&self, buf: &mut [u8], position: u64) -> io::Result<Option<usize>> {
        {
            let mut state = self.disk.live()?;
            if state.faults.cold_reads && state.rng.percent(50) {
                return Ok(None);
            }
        }
        self.read_at(buf, position).map(Some)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.disk.live()?.sync(self.inode)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.writable()?.set_len(self.inode, to_usize(len)?)
    }

    fn extend(&self, len: u64) -> io::Result<()> {
        let more = len.saturating_sub(self.len()?);
        let mut state = self.writable()?;
        if more > state.capacity.saturating_sub(state.used) {
            return Err(state::os_error(state::ENOSPC));
        }
        if more > 0 { state.set_len(self.inode, to_usize(len)?) } else { Ok(()) }
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.disk.live()?.file(self.inode)?.cache.len() as u64)
    }

    fn fd(&self) -> Option<BorrowedFd<'_>> {
        None
    }
}

impl Disk for SimDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn File>> {
        let inode = self.live()?.open(path, mode == OpenMode::Create)?;
        Ok(Arc::new(SimFile { disk: self.clone(), inode, writable: mode != OpenMode::Read }))
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        self.live()?.create_dir_all(path)
    }

    fn read_dir(&self, path: &Path) -> io::Result<Vec<String>> {
        self.live()?.list(path)
    }

    fn file_len(&self, path: &Path) -> io::Result<u64> {
        let state = self.live()?;
        Ok(state.file(state.lookup(path)?)?.cache.len() as u64)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.live()?.rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.live()?.remove_file(path)
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        self.live()?.remove_dir_all(path)
    }

    fn exists(&self, path: &Path) -> bool {
        self.live().is_ok_and(|state| state.lookup(path).is_ok())
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.live()?.sync_dir(path)
    }

    fn watch_filesystem(&self, _path: &Path) -> io::Result<bool> {
        self.live().map(|_| true)
    }

    fn sync_filesystem(&self, _path: &Path) -> io::Result<()> {
        self.live()?.sync_all()
    }

    fn map(&self, path: &Path) -> io::Result<Mapped> {
        let state = self.live()?;
        Ok(Mapped::Owned(state.file(state.lookup(path)?)?.cache.clone()))
    }

    fn space(&self, _path: &Path) -> io::Result<Space> {
        let state = self.live()?;
        Ok(Space { total: state.capacity, free: state.capacity.saturating_sub(state.used) })
    }

    fn lock(&self, path: &Path) -> io::Result<DirLock> {
        let mut state = self.live()?;
        state.open(path, true)?;
        if !state.locks.insert(path.to_owned()) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(DirLock::new(HeldLock { disk: self.clone(), path: path.to_owned() }))
    }
}

/// Releases the lock when dropped, unless the machine has crashed meanwhile.
struct HeldLock {
    disk: SimDisk,
    path: PathBuf,
}

impl Drop for HeldLock {
    fn drop(&mut self) {
        if let Ok(mut state) = self.disk.live() {
            state.locks.remove(&self.path);
        }
    }
}

#[cfg(test)]
mod tests;
