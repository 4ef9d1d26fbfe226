//! Who is alive: brokers tell the active controller that they are, and it fences those that do not.
//!
//! Both sides of it. The controller's is soft state of whichever node leads the quorum; after a failover every broker gets a
//! fresh session. A node that is a cluster by itself tells nobody anything.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tidemark_core::metadata::sessions::{BrokerSessions, Heartbeat, HeartbeatRefused, HeartbeatReply};
use tidemark_core::metadata::{BrokerRegistration, BrokerSettings, ClusterImage, Command, ConfigLayers};
use tidemark_protocol::types::BrokerId;
use tokio::sync::watch;
use uuid::Uuid;

use super::ControllerHandle;
use super::formation;
use super::lease::Lease;
use super::peers::{Peers, leader_address};
use super::quorum::Quorum;
use super::raft::LEADER_LEASE;

use crate::clock::Clock;
use crate::peer::call::Message;
use crate::peer::{Call, Purpose};

/// How long an answer may take; the next heartbeat says the same anyway.
const BEAT_PATIENCE: Duration = Duration::from_millis(1000);
/// Between two heartbeats of a broker that waits for what the controller says next: to be unfenced, to stop, to be heard.
const BEAT_SOON: Duration = Duration::from_millis(50);
/// A broker that wants to stop and finds no controller for so long, longer than an election takes, stops without one.
const UNHEARD_MAX: Duration = Duration::from_millis(1500);
/// The same where all others have stopped or are about to, and one of them was the controller.
const UNHEARD_LAST_MAX: Duration = Duration::from_millis(200);
/// A controller that has heard of no majority for so long is none: it decides nothing that it is asked for.
const OFFICE_AGE_MAX: Duration = Duration::from_secs(1);
/// How often the controller looks whether a session is over, at least.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// Part of a session by which a lease is shorter: clocks of two machines do not run alike.
const LEASE_MARGIN: u32 = 10;

/// When a silent broker counts as dead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// `broker.session.timeout.ms`.
    pub session: Duration,
    /// `broker.heartbeat.interval.ms`.
    pub beat_every: Duration,
}

impl Timing {
    /// As configured.
    pub fn of(settings: &BrokerSettings) -> Timing {
        let millis = |value| Duration::from_millis(u64::try_from(value).unwrap_or(0));
        Timing {
            session: millis(settings.broker_session_timeout_ms),
            beat_every: millis(settings.broker_heartbeat_interval_ms),
        }
    }

    /// How long a broker may serve that is heard of by a controller whose own office was confirmed `age` ago: another one
    /// gives everybody a session of its own, and may be in office since then.
    fn lease(&self, age: Duration) -> Duration {
        (self.session - self.session / LEASE_MARGIN).saturating_sub(age)
    }
}

impl Default for Timing {
    fn default() -> Timing {
        Timing::of(&BrokerSettings::resolve(&ConfigLayers::default()))
    }
}

/// A heartbeat on the wire.
#[derive(Debug, Serialize, Deserialize)]
struct Beat {
    id: BrokerId,
    epoch: i64,
    applied_index: u64,
    want_fence: bool,
    want_shutdown: bool,
    offline_directories: Vec<Uuid>,
}

/// What a broker is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alive {
    /// It is fenced: nobody is sent to it.
    pub fenced: bool,
    /// It may stop now.
    pub should_shutdown: bool,
}

/// The answer to a heartbeat.
#[derive(Debug, Serialize, Deserialize)]
struct Heard {
    alive: Alive,
    /// How long the broker may serve what it leads, counted from when it sent the heartbeat; nothing is taken back by zero.
    lease: Duration,
}

/// Why a heartbeat counts for nothing.
#[derive(Debug, Serialize, Deserialize)]
enum Unheard {
    /// Another node is the controller, or none is.
    Elsewhere,
    /// It has to register again.
    Stale(String),
}

impl Call for Beat {
    const KIND: u8 = 24;
    const NAME: &'static str = "heartbeat";
    type Answer = Result<Heard, Unheard>;
}

/// The controller's side.
pub struct Liveness {
    quorum: Arc<dyn Quorum>,
    image: watch::Receiver<Arc<ClusterImage>>,
    clock: Clock,
    timing: Timing,
    sessions: Mutex<Term>,
    /// Of this node's own broker.
    lease: Arc<Lease>,
}

/// The sessions of one term of office.
struct Term {
    term: u64,
    sessions: BrokerSessions,
}

impl Liveness {
    /// Nobody is known to be alive yet.
    pub(super) fn new(
        quorum: Arc<dyn Quorum>,
        image: watch::Receiver<Arc<ClusterImage>>,
        clock: Clock,
        timing: Timing,
    ) -> Arc<Liveness> {
        let sessions = Mutex::new(Term {
            term: 0,
            sessions: BrokerSessions::after_silence(timing.session, LEADER_LEASE),
        });
        Arc::new(Liveness { quorum, image, clock, timing, sessions, lease: Arc::default() })
    }

    /// The lease of this node's broker.
    pub(super) fn lease(&self) -> Arc<Lease> {
        Arc::clone(&self.lease)
    }

    /// The sessions, if this node is the controller; fresh ones if it has just become it.
    fn in_office(&self) -> Option<MutexGuard<'_, Term>> {
        if !self.quorum.is_leader() {
            return None;
        }
        let term = self.quorum.metrics().term;
        let mut office = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        if office.term != term {
            office.term = term;
            office.sessions.reset(&self.image.borrow().clone(), self.clock.now());
        }
        Some(office)
    }

    /// Whether a registration would take the place of a broker that lives.
    pub(super) fn is_live(&self, id: BrokerId) -> bool {
        // This process holds the directory of its node, so no other runs as it.
        let own = self.quorum.members().get(self.quorum.metrics().id).map(|member| member.broker_id);
        if own == Some(id) {
            return false;
        }
        let known = self.image.borrow().brokers.get(&id).map(|broker| broker.epoch);
        let Some(office) = self.in_office() else { return false };
        known.is_some_and(|epoch| office.sessions.is_live(id, epoch))
    }

    /// What to tell a process that would run as this node from another directory while one lives that does.
    pub(super) fn in_place_of(&self, id: BrokerId, directory: Uuid) -> Option<String> {
        let members = self.quorum.members();
        let own = members.get(self.quorum.metrics().id).filter(|member| member.broker_id == id);
        let image = self.image.borrow().clone();
        let known = image.brokers.get(&id)?;
        let is_other = match own {
            Some(own) => own.directory_id != directory,
            None => !known.directories.contains(&directory) && known.is_usable() && self.is_live(id),
        };
        is_other.then(|| taken(known))
    }

    fn hear(&self, beat: &Heartbeat) -> Result<(Heard, Option<Command>), Unheard> {
        // Before the image: what an earlier controller decided is in it then.
        let authority_age = self.quorum.authority_age();
        let image = self.image.borrow().clone();
        let mut office = self.in_office().ok_or(Unheard::Elsewhere)?;
        match office.sessions.heartbeat(&image, beat, self.clock.now()) {
            Ok((HeartbeatReply { fenced, should_shutdown, renewed, .. }, next)) => {
                // The session counts all the same: whoever is silent then is this controller.
                let age = authority_age.filter(|age| *age < OFFICE_AGE_MAX).ok_or(Unheard::Elsewhere)?;
                let age = Some(age).filter(|_| renewed && !fenced);
                let lease = age.map_or(Duration::ZERO, |age| self.timing.lease(age));
                Ok((Heard { alive: Alive { fenced, should_shutdown }, lease }, next))
            }
            // A controller that has just been elected may not have applied the registration yet.
            Err(HeartbeatRefused::StaleEpoch { epoch, registered }) if registered < epoch => {
                Err(Unheard::Elsewhere)
            }
            Err(refused) => Err(Unheard::Stale(refused.to_string())),
        }
    }

    /// How long nothing can be [expired](Liveness::expired), at most [`LOOK_EVERY`].
    fn until_next(&self) -> Duration {
        if !self.quorum.is_leader() {
            return LOOK_EVERY;
        }
        let office = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        let next = office.sessions.next_deadline().map(|at| at.saturating_sub(self.clock.now().mono));
        next.map_or(LOOK_EVERY, |next| next.clamp(Duration::from_millis(1), LOOK_EVERY))
    }

    fn expired(&self) -> Vec<Command> {
        let image = self.image.borrow().clone();
        self.in_office()
            .map(|mut office| office.sessions.expired(&image, self.clock.now()))
            .unwrap_or_default()
    }
}

/// That this broker's id is in use, and where.
pub fn taken(broker: &BrokerRegistration) -> String {
    let at: Vec<String> =
        broker.endpoints.iter().map(|at| format!("{}:{} ({})", at.host, at.port, at.listener)).collect();
    formation::taken(broker.id, &at.join(", "))
}

/// Answers the heartbeats of other nodes.
pub(super) fn serve(peers: &Peers, liveness: &Arc<Liveness>, handle: &ControllerHandle) {
    let (liveness, handle) = (Arc::clone(liveness), handle.clone());
    peers.services.serve(move |_, message: Message<Beat>| {
        let heard = liveness.hear(&heartbeat(message.head)).map(|(heard, next)| {
            if let Some(command) = next {
                propose(&handle, command);
            }
            heard
        });
        std::future::ready(Ok(heard.into()))
    });
}

/// Fences brokers whose sessions are over, while this node is the controller of more than itself.
pub(super) async fn watch_over(liveness: Arc<Liveness>, handle: ControllerHandle) {
    loop {
        handle.has_company().await;
        tokio::time::sleep(liveness.until_next()).await;
        for command in liveness.expired() {
            tracing::warn!(?command, "a broker was silent for too long");
            propose(&handle, command);
        }
    }
}

/// Has it decided without being waited for: what is stale by then changes nothing, and it is proposed again.
fn propose(handle: &ControllerHandle, command: Command) {
    let handle = handle.clone();
    tokio::spawn(async move {
        if let Err(error) = handle.submit(command.clone()).await {
            tracing::warn!(%error, ?command, "not decided");
        }
    });
}

/// What a broker wants the controller to know.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wish {
    /// It wants to stop.
    pub shutdown: bool,
    /// Its data directories that failed.
    pub offline_directories: Vec<Uuid>,
}

/// Tells the controller that this broker lives, for as long as it is polled. `alive` shows what it said last.
pub async fn beat(
    handle: ControllerHandle,
    liveness: Arc<Liveness>,
    id: BrokerId,
    mut wishes: watch::Receiver<Wish>,
    alive: watch::Sender<Alive>,
) {
    let Timing { session, beat_every } = liveness.timing;
    let mut heard_at = liveness.clock.now().mono;
    loop {
        if handle.is_alone() {
            // A node that is a cluster by itself asks nobody whether it may serve, or stop.
            liveness.lease.hold_for_good();
            alive.send_replace(Alive { fenced: false, should_shutdown: true });
            handle.has_company().await;
            liveness.lease.end_at(liveness.clock.now().mono + session);
        }
        let wish = wishes.borrow_and_update().clone();
        let stops = wish.shutdown;
        let sent_at = liveness.clock.now().mono;
        let mut waits = stops;
        match once(&handle, &liveness, id, wish).await {
            Ok(Heard { alive: told, lease }) => {
                heard_at = sent_at;
                waits |= told.fenced;
                if !lease.is_zero() {
                    liveness.lease.extend_to(sent_at + lease);
                }
                alive.send_if_modified(|alive| std::mem::replace(alive, told) != told);
            }
            Err(Unheard::Elsewhere) => {
                waits = true;
                let is_last = !handle.image().usable_brokers().any(|other| other.id != id);
                let patience = if is_last { UNHEARD_LAST_MAX } else { UNHEARD_MAX };
                if stops && liveness.clock.now().mono >= heard_at + patience {
                    // Everybody stops, or this node is cut off: either way there is nobody to hand anything to.
                    alive.send_modify(|alive| alive.should_shutdown = true);
                }
            }
            Err(Unheard::Stale(why)) => {
                tracing::warn!(why, "the controller does not take this broker for alive")
            }
        }
        let pause = if waits { BEAT_SOON.min(beat_every) } else { beat_every };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            _ = wishes.changed() => {}
        }
    }
}

async fn once(
    handle: &ControllerHandle,
    liveness: &Liveness,
    id: BrokerId,
    wish: Wish,
) -> Result<Heard, Unheard> {
    let image = handle.image();
    let Some(broker) = image.brokers.get(&id) else { return Err(Unheard::Elsewhere) };
    let beat = Beat {
        id,
        epoch: broker.epoch,
        applied_index: image.version,
        want_fence: false,
        want_shutdown: wish.shutdown,
        offline_directories: wish.offline_directories,
    };
    if handle.is_leader() {
        let (heard, next) = liveness.hear(&heartbeat(beat))?;
        if let Some(command) = next {
            propose(handle, command);
        }
        return Ok(heard);
    }
    let Some(address) = leader_address(&*handle.quorum) else { return Err(Unheard::Elsewhere) };
    let client = handle.peers.clients.to(&address, Purpose::Control);
    client.call(beat, BEAT_PATIENCE.min(liveness.timing.session / 2)).await.unwrap_or(Err(Unheard::Elsewhere))
}

fn heartbeat(beat: Beat) -> Heartbeat {
    let Beat { id, epoch, applied_index, want_fence, want_shutdown, offline_directories } = beat;
    Heartbeat { id, epoch, applied_index, want_fence, want_shutdown, offline_directories }
}
