//! Topics as an administrator changes them.

use std::collections::BTreeMap;

use kafka_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use kafka_protocol::messages::delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic};
use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::{
    CreatePartitionsRequest, CreateTopicsRequest, DeleteRecordsRequest, DeleteTopicsRequest,
    DescribeLogDirsRequest, DescribeLogDirsResponse,
};
use tidemark_protocol::types::{Offset, TopicPartition};

use super::error::{ClientError, check};
use super::metadata::text;
use super::offsets::merge;
use super::{Client, To, topic_name};

/// A topic to be created.
#[derive(Clone, Debug)]
pub struct NewTopic {
    /// Name.
    pub name: String,
    /// −1 for the broker's default.
    pub partitions: i32,
    /// −1 for the broker's default.
    pub replication: i16,
    /// Configs in Kafka's names and units.
    pub configs: BTreeMap<String, String>,
}

/// A topic that was created, or would be.
#[derive(Clone, Debug)]
pub struct CreatedTopic {
    /// Partitions, as the broker says.
    pub partitions: i32,
    /// Replicas of each, as the broker says.
    pub replication: i16,
}

impl Client {
    /// Creates one topic, or only checks that it could be.
    pub async fn create_topic(
        &self,
        topic: &NewTopic,
        validate_only: bool,
    ) -> Result<CreatedTopic, ClientError> {
        let configs = topic.configs.iter().map(|(name, value)| {
            CreatableTopicConfig::default().with_name(text(name)).with_value(Some(text(value)))
        });
        let wanted = CreatableTopic::default()
            .with_name(topic_name(&topic.name))
            .with_num_partitions(topic.partitions)
            .with_replication_factor(topic.replication)
            .with_configs(configs.collect());
        let response = self
            .call(To::Any, |_| {
                CreateTopicsRequest::default()
                    .with_topics(vec![wanted.clone()])
                    .with_timeout_ms(self.timeout_ms())
                    .with_validate_only(validate_only)
            })
            .await?;
        let result = response.topics.first().ok_or_else(|| nothing("CreateTopics"))?;
        check(result.error_code, result.error_message.as_deref())?;
        Ok(CreatedTopic { partitions: result.num_partitions, replication: result.replication_factor })
    }

    /// Deletes one topic.
    pub async fn delete_topic(&self, name: &str) -> Result<(), ClientError> {
        let response = self
            .call(To::Any, |version| {
                let request = DeleteTopicsRequest::default().with_timeout_ms(self.timeout_ms());
                if version >= 6 {
                    request.with_topics(vec![DeleteTopicState::default().with_name(Some(topic_name(name)))])
                } else {
                    request.with_topic_names(vec![topic_name(name)])
                }
            })
            .await?;
        let result = response.responses.first().ok_or_else(|| nothing("DeleteTopics"))?;
        check(result.error_code, result.error_message.as_deref())
    }

    /// Raises the number of partitions to `total`, or only checks that it could be.
    pub async fn create_partitions(
        &self,
        name: &str,
        total: i32,
        validate_only: bool,
    ) -> Result<(), ClientError> {
        let response = self
            .call(To::Any, |_| {
                let topic = CreatePartitionsTopic::default().with_name(topic_name(name)).with_count(total);
                CreatePartitionsRequest::default()
                    .with_topics(vec![topic.with_assignments(None)])
                    .with_timeout_ms(self.timeout_ms())
                    .with_validate_only(validate_only)
            })
            .await?;
        let result = response.results.first().ok_or_else(|| nothing("CreatePartitions"))?;
        check(result.error_code, result.error_message.as_deref())
    }

    /// Moves the start of logs up to these offsets; the new starts, or why not.
    pub async fn delete_records(
        &self,
        before: &BTreeMap<TopicPartition, Offset>,
    ) -> Result<BTreeMap<TopicPartition, Result<Offset, ClientError>>, ClientError> {
        let mut results = BTreeMap::new();
        for (leader, partitions) in self.by_leader(before.keys()).await? {
            let response = self
                .call(To::Broker(leader), |_| {
                    let topics = partitions.iter().map(|tp| {
                        let partition = DeleteRecordsPartition::default()
                            .with_partition_index(tp.partition)
                            .with_offset(before[tp]);
                        DeleteRecordsTopic::default()
                            .with_name(topic_name(&tp.topic))
                            .with_partitions(vec![partition])
                    });
                    DeleteRecordsRequest::default()
                        .with_topics(merge(
                            topics,
                            |t| &t.name,
                            |to, from| to.partitions.extend(from.partitions),
                        ))
                        .with_timeout_ms(self.timeout_ms())
                })
                .await?;
            for topic in &response.topics {
                for partition in &topic.partitions {
                    let tp = TopicPartition::new(&**topic.name, partition.partition_index);
                    let result = check(partition.error_code, None).map(|()| partition.low_watermark);
                    results.insert(tp, result);
                }
            }
        }
        Ok(results)
    }

    /// Bytes on disk by partition, all replicas added up; empty where brokers do not tell.
    pub async fn sizes(&self) -> Result<BTreeMap<TopicPartition, i64>, ClientError> {
        let mut sizes = BTreeMap::new();
        for id in self.brokers().into_keys() {
            let request = |_| DescribeLogDirsRequest::default().with_topics(None);
            let response: DescribeLogDirsResponse = match self.call(To::Broker(id), request).await {
                Ok(response) => response,
                Err(ClientError::Unsupported { .. }) => continue,
                Err(error) => return Err(error),
            };
            for topic in response.results.iter().flat_map(|dir| &dir.topics) {
                for partition in &topic.partitions {
                    let tp = TopicPartition::new(&**topic.name, partition.partition_index);
                    *sizes.entry(tp).or_insert(0) += partition.partition_size;
                }
            }
        }
        Ok(sizes)
    }

    /// The time an operation may take, as requests say it.
    pub fn timeout_ms(&self) -> i32 {
        i32::try_from(self.timeout().as_millis()).unwrap_or(i32::MAX)
    }
}

/// An answer without the item that was asked for.
pub fn nothing(api: &'static str) -> ClientError {
    ClientError::Garbled {
        address: "the broker".to_owned(),
        why: format!("its {api} answer holds no result"),
    }
}
