//! DescribeQuorum: key 55, versions 0–2 (KIP-595, KIP-836, KIP-853).
//!
//! The metadata quorum under Kafka's names: topic `__cluster_metadata`, partition 0; as Kafka does, a request for
//! anything besides it is refused as a whole. Version 1 adds times, version 2 directories, addresses and words.

use std::sync::Arc;

use kafka_protocol::messages::describe_quorum_request::TopicData as AskedTopic;
use kafka_protocol::messages::describe_quorum_response::{
    Listener, Node, PartitionData, ReplicaState, TopicData,
};
use kafka_protocol::messages::{DescribeQuorumRequest, DescribeQuorumResponse};
use tidemark_protocol::error_code::ErrorCode;

use super::super::answer::text;
use super::super::{Ctx, RequestContext};
use crate::controller::{RaftId, Voter};
use crate::replica::fetcher::PEER_LISTENER;

/// Kafka's name of the metadata log.
const TOPIC: &str = "__cluster_metadata";
/// First version with directories, addresses and words.
const DIRECTORIES_FROM: i16 = 2;

/// Answers with leader and voters. A log's offsets are those of its entries, its end the one after the last.
pub async fn handle(
    ctx: Arc<Ctx>,
    context: RequestContext,
    request: DescribeQuorumRequest,
) -> DescribeQuorumResponse {
    let response = DescribeQuorumResponse::default()
        .with_error_message((context.version >= DIRECTORIES_FROM).then(|| text("")));
    if request.topics.is_empty() {
        return response;
    }
    if !is_the_quorum(&request.topics) {
        return response
            .with_topics(request.topics.into_iter().map(|topic| unknown(&context, topic)).collect());
    }
    let partition = partition(&ctx, &context).await;
    let topic = request.topics.into_iter().next().expect("it is the one topic");
    let response = response.with_topics(vec![
        TopicData::default().with_topic_name(topic.topic_name).with_partitions(vec![partition]),
    ]);
    if context.version < DIRECTORIES_FROM {
        return response;
    }
    response.with_nodes(nodes(&ctx))
}

fn is_the_quorum(topics: &[AskedTopic]) -> bool {
    match topics {
        [topic] => {
            topic.topic_name.as_str() == TOPIC
                && matches!(topic.partitions.as_slice(), [partition] if partition.partition_index == 0)
        }
        _ => false,
    }
}

fn unknown(context: &RequestContext, topic: AskedTopic) -> TopicData {
    let code = ErrorCode::UnknownTopicOrPartition;
    let message = (context.version >= DIRECTORIES_FROM).then(|| text(code.message()));
    let partitions = topic.partitions.iter().map(|partition| {
        PartitionData::default()
            .with_partition_index(partition.partition_index)
            .with_error_code(code.code())
            .with_error_message(message.clone())
    });
    TopicData::default().with_topic_name(topic.topic_name.clone()).with_partitions(partitions.collect())
}

/// The quorum as its leader knows it; −1 stands for what nobody could say.
async fn partition(ctx: &Ctx, context: &RequestContext) -> PartitionData {
    let (known, members) = (ctx.controller.quorum_state().await, ctx.controller.members());
    let versioned = context.version >= DIRECTORIES_FROM;
    let state = |(id, member): (&RaftId, &Voter)| {
        let seen = known.members.get(id);
        let state = ReplicaState::default()
            .with_replica_id(member.broker_id.into())
            .with_log_end_offset(seen.map_or(-1, |seen| offset(seen.log_end)))
            .with_last_fetch_timestamp(seen.map_or(-1, |seen| seen.last_heard))
            .with_last_caught_up_timestamp(seen.map_or(-1, |seen| seen.last_caught_up));
        if versioned { state.with_replica_directory_id(member.directory_id) } else { state }
    };
    let leader = known.leader.and_then(|leader| members.get(leader)).map_or(-1, |leader| leader.broker_id);
    PartitionData::default()
        .with_error_message(versioned.then(|| text("")))
        .with_leader_id(leader.into())
        .with_leader_epoch(i32::try_from(known.term).unwrap_or(i32::MAX))
        .with_high_watermark(offset(known.committed_end))
        .with_current_voters(members.voters.iter().map(state).collect())
        .with_observers(members.learners.iter().map(state).collect())
}

fn offset(end: u64) -> i64 {
    i64::try_from(end).unwrap_or(i64::MAX)
}

fn nodes(ctx: &Ctx) -> Vec<Node> {
    let (image, members) = (ctx.image(), ctx.controller.members());
    let brokers = members.voters.values().filter_map(|voter| image.brokers.get(&voter.broker_id));
    brokers
        .map(|broker| {
            let for_clients = broker.endpoints.iter().filter(|endpoint| endpoint.listener != PEER_LISTENER);
            let listeners = for_clients.map(|endpoint| {
                Listener::default()
                    .with_name(text(&endpoint.listener))
                    .with_host(text(&endpoint.host))
                    .with_port(endpoint.port)
            });
            Node::default().with_node_id(broker.id.into()).with_listeners(listeners.collect())
        })
        .collect()
}
