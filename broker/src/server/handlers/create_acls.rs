//! CreateAcls: key 30, versions 1–3. There is no authorizer yet: every creation is answered E54.

use std::sync::Arc;

use kafka_protocol::messages::create_acls_response::AclCreationResult;
use kafka_protocol::messages::{CreateAclsRequest, CreateAclsResponse};
use tidemark_protocol::error_code::ErrorCode;

use super::super::answer::text;
use super::super::{Ctx, RequestContext};
use super::describe_acls::NO_AUTHORIZER;

/// Refuses each creation.
pub async fn handle(_: Arc<Ctx>, _: RequestContext, request: CreateAclsRequest) -> CreateAclsResponse {
    let refused = |_| {
        AclCreationResult::default()
            .with_error_code(ErrorCode::SecurityDisabled.code())
            .with_error_message(Some(text(NO_AUTHORIZER)))
    };
    CreateAclsResponse::default().with_results(request.creations.iter().map(refused).collect())
}
