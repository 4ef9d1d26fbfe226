//! ListGroups: key 16, versions 0–5.
//!
//! Only the groups this broker coordinates. Filters by state come with version 4, by type with 5. A shard that is being
//! loaded makes the whole answer E14.

use std::sync::Arc;

use kafka_protocol::messages::list_groups_response::ListedGroup;
use kafka_protocol::messages::{GroupId, ListGroupsRequest, ListGroupsResponse};
use tidemark_core::group::request::{GroupListing, ListRequest};
use tidemark_core::group::{GroupReply, GroupRequest};

use super::super::answer::text;
use super::super::{Ctx, RequestContext};

/// First version that tells states.
const STATES_FROM: i16 = 4;
/// First version that tells types.
const TYPES_FROM: i16 = 5;

/// Lists the groups that pass the filters.
pub async fn handle(
    ctx: Arc<Ctx>,
    context: RequestContext,
    request: ListGroupsRequest,
) -> ListGroupsResponse {
    let list = GroupRequest::List(ListRequest {
        states: request.states_filter.iter().map(ToString::to_string).collect(),
        types: request.types_filter.iter().map(ToString::to_string).collect(),
    });
    let replies = match ctx.groups.ask_all(&list).await {
        Ok(replies) => replies,
        Err(error) => return ListGroupsResponse::default().with_error_code(error.code()),
    };
    let listings = replies.into_iter().flat_map(|reply| match reply {
        GroupReply::List(listings) => listings,
        other => unreachable!("a list is answered by its own kind of reply, not {other:?}"),
    });
    ListGroupsResponse::default()
        .with_groups(listings.map(|group| to_wire(&group, context.version)).collect())
}

fn to_wire(group: &GroupListing, version: i16) -> ListedGroup {
    let mut listed = ListedGroup::default()
        .with_group_id(GroupId(text(&group.group_id)))
        .with_protocol_type(text(&group.protocol_type));
    if version >= STATES_FROM {
        listed = listed.with_group_state(text(group.state));
    }
    if version >= TYPES_FROM {
        listed = listed.with_group_type(text(group.group_type));
    }
    listed
}
