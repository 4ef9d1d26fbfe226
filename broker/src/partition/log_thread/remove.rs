//! Taking partitions away: the directory is renamed at once, its files go later and elsewhere.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tidemark_protocol::types::Now;
use tidemark_storage::disk::Disk;

use super::LogThread;
use crate::partition::PartitionError;
use crate::partition::directory::Directory;
use crate::partition::error::ProduceError;
use crate::partition::inbox::{Command, Slot};
use crate::partition::outlet::FollowerPlace;
use crate::partition::writer::{LogState, PartitionWriter};

/// Directories that were renamed and wait for their end.
#[derive(Default)]
pub(super) struct Removals {
    waiting: BTreeMap<(Duration, u64), PathBuf>,
    count: u64,
}

impl Removals {
    /// When the next directory goes.
    pub(super) fn due(&self) -> Option<Duration> {
        self.waiting.first_key_value().map(|((due, _), _)| *due)
    }

    fn push(&mut self, due: Duration, path: PathBuf) {
        self.count += 1;
        self.waiting.insert((due, self.count), path);
    }

    /// Removes all that wait, now.
    pub(super) fn submit_all(&mut self, directory: &Directory) {
        for path in std::mem::take(&mut self.waiting).into_values() {
            remove_later(directory, path);
        }
    }
}

impl LogThread {
    /// Takes a partition away, once no sync of its files is under way.
    pub(super) fn remove(&mut self, slot: Slot, command: Command, now: Now) {
        let flushing = self.writer(slot).is_some_and(|writer| writer.flags.flushing);
        if flushing {
            self.leaving.push((slot, command));
            return;
        }
        let Command::Remove { reply } = command else { return };
        let Some(writer) = self.writers.get_mut(slot as usize).and_then(Option::take) else { return };
        let result = self.take_away(slot, *writer, now);
        // The asker may have gone; the partition is gone too.
        let _ = reply.send(result.map_err(|error| PartitionError::Storage(error.to_string())));
    }

    /// Takes away the partitions that only waited for a sync.
    pub(super) fn remove_leaving(&mut self, now: Now) {
        for (slot, command) in std::mem::take(&mut self.leaving) {
            self.remove(slot, command, now);
        }
    }

    fn take_away(&mut self, slot: Slot, mut writer: PartitionWriter, now: Now) -> io::Result<()> {
        writer.close(&ProduceError::Closed);
        if writer.is_replicated() {
            self.directory.outlet.tell_place(FollowerPlace::gone(writer.handle.clone()));
        }
        if let Some(due) = writer.due {
            self.due.remove(&(due, slot));
        }
        let (handle, dir) = (writer.handle.clone(), self.directory.path.join(writer.handle.tp().to_string()));
        self.journal.forget(handle.id(), now.mono);
        let delay =
            Duration::from_millis(u64::try_from(handle.config().log.file_delete_delay_ms).unwrap_or(0));
        let unique = unique_name(slot, now);
        let renamed = match writer.state {
            LogState::Open(open) => open.log.delete(&unique)?,
            LogState::Unopened | LogState::Offline(_) => rename(&*self.directory.log.disk, &dir, &unique)?,
        };
        if let Some(path) = renamed {
            self.removals.push(now.mono.saturating_add(delay), path);
        }
        Ok(())
    }

    /// Renames a directory that is in the way and removes it.
    pub(super) fn put_aside(&mut self, dir: &Path, now: Now) -> io::Result<()> {
        let unique = unique_name(Slot::MAX, now);
        if let Some(path) = rename(&*self.directory.log.disk, dir, &unique)? {
            self.removals.push(now.mono, path);
        }
        Ok(())
    }

    /// Removes the directories whose time has come.
    pub(super) fn remove_due(&mut self, now: Now) {
        while let Some(entry) = self.removals.waiting.first_entry() {
            if entry.key().0 > now.mono {
                break;
            }
            remove_later(&self.directory, entry.remove());
        }
    }
}

/// Unique among the directories this thread ever renamed, as long as the wall clock moves between two starts.
fn unique_name(slot: Slot, now: Now) -> String {
    format!("{:016x}{:016x}", now.wall_ms, (u64::from(slot) << 32) | u64::from(now.mono.subsec_nanos()))
}

fn rename(disk: &dyn Disk, dir: &Path, unique: &str) -> io::Result<Option<PathBuf>> {
    if !disk.exists(dir) {
        return Ok(None);
    }
    let name = dir.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    let renamed = dir.with_file_name(format!("{name}.{unique}{DELETED_SUFFIX}"));
    disk.rename(dir, &renamed)?;
    if let Some(parent) = dir.parent() {
        disk.sync_dir(parent)?;
    }
    Ok(Some(renamed))
}

/// How the names of directories end that only wait to be removed.
pub(crate) const DELETED_SUFFIX: &str = "-delete";

/// Removes a directory on the background thread. What fails is tried again at the next start.
pub(crate) fn remove_later(directory: &Directory, path: PathBuf) {
    let disk = std::sync::Arc::clone(&directory.log.disk);
    directory.background.submit(Box::new(move || {
        if let Err(error) = disk.remove_dir_all(&path) {
            tracing::warn!(path = %path.display(), %error, "a deleted directory cannot be removed");
        }
    }));
}
