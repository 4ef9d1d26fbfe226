//! What the controller of a node answers other nodes, besides messages of the quorum itself: proposals that are forwarded,
//! and newcomers.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tidemark_core::metadata::{ClusterImage, Command, Reply};
use tokio::sync::{Notify, watch};

use super::formation::{Admission, Admit, Elsewhere, Join};
use super::liveness::Liveness;
use super::peers::{Peers, leader_address};
use super::quorum::{ChangeError, Proposal, ProposeError, Quorum};
use crate::peer::Call;
use crate::peer::call::Message;

/// A proposal for whoever leads.
#[derive(Debug, Serialize, Deserialize)]
pub struct Propose {
    /// The proposal, with the session of the process it came from.
    pub proposal: Proposal,
}

/// What became of it.
#[derive(Debug, Serialize, Deserialize)]
pub struct Decided {
    /// What it returned.
    pub reply: Reply,
    /// An image of this version has it.
    pub version: u64,
}

/// Why it was not decided here.
#[derive(Debug, Serialize, Deserialize)]
pub enum NotDecided {
    /// Another voter leads, at this address if it is known.
    NotLeader(Option<String>),
    /// It was applied before; its proposer has seen the reply, or will.
    AlreadyApplied,
    /// The quorum has stopped on this node.
    Stopped(String),
}

impl Call for Propose {
    const KIND: u8 = 23;
    const NAME: &'static str = "propose";
    type Answer = Result<Decided, NotDecided>;
}

/// Answers proposals and newcomers by this quorum. `newcomer` is told of each that was let in.
pub(super) fn serve(
    peers: &Peers,
    quorum: &Arc<dyn Quorum>,
    image: &watch::Receiver<Arc<ClusterImage>>,
    newcomer: &Arc<Notify>,
    liveness: &Arc<Liveness>,
) {
    peers.found(quorum);
    let (own, images, alive) = (Arc::clone(quorum), image.clone(), Arc::clone(liveness));
    peers.services.serve(move |_, message: Message<Propose>| {
        let (quorum, images) = (Arc::clone(&own), images.clone());
        let proposal = prepared(&alive, message.head.proposal);
        async move { Ok(decided(&*quorum, &images, proposal).await.into()) }
    });
    let (own, alive) = (Arc::clone(quorum), Arc::clone(liveness));
    peers.services.serve(move |_, message: Message<Admit>| {
        let (quorum, alive) = (Arc::clone(&own), Arc::clone(&alive));
        async move { Ok(admitted(&*quorum, &alive, &message.head).await.into()) }
    });
    let (own, told) = (Arc::clone(quorum), Arc::clone(newcomer));
    peers.services.serve(move |_, message: Message<Join>| {
        let (quorum, newcomer) = (Arc::clone(&own), Arc::clone(&told));
        async move {
            let Join { id, voter } = message.head;
            let joined = quorum.admit(id, voter).await.map_err(|error| elsewhere(&*quorum, error));
            newcomer.notify_one();
            Ok(joined.into())
        }
    });
}

/// The proposal with what only the active controller knows.
pub(super) fn prepared(liveness: &Liveness, mut proposal: Proposal) -> Proposal {
    if let Command::RegisterBroker { id, session_is_live, .. } = &mut proposal.command {
        *session_is_live = liveness.is_live(*id);
    }
    proposal
}

async fn decided(
    quorum: &dyn Quorum,
    images: &watch::Receiver<Arc<ClusterImage>>,
    proposal: Proposal,
) -> Result<Decided, NotDecided> {
    match quorum.propose(proposal).await {
        Ok(reply) => Ok(Decided { reply, version: images.borrow().version }),
        Err(ProposeError::NotLeader { .. }) => Err(NotDecided::NotLeader(leader_address(quorum))),
        Err(ProposeError::AlreadyApplied) => Err(NotDecided::AlreadyApplied),
        Err(ProposeError::Stopped(why)) => Err(NotDecided::Stopped(why)),
    }
}

/// Whoever is admitted takes the place of the voter with its node id: nobody may while that one lives.
async fn admitted(quorum: &dyn Quorum, alive: &Liveness, admit: &Admit) -> Admission {
    let vacant = || match alive.in_place_of(admit.node_id, admit.directory_id) {
        Some(other) => Err(Elsewhere::Taken(other)),
        None => Ok(()),
    };
    vacant()?;
    let id = quorum.new_id().await.map_err(|error| elsewhere(quorum, error.into()))?;
    // Only now is it certain that this node leads, and has seen what earlier leaders decided.
    vacant()?;
    tracing::info!(node = admit.node_id, directory = %admit.directory_id, id, "a node joins the cluster");
    Ok(id)
}

fn elsewhere(quorum: &dyn Quorum, error: ChangeError) -> Elsewhere {
    match error {
        ChangeError::Propose(ProposeError::NotLeader { .. }) => Elsewhere::Ask(leader_address(quorum)),
        error => Elsewhere::Later(error.to_string()),
    }
}
