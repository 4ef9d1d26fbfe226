//! Heartbeat: key 12, versions 0–4.
//!
//! A coordinator that is loading answers that all is well: sessions start anew when it has loaded, and an error would
//! only make the member rejoin.

use std::sync::Arc;

use kafka_protocol::messages::{HeartbeatRequest, HeartbeatResponse};
use tidemark_core::group::{GroupReply, GroupRequest, request};
use tidemark_protocol::error_code::ErrorCode;

use super::super::{Ctx, RequestContext};

/// Answers whether the member is one, and whether it has to join again.
pub async fn handle(ctx: Arc<Ctx>, _: RequestContext, request: HeartbeatRequest) -> HeartbeatResponse {
    let group_id = request.group_id.to_string();
    let heartbeat = GroupRequest::Heartbeat(request::HeartbeatRequest {
        group_id: group_id.clone(),
        member_id: request.member_id.to_string(),
        group_instance_id: request.group_instance_id.map(|id| id.to_string()),
        generation_id: request.generation_id,
    });
    let error = match ctx.groups.ask(&group_id, heartbeat).await {
        Ok(GroupReply::Heartbeat(error)) => error,
        Ok(other) => unreachable!("a heartbeat is answered by its own kind of reply, not {other:?}"),
        Err(ErrorCode::CoordinatorLoadInProgress) => ErrorCode::None,
        Err(error) => error,
    };
    HeartbeatResponse::default().with_error_code(error.code())
}
