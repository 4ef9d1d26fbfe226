//! DescribeGroups: key 15, versions 0–6.
//!
//! An unknown group is E69 from version 6 on; before, it is in state "Dead" without an error. Authorised operations come
//! with version 3, instance ids with 4.

use std::sync::Arc;

use kafka_protocol::messages::describe_groups_response::{DescribedGroup, DescribedGroupMember};
use kafka_protocol::messages::{DescribeGroupsRequest, DescribeGroupsResponse, GroupId};
use tidemark_core::group::request::{DescribeReply, DescribedMember};
use tidemark_core::group::{GroupReply, GroupRequest};
use tidemark_protocol::error_code::ErrorCode;

use super::super::answer::text;
use super::super::{Ctx, RequestContext, operations};

/// First version with an error for unknown groups.
const NOT_FOUND_FROM: i16 = 6;

/// Describes each group.
pub async fn handle(
    ctx: Arc<Ctx>,
    context: RequestContext,
    request: DescribeGroupsRequest,
) -> DescribeGroupsResponse {
    let asked = request.groups.iter().map(|group_id| describe(&ctx, group_id, &context, &request));
    DescribeGroupsResponse::default().with_groups(futures_util::future::join_all(asked).await)
}

async fn describe(
    ctx: &Ctx,
    group_id: &GroupId,
    context: &RequestContext,
    request: &DescribeGroupsRequest,
) -> DescribedGroup {
    let describe = GroupRequest::Describe { group_id: group_id.to_string() };
    let answer = DescribedGroup::default().with_group_id(group_id.clone());
    let mut reply = match ctx.groups.ask(group_id, describe).await {
        Ok(GroupReply::Describe(reply)) => reply,
        Ok(other) => unreachable!("a describe is answered by its own kind of reply, not {other:?}"),
        Err(error) => return answer.with_error_code(error.code()),
    };
    let mut message = None;
    if reply.error == ErrorCode::GroupIdNotFound {
        if context.version >= NOT_FOUND_FROM {
            message = Some(text(&format!("Group {} not found.", group_id.as_str())));
        } else {
            reply.error = ErrorCode::None;
        }
    }
    let asked = request.include_authorized_operations && reply.error == ErrorCode::None;
    let operations = operations::if_asked(asked, operations::GROUP);
    fill(answer, reply).with_error_message(message).with_authorized_operations(operations)
}

fn fill(answer: DescribedGroup, reply: DescribeReply) -> DescribedGroup {
    answer
        .with_error_code(reply.error.code())
        .with_group_state(text(reply.state))
        .with_protocol_type(text(&reply.protocol_type))
        .with_protocol_data(text(&reply.protocol))
        .with_members(reply.members.into_iter().map(member).collect())
}

fn member(member: DescribedMember) -> DescribedGroupMember {
    DescribedGroupMember::default()
        .with_member_id(text(&member.member_id))
        .with_group_instance_id(member.group_instance_id.as_deref().map(text))
        .with_client_id(text(&member.client_id))
        .with_client_host(text(&member.client_host))
        .with_member_metadata(member.metadata)
        .with_member_assignment(member.assignment)
}
