//! Who is alive: brokers tell the active controller that they are, and it fences those that do not.
//!
//! Both sides of it. The controller's is soft state of whichever node leads the quorum; after a failover every broker gets a
//! fresh session. A node that is a cluster by itself tells nobody anything.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tidemark_core::metadata::sessions::{BrokerSessions, Heartbeat, HeartbeatRefused, HeartbeatReply};
use tidemark_core::metadata::{ClusterImage, Command};
use tidemark_protocol::types::BrokerId;
use tokio::sync::watch;
use uuid::Uuid;

use super::ControllerHandle;
use super::peers::{Peers, leader_address};
use super::quorum::Quorum;

use crate::clock::Clock;
use crate::peer::call::Message;
use crate::peer::{Call, Purpose};

/// Between two heartbeats of a broker.
const BEAT_EVERY: Duration = Duration::from_millis(300);
/// How long an answer may take; the next heartbeat says the same anyway.
const BEAT_PATIENCE: Duration = Duration::from_millis(1000);
/// A broker that was silent for so long is fenced. Kafka's default is 9 s; writes to its partitions wait for this.
const SESSION: Duration = Duration::from_millis(2000);
/// A broker that wants to stop and finds no controller so many times in a row stops without one.
const UNHEARD_MAX: u32 = 4;
/// How often the controller looks whether a session is over.
const LOOK_EVERY: Duration = Duration::from_millis(200);

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
    type Answer = Result<Alive, Unheard>;
}

/// The controller's side.
pub struct Liveness {
    quorum: Arc<dyn Quorum>,
    image: watch::Receiver<Arc<ClusterImage>>,
    clock: Clock,
    sessions: Mutex<Term>,
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
    ) -> Arc<Liveness> {
        let sessions = Mutex::new(Term { term: 0, sessions: BrokerSessions::new(SESSION) });
        Arc::new(Liveness { quorum, image, clock, sessions })
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

    fn hear(&self, beat: &Heartbeat) -> Result<(Alive, Option<Command>), Unheard> {
        let image = self.image.borrow().clone();
        let mut office = self.in_office().ok_or(Unheard::Elsewhere)?;
        match office.sessions.heartbeat(&image, beat, self.clock.now()) {
            Ok((HeartbeatReply { fenced, should_shutdown, .. }, next)) => {
                Ok((Alive { fenced, should_shutdown }, next))
            }
            // A controller that has just been elected may not have applied the registration yet.
            Err(HeartbeatRefused::StaleEpoch { epoch, registered }) if registered < epoch => {
                Err(Unheard::Elsewhere)
            }
            Err(refused) => Err(Unheard::Stale(refused.to_string())),
        }
    }

    fn expired(&self) -> Vec<Command> {
        let image = self.image.borrow().clone();
        self.in_office()
            .map(|mut office| office.sessions.expired(&image, self.clock.now()))
            .unwrap_or_default()
    }
}

/// Answers the heartbeats of other nodes.
pub(super) fn serve(peers: &Peers, liveness: &Arc<Liveness>, handle: &ControllerHandle) {
    let (liveness, handle) = (Arc::clone(liveness), handle.clone());
    peers.services.serve(move |_, message: Message<Beat>| {
        let heard = liveness.hear(&heartbeat(message.head)).map(|(alive, next)| {
            if let Some(command) = next {
                propose(&handle, command);
            }
            alive
        });
        std::future::ready(Ok(heard.into()))
    });
}

/// Fences brokers whose sessions are over, while this node is the controller of more than itself.
pub(super) async fn watch_over(liveness: Arc<Liveness>, handle: ControllerHandle) {
    loop {
        handle.has_company().await;
        tokio::time::sleep(LOOK_EVERY).await;
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
    let mut unheard = 0;
    loop {
        if handle.is_alone() {
            // A node that is a cluster by itself asks nobody whether it may serve, or stop.
            alive.send_replace(Alive { fenced: false, should_shutdown: true });
            handle.has_company().await;
        }
        let wish = wishes.borrow_and_update().clone();
        match once(&handle, &liveness, id, wish).await {
            Ok(told) => {
                unheard = 0;
                alive.send_if_modified(|alive| std::mem::replace(alive, told) != told);
            }
            Err(Unheard::Elsewhere) => {
                unheard += 1;
                if wishes.borrow().shutdown && unheard >= UNHEARD_MAX {
                    // Everybody stops, or this node is cut off: either way there is nobody to hand anything to.
                    alive.send_modify(|alive| alive.should_shutdown = true);
                }
            }
            Err(Unheard::Stale(why)) => {
                tracing::warn!(why, "the controller does not take this broker for alive")
            }
        }
        tokio::select! {
            () = tokio::time::sleep(BEAT_EVERY) => {}
            _ = wishes.changed() => {}
        }
    }
}

async fn once(
    handle: &ControllerHandle,
    liveness: &Liveness,
    id: BrokerId,
    wish: Wish,
) -> Result<Alive, Unheard> {
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
        let (alive, next) = liveness.hear(&heartbeat(beat))?;
        if let Some(command) = next {
            propose(handle, command);
        }
        return Ok(alive);
    }
    let Some(address) = leader_address(&*handle.quorum) else { return Err(Unheard::Elsewhere) };
    let client = handle.peers.clients.to(&address, Purpose::Control);
    client.call(beat, BEAT_PATIENCE).await.unwrap_or(Err(Unheard::Elsewhere))
}

fn heartbeat(beat: Beat) -> Heartbeat {
    let Beat { id, epoch, applied_index, want_fence, want_shutdown, offline_directories } = beat;
    Heartbeat { id, epoch, applied_index, want_fence, want_shutdown, offline_directories }
}
