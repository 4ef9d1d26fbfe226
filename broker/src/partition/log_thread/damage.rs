//! Damaged replicas: what was called durable and is not there, or does not read back.
//!
//! Nothing is cut or dropped while the controller still counts on the replica, since others may be behind it. Once it does not
//! (it is in neither ISR nor ELR) and another broker leads, the log is dropped and fetched again from there. The only copy
//! stays as it is, and says so.
//!
//! ```text
//!  opening finds damage ─▶ offline ─┐
//!  scrubbing finds it ──▶ doubted ──┴▶ QuarantineReplicas ─▶ image without it ─▶ dropped ─▶ follows from the start
//! ```

use std::sync::Arc;

use tidemark_core::metadata::PartitionImage;
use tidemark_protocol::types::{BrokerId, Now};

use super::LogThread;
use super::replicate::Cut;
use crate::partition::inbox::Slot;
use crate::partition::writer::{Doubt, LogState};

/// Whether the controller counts on what a replica holds.
pub(crate) fn is_counted(image: &PartitionImage, id: BrokerId) -> bool {
    image.isr.contains(&id) || image.elr.contains(&id)
}

/// Whether others hold everything that was acknowledged.
pub(crate) fn is_held_by_others(image: &PartitionImage, id: BrokerId) -> bool {
    image.isr.iter().chain(image.elr.iter()).any(|member| *member != id)
}

impl LogThread {
    /// The log could not be opened: bytes it called durable are damaged or gone.
    pub(super) fn damaged_at_opening(&mut self, slot: Slot, why: &str) {
        let Some(writer) = self.writer(slot) else { return };
        writer.state = LogState::Offline(Arc::from(why));
        let (handle, is_replicated) = (writer.handle.clone(), writer.is_replicated());
        self.directory.metrics.offline_logs.add(1);
        tracing::error!(partition = %handle.tp(), why, "the log is damaged and offline");
        if is_replicated {
            self.directory.outlet.report_damage(handle);
        }
    }

    /// A scrub found damage below what is durable. The log goes on as it is until the controller counts on others only.
    pub(super) fn damage_found(&mut self, slot: Slot, why: &str) {
        let Some(writer) = self.writer(slot) else { return };
        if writer.doubted.is_some() || writer.open_log().is_none() {
            return;
        }
        let handle = writer.handle.clone();
        tracing::error!(partition = %handle.tp(), why, "the log is damaged");
        writer.doubted = Some(Doubt { leader_epoch: writer.image.leader_epoch });
        self.directory.outlet.report_damage(handle);
    }

    /// Drops a damaged log as soon as nobody counts on it and there is a leader to fetch it from again.
    pub(super) fn fetch_again(&mut self, slot: Slot, now: Now) {
        let me = self.directory.me;
        let has_failed = self.directory.failure().is_some();
        let Some(writer) = self.writer(slot) else { return };
        let image = &writer.image;
        let is_offline = matches!(writer.state, LogState::Offline(_));
        let is_doubted = writer.doubted.as_ref().is_some_and(|doubt| doubt.leader_epoch < image.leader_epoch);
        let is_needed = image.leader < 0 || image.leader == me || is_counted(image, me);
        if !(is_offline || is_doubted) || is_needed || has_failed {
            return;
        }
        let (handle, leader) = (writer.handle.clone(), image.leader);
        tracing::warn!(partition = %handle.tp(), leader, "the damaged log is dropped and fetched again");
        if is_offline {
            self.drop_unopened(slot, now);
            return;
        }
        // Where the leader's log begins is told by its first answer. What cannot be dropped now stays doubted, and asks its
        // leader for nothing until the next change of the partition.
        if self.cut(slot, Cut::All(0), now).is_none()
            && let Some(writer) = self.writer(slot)
        {
            writer.doubted = None;
            self.publish(slot);
            self.tell_place(slot, None);
        }
    }

    /// The log was never open: its directory goes, and with it what the journal claims of it.
    fn drop_unopened(&mut self, slot: Slot, now: Now) {
        let Some(writer) = self.writer(slot) else { return };
        let handle = writer.handle.clone();
        let dir = self.directory.path.join(handle.tp().to_string());
        // A crash in between leaves a log without segments that claims to have some: damaged, as before.
        if let Err(error) = self.put_aside(&dir, now) {
            tracing::error!(partition = %handle.tp(), %error, "the damaged log cannot be removed");
            return;
        }
        self.journal.forget(handle.id(), now.mono);
        if let Some(writer) = self.writer(slot) {
            writer.state = LogState::Unopened;
        }
    }
}

#[cfg(test)]
mod tests;
