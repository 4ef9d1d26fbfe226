//! The topic of a run: created, its leaders found, deleted at the end.

use std::collections::BTreeMap;
use std::time::Duration;

use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::{
    CreateTopicsRequest, DeleteTopicsRequest, InitProducerIdRequest, ListOffsetsRequest, MetadataRequest,
    TopicName,
};
use kafka_protocol::protocol::StrBytes;

use tidemark_protocol::error_code::ErrorCode;

use crate::clock;
use crate::connection::{Connection, LoadError};
use crate::options::Plan;

const CREATE_TOPICS_VERSION: i16 = 5;
const DELETE_TOPICS_VERSION: i16 = 5;
const METADATA_VERSION: i16 = 9;
const INIT_PRODUCER_ID_VERSION: i16 = 4;
const LIST_OFFSETS_VERSION: i16 = 6;
/// Timestamp that asks for the end of the log.
const LATEST: i64 = -1;
const TIMEOUT_MS: i32 = 30_000;
/// How often the cluster is asked whether it is ready before the run gives up.
const READY_ATTEMPTS: usize = 100;
const READY_EVERY: Duration = Duration::from_millis(100);

/// Partitions by the address of their leader.
pub type Leaders = BTreeMap<String, Vec<i32>>;

/// Creates the topic and waits until every partition has a leader that knows it is.
///
/// # Errors
/// Those of the broker and the connection.
pub fn create(plan: &Plan) -> Result<Leaders, LoadError> {
    let mut connection = Connection::open(&plan.bootstrap)?;
    let configs = plan
        .topic_configs
        .iter()
        .map(|(key, value)| {
            CreatableTopicConfig::default().with_name(text(key)).with_value(Some(text(value)))
        })
        .collect();
    let topic = CreatableTopic::default()
        .with_name(TopicName(text(&plan.topic)))
        .with_num_partitions(plan.partitions)
        .with_replication_factor(plan.replication_factor)
        .with_configs(configs);
    let request = CreateTopicsRequest::default().with_topics(vec![topic]).with_timeout_ms(TIMEOUT_MS);
    let response = connection.call(CREATE_TOPICS_VERSION, &request)?;
    for topic in response.topics {
        LoadError::check("CreateTopics", topic.error_code)?;
    }
    retry("the partitions get no leaders", || {
        let Some(leaders) = leaders(&mut connection, plan)? else { return Ok(None) };
        Ok(lead(&leaders, plan)?.then_some(leaders))
    })
}

/// Deletes the topic.
///
/// # Errors
/// Those of the broker and the connection.
pub fn delete(plan: &Plan) -> Result<(), LoadError> {
    let request = DeleteTopicsRequest::default()
        .with_topic_names(vec![TopicName(text(&plan.topic))])
        .with_timeout_ms(TIMEOUT_MS);
    let response = Connection::open(&plan.bootstrap)?.call(DELETE_TOPICS_VERSION, &request)?;
    response.responses.iter().try_for_each(|topic| LoadError::check("DeleteTopics", topic.error_code))
}

/// Asks for the id and epoch of an idempotent producer.
///
/// # Errors
/// Those of the broker and the connection.
pub fn producer_id(connection: &mut Connection) -> Result<(i64, i16), LoadError> {
    let request = InitProducerIdRequest::default()
        .with_transactional_id(None)
        .with_transaction_timeout_ms(TIMEOUT_MS)
        .with_producer_id((-1).into())
        .with_producer_epoch(-1);
    retry("the coordinator of producer ids does not load", || {
        let response = connection.call(INIT_PRODUCER_ID_VERSION, &request)?;
        if is_retriable(response.error_code) {
            return Ok(None);
        }
        LoadError::check("InitProducerId", response.error_code)?;
        Ok(Some((response.producer_id.0, response.producer_epoch)))
    })
}

/// Tries until there is a result.
fn retry<T>(
    otherwise: &str,
    mut attempt: impl FnMut() -> Result<Option<T>, LoadError>,
) -> Result<T, LoadError> {
    for _ in 0..READY_ATTEMPTS {
        if let Some(result) = attempt()? {
            return Ok(result);
        }
        clock::sleep(READY_EVERY);
    }
    Err(LoadError::Protocol(otherwise.to_owned()))
}

fn is_retriable(code: i16) -> bool {
    ErrorCode::from_code(code).is_some_and(ErrorCode::is_retriable)
}

/// Whether all leaders answer as leaders: metadata may name one before it has heard.
fn lead(leaders: &Leaders, plan: &Plan) -> Result<bool, LoadError> {
    for (address, partitions) in leaders {
        let partitions = partitions
            .iter()
            .map(|&p| ListOffsetsPartition::default().with_partition_index(p).with_timestamp(LATEST))
            .collect();
        let topic =
            ListOffsetsTopic::default().with_name(TopicName(text(&plan.topic))).with_partitions(partitions);
        let request = ListOffsetsRequest::default().with_replica_id((-1).into()).with_topics(vec![topic]);
        let response = Connection::open(address)?.call(LIST_OFFSETS_VERSION, &request)?;
        for partition in response.topics.iter().flat_map(|topic| &topic.partitions) {
            if is_retriable(partition.error_code) {
                return Ok(false);
            }
            LoadError::check("ListOffsets", partition.error_code)?;
        }
    }
    Ok(true)
}

fn leaders(connection: &mut Connection, plan: &Plan) -> Result<Option<Leaders>, LoadError> {
    let topic = MetadataRequestTopic::default().with_name(Some(TopicName(text(&plan.topic))));
    let request =
        MetadataRequest::default().with_topics(Some(vec![topic])).with_allow_auto_topic_creation(false);
    let response = connection.call(METADATA_VERSION, &request)?;
    let brokers: BTreeMap<i32, String> =
        response.brokers.iter().map(|b| (b.node_id.0, format!("{}:{}", b.host, b.port))).collect();
    let mut leaders = Leaders::new();
    for partition in response.topics.iter().flat_map(|topic| &topic.partitions) {
        if let Some(address) = brokers.get(&partition.leader_id.0) {
            leaders.entry(address.clone()).or_default().push(partition.partition_index);
        }
    }
    let found: usize = leaders.values().map(Vec::len).sum();
    Ok((i32::try_from(found) == Ok(plan.partitions)).then_some(leaders))
}

/// Text of the wire.
pub fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

/// Spreads `connections` over the leaders: address and partitions of each. Every partition has a connection; with more
/// connections than partitions some share one.
pub fn spread(leaders: &Leaders, connections: usize) -> Vec<(String, Vec<i32>)> {
    let connections = connections.max(leaders.len());
    let mut spread = Vec::with_capacity(connections);
    for (broker, (address, partitions)) in leaders.iter().enumerate() {
        let here = (connections - broker).div_ceil(leaders.len());
        for i in 0..here {
            let mut mine: Vec<i32> = partitions.iter().copied().skip(i).step_by(here).collect();
            if mine.is_empty() {
                mine.push(partitions[i % partitions.len()]);
            }
            spread.push((address.clone(), mine));
        }
    }
    spread
}

#[cfg(test)]
mod tests;
