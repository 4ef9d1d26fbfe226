//! [`BrokerSessions`]: which brokers are alive, and what each of them should become next.
//!
//! Soft state of the active controller, in nobody's log: [`BrokerSessions::reset`] gives everybody a fresh session after
//! a failover, so that nobody is fenced for the silence of the controller before. What is to last is proposed as a
//! command; a stale one changes nothing, so proposing it twice is harmless.
//!
//! ```text
//!   fenced ──caught up──▶ unfenced ──wants to stop──▶ shutting down ──leads nothing, all others know──▶ may stop
//!     ▲                      │ session over, or wants to be fenced                  │
//!     └──────────────────────┴──────────────────────────────────────────────────────┘
//! ```

use std::collections::BTreeMap;
use std::time::Duration;

use thiserror::Error;
use tidemark_protocol::types::{BrokerId, Now};
use uuid::Uuid;

use super::command::Command;
use super::image::{BrokerRegistration, ClusterImage};
use crate::deadline::Deadlines;

/// How long after proposing to fence a silent broker it is proposed again: the first may be lost in an election.
const FENCE_RETRY: Duration = Duration::from_secs(1);

/// Sessions of brokers by their id.
#[derive(Clone, Debug)]
pub struct BrokerSessions {
    timeout: Duration,
    /// The first session after a failover.
    first_timeout: Duration,
    sessions: BTreeMap<BrokerId, Session>,
    deadlines: Deadlines<BrokerId>,
}

#[derive(Clone, Debug)]
struct Session {
    epoch: i64,
    /// How far the broker has applied the metadata log.
    applied_index: u64,
    /// Index at which it was seen to lead nothing while it shuts down: all others must know that.
    shutdown_index: Option<u64>,
    /// Its time is over: it lives no more, whatever the image still says.
    is_over: bool,
    /// An image that had it fenced. What is in it the broker must know before it serves again: who leads now.
    fenced_index: Option<u64>,
}

/// What a broker says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heartbeat {
    /// Node id.
    pub id: BrokerId,
    /// Its broker epoch.
    pub epoch: i64,
    /// How far it has applied the metadata log.
    pub applied_index: u64,
    /// It cannot serve and wants to be, or to stay, fenced.
    pub want_fence: bool,
    /// It wants to stop.
    pub want_shutdown: bool,
    /// Data directories that failed. One without any other left is as good as fenced.
    pub offline_directories: Vec<Uuid>,
}

/// What a broker is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeartbeatReply {
    /// It is fenced.
    pub fenced: bool,
    /// It has applied the metadata as far as its own registration, and if it is fenced as far as that.
    pub caught_up: bool,
    /// It may stop now.
    pub should_shutdown: bool,
    /// Its session begins anew: it is fenced no sooner than a session from now. One that is over ends with a fence, since that
    /// may be under way.
    pub renewed: bool,
}

/// Why a heartbeat is refused: the broker has to register (again).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum HeartbeatRefused {
    /// No such broker.
    #[error("broker {id} is not registered")]
    NotRegistered {
        /// As in the heartbeat.
        id: BrokerId,
    },
    /// Another incarnation registered since, or none did on this controller's log.
    #[error("broker epoch {epoch} is stale: the registration has {registered}")]
    StaleEpoch {
        /// As in the heartbeat.
        epoch: i64,
        /// As registered.
        registered: i64,
    },
}

impl BrokerSessions {
    /// No sessions. `timeout` is `broker.session.timeout.ms`.
    pub fn new(timeout: Duration) -> Self {
        let (sessions, deadlines) = (BTreeMap::new(), Deadlines::default());
        BrokerSessions { timeout, first_timeout: timeout, sessions, deadlines }
    }

    /// Sessions of a controller before which nobody was one for at least `silence`: that counts towards the first session, of
    /// which half is left in any case for brokers to find the new controller.
    pub fn after_silence(timeout: Duration, silence: Duration) -> Self {
        let first_timeout = timeout.saturating_sub(silence).max(timeout / 2);
        BrokerSessions { first_timeout, ..BrokerSessions::new(timeout) }
    }

    /// This node became the active controller: every unfenced broker gets a fresh session.
    pub fn reset(&mut self, image: &ClusterImage, now: Now) {
        self.sessions.clear();
        self.deadlines = Deadlines::default();
        for broker in image.brokers.values().filter(|broker| !broker.fenced) {
            self.sessions.insert(broker.id, Session::new(broker.epoch));
            self.deadlines.set(broker.id, now.mono + self.first_timeout);
        }
    }

    /// A broker lives: what to answer, and what to propose, if anything. `image` is the newest applied one.
    pub fn heartbeat(
        &mut self,
        image: &ClusterImage,
        beat: &Heartbeat,
        now: Now,
    ) -> Result<(HeartbeatReply, Option<Command>), HeartbeatRefused> {
        let Heartbeat { id, epoch, .. } = *beat;
        let broker = image.brokers.get(&id).ok_or(HeartbeatRefused::NotRegistered { id })?;
        if broker.epoch != epoch {
            return Err(HeartbeatRefused::StaleEpoch { epoch, registered: broker.epoch });
        }
        let session = self.sessions.entry(id).or_insert_with(|| Session::new(epoch));
        if session.epoch != epoch {
            *session = Session::new(epoch);
        }
        session.applied_index = session.applied_index.max(beat.applied_index);
        let renewed = broker.fenced || !session.is_over;
        if renewed {
            session.is_over = false;
            self.deadlines.set(id, now.mono + self.timeout);
        }
        session.fenced_index = broker.fenced.then(|| session.fenced_index.unwrap_or(image.version));
        let caught_up = i64::try_from(beat.applied_index).is_ok_and(|applied| applied >= epoch)
            && session.fenced_index.is_none_or(|index| beat.applied_index >= index);
        let should_shutdown = beat.want_shutdown && self.may_stop(image, broker, beat.want_fence);
        let command = next_step(broker, beat, caught_up, should_shutdown);
        Ok((HeartbeatReply { fenced: broker.fenced, caught_up, should_shutdown, renewed }, command))
    }

    /// Brokers whose sessions are over, as the commands that fence them. Until they are fenced they come again.
    pub fn expired(&mut self, image: &ClusterImage, now: Now) -> Vec<Command> {
        let mut commands = Vec::new();
        while let Some(id) = self.deadlines.pop_due(now.mono) {
            let Some(session) = self.sessions.get_mut(&id) else { continue };
            session.is_over = true;
            let broker = image.brokers.get(&id).filter(|broker| broker.epoch == session.epoch);
            match broker {
                Some(broker) if !broker.fenced => {
                    commands.push(Command::FenceBroker { id, epoch: session.epoch });
                    self.deadlines.set(id, now.mono + FENCE_RETRY);
                }
                Some(_) | None => {
                    self.sessions.remove(&id);
                }
            }
        }
        commands
    }

    /// When [`BrokerSessions::expired`] is next due, as `Now::mono`.
    pub fn next_deadline(&self) -> Option<Duration> {
        self.deadlines.next()
    }

    /// Whether this incarnation has been heard of lately: another one must not take its place (the `session_is_live` of
    /// a registration).
    pub fn is_live(&self, id: BrokerId, epoch: i64) -> bool {
        self.sessions.get(&id).is_some_and(|session| session.epoch == epoch && !session.is_over)
    }

    /// A broker that was fenced before it asked may stop at once, and so may one that wants to be fenced as well: it
    /// will not wait. Any other waits until it leads nothing and everybody who could ask it for a partition knows, unless all
    /// stop.
    fn may_stop(&mut self, image: &ClusterImage, broker: &BrokerRegistration, want_fence: bool) -> bool {
        if broker.fenced || want_fence {
            return true;
        }
        if !broker.in_controlled_shutdown || image.leads_any(broker.id) {
            return false;
        }
        if image.usable_brokers().next().is_none() {
            return true;
        }
        let Some(session) = self.sessions.get_mut(&broker.id) else { return false };
        let index = *session.shutdown_index.get_or_insert(image.version);
        let is_counted = |id: &BrokerId| image.brokers.get(id).is_some_and(|other| !other.fenced);
        let mut live = self.sessions.iter().filter(|(id, session)| !session.is_over && is_counted(id));
        live.all(|(_, session)| session.applied_index >= index)
    }
}

impl Session {
    fn new(epoch: i64) -> Self {
        Session { epoch, applied_index: 0, shutdown_index: None, is_over: false, fenced_index: None }
    }
}

/// What should become of a broker now.
fn next_step(
    broker: &BrokerRegistration,
    beat: &Heartbeat,
    caught_up: bool,
    should_shutdown: bool,
) -> Option<Command> {
    let BrokerRegistration { id, epoch, fenced, in_controlled_shutdown, .. } = *broker;
    let has_disk = broker.directories.is_empty()
        || !broker.directories.iter().all(|directory| beat.offline_directories.contains(directory));
    let wants_fence = beat.want_fence || !has_disk;
    if fenced {
        let may_serve = caught_up && !wants_fence && !beat.want_shutdown && !in_controlled_shutdown;
        return may_serve.then_some(Command::UnfenceBroker { id, epoch });
    }
    if wants_fence || should_shutdown {
        return Some(Command::FenceBroker { id, epoch });
    }
    let begins = beat.want_shutdown && !in_controlled_shutdown;
    begins.then_some(Command::BeginControlledShutdown { id, epoch })
}

#[cfg(test)]
mod tests;
