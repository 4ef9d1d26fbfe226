//! Taking a place in the cluster: whose the data directory is, which cluster it belongs to, the controller of this node; then,
//! with what recovery has found, the registration of its broker.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tidemark_core::metadata::{ClusterImage, Endpoint};
use tidemark_protocol::error_code::ErrorCode;
use tidemark_protocol::types::TopicId;
use tidemark_storage::disk::Disk;
use tokio::sync::watch;
use uuid::Uuid;

use super::{Ports, StartError, fresh_cluster_id, host_of};
use crate::clean_shutdown;
use crate::clock::Clock;
use crate::config::NodeConfig;
use crate::controller::formation::{self, Formation};
use crate::controller::{
    self, Beginning, Controller, ControllerHandle, METADATA_DIR, Peers, Recovery, Registration, Timing,
    liveness,
};
use crate::data_dir::{DataDir, FIRST_RAFT_ID, Fresh, HeldDir};
use crate::partition::Findings;
use crate::peer::client::Introduction;
use crate::peer::{Myself, PeerClients, PeerListener, Services};
use crate::replica::fetcher::PEER_LISTENER;
use crate::replica::{JOURNAL_DIR, Opening};

/// How long a broker tries to register: the session of a process that was killed has to end first.
const REGISTER_TIME_MAX: Duration = Duration::from_secs(30);
/// Between two attempts to register.
const REGISTER_PAUSE: Duration = Duration::from_millis(200);

/// A node that belongs to its cluster, whose broker has yet to register.
pub(super) struct Place {
    pub(super) data_dir: DataDir,
    pub(super) peers: Peers,
    pub(super) controller: Controller,
    /// The broker epoch of the last run, if that ended in order.
    previous_epoch: Option<i64>,
}

/// Finds or founds the cluster and starts the controller.
pub(super) async fn take_place(
    config: &NodeConfig,
    ports: &mut Ports,
    disk: &Arc<dyn Disk>,
    clock: &Clock,
    stopping: &watch::Receiver<bool>,
) -> Result<Place, StartError> {
    let held = DataDir::hold(disk, &config.data_dir)?;
    let incarnation = Uuid::new_v4();
    let directory_id = held.identity().map_or_else(Uuid::new_v4, |identity| identity.directory_id);
    let me = Arc::new(ArcSwap::from_pointee(Myself {
        cluster_id: held.identity().map_or_else(String::new, |identity| identity.cluster_id.clone()),
        node_id: config.node_id,
        directory_id,
        incarnation,
    }));
    let peers = open_peers(config, ports, me, stopping)?;
    let (fresh, beginning) = beginning(config, &held, &peers, directory_id).await?;
    let data_dir = held.open(disk, config.node_id, config.cluster_id.as_deref(), &fresh)?;
    if has_lost_metadata(config, &**disk, &data_dir) {
        return Err(StartError::LostMetadata { path: config.data_dir.clone() });
    }
    let previous_epoch = clean_shutdown::take(&**disk, data_dir.path());
    let previous_epoch = previous_epoch.map_err(|error| StartError::Other(error.to_string()))?;
    peers.clients.join_cluster(&data_dir.identity().cluster_id);
    let controller = Controller::start(controller::StartOptions {
        disk: Arc::clone(disk),
        data_dir: config.data_dir.clone(),
        identity: data_dir.identity().clone(),
        incarnation,
        peers: peers.clone(),
        beginning,
        seeds: config.seeds.clone(),
        may_vote: config.roles.controller,
        voters: config.voters,
        clock: clock.clone(),
        timing: Timing::of(&config.kafka.settings(&ClusterImage::default(), config.node_id)),
    })
    .await?;
    Ok(Place { data_dir, peers, controller, previous_epoch })
}

/// Whether this node was in a cluster with others and no longer knows of it: alone it would found that cluster a second time,
/// with nothing in it.
fn has_lost_metadata(config: &NodeConfig, disk: &dyn Disk, data_dir: &DataDir) -> bool {
    let has = |name: &str| disk.exists(&data_dir.path().join(name));
    !data_dir.is_new() && !config.seeds.is_empty() && has(JOURNAL_DIR) && !has(METADATA_DIR)
}

/// Opens the port for other nodes, which may ask from now on where this one stands.
fn open_peers(
    config: &NodeConfig,
    ports: &mut Ports,
    me: Introduction,
    stopping: &watch::Receiver<bool>,
) -> Result<Peers, StartError> {
    let services = Arc::new(Services::default());
    let clients = PeerClients::new(Arc::clone(&me));
    let Some((address, port)) = ports.peer.zip(ports.unopened_peer.take()) else {
        return Ok(Peers::new(clients, services, String::new()));
    };
    let advertised = config.peer_advertise.clone();
    let advertised = advertised.unwrap_or_else(|| format!("{}:{}", host_of(address), address.port()));
    let refused = |source| StartError::Port { what: "peer".to_owned(), address, source };
    let listener = PeerListener::open(port, me, Arc::clone(&services)).map_err(refused)?;
    tokio::spawn(listener.serve(stopping.clone()));
    Ok(Peers::new(clients, services, advertised))
}

/// What an empty directory becomes; nothing is asked for one that is somebody's.
async fn beginning(
    config: &NodeConfig,
    held: &HeldDir,
    peers: &Peers,
    directory_id: Uuid,
) -> Result<(Fresh, Beginning), StartError> {
    let found = Fresh { cluster_id: fresh_cluster_id(config), directory_id, raft_id: None };
    if held.identity().is_some() {
        // Only a voter without history asks; one that joined and was killed before it had any goes on joining.
        let joins = held.identity().is_some_and(|identity| identity.raft_id != FIRST_RAFT_ID);
        return Ok((found, if joins { Beginning::Follow } else { Beginning::Found }));
    }
    match formation::find(&peers.clients, &peers.address, &config.seeds, config.roles.controller).await {
        Formation::Refused(why) => Err(StartError::Registration(why)),
        Formation::Found => Ok((found, Beginning::Found)),
        Formation::Join { cluster_id, raft_id } => {
            let cluster_id = TopicId::parse(&cluster_id).map_or(found.cluster_id, |id| id.0);
            Ok((Fresh { cluster_id, directory_id, raft_id: Some(raft_id) }, Beginning::Follow))
        }
    }
}

/// Registers the broker with what is to be thought of its disk, and has damaged replicas counted on no more before anybody could
/// elect them.
pub(super) async fn register(
    config: &NodeConfig,
    place: &Place,
    ports: &Ports,
    opening: &Opening,
) -> Result<(), StartError> {
    let Place { data_dir, peers, controller, previous_epoch } = place;
    let controller = controller.handle();
    let findings = opening.findings().await;
    let recovery = if data_dir.is_new() || opening.has_lost_journals() {
        Recovery::Wiped
    } else if findings.torn > 0 {
        Recovery::Suspect
    } else if previous_epoch.is_some() {
        Recovery::Clean
    } else {
        Recovery::Intact
    };
    tell(&controller, data_dir, recovery, findings);
    let mut endpoints = ports.endpoints(config);
    if let Some((host, port)) = peers.address.rsplit_once(':').filter(|(_, port)| port.parse::<u16>().is_ok())
    {
        let port = port.parse().expect("it was just looked at");
        endpoints.push(Endpoint { listener: PEER_LISTENER.to_owned(), host: host.to_owned(), port });
    }
    let registration = Registration {
        id: config.node_id,
        rack: config.rack.clone(),
        endpoints,
        fenced: !controller.is_alone(),
        directories: vec![data_dir.identity().directory_id],
        statics: config.kafka.statics().as_ref().clone(),
        previous_epoch: previous_epoch.unwrap_or(-1),
        recovery,
    };
    insist(&controller, registration).await?;
    opening.quarantine(&controller).await;
    Ok(())
}

/// Registers, once the session of the run before is over.
async fn insist(controller: &ControllerHandle, registration: Registration) -> Result<(), StartError> {
    let id = registration.id;
    let register = async {
        let mut told = false;
        loop {
            match controller.register_broker(registration.clone()).await {
                Ok(Ok(_epoch)) => return Ok(()),
                Ok(Err(failure)) if failure.code == ErrorCode::DuplicateBrokerRegistration => {
                    if !std::mem::replace(&mut told, true) {
                        tracing::info!("waiting for the session of this node's last run to end");
                    }
                    tokio::time::sleep(REGISTER_PAUSE).await;
                }
                Ok(Err(failure)) => return Err(StartError::Registration(failure.message)),
                Err(error) => return Err(StartError::Registration(error.to_string())),
            }
        }
    };
    let registered = tokio::time::timeout(REGISTER_TIME_MAX, register).await;
    registered.unwrap_or_else(|_| {
        let image = controller.image();
        let why = image.brokers.get(&id).map(|known| liveness::taken(known));
        Err(StartError::Registration(why.unwrap_or_else(|| format!("another process runs as node {id}"))))
    })
}

/// Says what this start makes of the disk, where it is not as it was left.
fn tell(controller: &ControllerHandle, data_dir: &DataDir, recovery: Recovery, findings: Findings) {
    let image = controller.image();
    let identity = data_dir.identity();
    let known = image.brokers.get(&identity.node_id);
    let replaced = known.filter(|known| !known.directories.contains(&identity.directory_id));
    if let Some(known) = replaced {
        tracing::warn!(
            node = identity.node_id,
            old = ?known.directories,
            new = %identity.directory_id,
            "this node had another data directory: what that held counts no more, and its replicas are fetched again"
        );
    } else if recovery == Recovery::Wiped && known.is_some() {
        tracing::warn!("the journals of this data directory are gone: its replicas are fetched again");
    }
    let Findings { torn, damaged } = findings;
    if torn + damaged > 0 {
        tracing::warn!(torn, damaged, "replicas are not as they were written");
    }
}
