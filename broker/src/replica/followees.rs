//! [`Followees`]: the partitions that are fetched from one leader, and what that leader has yet to hear of them.
//!
//! Decides what a fetch says; knows no time but what it is told, and no network. Always holds: a partition that has moved, began
//! or ended is said with the next fetch; one that rests after an answer of no use is said when its pause is over.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tidemark_protocol::types::{BrokerId, LeaderEpoch, Offset, TopicIdPartition};

use super::messages::{Found, ReplicaFetch, ReplicaFetched, ReplicaProgress, Wanted};
use super::throttles::Throttles;
use crate::partition::outlet::FollowerPlace;
use crate::partition::{Replicated, Replication};

/// Most bytes of one answer.
const ANSWER_BYTES: u32 = 8 << 20;
/// How long a leader may wait for something to say.
const WAIT_MS: u32 = 500;
/// After an answer that was of no use.
pub(crate) const PAUSE: Duration = Duration::from_millis(100);

/// What one leader is asked for.
pub(crate) struct Followees {
    leader: BrokerId,
    partitions: BTreeMap<TopicIdPartition, Followee>,
    /// To be said with the next fetch.
    changed: BTreeSet<TopicIdPartition>,
    forget: BTreeSet<TopicIdPartition>,
    /// Durable ends to be told while a fetch waits.
    durable: BTreeSet<TopicIdPartition>,
    /// When partitions may be asked for again.
    paused: BTreeSet<(Duration, TopicIdPartition)>,
    /// The leader knows what was said so far.
    continues: bool,
    throttles: Option<Arc<Throttles>>,
}

/// One partition that is fetched.
struct Followee {
    place: FollowerPlace,
    /// Durable end the leader knows.
    told: Offset,
}

impl Followees {
    /// Nothing is asked of `leader` yet.
    pub(crate) fn new(leader: BrokerId) -> Followees {
        Followees {
            leader,
            partitions: BTreeMap::new(),
            changed: BTreeSet::new(),
            forget: BTreeSet::new(),
            durable: BTreeSet::new(),
            paused: BTreeSet::new(),
            continues: false,
            throttles: None,
        }
    }

    /// What is fetched for replicas that are not in sync keeps to these throttles.
    pub(crate) fn throttled_by(self, throttles: Arc<Throttles>) -> Followees {
        Followees { throttles: Some(throttles), ..self }
    }

    /// Has a partition asked for with the next fetch, or once its throttle allows.
    fn ask(&mut self, id: TopicIdPartition, now: Duration) {
        match self.throttles.as_ref().and_then(|throttles| throttles.hold_fetching(id)) {
            Some(rest) => {
                self.changed.remove(&id);
                self.paused.insert((now + rest, id));
            }
            None => {
                self.changed.insert(id);
            }
        }
    }

    /// Whether nothing is followed.
    pub(crate) fn is_empty(&self) -> bool {
        self.partitions.is_empty()
    }

    /// Whether there is something to say that the leader must not wait for.
    pub(crate) fn has_news(&self) -> bool {
        !self.changed.is_empty() || !self.forget.is_empty()
    }

    /// When the next pause is over.
    pub(crate) fn resume_at(&self) -> Option<Duration> {
        self.paused.first().map(|(at, _)| *at)
    }

    /// A partition stands somewhere else.
    pub(crate) fn take(&mut self, place: FollowerPlace, now: Duration) {
        let id = place.handle.id();
        let (Some(position), true) = (place.position, place.leader == Some(self.leader)) else {
            if self.partitions.remove(&id).is_some() {
                self.forget.insert(id);
            }
            self.changed.remove(&id);
            self.durable.remove(&id);
            return;
        };
        let known = self.partitions.get(&id);
        let moved = known.is_none_or(|known| known.place.position != Some(position));
        let told = known.map_or(-1, |known| known.told);
        let (durable_end, agrees, pause) = (place.durable_end, place.agrees, place.pause);
        self.partitions.insert(id, Followee { place, told });
        self.forget.remove(&id);
        if pause.is_some() {
            self.paused.insert((now + PAUSE, id));
        } else if moved {
            self.ask(id, now);
        } else if durable_end > told && agrees {
            self.durable.insert(id);
        }
    }

    /// Partitions whose pause is over are asked for again.
    pub(crate) fn end_pauses(&mut self, now: Duration) {
        while let Some((at, id)) = self.paused.first().copied().filter(|(at, _)| *at <= now) {
            self.paused.remove(&(at, id));
            if self.partitions.contains_key(&id) {
                self.ask(id, now);
            }
        }
    }

    /// Syncs that have finished, unless the next fetch says so anyway.
    pub(crate) fn progress(&mut self, broker_epoch: i64) -> Option<ReplicaProgress> {
        let mut durable: Vec<(TopicIdPartition, LeaderEpoch, Offset)> = Vec::new();
        for id in std::mem::take(&mut self.durable) {
            let Some(followee) = self.partitions.get_mut(&id).filter(|_| !self.changed.contains(&id)) else {
                continue;
            };
            let Some(position) = followee.place.position else { continue };
            followee.told = followee.place.durable_end;
            durable.push((id, position.leader_epoch, followee.told));
        }
        (!durable.is_empty()).then_some(ReplicaProgress { broker_epoch, durable })
    }

    /// The next fetch; what it says counts as said.
    pub(crate) fn fetch(&mut self, broker_epoch: i64) -> ReplicaFetch {
        let mut set = Vec::with_capacity(self.changed.len());
        for id in std::mem::take(&mut self.changed) {
            let Some(followee) = self.partitions.get_mut(&id) else { continue };
            followee.told = followee.place.durable_end;
            set.extend(wanted(id, &followee.place));
        }
        ReplicaFetch {
            broker_epoch,
            continues: std::mem::replace(&mut self.continues, true),
            set,
            forget: std::mem::take(&mut self.forget).into_iter().collect(),
            max_bytes: ANSWER_BYTES,
            max_wait_ms: WAIT_MS,
        }
    }

    /// Nobody knows where the leader is: everything is said when somebody does.
    pub(crate) fn wait_for_leader(&mut self) {
        self.changed.clear();
    }

    /// A new connection knows nothing of what was said on the last one.
    pub(crate) fn say_all_again(&mut self) {
        self.continues = false;
        self.changed = self.partitions.keys().copied().collect();
        self.forget.clear();
    }

    /// The leader has answered; `raw` are the records of all partitions, in the order of the answer.
    pub(crate) fn answered(&mut self, answer: ReplicaFetched, mut raw: Bytes) {
        if answer.is_lost {
            return self.say_all_again();
        }
        for found in answer.partitions {
            let bytes = found.bytes as usize;
            if bytes > raw.len() {
                tracing::warn!(leader = self.leader, "an answer brought less than it promised; asking anew");
                return self.say_all_again();
            }
            let records = raw.split_to(bytes);
            self.hand_over(found, records);
        }
    }

    fn hand_over(&mut self, found: Found, records: Bytes) {
        let Some(followee) = self.partitions.get(&found.id) else { return };
        if let Some(throttles) = &self.throttles {
            throttles.fetched(found.id, records.len());
        }
        let replicated = Replicated { asked: found.asked, answer: found.answer, records };
        followee.place.handle.replicate(Replication::Answered(replicated));
    }
}

/// Notes whom a partition follows now, and returns the leaders that must hear of it: who is not asked any more forgets it.
pub(crate) fn route(
    leaders: &mut BTreeMap<TopicIdPartition, BrokerId>,
    id: TopicIdPartition,
    place: &FollowerPlace,
) -> BTreeSet<BrokerId> {
    let old = match place.leader {
        Some(leader) => leaders.insert(id, leader),
        None => leaders.remove(&id),
    };
    [old, place.leader].into_iter().flatten().collect()
}

fn wanted(id: TopicIdPartition, place: &FollowerPlace) -> Option<Wanted> {
    let position = place.position?;
    Some(Wanted { id, position, durable_end: place.durable_end, log_start: place.log_start })
}
