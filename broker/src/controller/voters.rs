//! Voters changed by command: one more, or one less, decided by whoever leads the quorum.
//!
//! A change after which no majority of the voters would be up to date is refused: nothing could be decided any more, and
//! nothing could take it back. Where another member stands by, it takes the place of the one that goes, in the same change.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tidemark_core::metadata::Failure;
use tidemark_protocol::error_code::ErrorCode;
use tidemark_protocol::types::BrokerId;
use uuid::Uuid;

use super::peers::{Peers, leader_address};
use super::quorum::{ChangeError, Members, ProposeError, Quorum, RaftId};
use crate::peer::call::Message;
use crate::peer::{Call, Purpose};

/// How long the leader may take for one attempt.
const CHANGE_PATIENCE: Duration = Duration::from_secs(10);
/// Between two attempts to find the leader.
const PAUSE: Duration = Duration::from_millis(100);
/// How long a change is tried.
const TRY_TIME_MAX: Duration = Duration::from_secs(30);

/// A change of the voters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VoterChange {
    /// The node.
    pub broker_id: BrokerId,
    /// The data directory with its log of the metadata.
    pub directory_id: Uuid,
    /// Whether it shall vote, or no more.
    pub votes: bool,
}

/// A change for whoever leads.
#[derive(Debug, Serialize, Deserialize)]
struct ChangeVoters {
    change: VoterChange,
}

/// Why a change was not made here.
#[derive(Debug, Serialize, Deserialize)]
enum NotChanged {
    /// Another node leads, or this one is busy with another change.
    Later(String),
    /// It makes no sense, or would harm.
    Refused(Failure),
}

impl Call for ChangeVoters {
    const KIND: u8 = 26;
    const NAME: &'static str = "change voters";
    type Answer = Result<(), NotChanged>;
}

/// Makes changes that other nodes ask for.
pub(super) fn serve(peers: &Peers, quorum: &Arc<dyn Quorum>) {
    let quorum = Arc::clone(quorum);
    peers.services.serve(move |_, message: Message<ChangeVoters>| {
        let quorum = Arc::clone(&quorum);
        async move { Ok(changed(&*quorum, message.head.change).await.into()) }
    });
}

/// Has the leader make the change, wherever it is.
pub(super) async fn change(quorum: &dyn Quorum, peers: &Peers, change: VoterChange) -> Result<(), Failure> {
    let mut last = "no voter leads the quorum".to_owned();
    let attempts = async {
        loop {
            let here = quorum.is_leader();
            let address = leader_address(quorum).filter(|at| !here && *at != peers.address);
            let outcome = match address {
                Some(address) => {
                    let client = peers.clients.to(&address, Purpose::Control);
                    let answer = client.call(ChangeVoters { change }, CHANGE_PATIENCE).await;
                    answer.unwrap_or_else(|error| Err(NotChanged::Later(error.to_string())))
                }
                None => changed(quorum, change).await,
            };
            match outcome {
                Ok(()) => return Ok(()),
                Err(NotChanged::Refused(failure)) => return Err(failure),
                Err(NotChanged::Later(why)) => last = why,
            }
            tokio::time::sleep(PAUSE).await;
        }
    };
    match tokio::time::timeout(TRY_TIME_MAX, attempts).await {
        Ok(result) => result,
        Err(_) => {
            Err(Failure::new(ErrorCode::RequestTimedOut, format!("The voters were not changed: {last}")))
        }
    }
}

async fn changed(quorum: &dyn Quorum, change: VoterChange) -> Result<(), NotChanged> {
    if !quorum.is_leader() {
        return Err(NotChanged::Later("another node leads the quorum".to_owned()));
    }
    let members = quorum.members();
    let mut caught_up = quorum.caught_up();
    caught_up.insert(quorum.metrics().id);
    let voters = voters_after(&members, &caught_up, change).map_err(NotChanged::Refused)?;
    let changed = quorum.set_voters(voters).await;
    changed.map_err(|error| match error {
        ChangeError::Propose(ProposeError::NotLeader { .. }) => {
            NotChanged::Later("another node leads the quorum".to_owned())
        }
        error => NotChanged::Later(error.to_string()),
    })
}

/// The voters that a change makes, where `caught_up` are members that live and have the log.
fn voters_after(
    members: &Members,
    caught_up: &BTreeSet<RaftId>,
    change: VoterChange,
) -> Result<BTreeSet<RaftId>, Failure> {
    let mut voters: BTreeSet<RaftId> = members.voters.keys().copied().collect();
    let VoterChange { broker_id, directory_id, votes } = change;
    if votes {
        if members.voters.values().any(|voter| voter.broker_id == broker_id) {
            let message = format!("The voter id for node {broker_id} is already part of the set of voters.");
            return Err(Failure::new(ErrorCode::DuplicateVoter, message));
        }
        let mut learners = members.learners.iter();
        let is_it = |voter: &super::Voter| voter.broker_id == broker_id && voter.directory_id == directory_id;
        let Some((id, learner)) = learners.find(|(_, voter)| is_it(voter)) else {
            let message = format!(
                "Node {broker_id} with directory {directory_id} has not joined the cluster: start it with \
                 cluster.seeds first."
            );
            return Err(Failure::new(ErrorCode::InvalidRequest, message));
        };
        if !learner.may_vote {
            let message = format!("Node {broker_id} is only a broker by its configuration: it cannot vote.");
            return Err(Failure::new(ErrorCode::InvalidRequest, message));
        }
        voters.insert(*id);
    } else {
        let leaves = members.voters.iter();
        let mut leaves =
            leaves.filter(|(_, voter)| voter.broker_id == broker_id && voter.directory_id == directory_id);
        let Some((gone, _)) = leaves.next() else {
            let message = format!(
                "Cannot remove voter {broker_id} with directory {directory_id} from the set of voters: it is not \
                 part of it."
            );
            return Err(Failure::new(ErrorCode::VoterNotFound, message));
        };
        voters.remove(gone);
        let stands_by = |(id, learner): &(&RaftId, &super::Voter)| {
            learner.may_vote && caught_up.contains(id) && learner.broker_id != broker_id
        };
        voters.extend(members.learners.iter().find(stands_by).map(|(id, _)| *id));
    }
    check_majority(members, &voters, caught_up)?;
    Ok(voters)
}

fn check_majority(
    members: &Members,
    voters: &BTreeSet<RaftId>,
    caught_up: &BTreeSet<RaftId>,
) -> Result<(), Failure> {
    let majority = voters.len() / 2 + 1;
    let missing: Vec<RaftId> = voters.difference(caught_up).copied().collect();
    let live = voters.len() - missing.len();
    if !voters.is_empty() && live >= majority {
        return Ok(());
    }
    let named = |id: &RaftId| members.get(*id).map(|member| member.broker_id.to_string());
    let missing: Vec<String> = missing.iter().filter_map(named).collect();
    let silent = match missing.as_slice() {
        [] => String::new(),
        nodes => format!(" (node {} does not answer or lacks entries)", nodes.join(", ")),
    };
    let message = format!(
        "The change would lose the majority of the quorum: {live} of {} voters would be up to date{silent}, \
         {majority} are needed. Nothing could be decided any more.",
        voters.len()
    );
    Err(Failure::new(ErrorCode::InvalidRequest, message))
}

#[cfg(test)]
mod tests {
    use super::super::quorum::Voter;
    use super::*;

    fn members(voters: &[(RaftId, i32)], learners: &[(RaftId, i32)]) -> Members {
        let all = |list: &[(RaftId, i32)]| {
            let voter = |broker| Voter {
                broker_id: broker,
                directory_id: directory(broker),
                may_vote: true,
                ..Voter::default()
            };
            list.iter().map(|(id, broker)| (*id, voter(*broker))).collect()
        };
        Members { voters: all(voters), learners: all(learners) }
    }

    fn directory(broker: i32) -> Uuid {
        Uuid::from_u128(broker.unsigned_abs().into())
    }

    fn after(members: &Members, live: &[RaftId], broker: i32, votes: bool) -> Result<Vec<RaftId>, ErrorCode> {
        let change = VoterChange { broker_id: broker, directory_id: directory(broker), votes };
        let voters = voters_after(members, &live.iter().copied().collect(), change);
        voters.map(|voters| voters.into_iter().collect()).map_err(|failure| failure.code)
    }

    #[test]
    fn a_change_that_leaves_no_majority_alive_is_refused() {
        let three = members(&[(1, 1), (5, 2), (9, 3)], &[]);
        assert_eq!(after(&three, &[1, 5, 9], 3, false), Ok(vec![1, 5]));
        assert_eq!(after(&three, &[1, 5], 3, false), Ok(vec![1, 5]), "the silent one may go");
        assert_eq!(after(&three, &[1, 9], 3, false), Err(ErrorCode::InvalidRequest), "node 2 is silent");
        assert_eq!(after(&members(&[(1, 1)], &[]), &[1], 1, false), Err(ErrorCode::InvalidRequest));
        assert_eq!(after(&members(&[(1, 1)], &[(5, 2)]), &[1], 2, true), Err(ErrorCode::InvalidRequest));
    }

    #[test]
    fn whoever_stands_by_takes_the_place() {
        let four = members(&[(1, 1), (5, 2), (9, 3)], &[(12, 4)]);
        assert_eq!(after(&four, &[1, 5, 12], 3, false), Ok(vec![1, 5, 12]));
        assert_eq!(after(&four, &[1, 5, 9], 3, false), Ok(vec![1, 5]), "it is not up to date");
    }

    #[test]
    fn only_members_can_vote_and_only_voters_can_stop_voting() {
        let four = members(&[(1, 1), (5, 2), (9, 3)], &[(12, 4)]);
        assert_eq!(after(&four, &[1, 5, 9, 12], 4, true), Ok(vec![1, 5, 9, 12]));
        assert_eq!(after(&four, &[1, 5, 9], 2, true), Err(ErrorCode::DuplicateVoter));
        assert_eq!(after(&four, &[1, 5, 9], 7, true), Err(ErrorCode::InvalidRequest));
        assert_eq!(after(&four, &[1, 5, 9], 4, false), Err(ErrorCode::VoterNotFound));
    }
}
