//! LeaveGroup: key 13, versions 0–5.
//!
//! Versions 0–2 name one member, whose result is the answer's error; from 3 on several, each with its own result, and
//! static members may be named by their instance id alone (KIP-345).

use std::sync::Arc;

use kafka_protocol::messages::leave_group_response::MemberResponse;
use kafka_protocol::messages::{LeaveGroupRequest, LeaveGroupResponse};
use tidemark_core::group::request::{LeaveReply, LeaveRequest, MemberIdentity};
use tidemark_core::group::{GroupReply, GroupRequest};
use tidemark_protocol::error_code::ErrorCode;

use super::super::answer::text;
use super::super::{Ctx, RequestContext};

/// First version with a list of members.
const BATCH_FROM: i16 = 3;

/// Lets members go.
pub async fn handle(
    ctx: Arc<Ctx>,
    context: RequestContext,
    request: LeaveGroupRequest,
) -> LeaveGroupResponse {
    let group_id = request.group_id.to_string();
    let members = match context.version {
        BATCH_FROM.. => request
            .members
            .iter()
            .map(|member| {
                if let Some(reason) = &member.reason {
                    tracing::debug!(group = group_id, member = %member.member_id, %reason, "member leaves");
                }
                MemberIdentity {
                    member_id: member.member_id.to_string(),
                    group_instance_id: member.group_instance_id.as_ref().map(|id| id.to_string()),
                }
            })
            .collect(),
        _ => vec![MemberIdentity { member_id: request.member_id.to_string(), group_instance_id: None }],
    };
    let leave = GroupRequest::Leave(LeaveRequest { group_id: group_id.clone(), members });
    let reply = match ctx.groups.ask(&group_id, leave).await {
        Ok(GroupReply::Leave(reply)) => reply,
        Ok(other) => unreachable!("a leave is answered by its own kind of reply, not {other:?}"),
        Err(error) => LeaveReply { error, members: Vec::new() },
    };
    to_wire(reply, context.version)
}

fn to_wire(reply: LeaveReply, version: i16) -> LeaveGroupResponse {
    if version < BATCH_FROM {
        let own = reply.members.first().map_or(ErrorCode::None, |(_, error)| *error);
        let error = if reply.error == ErrorCode::None { own } else { reply.error };
        return LeaveGroupResponse::default().with_error_code(error.code());
    }
    let members = reply.members.iter().map(|(identity, error)| {
        MemberResponse::default()
            .with_member_id(text(&identity.member_id))
            .with_group_instance_id(identity.group_instance_id.as_deref().map(text))
            .with_error_code(error.code())
    });
    LeaveGroupResponse::default().with_error_code(reply.error.code()).with_members(members.collect())
}
