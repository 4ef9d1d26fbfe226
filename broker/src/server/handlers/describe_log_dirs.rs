//! DescribeLogDirs: key 35, versions 1–5: what each data directory holds and how much room it has.
//!
//! Version 5 says whether a directory is cordoned (KIP-1066), which ours never are.

use std::collections::BTreeMap;
use std::sync::Arc;

use kafka_protocol::messages::describe_log_dirs_response::{
    DescribeLogDirsPartition, DescribeLogDirsResult, DescribeLogDirsTopic,
};
use kafka_protocol::messages::{DescribeLogDirsRequest, DescribeLogDirsResponse, TopicName};
use tidemark_protocol::error_code::ErrorCode;

use super::super::answer::text;
use super::super::{Ctx, RequestContext};
use crate::partition::PartitionHandle;

/// Answers for this node's one directory. A partition nobody has used since the start counts what it held then.
pub async fn handle(
    ctx: Arc<Ctx>,
    _: RequestContext,
    request: DescribeLogDirsRequest,
) -> DescribeLogDirsResponse {
    let handles: Vec<PartitionHandle> = match &request.topics {
        None => ctx.replicas.map().partitions().cloned().collect(),
        Some(topics) => topics
            .iter()
            .flat_map(|topic| {
                topic.partitions.iter().filter_map(|index| ctx.replicas.partition(&topic.topic, *index))
            })
            .collect(),
    };
    let mut topics: BTreeMap<Arc<str>, Vec<DescribeLogDirsPartition>> = BTreeMap::new();
    for handle in handles {
        let (size, lag) = match handle.ready_view().await {
            Ok(view) => (view.size_bytes, (view.high_watermark - view.log_end).max(0)),
            Err(_) => continue, // A partition that is offline is not in the directory's list, as in Kafka.
        };
        topics.entry(handle.tp().topic.clone()).or_default().push(
            DescribeLogDirsPartition::default()
                .with_partition_index(handle.tp().partition)
                .with_partition_size(i64::try_from(size).unwrap_or(i64::MAX))
                .with_offset_lag(lag),
        );
    }
    let space = ctx.disk.space(&ctx.data_dir);
    let bytes = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
    let (total, free) = space.map_or((-1, -1), |space| (bytes(space.total), bytes(space.free)));
    let code = if ctx.replicas.failure().borrow().is_some() {
        ErrorCode::KafkaStorageError
    } else {
        ErrorCode::None
    };
    let topics = topics.into_iter().map(|(name, partitions)| {
        DescribeLogDirsTopic::default().with_name(TopicName(text(&name))).with_partitions(partitions)
    });
    DescribeLogDirsResponse::default().with_results(vec![
        DescribeLogDirsResult::default()
            .with_error_code(code.code())
            .with_log_dir(text(&ctx.data_dir.to_string_lossy()))
            .with_topics(topics.collect())
            .with_total_bytes(total)
            .with_usable_bytes(free),
    ])
}
