//! The leader's side of replication between nodes: fetch sessions of followers.
//!
//! A session belongs to a connection and remembers what its follower wants. It reads published views only; what a follower
//! says of itself goes to the writer as input. A fetch with nothing to say waits until a subscribed partition changes, until
//! its time is up, or until the follower asks again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tidemark_core::replication::epochs::{Agreement, EpochLog, compare};
use tidemark_core::replication::follower::FetchAnswer;
use tidemark_core::replication::replica::{ReplicaFetchState, check_leader_epoch};
use tidemark_protocol::error_code::ErrorCode;
use tidemark_protocol::types::{BrokerId, LeaderEpoch, Offset, TopicIdPartition};
use tidemark_storage::disk::read_exact_at;
use tidemark_storage::log::{Piece, Slice};
use tokio::sync::{Mutex, Notify};
use tokio::time::{Instant, timeout_at};

use super::ReplicaManager;
use super::messages::{Found, ReplicaFetch, ReplicaFetched, ReplicaProgress, Wanted, durable};
use crate::partition::{PartitionHandle, PartitionView, Replication, Subscription};
use crate::peer::Services;
use crate::peer::call::Message;
use crate::peer::server::Session;

/// Most bytes of records of one answer, whatever the follower allows: well below what a frame takes.
const ANSWER_BYTES_MAX: usize = 16 << 20;
/// Most bytes of one partition in an answer, so that all of them move.
const PARTITION_BYTES_MAX: usize = 1 << 20;

/// Answers followers from now on.
pub fn serve(services: &Services, replicas: &Arc<ReplicaManager>) {
    let own = Arc::clone(replicas);
    services.serve(move |session, message: Message<ReplicaFetch>| {
        let (replicas, followers) = (Arc::clone(&own), session_of(&session));
        let replica = session.caller.node_id;
        async move {
            // Whatever waits answers at once: its follower has something new to say.
            let number = followers.arrived.fetch_add(1, Ordering::SeqCst) + 1;
            followers.superseded.notify_waiters();
            let mut state = followers.state.lock().await;
            if message.head.continues && number == 1 {
                return Ok(ReplicaFetched { is_lost: true, partitions: Vec::new() }.into());
            }
            Ok(state.fetch(&replicas, replica, message.head, &followers, number).await)
        }
    });
    let own = Arc::clone(replicas);
    services.serve(move |session, message: Message<ReplicaProgress>| {
        let ReplicaProgress { broker_epoch, durable: ends } = message.head;
        for (id, leader_epoch, end) in ends {
            if let Some(handle) = own.partition_by_id(id) {
                let durable = durable(broker_epoch, leader_epoch, end);
                handle.replicate(Replication::Durable { replica: session.caller.node_id, durable });
            }
        }
        std::future::ready(Ok(Message::from(())))
    });
}

/// What a connection of a follower keeps.
struct Followers {
    state: Mutex<FollowerSession>,
    /// Fetches that have come.
    arrived: AtomicU64,
    superseded: Notify,
    subscription: Arc<Subscription>,
}

fn session_of(session: &Session) -> Arc<Followers> {
    session.state(|| {
        Arc::new(Followers {
            state: Mutex::default(),
            arrived: AtomicU64::new(0),
            superseded: Notify::new(),
            subscription: Subscription::new(),
        })
    })
}

/// The partitions a follower wants, and what they were told last.
#[derive(Default)]
struct FollowerSession {
    wanted: BTreeMap<TopicIdPartition, Following>,
    /// To be looked at.
    ready: BTreeSet<TopicIdPartition>,
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

impl FollowerSession {
    async fn fetch(
        &mut self,
        replicas: &Arc<ReplicaManager>,
        replica: BrokerId,
        fetch: ReplicaFetch,
        followers: &Followers,
        number: u64,
    ) -> Message<ReplicaFetched> {
        let deadline = Instant::now() + Duration::from_millis(fetch.max_wait_ms.into());
        let mut answer = Answer::new((fetch.max_bytes as usize).min(ANSWER_BYTES_MAX));
        for id in fetch.forget {
            self.wanted.remove(&id);
        }
        for wanted in fetch.set {
            self.begin(replicas, replica, fetch.broker_epoch, wanted, followers, &mut answer).await;
        }
        loop {
            let superseded = followers.superseded.notified();
            self.ready.extend(followers.subscription.take());
            self.collect(&mut answer).await;
            if !answer.is_empty() || followers.arrived.load(Ordering::SeqCst) > number {
                return answer.message();
            }
            tokio::select! {
                biased;
                () = superseded => return answer.message(),
                woken = timeout_at(deadline, followers.subscription.changed()) => {
                    if woken.is_err() {
                        return answer.message();
                    }
                }
            }
        }
    }

    /// Takes up what a follower wants of one partition, and tells the writer where it stands.
    async fn begin(
        &mut self,
        replicas: &Arc<ReplicaManager>,
        replica: BrokerId,
        broker_epoch: i64,
        wanted: Wanted,
        followers: &Followers,
        answer: &mut Answer,
    ) {
        let id = wanted.id;
        let Some(handle) = replicas.partition_by_id(id) else {
            return answer.error(&wanted, ErrorCode::UnknownTopicOrPartition);
        };
        let Ok(view) = handle.ready_view().await else {
            return answer.error(&wanted, ErrorCode::KafkaStorageError);
        };
        if !view.is_leader {
            return answer.error(&wanted, ErrorCode::NotLeaderOrFollower);
        }
        if let Err(refused) = check_leader_epoch(wanted.position.leader_epoch, view.leader_epoch) {
            return answer.error(&wanted, refused.code());
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
        handle.replicate(Replication::Fetched { replica, fetch });
        let told = self.wanted.get(&id).and_then(|known| known.told);
        if !self.wanted.contains_key(&id) {
            handle.subscribe(&followers.subscription);
        }
        self.wanted.insert(id, Following { handle, wanted, told, answered: false });
        self.ready.insert(id);
    }

    /// Looks at what is ready, until the answer is full.
    async fn collect(&mut self, answer: &mut Answer) {
        while let Some(id) = self.ready.pop_first() {
            let Some(following) = self.wanted.get_mut(&id).filter(|following| !following.answered) else {
                continue;
            };
            if !following.look(answer).await {
                // The next answer begins with it.
                self.ready.insert(id);
                return;
            }
        }
    }
}

impl Following {
    /// Adds what there is; false when the answer is full.
    async fn look(&mut self, answer: &mut Answer) -> bool {
        let wanted = self.wanted;
        let Some(view) = self.handle.view() else {
            self.answered = true;
            answer.error(&wanted, ErrorCode::NotLeaderOrFollower);
            return true;
        };
        if !view.is_leader || view.leader_epoch != wanted.position.leader_epoch {
            self.answered = true;
            let code = match view.is_leader {
                true => ErrorCode::FencedLeaderEpoch,
                false => ErrorCode::NotLeaderOrFollower,
            };
            answer.error(&wanted, code);
            return true;
        }
        let marks = (view.high_watermark, view.log_start);
        if view.log_end > wanted.position.fetch_offset {
            let Some(room) = answer.room() else { return false };
            match read(&view, wanted.position.fetch_offset, room).await {
                Ok((records, range)) => {
                    self.answered = true;
                    self.told = Some(marks);
                    answer.records(&wanted, records, range, marks);
                }
                Err(code) => {
                    self.answered = true;
                    answer.error(&wanted, code);
                }
            }
        } else if self.told != Some(marks) {
            self.told = Some(marks);
            answer.records(&wanted, Vec::new(), None, marks);
        }
        true
    }
}

/// Batches in parts, and the first and exclusive end of their offsets.
type Records = (Vec<Bytes>, Option<(Offset, Offset)>);

/// Reads records for a follower, from memory or off the event loop from files.
async fn read(view: &PartitionView, from: Offset, room: usize) -> Result<Records, ErrorCode> {
    let (reader, end) = (Arc::clone(&view.reader), view.log_end);
    let room = room.min(PARTITION_BYTES_MAX);
    if let Some(slice) = reader.read_tail(from, end, room, true) {
        return bytes_of(slice, from);
    }
    let read = move || reader.read(from, end, room, true).map_err(|_| ErrorCode::OffsetOutOfRange);
    let read = tokio::task::spawn_blocking(move || read().and_then(|slice| bytes_of(slice, from)));
    read.await.unwrap_or(Err(ErrorCode::UnknownServerError))
}

fn bytes_of(slice: Slice, from: Offset) -> Result<Records, ErrorCode> {
    let range = (!slice.pieces.is_empty()).then_some((from, slice.next_offset));
    let mut parts = Vec::with_capacity(slice.pieces.len() * 2);
    for piece in slice.pieces {
        match piece {
            Piece::Memory(batch) => parts.extend(batch.parts()),
            Piece::File { file, position, len } => {
                let mut bytes = vec![0; len];
                read_exact_at(&*file, &mut bytes, position).map_err(|_| ErrorCode::KafkaStorageError)?;
                parts.push(bytes.into());
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
struct Answer {
    head: ReplicaFetched,
    raw: Vec<Bytes>,
    bytes: usize,
    max_bytes: usize,
}

impl Answer {
    fn new(max_bytes: usize) -> Answer {
        Answer { head: ReplicaFetched::default(), raw: Vec::new(), bytes: 0, max_bytes }
    }

    fn is_empty(&self) -> bool {
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

    fn message(self) -> Message<ReplicaFetched> {
        Message { head: self.head, raw: self.raw }
    }
}
