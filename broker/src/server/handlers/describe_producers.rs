//! DescribeProducers: key 61, version 0 (KIP-664): the producers whose state a partition's leader keeps.

use std::sync::Arc;

use kafka_protocol::messages::describe_producers_response::{
    PartitionResponse, ProducerState, TopicResponse,
};
use kafka_protocol::messages::{DescribeProducersRequest, DescribeProducersResponse};
use tidemark_protocol::error_code::ErrorCode;
use tidemark_storage::log::ProducerDescription;

use super::super::answer::text;
use super::super::{Ctx, RequestContext, error, partitions};

/// Answers each partition by itself.
pub async fn handle(
    ctx: Arc<Ctx>,
    _: RequestContext,
    request: DescribeProducersRequest,
) -> DescribeProducersResponse {
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in request.topics {
        let mut partitions = Vec::with_capacity(topic.partition_indexes.len());
        for index in topic.partition_indexes {
            let producers = producers(&ctx, &topic.name, index).await;
            let response = PartitionResponse::default().with_partition_index(index);
            partitions.push(match producers {
                Ok(producers) => response.with_active_producers(producers.iter().map(state).collect()),
                Err(code) => {
                    response.with_error_code(code.code()).with_error_message(Some(text(code.message())))
                }
            });
        }
        topics.push(TopicResponse::default().with_name(topic.name).with_partitions(partitions));
    }
    DescribeProducersResponse::default().with_topics(topics)
}

async fn producers(ctx: &Ctx, topic: &str, index: i32) -> Result<Vec<ProducerDescription>, ErrorCode> {
    let handle = partitions::held(ctx, topic, index)?;
    handle.describe_producers().await.map_err(|e| error::of_partition(&e))
}

fn state(producer: &ProducerDescription) -> ProducerState {
    ProducerState::default()
        .with_producer_id(producer.producer_id.into())
        .with_producer_epoch(producer.producer_epoch.into())
        .with_last_sequence(producer.last_sequence)
        .with_last_timestamp(producer.last_timestamp)
        .with_coordinator_epoch(producer.coordinator_epoch)
        .with_current_txn_start_offset(producer.current_txn_start_offset)
}
