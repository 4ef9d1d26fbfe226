//! Answers that wait: for the next view (acks=1) or for the high watermark (acks=all).

use std::collections::VecDeque;

use tidemark_protocol::types::Offset;

use super::append::{AppendReply, Appended};
use super::error::ProduceError;

/// The unanswered appends of one partition. Those that wait for the high watermark are sorted by the end they wait for.
#[derive(Debug, Default)]
pub(super) struct PendingAcks {
    published: Vec<Pending>,
    committed: VecDeque<Pending>,
}

#[derive(Debug)]
struct Pending {
    end: Offset,
    appended: Appended,
    reply: AppendReply,
}

impl PendingAcks {
    /// Answer as soon as a view shows the batch.
    pub(super) fn on_publish(&mut self, appended: Appended, reply: AppendReply) {
        self.published.push(Pending { end: appended.last_offset + 1, appended, reply });
    }

    /// Answer when the high watermark has passed the batch.
    pub(super) fn on_commit(&mut self, appended: Appended, reply: AppendReply) {
        let end = appended.last_offset + 1;
        // Only a duplicate can wait for less than the newest, so this looks at the last element nearly always.
        let mut at = self.committed.len();
        while at > 0 && self.committed[at - 1].end > end {
            at -= 1;
        }
        self.committed.insert(at, Pending { end, appended, reply });
    }

    /// Answers everything a view with this high watermark allows. `committed` may still refuse what was committed.
    pub(super) fn release(
        &mut self,
        high_watermark: Offset,
        log_start: Offset,
        committed: impl Fn() -> Result<(), ProduceError>,
    ) {
        for pending in self.published.drain(..) {
            pending.reply.send(Ok(Appended { log_start, ..pending.appended }));
        }
        while let Some(pending) = self.committed.pop_front_if(|pending| pending.end <= high_watermark) {
            pending.reply.send(committed().map(|()| Appended { log_start, ..pending.appended }));
        }
    }

    /// Refuses everything that waits.
    pub(super) fn fail(&mut self, error: &ProduceError) {
        for pending in self.published.drain(..).chain(self.committed.drain(..)) {
            pending.reply.send(Err(error.clone()));
        }
    }

    /// Whether something waits for the next view.
    pub(super) fn wants_publish(&self) -> bool {
        !self.published.is_empty()
    }

    /// Whether nothing waits.
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.published.is_empty() && self.committed.is_empty()
    }
}

#[cfg(test)]
mod tests;
