//! The answer to a fetch: which partitions it carries, and its bytes around the records.

use tidemark_protocol::api::ApiKey;
use tidemark_protocol::error_code::ErrorCode;
use tidemark_protocol::fetch_response::{FetchPartitionHead, FetchResponseEncoder, Part as Encoded};
use tidemark_protocol::types::{BrokerId, LeaderEpoch, TopicId};

use super::super::super::fetch_session::{Fetching, Told, TopicRef};
use super::super::super::partitions::Leaders;
use super::super::super::reply::{Part, Reply};
use super::super::super::{Ctx, RequestContext};
use super::read::{PartitionRead, Round, Target};

/// First version that says who leads instead.
const LEADERS_FROM: i16 = 16;

/// A whole request that failed: the code and nothing else.
pub(super) fn refused(context: &RequestContext, code: ErrorCode) -> Reply {
    let encoder: FetchResponseEncoder<Part> =
        FetchResponseEncoder::new(context.version, context.correlation_id, 0, code, 0, 0);
    reply(encoder.finish(&[]))
}

/// Nothing for a client over its quota but how long it must rest.
pub(super) fn withheld(context: &RequestContext, session_id: i32) -> Reply {
    let (version, correlation_id) = (context.version, context.correlation_id);
    let rest_ms = context.throttle_time_ms();
    let encoder: FetchResponseEncoder<Part> =
        FetchResponseEncoder::new(version, correlation_id, rest_ms, ErrorCode::None, session_id, 0);
    reply(encoder.finish(&[]))
}

/// Encodes what was read; in an incremental session only what is news.
pub(super) fn encode(
    ctx: &Ctx,
    context: &RequestContext,
    fetching: &Fetching,
    targets: &[Target],
    round: Round,
) -> Reply {
    let told: Vec<Told> = round.parts.iter().map(told).collect();
    let carried = fetching.tell(&told);
    let mut parts: Vec<(&Target, PartitionRead)> = targets
        .iter()
        .zip(round.parts)
        .zip(carried)
        .filter_map(|(part, carried)| carried.then_some(part))
        .collect();
    // Session order may interleave topics; the answer lists each run of one topic together.
    let topics = parts.chunk_by(|(a, _), (b, _)| a.asked.topic == b.asked.topic).count();
    let mut encoder = FetchResponseEncoder::new(
        context.version,
        context.correlation_id,
        context.throttle_time_ms(),
        ErrorCode::None,
        fetching.session_id(),
        topics,
    );
    let mut bytes = 0;
    let mut leaders = Leaders::new(ctx, context);
    let says_leaders = context.version >= LEADERS_FROM;
    for run in parts.chunk_by_mut(|(a, _), (b, _)| a.asked.topic == b.asked.topic) {
        match &run[0].0.asked.topic {
            TopicRef::Name(name) => encoder.topic(name, TopicId::ZERO, run.len()),
            TopicRef::Id(id) => encoder.topic("", *id, run.len()),
        }
        for (target, part) in run {
            bytes += part.bytes;
            ctx.metrics.partition_answered(ApiKey::Fetch, part.error.code());
            if let Some(handle) = target.handle() {
                handle.count_out(part.bytes);
            }
            let records = std::mem::take(&mut part.records);
            let moved = says_leaders && Leaders::has_moved(part.error);
            let leader = moved.then(|| leaders.of(&target.asked.topic, target.asked.partition)).flatten();
            encoder.partition(&head(target, part, leader), records, part.bytes);
        }
    }
    ctx.metrics.bytes_out(bytes);
    reply(encoder.finish(leaders.endpoints()))
}

fn head(
    target: &Target,
    part: &PartitionRead,
    current_leader: Option<(BrokerId, LeaderEpoch)>,
) -> FetchPartitionHead<'static> {
    FetchPartitionHead {
        index: target.asked.partition,
        error: part.error,
        high_watermark: part.high_watermark,
        last_stable_offset: part.last_stable,
        log_start_offset: part.log_start,
        aborted: None,
        preferred_read_replica: part.preferred_replica.unwrap_or(-1),
        diverging: part.diverging,
        current_leader,
    }
}

fn told(part: &PartitionRead) -> Told {
    let has_news = part.bytes > 0
        || part.error != ErrorCode::None
        || part.diverging.is_some()
        || part.preferred_replica.is_some();
    Told { high_watermark: part.high_watermark, log_start: part.log_start, has_news }
}

fn reply(parts: Vec<Encoded<Part>>) -> Reply {
    Reply::Parts(
        parts
            .into_iter()
            .map(|part| match part {
                Encoded::Skeleton(bytes) => Part::Bytes(bytes),
                Encoded::Records(part) => part,
            })
            .collect(),
    )
}
