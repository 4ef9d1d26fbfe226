//! UnregisterBroker: key 64, version 0 (KIP-500): the cluster forgets a broker that is gone.
//!
//! Unlike Kafka one that lives is refused: it would go on serving without belonging to anything.

use std::sync::Arc;

use kafka_protocol::messages::{UnregisterBrokerRequest, UnregisterBrokerResponse};
use tidemark_core::metadata::{Command, Failure, Reply};
use tidemark_protocol::error_code::ErrorCode;

use super::super::answer::text;
use super::super::{Ctx, RequestContext, topics};

/// Forgets the broker, and answers once this node has, too.
pub async fn handle(
    ctx: Arc<Ctx>,
    _: RequestContext,
    request: UnregisterBrokerRequest,
) -> UnregisterBrokerResponse {
    let response = UnregisterBrokerResponse::default();
    match unregister(&ctx, request.broker_id.0).await {
        Ok(()) => response.with_error_message(None),
        Err(failure) => {
            response.with_error_code(failure.code.code()).with_error_message(Some(text(&failure.message)))
        }
    }
}

async fn unregister(ctx: &Ctx, id: i32) -> Result<(), Failure> {
    let image = ctx.image();
    if image.brokers.get(&id).is_some_and(|broker| !broker.fenced) {
        let message = format!("Broker {id} is alive; stop it before it is unregistered.");
        return Err(Failure::new(ErrorCode::InvalidRequest, message));
    }
    match topics::run(ctx, &image, Command::UnregisterBroker { id }, false).await? {
        Reply::BrokerChanged(result) => result,
        other => Err(topics::unexpected(&other)),
    }
}
