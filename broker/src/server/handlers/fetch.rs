//! Fetch: key 1, versions 4–18.
//!
//! Versions: 7 sessions (KIP-227), 9 leader epochs (KIP-320), 10 zstd, 11 racks (KIP-392), reads from followers, 12 last fetched epoch, 13
//! topic ids, 16 the new leader's address with E6 and E74.
//!
//! Partitions are read in the order of the request until `max_bytes` is full; the first batch of an answer is whole
//! even if it is larger. With less than `min_bytes` the request waits: one wake-up object is registered with every
//! partition, and whichever publishes first has the answer made anew. Recent batches come from memory; older ones are
//! ranges of segment files; a read that would touch the disk happens off the network threads. A consumer of a fast log
//! is paced (`pace`).

mod answer;
mod nearest;
mod pace;
mod read;

use std::sync::Arc;
use std::time::Duration;

use kafka_protocol::messages::FetchRequest;
use tidemark_protocol::error_code::ErrorCode;

use self::nearest::Nearest;
pub use self::pace::FetchPace;
use self::read::{PartitionRead, Round, Target};
use super::super::reply::Reply;
use super::super::{Ctx, RequestContext};
use crate::partition::FetchWaiter;

/// What a request asks of every partition.
struct Wanted {
    version: i16,
    min_bytes: usize,
    max_bytes: usize,
    read_committed: bool,
    /// Whom the consumer might be sent to.
    nearest: Option<Nearest>,
}

/// Reads, waits if there is too little, and answers.
pub async fn handle(ctx: Arc<Ctx>, context: RequestContext, request: FetchRequest) -> Reply {
    let fetching = match ctx.sessions.begin(&request, context.version, ctx.clock.now()) {
        Ok(fetching) => fetching,
        Err(code) => return answer::refused(&context, code),
    };
    let settings = ctx.settings().clone();
    let max_bytes = if context.version < 3 { i32::MAX } else { request.max_bytes };
    let max_bytes =
        usize::try_from(max_bytes).unwrap_or(0).min(usize::try_from(settings.fetch_max_bytes).unwrap_or(0));
    // What the quota does not allow in a whole window could never leave.
    let max_bytes =
        context.charge.as_ref().map_or(max_bytes, |charge| max_bytes.min(charge.fetch_bytes_max()));
    let wanted = Wanted {
        version: context.version,
        min_bytes: usize::try_from(request.min_bytes).unwrap_or(0).min(max_bytes),
        max_bytes,
        read_committed: request.isolation_level == 1,
        nearest: Nearest::of(&ctx, &context, &request),
    };
    let targets: Vec<Target> = fetching.targets.iter().map(|target| Target::resolve(&ctx, target)).collect();
    let max_wait = Duration::from_millis(u64::try_from(request.max_wait_ms).unwrap_or(0));
    let hold = context.pace.hold(ctx.clock.now().mono).min(max_wait);
    if !hold.is_zero() {
        tokio::time::sleep(hold).await;
    }
    let round = read_enough(&ctx, &targets, &wanted, max_wait - hold).await;
    if context.charge.as_ref().is_some_and(|charge| !charge.fetched(round.bytes)) {
        return answer::withheld(&context, ctx.sessions.give_up(&fetching));
    }
    context.pace.answered(ctx.clock.now().mono, round.bytes, round.has_room(&targets, &wanted));
    answer::encode(&ctx, &context, &fetching, &targets, round)
}

/// Reads until there is enough, something to say at once, or `max_wait` has passed.
async fn read_enough(ctx: &Arc<Ctx>, targets: &[Target], wanted: &Wanted, max_wait: Duration) -> Round {
    let round = read::read(ctx, targets, wanted).await;
    if round.is_enough(wanted) || max_wait.is_zero() || targets.is_empty() {
        return round;
    }
    let deadline = tokio::time::Instant::now() + max_wait;
    let mut round = round;
    let mut waiter = FetchWaiter::new();
    loop {
        waiter.reset();
        for (target, part) in targets.iter().zip(&round.parts) {
            if let (Some(handle), Some(seen)) = (target.handle(), &part.seen) {
                waiter.register(handle, seen);
            }
        }
        let timed_out = tokio::time::timeout_at(deadline, waiter.woken()).await.is_err();
        round = read::read(ctx, targets, wanted).await;
        if timed_out || round.is_enough(wanted) {
            return round;
        }
    }
}

impl Round {
    /// Whether all limits are far from reached: there was no more to read.
    fn has_room(&self, targets: &[Target], wanted: &Wanted) -> bool {
        let mut parts = targets.iter().zip(&self.parts);
        self.bytes <= wanted.max_bytes / 2
            && parts.all(|(target, part)| part.bytes <= target.asked.max_bytes / 2)
    }

    fn is_enough(&self, wanted: &Wanted) -> bool {
        let says_more =
            |part: &PartitionRead| part.error != ErrorCode::None || part.preferred_replica.is_some();
        self.bytes >= wanted.min_bytes || self.parts.iter().any(says_more)
    }
}
