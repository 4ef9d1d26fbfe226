//! Offsets by time: where logs start and end, and what was written when.

use std::collections::BTreeMap;

use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::{BrokerId as WireBrokerId, ListOffsetsRequest};
use tidemark_protocol::error_code::ErrorCode;
use tidemark_protocol::types::{BrokerId, Offset, TimestampMs, TopicPartition};

use super::error::{ClientError, check};
use super::metadata::Metadata;
use super::retry::Retry;
use super::{Client, To, topic_name};

/// Asks for the end of the log.
pub const LATEST: TimestampMs = -1;
/// Asks for the start of the log.
pub const EARLIEST: TimestampMs = -2;

/// What is asked of each partition: a time, or [`LATEST`] or [`EARLIEST`].
pub type OffsetQueries = BTreeMap<TopicPartition, TimestampMs>;

/// Partitions by the broker that leads them.
pub type ByLeader = BTreeMap<BrokerId, Vec<TopicPartition>>;

impl Client {
    /// The first offset at or after each time; `None` when nothing is that late. With `read_committed` the end is before
    /// the first open transaction.
    pub async fn list_offsets(
        &self,
        queries: &OffsetQueries,
        read_committed: bool,
    ) -> Result<BTreeMap<TopicPartition, Option<Offset>>, ClientError> {
        let mut retry = Retry::new(self.timeout());
        loop {
            match self.try_list_offsets(queries, read_committed).await {
                Ok(offsets) => return Ok(offsets),
                Err(error) => retry.after(error).await?,
            }
        }
    }

    /// The same question to every partition.
    pub async fn offsets_at(
        &self,
        partitions: impl IntoIterator<Item = &TopicPartition>,
        timestamp: TimestampMs,
        read_committed: bool,
    ) -> Result<BTreeMap<TopicPartition, Option<Offset>>, ClientError> {
        let queries = partitions.into_iter().map(|tp| (tp.clone(), timestamp)).collect();
        self.list_offsets(&queries, read_committed).await
    }

    async fn try_list_offsets(
        &self,
        queries: &OffsetQueries,
        read_committed: bool,
    ) -> Result<BTreeMap<TopicPartition, Option<Offset>>, ClientError> {
        let mut found = BTreeMap::new();
        for (leader, partitions) in self.by_leader(queries.keys()).await? {
            let response = self
                .call(To::Broker(leader), |_| {
                    let topics = partitions.iter().map(|tp| {
                        let partition = ListOffsetsPartition::default()
                            .with_partition_index(tp.partition)
                            .with_current_leader_epoch(-1)
                            .with_timestamp(queries[tp]);
                        ListOffsetsTopic::default()
                            .with_name(topic_name(&tp.topic))
                            .with_partitions(vec![partition])
                    });
                    ListOffsetsRequest::default()
                        .with_replica_id(WireBrokerId(-1))
                        .with_isolation_level(i8::from(read_committed))
                        .with_topics(merge(
                            topics,
                            |t| &t.name,
                            |to, from| to.partitions.extend(from.partitions),
                        ))
                })
                .await?;
            for topic in response.topics {
                for partition in topic.partitions {
                    check(partition.error_code, None)?;
                    let tp = TopicPartition::new(&**topic.name, partition.partition_index);
                    found.insert(tp, Some(partition.offset).filter(|offset| *offset >= 0));
                }
            }
        }
        Ok(found)
    }

    /// Who leads each of these partitions now.
    pub async fn by_leader(
        &self,
        partitions: impl Iterator<Item = &TopicPartition> + Clone,
    ) -> Result<ByLeader, ClientError> {
        let mut names: Vec<String> = partitions.clone().map(|tp| tp.topic.to_string()).collect();
        names.dedup();
        let metadata = self.metadata(Some(&names), false).await?;
        group_by_leader(&metadata, partitions)
    }
}

/// Partitions by their leader; an error when one has none.
pub fn group_by_leader<'a>(
    metadata: &Metadata,
    partitions: impl Iterator<Item = &'a TopicPartition>,
) -> Result<ByLeader, ClientError> {
    let mut leaders = ByLeader::new();
    for tp in partitions {
        let known = metadata.topics.get(&*tp.topic).and_then(|topic| topic.partitions.get(&tp.partition));
        let code = match known {
            Some(partition) if partition.leader >= 0 => {
                leaders.entry(partition.leader).or_default().push(tp.clone());
                continue;
            }
            Some(_) => ErrorCode::LeaderNotAvailable,
            None => ErrorCode::UnknownTopicOrPartition,
        };
        return Err(ClientError::Kafka { code, message: format!("{tp}: {}", code.message()) });
    }
    Ok(leaders)
}

/// Joins neighbours of the same name: Kafka wants each topic once in a request.
pub fn merge<T, K: PartialEq>(
    items: impl Iterator<Item = T>,
    key: impl Fn(&T) -> &K,
    mut join: impl FnMut(&mut T, T),
) -> Vec<T> {
    let mut merged: Vec<T> = Vec::new();
    for item in items {
        match merged.last_mut() {
            Some(last) if key(last) == key(&item) => join(last, item),
            _ => merged.push(item),
        }
    }
    merged
}
