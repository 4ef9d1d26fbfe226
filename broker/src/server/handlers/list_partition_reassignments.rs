//! ListPartitionReassignments: key 46, version 0 (KIP-455): the partitions whose replicas are on the move, and no others.

use std::sync::Arc;

use kafka_protocol::messages::list_partition_reassignments_response::{
    OngoingPartitionReassignment, OngoingTopicReassignment,
};
use kafka_protocol::messages::{
    BrokerId, ListPartitionReassignmentsRequest, ListPartitionReassignmentsResponse, TopicName,
};
use tidemark_core::metadata::{PartitionImage, TopicImage};

use super::super::answer::text;
use super::super::{Ctx, RequestContext};

/// Answers for the partitions that are named, or for all.
pub async fn handle(
    ctx: Arc<Ctx>,
    _: RequestContext,
    request: ListPartitionReassignmentsRequest,
) -> ListPartitionReassignmentsResponse {
    let image = ctx.image();
    let topics = match &request.topics {
        None => image.topics.values().filter_map(|topic| ongoing(topic, None)).collect(),
        Some(asked) => asked
            .iter()
            .filter_map(|asked| ongoing(image.topic(&asked.name)?, Some(&asked.partition_indexes)))
            .collect(),
    };
    ListPartitionReassignmentsResponse::default().with_error_message(None).with_topics(topics)
}

/// The moving partitions of a topic, unless there are none.
fn ongoing(topic: &TopicImage, asked: Option<&[i32]>) -> Option<OngoingTopicReassignment> {
    let partitions: Vec<OngoingPartitionReassignment> = (0..)
        .zip(&topic.partitions)
        .filter(|(index, partition)| asked.is_none_or(|asked| asked.contains(index)) && is_moving(partition))
        .map(|(index, partition)| {
            OngoingPartitionReassignment::default()
                .with_partition_index(index)
                .with_replicas(ids(&partition.replicas))
                .with_adding_replicas(ids(&partition.adding))
                .with_removing_replicas(ids(&partition.removing))
        })
        .collect();
    let name = TopicName(text(&topic.name));
    (!partitions.is_empty())
        .then(|| OngoingTopicReassignment::default().with_name(name).with_partitions(partitions))
}

fn is_moving(partition: &PartitionImage) -> bool {
    !partition.adding.is_empty() || !partition.removing.is_empty()
}

fn ids(brokers: &[i32]) -> Vec<BrokerId> {
    brokers.iter().copied().map(BrokerId).collect()
}
