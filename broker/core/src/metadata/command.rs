//! [`Command`]: what is proposed to the metadata quorum.
//!
//! Whatever depends on chance, on a clock or on one node's files (topic ids, placement, static broker settings) is
//! chosen by the proposer and travels in the command; [`decide`](super::decide) validates it. Encoded as records are.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tidemark_protocol::types::{BrokerId, TopicIdPartition};
use uuid::Uuid;

use super::client_quota::QuotaAlteration;
use super::image::Endpoint;
use super::record::{self, DecodeError};
pub use items::{
    ConfigAlteration, ConfigOp, ConfigOpKind, Election, IsrProposal, NewPartitions, NewTopic, Recovery,
    TopicKey, TopicPartitions, TopicReassignment,
};

mod items;

/// A proposal to change the cluster.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Command {
    /// Gives a new cluster its identity and features; refused on an initialised one with another identity.
    InitializeCluster {
        /// The identity.
        cluster_id: String,
        /// Finalised features.
        features: BTreeMap<String, i16>,
    },
    /// A broker came up. A new incarnation gets a new epoch; unfenced, it restarts the partitions it leads; fenced, it
    /// leaves every ISR.
    RegisterBroker {
        /// Node id.
        id: BrokerId,
        /// The cluster it believes to be in.
        cluster_id: String,
        /// Chosen anew at every start of the process.
        incarnation: Uuid,
        /// Rack, if set.
        rack: Option<String>,
        /// Where it is reached.
        endpoints: Vec<Endpoint>,
        /// Its data directories.
        directories: Vec<Uuid>,
        /// Its static configuration; what decisions depend on is kept.
        statics: BTreeMap<String, String>,
        /// Whether it starts fenced: leading nothing until it is unfenced. A single node does not.
        fenced: bool,
        /// Broker epoch of its last run as its disk tells it; −1 when it does not.
        previous_epoch: i64,
        /// What it found on its disk.
        recovery: Recovery,
        /// Whether the incarnation before still has a session. Known to the active controller, which proposes.
        session_is_live: bool,
    },
    /// Takes a broker out of every ISR and fences it: its session expired, or it asked for it.
    FenceBroker {
        /// The broker.
        id: BrokerId,
        /// Its epoch; a stale one changes nothing.
        epoch: i64,
    },
    /// Lets a broker lead again: its metadata is as new as its registration.
    UnfenceBroker {
        /// The broker.
        id: BrokerId,
        /// Its epoch; a stale one changes nothing.
        epoch: i64,
    },
    /// Takes a broker that wants to stop out of every ISR, so that others lead (KIP-841).
    BeginControlledShutdown {
        /// The broker.
        id: BrokerId,
        /// Its epoch; a stale one changes nothing.
        epoch: i64,
    },
    /// Forgets a broker. What it may still hold counts no more: it leaves every ISR and ELR.
    UnregisterBroker {
        /// The broker.
        id: BrokerId,
    },
    /// A leader changes the ISR of partitions it leads.
    AlterPartition {
        /// The leader.
        broker: BrokerId,
        /// Its epoch; a stale one is refused as a whole.
        broker_epoch: i64,
        /// The partitions.
        partitions: Vec<IsrProposal>,
    },
    /// A broker cannot vouch for replicas any more (a failed directory, damaged batches below what it called durable):
    /// they leave ISR and ELR until they have caught up again.
    QuarantineReplicas {
        /// The broker.
        broker: BrokerId,
        /// Its epoch; a stale one is refused as a whole.
        broker_epoch: i64,
        /// The partitions.
        partitions: Vec<TopicIdPartition>,
    },
    /// Creates topics.
    CreateTopics {
        /// The topics, in request order.
        topics: Vec<NewTopic>,
        /// Static broker configuration of the proposer: the defaults behind the topics' own.
        statics: BTreeMap<String, String>,
    },
    /// Deletes topics.
    DeleteTopics {
        /// By name or by id, in request order.
        topics: Vec<TopicKey>,
    },
    /// Adds partitions to topics.
    CreatePartitions {
        /// The topics, in request order.
        topics: Vec<NewPartitions>,
    },
    /// Changes configuration.
    AlterConfigs {
        /// The resources, in request order.
        alterations: Vec<ConfigAlteration>,
        /// Static broker configuration of the proposer: the defaults behind the resources' own.
        statics: BTreeMap<String, String>,
    },
    /// Hands a block of producer ids to a broker.
    AllocateProducerIds {
        /// The broker.
        broker: BrokerId,
        /// Its epoch; a stale one is refused.
        broker_epoch: i64,
    },
    /// Elects leaders.
    ElectLeaders {
        /// How.
        election: Election,
        /// Of these partitions, in request order; `None` for all.
        partitions: Option<Vec<TopicPartitions>>,
    },
    /// Starts, replaces or cancels reassignments.
    ReassignPartitions {
        /// The topics, in request order.
        topics: Vec<TopicReassignment>,
        /// Whether a target may have more or fewer replicas than the partition (KIP-860).
        allow_replication_factor_change: bool,
    },
    /// Changes client quotas.
    AlterClientQuotas {
        /// The entities, in request order.
        items: Vec<QuotaAlteration>,
    },
    /// Begins to empty a broker: it leads nothing any more that another can lead. Refused where that would harm.
    DrainBroker {
        /// The broker.
        id: BrokerId,
        /// Its replicas move away too, and it is forgotten once it has none and has stopped.
        leaves: bool,
    },
    /// Ends that: the broker may lead again.
    UndrainBroker {
        /// The broker.
        id: BrokerId,
    },
}

impl Command {
    /// The form that is proposed and stored.
    pub fn encode(&self) -> Vec<u8> {
        record::encode(self)
    }

    /// Reads that form.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        record::decode(bytes)
    }
}
