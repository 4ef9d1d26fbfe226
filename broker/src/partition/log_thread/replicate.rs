//! Replication on a log thread: what a leader sends is appended or cut here, what followers say moves the high watermark,
//! and the controller's answers change the ISR.

use bytes::Bytes;
use tidemark_core::replication::epochs::FetchPosition;
use tidemark_core::replication::follower::{FetchAnswer, FollowerStep};
use tidemark_core::replication::isr::{IsrAnswer, IsrProposal};
use tidemark_core::replication::leader::LeaderState;
use tidemark_core::replication::replica::{ReplicaDurable, ReplicaFetchState};
use tidemark_protocol::error_code::ErrorCode;
use tidemark_protocol::types::{BrokerId, Now, Offset};
use tidemark_storage::log::{AppendError, Log, TruncateError};

use super::LogThread;
use crate::partition::inbox::Slot;

/// A leader's answer to one position of a follower.
#[derive(Debug)]
pub(crate) struct Replicated {
    /// What was asked.
    pub(crate) asked: FetchPosition,
    /// What the leader says.
    pub(crate) answer: FetchAnswer,
    /// The batches, as the leader placed them.
    pub(crate) records: Bytes,
}

/// News of replication for one partition.
#[derive(Debug)]
pub(crate) enum Replication {
    /// The leader has answered.
    Answered(Replicated),
    /// A follower fetches from a position that agrees with this log.
    Fetched { replica: BrokerId, fetch: ReplicaFetchState },
    /// A follower's sync has finished.
    Durable { replica: BrokerId, durable: ReplicaDurable },
    /// The controller has answered a proposal.
    IsrAnswered { proposal: IsrProposal, answer: IsrAnswer },
}

impl LogThread {
    pub(super) fn replication(&mut self, slot: Slot, news: Replication, now: Now) {
        match news {
            Replication::Answered(replicated) => self.answered(slot, replicated, now),
            Replication::Fetched { replica, fetch } => {
                // Whoever is refused is told so from the published view; here it merely changes nothing.
                self.with_leader(slot, now, |leader| {
                    let _ = leader.on_replica_fetch(replica, fetch, now);
                });
            }
            Replication::Durable { replica, durable } => {
                self.with_leader(slot, now, |leader| {
                    leader.on_replica_durable(replica, durable, now);
                });
            }
            Replication::IsrAnswered { proposal, answer } => {
                self.with_leader(slot, now, |leader| {
                    leader.on_isr_answer(&proposal, answer, now);
                });
            }
        }
    }

    /// Changes a leader's state and sees to what follows from it.
    fn with_leader(&mut self, slot: Slot, now: Now, change: impl FnOnce(&mut LeaderState)) {
        if self.directory.failure().is_some() {
            return;
        }
        let Some(open) = self.writer(slot).and_then(|writer| writer.open_log()) else { return };
        if !open.change_leader(change) {
            return;
        }
        self.touch(slot);
        self.propose(slot, now);
    }

    /// Sends the ISR a leader wants to the controller, and comes back when time alone would change it.
    pub(super) fn propose(&mut self, slot: Slot, now: Now) {
        let Some(writer) = self.writer(slot) else { return };
        let handle = writer.handle.clone();
        let Some(open) = writer.open_log() else { return };
        let (proposal, deadline) = open.proposal(now);
        if let Some(proposal) = proposal {
            self.directory.outlet.propose(handle, proposal);
        }
        if let Some(deadline) = deadline {
            self.visit_at(slot, deadline);
        }
    }

    /// What the leader said, done to the log.
    fn answered(&mut self, slot: Slot, replicated: Replicated, now: Now) {
        if self.directory.failure().is_some() || self.ensure_open(slot, now).is_err() {
            return;
        }
        let Replicated { asked, answer, records } = replicated;
        let Some(open) = self.writer(slot).and_then(|writer| writer.open_log()) else { return };
        let Some(step) = open.follower_step(&asked, &answer) else { return };
        let pause = match step {
            FollowerStep::Append { high_watermark, log_start } => {
                self.adopt(slot, records, high_watermark, log_start, now)
            }
            FollowerStep::Truncate { to } => self.cut(slot, Cut::To(to), now),
            FollowerStep::Restart { at } => self.cut(slot, Cut::All(at), now),
            FollowerStep::Retry(code) => Some(code),
            FollowerStep::AwaitMetadata | FollowerStep::Ignore => None,
        };
        self.publish(slot);
        self.tell_place(slot, pause);
    }

    /// Appends what the leader sent and takes over its marks; returns why that has to be tried again later.
    fn adopt(
        &mut self,
        slot: Slot,
        records: Bytes,
        high_watermark: Offset,
        log_start: Offset,
        now: Now,
    ) -> Option<ErrorCode> {
        if let Some(base) = self.writer(slot)?.open_log()?.reaches_back_to(&records)
            && let Some(code) = self.cut(slot, Cut::All(base), now)
        {
            return Some(code);
        }
        if self.journal.has_first_marks() && !self.keep_journal(now, true) {
            return Some(ErrorCode::KafkaStorageError);
        }
        let open = self.writer(slot)?.open_log()?;
        let appended = !records.is_empty();
        if appended && let Err(error) = open.log.append_as_follower(records, now) {
            return match error {
                AppendError::Failed(why) => {
                    self.directory.fail(&why);
                    self.fail_all();
                    None
                }
                AppendError::DiskFull => {
                    self.disk_is_full(now.mono);
                    Some(ErrorCode::KafkaStorageError)
                }
                error => {
                    tracing::warn!(%error, "records of a leader were not appended");
                    Some(ErrorCode::CorruptMessage)
                }
            };
        }
        let moved = log_start > open.log.log_start() && open.log.advance_log_start(log_start).is_ok();
        open.set_high_watermark(high_watermark);
        if moved {
            self.unmark(slot, now.mono);
        }
        if appended {
            self.dirty(slot);
            self.visit_after_append(slot, now.mono);
        }
        None
    }

    /// Cuts a log. The journal takes back its claims first: a crash in between would otherwise look like lost data.
    pub(super) fn cut(&mut self, slot: Slot, cut: Cut, now: Now) -> Option<ErrorCode> {
        // What waits to be noted must not be this partition's old mark.
        self.note_unmarked();
        let writer = self.writer(slot)?;
        let id = writer.handle.id();
        let open = writer.open_log()?;
        let mark = match cut {
            Cut::To(offset) => open.log.mark_before_truncate(offset, open.high_watermark()),
            Cut::All(offset) => Ok(Log::mark_before_restart(offset)),
        };
        let mark = match mark {
            Ok(mark) => mark,
            Err(error) => return self.cut_failed(&error),
        };
        self.journal.note(id, mark);
        if !self.keep_journal(now, true) {
            return Some(ErrorCode::KafkaStorageError);
        }
        let open = self.writer(slot)?.open_log()?;
        let end = match cut {
            Cut::To(offset) => open.log.truncate_to(offset),
            Cut::All(offset) => open.log.truncate_fully_and_start_at(offset).map(|()| offset),
        };
        let end = match end {
            Ok(end) => end,
            Err(error) => {
                // It may be shorter all the same, and readers are shown it once more.
                open.set_high_watermark(open.high_watermark());
                return self.cut_failed(&error);
            }
        };
        tracing::info!(partition = ?id, end, "a log was cut to where it agrees with its leader");
        open.set_high_watermark(open.high_watermark().min(end));
        self.unmark(slot, now.mono);
        None
    }

    fn cut_failed(&mut self, error: &TruncateError) -> Option<ErrorCode> {
        if let TruncateError::Failed(why) = error {
            self.directory.fail(why);
            self.fail_all();
            return None;
        }
        tracing::error!(%error, "a log was not cut");
        Some(ErrorCode::UnknownServerError)
    }

    /// Tells the fetchers where a replica stands, if it has followed or follows.
    pub(super) fn tell_place(&mut self, slot: Slot, pause: Option<ErrorCode>) {
        let Some(writer) = self.writer(slot) else { return };
        if let Some(place) = writer.place(pause) {
            self.directory.outlet.tell_place(place);
        }
    }
}

/// How a log is cut.
#[derive(Clone, Copy, Debug)]
pub(super) enum Cut {
    /// At or after this offset.
    To(Offset),
    /// Whole; it goes on from this offset.
    All(Offset),
}
