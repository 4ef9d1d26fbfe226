//! SyncGroup: key 14, versions 0–5.
//!
//! The answer waits until the leader's assignment is committed. From version 5 on the member must say protocol type and
//! name (KIP-559). A coordinator that is loading has lost the rebalance: the member is told to join again, which spares
//! it a look for another coordinator.

use std::sync::Arc;

use kafka_protocol::messages::{SyncGroupRequest, SyncGroupResponse};
use tidemark_core::group::request::{SyncReply, SyncRequest};
use tidemark_core::group::{GroupReply, GroupRequest};
use tidemark_protocol::error_code::ErrorCode;

use super::super::answer::text;
use super::super::{Ctx, RequestContext};

/// First version with protocol type and name.
const PROTOCOL_FROM: i16 = 5;

/// Answers with the member's assignment.
pub async fn handle(ctx: Arc<Ctx>, context: RequestContext, request: SyncGroupRequest) -> SyncGroupResponse {
    let nameless = request.protocol_type.is_none() || request.protocol_name.is_none();
    if context.version >= PROTOCOL_FROM && nameless {
        return to_wire(SyncReply::failed(ErrorCode::InconsistentGroupProtocol), context.version);
    }
    let group_id = request.group_id.to_string();
    let reply = match ctx.groups.ask(&group_id, GroupRequest::Sync(to_machine(request))).await {
        Ok(GroupReply::Sync(reply)) => reply,
        Ok(other) => unreachable!("a sync is answered by its own kind of reply, not {other:?}"),
        Err(ErrorCode::CoordinatorLoadInProgress) => SyncReply::failed(ErrorCode::RebalanceInProgress),
        Err(error) => SyncReply::failed(error),
    };
    to_wire(reply, context.version)
}

fn to_machine(request: SyncGroupRequest) -> SyncRequest {
    let assignments = request.assignments.into_iter();
    SyncRequest {
        group_id: request.group_id.to_string(),
        member_id: request.member_id.to_string(),
        group_instance_id: request.group_instance_id.map(|id| id.to_string()),
        generation_id: request.generation_id,
        protocol_type: request.protocol_type.map(|name| name.to_string()),
        protocol_name: request.protocol_name.map(|name| name.to_string()),
        assignments: assignments.map(|item| (item.member_id.to_string(), item.assignment)).collect(),
    }
}

fn to_wire(reply: SyncReply, version: i16) -> SyncGroupResponse {
    let response =
        SyncGroupResponse::default().with_error_code(reply.error.code()).with_assignment(reply.assignment);
    if version < PROTOCOL_FROM {
        return response;
    }
    response
        .with_protocol_type(reply.protocol_type.as_deref().map(text))
        .with_protocol_name(reply.protocol_name.as_deref().map(text))
}
