//! AddRaftVoter: key 80, versions 0–1 (KIP-853): a node that has joined becomes a voter of the metadata quorum.
//!
//! It is known by its directory already and reached where it said itself: the listeners of the request are not needed.
//! Version 1 can ask for an answer before the change is committed; ours always comes after.

use std::sync::Arc;

use kafka_protocol::messages::{AddRaftVoterRequest, AddRaftVoterResponse};

use super::super::answer::text;
use super::super::{Ctx, RequestContext, topics};
use crate::controller::VoterChange;

/// Changes the voters, wherever the quorum's leader is.
pub async fn handle(ctx: Arc<Ctx>, _: RequestContext, request: AddRaftVoterRequest) -> AddRaftVoterResponse {
    let change =
        VoterChange { broker_id: request.voter_id, directory_id: request.voter_directory_id, votes: true };
    let result = match topics::check_cluster(&ctx, request.cluster_id.as_deref()) {
        Ok(()) => ctx.controller.change_voters(change).await,
        Err(failure) => Err(failure),
    };
    let response = AddRaftVoterResponse::default();
    match result {
        Ok(()) => response.with_error_message(None),
        Err(failure) => {
            response.with_error_code(failure.code.code()).with_error_message(Some(text(&failure.message)))
        }
    }
}
