//! How this voter reaches the others. A node that is the quorum by itself has nobody to reach: every message is answered
//! "unreachable", which consensus counts as no vote and no acknowledgement.

use std::future::Future;

use bytes::Bytes;
use openraft::alias::SnapshotOf;
use openraft::errors::{RPCError, ReplicationClosed, StreamingError, Unreachable};
use openraft::network::RPCOption;
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, VoteRequest, VoteResponse,
};
use openraft::{OptionalSend, RaftNetworkFactory, RaftNetworkV2};

use super::quorum::{RaftId, Voter};
use super::type_config::{RaftVoteOf, TypeConfig};

/// The network of a quorum of one.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoPeers;

/// A voter that cannot be reached.
#[derive(Clone, Debug)]
pub struct Unconnected {
    target: RaftId,
    address: String,
}

impl Unconnected {
    fn unreachable(&self) -> Unreachable<TypeConfig> {
        Unreachable::from_string(format!("no connection to voter {} at {:?}", self.target, self.address))
    }
}

impl RaftNetworkFactory<TypeConfig> for NoPeers {
    type Network = Unconnected;

    async fn new_client(&mut self, target: RaftId, node: &Voter) -> Unconnected {
        Unconnected { target, address: node.address.clone() }
    }
}

impl RaftNetworkV2<TypeConfig> for Unconnected {
    type SnapshotData = Bytes;

    async fn append_entries(
        &mut self,
        _request: AppendEntriesRequest<TypeConfig>,
        _option: RPCOption,
    ) -> Result<AppendEntriesResponse<TypeConfig>, RPCError<TypeConfig>> {
        Err(RPCError::Unreachable(self.unreachable()))
    }

    async fn vote(
        &mut self,
        _request: VoteRequest<TypeConfig>,
        _option: RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, RPCError<TypeConfig>> {
        Err(RPCError::Unreachable(self.unreachable()))
    }

    // Without this the library grants the pre-vote on the peer's behalf, and an isolated voter would raise its term for ever.
    async fn pre_vote(
        &mut self,
        _request: VoteRequest<TypeConfig>,
        _option: RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, RPCError<TypeConfig>> {
        Err(RPCError::Unreachable(self.unreachable()))
    }

    async fn full_snapshot(
        &mut self,
        _vote: RaftVoteOf,
        _snapshot: SnapshotOf<TypeConfig, Bytes>,
        _cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        _option: RPCOption,
    ) -> Result<SnapshotResponse<TypeConfig>, StreamingError<TypeConfig>> {
        Err(StreamingError::Unreachable(self.unreachable()))
    }
}
