//! [`Peers`]: the other nodes as the controller knows them, and where the one that leads is.

use std::sync::{Arc, OnceLock};

use super::formation::{Standing, WhereDoYouStand};
use super::quorum::Quorum;
use crate::peer::call::Message;
use crate::peer::{PeerClients, Services};

/// How a node reaches the others and is reached by them.
#[derive(Clone)]
pub struct Peers {
    /// Calls to them.
    pub clients: PeerClients,
    /// What they are answered.
    pub services: Arc<Services>,
    /// Where this node is reached, `host:port`; empty if it is not.
    pub address: String,
    quorum: Arc<OnceLock<Arc<dyn Quorum>>>,
}

impl Peers {
    /// Peers that may ask from now on where this node stands, even before it belongs to a cluster.
    pub fn new(clients: PeerClients, services: Arc<Services>, address: String) -> Peers {
        let quorum: Arc<OnceLock<Arc<dyn Quorum>>> = Arc::default();
        let (me, known) = (clients.clone(), Arc::clone(&quorum));
        services.serve(move |_, _: Message<WhereDoYouStand>| {
            let cluster_id = me.me().cluster_id.clone();
            let standing = if cluster_id.is_empty() {
                Standing::New
            } else {
                let controller = known.get().and_then(|quorum| leader_address(&**quorum));
                Standing::Member { cluster_id, controller }
            };
            std::future::ready(Ok(standing.into()))
        });
        Peers { clients, services, address, quorum }
    }

    /// The quorum of this node is there.
    pub(super) fn found(&self, quorum: &Arc<dyn Quorum>) {
        let first = self.quorum.set(Arc::clone(quorum)).is_ok();
        assert!(first, "a node has one quorum");
    }
}

/// Where the leader is, if this member knows.
pub(super) fn leader_address(quorum: &dyn Quorum) -> Option<String> {
    let leader = quorum.metrics().leader?;
    quorum.members().get(leader).map(|voter| voter.address.clone()).filter(|address| !address.is_empty())
}
