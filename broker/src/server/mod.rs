//! The Kafka port: listeners, connections, dispatch, and one handler file for each API.
//!
//! A request's way: `connection` (bytes, order) → `dispatch` (which handler) → `handlers/*` (what it means) → `reply`.

pub mod answer;
pub mod broker_loggers;
pub mod budget;
pub mod configs;
pub mod connection;
pub mod connection_limits;
pub mod dispatch;
pub mod error;
pub mod fetch_session;
pub mod handlers;
pub mod inbound;
pub mod listener;
pub mod metrics;
pub mod mutations;
pub mod operations;
pub mod outbound;
pub mod partitions;
pub mod quota;
pub mod reply;
pub mod throttled;
pub mod topics;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwap;
use kafka_protocol::protocol::StrBytes;
use tidemark_core::metadata::broker_config::NodeFacts;
use tidemark_core::metadata::{BrokerConfigs, BrokerSettings, ClusterImage};
use tidemark_protocol::types::BrokerId;
use tidemark_storage::disk::Disk;

use tokio::sync::watch;

use crate::clock::Clock;
use crate::controller::ControllerHandle;
use crate::controller::lease::Lease;
use crate::coordinator::group::GroupShards;
use crate::replica::ReplicaManager;
use budget::RequestBudget;
use fetch_session::FetchSessions;
use handlers::fetch::FetchPace;
use metrics::ServerMetrics;
use mutations::Mutator;
use quota::{Charge, Payer, Quotas};

/// Everything a handler may use. Built once by `broker.rs`; shared by all connections.
pub struct Ctx {
    /// Id of this node.
    pub node_id: BrokerId,
    /// Where this node keeps its data; reported by DescribeLogDirs.
    pub data_dir: PathBuf,
    /// The disk below it.
    pub disk: Arc<dyn Disk>,
    /// Static broker configs.
    pub configs: BrokerConfigs,
    /// What the node reports of itself under Kafka's names.
    pub facts: NodeFacts,
    /// Time.
    pub clock: Clock,
    /// The metadata quorum: images out, commands in.
    pub controller: ControllerHandle,
    /// The partitions this node holds.
    pub replicas: Arc<ReplicaManager>,
    /// The group coordinators of this node.
    pub groups: Arc<GroupShards>,
    /// Incremental fetch sessions (KIP-227).
    pub sessions: FetchSessions,
    /// Connections, counted.
    pub connections: connection_limits::ConnectionLimits,
    /// Client quotas, in effect.
    pub quotas: Arc<Quotas>,
    /// Bytes of requests in work.
    pub request_budget: RequestBudget,
    /// Producer ids handed to this node by the controller.
    pub producer_ids: handlers::init_producer_id::ProducerIds,
    /// Counters and timers of the port.
    pub metrics: ServerMetrics,
    /// Effective broker configs; replaced when dynamic ones change.
    pub settings: Arc<ArcSwap<BrokerSettings>>,
    /// The right to serve what this broker leads.
    pub lease: Arc<Lease>,
}

impl Ctx {
    /// The effective broker configs as of now.
    pub fn settings(&self) -> arc_swap::Guard<Arc<BrokerSettings>> {
        self.settings.load()
    }

    /// The static broker configs, as they travel with proposals.
    pub fn statics(&self) -> BTreeMap<String, String> {
        self.configs.statics().as_ref().clone()
    }

    /// Whether this broker may serve: it was not cut off for so long that others may lead what it leads.
    pub fn holds_lease(&self) -> bool {
        self.lease.is_held(self.clock.now())
    }

    /// The cluster as this node knows it.
    pub fn image(&self) -> Arc<ClusterImage> {
        self.controller.image()
    }
}

/// One bound listener; answers name the endpoints of the listener the request came in on.
#[derive(Debug)]
pub struct ListenerInfo {
    /// Kafka's listener name, such as `PLAINTEXT`.
    pub name: String,
}

/// The other end of a connection.
pub struct Peer {
    /// The listener it came in on.
    pub listener: Arc<ListenerInfo>,
    /// Its address.
    pub address: SocketAddr,
    /// Its part in client quotas.
    pub payer: Payer,
    /// How fast it is answered.
    pub pace: Arc<FetchPace>,
    software: Option<(StrBytes, StrBytes)>,
}

impl Peer {
    /// A peer that has said nothing yet.
    pub fn new(listener: Arc<ListenerInfo>, address: SocketAddr) -> Self {
        Peer { listener, address, payer: Payer::default(), pace: Arc::default(), software: None }
    }

    /// Keeps the name and version the client gave in ApiVersions (KIP-511). They are copied: the strings are slices of
    /// a request and would pin it.
    pub fn set_client_software(&mut self, name: &str, version: &str) {
        self.software =
            Some((StrBytes::from_string(name.to_owned()), StrBytes::from_string(version.to_owned())));
    }

    /// `name version` of the client's software, or `unknown`.
    pub fn client_software(&self) -> &str {
        self.software.as_ref().map_or("unknown", |(name, _)| name)
    }
}

/// Returns once the broker stops; also when whoever would say so is gone.
async fn stopped(shutdown: &mut watch::Receiver<bool>) {
    let _ = shutdown.wait_for(|stop| *stop).await;
}

/// What a handler knows of the request besides its body.
#[derive(Clone)]
pub struct RequestContext {
    /// Version of the API.
    pub version: i16,
    /// Number the client matches the answer by.
    pub correlation_id: i32,
    /// The client's name for itself; empty when it gave none.
    pub client_id: StrBytes,
    /// The listener the request came in on.
    pub listener: Arc<ListenerInfo>,
    /// The client's address.
    pub address: SocketAddr,
    /// How fast this connection's fetches are answered.
    pub pace: Arc<FetchPace>,
    /// Size of the request in bytes.
    pub request_bytes: usize,
    /// What quotas charge it; none when nothing limits its client.
    pub charge: Option<Arc<Charge>>,
}

impl RequestContext {
    /// How long the answer tells the client to rest; request time is counted up to here.
    pub fn throttle_time_ms(&self) -> i32 {
        self.charge.as_ref().map_or(0, |charge| charge.settle())
    }

    /// Who pays for changes of topics; versions from `strict_from` on are refused what is over the quota.
    pub fn mutator(&self, strict_from: i16) -> Mutator<'_> {
        Mutator { charge: self.charge.as_deref(), is_strict: self.version >= strict_from }
    }
}
