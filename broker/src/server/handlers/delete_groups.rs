//! DeleteGroups: key 42, versions 0–2.
//!
//! Groups are deleted one by one, with their offsets: E68 while one has members, E69 when there is none.

use std::sync::Arc;

use kafka_protocol::messages::delete_groups_response::DeletableGroupResult;
use kafka_protocol::messages::{DeleteGroupsRequest, DeleteGroupsResponse, GroupId};
use tidemark_core::group::{GroupReply, GroupRequest};

use super::super::{Ctx, RequestContext};

/// Deletes and answers group by group.
pub async fn handle(ctx: Arc<Ctx>, _: RequestContext, request: DeleteGroupsRequest) -> DeleteGroupsResponse {
    let asked = request.groups_names.into_iter().map(|group_id| delete(&ctx, group_id));
    DeleteGroupsResponse::default().with_results(futures_util::future::join_all(asked).await)
}

async fn delete(ctx: &Ctx, group_id: GroupId) -> DeletableGroupResult {
    let delete = GroupRequest::Delete { group_id: group_id.to_string() };
    let error = match ctx.groups.ask(&group_id, delete).await {
        Ok(GroupReply::Delete(error)) => error,
        Ok(other) => unreachable!("a delete is answered by its own kind of reply, not {other:?}"),
        Err(error) => error,
    };
    DeletableGroupResult::default().with_group_id(group_id).with_error_code(error.code())
}
