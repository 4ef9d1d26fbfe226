//! AlterPartitionReassignments: key 45, versions 0–1 (KIP-455).
//!
//! Target replicas start or replace a reassignment, null cancels it. Version 1 can forbid another number of replicas
//! (KIP-860).

use std::sync::Arc;

use kafka_protocol::messages::alter_partition_reassignments_response::{
    ReassignablePartitionResponse, ReassignableTopicResponse,
};
use kafka_protocol::messages::{
    AlterPartitionReassignmentsRequest, AlterPartitionReassignmentsResponse, TopicName,
};
use tidemark_core::metadata::reply::PartitionResults;
use tidemark_core::metadata::{Command, Failure, Reply, TopicReassignment};
use tidemark_protocol::error_code::ErrorCode;

use super::super::answer::text;
use super::super::{Ctx, RequestContext, topics};

/// Reassigns, each partition by itself, and answers once this node acts on it.
pub async fn handle(
    ctx: Arc<Ctx>,
    context: RequestContext,
    request: AlterPartitionReassignmentsRequest,
) -> AlterPartitionReassignmentsResponse {
    let allowed = context.version == 0 || request.allow_replication_factor_change;
    let topics = request.topics.into_iter().map(|topic| TopicReassignment {
        topic: topic.name.to_string(),
        partitions: topic
            .partitions
            .into_iter()
            .map(|partition| {
                let target = partition.replicas.map(|ids| ids.iter().map(|id| id.0).collect());
                (partition.partition_index, target)
            })
            .collect(),
    });
    let command =
        Command::ReassignPartitions { topics: topics.collect(), allow_replication_factor_change: allowed };
    let response = AlterPartitionReassignmentsResponse::default()
        .with_allow_replication_factor_change(allowed)
        .with_error_message(None);
    match topics::run(&ctx, &ctx.image(), command, false).await {
        Ok(Reply::PartitionsReassigned(results)) => {
            response.with_responses(results.iter().map(topic).collect())
        }
        Ok(other) => refused(response, &topics::unexpected(&other)),
        Err(failure) => refused(response, &failure),
    }
}

fn refused(
    response: AlterPartitionReassignmentsResponse,
    failure: &Failure,
) -> AlterPartitionReassignmentsResponse {
    response.with_error_code(failure.code.code()).with_error_message(Some(text(&failure.message)))
}

fn topic(results: &PartitionResults) -> ReassignableTopicResponse {
    let partitions = results.partitions.iter().map(|(index, result)| {
        let answer = ReassignablePartitionResponse::default().with_partition_index(*index);
        match result {
            Ok(()) => answer.with_error_message(None),
            // Kafka's answer to this one has no words.
            Err(failure) if failure.code == ErrorCode::NoReassignmentInProgress => {
                answer.with_error_code(failure.code.code()).with_error_message(None)
            }
            Err(failure) => {
                answer.with_error_code(failure.code.code()).with_error_message(Some(text(&failure.message)))
            }
        }
    });
    ReassignableTopicResponse::default()
        .with_name(TopicName(text(&results.topic)))
        .with_partitions(partitions.collect())
}
