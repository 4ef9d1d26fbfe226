//! The other side of `network`: messages of other voters, handed to this one.

use std::sync::Arc;

use openraft::alias::SnapshotOf;
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, TransferLeaderError, TransferLeaderRequest, VoteRequest,
};

use super::hashes::Hashes;
use super::messages::{Append, Appended, AskVote, InstallSnapshot, TakeOver, TakenOver, Voted};
use super::quorum::RaftId;
use super::raft::{Seat, Voting};
use super::record::Ballot;
use super::state_machine;
use super::type_config::{TypeConfig, from_log_id, from_vote, to_entry, to_log_id, to_vote};
use crate::peer::Services;
use crate::peer::call::Message;

/// Answers what other voters send.
pub fn serve(services: &Services, raft: &Voting, seat: &Seat) {
    let voter = Arc::new(Voter { raft: raft.clone(), me: seat.id, hashes: seat.hashes.clone() });
    let own = Arc::clone(&voter);
    services.serve(move |_, message: Message<Append>| answered(own.clone(), message.head, Voter::append));
    let own = Arc::clone(&voter);
    services.serve(move |_, message: Message<AskVote>| answered(own.clone(), message.head, Voter::vote));
    let own = Arc::clone(&voter);
    services
        .serve(move |_, message: Message<TakeOver>| answered(own.clone(), message.head, Voter::take_over));
    services.serve(move |_, message: Message<InstallSnapshot>| {
        answered(Arc::clone(&voter), message, Voter::install)
    });
}

async fn answered<Q, A, F>(
    voter: Arc<Voter>,
    message: Q,
    handle: impl FnOnce(Arc<Voter>, Q) -> F,
) -> Result<Message<A>, String>
where
    F: Future<Output = Result<A, String>>,
{
    handle(voter, message).await.map(Message::from)
}

struct Voter {
    raft: Voting,
    me: RaftId,
    hashes: Hashes,
}

impl Voter {
    fn check(&self, to: RaftId) -> Result<(), String> {
        if to == self.me { Ok(()) } else { Err(format!("this is voter {}, not {to}", self.me)) }
    }

    async fn append(self: Arc<Voter>, append: Append) -> Result<Appended, String> {
        self.check(append.to)?;
        if let Some((index, hash)) = append.image {
            self.hashes.compare(index, hash)?;
        }
        let request = AppendEntriesRequest::<TypeConfig> {
            vote: to_vote(append.ballot),
            prev_log_id: append.previous.map(to_log_id),
            entries: append.entries.iter().map(to_entry).collect(),
            leader_commit: append.committed.map(to_log_id),
        };
        let answer = self.raft.append_entries(request).await.map_err(|error| error.to_string())?;
        Ok(match answer {
            AppendEntriesResponse::Success => Appended::All,
            AppendEntriesResponse::PartialSuccess(id) => Appended::UpTo(id.as_ref().map(from_log_id)),
            AppendEntriesResponse::Conflict => Appended::Conflict,
            AppendEntriesResponse::HigherVote(vote) => Appended::Outvoted(from_vote(&vote)),
        })
    }

    async fn vote(self: Arc<Voter>, ask: AskVote) -> Result<Voted, String> {
        self.check(ask.to)?;
        let request = VoteRequest::<TypeConfig> {
            vote: to_vote(ask.ballot),
            last_log_id: ask.last.map(to_log_id),
            leadership_transfer: ask.is_transfer,
        };
        let answer =
            if ask.is_trial { self.raft.pre_vote(request).await } else { self.raft.vote(request).await };
        let answer = answer.map_err(|error| error.to_string())?;
        Ok(Voted {
            ballot: from_vote(&answer.vote),
            granted: answer.vote_granted,
            last: answer.last_log_id.as_ref().map(from_log_id),
        })
    }

    async fn install(self: Arc<Voter>, message: Message<InstallSnapshot>) -> Result<Ballot, String> {
        let Message { head, raw } = message;
        self.check(head.to)?;
        let bytes = raw.into_iter().next().unwrap_or_default();
        let meta = state_machine::meta_of(&bytes).map_err(|error| format!("the snapshot: {error}"))?;
        let snapshot = SnapshotOf::<TypeConfig, bytes::Bytes> { meta, snapshot: bytes };
        let answer = self.raft.install_full_snapshot(to_vote(head.ballot), snapshot).await;
        answer.map(|answer| from_vote(&answer.vote)).map_err(|error| error.to_string())
    }

    async fn take_over(self: Arc<Voter>, take_over: TakeOver) -> Result<TakenOver, String> {
        self.check(take_over.to)?;
        let request = TransferLeaderRequest::<TypeConfig>::new(
            to_vote(take_over.ballot),
            take_over.to,
            take_over.last.map(to_log_id),
        );
        let answer = self.raft.handle_transfer_leader(request).await.map_err(|error| error.to_string())?;
        Ok(match answer {
            Ok(()) => TakenOver::Standing,
            Err(TransferLeaderError::VoteChanged { actual, .. }) => TakenOver::Outvoted(from_vote(&actual)),
            Err(TransferLeaderError::LogNotFlushed { actual, .. }) => {
                TakenOver::Behind(actual.as_ref().map(from_log_id))
            }
        })
    }
}
