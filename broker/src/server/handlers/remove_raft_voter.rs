//! RemoveRaftVoter: key 81, version 0 (KIP-853): a voter of the metadata quorum votes no more.
//!
//! Where another member stands by it takes the place; a change that would lose the majority is refused.

use std::sync::Arc;

use kafka_protocol::messages::{RemoveRaftVoterRequest, RemoveRaftVoterResponse};

use super::super::answer::text;
use super::super::{Ctx, RequestContext, topics};
use crate::controller::VoterChange;

/// Changes the voters, wherever the quorum's leader is.
pub async fn handle(
    ctx: Arc<Ctx>,
    _: RequestContext,
    request: RemoveRaftVoterRequest,
) -> RemoveRaftVoterResponse {
    let change =
        VoterChange { broker_id: request.voter_id, directory_id: request.voter_directory_id, votes: false };
    let result = match topics::check_cluster(&ctx, request.cluster_id.as_deref()) {
        Ok(()) => ctx.controller.change_voters(change).await,
        Err(failure) => Err(failure),
    };
    let response = RemoveRaftVoterResponse::default();
    match result {
        Ok(()) => response.with_error_message(None),
        Err(failure) => {
            response.with_error_code(failure.code.code()).with_error_message(Some(text(&failure.message)))
        }
    }
}
