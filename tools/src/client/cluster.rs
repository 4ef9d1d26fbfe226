//! The cluster as a whole: brokers, quorum, disks, elections and reassignments, over Kafka's APIs.

use std::collections::BTreeMap;

use kafka_protocol::messages::alter_partition_reassignments_request::{
    ReassignablePartition, ReassignableTopic,
};
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::describe_quorum_request::{PartitionData, TopicData};
use kafka_protocol::messages::describe_quorum_response::ReplicaState;
use kafka_protocol::messages::elect_leaders_request::TopicPartitions;
use kafka_protocol::messages::{
    AlterPartitionReassignmentsRequest, DescribeClusterRequest, DescribeConfigsRequest,
    DescribeLogDirsRequest, DescribeQuorumRequest, ElectLeadersRequest, ListPartitionReassignmentsRequest,
};
use serde::Serialize;
use tidemark_protocol::types::{BrokerId, Offset, TimestampMs, TopicPartition};

use super::admin::nothing;
use super::error::{ClientError, check};
use super::metadata::text;
use super::offsets::merge;
use super::{Client, To, topic_name};

/// Kafka's name of the metadata log.
const METADATA_TOPIC: &str = "__cluster_metadata";
/// Kafka's numbers for resources that have configs.
const RESOURCE_TOPIC: i8 = 2;
const RESOURCE_BROKER: i8 = 4;
/// Topics whose configs are asked for at once: an answer stays small.
const TOPICS_AT_ONCE: usize = 500;

/// A broker that registered.
#[derive(Clone, Debug, Serialize)]
pub struct Broker {
    /// Its id.
    pub id: BrokerId,
    /// `host:port` for clients.
    pub address: String,
    /// Its rack, if it has one.
    pub rack: Option<String>,
    /// It is registered, but does not serve: it is down or starts.
    pub fenced: bool,
}

/// Who belongs to the cluster.
#[derive(Clone, Debug)]
pub struct ClusterDescription {
    /// Identity.
    pub id: String,
    /// Brokers by id, fenced ones where the cluster tells of them.
    pub brokers: BTreeMap<BrokerId, Broker>,
}

/// The metadata quorum.
#[derive(Clone, Debug, Serialize)]
pub struct Quorum {
    /// The controller that leads; −1 for none.
    pub leader: BrokerId,
    /// Its term.
    pub epoch: i32,
    /// End of what is committed.
    pub high_watermark: Offset,
    /// Those who decide.
    pub voters: Vec<QuorumMember>,
    /// Those who only listen.
    pub observers: Vec<QuorumMember>,
}

/// A member of the quorum.
#[derive(Clone, Debug, Serialize)]
pub struct QuorumMember {
    /// Its node id.
    pub id: BrokerId,
    /// End of its log; −1 when nobody knows.
    pub log_end_offset: Offset,
    /// When it last fetched; −1 when nobody knows.
    pub last_fetch_ms: TimestampMs,
    /// When it last had the whole log; −1 when nobody knows.
    pub last_caught_up_ms: TimestampMs,
}

/// A data directory of a broker.
#[derive(Clone, Debug, Serialize)]
pub struct LogDir {
    /// Its path there.
    pub path: String,
    /// Why it takes no writes, if so.
    pub error: Option<String>,
    /// Size of the disk; −1 when not told.
    pub total_bytes: i64,
    /// Room on it; −1 when not told.
    pub usable_bytes: i64,
    /// Replicas in it.
    pub replicas: usize,
    /// What they take.
    pub size_bytes: i64,
}

/// A reassignment under way.
#[derive(Clone, Debug, Serialize)]
pub struct Reassignment {
    /// Topic.
    pub topic: String,
    /// Partition.
    pub partition: i32,
    /// Replicas, those that come and go included.
    pub replicas: Vec<BrokerId>,
    /// Those that come.
    pub adding: Vec<BrokerId>,
    /// Those that go.
    pub removing: Vec<BrokerId>,
}

/// What became of each partition.
pub type PartitionOutcomes = BTreeMap<TopicPartition, Result<(), ClientError>>;

impl Client {
    /// Identity and brokers.
    pub async fn describe_cluster(&self) -> Result<ClusterDescription, ClientError> {
        let response = self
            .call(To::Any, |version| {
                DescribeClusterRequest::default().with_include_fenced_brokers(version >= 2)
            })
            .await?;
        check(response.error_code, response.error_message.as_deref())?;
        self.learn_brokers(response.brokers.iter().map(|b| (b.broker_id.0, &*b.host, b.port)));
        let brokers = response.brokers.iter().map(|broker| {
            let value = Broker {
                id: broker.broker_id.0,
                address: format!("{}:{}", &*broker.host, broker.port),
                rack: broker.rack.as_ref().map(ToString::to_string),
                fenced: broker.is_fenced,
            };
            (value.id, value)
        });
        Ok(ClusterDescription { id: response.cluster_id.to_string(), brokers: brokers.collect() })
    }

    /// The metadata quorum as the node that is asked knows it.
    pub async fn describe_quorum(&self, to: To) -> Result<Quorum, ClientError> {
        let partition = PartitionData::default().with_partition_index(0);
        let topic =
            TopicData::default().with_topic_name(topic_name(METADATA_TOPIC)).with_partitions(vec![partition]);
        let response =
            self.call(to, |_| DescribeQuorumRequest::default().with_topics(vec![topic.clone()])).await?;
        check(response.error_code, response.error_message.as_deref())?;
        let partition =
            response.topics.into_iter().next().and_then(|topic| topic.partitions.into_iter().next());
        let partition = partition.ok_or_else(|| nothing("DescribeQuorum"))?;
        check(partition.error_code, partition.error_message.as_deref())?;
        let member = |state: &ReplicaState| QuorumMember {
            id: state.replica_id.0,
            log_end_offset: state.log_end_offset,
            last_fetch_ms: state.last_fetch_timestamp,
            last_caught_up_ms: state.last_caught_up_timestamp,
        };
        Ok(Quorum {
            leader: partition.leader_id.0,
            epoch: partition.leader_epoch,
            high_watermark: partition.high_watermark,
            voters: partition.current_voters.iter().map(member).collect(),
            observers: partition.observers.iter().map(member).collect(),
        })
    }

    /// The data directories of a broker.
    pub async fn log_dirs(&self, broker: BrokerId) -> Result<Vec<LogDir>, ClientError> {
        let request = |_| DescribeLogDirsRequest::default().with_topics(None);
        let response = self.call(To::Broker(broker), request).await?;
        let dirs = response.results.iter().map(|dir| {
            let partitions = dir.topics.iter().flat_map(|topic| &topic.partitions);
            LogDir {
                path: dir.log_dir.to_string(),
                error: ClientError::from_code(dir.error_code, None).map(|error| error.to_string()),
                total_bytes: dir.total_bytes,
                usable_bytes: dir.usable_bytes,
                replicas: partitions.clone().count(),
                size_bytes: partitions.map(|partition| partition.partition_size).sum(),
            }
        });
        Ok(dirs.collect())
    }

    /// The effective `min.insync.replicas` of these topics.
    pub async fn min_isr(&self, topics: &[String]) -> Result<BTreeMap<String, usize>, ClientError> {
        let mut values = BTreeMap::new();
        for some in topics.chunks(TOPICS_AT_ONCE) {
            let resource = |topic: &String| {
                DescribeConfigsResource::default()
                    .with_resource_type(RESOURCE_TOPIC)
                    .with_resource_name(text(topic))
                    .with_configuration_keys(Some(vec![text("min.insync.replicas")]))
            };
            let resources: Vec<_> = some.iter().map(resource).collect();
            let request = |_| DescribeConfigsRequest::default().with_resources(resources.clone());
            let response = self.call(To::Any, request).await?;
            for result in response.results {
                // A topic may have been deleted meanwhile.
                let value = result.configs.first().and_then(|config| config.value.as_ref()?.parse().ok());
                values.extend(value.map(|value| (result.resource_name.to_string(), value)));
            }
        }
        Ok(values)
    }

    /// One config of a broker, asked there; `None` where it does not know the key.
    pub async fn broker_config(&self, broker: BrokerId, key: &str) -> Result<Option<String>, ClientError> {
        let resource = DescribeConfigsResource::default()
            .with_resource_type(RESOURCE_BROKER)
            .with_resource_name(text(&broker.to_string()))
            .with_configuration_keys(Some(vec![text(key)]));
        let request = |_| DescribeConfigsRequest::default().with_resources(vec![resource.clone()]);
        let response = self.call(To::Broker(broker), request).await?;
        let result = response.results.into_iter().next().ok_or_else(|| nothing("DescribeConfigs"))?;
        check(result.error_code, result.error_message.as_deref())?;
        let found = result.configs.into_iter().find(|config| *config.name == *key);
        Ok(found
            .and_then(|config| config.value)
            .map(|value| value.to_string())
            .filter(|value| !value.is_empty()))
    }

    /// Has leaders elected, of these partitions or of all: preferred ones, or with `unclean` any replica of a partition
    /// without a leader. Asked for all, only partitions whose leader changed, or should have, are told of.
    pub async fn elect_leaders(
        &self,
        partitions: Option<&[TopicPartition]>,
        unclean: bool,
    ) -> Result<PartitionOutcomes, ClientError> {
        let topics = partitions.map(|partitions| {
            let one = |tp: &TopicPartition| {
                TopicPartitions::default()
                    .with_topic(topic_name(&tp.topic))
                    .with_partitions(vec![tp.partition])
            };
            merge(partitions.iter().map(one), |t| &t.topic, |to, from| to.partitions.extend(from.partitions))
        });
        let response = self
            .call(To::Any, |_| {
                ElectLeadersRequest::default()
                    .with_election_type(i8::from(unclean))
                    .with_topic_partitions(topics.clone())
                    .with_timeout_ms(self.timeout_ms())
            })
            .await?;
        check(response.error_code, None)?;
        let mut outcomes = BTreeMap::new();
        for topic in &response.replica_election_results {
            for partition in &topic.partition_result {
                let tp = TopicPartition::new(&**topic.topic, partition.partition_id);
                outcomes.insert(tp, check(partition.error_code, partition.error_message.as_deref()));
            }
        }
        Ok(outcomes)
    }

    /// Begins reassignments, or calls them off where there is no target.
    pub async fn reassign(
        &self,
        targets: &BTreeMap<TopicPartition, Option<Vec<BrokerId>>>,
    ) -> Result<PartitionOutcomes, ClientError> {
        let one = |(tp, target): (&TopicPartition, &Option<Vec<BrokerId>>)| {
            let ids = |ids: &Vec<BrokerId>| ids.iter().map(|id| (*id).into()).collect();
            let partition = ReassignablePartition::default()
                .with_partition_index(tp.partition)
                .with_replicas(target.as_ref().map(ids));
            ReassignableTopic::default().with_name(topic_name(&tp.topic)).with_partitions(vec![partition])
        };
        let topics =
            merge(targets.iter().map(one), |t| &t.name, |to, from| to.partitions.extend(from.partitions));
        let response = self
            .call(To::Any, |_| {
                AlterPartitionReassignmentsRequest::default()
                    .with_topics(topics.clone())
                    .with_timeout_ms(self.timeout_ms())
            })
            .await?;
        check(response.error_code, response.error_message.as_deref())?;
        let mut outcomes = BTreeMap::new();
        for topic in &response.responses {
            for partition in &topic.partitions {
                let tp = TopicPartition::new(&**topic.name, partition.partition_index);
                outcomes.insert(tp, check(partition.error_code, partition.error_message.as_deref()));
            }
        }
        Ok(outcomes)
    }

    /// Reassignments under way.
    pub async fn reassignments(&self) -> Result<Vec<Reassignment>, ClientError> {
        let response = self
            .call(To::Any, |_| {
                ListPartitionReassignmentsRequest::default()
                    .with_topics(None)
                    .with_timeout_ms(self.timeout_ms())
            })
            .await?;
        check(response.error_code, response.error_message.as_deref())?;
        let ids = |ids: &[kafka_protocol::messages::BrokerId]| ids.iter().map(|id| id.0).collect();
        let all = response.topics.iter().flat_map(|topic| {
            topic.partitions.iter().map(move |partition| Reassignment {
                topic: topic.name.to_string(),
                partition: partition.partition_index,
                replicas: ids(&partition.replicas),
                adding: ids(&partition.adding_replicas),
                removing: ids(&partition.removing_replicas),
            })
        });
        Ok(all.collect())
    }
}
