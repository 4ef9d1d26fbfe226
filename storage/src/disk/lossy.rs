//! [`LossyDisk`]: a real disk on which kill -9 loses what was not synced, as a power cut does. Brokers use it in test builds
//! only.
//!
//! What is written to a file stays in this process's memory, block by block, until the file is synced; a few blocks reach the
//! disk sooner, in no order, as a kernel writes back when it likes. Names are the kernel's: files that were made or renamed
//! stay so. The sync itself is the real one.

use std::collections::BTreeMap;
use std::io::{self, IoSlice};
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{DirLock, Disk, File, Mapped, OpenMode, OsDisk, Space, read_exact_at};

/// Bytes that are lost or kept together.
const BLOCK: u64 = 4096;
/// See the module.
#[derive(Clone, Debug)]
pub struct LossyDisk {
    /// One write in so many sends a waiting block to the disk; none does at 0.
    write_back_every: u64,
    /// The files that were opened, with what is not on the disk yet. A file that has nothing in memory and no handle is
    /// forgotten when another is opened.
    files: Arc<Mutex<BTreeMap<PathBuf, Arc<Held>>>>,
}

/// A file and what of it is in memory only.
#[derive(Debug)]
struct Held {
    disk: Arc<dyn File>,
    memory: Mutex<Memory>,
}

#[derive(Debug)]
struct Memory {
    /// Length as this process sees it.
    len: u64,
    /// The file was cut to this length, and the disk does not know.
    cut: Option<u64>,
    /// Blocks by their number.
    blocks: BTreeMap<u64, Vec<u8>>,
    /// Whether there is anything to tell the disk.
    dirty: bool,
    /// Chance of the blocks that are written back unasked.
    chance: u64,
    write_back_every: u64,
}

impl Held {
    fn memory(&self) -> MutexGuard<'_, Memory> {
        // Each change under this lock is whole.
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells the disk everything.
    fn write_back(&self) -> io::Result<()> {
        let mut memory = self.memory();
        if !memory.dirty {
            return Ok(());
        }
        if let Some(cut) = memory.cut.take() {
            self.disk.set_len(cut)?;
        }
        let len = memory.len;
        for (number, block) in std::mem::take(&mut memory.blocks) {
            self.write_block(number, &block, len)?;
        }
        if self.disk.len()? != len {
            self.disk.set_len(len)?;
        }
        memory.dirty = false;
        Ok(())
    }

    fn write_block(&self, number: u64, block: &[u8], len: u64) -> io::Result<()> {
        let start = number * BLOCK;
        let part = len.saturating_sub(start).min(BLOCK) as usize;
        self.disk.write_all_at(&[IoSlice::new(&block[..part])], start)
    }
}

impl Memory {
    /// The block as it is now.
    fn block(&mut self, number: u64, disk: &dyn File) -> io::Result<&mut Vec<u8>> {
        if !self.blocks.contains_key(&number) {
            let mut block = vec![0; BLOCK as usize];
            // What lies behind a cut is zeros, whatever the disk still has there.
            let known = self.cut.unwrap_or(u64::MAX).min(disk.len()?);
            let part = known.saturating_sub(number * BLOCK).min(BLOCK) as usize;
            read_exact_at(disk, &mut block[..part], number * BLOCK)?;
            self.blocks.insert(number, block);
        }
        Ok(self.blocks.get_mut(&number).expect("it was just put there"))
    }

    fn write(&mut self, mut bytes: &[u8], mut position: u64, disk: &dyn File) -> io::Result<()> {
        while !bytes.is_empty() {
            let at = (position % BLOCK) as usize;
            let part = bytes.len().min(BLOCK as usize - at);
            self.block(position / BLOCK, disk)?[at..at + part].copy_from_slice(&bytes[..part]);
            bytes = &bytes[part..];
            position += part as u64;
            self.len = self.len.max(position);
        }
        self.dirty = true;
        Ok(())
    }

    fn read(&self, buf: &mut [u8], position: u64, disk: &dyn File) -> io::Result<usize> {
        let total = self.len.saturating_sub(position).min(buf.len() as u64) as usize;
        let known = self.cut.unwrap_or(u64::MAX).min(disk.len()?);
        let mut done = 0;
        while done < total {
            let from = position + done as u64;
            let at = (from % BLOCK) as usize;
            let part = (total - done).min(BLOCK as usize - at);
            let to = &mut buf[done..done + part];
            match self.blocks.get(&(from / BLOCK)) {
                Some(block) => to.copy_from_slice(&block[at..at + part]),
                None => {
                    let there = known.saturating_sub(from).min(part as u64) as usize;
                    read_exact_at(disk, &mut to[..there], from)?;
                    to[there..].fill(0);
                }
            }
            done += part;
        }
        Ok(total)
    }

    fn set_len(&mut self, len: u64) {
        if len < self.len {
            self.cut = Some(self.cut.map_or(len, |cut| cut.min(len)));
            self.blocks.retain(|number, _| number * BLOCK < len);
            if let Some(block) = self.blocks.get_mut(&(len / BLOCK)) {
                block[(len % BLOCK) as usize..].fill(0);
            }
        }
        self.len = len;
        self.dirty = true;
    }

    /// A block that the disk gets unasked.
    fn unasked(&mut self) -> Option<(u64, Vec<u8>)> {
        self.chance =
            self.chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let drawn = self.chance >> 33;
        let every = self.write_back_every;
        if every == 0 || self.cut.is_some() || !drawn.is_multiple_of(every) || self.blocks.is_empty() {
            return None;
        }
        let nth = (drawn / every) as usize % self.blocks.len();
        let number = *self.blocks.keys().nth(nth)?;
        // It stays in memory too: a block that is written again is dirty again.
        self.blocks.get(&number).map(|block| (number, block.clone()))
    }
}

/// A handle.
#[derive(Debug)]
struct LossyFile(Arc<Held>);

impl File for LossyFile {
    fn write_all_at(&self, bufs: &[IoSlice<'_>], position: u64) -> io::Result<()> {
        let mut memory = self.0.memory();
        let mut position = position;
        for buf in bufs {
            memory.write(buf, position, &*self.0.disk)?;
            position += buf.len() as u64;
        }
        let len = memory.len;
        match memory.unasked() {
            Some((number, block)) => self.0.write_block(number, &block, len),
            None => Ok(()),
        }
    }

    fn read_at(&self, buf: &mut [u8], position: u64) -> io::Result<usize> {
        self.0.memory().read(buf, position, &*self.0.disk)
    }

    fn read_cached_at(&self, buf: &mut [u8], position: u64) -> io::Result<Option<usize>> {
        self.read_at(buf, position).map(Some)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.write_back()?;
        self.0.disk.sync_data()
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.memory().set_len(len);
        Ok(())
    }

    fn extend(&self, len: u64) -> io::Result<()> {
        let mut memory = self.0.memory();
        if len > memory.len {
            memory.set_len(len);
        }
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.0.memory().len)
    }

    fn fd(&self) -> Option<BorrowedFd<'_>> {
        // The kernel does not know what is in memory.
        None
    }
}

impl LossyDisk {
    /// A disk that gets a block unasked at one write in `write_back_every`, or none at 0.
    pub fn new(write_back_every: u64) -> LossyDisk {
        LossyDisk { write_back_every, files: Arc::default() }
    }

    fn files(&self) -> MutexGuard<'_, BTreeMap<PathBuf, Arc<Held>>> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Disk for LossyDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn File>> {
        let mut files = self.files();
        files.retain(|_, held| Arc::strong_count(held) > 1 || held.memory().dirty);
        if let Some(held) = files.get(path) {
            return Ok(Arc::new(LossyFile(Arc::clone(held))));
        }
        // Handles of one file share what is in memory, so the first must be able to write for all.
        let disk = match mode {
            OpenMode::Create => OsDisk.open(path, OpenMode::Create)?,
            _ => OsDisk.open(path, OpenMode::ReadWrite)?,
        };
        let len = disk.len()?;
        let chance = path.as_os_str().len() as u64 ^ len;
        let memory = Memory {
            len,
            cut: None,
            blocks: BTreeMap::new(),
            dirty: false,
            chance,
            write_back_every: self.write_back_every,
        };
        let held = Arc::new(Held { disk, memory: Mutex::new(memory) });
        files.insert(path.to_owned(), Arc::clone(&held));
        Ok(Arc::new(LossyFile(held)))
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        OsDisk.create_dir_all(path)
    }

    fn read_dir(&self, path: &Path) -> io::Result<Vec<String>> {
        OsDisk.read_dir(path)
    }

    fn file_len(&self, path: &Path) -> io::Result<u64> {
        let held = self.files().get(path).map(|held| held.memory().len);
        held.map_or_else(|| OsDisk.file_len(path), Ok)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut files = self.files();
        OsDisk.rename(from, to)?;
        files.retain(|path, _| !path.starts_with(to));
        let moved: Vec<PathBuf> = files.keys().filter(|path| path.starts_with(from)).cloned().collect();
        for path in moved {
            let held = files.remove(&path).expect("it was just listed");
            let rest = path.strip_prefix(from).expect("it starts with it");
            let name = if rest.as_os_str().is_empty() { to.to_owned() } else { to.join(rest) };
            files.insert(name, held);
        }
        Ok(())
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        let mut files = self.files();
        OsDisk.remove_file(path)?;
        files.remove(path);
        Ok(())
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        let mut files = self.files();
        OsDisk.remove_dir_all(path)?;
        files.retain(|held, _| !held.starts_with(path));
        Ok(())
    }

    fn exists(&self, path: &Path) -> bool {
        OsDisk.exists(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        OsDisk.sync_dir(path)
    }

    fn watch_filesystem(&self, path: &Path) -> io::Result<bool> {
        OsDisk.watch_filesystem(path)
    }

    fn sync_filesystem(&self, path: &Path) -> io::Result<()> {
        let all: Vec<Arc<Held>> = self.files().values().cloned().collect();
        all.iter().try_for_each(|held| held.write_back())?;
        OsDisk.sync_filesystem(path)
    }

    fn map(&self, path: &Path) -> io::Result<Mapped> {
        super::read_file(self, path, u64::MAX).map(Mapped::Owned)
    }

    fn space(&self, path: &Path) -> io::Result<Space> {
        OsDisk.space(path)
    }

    fn lock(&self, path: &Path) -> io::Result<DirLock> {
        OsDisk.lock(path)
    }
}

#[cfg(test)]
mod tests;
