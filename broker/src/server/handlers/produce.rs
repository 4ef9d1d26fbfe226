//! Produce: key 0, versions 3–13 (advertised from 0: older librdkafka derives features from that, KAFKA-18659).
//!
//! Versions: 7 zstd, 8 record errors, 10 the new leader's address with E6, 13 topic ids.
//!
//! Each partition is checked and appended by itself, in the order of the request; one answer leaves when all are done.
//! acks=0 has no answer at all: any failure closes the connection, which is the only sign the client gets.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::messages::produce_request::PartitionProduceData;
use kafka_protocol::messages::produce_response::{
    BatchIndexAndErrorMessage, LeaderIdAndEpoch, NodeEndpoint, PartitionProduceResponse, TopicProduceResponse,
};
use kafka_protocol::messages::{ProduceRequest, ProduceResponse};
use tidemark_protocol::api::ApiKey;
use tidemark_protocol::batch::validate::{Rejected, validate};
use tidemark_protocol::batch::{Attributes, HEADER_LEN, RecordBatch};
use tidemark_protocol::error_code::ErrorCode;
use tidemark_protocol::fetch_response;
use tidemark_protocol::types::{TimestampMs, TopicId};

use super::super::answer::{encode, text};
use super::super::fetch_session::TopicRef;
use super::super::partitions::Leaders;
use super::super::reply::Reply;
use super::super::{Ctx, RequestContext, error, partitions, topics};
use crate::partition::{Acks, Append, AppendResult, AppendWait, PartitionHandle};

/// First version that tells a refused producer who leads.
const CURRENT_LEADER_FROM: i16 = 10;
/// First version that names topics by id.
const TOPIC_IDS_FROM: i16 = 13;
/// The client id of Kafka's own tools, which alone may write to internal topics.
const ADMIN_CLIENT: &str = "__admin_client";

/// A partition of the request on its way.
struct Pending {
    index: i32,
    state: State,
}

enum State {
    /// Refused before the log saw it.
    Refused(Rejected),
    /// Handed to the log; the n-th of the appends.
    Appending(usize, PartitionHandle),
}

/// A batch that passed all checks outside of the log.
struct Checked {
    handle: PartitionHandle,
    batch: RecordBatch,
}

/// Appends and answers as `acks` says.
pub async fn handle(ctx: Arc<Ctx>, context: RequestContext, request: ProduceRequest) -> Reply {
    let acks = match request.acks {
        0 => Some(Acks::None),
        1 => Some(Acks::Leader),
        -1 => Some(Acks::All),
        _ => None,
    };
    if let Some(charge) = &context.charge {
        charge.produced(context.request_bytes);
    }
    let now = ctx.clock.now();
    let (now_ms, leads) = (now.wall_ms, ctx.lease.is_held(now));
    let request_error = refuse_request(&request, acks);
    let mut checked = Vec::new();
    let mut topics = Vec::with_capacity(request.topic_data.len());
    for topic in request.topic_data {
        let find = |index| find(&ctx, &context, &topic.name, TopicId(topic.topic_id), index);
        let mut partitions: Vec<Pending> = Vec::with_capacity(topic.partition_data.len());
        for data in topic.partition_data {
            let index = data.index;
            let again = partitions.iter().any(|partition| partition.index == index);
            let result = match request_error {
                Some(code) => Err(refusal(code)),
                None if again => Err(refusal(ErrorCode::InvalidRequest)),
                None if !leads => Err(refusal(ErrorCode::NotLeaderOrFollower)),
                None => find(index).map_err(refusal).and_then(|handle| check(handle, data, &context, now_ms)),
            };
            let state = match result {
                Ok(ok) => {
                    checked.push(ok);
                    let Checked { handle, .. } = &checked[checked.len() - 1];
                    State::Appending(checked.len() - 1, handle.clone())
                }
                Err(rejected) => State::Refused(rejected),
            };
            partitions.push(Pending { index, state });
        }
        topics.push((topic.name, topic.topic_id, partitions));
    }
    let acks = acks.unwrap_or(Acks::Leader);
    let results = append(&ctx, checked, acks, request.timeout_ms).await;
    if acks == Acks::None && request_error.is_none() {
        let failed = topics.iter().flat_map(|(_, _, partitions)| partitions).any(|p| p.failed(&results));
        return if failed { Reply::Close } else { Reply::Nothing };
    }
    let mut leaders = NewLeaders { known: Leaders::new(&ctx, &context), version: context.version };
    let responses = topics
        .into_iter()
        .map(|(name, id, partitions)| {
            let topic = if context.version >= TOPIC_IDS_FROM {
                TopicRef::Id(TopicId(id))
            } else {
                TopicRef::Name(Arc::from(name.as_str()))
            };
            let answers = partitions.iter().map(|p| leaders.tell(&topic, p.answer(&results)));
            let answers = answers
                .inspect(|answer| ctx.metrics.partition_answered(ApiKey::Produce, answer.error_code))
                .collect();
            TopicProduceResponse::default()
                .with_name(name)
                .with_topic_id(id)
                .with_partition_responses(answers)
        })
        .collect();
    let response = ProduceResponse::default()
        .with_responses(responses)
        .with_node_endpoints(leaders.endpoints())
        .with_throttle_time_ms(context.throttle_time_ms());
    encode(ApiKey::Produce, context.version, context.correlation_id, &response)
}

/// What is wrong with the request as a whole.
fn refuse_request(request: &ProduceRequest, acks: Option<Acks>) -> Option<ErrorCode> {
    let batches = request.topic_data.iter().flat_map(|topic| &topic.partition_data);
    let transactional = batches.filter_map(|data| data.records.as_ref()).any(is_transactional);
    match (transactional, &request.transactional_id) {
        (true, None) => Some(ErrorCode::TransactionalIdAuthorizationFailed),
        // Without a coordinator no transaction can be open, so none can be continued.
        (true, Some(_)) => Some(ErrorCode::InvalidTxnState),
        (false, _) if acks.is_none() => Some(ErrorCode::InvalidRequiredAcks),
        _ => None,
    }
}

fn is_transactional(records: &Bytes) -> bool {
    const ATTRIBUTES_AT: usize = 21;
    match records.get(ATTRIBUTES_AT..ATTRIBUTES_AT + 2) {
        Some(bytes) if records.len() >= HEADER_LEN => {
            Attributes(i16::from_be_bytes([bytes[0], bytes[1]])).has(Attributes::TRANSACTIONAL)
        }
        _ => false,
    }
}

fn find(
    ctx: &Ctx,
    context: &RequestContext,
    name: &str,
    id: TopicId,
    index: i32,
) -> Result<PartitionHandle, ErrorCode> {
    let handle = if context.version >= TOPIC_IDS_FROM {
        partitions::held_by_id(ctx, id, index)?
    } else {
        partitions::held(ctx, name, index)?
    };
    if topics::is_internal(&handle.tp().topic) && *context.client_id != *ADMIN_CLIENT {
        return Err(ErrorCode::InvalidTopicException);
    }
    Ok(handle)
}

fn check(
    handle: PartitionHandle,
    data: PartitionProduceData,
    context: &RequestContext,
    now_ms: TimestampMs,
) -> Result<Checked, Rejected> {
    let records = data.records.unwrap_or_default();
    let validated = validate(records, &handle.config().rules, context.version, now_ms)?;
    Ok(Checked { handle, batch: validated.batch })
}

fn refusal(code: ErrorCode) -> Rejected {
    Rejected { code, message: code.message().to_owned(), record_errors: Vec::new() }
}

/// Hands every batch to its writer before the first wait, so that two requests of one connection keep their order, and
/// waits for all of them, for acks=all at most as long as the client does.
async fn append(ctx: &Ctx, checked: Vec<Checked>, acks: Acks, timeout_ms: i32) -> Vec<Option<AppendResult>> {
    if checked.is_empty() {
        return Vec::new();
    }
    let (mut wait, replies) = AppendWait::new(checked.len());
    let mut bytes = 0;
    for (Checked { handle, batch }, reply) in checked.into_iter().zip(replies) {
        bytes += batch.len();
        handle.append(Append { batch, acks, reply });
    }
    ctx.metrics.bytes_in(bytes);
    if acks == Acks::All {
        let timeout = Duration::from_millis(u64::try_from(timeout_ms).unwrap_or(0));
        // A timeout is answered per partition below: what was appended stays appended.
        let _ = tokio::time::timeout(timeout, &mut wait).await;
    } else {
        (&mut wait).await;
    }
    wait.into_results()
}

impl Pending {
    fn failed(&self, results: &[Option<AppendResult>]) -> bool {
        match &self.state {
            State::Refused(_) => true,
            State::Appending(nth, _) => !matches!(results.get(*nth), Some(Some(Ok(_)))),
        }
    }

    fn answer(&self, results: &[Option<AppendResult>]) -> PartitionProduceResponse {
        let response = PartitionProduceResponse::default().with_index(self.index);
        match &self.state {
            State::Refused(rejected) => with_rejection(response, rejected),
            State::Appending(nth, handle) => match results.get(*nth) {
                Some(Some(Ok(appended))) => response
                    .with_base_offset(appended.base_offset)
                    .with_log_append_time_ms(appended.log_append_time)
                    .with_log_start_offset(appended.log_start),
                Some(Some(Err(refused))) => {
                    let code = error::of_produce(refused);
                    with_error(response, handle, code).with_error_message(Some(text(&refused.to_string())))
                }
                _ => with_error(response, handle, ErrorCode::RequestTimedOut),
            },
        }
    }
}

/// What refused producers are told of those who lead instead.
struct NewLeaders<'a> {
    known: Leaders<'a>,
    version: i16,
}

impl NewLeaders<'_> {
    fn tell(&mut self, topic: &TopicRef, answer: PartitionProduceResponse) -> PartitionProduceResponse {
        let moved = ErrorCode::from_code(answer.error_code).is_some_and(Leaders::has_moved);
        if self.version < CURRENT_LEADER_FROM || !moved {
            return answer;
        }
        let Some((leader, epoch)) = self.known.of(topic, answer.index) else { return answer };
        let leader = LeaderIdAndEpoch::default().with_leader_id(leader.into()).with_leader_epoch(epoch);
        answer.with_current_leader(leader)
    }

    fn endpoints(&self) -> Vec<NodeEndpoint> {
        let endpoint = |at: &fetch_response::NodeEndpoint| {
            NodeEndpoint::default()
                .with_node_id(at.node_id.into())
                .with_host(text(&at.host))
                .with_port(at.port)
                .with_rack(at.rack.as_deref().map(text))
        };
        self.known.endpoints().iter().map(endpoint).collect()
    }
}

fn with_error(
    response: PartitionProduceResponse,
    handle: &PartitionHandle,
    code: ErrorCode,
) -> PartitionProduceResponse {
    // A producer tells retention from loss by the start of the log.
    let log_start = handle.view().map_or(-1, |view| view.log_start);
    response.with_error_code(code.code()).with_base_offset(-1).with_log_start_offset(log_start)
}

fn with_rejection(response: PartitionProduceResponse, rejected: &Rejected) -> PartitionProduceResponse {
    let record_errors = rejected
        .record_errors
        .iter()
        .map(|(index, message)| {
            BatchIndexAndErrorMessage::default()
                .with_batch_index(*index)
                .with_batch_index_error_message(message.as_deref().map(text))
        })
        .collect();
    response
        .with_error_code(rejected.code.code())
        .with_base_offset(-1)
        .with_log_start_offset(-1)
        .with_record_errors(record_errors)
        .with_error_message(Some(text(&rejected.message)))
}
