//! Keeps this node a member of the quorum, and, while it leads, the quorum as large as it should be.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tidemark_core::metadata::ClusterImage;
use tokio::sync::{Notify, watch};

use super::formation::{Elsewhere, Join};
use super::membership::better_voters;
use super::quorum::{ChangeError, Members, Quorum, RaftId, Voter};
use crate::peer::{PeerClients, Purpose};

/// Between two looks at the members of a quorum that has several.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How long the leader may take to let a member in.
const JOIN_PATIENCE: Duration = Duration::from_secs(5);
/// Between two attempts to join.
const JOIN_PAUSE: Duration = Duration::from_millis(200);

/// Tells the leader where this member is reached, until it knows.
pub async fn join(
    clients: PeerClients,
    quorum: Arc<dyn Quorum>,
    id: RaftId,
    voter: Voter,
    seeds: Vec<String>,
) {
    let mut named = None;
    for attempt in 0_usize.. {
        if quorum.is_leader() {
            match quorum.admit(id, voter.clone()).await {
                Ok(()) => return,
                Err(error) => {
                    tracing::debug!(%error, "the address of this node is not known to the quorum yet")
                }
            }
        } else {
            let members = quorum.members();
            let known = members.voters.values().map(|voter| &voter.address).chain(&seeds);
            let known: Vec<&String> = known.filter(|at| !at.is_empty() && **at != voter.address).collect();
            let next =
                named.take().or_else(|| known.get(attempt % known.len().max(1)).map(|at| (*at).clone()));
            if let Some(address) = next {
                let join = Join { id, voter: voter.clone() };
                match clients.to(&address, Purpose::Control).call(join, JOIN_PATIENCE).await {
                    Ok(Ok(())) => return,
                    Ok(Err(Elsewhere::Ask(Some(leader)))) => {
                        named = Some(leader);
                        continue;
                    }
                    Ok(Err(Elsewhere::Ask(None))) => {}
                    Ok(Err(Elsewhere::Later(why) | Elsewhere::Taken(why))) => {
                        tracing::debug!(%address, why, "not let in yet")
                    }
                    Err(error) => tracing::debug!(%error, "not let in yet"),
                }
            }
        }
        tokio::time::sleep(JOIN_PAUSE).await;
    }
}

/// While this node leads, makes voters of members that have caught up, `target` of them where there are enough. `newcomer`
/// wakes it when there is one; a quorum of one sleeps.
pub async fn keep(
    quorum: Arc<dyn Quorum>,
    image: watch::Receiver<Arc<ClusterImage>>,
    target: usize,
    newcomer: Arc<Notify>,
) {
    let me = quorum.metrics().id;
    loop {
        if quorum.members().is_alone(me) {
            newcomer.notified().await;
        }
        tokio::time::sleep(LOOK_EVERY).await;
        if !quorum.is_leader() {
            continue;
        }
        let leaving: BTreeSet<i32> = image.borrow().leaving_brokers().collect();
        let members = quorum.members();
        let Some(voters) = better_voters(&members, &quorum.caught_up(), &leaving, target) else { continue };
        match change(&*quorum, &members, voters.clone()).await {
            Ok(()) => tracing::info!(?voters, "the quorum has new voters"),
            Err(error) => tracing::warn!(%error, ?voters, "the voters were not changed; trying again"),
        }
    }
}

/// A node that votes no more and serves still needs the metadata; a voter whose disk was replaced is nobody any more.
async fn change(quorum: &dyn Quorum, members: &Members, voters: BTreeSet<RaftId>) -> Result<(), ChangeError> {
    let broker = |id: &RaftId| members.get(*id).map(|member| member.broker_id);
    let brokers: BTreeSet<Option<i32>> = voters.iter().map(broker).collect();
    let listens_on =
        |(id, voter): (&RaftId, &Voter)| !voters.contains(id) && !brokers.contains(&Some(voter.broker_id));
    if members.voters.iter().any(listens_on) {
        quorum.swap_voters(voters).await
    } else {
        quorum.set_voters(voters).await
    }
}
