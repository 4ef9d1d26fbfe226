//! DescribeTopicPartitions: key 75, version 0 (KIP-966).
//!
//! Topics come sorted by name, in pages of at most `min(response_partition_limit, max.request.partition.size.limit)` partitions; the cursor names
//! the first partition of the next page and is null at the end.

use std::sync::Arc;

use kafka_protocol::messages::describe_topic_partitions_response::{
    Cursor, DescribeTopicPartitionsResponsePartition, DescribeTopicPartitionsResponseTopic,
};
use kafka_protocol::messages::{DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse, TopicName};
use tidemark_core::metadata::{ClusterImage, TopicImage, topic_name};
use tidemark_protocol::error_code::ErrorCode;

use super::super::answer::text;
use super::super::{Ctx, RequestContext, operations, topics};

/// Answers one page.
pub async fn handle(
    ctx: Arc<Ctx>,
    _context: RequestContext,
    request: DescribeTopicPartitionsRequest,
) -> DescribeTopicPartitionsResponse {
    let image = ctx.image();
    let names = names_from_cursor(&image, &request);
    let partitions_max = usize::try_from(ctx.settings().max_request_partition_size_limit).unwrap_or(1).max(1);
    let limit = usize::try_from(request.response_partition_limit).unwrap_or(0).clamp(1, partitions_max);
    let mut page = Page { image: &image, left: limit, topics: Vec::new(), next: None };
    for name in names {
        let first = match &request.cursor {
            Some(cursor) if **cursor.topic_name == *name => cursor.partition_index.max(0),
            _ => 0,
        };
        if !page.add(&name, first) {
            break;
        }
    }
    DescribeTopicPartitionsResponse::default().with_topics(page.topics).with_next_cursor(page.next)
}

/// The names asked for (all when none), sorted, once each, from the cursor's topic on.
fn names_from_cursor(image: &ClusterImage, request: &DescribeTopicPartitionsRequest) -> Vec<String> {
    let mut names: Vec<String> = if request.topics.is_empty() {
        image.topics_by_name().map(|topic| topic.name.to_string()).collect()
    } else {
        request.topics.iter().map(|topic| topic.name.to_string()).collect()
    };
    if let Some(cursor) = &request.cursor {
        names.retain(|name| name.as_str() >= &**cursor.topic_name);
    }
    names.sort_unstable();
    names.dedup();
    names
}

struct Page<'a> {
    image: &'a ClusterImage,
    left: usize,
    topics: Vec<DescribeTopicPartitionsResponseTopic>,
    next: Option<Cursor>,
}

impl Page<'_> {
    /// Adds a topic's partitions from `first` on; false once the page is full.
    fn add(&mut self, name: &str, first: i32) -> bool {
        let head = DescribeTopicPartitionsResponseTopic::default().with_name(Some(TopicName(text(name))));
        let Some(topic) = self.image.topic(name) else {
            let code = match topic_name::check(name) {
                Ok(()) => ErrorCode::UnknownTopicOrPartition,
                Err(_) => ErrorCode::InvalidTopicException,
            };
            self.topics.push(
                head.with_error_code(code.code()).with_topic_authorized_operations(operations::NOT_ASKED),
            );
            return true;
        };
        if self.left == 0 {
            self.next = Some(cursor(name, first));
            return false;
        }
        let partitions: Vec<_> = self.partitions(topic, first);
        let end = first as usize + partitions.len();
        self.left -= partitions.len();
        self.topics.push(
            head.with_topic_id(topic.id.0)
                .with_is_internal(topics::is_internal(name))
                .with_partitions(partitions)
                .with_topic_authorized_operations(operations::TOPIC),
        );
        if end < topic.partitions.len() {
            self.next = Some(cursor(name, end as i32));
            return false;
        }
        true
    }

    fn partitions(&self, topic: &TopicImage, first: i32) -> Vec<DescribeTopicPartitionsResponsePartition> {
        let ids = |ids: &[i32]| ids.iter().map(|id| (*id).into()).collect::<Vec<_>>();
        (0..)
            .zip(&topic.partitions)
            .skip(first as usize)
            .take(self.left)
            .map(|(index, partition)| {
                let code = if partition.leader < 0 { ErrorCode::LeaderNotAvailable } else { ErrorCode::None };
                DescribeTopicPartitionsResponsePartition::default()
                    .with_error_code(code.code())
                    .with_partition_index(index)
                    .with_leader_id(partition.leader.into())
                    .with_leader_epoch(partition.leader_epoch)
                    .with_replica_nodes(ids(&partition.replicas))
                    .with_isr_nodes(ids(&partition.isr))
                    .with_eligible_leader_replicas(Some(ids(&partition.elr)))
                    .with_last_known_elr(Some(ids(&partition.last_known_elr)))
                    .with_offline_replicas(
                        topics::offline(self.image, &partition.replicas).map(Into::into).collect(),
                    )
            })
            .collect()
    }
}

fn cursor(topic: &str, partition: i32) -> Cursor {
    Cursor::default().with_topic_name(TopicName(text(topic))).with_partition_index(partition)
}
