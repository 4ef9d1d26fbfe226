//! How this voter reaches the others: the consensus library's messages as calls between nodes.

use std::future::Future;

use bytes::Bytes;
use openraft::RPCTypes;
use openraft::alias::SnapshotOf;
use openraft::errors::{RPCError, ReplicationClosed, StreamingError, Timeout, Unreachable};
use openraft::network::RPCOption;
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, TransferLeaderError,
    TransferLeaderRequest, TransferLeaderResponse, VoteRequest, VoteResponse,
};
use openraft::{OptionalSend, RaftNetworkFactory, RaftNetworkV2};

use super::hashes::Hashes;
use super::messages::{Append, Appended, AskVote, InstallSnapshot, TakeOver, TakenOver, Voted};
use super::quorum::{RaftId, Voter};
use super::type_config::{RaftVoteOf, TypeConfig, from_entry, from_log_id, from_vote, to_log_id, to_vote};
use crate::peer::call::Message;
use crate::peer::{Call, CallError, PeerClient, PeerClients, Purpose};

/// Makes the ways to other voters.
#[derive(Clone)]
pub struct Network {
    me: RaftId,
    clients: PeerClients,
    hashes: Hashes,
}

/// The way to one voter.
pub struct WayTo {
    me: RaftId,
    target: RaftId,
    /// `None` where no address is known: a voter that formed the quorum alone.
    client: Option<PeerClient>,
    hashes: Hashes,
}

impl Network {
    /// The network of voter `me`, whose image had these hashes.
    pub fn new(me: RaftId, clients: PeerClients, hashes: Hashes) -> Network {
        Network { me, clients, hashes }
    }
}

impl RaftNetworkFactory<TypeConfig> for Network {
    type Network = WayTo;

    async fn new_client(&mut self, target: RaftId, node: &Voter) -> WayTo {
        let known = !node.address.is_empty();
        let client = known.then(|| self.clients.to(&node.address, Purpose::Consensus));
        WayTo { me: self.me, target, client, hashes: self.hashes.clone() }
    }
}

impl WayTo {
    async fn exchange<C: Call>(
        &self,
        action: RPCTypes,
        message: Message<C>,
        option: &RPCOption,
    ) -> Result<C::Answer, RPCError<TypeConfig>> {
        let Some(client) = &self.client else {
            let why = format!("no address of voter {} is known", self.target);
            return Err(RPCError::Unreachable(Unreachable::from_string(why)));
        };
        match client.exchange(message, option.soft_ttl()).await {
            Ok(answer) => Ok(answer.head),
            Err(CallError::TimedOut { .. }) => Err(RPCError::Timeout(Timeout {
                action,
                id: self.me,
                target: self.target,
                timeout: option.soft_ttl(),
            })),
            Err(error) => Err(RPCError::Unreachable(Unreachable::from_string(error.to_string()))),
        }
    }

    async fn ask(
        &self,
        request: &VoteRequest<TypeConfig>,
        is_trial: bool,
        option: &RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, RPCError<TypeConfig>> {
        let ask = AskVote {
            to: self.target,
            ballot: from_vote(&request.vote),
            last: request.last_log_id.as_ref().map(from_log_id),
            is_transfer: request.leadership_transfer,
            is_trial,
        };
        let Voted { ballot, granted, last } = self.exchange(RPCTypes::Vote, ask.into(), option).await?;
        Ok(VoteResponse::new(to_vote(ballot), last.map(to_log_id), granted))
    }
}

impl RaftNetworkV2<TypeConfig> for WayTo {
    type SnapshotData = Bytes;

    async fn append_entries(
        &mut self,
        request: AppendEntriesRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<AppendEntriesResponse<TypeConfig>, RPCError<TypeConfig>> {
        let append = Append {
            to: self.target,
            ballot: from_vote(&request.vote),
            previous: request.prev_log_id.as_ref().map(from_log_id),
            entries: request.entries.iter().map(from_entry).collect(),
            committed: request.leader_commit.as_ref().map(from_log_id),
            image: self.hashes.newest(),
        };
        Ok(match self.exchange(RPCTypes::AppendEntries, append.into(), &option).await? {
            Appended::All => AppendEntriesResponse::Success,
            Appended::UpTo(position) => AppendEntriesResponse::PartialSuccess(position.map(to_log_id)),
            Appended::Conflict => AppendEntriesResponse::Conflict,
            Appended::Outvoted(ballot) => AppendEntriesResponse::HigherVote(to_vote(ballot)),
        })
    }

    async fn vote(
        &mut self,
        request: VoteRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, RPCError<TypeConfig>> {
        self.ask(&request, false, &option).await
    }

    // Without this the library grants the pre-vote on the peer's behalf, and an isolated voter would raise its term for ever.
    async fn pre_vote(
        &mut self,
        request: VoteRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, RPCError<TypeConfig>> {
        self.ask(&request, true, &option).await
    }

    async fn full_snapshot(
        &mut self,
        vote: RaftVoteOf,
        snapshot: SnapshotOf<TypeConfig, Bytes>,
        cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        option: RPCOption,
    ) -> Result<SnapshotResponse<TypeConfig>, StreamingError<TypeConfig>> {
        let head = InstallSnapshot { to: self.target, ballot: from_vote(&vote) };
        let message = Message { head, raw: vec![snapshot.snapshot] };
        tokio::select! {
            biased;
            closed = cancel => Err(StreamingError::Closed(closed)),
            answer = self.exchange(RPCTypes::InstallSnapshot, message, &option) => match answer {
                Ok(ballot) => Ok(SnapshotResponse::new(to_vote(ballot))),
                Err(RPCError::Timeout(timeout)) => Err(StreamingError::Timeout(timeout)),
                Err(error) => Err(StreamingError::Unreachable(Unreachable::from_string(error.to_string()))),
            }
        }
    }

    async fn transfer_leader(
        &mut self,
        request: TransferLeaderRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<TransferLeaderResponse<TypeConfig>, RPCError<TypeConfig>> {
        let take_over = TakeOver {
            to: self.target,
            ballot: from_vote(request.from_leader()),
            last: request.last_log_id().map(from_log_id),
        };
        let expected = *request.from_leader();
        Ok(match self.exchange(RPCTypes::TransferLeader, take_over.into(), &option).await? {
            TakenOver::Standing => Ok(()),
            TakenOver::Outvoted(ballot) => {
                Err(TransferLeaderError::VoteChanged { expected, actual: to_vote(ballot) })
            }
            TakenOver::Behind(position) => Err(TransferLeaderError::LogNotFlushed {
                expected: request.last_log_id().copied(),
                actual: position.map(to_log_id),
            }),
        })
    }
}
