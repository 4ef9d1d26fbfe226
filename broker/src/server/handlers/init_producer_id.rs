//! InitProducerId: key 22, versions 0–5.
//!
//! Without a transactional id any broker hands out a fresh producer id with epoch 0, or bumps the epoch the client
//! brings (KIP-360) to a fresh id. Ids come from the controller in blocks and are never used twice.

use std::sync::Arc;

use kafka_protocol::messages::{InitProducerIdRequest, InitProducerIdResponse};
use tidemark_core::metadata::reply::ProducerIdBlock;
use tidemark_core::metadata::{Command, Failure, Reply};
use tidemark_protocol::error_code::ErrorCode;
use tidemark_protocol::types::ProducerId;
use tokio::sync::Mutex;

use super::super::{Ctx, RequestContext, topics};

/// The block this broker hands out from.
#[derive(Default)]
pub struct ProducerIds {
    block: Mutex<Option<ProducerIdBlock>>,
}

/// Answers with a producer id, or with why there is none.
pub async fn handle(
    ctx: Arc<Ctx>,
    _: RequestContext,
    request: InitProducerIdRequest,
) -> InitProducerIdResponse {
    match init(&ctx, &request).await {
        Ok(id) => InitProducerIdResponse::default().with_producer_id(id.into()).with_producer_epoch(0),
        Err(code) => InitProducerIdResponse::default()
            .with_error_code(code.code())
            .with_producer_id((-1).into())
            .with_producer_epoch(-1),
    }
}

async fn init(ctx: &Ctx, request: &InitProducerIdRequest) -> Result<ProducerId, ErrorCode> {
    match &request.transactional_id {
        Some(id) if id.is_empty() => return Err(ErrorCode::InvalidRequest),
        // There is no transaction coordinator to find: the client is told so and may try again later.
        Some(_) => return Err(ErrorCode::CoordinatorNotAvailable),
        None => {}
    }
    if (*request.producer_id == -1) != (request.producer_epoch == -1) {
        return Err(ErrorCode::InvalidRequest);
    }
    ctx.producer_ids.next(ctx).await.map_err(|failure| {
        tracing::warn!(%failure, "no producer ids from the controller");
        ErrorCode::CoordinatorLoadInProgress
    })
}

impl ProducerIds {
    /// The next id; asks the controller for a block when the last one is used up. Others wait meanwhile, so that one
    /// block is asked for, not one each.
    async fn next(&self, ctx: &Ctx) -> Result<ProducerId, Failure> {
        let mut block = self.block.lock().await;
        let current = match block.take() {
            Some(current) if current.len > 0 => current,
            _ => allocate(ctx).await?,
        };
        *block = Some(ProducerIdBlock { first: current.first + 1, len: current.len - 1 });
        Ok(current.first)
    }
}

async fn allocate(ctx: &Ctx) -> Result<ProducerIdBlock, Failure> {
    let image = ctx.image();
    let broker_epoch = image.brokers.get(&ctx.node_id).map_or(-1, |broker| broker.epoch);
    let command = Command::AllocateProducerIds { broker: ctx.node_id, broker_epoch };
    match topics::run(ctx, &image, command, false).await? {
        Reply::ProducerIdsAllocated(block) => block,
        other => {
            Err(Failure::new(ErrorCode::UnknownServerError, format!("the controller answered {other:?}")))
        }
    }
}
