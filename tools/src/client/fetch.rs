//! Fetching: every leader has one long poll under way; what arrives is decoded into records.
//!
//! Positions are the fetcher's own: they move past whole batches, control batches and compacted gaps included.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::fetch_response::PartitionData;
use kafka_protocol::messages::{FetchRequest, FetchResponse};
use tidemark_protocol::batch::{BatchHeader, RecordBatch, RecordSet, batches};
use tidemark_protocol::error_code::ErrorCode;
use tidemark_protocol::types::{BrokerId, Offset, TopicPartition};
use uuid::Uuid;

use super::error::{ClientError, check};
use super::offsets::{group_by_leader, merge};
use super::retry::Retry;
use super::{Client, To, topic_name};

/// First version that names topics by id.
const TOPIC_ID_VERSION: i16 = 13;
/// How long a broker waits for new records.
const FETCH_WAIT_MS: i32 = 500;
/// Bytes asked of one partition at a time.
const PARTITION_BYTES_MAX: i32 = 4 << 20;
/// Bytes asked in one answer.
const RESPONSE_BYTES_MAX: i32 = 32 << 20;
/// Most bytes one compressed batch may unfold to: Kafka's largest batches are far below.
pub const UNFOLDED_BYTES_MAX: usize = 1 << 30;
/// How long one answer may take.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(40);

/// New batches of one partition.
pub struct Fetched {
    /// The partition.
    pub tp: TopicPartition,
    /// Whole batches, opened; the first may start before the position asked for.
    pub batches: Vec<(BatchHeader, RecordSet)>,
    /// Offsets from here on count.
    pub from: Offset,
    /// Position after these batches.
    pub next: Offset,
}

type Poll = (BrokerId, Vec<TopicPartition>, Result<FetchResponse, ClientError>);

/// Reads partitions from given positions on.
pub struct Fetcher {
    client: Arc<Client>,
    positions: BTreeMap<TopicPartition, Offset>,
    ids: BTreeMap<String, Uuid>,
    polls: FuturesUnordered<BoxFuture<'static, Poll>>,
    /// Whether committed transactions only are shown.
    read_committed: bool,
    /// Leaders must be looked up before the next poll.
    stale: bool,
    ready: Vec<Fetched>,
    retry: Retry,
}

impl Fetcher {
    /// A fetcher at these positions.
    pub fn new(
        client: Arc<Client>,
        positions: BTreeMap<TopicPartition, Offset>,
        read_committed: bool,
    ) -> Fetcher {
        let retry = Retry::new(client.timeout());
        Fetcher {
            client,
            positions,
            ids: BTreeMap::new(),
            polls: FuturesUnordered::new(),
            read_committed,
            stale: true,
            ready: Vec::new(),
            retry,
        }
    }

    /// Where it is.
    pub fn positions(&self) -> &BTreeMap<TopicPartition, Offset> {
        &self.positions
    }

    /// Stops reading a partition; an answer under way is thrown away.
    pub fn forget(&mut self, tp: &TopicPartition) {
        self.positions.remove(tp);
        self.ready.retain(|fetched| fetched.tp != *tp);
    }

    /// The next batches; waits until some arrive. Safe to give up: polls under way go on at the next call.
    pub async fn next(&mut self) -> Result<Fetched, ClientError> {
        loop {
            if let Some(fetched) = self.ready.pop() {
                return Ok(fetched);
            }
            if self.stale && self.polls.is_empty() {
                match self.poll_leaders().await {
                    Ok(()) => {}
                    Err(error) => {
                        self.retry.after(error).await?;
                        continue;
                    }
                }
            }
            let Some((leader, asked, response)) = self.polls.next().await else {
                self.stale = true;
                continue;
            };
            match response.and_then(|response| self.accept(response)) {
                Ok(()) => {
                    self.retry = Retry::new(self.client.timeout());
                    if !self.stale {
                        self.poll(leader, asked);
                    }
                }
                Err(error) => {
                    self.stale = true;
                    self.retry.after(error).await?;
                }
            }
        }
    }

    async fn poll_leaders(&mut self) -> Result<(), ClientError> {
        let mut names: Vec<String> = self.positions.keys().map(|tp| tp.topic.to_string()).collect();
        names.dedup();
        let metadata = self.client.metadata(Some(&names), false).await?;
        let leaders = group_by_leader(&metadata, self.positions.keys())?;
        self.ids = metadata.topics.into_iter().map(|(name, topic)| (name, topic.id)).collect();
        self.stale = false;
        for (leader, partitions) in leaders {
            self.poll(leader, partitions);
        }
        Ok(())
    }

    fn poll(&mut self, leader: BrokerId, partitions: Vec<TopicPartition>) {
        let asked: Vec<TopicPartition> =
            partitions.into_iter().filter(|tp| self.positions.contains_key(tp)).collect();
        if asked.is_empty() {
            return;
        }
        let wanted: Vec<(TopicPartition, Uuid, Offset)> = asked
            .iter()
            .map(|tp| (tp.clone(), self.ids.get(&*tp.topic).copied().unwrap_or_default(), self.positions[tp]))
            .collect();
        let client = Arc::clone(&self.client);
        let isolation = i8::from(self.read_committed);
        self.polls.push(Box::pin(async move {
            let build = |version| request(version, &wanted, isolation);
            let response = client.call_within(To::Waiting(leader), ANSWER_TIME_MAX, build).await;
            (leader, asked, response)
        }));
    }

    fn accept(&mut self, response: FetchResponse) -> Result<(), ClientError> {
        check(response.error_code, None)?;
        for topic in &response.responses {
            let name = match self.ids.iter().find(|(_, id)| !id.is_nil() && **id == topic.topic_id) {
                Some((name, _)) => name.clone(),
                None => topic.topic.0.to_string(),
            };
            for data in &topic.partitions {
                let tp = TopicPartition::new(&*name, data.partition_index);
                if let Some(position) = self.positions.get(&tp).copied() {
                    self.accept_partition(tp, position, data)?;
                }
            }
        }
        Ok(())
    }

    fn accept_partition(
        &mut self,
        tp: TopicPartition,
        from: Offset,
        data: &PartitionData,
    ) -> Result<(), ClientError> {
        let code = ErrorCode::from_code(data.error_code);
        if code == Some(ErrorCode::OffsetOutOfRange) {
            let message =
                format!("{tp}: offset {from} is not in the log; it starts at {}", data.log_start_offset);
            return Err(ClientError::Kafka { code: ErrorCode::OffsetOutOfRange, message });
        }
        check(data.error_code, Some(&format!("{tp}: {}", code.map_or("", ErrorCode::message))))?;
        let Some(records) = data.records.clone().filter(|records| !records.is_empty()) else { return Ok(()) };
        let aborted = data.aborted_transactions.iter().flatten();
        let mut aborted: Vec<(i64, Offset)> = aborted.map(|t| (t.producer_id.0, t.first_offset)).collect();
        let mut opened = Vec::new();
        let mut next = from;
        for item in batches(&records) {
            let unreadable = |error: &dyn std::fmt::Display| ClientError::Kafka {
                code: ErrorCode::CorruptMessage,
                message: format!("{tp}: the batch after offset {next} is damaged: {error}"),
            };
            let (header, range) = item.map_err(|error| unreadable(&error))?;
            let batch = open(&records, range).map_err(|error| unreadable(&error))?;
            next = header.next_offset().max(next);
            if header.is_control() {
                // A marker ends its producer's transaction: what follows belongs to another one.
                aborted.retain(|(producer, first)| {
                    *producer != header.producer_id || *first > header.base_offset
                });
            } else if header.next_offset() > from && !is_aborted(&header, &aborted) {
                opened.push((header, batch));
            }
        }
        self.positions.insert(tp.clone(), next);
        self.ready.insert(0, Fetched { tp, batches: opened, from, next });
        Ok(())
    }
}

fn open(records: &Bytes, range: Range<usize>) -> Result<RecordSet, tidemark_protocol::batch::BatchError> {
    let batch = RecordBatch::parse(records.slice(range))?;
    batch.verify_crc()?;
    batch.records(UNFOLDED_BYTES_MAX)
}

/// Whether the batch belongs to a transaction that was given up (KIP-98).
fn is_aborted(header: &BatchHeader, aborted: &[(i64, Offset)]) -> bool {
    header.is_transactional()
        && aborted
            .iter()
            .any(|(producer, first)| *producer == header.producer_id && *first <= header.base_offset)
}

fn request(version: i16, wanted: &[(TopicPartition, Uuid, Offset)], isolation: i8) -> FetchRequest {
    let topics = wanted.iter().map(|(tp, id, position)| {
        let partition = FetchPartition::default()
            .with_partition(tp.partition)
            .with_current_leader_epoch(-1)
            .with_fetch_offset(*position)
            .with_partition_max_bytes(PARTITION_BYTES_MAX);
        let topic = FetchTopic::default().with_partitions(vec![partition]);
        if version >= TOPIC_ID_VERSION {
            topic.with_topic_id(*id)
        } else {
            topic.with_topic(topic_name(&tp.topic))
        }
    });
    let topics = if version >= TOPIC_ID_VERSION {
        merge(topics, |topic| &topic.topic_id, |to, from| to.partitions.extend(from.partitions))
    } else {
        merge(topics, |topic| &topic.topic, |to, from| to.partitions.extend(from.partitions))
    };
    FetchRequest::default()
        .with_max_wait_ms(FETCH_WAIT_MS)
        .with_min_bytes(1)
        .with_max_bytes(RESPONSE_BYTES_MAX)
        .with_isolation_level(isolation)
        .with_topics(topics)
}
