//! JoinGroup: key 11, versions 0–9.
//!
//! The answer waits until the rebalance completes. Version 0 has no rebalance timeout and means the session timeout;
//! from 4 on a new dynamic member is first given an id (KIP-394); 5 knows static members (KIP-345); 7 tells the protocol
//! type and may say no protocol; 9 can tell a leader to keep the assignment (KIP-814).

use std::sync::Arc;

use kafka_protocol::messages::join_group_response::JoinGroupResponseMember;
use kafka_protocol::messages::{JoinGroupRequest, JoinGroupResponse};
use tidemark_core::group::request::{JoinReply, JoinRequest};
use tidemark_core::group::{GroupReply, GroupRequest};
use uuid::Uuid;

use super::super::answer::text;
use super::super::{Ctx, RequestContext};

/// First version with a rebalance timeout of its own.
const REBALANCE_TIMEOUT_FROM: i16 = 1;
/// First version whose clients understand MEMBER_ID_REQUIRED.
const MEMBER_ID_REQUIRED_FROM: i16 = 4;
/// First version with the protocol type, and with null for no protocol.
const PROTOCOL_TYPE_FROM: i16 = 7;
/// First version with `skip_assignment`.
const SKIP_ASSIGNMENT_FROM: i16 = 9;

/// Joins and answers when the generation has begun.
pub async fn handle(ctx: Arc<Ctx>, context: RequestContext, request: JoinGroupRequest) -> JoinGroupResponse {
    let (group_id, member_id) = (request.group_id.to_string(), request.member_id.to_string());
    if let Some(reason) = &request.reason {
        tracing::debug!(group = group_id, member = member_id, %reason, "member joins");
    }
    let join = GroupRequest::Join(to_machine(&context, request));
    let reply = match ctx.groups.ask(&group_id, join).await {
        Ok(GroupReply::Join(reply)) => reply,
        Ok(other) => unreachable!("a join is answered by its own kind of reply, not {other:?}"),
        Err(error) => JoinReply::failed(error, member_id),
    };
    to_wire(reply, context.version)
}

fn to_machine(context: &RequestContext, request: JoinGroupRequest) -> JoinRequest {
    let rebalance_timeout_ms = match context.version {
        REBALANCE_TIMEOUT_FROM.. => request.rebalance_timeout_ms,
        _ => request.session_timeout_ms,
    };
    JoinRequest {
        group_id: request.group_id.to_string(),
        member_id: request.member_id.to_string(),
        group_instance_id: request.group_instance_id.map(|id| id.to_string()),
        client_id: context.client_id.to_string(),
        client_host: format!("/{}", context.address.ip().to_canonical()),
        session_timeout_ms: request.session_timeout_ms,
        rebalance_timeout_ms,
        protocol_type: request.protocol_type.to_string(),
        protocols: request
            .protocols
            .into_iter()
            .map(|protocol| (protocol.name.to_string(), protocol.metadata))
            .collect(),
        member_id_required: context.version >= MEMBER_ID_REQUIRED_FROM,
        supports_skip_assignment: context.version >= SKIP_ASSIGNMENT_FROM,
        uuid: Uuid::new_v4().as_u128(),
    }
}

fn to_wire(reply: JoinReply, version: i16) -> JoinGroupResponse {
    let protocol_name = reply.protocol_name.as_deref().map(text);
    let (protocol_type, protocol_name) = match version {
        PROTOCOL_TYPE_FROM.. => (reply.protocol_type.as_deref().map(text), protocol_name),
        _ => (None, Some(protocol_name.unwrap_or_default())),
    };
    let members = reply.members.into_iter().map(|member| {
        JoinGroupResponseMember::default()
            .with_member_id(text(&member.member_id))
            .with_group_instance_id(member.group_instance_id.as_deref().map(text))
            .with_metadata(member.metadata)
    });
    JoinGroupResponse::default()
        .with_error_code(reply.error.code())
        .with_generation_id(reply.generation_id)
        .with_protocol_type(protocol_type)
        .with_protocol_name(protocol_name)
        .with_leader(text(&reply.leader))
        .with_skip_assignment(reply.skip_assignment)
        .with_member_id(text(&reply.member_id))
        .with_members(members.collect())
}
