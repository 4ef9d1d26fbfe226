//! Incremental fetch sessions (KIP-227): what a consumer asked for last time, so that it need only say what changed.
//!
//! The cache is shared by all connections; a session belongs to whoever knows its id and epoch. Everything here is
//! synchronous and held under one lock for the time of a look-up, and under a session's own lock while its request is
//! taken in or answered.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use kafka_protocol::messages::FetchRequest;
use kafka_protocol::messages::fetch_request::FetchPartition;
use tidemark_protocol::error_code::ErrorCode;
use tidemark_protocol::types::{LeaderEpoch, Now, Offset, PartitionIndex, TopicId};

/// A session that was used within this time is not evicted for a smaller one (Kafka's bound).
const EVICTION_AGE_MIN: Duration = Duration::from_secs(120);
/// Epoch that opens a session, or asks for everything without one.
const INITIAL_EPOCH: i32 = 0;
/// Epoch that closes a session, or asks for everything without one.
const FINAL_EPOCH: i32 = -1;

/// A topic as a request names it: by name up to version 12, by id from version 13 on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum TopicRef {
    /// By name.
    Name(Arc<str>),
    /// By identity.
    Id(TopicId),
}

/// One partition of a fetch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchTarget {
    /// The topic.
    pub topic: TopicRef,
    /// The partition.
    pub partition: PartitionIndex,
    /// First offset wanted.
    pub fetch_offset: Offset,
    /// Bytes wanted at most, but for the first batch of the answer.
    pub max_bytes: usize,
    /// The leader epoch the client knows; −1 when it knows none.
    pub current_leader_epoch: LeaderEpoch,
    /// The epoch of the record before `fetch_offset`; −1 when unknown.
    pub last_fetched_epoch: LeaderEpoch,
}

/// What the answer said of a partition, to tell whether the next answer has news.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Told {
    /// High watermark, −1 after an error.
    pub high_watermark: Offset,
    /// Start of the log.
    pub log_start: Offset,
    /// Whether there were records, an error, or anything else that must be sent.
    pub has_news: bool,
}

/// A request taken in: its targets in the order they are to be read.
pub struct Fetching {
    /// The partitions to read.
    pub targets: Vec<FetchTarget>,
    kind: Kind,
}

enum Kind {
    /// No session: everything asked is answered.
    Sessionless,
    /// A session was opened by this request: everything is answered.
    Opened(Arc<Mutex<Session>>),
    /// A session goes on: only news is answered.
    Incremental(Arc<Mutex<Session>>),
}

type Key = (TopicRef, PartitionIndex);

#[derive(Debug)]
struct Session {
    id: i32,
    epoch: i32,
    uses_ids: bool,
    /// Partitions by place; a partition that was served moves to the end.
    partitions: BTreeMap<u64, (FetchTarget, Told)>,
    places: HashMap<Key, u64>,
    next_place: u64,
}

/// The cache of sessions.
pub struct FetchSessions {
    inner: Mutex<Cache>,
}

#[derive(Default)]
struct Cache {
    sessions: BTreeMap<i32, Cached>,
    slots: usize,
    next_id: i32,
}

struct Cached {
    session: Arc<Mutex<Session>>,
    last_used: Duration,
    partitions: usize,
}

impl FetchSessions {
    /// A cache of `slots` sessions (`max.incremental.fetch.session.cache.slots`). `first_id` starts the ids: a client
    /// of an earlier life of this broker must not meet a stranger's session.
    pub fn new(slots: usize, first_id: i32) -> Self {
        let cache = Cache { sessions: BTreeMap::new(), slots, next_id: first_id.max(1) };
        FetchSessions { inner: Mutex::new(cache) }
    }

    /// Number of open sessions.
    pub fn len(&self) -> usize {
        self.cache().sessions.len()
    }

    /// Whether there is no session.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes a request in: finds or opens its session and says what to read.
    pub fn begin(&self, request: &FetchRequest, version: i16, now: Now) -> Result<Fetching, ErrorCode> {
        let uses_ids = version >= 13;
        let (id, epoch) = (request.session_id, request.session_epoch);
        if epoch == INITIAL_EPOCH || epoch == FINAL_EPOCH {
            if id != 0 {
                self.cache().sessions.remove(&id);
            }
            let targets = targets(request, uses_ids);
            let opens = version >= 7 && epoch == INITIAL_EPOCH && !targets.is_empty();
            let session = if opens { self.open(&targets, uses_ids, now) } else { None };
            let kind = session.map_or(Kind::Sessionless, Kind::Opened);
            return Ok(Fetching { targets, kind });
        }
        let session = {
            let mut cache = self.cache();
            let cached = cache.sessions.get_mut(&id).ok_or(ErrorCode::FetchSessionIdNotFound)?;
            cached.last_used = now.mono;
            cached.session.clone()
        };
        let targets = {
            let mut open = lock(&session);
            open.advance(request, epoch, uses_ids)?;
            open.partitions.values().map(|(target, _)| target.clone()).collect::<Vec<_>>()
        };
        if let Some(cached) = self.cache().sessions.get_mut(&id) {
            cached.partitions = targets.len();
        }
        Ok(Fetching { targets, kind: Kind::Incremental(session) })
    }

    /// The session that an answer without any partition carries: a client takes such an answer as the end of a session
    /// it has just asked for, so that one is forgotten.
    pub fn give_up(&self, fetching: &Fetching) -> i32 {
        match &fetching.kind {
            Kind::Sessionless => 0,
            Kind::Incremental(session) => lock(session).id,
            Kind::Opened(session) => {
                let id = lock(session).id;
                self.cache().sessions.remove(&id);
                0
            }
        }
    }

    fn open(&self, targets: &[FetchTarget], uses_ids: bool, now: Now) -> Option<Arc<Mutex<Session>>> {
        let mut cache = self.cache();
        if !cache.make_room(targets.len(), now.mono) {
            return None;
        }
        let id = cache.fresh_id();
        let mut session = Session {
            id,
            epoch: 1,
            uses_ids,
            partitions: BTreeMap::new(),
            places: HashMap::new(),
            next_place: 0,
        };
        targets.iter().for_each(|target| session.put(target.clone()));
        let session = Arc::new(Mutex::new(session));
        let cached = Cached { session: session.clone(), last_used: now.mono, partitions: targets.len() };
        cache.sessions.insert(id, cached);
        Some(session)
    }

    fn cache(&self) -> std::sync::MutexGuard<'_, Cache> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Cache {
    /// Whether a session of `partitions` partitions may be added, after evicting one if need be.
    fn make_room(&mut self, partitions: usize, now: Duration) -> bool {
        if self.sessions.len() < self.slots {
            return true;
        }
        let oldest = self.sessions.iter().min_by_key(|(_, cached)| cached.last_used);
        let smallest = self.sessions.iter().min_by_key(|(_, cached)| cached.partitions);
        let victim = match (oldest, smallest) {
            (Some((id, cached)), _) if now.saturating_sub(cached.last_used) >= EVICTION_AGE_MIN => *id,
            (_, Some((id, cached))) if cached.partitions < partitions => *id,
            _ => return false,
        };
        self.sessions.remove(&victim);
        true
    }

    fn fresh_id(&mut self) -> i32 {
        loop {
            let id = self.next_id;
            self.next_id = if id == i32::MAX { 1 } else { id + 1 };
            if !self.sessions.contains_key(&id) {
                return id;
            }
        }
    }
}

impl Session {
    /// Takes an incremental request in: checks its epoch, updates what it names, forgets what it says to forget.
    fn advance(&mut self, request: &FetchRequest, epoch: i32, uses_ids: bool) -> Result<(), ErrorCode> {
        if epoch != self.epoch {
            return Err(ErrorCode::InvalidFetchSessionEpoch);
        }
        if uses_ids != self.uses_ids {
            return Err(ErrorCode::FetchSessionTopicIdError);
        }
        self.epoch = if epoch == i32::MAX { 1 } else { epoch + 1 };
        for topic in &request.forgotten_topics_data {
            let topic_ref = topic_ref(uses_ids, &topic.topic, TopicId(topic.topic_id));
            for partition in &topic.partitions {
                if let Some(place) = self.places.remove(&(topic_ref.clone(), *partition)) {
                    self.partitions.remove(&place);
                }
            }
        }
        targets(request, uses_ids).into_iter().for_each(|target| self.put(target));
        Ok(())
    }

    fn put(&mut self, target: FetchTarget) {
        let key = (target.topic.clone(), target.partition);
        if let Some((known, _)) = self.places.get(&key).and_then(|place| self.partitions.get_mut(place)) {
            *known = target;
            return;
        }
        let never_told = Told { high_watermark: -1, log_start: -1, has_news: false };
        self.places.insert(key, self.next_place);
        self.partitions.insert(self.next_place, (target, never_told));
        self.next_place += 1;
    }

    /// Notes what is told of a partition; true when the answer must carry it.
    fn tell(&mut self, target: &FetchTarget, now: Told, always: bool) -> bool {
        let key = (target.topic.clone(), target.partition);
        let Some(place) = self.places.get(&key).copied() else { return always };
        let Some((known, before)) = self.partitions.remove(&place) else { return always };
        let changed = before.high_watermark != now.high_watermark || before.log_start != now.log_start;
        // Whoever was served goes to the end, so that one busy partition cannot starve the others of a full answer.
        let place = if now.has_news {
            self.next_place += 1;
            self.next_place - 1
        } else {
            place
        };
        self.places.insert(key, place);
        self.partitions.insert(place, (known, now));
        always || changed || now.has_news
    }
}

impl Fetching {
    /// The id the answer carries; 0 without a session.
    pub fn session_id(&self) -> i32 {
        match &self.kind {
            Kind::Sessionless => 0,
            Kind::Opened(session) | Kind::Incremental(session) => lock(session).id,
        }
    }

    /// Notes what is told of each target, in order, and says which of them the answer must carry.
    pub fn tell(&self, told: &[Told]) -> Vec<bool> {
        let (session, always) = match &self.kind {
            Kind::Sessionless => return vec![true; told.len()],
            Kind::Opened(session) => (session, true),
            Kind::Incremental(session) => (session, false),
        };
        let mut session = lock(session);
        self.targets.iter().zip(told).map(|(target, told)| session.tell(target, *told, always)).collect()
    }
}

fn lock(session: &Mutex<Session>) -> std::sync::MutexGuard<'_, Session> {
    session.lock().unwrap_or_else(PoisonError::into_inner)
}

fn topic_ref(uses_ids: bool, name: &str, id: TopicId) -> TopicRef {
    if uses_ids { TopicRef::Id(id) } else { TopicRef::Name(Arc::from(name)) }
}

fn targets(request: &FetchRequest, uses_ids: bool) -> Vec<FetchTarget> {
    let count = request.topics.iter().map(|topic| topic.partitions.len()).sum();
    let mut targets = Vec::with_capacity(count);
    for topic in &request.topics {
        let topic_ref = topic_ref(uses_ids, &topic.topic, TopicId(topic.topic_id));
        targets.extend(topic.partitions.iter().map(|partition| target(topic_ref.clone(), partition)));
    }
    targets
}

fn target(topic: TopicRef, partition: &FetchPartition) -> FetchTarget {
    FetchTarget {
        topic,
        partition: partition.partition,
        fetch_offset: partition.fetch_offset,
        max_bytes: usize::try_from(partition.partition_max_bytes).unwrap_or(0),
        current_leader_epoch: partition.current_leader_epoch,
        last_fetched_epoch: partition.last_fetched_epoch,
    }
}

#[cfg(test)]
mod tests;
