//! [`FetchSession`]: what one connection of a follower wants, what it was told, and what is to be said next.
//!
//! Reads published views only; what a follower says of itself goes to the writer as input. It neither waits nor reads files:
//! records that are not in memory are asked for as [`ColdRead`]s. Always holds: a partition answered with something its
//! follower has to act upon rests until the follower says where it stands then.
//!
//! A high watermark that has moved by itself waits for [`MARKS_AFTER`]: the next records say it beside themselves, and an
//! answer of its own for each would be half of all messages.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tidemark_core::replication::epochs::{Agreement, EpochLog, compare};
use tidemark_core::replication::follower::FetchAnswer;
use tidemark_core::replication::replica::{ReplicaFetchState, check_leader_epoch};
use tidemark_protocol::error_code::ErrorCode;
use tidemark_protocol::types::{BrokerId, LeaderEpoch, Offset, TopicIdPartition};
use tidemark_storage::disk::read_exact_at;
use tidemark_storage::log::{LogReader, Piece, ReadError, Slice};

use super::messages::{Found, ReplicaFetched, Wanted};
use super::scrub::verify;
use super::throttles::Throttles;
use crate::partition::positions::FollowerPosition;
use crate::partition::{PartitionHandle, PartitionView, Replication, Subscription};
use crate::peer::call::Message;

/// Most bytes of records of one answer, whatever the follower allows: well below what a frame takes.
const ANSWER_BYTES_MAX: usize = 16 << 20;
/// Most bytes of one partition in an answer, so that all of them move.
const PARTITION_BYTES_MAX: usize = 1 << 20;
/// A follower that has all records hears of a high watermark this late at most, unless records come before. Who reads from
/// followers waits for it.
pub(crate) const MARKS_AFTER: Duration = Duration::from_millis(10);

/// The partitions a follower wants, and what they were told last.
pub(crate) struct FetchSession {
    /// Whom the session belongs to.
    replica: BrokerId,
    /// Where partitions say that there is more.
    subscription: Arc<Subscription>,
    wanted: BTreeMap<TopicIdPartition, Following>,
    /// To be looked at.
    ready: BTreeSet<TopicIdPartition>,
    throttles: Option<Arc<Throttles>>,
    /// What a throttle holds up, to be looked at with the next answer.
    held: BTreeSet<TopicIdPartition>,
    /// How long the throttle holds it.
    held_for: Option<Duration>,
    /// Have no new records, but other marks than the follower knows.
    behind: BTreeSet<TopicIdPartition>,
}

/// One partition of a session.
struct Following {
    handle: PartitionHandle,
    wanted: Wanted,
    /// Marks the follower knows: high watermark and log start.
    told: Option<(Offset, Offset)>,
    /// It was answered with something it has to act upon before it asks again.
    answered: bool,
}

/// Batches in parts, and the first and exclusive end of their offsets.
pub(crate) type Records = (Vec<Bytes>, Option<(Offset, Offset)>);

/// Records that are in files only.
pub(crate) struct ColdRead {
    id: TopicIdPartition,
    reader: Arc<LogReader>,
    from: Offset,
    end: Offset,
    room: usize,
    marks: (Offset, Offset),
}

impl ColdRead {
    /// Reads them; may wait for the disk.
    pub(crate) fn read(&self) -> Result<Records, Unread> {
        let slice = self.reader.read(self.from, self.end, self.room, true).map_err(|error| match error {
            ReadError::OffsetOutOfRange { .. } => Unread::Gone,
            ReadError::Io(_) => Unread::NotNow,
            error @ ReadError::Corrupt { .. } => Unread::Damaged(error.to_string()),
        })?;
        bytes_of(slice, self.from, &self.reader)
    }
}

/// Why records cannot be given to a follower.
#[derive(Debug)]
pub(crate) enum Unread {
    /// They are not in the log any more.
    Gone,
    /// The disk did not give them.
    NotNow,
    /// They are not what was written: rot that followers would refuse.
    Damaged(String),
}

impl Unread {
    fn code(&self) -> ErrorCode {
        match self {
            Unread::Gone => ErrorCode::OffsetOutOfRange,
            Unread::NotNow | Unread::Damaged(_) => ErrorCode::KafkaStorageError,
        }
    }
}

impl FetchSession {
    /// A session of `replica` without partitions.
    pub(crate) fn new(replica: BrokerId, subscription: Arc<Subscription>) -> FetchSession {
        FetchSession {
            replica,
            subscription,
            wanted: BTreeMap::new(),
            ready: BTreeSet::new(),
            throttles: None,
            held: BTreeSet::new(),
            held_for: None,
            behind: BTreeSet::new(),
        }
    }

    /// What is sent to replicas that are not in sync keeps to these throttles.
    pub(crate) fn throttled_by(self, throttles: &Arc<Throttles>) -> FetchSession {
        FetchSession { throttles: Some(Arc::clone(throttles)), ..self }
    }

    /// How long to wait before it is worth looking again for what a throttle holds up.
    pub(crate) fn held_for(&self) -> Option<Duration> {
        self.held_for
    }

    /// The follower does not follow any more.
    pub(crate) fn forget(&mut self, id: TopicIdPartition) {
        self.wanted.remove(&id);
    }

    /// Takes up what a follower wants of one partition, and tells the writer where it stands. `found` is the partition as
    /// it is served here.
    pub(crate) fn begin(
        &mut self,
        broker_epoch: i64,
        wanted: Wanted,
        found: Result<(PartitionHandle, Arc<PartitionView>), ErrorCode>,
        answer: &mut Answer,
    ) {
        let id = wanted.id;
        let (handle, view) = match found {
            Ok(found) => found,
            Err(code) => return answer.error(&wanted, code),
        };
        if !view.is_leader {
            return answer.error(&wanted, ErrorCode::NotLeaderOrFollower);
        }
        if let Err(refused) = check_leader_epoch(wanted.position.leader_epoch, view.leader_epoch) {
            return answer.error(&wanted, refused.code());
        }
        if !view.replicas.contains(&self.replica) {
            // The follower has heard of its assignment first. It has to ask again: what it says of itself now counts for
            // nothing, and where nothing is produced it would say no more.
            return answer.error(&wanted, ErrorCode::UnknownLeaderEpoch);
        }
        match compare(&wanted.position, &ViewEpochs(&view)) {
            Agreement::Agrees => {}
            Agreement::Diverges { epoch, end_offset } => {
                return answer
                    .say(&wanted, FetchAnswer::Diverging { epoch, end_offset, log_start: view.log_start });
            }
            Agreement::OutOfRange => {
                let (log_start, log_end) = (view.log_start, view.log_end);
                return answer.say(&wanted, FetchAnswer::OutOfRange { log_start, log_end });
            }
        }
        let fetch = ReplicaFetchState {
            leader_epoch: wanted.position.leader_epoch,
            broker_epoch,
            append_end: wanted.position.fetch_offset,
            durable_end: wanted.durable_end,
            log_start: wanted.log_start,
        };
        handle.note_follower(FollowerPosition {
            replica: self.replica,
            leader_epoch: fetch.leader_epoch,
            log_start: fetch.log_start,
            log_end: fetch.append_end,
        });
        handle.replicate(Replication::Fetched { replica: self.replica, fetch });
        // A leader epoch begins with an answer, be it without records: it is how the follower learns that its log agrees.
        let known = self.wanted.get(&id);
        let same = known.filter(|known| known.wanted.position.leader_epoch == wanted.position.leader_epoch);
        let told = same.and_then(|known| known.told);
        if !self.wanted.contains_key(&id) {
            handle.subscribe(&self.subscription);
        }
        self.wanted.insert(id, Following { handle, wanted, told, answered: false });
        self.ready.insert(id);
    }

    /// Looks at what is ready, until the answer is full or something has to be read from files: whoever reads that
    /// [gives](FetchSession::give) it back and goes on.
    pub(crate) fn collect(&mut self, answer: &mut Answer) -> Option<ColdRead> {
        self.ready.extend(self.subscription.take());
        self.ready.append(&mut self.held);
        self.held_for = None;
        while let Some(id) = self.ready.pop_first() {
            let Some(following) = self.wanted.get_mut(&id).filter(|following| !following.answered) else {
                continue;
            };
            let throttles = self.throttles.as_ref();
            let hold = throttles.and_then(|throttles| throttles.hold_sending(id, self.replica));
            if let Some(rest) = hold {
                self.held.insert(id);
                self.held_for = Some(self.held_for.map_or(rest, |other| other.min(rest)));
            }
            let before = answer.bytes;
            let look = following.look(answer, hold.is_some());
            if let Some(throttles) = throttles {
                throttles.sent(id, self.replica, answer.bytes - before);
            }
            match look {
                Look::Done => {}
                Look::Behind => drop(self.behind.insert(id)),
                Look::Full => {
                    // The next answer begins with it.
                    self.ready.insert(id);
                    return None;
                }
                Look::Cold(cold) => return Some(cold),
            }
        }
        None
    }

    /// Whether the follower knows other marks than there are: after [`MARKS_AFTER`] it is to be told, and with any records
    /// before that.
    pub(crate) fn is_behind(&self) -> bool {
        !self.behind.is_empty()
    }

    /// Adds the marks that have moved.
    pub(crate) fn tell_marks(&mut self, answer: &mut Answer) {
        for id in std::mem::take(&mut self.behind) {
            if let Some(following) = self.wanted.get_mut(&id).filter(|following| !following.answered) {
                following.tell_marks(answer);
            }
        }
    }

    /// What was read from files.
    pub(crate) fn give(&mut self, cold: &ColdRead, records: Result<Records, Unread>, answer: &mut Answer) {
        if let Some(following) = self.wanted.get_mut(&cold.id) {
            let before = answer.bytes;
            following.found(records, cold.marks, answer);
            if let Some(throttles) = &self.throttles {
                throttles.sent(cold.id, self.replica, answer.bytes - before);
            }
        }
    }
}

/// What a look at one partition came to.
enum Look {
    Done,
    /// Nothing is new but the marks.
    Behind,
    Full,
    Cold(ColdRead),
}

impl Following {
    /// Adds what there is, but for records if they are held up.
    fn look(&mut self, answer: &mut Answer, is_held: bool) -> Look {
        let wanted = self.wanted;
        let Some(view) = self.handle.view() else {
            self.answered = true;
            answer.error(&wanted, ErrorCode::NotLeaderOrFollower);
            return Look::Done;
        };
        if !view.is_leader || view.leader_epoch != wanted.position.leader_epoch {
            self.answered = true;
            let code = match view.is_leader {
                true => ErrorCode::FencedLeaderEpoch,
                false => ErrorCode::NotLeaderOrFollower,
            };
            answer.error(&wanted, code);
            return Look::Done;
        }
        let marks = (view.high_watermark, view.log_start);
        let from = wanted.position.fetch_offset;
        if view.log_end > from && !is_held {
            let Some(room) = answer.room() else { return Look::Full };
            let (reader, end, room) = (Arc::clone(&view.reader), view.log_end, room.min(PARTITION_BYTES_MAX));
            let Some(slice) = reader.read_tail(from, end, room, true) else {
                return Look::Cold(ColdRead { id: wanted.id, reader, from, end, room, marks });
            };
            self.found(bytes_of(slice, from, &reader), marks, answer);
        } else if self.told.is_none() {
            self.told = Some(marks);
            answer.records(&wanted, Vec::new(), None, marks);
        } else if self.told != Some(marks) {
            return Look::Behind;
        }
        Look::Done
    }

    /// Says the marks, if they are those of the follower's leader epoch and it does not know them. Whatever else has happened
    /// is looked at by itself.
    fn tell_marks(&mut self, answer: &mut Answer) {
        let Some(view) = self.handle.view() else { return };
        let marks = (view.high_watermark, view.log_start);
        let is_same_reign = view.is_leader && view.leader_epoch == self.wanted.position.leader_epoch;
        if is_same_reign && self.told != Some(marks) {
            self.told = Some(marks);
            answer.records(&self.wanted, Vec::new(), None, marks);
        }
    }

    fn found(&mut self, records: Result<Records, Unread>, marks: (Offset, Offset), answer: &mut Answer) {
        self.answered = true;
        match records {
            Ok((records, range)) => {
                self.told = Some(marks);
                answer.records(&self.wanted, records, range, marks);
            }
            Err(unread) => {
                let leader_epoch = self.wanted.position.leader_epoch;
                let leads = |view: Arc<PartitionView>| view.is_leader && view.leader_epoch == leader_epoch;
                // A leader's log is not cut, so what was read is what was written.
                if let Unread::Damaged(why) = &unread
                    && self.handle.view().is_some_and(leads)
                {
                    self.handle.report_damage(why.as_str().into());
                }
                answer.error(&self.wanted, unread.code());
            }
        }
    }
}

fn bytes_of(slice: Slice, from: Offset, reader: &LogReader) -> Result<Records, Unread> {
    let range = (!slice.pieces.is_empty()).then_some((from, slice.next_offset));
    let mut parts = Vec::with_capacity(slice.pieces.len() * 2);
    let mut next = from;
    for piece in slice.pieces {
        match piece {
            Piece::Memory(batch) => {
                next = batch.next_offset();
                parts.extend(batch.parts());
            }
            Piece::File { file, position, len } => {
                let mut bytes = vec![0; len];
                read_exact_at(&*file, &mut bytes, position).map_err(|_| Unread::NotNow)?;
                let bytes = bytes.into();
                // The follower would refuse them and ask again for ever.
                next = verify(&bytes, reader, next, true).map_err(Unread::Damaged)?;
                parts.push(bytes);
            }
        }
    }
    Ok((parts, range))
}

/// A published view as the replication rules see it.
struct ViewEpochs<'a>(&'a PartitionView);

impl EpochLog for ViewEpochs<'_> {
    fn log_start(&self) -> Offset {
        self.0.log_start
    }

    fn log_end(&self) -> Offset {
        self.0.log_end
    }

    fn epoch_at(&self, offset: Offset) -> Option<LeaderEpoch> {
        self.0.reader.epoch_for(offset)
    }

    fn epoch_end(&self, epoch: LeaderEpoch) -> (LeaderEpoch, Offset) {
        self.0.reader.epoch_end(epoch)
    }
}

/// An answer in the making.
pub(crate) struct Answer {
    head: ReplicaFetched,
    raw: Vec<Bytes>,
    bytes: usize,
    max_bytes: usize,
}

impl Answer {
    /// One of at most so many bytes of records, or one batch.
    pub(crate) fn new(max_bytes: u32) -> Answer {
        let max_bytes = (max_bytes as usize).min(ANSWER_BYTES_MAX);
        Answer { head: ReplicaFetched::default(), raw: Vec::new(), bytes: 0, max_bytes }
    }

    /// Whether it says nothing.
    pub(crate) fn is_empty(&self) -> bool {
        self.head.partitions.is_empty()
    }

    /// Bytes of records it still takes; `None` when it is full. The first batch always comes.
    fn room(&self) -> Option<usize> {
        if self.bytes == 0 {
            Some(self.max_bytes)
        } else {
            Some(self.max_bytes.saturating_sub(self.bytes)).filter(|room| *room > 0)
        }
    }

    fn say(&mut self, wanted: &Wanted, answer: FetchAnswer) {
        self.say_with(wanted, answer, 0);
    }

    fn say_with(&mut self, wanted: &Wanted, answer: FetchAnswer, bytes: u32) {
        self.head.partitions.push(Found { id: wanted.id, asked: wanted.position, bytes, answer });
    }

    fn error(&mut self, wanted: &Wanted, code: ErrorCode) {
        self.say(wanted, FetchAnswer::Error(code));
    }

    fn records(
        &mut self,
        wanted: &Wanted,
        records: Vec<Bytes>,
        range: Option<(Offset, Offset)>,
        (high_watermark, log_start): (Offset, Offset),
    ) {
        let bytes: usize = records.iter().map(Bytes::len).sum();
        self.bytes += bytes;
        self.raw.extend(records);
        let bytes = u32::try_from(bytes).expect("an answer stays below the largest frame");
        self.say_with(wanted, FetchAnswer::Records { range, high_watermark, log_start }, bytes);
    }

    /// As it is sent.
    pub(crate) fn message(self) -> Message<ReplicaFetched> {
        Message { head: self.head, raw: self.raw }
    }
}

#[cfg(test)]
mod tests;
