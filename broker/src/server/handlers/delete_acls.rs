//! DeleteAcls: key 31, versions 1–3. There is no authorizer yet: every filter is answered E54.

use std::sync::Arc;

use kafka_protocol::messages::delete_acls_response::DeleteAclsFilterResult;
use kafka_protocol::messages::{DeleteAclsRequest, DeleteAclsResponse};
use tidemark_protocol::error_code::ErrorCode;

use super::super::answer::text;
use super::super::{Ctx, RequestContext};
use super::describe_acls::NO_AUTHORIZER;

/// Refuses each filter.
pub async fn handle(_: Arc<Ctx>, _: RequestContext, request: DeleteAclsRequest) -> DeleteAclsResponse {
    let refused = |_| {
        DeleteAclsFilterResult::default()
            .with_error_code(ErrorCode::SecurityDisabled.code())
            .with_error_message(Some(text(NO_AUTHORIZER)))
    };
    DeleteAclsResponse::default().with_filter_results(request.filters.iter().map(refused).collect())
}
