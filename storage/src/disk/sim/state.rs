//! State: what a simulated file system holds, and what is left of it after the power fails.
//!
//! Owned by `SimDisk`, under its lock. Every file has two contents, what programs see (the page cache) and what the
//! platter has; every directory has two lists of names. What always holds: `sync` makes the two equal for what it was
//! asked to sync, nothing else is promised. At a crash
//! - each 4 KiB block written since the file's last sync is old, new, or a mixture of both by sectors of 512 bytes;
//! - the length is any of those the file had since then;
//! - each name change since the directory's last sync happened or not; a rename happens whole.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Component, Path, PathBuf};

use super::rng::Rng;

/// What the page cache writes back at once.
pub(super) const BLOCK: usize = 4096;
/// What a disk writes at once: a block can be torn at these.
const SECTOR: usize = 512;
const EIO: i32 = 5;
pub(super) const ENOSPC: i32 = 28;
const ENOTDIR: i32 = 20;
const EISDIR: i32 = 21;
const ENOTEMPTY: i32 = 39;

pub(super) type Inode = u64;
const ROOT: Inode = 0;

pub(super) fn os_error(code: i32) -> io::Error {
    io::Error::from_raw_os_error(code)
}

pub(super) fn eio() -> io::Error {
    os_error(EIO)
}

/// One file: what is seen and what is on the platter.
#[derive(Clone, Debug, Default)]
pub(super) struct FileNode {
    pub(super) cache: Vec<u8>,
    durable: Vec<u8>,
    /// Blocks changed since the last sync.
    dirty: BTreeSet<usize>,
    /// Lengths the file has had since the last sync; empty when unchanged.
    lengths: Vec<usize>,
    /// Whether a name still leads here, for the space it takes.
    linked: bool,
}

/// One directory: names seen and names on the platter.
#[derive(Clone, Debug, Default)]
struct DirNode {
    entries: BTreeMap<String, Inode>,
    durable: BTreeMap<String, Inode>,
}

#[derive(Clone, Debug)]
enum Node {
    File(FileNode),
    Dir(DirNode),
}

/// A name change that is not yet on the platter.
#[derive(Clone, Debug)]
enum Change {
    Put { dir: Inode, name: String, inode: Inode },
    Remove { dir: Inode, name: String },
    Move { from_dir: Inode, from: String, to_dir: Inode, to: String, inode: Inode },
}

impl Change {
    fn touches(&self, asked: Inode) -> bool {
        match self {
            Change::Put { dir, .. } | Change::Remove { dir, .. } => *dir == asked,
            Change::Move { from_dir, to_dir, .. } => *from_dir == asked || *to_dir == asked,
        }
    }
}

/// Faults to come. Countdowns: 1 means the next call.
#[derive(Clone, Debug, Default)]
pub(super) struct Faults {
    pub(super) write: Option<u64>,
    pub(super) sync: Option<u64>,
    pub(super) power_off: Option<u64>,
    pub(super) short_reads: bool,
    pub(super) cold_reads: bool,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) boot: u64,
    pub(super) rng: Rng,
    pub(super) faults: Faults,
    pub(super) off: bool,
    pub(super) capacity: u64,
    pub(super) used: u64,
    pub(super) changes_made: u64,
    pub(super) locks: BTreeSet<PathBuf>,
    nodes: BTreeMap<Inode, Node>,
    changes: Vec<Change>,
    next_inode: Inode,
}

/// Counts a countdown; true when it strikes.
fn strikes(countdown: &mut Option<u64>) -> bool {
    match countdown {
        Some(1) => {
            *countdown = None;
            true
        }
        Some(n) => {
            *n -= 1;
            false
        }
        None => false,
    }
}

impl State {
    pub(super) fn new(seed: u64) -> Self {
        State {
            boot: 0,
            rng: Rng::new(seed),
            faults: Faults::default(),
            off: false,
            capacity: u64::MAX,
            used: 0,
            changes_made: 0,
            locks: BTreeSet::new(),
            nodes: BTreeMap::from([(ROOT, Node::Dir(DirNode::default()))]),
            changes: Vec::new(),
            next_inode: ROOT + 1,
        }
    }

    /// Called before everything that changes or syncs: counts it, and fails once the power is off.
    pub(super) fn before_change(&mut self) -> io::Result<()> {
        self.changes_made += 1;
        if strikes(&mut self.faults.power_off) {
            self.off = true;
        }
        if self.off { Err(eio()) } else { Ok(()) }
    }

    // Names.

    fn dir(&self, inode: Inode) -> io::Result<&DirNode> {
        match self.nodes.get(&inode) {
            Some(Node::Dir(dir)) => Ok(dir),
            _ => Err(os_error(ENOTDIR)),
        }
    }

    fn dir_mut(&mut self, inode: Inode) -> io::Result<&mut DirNode> {
        match self.nodes.get_mut(&inode) {
            Some(Node::Dir(dir)) => Ok(dir),
            _ => Err(os_error(ENOTDIR)),
        }
    }

    pub(super) fn file(&self, inode: Inode) -> io::Result<&FileNode> {
        match self.nodes.get(&inode) {
            Some(Node::File(file)) => Ok(file),
            Some(Node::Dir(_)) => Err(os_error(EISDIR)),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn file_mut(&mut self, inode: Inode) -> io::Result<&mut FileNode> {
        match self.nodes.get_mut(&inode) {
            Some(Node::File(file)) => Ok(file),
            Some(Node::Dir(_)) => Err(os_error(EISDIR)),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    pub(super) fn lookup(&self, path: &Path) -> io::Result<Inode> {
        let mut inode = ROOT;
        for name in names(path) {
            inode = *self.dir(inode)?.entries.get(&name).ok_or(io::ErrorKind::NotFound)?;
        }
        Ok(inode)
    }

    fn parent(&self, path: &Path) -> io::Result<(Inode, String)> {
        let mut all = names(path);
        let name = all.pop().ok_or(io::ErrorKind::InvalidInput)?;
        let mut inode = ROOT;
        for name in all {
            inode = *self.dir(inode)?.entries.get(&name).ok_or(io::ErrorKind::NotFound)?;
        }
        self.dir(inode)?;
        Ok((inode, name))
    }

    pub(super) fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        Ok(self.dir(self.lookup(path)?)?.entries.keys().cloned().collect())
    }

    fn add(&mut self, dir: Inode, name: String, node: Node) -> io::Result<Inode> {
        let inode = self.next_inode;
        self.next_inode += 1;
        self.nodes.insert(inode, node);
        self.dir_mut(dir)?.entries.insert(name.clone(), inode);
        self.changes.push(Change::Put { dir, name, inode });
        Ok(inode)
    }

    pub(super) fn open(&mut self, path: &Path, create: bool) -> io::Result<Inode> {
        match self.lookup(path) {
            Ok(inode) => self.file(inode).map(|_| inode),
            Err(error) if error.kind() == io::ErrorKind::NotFound && create => {
                let (dir, name) = self.parent(path)?;
                self.before_change()?;
                self.add(dir, name, Node::File(FileNode { linked: true, ..FileNode::default() }))
            }
            Err(error) => Err(error),
        }
    }

    pub(super) fn create_dir_all(&mut self, path: &Path) -> io::Result<()> {
        let mut inode = ROOT;
        for name in names(path) {
            inode = match self.dir(inode)?.entries.get(&name) {
                Some(&next) => next,
                None => {
                    self.before_change()?;
                    self.add(inode, name, Node::Dir(DirNode::default()))?
                }
            };
        }
        self.dir(inode).map(|_| ())
    }

    pub(super) fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let inode = self.lookup(from)?;
        let (from_dir, from) = self.parent(from)?;
        let (to_dir, to) = self.parent(to)?;
        if let Some(&replaced) = self.dir(to_dir)?.entries.get(&to) {
            if replaced == inode {
                return Ok(());
            }
            if let Node::Dir(dir) = &self.nodes[&replaced]
                && !dir.entries.is_empty()
            {
                return Err(os_error(ENOTEMPTY));
            }
            self.unlink(replaced);
        }
        self.before_change()?;
        self.dir_mut(from_dir)?.entries.remove(&from);
        self.dir_mut(to_dir)?.entries.insert(to.clone(), inode);
        self.changes.push(Change::Move { from_dir, from, to_dir, to, inode });
        Ok(())
    }

    pub(super) fn remove_file(&mut self, path: &Path) -> io::Result<()> {
        let inode = self.lookup(path)?;
        self.file(inode)?;
        let (dir, name) = self.parent(path)?;
        self.before_change()?;
        self.dir_mut(dir)?.entries.remove(&name);
        self.changes.push(Change::Remove { dir, name });
        self.unlink(inode);
        Ok(())
    }

    pub(super) fn remove_dir_all(&mut self, path: &Path) -> io::Result<()> {
        let inode = self.lookup(path)?;
        for name in self.dir(inode)?.entries.keys().cloned().collect::<Vec<_>>() {
            let below = path.join(name);
            match self.nodes[&self.lookup(&below)?] {
                Node::File(_) => self.remove_file(&below)?,
                Node::Dir(_) => self.remove_dir_all(&below)?,
            }
        }
        let (dir, name) = self.parent(path)?;
        self.before_change()?;
        self.dir_mut(dir)?.entries.remove(&name);
        self.changes.push(Change::Remove { dir, name });
        Ok(())
    }

    fn unlink(&mut self, inode: Inode) {
        if let Some(Node::File(file)) = self.nodes.get_mut(&inode)
            && file.linked
        {
            file.linked = false;
            self.used -= file.cache.len() as u64;
        }
    }

    // Bytes.

    pub(super) fn write(&mut self, inode: Inode, bytes: &[u8], position: usize) -> io::Result<()> {
        self.before_change()?;
        let failed = strikes(&mut self.faults.write);
        let room = usize::try_from(self.capacity.saturating_sub(self.used)).unwrap_or(usize::MAX);
        let len = self.file(inode)?.cache.len();
        // What fits: everything up to the present end, and as much beyond as there is room.
        let fits = (len.saturating_add(room)).saturating_sub(position).min(bytes.len());
        let written = if failed { self.rng.index(fits + 1) } else { fits };
        if written > 0 {
            self.put(inode, &bytes[..written], position)?;
        }
        match () {
            () if failed => Err(eio()),
            () if fits < bytes.len() => Err(os_error(ENOSPC)),
            () => Ok(()),
        }
    }

    fn put(&mut self, inode: Inode, bytes: &[u8], position: usize) -> io::Result<()> {
        let file = self.file_mut(inode)?;
        let end = position + bytes.len();
        let grown = end.saturating_sub(file.cache.len());
        if grown > 0 {
            file.note_len();
            file.cache.resize(end, 0);
            file.lengths.push(end);
        }
        file.cache[position..end].copy_from_slice(bytes);
        file.dirty.extend(position / BLOCK..=(end - 1) / BLOCK);
        if file.linked {
            self.used += grown as u64;
        }
        Ok(())
    }

    pub(super) fn set_len(&mut self, inode: Inode, len: usize) -> io::Result<()> {
        self.before_change()?;
        let file = self.file_mut(inode)?;
        let old = file.cache.len();
        if len == old {
            return Ok(());
        }
        file.note_len();
        file.cache.resize(len, 0);
        file.lengths.push(len);
        if len < old {
            file.dirty.extend(len / BLOCK..=(old - 1) / BLOCK);
        }
        if file.linked {
            self.used = self.used + len as u64 - old as u64;
        }
        Ok(())
    }

    pub(super) fn sync(&mut self, inode: Inode) -> io::Result<()> {
        self.before_change()?;
        let fails = strikes(&mut self.faults.sync);
        let mut rng = self.rng.clone();
        let file = self.file_mut(inode)?;
        if fails {
            file.forget_some(&mut rng);
        }
        file.make_durable();
        self.rng = rng;
        if fails { Err(eio()) } else { Ok(()) }
    }

    pub(super) fn sync_dir(&mut self, path: &Path) -> io::Result<()> {
        self.before_change()?;
        let inode = self.lookup(path)?;
        self.dir(inode)?;
        if strikes(&mut self.faults.sync) {
            return Err(eio());
        }
        let (now, later) = std::mem::take(&mut self.changes).into_iter().partition(|c| c.touches(inode));
        self.changes = later;
        self.apply(now);
        Ok(())
    }

    pub(super) fn sync_all(&mut self) -> io::Result<()> {
        self.before_change()?;
        let fails = strikes(&mut self.faults.sync);
        if !fails {
            let all = std::mem::take(&mut self.changes);
            self.apply(all);
        }
        for node in self.nodes.values_mut() {
            if let Node::File(file) = node {
                if fails {
                    file.forget_some(&mut self.rng);
                }
                file.make_durable();
            }
        }
        if fails { Err(eio()) } else { Ok(()) }
    }

    fn apply(&mut self, changes: Vec<Change>) {
        for change in changes {
            let mut edit = |dir: Inode, name: String, to: Option<Inode>| {
                if let Some(Node::Dir(dir)) = self.nodes.get_mut(&dir) {
                    match to {
                        Some(inode) => dir.durable.insert(name, inode),
                        None => dir.durable.remove(&name),
                    };
                }
            };
            match change {
                Change::Put { dir, name, inode } => edit(dir, name, Some(inode)),
                Change::Remove { dir, name } => edit(dir, name, None),
                Change::Move { from_dir, from, to_dir, to, inode } => {
                    edit(from_dir, from, None);
                    edit(to_dir, to, Some(inode));
                }
            }
        }
    }

    // The end.

    /// The power fails and comes back: what was not synced is there or not, as the dice say.
    pub(super) fn crash(&mut self) {
        // One in five crashes keeps everything (a killed process), one in five only what was synced.
        let (keep_blocks, keep_names) = match self.rng.below(5) {
            0 => (100, 100),
            1 => (0, 0),
            _ => (self.rng.below(101), self.rng.below(101)),
        };
        let mut rng = self.rng.clone();
        let mut changes = std::mem::take(&mut self.changes);
        if rng.percent(50) {
            // As a journaling file system: the first so many.
            let kept = changes.len() as u64 * keep_names / 100;
            changes.truncate(usize::try_from(kept).expect("at most the length"));
        } else {
            changes.retain(|_| rng.percent(keep_names));
        }
        self.apply(changes);
        for node in self.nodes.values_mut() {
            match node {
                Node::File(file) => file.crash(&mut rng, keep_blocks),
                Node::Dir(dir) => dir.entries = dir.durable.clone(),
            }
        }
        self.rng = rng;
        self.sweep();
        self.off = false;
        self.restart();
    }

    /// Another process: nothing is lost but open handles, locks and faults to come.
    pub(super) fn restart(&mut self) {
        self.boot += 1;
        self.faults = Faults::default();
        self.locks.clear();
    }

    /// Forgets what no name leads to, and counts the space again.
    fn sweep(&mut self) {
        let mut reached = BTreeSet::new();
        let mut todo = vec![ROOT];
        while let Some(inode) = todo.pop() {
            reached.insert(inode);
            if let Some(Node::Dir(dir)) = self.nodes.get(&inode) {
                todo.extend(dir.entries.values());
            }
        }
        self.nodes.retain(|inode, _| reached.contains(inode));
        self.used = 0;
        for node in self.nodes.values_mut() {
            if let Node::File(file) = node {
                file.linked = true;
                self.used += file.cache.len() as u64;
            }
        }
    }

    /// Flips one bit, in memory and on the platter.
    pub(super) fn flip(&mut self, inode: Inode, bit: usize) -> io::Result<()> {
        let file = self.file_mut(inode)?;
        for bytes in [&mut file.cache, &mut file.durable] {
            if let Some(byte) = bytes.get_mut(bit / 8) {
                *byte ^= 1 << (bit % 8);
            }
        }
        Ok(())
    }

    /// A checksum over everything, seen and durable.
    pub(super) fn digest(&self) -> u32 {
        let mut hasher = crc32fast::Hasher::new();
        for (inode, node) in &self.nodes {
            hasher.update(&inode.to_be_bytes());
            match node {
                Node::File(file) => {
                    hasher.update(&file.cache);
                    hasher.update(&file.durable);
                }
                Node::Dir(dir) => hasher.update(format!("{dir:?}").as_bytes()),
            }
        }
        hasher.finalize()
    }
}

impl FileNode {
    fn note_len(&mut self) {
        if self.lengths.is_empty() {
            self.lengths.push(self.durable.len());
        }
    }

    /// As Linux after a failed write-back: what could not be written counts as clean, though only memory has it.
    fn forget_some(&mut self, rng: &mut Rng) {
        self.dirty.retain(|_| rng.percent(50));
    }

    fn make_durable(&mut self) {
        if !self.lengths.is_empty() {
            self.durable.resize(self.cache.len(), 0);
        }
        for block in std::mem::take(&mut self.dirty) {
            let start = block * BLOCK;
            let end = (start + BLOCK).min(self.cache.len()).min(self.durable.len());
            if start < end {
                self.durable[start..end].copy_from_slice(&self.cache[start..end]);
            }
        }
        self.lengths.clear();
    }

    fn crash(&mut self, rng: &mut Rng, keep: u64) {
        let len = match (self.lengths.is_empty(), keep) {
            (true, _) | (_, 0) => self.durable.len(),
            (_, 100) => self.cache.len(),
            _ => self.lengths[rng.index(self.lengths.len())],
        };
        let mut left = std::mem::take(&mut self.durable);
        left.resize(len, 0);
        for block in std::mem::take(&mut self.dirty) {
            if rng.percent(keep) {
                let torn = keep < 100 && rng.percent(20);
                self.write_back(&mut left, block, torn.then_some(&mut *rng));
            }
        }
        self.cache.clone_from(&left);
        self.durable = left;
        self.lengths.clear();
    }

    /// Copies what is seen of one block; with dice, only some of its sectors.
    fn write_back(&self, left: &mut [u8], block: usize, mut torn: Option<&mut Rng>) {
        for start in (block * BLOCK..(block + 1) * BLOCK).step_by(SECTOR) {
            let end = (start + SECTOR).min(left.len());
            if start >= end {
                break;
            }
            let seen = |i: usize| self.cache.get(i).copied().unwrap_or(0);
            // A disk writes a sector as a whole: the old bytes, durable ones among them, or the new.
            if torn.as_mut().is_none_or(|rng| rng.percent(50)) {
                (start..end).for_each(|i| left[i] = seen(i));
            }
        }
    }
}

/// The names a path goes through; `.` and the root count for nothing.
fn names(path: &Path) -> Vec<String> {
    path.components()
        .filter_map(|component| match component {
            Component::Normal(name) => Some(name.to_string_lossy().into_owned()),
            _ => None,
        })
        .collect()
}
