//! The composition root: builds the parts of a broker in order, opens the ports last, and stops in reverse.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use prometheus::Registry;
use tidemark_core::metadata::broker_config::NodeFacts;
use tidemark_core::metadata::{BrokerConfigs, BrokerSettings, ClusterImage, Endpoint};
use tidemark_protocol::types::BrokerId;
use tidemark_storage::disk::Disk;
use tidemark_storage::log::{LogContext, LogOptions};
use tidemark_storage::metrics::LogMetrics;
use tidemark_storage::tail::TailBudget;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use uuid::Uuid;

use crate::clean_shutdown;
use crate::clock::Clock;
use crate::config::{NodeConfig, Roles};
use crate::controller::{self, Controller, Peers};
use crate::coordinator::group::{GroupShards, GroupShardsOptions};
use crate::data_dir::{DataDir, DataDirError};
use crate::replica::fetcher::{self, Followed};
use crate::replica::throttles::Throttles;
use crate::replica::{self, Opening, ReplicaManager, ReplicaOptions, isr_proposer, quarantine, scrub};
use crate::runtime::{RuntimeConfig, Runtimes, raise_file_limit};
use crate::server::budget::RequestBudget;
use crate::server::connection_limits::ConnectionLimits;
use crate::server::fetch_session::FetchSessions;
use crate::server::handlers::init_producer_id::ProducerIds;
use crate::server::listener::Listener;
use crate::server::metrics::ServerMetrics;
use crate::server::quota::Quotas;
use crate::server::{Ctx, listener};
use crate::telemetry::{Admin, EventLog, Health, NodeSources, Phase};
use crate::transport::{self, BoundPort};

mod join;
mod life;

use join::Place;
use life::Life;

/// Where nodes are reached that say nothing of it.
const DEFAULT_PEER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9093);
/// How long a stopping broker may take to flush and close its partitions.
const CLOSE_TIME_MAX: Duration = Duration::from_secs(8);

/// Where a running broker listens.
#[derive(Clone, Debug)]
pub struct Addresses {
    /// Each Kafka listener with its bound address.
    pub listeners: Vec<(String, SocketAddr)>,
    /// The admin port.
    pub admin: Option<SocketAddr>,
    /// The port for other nodes.
    pub peer: Option<SocketAddr>,
}

/// Why a broker did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data directory is another's, in use, or unreadable.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    /// A port could not be bound.
    #[error("cannot listen on {address} ({what}): {source}")]
    Port {
        /// Which port.
        what: String,
        /// Its address.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// The metadata quorum.
    #[error(transparent)]
    Controller(#[from] controller::StartError),
    /// The node's copy of the metadata is gone, but it was in a cluster with others.
    #[error("{path} holds partitions, but the cluster's metadata in it are gone; empty it, and this node joins its cluster anew and fetches its replicas again", path = path.display())]
    LostMetadata {
        /// The data directory.
        path: PathBuf,
    },
    /// The registration was refused.
    #[error("the controller refused this broker: {0}")]
    Registration(String),
    /// The partitions.
    #[error(transparent)]
    Replicas(#[from] replica::StartError),
    /// Threads or metrics.
    #[error("{0}")]
    Other(String),
}

/// A running broker.
pub struct Broker {
    addresses: Addresses,
    cluster_id: String,
    controller: Controller,
    replicas: Arc<ReplicaManager>,
    groups: Arc<GroupShards>,
    runtimes: Runtimes,
    disk: Arc<dyn Disk>,
    data_dir: DataDir,
    stop: watch::Sender<bool>,
    phase: watch::Sender<Phase>,
    life: Life,
    listeners: JoinSet<()>,
    background: Vec<JoinHandle<()>>,
}

/// The ports of a node, bound but not open.
struct Ports {
    listeners: Vec<(String, SocketAddr, BoundPort)>,
    admin: Option<(SocketAddr, BoundPort)>,
    /// Opened before the others: nodes that look for their cluster must be able to ask.
    peer: Option<SocketAddr>,
    unopened_peer: Option<BoundPort>,
}

impl Broker {
    /// Starts a broker; when this returns, clients are served.
    pub async fn start(config: &NodeConfig, disk: Arc<dyn Disk>, clock: Clock) -> Result<Broker, StartError> {
        raise_file_limit();
        let mut ports = Ports::bind(config)?;
        let (stop, stopping) = watch::channel(false);
        let place = join::take_place(config, &mut ports, &disk, &clock, &stopping).await?;
        let handle = place.controller.handle();
        let registry = Registry::new();
        let settings =
            Arc::new(ArcSwap::from_pointee(config.kafka.settings(&handle.image(), config.node_id)));
        let runtimes = start_runtimes(config, &settings.load())?;
        let log = log_context(config, &disk, &settings.load());
        let opening = open_replicas(config, &log, &clock, &runtimes, &handle)?;
        if config.roles.broker {
            join::register(config, &place, &ports, &opening).await?;
        }
        let Place { data_dir, peers, controller, .. } = place;
        let replicas = opening.take_roles().await;
        // From here on it may be asked to lead.
        let (life, mut background) = match config.roles.broker {
            true => Life::begin(data_dir.identity(), &controller, replicas.failure()),
            false => (Life::without_broker(), Vec::new()),
        };
        let groups = start_groups(config, &clock, &handle, &replicas);
        let metrics = ServerMetrics::new(&registry).map_err(|error| StartError::Other(error.to_string()))?;
        let quotas = start_quotas(&settings.load(), &clock, &registry, &handle).await?;
        let request_budget = RequestBudget::new(request_bytes_max(config, &settings.load()));
        let ctx = Arc::new(Ctx {
            node_id: config.node_id,
            data_dir: config.data_dir.clone(),
            disk,
            configs: config.kafka.clone(),
            facts: facts(config, &ports),
            clock,
            controller: handle.clone(),
            replicas: Arc::clone(&replicas),
            groups: Arc::clone(&groups),
            sessions: FetchSessions::new(slots(&settings.load()), fresh_session_id()),
            connections: ConnectionLimits::default(),
            quotas: Arc::clone(&quotas),
            request_budget,
            producer_ids: ProducerIds::default(),
            metrics,
            settings: Arc::clone(&settings),
            lease: handle.lease(),
        });
        let (phase, phases) = watch::channel(Phase::Starting);
        let events = Arc::new(EventLog::default());
        let admin = admin(&ctx, registry, log, phases, Arc::clone(&events));
        background.push(tokio::spawn(events.follow(handle.clone(), ctx.clock.clone())));
        background.extend(follow_image(config, &ctx));
        background.extend(start_replication(config, &ctx.clock, &handle, &replicas, &peers));
        let mut broker = Broker {
            addresses: ports.addresses(),
            cluster_id: data_dir.identity().cluster_id.clone(),
            controller,
            replicas,
            groups: Arc::clone(&groups),
            runtimes,
            disk: Arc::clone(&ctx.disk),
            data_dir,
            stop,
            phase,
            listeners: JoinSet::new(),
            life,
            background,
        };
        broker.life.until_unfenced().await;
        broker.open(ports, &ctx, admin, &stopping)?;
        Ok(broker)
    }

    /// Opens the ports: from here on clients get in.
    fn open(
        &mut self,
        ports: Ports,
        ctx: &Arc<Ctx>,
        admin: Admin,
        stopping: &watch::Receiver<bool>,
    ) -> Result<(), StartError> {
        let backlog = ctx.settings().socket_listen_backlog_size;
        if let Some((address, port)) = ports.admin {
            let refused = |source| StartError::Port { what: "admin".to_owned(), address, source };
            self.background.push(tokio::spawn(admin.open(port).map_err(refused)?));
        }
        for (name, address, port) in ports.listeners {
            let refused = |source| StartError::Port { what: format!("listener {name}"), address, source };
            let listener: Listener = listener::Listener::open(&name, port, backlog).map_err(refused)?;
            let network = self.runtimes.network.clone();
            self.listeners.spawn(listener.serve(Arc::clone(ctx), network, stopping.clone()));
        }
        self.phase.send_replace(Phase::Serving);
        Ok(())
    }

    fn broker_epoch(&self) -> Option<i64> {
        let image = self.controller.handle().image();
        image.brokers.get(&self.data_dir.identity().node_id).map(|broker| broker.epoch)
    }

    /// Where it listens.
    pub fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// The cluster it belongs to.
    pub fn cluster_id(&self) -> &str {
        &self.cluster_id
    }

    /// Becomes `Some(why)` when the metadata could not be written any more: the process must end.
    pub fn metadata_failure(&self) -> watch::Receiver<Option<String>> {
        self.controller.handle().failure()
    }

    /// Stops: no new connections, answers in the making leave, partitions are flushed and closed, the directory is
    /// marked clean.
    pub async fn stop(mut self) {
        self.phase.send_replace(Phase::Stopping);
        self.life.hand_over().await;
        // The receivers may all be gone already; then there is nobody left to tell.
        let _ = self.stop.send(true);
        // Joins that wait for a rebalance would hold their connections open for minutes.
        self.groups.stop();
        while self.listeners.join_next().await.is_some() {}
        let report = self.replicas.shutdown(CLOSE_TIME_MAX).await;
        let epoch = self.broker_epoch();
        self.controller.shutdown().await;
        for task in self.background {
            task.abort();
        }
        self.runtimes.stop();
        if !report.clean {
            tracing::warn!(
                "stopped before every partition was closed; the next start checks their last writes"
            );
        } else if let Some(epoch) = epoch
            && let Err(error) = clean_shutdown::leave(&*self.disk, self.data_dir.path(), epoch)
        {
            tracing::warn!(%error, "it cannot be noted that this run ended in order");
        }
        drop(self.data_dir);
    }
}

impl Ports {
    fn bind(config: &NodeConfig) -> Result<Ports, StartError> {
        let bind = |what: String, address: SocketAddr| {
            let refused = |source| StartError::Port { what: what.clone(), address, source };
            let port = transport::bind(address).map_err(refused)?;
            let bound = port.local_address().map_err(refused)?;
            Ok::<_, StartError>((bound, port))
        };
        let mut listeners = Vec::new();
        for listener in &config.listeners {
            let (bound, port) = bind(format!("listener {}", listener.name), listener.bind)?;
            listeners.push((listener.name.clone(), bound, port));
        }
        let admin = config.admin.map(|address| bind("admin".to_owned(), address)).transpose()?;
        let peer = config.peer.map(|address| match bind("peer".to_owned(), address) {
            // Several nodes on one machine, none of which wants to be found.
            Err(_) if config.seeds.is_empty() && address == DEFAULT_PEER => {
                bind("peer".to_owned(), SocketAddr::new(address.ip(), 0))
            }
            bound => bound,
        });
        let peer = peer.transpose()?;
        let (peer, unopened_peer) = peer.unzip();
        Ok(Ports { listeners, admin, peer, unopened_peer })
    }

    fn addresses(&self) -> Addresses {
        Addresses {
            listeners: self.listeners.iter().map(|(name, address, _)| (name.clone(), *address)).collect(),
            admin: self.admin.as_ref().map(|(address, _)| *address),
            peer: self.peer,
        }
    }

    /// What clients are told, listener by listener.
    fn endpoints(&self, config: &NodeConfig) -> Vec<Endpoint> {
        self.listeners
            .iter()
            .map(|(name, bound, _)| {
                let advertised = config.listeners.iter().find(|listener| listener.name == *name);
                let (host, port) = advertised
                    .and_then(|listener| listener.advertise.clone())
                    .unwrap_or_else(|| (host_of(*bound), bound.port()));
                Endpoint { listener: name.clone(), host, port }
            })
            .collect()
    }
}

/// A bound address as a host clients can connect to: an unspecified one is this machine.
fn host_of(address: SocketAddr) -> String {
    if address.ip().is_unspecified() { "localhost".to_owned() } else { address.ip().to_string() }
}

/// The admin port as others reach it: where it listens on all addresses, the host that clients are told.
fn admin_host(config: &NodeConfig, address: SocketAddr) -> String {
    let advertised = config.listeners.iter().find_map(|listener| listener.advertise.as_ref());
    match advertised {
        Some((host, _)) if address.ip().is_unspecified() => host.clone(),
        _ if address.is_ipv6() && !address.ip().is_unspecified() => format!("[{}]", address.ip()),
        _ => host_of(address),
    }
}

fn fresh_cluster_id(config: &NodeConfig) -> Uuid {
    config
        .cluster_id
        .as_deref()
        .and_then(tidemark_protocol::types::TopicId::parse)
        .map_or_else(Uuid::new_v4, |id| id.0)
}

/// `log.retention.check.interval.ms`.
fn retention_check_interval(settings: &BrokerSettings) -> Duration {
    Duration::from_millis(u64::try_from(settings.log_retention_check_interval_ms).unwrap_or(1))
}

/// `queued.max.request.bytes` where it is set, else the node's own default.
fn request_bytes_max(config: &NodeConfig, settings: &BrokerSettings) -> usize {
    match usize::try_from(settings.queued_max_request_bytes) {
        Ok(bytes) if bytes > 0 => bytes,
        _ => config.request_bytes_max,
    }
}

fn slots(settings: &BrokerSettings) -> usize {
    usize::try_from(settings.fetch_session_cache_slots).unwrap_or(0)
}

/// Sessions of an earlier life of this broker must not meet this one's: ids start at a random place.
fn fresh_session_id() -> i32 {
    (Uuid::new_v4().as_u128() & 0x3fff_ffff) as i32
}

fn start_runtimes(config: &NodeConfig, settings: &BrokerSettings) -> Result<Runtimes, StartError> {
    let mut threads = RuntimeConfig {
        background_threads: usize::try_from(settings.log_cleaner_threads).unwrap_or(1).max(1),
        ..RuntimeConfig::default()
    };
    if let Some(count) = config.log_threads {
        threads.log_threads = count;
    }
    if let Some(count) = config.network_threads {
        threads.network_threads = count;
    }
    Runtimes::start(threads).map_err(|error| StartError::Other(format!("cannot start threads: {error}")))
}

/// What all logs of the node share.
fn log_context(config: &NodeConfig, disk: &Arc<dyn Disk>, settings: &BrokerSettings) -> Arc<LogContext> {
    let options = LogOptions {
        producer_expiration_ms: settings.producer_id_expiration_ms.into(),
        retention_check_interval: retention_check_interval(settings),
        ..LogOptions::default()
    };
    let tail = Arc::new(TailBudget::new(config.tail_bytes_max));
    LogContext::new(Arc::clone(disk), tail, Arc::new(LogMetrics::default()), options)
}

fn start_groups(
    config: &NodeConfig,
    clock: &Clock,
    controller: &controller::ControllerHandle,
    replicas: &Arc<ReplicaManager>,
) -> Arc<GroupShards> {
    let replicas = Arc::clone(replicas);
    GroupShards::new(GroupShardsOptions {
        me: config.node_id,
        clock: clock.clone(),
        images: controller.watch(),
        configs: config.kafka.clone(),
        partitions: Arc::new(move |topic, index| replicas.partition(topic, index)),
        lease: controller.lease(),
    })
}

/// Quotas as the image has them: the first client is already held to them.
async fn start_quotas(
    settings: &BrokerSettings,
    clock: &Clock,
    registry: &Registry,
    controller: &controller::ControllerHandle,
) -> Result<Arc<Quotas>, StartError> {
    let quotas = Quotas::new(settings, clock.clone(), registry);
    let quotas = quotas.map_err(|error| StartError::Other(error.to_string()))?;
    quotas.apply(&controller.image()).await;
    Ok(quotas)
}

fn open_replicas(
    config: &NodeConfig,
    log: &Arc<LogContext>,
    clock: &Clock,
    runtimes: &Runtimes,
    controller: &controller::ControllerHandle,
) -> Result<Opening, replica::StartError> {
    let options = ReplicaOptions {
        me: config.node_id,
        dir: config.data_dir.clone(),
        log: Arc::clone(log),
        clock: clock.clone(),
        runtimes: runtimes.clone(),
        configs: config.kafka.clone(),
    };
    Opening::begin(options, controller.watch())
}

/// What has to keep in step with the cluster's metadata.
fn follow_image(config: &NodeConfig, ctx: &Ctx) -> [JoinHandle<()>; 3] {
    let (kafka, me, controller) = (&config.kafka, config.node_id, &ctx.controller);
    let settings = Arc::clone(&ctx.settings);
    [
        tokio::spawn(follow_settings(kafka.clone(), me, controller.watch(), settings)),
        tokio::spawn(Arc::clone(&ctx.groups).follow()),
        tokio::spawn(Arc::clone(&ctx.quotas).follow(controller.watch())),
    ]
}

/// What the admin port answers from.
fn admin(
    ctx: &Ctx,
    registry: Registry,
    log: Arc<LogContext>,
    phase: watch::Receiver<Phase>,
    events: Arc<EventLog>,
) -> Admin {
    let storage_failure = ctx.replicas.failure();
    let health = Health { phase, controller: ctx.controller.clone(), storage_failure };
    let sources = NodeSources {
        node_id: ctx.node_id,
        controller: ctx.controller.clone(),
        replicas: Arc::clone(&ctx.replicas),
        log,
        request_budget: ctx.request_budget.clone(),
        data_dir: ctx.data_dir.clone(),
    };
    Admin { registry, sources, health, events }
}

/// Fetches from leaders, serves followers, proposes ISRs, looks for damage, and as controller sees to the cluster.
fn start_replication(
    config: &NodeConfig,
    clock: &Clock,
    controller: &controller::ControllerHandle,
    replicas: &Arc<ReplicaManager>,
    peers: &Peers,
) -> Vec<JoinHandle<()>> {
    let throttles = Throttles::new(config.node_id, clock.clone(), config.kafka.clone(), controller.watch());
    replica::serving::serve(&peers.services, replicas, &throttles);
    let followed = Followed {
        me: config.node_id,
        images: controller.watch(),
        clients: peers.clients.clone(),
        throttles: Arc::clone(&throttles),
    };
    let (statics, me) = (config.kafka.clone(), config.node_id);
    vec![
        tokio::spawn(controller::upkeep::run(controller.clone(), statics, me, clock.clone())),
        tokio::spawn(throttles.follow()),
        tokio::spawn(fetcher::run(replicas.outlet(), followed)),
        tokio::spawn(isr_proposer::run(Arc::clone(replicas), controller.clone(), config.node_id)),
        tokio::spawn(quarantine::run(Arc::clone(replicas), controller.clone(), config.node_id)),
        tokio::spawn(scrub::run(Arc::clone(replicas), controller.watch())),
    ]
}

/// What the node reports of itself under Kafka's names.
fn facts(config: &NodeConfig, ports: &Ports) -> NodeFacts {
    let list = |entries: Vec<(String, String)>| {
        entries.iter().map(|(name, at)| format!("{name}://{at}")).collect::<Vec<_>>().join(",")
    };
    let bound =
        ports.listeners.iter().map(|(name, address, _)| (name.clone(), address.to_string())).collect();
    let advertised = ports
        .endpoints(config)
        .into_iter()
        .map(|endpoint| (endpoint.listener, format!("{}:{}", endpoint.host, endpoint.port)))
        .collect();
    let id = config.node_id.to_string();
    let data_dir: PathBuf = config.data_dir.clone();
    let mut values = BTreeMap::from([
        ("node.id", id.clone()),
        ("broker.id", id),
        ("process.roles", roles(config.roles)),
        ("listeners", list(bound)),
        ("advertised.listeners", list(advertised)),
        ("log.dirs", data_dir.to_string_lossy().into_owned()),
    ]);
    if let Some(rack) = &config.rack {
        values.insert("broker.rack", rack.clone());
    }
    if let Some((address, _)) = &ports.admin {
        values.insert(
            "tidemark.admin.url",
            format!("http://{}:{}", admin_host(config, *address), address.port()),
        );
    }
    NodeFacts { values }
}

/// As `node.roles` says it.
fn roles(roles: Roles) -> String {
    let named = [("broker", roles.broker), ("controller", roles.controller)];
    named.into_iter().filter(|(_, is)| *is).map(|(name, _)| name).collect::<Vec<_>>().join(",")
}

/// Keeps the effective broker settings in step with the dynamic ones.
async fn follow_settings(
    configs: BrokerConfigs,
    node_id: BrokerId,
    mut images: watch::Receiver<Arc<ClusterImage>>,
    settings: Arc<ArcSwap<BrokerSettings>>,
) {
    while images.changed().await.is_ok() {
        let image = images.borrow_and_update().clone();
        let now = configs.settings(&image, node_id);
        if **settings.load() != now {
            settings.store(Arc::new(now));
        }
    }
}
