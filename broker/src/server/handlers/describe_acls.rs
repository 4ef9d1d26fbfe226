//! DescribeAcls: key 29, versions 1–3. There is no authorizer yet: the answer is E54, which tools take as "open".

use std::sync::Arc;

use kafka_protocol::messages::{DescribeAclsRequest, DescribeAclsResponse};
use tidemark_protocol::error_code::ErrorCode;

use super::super::answer::text;
use super::super::{Ctx, RequestContext};

/// Kafka's words for it.
pub const NO_AUTHORIZER: &str = "No Authorizer is configured.";

/// Says that there are no ACLs to describe.
pub async fn handle(_: Arc<Ctx>, _: RequestContext, _: DescribeAclsRequest) -> DescribeAclsResponse {
    DescribeAclsResponse::default()
        .with_error_code(ErrorCode::SecurityDisabled.code())
        .with_error_message(Some(text(NO_AUTHORIZER)))
}
