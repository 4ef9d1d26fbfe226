//! AlterReplicaLogDirs: key 34, versions 1–2 (KIP-113).
//!
//! A node has one data directory, so a replica can only be told to stay where it is.

use std::collections::BTreeMap;
use std::sync::Arc;

use kafka_protocol::messages::alter_replica_log_dirs_response::{
    AlterReplicaLogDirPartitionResult, AlterReplicaLogDirTopicResult,
};
use kafka_protocol::messages::{AlterReplicaLogDirsRequest, AlterReplicaLogDirsResponse, TopicName};
use tidemark_protocol::error_code::ErrorCode;
use tidemark_protocol::types::TopicPartition;

use super::super::{Ctx, RequestContext};

/// Answers each replica by itself; of a replica that is named twice the last directory counts.
pub async fn handle(
    ctx: Arc<Ctx>,
    _: RequestContext,
    request: AlterReplicaLogDirsRequest,
) -> AlterReplicaLogDirsResponse {
    let own = ctx.data_dir.to_string_lossy();
    let mut results: BTreeMap<TopicName, BTreeMap<i32, ErrorCode>> = BTreeMap::new();
    for dir in request.dirs {
        let is_own = *dir.path == *own;
        for topic in dir.topics {
            for index in topic.partitions {
                let code = if is_own { stays(&ctx, &topic.name, index) } else { ErrorCode::LogDirNotFound };
                results.entry(topic.name.clone()).or_default().insert(index, code);
            }
        }
    }
    let results = results.into_iter().map(|(name, partitions)| {
        let partitions = partitions.into_iter().map(|(index, code)| {
            AlterReplicaLogDirPartitionResult::default()
                .with_partition_index(index)
                .with_error_code(code.code())
        });
        AlterReplicaLogDirTopicResult::default().with_topic_name(name).with_partitions(partitions.collect())
    });
    AlterReplicaLogDirsResponse::default().with_results(results.collect())
}

fn stays(ctx: &Ctx, name: &str, index: i32) -> ErrorCode {
    if ctx.replicas.partition(name, index).is_some() {
        return ErrorCode::None;
    }
    match ctx.image().partition(&TopicPartition::new(name, index)) {
        Some(_) => ErrorCode::ReplicaNotAvailable,
        None => ErrorCode::UnknownTopicOrPartition,
    }
}
