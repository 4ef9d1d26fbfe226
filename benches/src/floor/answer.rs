//! The few requests the driver sends, answered.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::messages::create_topics_response::CreatableTopicResult;
use kafka_protocol::messages::delete_topics_response::DeletableTopicResult;
use kafka_protocol::messages::list_offsets_response::{
    ListOffsetsPartitionResponse, ListOffsetsTopicResponse,
};
use kafka_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::produce_response::{PartitionProduceResponse, TopicProduceResponse};
use kafka_protocol::messages::{
    CreateTopicsRequest, CreateTopicsResponse, DeleteTopicsRequest, DeleteTopicsResponse, FetchRequest,
    InitProducerIdResponse, ListOffsetsRequest, ListOffsetsResponse, MetadataRequest, MetadataResponse,
    ProduceRequest, ProduceResponse,
};
use tidemark_protocol::api::ApiKey;
use tidemark_protocol::batch::RecordBatch;
use tidemark_protocol::error_code::ErrorCode;
use tidemark_protocol::fetch_response::{FetchPartitionHead, FetchResponseEncoder, Part};
use tidemark_protocol::request::{RequestHeader, decode_header};
use tidemark_protocol::response::encode_response;
use tidemark_protocol::types::TopicId;

use super::{Log, Out, Round, Shared, decode, invalid};
use crate::clock;
use crate::cluster::text;

/// Answers one request into the round.
pub(super) fn answer(mut frame: Bytes, shared: &Shared, round: &mut Round) -> io::Result<()> {
    let header = decode_header(&mut frame).map_err(invalid)?;
    let bytes = match header.api.key {
        ApiKey::Produce => return produce(&header, decode(&header, frame)?, shared, round),
        ApiKey::Fetch => return fetch(&header, decode(&header, frame)?, shared, round),
        ApiKey::Metadata => encode(&header, &metadata(decode(&header, frame)?, shared)),
        ApiKey::CreateTopics => encode(&header, &create_topics(decode(&header, frame)?, shared)?),
        ApiKey::DeleteTopics => encode(&header, &delete_topics(&decode(&header, frame)?, shared)),
        ApiKey::ListOffsets => encode(&header, &list_offsets(decode(&header, frame)?, shared)),
        ApiKey::InitProducerId => encode(&header, &InitProducerIdResponse::default()),
        _ => return Err(invalid(format!("the floor does not serve {}", header.api.name))),
    };
    round.answers.push(Out::Bytes(bytes?));
    Ok(())
}

fn encode<R: kafka_protocol::protocol::Encodable>(header: &RequestHeader, body: &R) -> io::Result<Bytes> {
    encode_response(header.api.key, header.version, header.correlation_id, body).map_err(invalid)
}

fn log(shared: &Shared, topic: &str, partition: i32) -> Option<Arc<Log>> {
    let topics = shared.topics.lock().expect("no holder panics");
    topics.get(topic)?.get(usize::try_from(partition).ok()?).cloned()
}

fn produce(
    header: &RequestHeader,
    request: ProduceRequest,
    shared: &Shared,
    round: &mut Round,
) -> io::Result<()> {
    let sync = shared.sync && request.acks == -1;
    let mut responses = Vec::with_capacity(request.topic_data.len());
    for topic in request.topic_data {
        let mut partitions = Vec::with_capacity(topic.partition_data.len());
        for data in topic.partition_data {
            let response = PartitionProduceResponse::default().with_index(data.index);
            partitions.push(match append(shared, &topic.name.0, data.index, data.records, sync, round)? {
                Ok(base_offset) => response.with_base_offset(base_offset).with_log_append_time_ms(-1),
                Err(error) => response.with_error_code(error.code()).with_base_offset(-1),
            });
        }
        let response = TopicProduceResponse::default().with_name(topic.name);
        responses.push(response.with_partition_responses(partitions));
    }
    if request.acks != 0 {
        let response = ProduceResponse::default().with_responses(responses);
        round.answers.push(Out::Bytes(encode(header, &response)?));
    }
    Ok(())
}

fn append(
    shared: &Shared,
    topic: &str,
    partition: i32,
    records: Option<Bytes>,
    sync: bool,
    round: &mut Round,
) -> io::Result<Result<i64, ErrorCode>> {
    let Some(log) = log(shared, topic, partition) else {
        return Ok(Err(ErrorCode::UnknownTopicOrPartition));
    };
    let Ok(batch) = RecordBatch::parse(records.unwrap_or_default()) else {
        return Ok(Err(ErrorCode::InvalidRecord));
    };
    if batch.verify_crc().is_err() {
        return Ok(Err(ErrorCode::CorruptMessage));
    }
    let (base_offset, end) = log.append(batch)?;
    round.written.push((log, end, sync));
    Ok(Ok(base_offset))
}

fn fetch(
    header: &RequestHeader,
    request: FetchRequest,
    shared: &Shared,
    round: &mut Round,
) -> io::Result<()> {
    let asked: Vec<(Arc<Log>, i64)> = request
        .topics
        .iter()
        .flat_map(|topic| topic.partitions.iter().map(|p| (&topic.topic.0, p)))
        .map(|(topic, p)| Some((log(shared, topic, p.partition)?, p.fetch_offset)))
        .collect::<Option<_>>()
        .ok_or_else(|| invalid("fetch of an unknown partition"))?;
    let wait = Duration::from_millis(u64::try_from(request.max_wait_ms).unwrap_or(0));
    let until = clock::now() + wait;
    let mut published = shared.published.lock().expect("no holder panics");
    while asked.iter().all(|(log, offset)| log.visible_end() <= *offset) {
        let left = until.saturating_duration_since(clock::now());
        if left.is_zero() {
            break;
        }
        published = shared.changed.wait_timeout(published, left).expect("no holder panics").0;
    }
    drop(published);

    let (version, topics) = (header.version, request.topics.len());
    let mut encoder =
        FetchResponseEncoder::new(version, header.correlation_id, 0, ErrorCode::None, 0, topics);
    let mut asked = asked.into_iter();
    let mut left = usize::try_from(request.max_bytes).unwrap_or(0);
    for topic in &request.topics {
        encoder.topic(&topic.topic.0, TopicId::ZERO, topic.partitions.len());
        for partition in &topic.partitions {
            let (log, offset) = asked.next().expect("one log was looked up for each partition");
            let end = log.visible_end();
            let (position, len) = if left > 0 { log.find(offset, left) } else { (0, 0) };
            left = left.saturating_sub(len);
            let head = FetchPartitionHead {
                index: partition.partition,
                error: ErrorCode::None,
                high_watermark: end,
                last_stable_offset: end,
                log_start_offset: 0,
                aborted: None,
                preferred_read_replica: -1,
                diverging: None,
                current_leader: None,
            };
            let records = if len > 0 { vec![(log, position, len)] } else { Vec::new() };
            encoder.partition(&head, records, len);
        }
    }
    round.answers.extend(encoder.finish(&[]).into_iter().map(|part| match part {
        Part::Skeleton(bytes) => Out::Bytes(bytes),
        Part::Records((log, position, len)) => Out::File { log, position, len },
    }));
    Ok(())
}

fn metadata(request: MetadataRequest, shared: &Shared) -> MetadataResponse {
    let broker = MetadataResponseBroker::default()
        .with_node_id(1.into())
        .with_host(text(&shared.address.ip().to_string()))
        .with_port(i32::from(shared.address.port()));
    let topics = shared.topics.lock().expect("no holder panics");
    let names = request.topics.into_iter().flatten().filter_map(|topic| topic.name);
    let topics = names.map(|name| {
        let count = topics.get(name.0.as_str()).map_or(0, Vec::len);
        let partition = |index| {
            MetadataResponsePartition::default()
                .with_partition_index(index)
                .with_leader_id(1.into())
                .with_replica_nodes(vec![1.into()])
                .with_isr_nodes(vec![1.into()])
        };
        let error = if count == 0 { ErrorCode::UnknownTopicOrPartition } else { ErrorCode::None };
        MetadataResponseTopic::default()
            .with_error_code(error.code())
            .with_name(Some(name))
            .with_partitions((0..).take(count).map(partition).collect())
    });
    MetadataResponse::default()
        .with_topics(topics.collect())
        .with_brokers(vec![broker])
        .with_controller_id(1.into())
}

fn create_topics(request: CreateTopicsRequest, shared: &Shared) -> io::Result<CreateTopicsResponse> {
    let mut results = Vec::new();
    for topic in request.topics {
        let logs = (0..topic.num_partitions)
            .map(|p| Log::create(&shared.data.join(format!("{}-{p}.log", topic.name.0))).map(Arc::new))
            .collect::<io::Result<Vec<_>>>()?;
        shared.topics.lock().expect("no holder panics").insert(topic.name.0.to_string(), logs);
        results.push(CreatableTopicResult::default().with_name(topic.name).with_configs(None));
    }
    Ok(CreateTopicsResponse::default().with_topics(results))
}

fn delete_topics(request: &DeleteTopicsRequest, shared: &Shared) -> DeleteTopicsResponse {
    let delete = |name: &kafka_protocol::messages::TopicName| {
        let logs = shared.topics.lock().expect("no holder panics").remove(name.0.as_str());
        for p in 0..logs.map_or(0, |logs| logs.len()) {
            // What is left behind lies in a directory made for the bench.
            let _ = Log::remove(&shared.data.join(format!("{}-{p}.log", name.0)));
        }
        DeletableTopicResult::default().with_name(Some(name.clone()))
    };
    DeleteTopicsResponse::default().with_responses(request.topic_names.iter().map(delete).collect())
}

fn list_offsets(request: ListOffsetsRequest, shared: &Shared) -> ListOffsetsResponse {
    let topics = request.topics.into_iter().map(|topic| {
        let end = |p| log(shared, &topic.name.0, p).map_or(-1, |log| log.visible_end());
        let partitions = topic.partitions.iter().map(|p| {
            ListOffsetsPartitionResponse::default()
                .with_partition_index(p.partition_index)
                .with_offset(end(p.partition_index))
        });
        let partitions = partitions.collect();
        ListOffsetsTopicResponse::default().with_partitions(partitions).with_name(topic.name)
    });
    ListOffsetsResponse::default().with_topics(topics.collect())
}
