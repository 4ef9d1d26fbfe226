//! OffsetFetch: key 9, versions 1–10.
//!
//! Versions 1–7 ask about one group, from 8 on about several. No list of topics (from 2 on) asks for all. A partition
//! without an offset has −1 and no error. Version 1 has no error of its own: it repeats it for each partition. Topics of
//! version 10 arrive with the text of their id as name. Offsets of a topic that was deleted and made again are not told.

use std::sync::Arc;

use kafka_protocol::messages::offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopics};
use kafka_protocol::messages::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions,
    OffsetFetchResponseTopic, OffsetFetchResponseTopics,
};
use kafka_protocol::messages::{GroupId, OffsetFetchRequest, OffsetFetchResponse, TopicName};
use kafka_protocol::protocol::StrBytes;
use tidemark_core::group::request::{self, FetchedOffset, FetchedTopic, OffsetFetchReply, OffsetFetchTopic};
use tidemark_core::group::{GroupReply, GroupRequest};
use tidemark_core::metadata::ClusterImage;
use tidemark_protocol::error_code::ErrorCode;
use tidemark_protocol::types::{PartitionIndex, TopicId};

use super::super::answer::text;
use super::super::{Ctx, RequestContext};

/// First version with an error of the whole answer.
const TOP_LEVEL_ERROR_FROM: i16 = 2;
/// First version with leader epochs.
const LEADER_EPOCH_FROM: i16 = 5;
/// First version that asks about several groups.
const GROUPS_FROM: i16 = 8;
/// First version that says topics by id.
const TOPIC_IDS_FROM: i16 = 10;

/// Answers with offsets.
pub async fn handle(
    ctx: Arc<Ctx>,
    context: RequestContext,
    request: OffsetFetchRequest,
) -> OffsetFetchResponse {
    if context.version >= GROUPS_FROM {
        let by_id = context.version >= TOPIC_IDS_FROM;
        let asked = request
            .groups
            .into_iter()
            .map(|group| one_of_several(&ctx, group, request.require_stable, by_id));
        let groups = futures_util::future::join_all(asked).await;
        return OffsetFetchResponse::default().with_groups(groups);
    }
    let image = ctx.image();
    let topics = request.topics.as_ref().map(|topics| {
        let asked = topics.iter().map(|topic| by_name(&image, &topic.name, topic.partition_indexes.clone()));
        asked.collect::<Vec<_>>()
    });
    let reply = fetch(&ctx, &request.group_id, request.require_stable, topics.clone()).await;
    if reply.error != ErrorCode::None && context.version < TOP_LEVEL_ERROR_FROM {
        let failed = topics.into_iter().flatten().map(|topic| failed(topic, reply.error));
        return single(failed.collect(), ErrorCode::None, context.version);
    }
    single(reply.topics, reply.error, context.version)
}

/// One group of a request about several.
async fn one_of_several(
    ctx: &Ctx,
    group: OffsetFetchRequestGroup,
    require_stable: bool,
    by_id: bool,
) -> OffsetFetchResponseGroup {
    let image = ctx.image();
    let Some(asked) = &group.topics else {
        let reply = fetch(ctx, &group.group_id, require_stable, None).await;
        let known = |topic: &FetchedTopic| !by_id || is_current(&image, topic);
        let topics = reply.topics.into_iter().filter(known).map(|topic| several(&image, topic, by_id));
        return answer(group.group_id, reply.error, topics.collect());
    };
    // A topic nobody knows by its id has no name to ask for: its partitions fail here.
    let found: Vec<Option<OffsetFetchTopic>> = asked.iter().map(|topic| find(&image, topic, by_id)).collect();
    let topics = found.iter().flatten().cloned().collect();
    let reply = fetch(ctx, &group.group_id, require_stable, Some(topics)).await;
    if reply.error != ErrorCode::None {
        return answer(group.group_id, reply.error, Vec::new());
    }
    let mut fetched = reply.topics.into_iter();
    let topics = asked.iter().zip(&found).map(|(asked, found)| match found {
        Some(_) => {
            let topic = fetched.next().expect("the coordinator answers every topic it was asked for");
            several(&image, topic, by_id)
        }
        None => unknown(asked),
    });
    answer(group.group_id.clone(), ErrorCode::None, topics.collect())
}

/// Asks the coordinator of the group.
async fn fetch(
    ctx: &Ctx,
    group_id: &str,
    require_stable: bool,
    topics: Option<Vec<OffsetFetchTopic>>,
) -> OffsetFetchReply {
    let request = request::OffsetFetchRequest { group_id: group_id.to_owned(), require_stable, topics };
    match ctx.groups.ask(group_id, GroupRequest::OffsetFetch(request)).await {
        Ok(GroupReply::OffsetFetch(reply)) => reply,
        Ok(other) => unreachable!("a fetch is answered by its own kind of reply, not {other:?}"),
        Err(error) => OffsetFetchReply { error, topics: Vec::new() },
    }
}

fn by_name(image: &ClusterImage, name: &str, partitions: Vec<PartitionIndex>) -> OffsetFetchTopic {
    match image.topic(name) {
        Some(topic) => OffsetFetchTopic { topic: topic.name.clone(), topic_id: topic.id, partitions },
        None => OffsetFetchTopic { topic: name.into(), topic_id: TopicId::ZERO, partitions },
    }
}

fn find(image: &ClusterImage, asked: &OffsetFetchRequestTopics, by_id: bool) -> Option<OffsetFetchTopic> {
    let partitions = asked.partition_indexes.clone();
    if !by_id {
        return Some(by_name(image, &asked.name, partitions));
    }
    let topic = image.topic_by_id(TopicId::parse(&asked.name)?)?;
    Some(OffsetFetchTopic { topic: topic.name.clone(), topic_id: topic.id, partitions })
}

/// Whether a topic can be named by id: it exists, and is the one the offsets are of.
fn is_current(image: &ClusterImage, topic: &FetchedTopic) -> bool {
    image.topic(&topic.topic).is_some_and(|now| topic.topic_id.is_zero() || topic.topic_id == now.id)
}

fn answer(
    group_id: GroupId,
    error: ErrorCode,
    topics: Vec<OffsetFetchResponseTopics>,
) -> OffsetFetchResponseGroup {
    OffsetFetchResponseGroup::default()
        .with_group_id(group_id)
        .with_error_code(error.code())
        .with_topics(topics)
}

fn several(image: &ClusterImage, topic: FetchedTopic, by_id: bool) -> OffsetFetchResponseTopics {
    let partitions = topic.partitions.into_iter().map(|kept| {
        OffsetFetchResponsePartitions::default()
            .with_partition_index(kept.partition)
            .with_committed_offset(kept.offset)
            .with_committed_leader_epoch(kept.leader_epoch)
            .with_metadata(Some(StrBytes::from_string(kept.metadata)))
            .with_error_code(kept.error.code())
    });
    let answer = OffsetFetchResponseTopics::default().with_partitions(partitions.collect());
    if by_id {
        let id = image.topic(&topic.topic).map_or(topic.topic_id, |now| now.id);
        answer.with_topic_id(id.0)
    } else {
        answer.with_name(TopicName(text(&topic.topic)))
    }
}

fn unknown(asked: &OffsetFetchRequestTopics) -> OffsetFetchResponseTopics {
    let partitions = asked.partition_indexes.iter().map(|partition| {
        OffsetFetchResponsePartitions::default()
            .with_partition_index(*partition)
            .with_committed_offset(-1)
            .with_committed_leader_epoch(-1)
            .with_metadata(Some(StrBytes::default()))
            .with_error_code(ErrorCode::UnknownTopicId.code())
    });
    let id = TopicId::parse(&asked.name).unwrap_or(TopicId::ZERO);
    OffsetFetchResponseTopics::default().with_topic_id(id.0).with_partitions(partitions.collect())
}

/// The partitions of a topic with nothing but an error.
fn failed(topic: OffsetFetchTopic, error: ErrorCode) -> FetchedTopic {
    let partitions = topic.partitions.into_iter().map(|partition| FetchedOffset {
        partition,
        offset: -1,
        leader_epoch: -1,
        metadata: String::new(),
        error,
    });
    FetchedTopic { topic: topic.topic, topic_id: topic.topic_id, partitions: partitions.collect() }
}

fn single(topics: Vec<FetchedTopic>, error: ErrorCode, version: i16) -> OffsetFetchResponse {
    let topics = topics.into_iter().map(|topic| {
        let partitions = topic.partitions.into_iter().map(|kept| {
            OffsetFetchResponsePartition::default()
                .with_partition_index(kept.partition)
                .with_committed_offset(kept.offset)
                .with_committed_leader_epoch(if version < LEADER_EPOCH_FROM { -1 } else { kept.leader_epoch })
                .with_metadata(Some(StrBytes::from_string(kept.metadata)))
                .with_error_code(kept.error.code())
        });
        OffsetFetchResponseTopic::default()
            .with_name(TopicName(text(&topic.topic)))
            .with_partitions(partitions.collect())
    });
    OffsetFetchResponse::default().with_topics(topics.collect()).with_error_code(error.code())
}
