//! The first words of a connection: who calls whom, and that both belong to one cluster.

use serde::{Deserialize, Serialize};
use tidemark_protocol::types::BrokerId;
use uuid::Uuid;

use super::call::Call;

/// Version of the frames and of the meaning of calls.
pub const PROTOCOL_VERSION: u16 = 1;

/// Who this node is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Myself {
    /// Its cluster; empty while it looks for one.
    pub cluster_id: String,
    /// Its id.
    pub node_id: BrokerId,
    /// Its data directory.
    pub directory_id: Uuid,
    /// This run of its process.
    pub incarnation: Uuid,
}

/// What a caller says first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// [`PROTOCOL_VERSION`] of the caller.
    pub version: u16,
    /// Who calls.
    pub from: Myself,
}

impl Call for Hello {
    const KIND: u8 = 0;
    const NAME: &'static str = "hello";
    type Answer = Myself;
}

/// Why two nodes should not talk, in words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Objection {
    /// They are of different versions or clusters.
    #[error("{0}")]
    Stranger(String),
    /// They have one id and two directories.
    #[error("two nodes have id {0}: give one of them another node.id")]
    Namesake(BrokerId),
}

/// The node at the other end of a connection.
pub type Caller = Myself;

impl Myself {
    /// Why these two should not talk, if so.
    pub(super) fn objection(&self, hello: &Hello) -> Option<Objection> {
        let from = &hello.from;
        if hello.version != PROTOCOL_VERSION {
            return Some(Objection::Stranger(format!(
                "node {} speaks version {}, this node {PROTOCOL_VERSION}",
                from.node_id, hello.version
            )));
        }
        let strangers = !from.cluster_id.is_empty() && !self.cluster_id.is_empty();
        if strangers && from.cluster_id != self.cluster_id {
            return Some(Objection::Stranger(format!(
                "node {} belongs to cluster {}, node {} to cluster {}",
                from.node_id, from.cluster_id, self.node_id, self.cluster_id
            )));
        }
        if from.node_id == self.node_id && from.directory_id != self.directory_id {
            return Some(Objection::Namesake(from.node_id));
        }
        None
    }
}
