//! OffsetCommit, OffsetFetch and OffsetDelete, and the end of offsets by age or with their topic.

use std::sync::Arc;
use std::time::Duration;

use tidemark_protocol::error_code::ErrorCode;
use tidemark_protocol::types::{Now, PartitionIndex, TopicId};

use super::coordinator::GroupCoordinator;
use super::group::Group;
use super::member::MemberId;
use super::offsets::GroupOffsets;
use super::record::{STRING_BYTES_MAX, group_tombstone, offset_record, offset_tombstone};
use super::request::{
    CommittedOffset, FetchedOffset, FetchedTopic, GroupReply, OffsetCommitReply, OffsetCommitRequest,
    OffsetDeleteReply, OffsetDeleteRequest, OffsetFetchReply, OffsetFetchRequest, OffsetFetchTopic,
};
use super::state::State;
use super::turn::Timer;
use crate::machine::{CoordinatorRecord, Outcome, Token};

/// Tombstones written by one pass over old offsets, so that no batch grows without bound.
const EXPIRED_PER_PASS_MAX: usize = 1_000;
/// When more are left than one pass writes, the next pass comes so soon.
const NEXT_PASS: Duration = Duration::from_millis(100);

impl GroupCoordinator {
    /// Keeps offsets.
    pub(super) fn offset_commit(
        &mut self,
        token: Token,
        request: OffsetCommitRequest,
        now: Now,
    ) -> Outcome<GroupReply> {
        if let Err(error) = self.check_commit(&request) {
            return Outcome::reply(token, GroupReply::OffsetCommit(answer_all(&request, error)));
        }
        let mut out = Outcome::none();
        if let Some(mut turn) = self.turn(&request.group_id, &mut out, now) {
            turn.renew_session(&MemberId::from(request.member_id.as_str()));
        }
        let metadata_bytes_max = self.settings.offset_metadata_max_bytes.min(STRING_BYTES_MAX);
        let expire_timestamp =
            request.retention_time_ms.map(|retention| now.wall_ms.saturating_add(retention));
        let mut reply = OffsetCommitReply { topics: Vec::with_capacity(request.topics.len()) };
        for topic in request.topics {
            let mut results = Vec::with_capacity(topic.partitions.len());
            for partition in topic.partitions {
                if partition.metadata.len() > metadata_bytes_max {
                    results.push((partition.partition, ErrorCode::OffsetMetadataTooLarge));
                    continue;
                }
                let kept = CommittedOffset {
                    offset: partition.offset,
                    leader_epoch: partition.leader_epoch,
                    metadata: partition.metadata,
                    commit_timestamp: now.wall_ms,
                    expire_timestamp,
                    topic_id: topic.topic_id,
                };
                out.records.push(offset_record(&request.group_id, &topic.topic, partition.partition, &kept));
                results.push((partition.partition, ErrorCode::None));
            }
            reply.topics.push((topic.topic, results));
        }
        out.replies.push((token, GroupReply::OffsetCommit(reply)));
        out
    }

    /// Whether the one who commits may. Without a generation it must be alone: such "simple" consumers share no group
    /// with members.
    fn check_commit(&self, request: &OffsetCommitRequest) -> Result<(), ErrorCode> {
        if request.group_id.len() > STRING_BYTES_MAX {
            return Err(ErrorCode::InvalidGroupId);
        }
        let Some(group) = self.groups.get(&*request.group_id) else {
            return match (request.generation_id < 0, request.group_id_not_found) {
                (true, _) => Ok(()),
                (false, true) => Err(ErrorCode::GroupIdNotFound),
                (false, false) => Err(ErrorCode::IllegalGeneration),
            };
        };
        if request.generation_id < 0 && group.state() == State::Empty {
            return Ok(());
        }
        let is_simple =
            request.generation_id < 0 && request.member_id.is_empty() && request.group_instance_id.is_none();
        if is_simple {
            return Err(ErrorCode::UnknownMemberId);
        }
        group.check_member(&request.member_id, request.group_instance_id.as_deref())?;
        if request.generation_id != group.generation {
            return Err(ErrorCode::IllegalGeneration);
        }
        if group.state() == State::CompletingRebalance {
            return Err(ErrorCode::RebalanceInProgress);
        }
        Ok(())
    }

    /// Tells offsets. A group or partition without any has offset −1 and no error. All offsets are stable while there
    /// are no transactional commits, so `require_stable` finds nothing to object to.
    pub(super) fn offset_fetch(&self, token: Token, request: &OffsetFetchRequest) -> Outcome<GroupReply> {
        let kept = self.offsets.group(&request.group_id);
        let topics = match &request.topics {
            None => kept.into_iter().flatten().map(|(topic, partitions)| all_of(topic, partitions)).collect(),
            Some(asked) => asked.iter().map(|topic| some_of(kept, topic)).collect(),
        };
        Outcome::read(token, GroupReply::OffsetFetch(OffsetFetchReply { error: ErrorCode::None, topics }))
    }

    /// Forgets offsets of topics nobody in the group consumes.
    pub(super) fn offset_delete(&self, token: Token, request: OffsetDeleteRequest) -> Outcome<GroupReply> {
        let refuse = |error| {
            let reply = OffsetDeleteReply { error, topics: Vec::new() };
            Outcome::reply(token, GroupReply::OffsetDelete(reply))
        };
        let Some(group) = self.groups.get(&*request.group_id) else {
            return refuse(ErrorCode::GroupIdNotFound);
        };
        if group.state() != State::Empty && !group.is_consumer_group() {
            return refuse(ErrorCode::NonEmptyGroup);
        }
        let mut out = Outcome::none();
        let mut topics = Vec::with_capacity(request.topics.len());
        for (topic, partitions) in request.topics {
            let subscribed = group.is_subscribed(&topic);
            let mut results = Vec::with_capacity(partitions.len());
            for partition in partitions {
                if subscribed {
                    results.push((partition, ErrorCode::GroupSubscribedToTopic));
                    continue;
                }
                if self.offsets.get(&group.id, &topic, partition).is_some() {
                    out.records.push(offset_tombstone(&group.id, &topic, partition));
                }
                results.push((partition, ErrorCode::None));
            }
            topics.push((topic, results));
        }
        let reply = OffsetDeleteReply { error: ErrorCode::None, topics };
        out.replies.push((token, GroupReply::OffsetDelete(reply)));
        out
    }

    /// Forgets every group's offsets of topics that are gone, but not those of a new topic of the same name.
    pub(super) fn topics_deleted(&self, token: Token, topics: &[(Arc<str>, TopicId)]) -> Outcome<GroupReply> {
        let mut out = Outcome::reply(token, GroupReply::Done(ErrorCode::None));
        for (group_id, kept) in self.offsets.groups() {
            for (topic, id) in topics {
                let partitions = kept.get(topic).into_iter().flatten();
                let gone = partitions.filter(|(_, kept)| kept.topic_id.is_zero() || kept.topic_id == *id);
                out.records.extend(gone.map(|(partition, _)| offset_tombstone(group_id, topic, *partition)));
            }
        }
        out
    }

    /// A pass over all groups: offsets past their time are forgotten, and groups that have nothing left with them.
    pub(super) fn expire_offsets(&mut self, now: Now) -> Vec<CoordinatorRecord> {
        let mut records = Vec::new();
        for group in self.groups.values() {
            let kept = self.offsets.group(&group.id);
            let mut left = 0usize;
            for (topic, partitions) in kept.into_iter().flatten() {
                for (partition, offset) in partitions {
                    let room = records.len() < EXPIRED_PER_PASS_MAX;
                    if room && self.is_expired(group, topic, offset, now) {
                        records.push(offset_tombstone(&group.id, topic, *partition));
                    } else {
                        left += 1;
                    }
                }
            }
            let nothing_left = left == 0 && group.state() == State::Empty && group.pending_members.is_empty();
            if nothing_left && group.persisted {
                records.push(group_tombstone(&group.id));
            }
            if records.len() >= EXPIRED_PER_PASS_MAX {
                self.timers.set(Timer::Expiry, now.mono + NEXT_PASS);
                break;
            }
        }
        records
    }

    /// Arms the next pass over old offsets, if there is anything that could grow old, or will be once records that were
    /// just decided are replayed.
    pub(super) fn schedule_expiry(&mut self, has_records: bool, now: Now) {
        if self.groups.is_empty() && !has_records {
            self.timers.clear(&Timer::Expiry);
        } else if self.timers.get(&Timer::Expiry).is_none() {
            let interval = u64::try_from(self.settings.offsets_retention_check_interval_ms).unwrap_or(1);
            self.timers.set(Timer::Expiry, now.mono + Duration::from_millis(interval.max(1)));
        }
    }

    /// Whether an offset is past its time. The clock of a group with members runs only for topics it does not consume;
    /// of an emptied group since it became empty; of a simple one since the commit.
    fn is_expired(&self, group: &Group, topic: &str, offset: &CommittedOffset, now: Now) -> bool {
        let since = match (group.protocol_type.is_some(), group.state()) {
            (false, _) => offset.commit_timestamp,
            (true, State::Empty) if group.state_timestamp >= 0 => group.state_timestamp,
            (true, State::Empty) => offset.commit_timestamp,
            (true, State::Stable) if group.subscribed().is_some_and(|topics| !topics.contains(topic)) => {
                offset.commit_timestamp
            }
            (true, _) => return false,
        };
        match offset.expire_timestamp {
            Some(at) => now.wall_ms >= at,
            None => now.wall_ms.saturating_sub(since) >= self.settings.offsets_retention_ms,
        }
    }
}

/// The same answer for every partition of a request.
fn answer_all(request: &OffsetCommitRequest, error: ErrorCode) -> OffsetCommitReply {
    let of = |topic: &super::request::OffsetCommitTopic| {
        let results = topic.partitions.iter().map(|partition| (partition.partition, error)).collect();
        (topic.topic.clone(), results)
    };
    OffsetCommitReply { topics: request.topics.iter().map(of).collect() }
}

fn all_of(
    topic: &Arc<str>,
    partitions: &std::collections::BTreeMap<PartitionIndex, CommittedOffset>,
) -> FetchedTopic {
    let topic_id =
        partitions.values().map(|kept| kept.topic_id).find(|id| !id.is_zero()).unwrap_or(TopicId::ZERO);
    let partitions = partitions.iter().map(|(partition, kept)| fetched(*partition, Some(kept))).collect();
    FetchedTopic { topic: topic.clone(), topic_id, partitions }
}

fn some_of(kept: Option<&GroupOffsets>, asked: &OffsetFetchTopic) -> FetchedTopic {
    let of_topic = kept.and_then(|kept| kept.get(&asked.topic));
    // An offset of a topic that was deleted and made again says nothing about the new one.
    let same = |kept: &&CommittedOffset| {
        asked.topic_id.is_zero() || kept.topic_id.is_zero() || kept.topic_id == asked.topic_id
    };
    let find = |partition: &PartitionIndex| of_topic.and_then(|kept| kept.get(partition)).filter(same);
    let partitions = asked.partitions.iter().map(|partition| fetched(*partition, find(partition))).collect();
    FetchedTopic { topic: asked.topic.clone(), topic_id: asked.topic_id, partitions }
}

fn fetched(partition: PartitionIndex, kept: Option<&CommittedOffset>) -> FetchedOffset {
    match kept {
        Some(kept) => FetchedOffset {
            partition,
            offset: kept.offset,
            leader_epoch: kept.leader_epoch,
            metadata: kept.metadata.clone(),
            error: ErrorCode::None,
        },
        None => FetchedOffset {
            partition,
            offset: -1,
            leader_epoch: -1,
            metadata: String::new(),
            error: ErrorCode::None,
        },
    }
}
