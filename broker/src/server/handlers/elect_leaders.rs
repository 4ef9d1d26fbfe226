//! ElectLeaders: key 43, versions 0–2 (KIP-183, KIP-460).
//!
//! Version 0 elects preferred leaders only; version 1 says how and answers with a code for the whole request. Asked for
//! all partitions (null), only those are listed whose leader changed or could not.

use std::sync::Arc;

use kafka_protocol::messages::elect_leaders_response::{PartitionResult, ReplicaElectionResult};
use kafka_protocol::messages::{ElectLeadersRequest, ElectLeadersResponse, TopicName};
use tidemark_core::metadata::reply::PartitionResults;
use tidemark_core::metadata::{Command, Election, Failure, Reply, TopicPartitions};
use tidemark_protocol::error_code::ErrorCode;

use super::super::answer::{text, words};
use super::super::{Ctx, RequestContext, topics};

/// Elects, and answers once this node acts on it.
pub async fn handle(
    ctx: Arc<Ctx>,
    context: RequestContext,
    request: ElectLeadersRequest,
) -> ElectLeadersResponse {
    let code = if context.version == 0 { 0 } else { request.election_type };
    let partitions: Option<Vec<TopicPartitions>> = request.topic_partitions.map(|topics| {
        topics
            .into_iter()
            .map(|asked| TopicPartitions { topic: asked.topic.to_string(), partitions: asked.partitions })
            .collect()
    });
    let Some(election) = Election::from_code(code) else {
        let message = format!("Unknown election type {code}");
        return refused(&context, partitions, &Failure::new(ErrorCode::InvalidRequest, message));
    };
    if request.timeout_ms <= 0 {
        // As Kafka: nothing is done for which no time is given.
        return refused(&context, partitions, &Failure::new(ErrorCode::RequestTimedOut, ""));
    }
    let command = Command::ElectLeaders { election, partitions: partitions.clone() };
    match topics::run(&ctx, &ctx.image(), command, false).await {
        Ok(Reply::LeadersElected(results)) => {
            let results = results.iter().map(result).collect();
            ElectLeadersResponse::default().with_replica_election_results(results)
        }
        Ok(other) => refused(&context, partitions, &topics::unexpected(&other)),
        Err(failure) => refused(&context, partitions, &failure),
    }
}

fn result(results: &PartitionResults) -> ReplicaElectionResult {
    let partitions = results.partitions.iter().map(|(index, result)| {
        let answer = PartitionResult::default().with_partition_id(*index);
        match result {
            Ok(()) => answer,
            Err(failure) => {
                answer.with_error_code(failure.code.code()).with_error_message(words(&failure.message))
            }
        }
    });
    ReplicaElectionResult::default()
        .with_topic(TopicName(text(&results.topic)))
        .with_partition_result(partitions.collect())
}

/// The whole request failed: so did every partition that was named.
fn refused(
    context: &RequestContext,
    partitions: Option<Vec<TopicPartitions>>,
    failure: &Failure,
) -> ElectLeadersResponse {
    let fail = |asked: TopicPartitions| PartitionResults {
        topic: asked.topic,
        partitions: asked.partitions.into_iter().map(|index| (index, Err(failure.clone()))).collect(),
    };
    let results = partitions.into_iter().flatten().map(|asked| result(&fail(asked))).collect();
    let response = ElectLeadersResponse::default().with_replica_election_results(results);
    if context.version == 0 { response } else { response.with_error_code(failure.code.code()) }
}
