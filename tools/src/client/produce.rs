//! Producing: records become one batch a partition, batches go to their leaders, numbered so that a retry is no duplicate.

use std::collections::BTreeMap;

use bytes::Bytes;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::produce_response::PartitionProduceResponse;
use kafka_protocol::messages::{InitProducerIdRequest, ProduceRequest, ProducerId};
use tidemark_protocol::batch::{BatchBuilder, BuilderOptions, Compression, RecordHeader};
use tidemark_protocol::error_code::ErrorCode;
use tidemark_protocol::types::{Offset, PartitionIndex, TimestampMs};

use super::error::{ClientError, check};
use super::metadata::Topic;
use super::retry::Retry;
use super::{Client, To, topic_name};

/// First version that names topics by id.
const TOPIC_ID_VERSION: i16 = 13;

/// One record on its way out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OutRecord {
    /// Chosen by the key when not given.
    pub partition: Option<PartitionIndex>,
    /// Now when not given.
    pub timestamp: Option<TimestampMs>,
    /// Key.
    pub key: Option<Bytes>,
    /// Value; `None` is a tombstone.
    pub value: Option<Bytes>,
    /// Headers, in order, duplicates allowed.
    pub headers: Vec<(String, Option<Bytes>)>,
}

impl OutRecord {
    /// About how many bytes this is in a batch.
    pub fn size(&self) -> usize {
        let part = |bytes: &Option<Bytes>| bytes.as_ref().map_or(0, Bytes::len);
        let headers: usize = self.headers.iter().map(|(key, value)| key.len() + part(value) + 4).sum();
        part(&self.key) + part(&self.value) + headers + 20
    }
}

/// How records are produced.
#[derive(Clone, Copy, Debug)]
pub struct ProducerOptions {
    /// 0, 1 or −1 (all).
    pub acks: i16,
    /// Codec of the batches.
    pub compression: Compression,
}

/// Where a batch went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placed {
    /// The partition.
    pub partition: PartitionIndex,
    /// Offset of the first record; `None` with acks=0.
    pub base_offset: Option<Offset>,
    /// Number of records.
    pub records: i32,
}

/// Produces to one topic.
pub struct Producer<'a> {
    client: &'a Client,
    name: String,
    topic: Topic,
    options: ProducerOptions,
    /// Id and epoch when retries must not duplicate; `None` without acks=all or without the API.
    identity: Option<(i64, i16)>,
    sequences: BTreeMap<PartitionIndex, i32>,
    rotation: usize,
}

impl<'a> Producer<'a> {
    /// A producer of the topic; `create` lets the broker create it.
    pub async fn open(
        client: &'a Client,
        name: &str,
        create: bool,
        options: ProducerOptions,
    ) -> Result<Producer<'a>, ClientError> {
        let topic = client.topic(name, create).await?;
        let identity = if options.acks == -1 { init_producer(client).await? } else { None };
        let name = name.to_owned();
        Ok(Producer { client, name, topic, options, identity, sequences: BTreeMap::new(), rotation: 0 })
    }

    /// Number of partitions.
    pub fn partitions(&self) -> usize {
        self.topic.partitions.len()
    }

    /// Sends records and waits for their acknowledgement; the order within a partition is that of `records`.
    pub async fn send(
        &mut self,
        records: &[OutRecord],
        now_ms: TimestampMs,
    ) -> Result<Vec<Placed>, ClientError> {
        let mut pending = self.batches(records, now_ms);
        let mut placed = Vec::new();
        let mut retry = Retry::new(self.client.timeout());
        while !pending.is_empty() {
            let error = match self.attempt(&mut pending, &mut placed).await {
                Ok(None) => continue,
                Ok(Some(error)) | Err(error) => error,
            };
            retry.after(error).await?;
            self.topic = self.client.topic(&self.name, false).await?;
        }
        placed.sort_by_key(|p| p.partition);
        Ok(placed)
    }

    /// Sends what is pending once; what was acknowledged leaves `pending`. The last retriable error, if any.
    async fn attempt(
        &mut self,
        pending: &mut BTreeMap<PartitionIndex, (Bytes, i32)>,
        placed: &mut Vec<Placed>,
    ) -> Result<Option<ClientError>, ClientError> {
        let mut leaders: BTreeMap<i32, Vec<PartitionIndex>> = BTreeMap::new();
        for partition in pending.keys() {
            let leader = self.topic.partitions.get(partition).map_or(-1, |known| known.leader);
            leaders.entry(leader).or_default().push(*partition);
        }
        let mut failure = None;
        for (leader, partitions) in leaders {
            if self.options.acks == 0 {
                self.client
                    .send(To::Broker(leader), |version| self.request(version, &partitions, pending))
                    .await?;
                for partition in partitions {
                    let records = pending.remove(&partition).map_or(0, |(_, records)| records);
                    placed.push(Placed { partition, base_offset: None, records });
                }
                continue;
            }
            let call =
                self.client.call(To::Broker(leader), |version| self.request(version, &partitions, pending));
            let response = call.await?;
            for answer in response.responses.iter().flat_map(|topic| &topic.partition_responses) {
                match judge(answer) {
                    Ok(base_offset) => {
                        let records = pending.remove(&answer.index).map_or(0, |(_, records)| records);
                        placed.push(Placed { partition: answer.index, base_offset, records });
                    }
                    Err(error) if error.is_retriable() => failure = Some(error),
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(failure)
    }

    fn request(
        &self,
        version: i16,
        partitions: &[PartitionIndex],
        pending: &BTreeMap<PartitionIndex, (Bytes, i32)>,
    ) -> ProduceRequest {
        let data = partitions.iter().map(|index| {
            PartitionProduceData::default().with_index(*index).with_records(Some(pending[index].0.clone()))
        });
        let topic = TopicProduceData::default().with_partition_data(data.collect());
        let topic = if version >= TOPIC_ID_VERSION {
            topic.with_topic_id(self.topic.id)
        } else {
            topic.with_name(topic_name(&self.name))
        };
        ProduceRequest::default()
            .with_acks(self.options.acks)
            .with_timeout_ms(i32::try_from(self.client.timeout().as_millis()).unwrap_or(i32::MAX))
            .with_topic_data(vec![topic])
    }

    fn batches(
        &mut self,
        records: &[OutRecord],
        now_ms: TimestampMs,
    ) -> BTreeMap<PartitionIndex, (Bytes, i32)> {
        let count = i32::try_from(self.partitions().max(1)).unwrap_or(i32::MAX);
        // Records without a key stay together, each batch on the next partition (KIP-480).
        let sticky = (self.rotation % count as usize) as PartitionIndex;
        self.rotation += 1;
        let mut builders: BTreeMap<PartitionIndex, BatchBuilder> = BTreeMap::new();
        for record in records {
            let partition = record.partition.unwrap_or_else(|| match &record.key {
                Some(key) => partition_of_key(key, count),
                None => sticky,
            });
            let builder = builders.entry(partition).or_insert_with(|| {
                let (producer_id, producer_epoch) = self.identity.unwrap_or((-1, -1));
                let base_sequence = match self.identity {
                    Some(_) => self.sequences.get(&partition).copied().unwrap_or(0),
                    None => -1,
                };
                BatchBuilder::new(BuilderOptions {
                    compression: self.options.compression,
                    producer_id,
                    producer_epoch,
                    base_sequence,
                    ..BuilderOptions::default()
                })
            });
            let headers: Vec<RecordHeader<'_>> = record
                .headers
                .iter()
                .map(|(key, value)| RecordHeader { key: key.as_bytes(), value: value.as_deref() })
                .collect();
            let offset = Offset::from(builder.records_count());
            let timestamp = record.timestamp.unwrap_or(now_ms);
            builder.append(offset, timestamp, record.key.as_deref(), record.value.as_deref(), &headers);
        }
        let finish = |(partition, builder): (PartitionIndex, BatchBuilder)| {
            let records = builder.records_count();
            let next = self.sequences.entry(partition).or_insert(0);
            *next = next.wrapping_add(records) & i32::MAX;
            (partition, (builder.build().bytes().clone(), records))
        };
        builders.into_iter().map(finish).collect()
    }
}

/// The base offset, or why the batch was not taken. A duplicate of an earlier attempt of ours was taken.
fn judge(answer: &PartitionProduceResponse) -> Result<Option<Offset>, ClientError> {
    if answer.error_code == ErrorCode::DuplicateSequenceNumber.code() {
        return Ok(None);
    }
    let reason = answer.record_errors.iter().find_map(|record| record.batch_index_error_message.as_deref());
    let message = answer.error_message.as_deref().map(|message| match reason {
        Some(reason) => format!("{message} ({reason})"),
        None => message.to_owned(),
    });
    check(answer.error_code, message.as_deref())?;
    Ok(Some(answer.base_offset))
}

async fn init_producer(client: &Client) -> Result<Option<(i64, i16)>, ClientError> {
    let mut retry = Retry::new(client.timeout());
    loop {
        let request = |_| {
            InitProducerIdRequest::default()
                .with_transactional_id(None)
                .with_transaction_timeout_ms(i32::MAX)
                .with_producer_id(ProducerId(-1))
                .with_producer_epoch(-1)
        };
        let answer = match client.call(To::Any, request).await {
            Ok(response) => check(response.error_code, None)
                .map(|()| Some((response.producer_id.0, response.producer_epoch))),
            // Without the API there is no idempotence, as before Kafka 0.11.
            Err(ClientError::Unsupported { .. }) => return Ok(None),
            Err(error) => Err(error),
        };
        match answer {
            Ok(identity) => return Ok(identity),
            Err(error) => retry.after(error).await?,
        }
    }
}

/// Kafka's default partitioner: murmur2 of the key, so that all clients agree.
pub fn partition_of_key(key: &[u8], partitions: i32) -> PartitionIndex {
    (murmur2(key) & 0x7fff_ffff) as i32 % partitions
}

fn murmur2(data: &[u8]) -> u32 {
    const M: u32 = 0x5bd1_e995;
    let mut hash: u32 = 0x9747_b28c ^ data.len() as u32;
    let mut chunks = data.chunks_exact(4);
    for chunk in &mut chunks {
        let mut k = u32::from_le_bytes(chunk.try_into().expect("chunks of four"));
        k = k.wrapping_mul(M);
        k ^= k >> 24;
        k = k.wrapping_mul(M);
        hash = hash.wrapping_mul(M) ^ k;
    }
    let rest = chunks.remainder();
    if !rest.is_empty() {
        for (i, byte) in rest.iter().enumerate() {
            hash ^= u32::from(*byte) << (8 * i);
        }
        hash = hash.wrapping_mul(M);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(M);
    hash ^ (hash >> 15)
}

#[cfg(test)]
mod tests;
