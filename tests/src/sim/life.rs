//! What the processes of the nodes do: step, sync, heartbeat, propose, apply; and what the controller among them does.

use std::sync::Arc;
use std::time::Duration;

use tidemark_broker::replica::stepped::Said;
use tidemark_core::metadata::sessions::{Heartbeat, HeartbeatReply};
use tidemark_core::metadata::{Command, Recovery, Reply};
use tidemark_protocol::types::BrokerId;

use super::node::{Purpose, UnderWay};
use super::quorum::Entry;
use super::world::{Event, Letter, World};

/// As the broker's: between two heartbeats.
const BEAT_EVERY: Duration = Duration::from_millis(300);
/// As the broker's: between two attempts to register.
const REGISTER_PAUSE: Duration = Duration::from_millis(200);
/// As the controller's: between two looks at the sessions.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// As the broker's: a node that may not stop by then stops all the same.
const HAND_OVER_TIME_MAX: Duration = Duration::from_secs(5);

impl World {
    /// A machine is switched on.
    pub fn boot(&mut self, id: BrokerId) {
        let now = self.now;
        if self.nodes[&id].is_up {
            return;
        }
        let recovery = if self.nodes[&id].is_wiped { Recovery::Wiped } else { Recovery::Intact };
        let recovery = self.bug.twist_recovery(recovery);
        let behind = self.rng.below(4);
        self.rot(id);
        let node = self.node(id);
        node.tick(now);
        node.boot(recovery);
        node.applied = node.applied.saturating_sub(behind);
        let run = node.run;
        self.note(&format!("boot {id} as {recovery:?}"));
        self.pump(id);
        let delay = self.within_us(20_000);
        self.after(delay, Event::Apply(id));
        self.after(BEAT_EVERY, Event::Beat(id, run));
    }

    /// The replicas of a node are taken up once its registration is known to it.
    fn open(&mut self, id: BrokerId) {
        let bug = self.bug;
        let image = Arc::clone(self.quorum.image(self.nodes[&id].applied));
        let opened = self.node(id).open(image, bug);
        self.note(&format!("open {id} {opened:?}"));
        match opened {
            Ok(()) => {
                self.node(id).is_wiped = false;
                self.wake(id, Duration::ZERO);
            }
            Err(_) => self.power_loss(id),
        }
    }

    /// The threads of a node run once, and what comes of it is seen to.
    pub fn step_event(&mut self, id: BrokerId) {
        let now = self.now;
        let node = self.node(id);
        if node.step_at != Some(now) {
            return;
        }
        node.step_at = None;
        if !node.is_awake() || node.replicas.is_none() {
            return;
        }
        self.step(id);
    }

    /// As [`World::step_event`], whatever was due.
    pub fn step(&mut self, id: BrokerId) {
        let (now, bug) = (self.now, self.bug);
        let node = self.node(id);
        node.tick(now);
        let Some(replicas) = &mut node.replicas else { return };
        let mut said = replicas.step();
        bug.twist_said(&mut said);
        if self.nodes[&id].disk.is_off() {
            self.note(&format!("the power of {id} is off"));
            self.saw("power lost in the middle");
            return self.power_loss(id);
        }
        self.look(id);
        self.collect(id);
        self.send(id, said);
        self.schedule(id);
    }

    fn schedule(&mut self, id: BrokerId) {
        let sync_us = self.plan.sync_us + self.nodes[&id].slow_sync_us;
        let delay = self.within_us(sync_us);
        let soon = self.within_us(30);
        let now = self.now;
        let node = self.node(id);
        let run = node.run;
        let Some(replicas) = &node.replicas else { return };
        let (syncs, has_input) = (replicas.syncs(), replicas.has_input());
        let due = replicas.next_due().map(|due| due.saturating_sub(node.clock.now().mono));
        let has_failed = replicas.failure().is_some();
        if syncs > 0 && !std::mem::replace(&mut node.is_sync_due, true) {
            self.after(delay, Event::Sync(id, run));
        }
        if has_input {
            self.wake(id, soon);
        } else if let Some(due) = due {
            // The node's clock may be slow: a little later is due for sure.
            self.wake(id, due + due / 40 + Duration::from_micros(10));
        }
        if has_failed && !std::mem::replace(&mut self.node(id).is_restarting, true) {
            self.saw("directory failed");
            let delay = self.around_ms(2_000);
            self.at(now + delay, Event::Undo(super::faults::Undo::Replace(id, run)));
        }
    }

    /// A sync comes back.
    pub fn sync_event(&mut self, id: BrokerId, run: u64) {
        let node = self.node(id);
        if node.run != run || !node.is_up {
            return;
        }
        node.is_sync_due = false;
        if node.is_paused {
            node.is_sync_due = true;
            return self.after(Duration::from_millis(50), Event::Sync(id, run));
        }
        let Some(replicas) = &mut node.replicas else { return };
        replicas.finish_sync();
        self.saw("sync in the background");
        self.step(id);
    }

    /// Sends what a node has to say.
    pub fn send(&mut self, id: BrokerId, said: Vec<Said>) {
        for one in said {
            match one {
                Said::Fetch { to, connection, fetch } => {
                    self.stream(id, to, id, connection, Letter::Fetch { from: id, to, connection, fetch });
                }
                Said::Progress { to, connection, progress } => {
                    self.stream(
                        id,
                        to,
                        id,
                        connection,
                        Letter::Progress { from: id, to, connection, progress },
                    );
                }
                Said::Fetched { to, connection, answer, records } => {
                    let letter = Letter::Fetched { from: id, to, connection, answer, records };
                    self.stream(id, to, to, connection, letter);
                }
                Said::Alter(command) => {
                    self.trust_shrink(id, &command);
                    self.node(id).queue.push_back((command, Purpose::Alter));
                    self.pump(id);
                }
            }
        }
    }

    // Proposing.

    /// Proposes the next thing, if nothing is under way.
    pub fn pump(&mut self, id: BrokerId) {
        let node = self.node(id);
        if node.under_way.is_some() {
            return;
        }
        let Some((command, purpose)) = node.queue.pop_front() else { return };
        node.sequence += 1;
        let sequence = node.sequence;
        node.under_way = Some(UnderWay { sequence, command, purpose, decided: None });
        self.propose(id);
    }

    fn propose(&mut self, id: BrokerId) {
        let node = &self.nodes[&id];
        let Some(under_way) = &node.under_way else { return };
        let (sequence, command) = (under_way.sequence, under_way.command.clone());
        let entry = Entry { session: node.session(), sequence, command };
        if let Some(leader) = self.quorum.leader {
            if leader == id {
                self.propose_at(id, entry);
            } else {
                self.call(id, leader, Letter::Propose { to: leader, entry });
            }
        }
        let delay = Duration::from_millis(200) + self.around_ms(400);
        self.after(delay, Event::Retry(id, sequence));
    }

    /// A proposal has no answer: the same again.
    pub fn retry(&mut self, id: BrokerId, sequence: u64) {
        let node = &self.nodes[&id];
        let waits =
            node.under_way.as_ref().is_some_and(|one| one.sequence == sequence && one.decided.is_none());
        if waits && node.is_paused {
            return self.after(Duration::from_millis(100), Event::Retry(id, sequence));
        }
        if waits && node.is_up && !self.forget_unanswered(id) {
            self.propose(id);
        }
    }

    /// A proposal comes to a node, which takes it if it leads the quorum.
    pub fn propose_at(&mut self, id: BrokerId, mut entry: Entry) {
        if !self.nodes[&id].is_up || self.quorum.leader != Some(id) {
            return;
        }
        if self.quorum.decision(entry.session, entry.sequence).is_some() {
            let (session, sequence) = (entry.session, entry.sequence);
            return self.tell_decided(id, session, sequence);
        }
        if let Command::RegisterBroker { id: broker, session_is_live, .. } = &mut entry.command {
            let known = self.quorum.newest().brokers.get(broker).map(|known| known.epoch);
            *session_is_live =
                *broker != id && known.is_some_and(|epoch| self.quorum.sessions.is_live(*broker, epoch));
        }
        self.quorum.propose(entry);
        self.commit_soon();
    }

    /// A majority is going to have what the leader has.
    pub fn commit_soon(&mut self) {
        if !std::mem::replace(&mut self.is_commit_due, true) {
            let delay = self.within_us(self.plan.delay_us) + Duration::from_micros(100);
            self.after(delay, Event::Commit);
        }
    }

    /// Whether the leader of the quorum reaches a majority.
    pub fn is_in_office(&self, id: BrokerId) -> bool {
        let reaches = |other: BrokerId| {
            other == id || (self.nodes[&other].is_awake() && self.net.connects_both(id, other))
        };
        let reached = (1..=self.plan.voters).filter(|other| reaches(*other)).count();
        self.nodes[&id].is_awake() && reached * 2 > self.plan.voters as usize
    }

    /// What the leader has is decided if a majority has it.
    pub fn commit(&mut self) {
        self.is_commit_due = false;
        if self.quorum.pending() == 0 {
            return;
        }
        let Some(leader) = self.quorum.leader.filter(|leader| self.is_in_office(*leader)) else {
            return self.commit_later();
        };
        let before = self.quorum.committed();
        let decided = self.quorum.commit(self.bug);
        self.note_image(before);
        for (session, sequence) in decided {
            self.tell_decided(leader, session, sequence);
        }
        for id in self.ids(|node| node.is_up) {
            let delay = self.within_us(if id == leader { 200 } else { self.plan.apply_us });
            self.after(delay, Event::Apply(id));
        }
    }

    fn commit_later(&mut self) {
        self.is_commit_due = true;
        self.after(Duration::from_millis(50), Event::Commit);
    }

    fn tell_decided(&mut self, leader: BrokerId, session: u64, sequence: u64) {
        let to = BrokerId::try_from(session >> 32).expect("made from one");
        if to == leader {
            self.decided(to, session, sequence);
        } else if to > 0 {
            self.call(leader, to, Letter::Decided { to, session, sequence });
        }
    }

    /// A node learns that its proposal was decided.
    pub fn decided(&mut self, id: BrokerId, session: u64, sequence: u64) {
        let Some((index, _)) = self.quorum.decision(session, sequence) else { return };
        let node = self.node(id);
        if !node.is_up || node.session() != session {
            return;
        }
        if let Some(under_way) = node.under_way.as_mut().filter(|one| one.sequence == sequence) {
            under_way.decided = Some(index);
            self.finish(id);
        }
    }

    /// Gives the reply to whoever waits for it, once its effect is seen here.
    fn finish(&mut self, id: BrokerId) {
        let node = self.node(id);
        let applied = node.applied;
        let is_seen = |under_way: &mut UnderWay| under_way.decided.is_some_and(|index| index <= applied);
        let Some(UnderWay { sequence, command, purpose, .. }) = node.under_way.take_if(|one| is_seen(one))
        else {
            return;
        };
        let session = node.session();
        let reply = self.quorum.decision(session, sequence).map(|(_, reply)| reply.clone());
        let reply = reply.expect("it was decided");
        match (purpose, reply) {
            (Purpose::Register, Reply::BrokerRegistered(Ok(epoch))) => {
                self.node(id).broker_epoch = Some(epoch);
                self.open(id);
            }
            (Purpose::Register, _) => {
                // The session of the run before has to end first.
                self.saw("registration refused for a while");
                self.node(id).queue.push_front((command, Purpose::Register));
                let run = self.nodes[&id].run;
                return self.after(REGISTER_PAUSE, Event::Pump(id, run));
            }
            (Purpose::Alter, reply) => {
                self.saw("ISR decided");
                if let Some(replicas) = &mut self.node(id).replicas {
                    replicas.on_altered(reply);
                    self.wake(id, Duration::ZERO);
                }
            }
            (Purpose::Errand, _) => {}
        }
        if self.nodes[&id].is_up {
            self.pump(id);
        }
    }

    /// A node hears of newer metadata, perhaps not of the newest.
    pub fn apply(&mut self, id: BrokerId) {
        let committed = self.quorum.committed();
        let node = &self.nodes[&id];
        let applied = node.applied;
        if !node.is_up || applied >= committed {
            return;
        }
        let source = self.quorum.leader.filter(|leader| self.net.connects(*leader, id));
        if node.is_paused || source.is_none() {
            return self.after(Duration::from_millis(100), Event::Apply(id));
        }
        let index =
            if self.rng.percent(50) { committed } else { self.rng.between(applied + 1, committed + 1) };
        let (image, now) = (Arc::clone(self.quorum.image(index)), self.now);
        let node = self.node(id);
        node.tick(now);
        node.applied = index;
        if let Some(replicas) = &mut node.replicas {
            replicas.apply(image);
            if node.disk.is_off() {
                return self.power_loss(id);
            }
            self.look(id);
            self.collect(id);
            self.wake(id, Duration::ZERO);
        }
        self.finish(id);
        if index < committed {
            let delay = self.within_us(self.plan.apply_us);
            self.after(delay, Event::Apply(id));
        }
    }

    // Sessions.

    /// A broker tells the controller that it lives.
    pub fn beat(&mut self, id: BrokerId, run: u64) {
        let now = self.now;
        let node = self.node(id);
        if !node.is_up || node.run != run {
            return;
        }
        self.after(BEAT_EVERY, Event::Beat(id, run));
        let node = self.node(id);
        if node.is_paused || node.replicas.is_none() {
            return;
        }
        if node.stopping_since.is_some_and(|since| now >= since + HAND_OVER_TIME_MAX) {
            return self.shut_down(id);
        }
        let (applied, want_shutdown) = (node.applied, node.stopping_since.is_some());
        let has_failed = node.replicas.as_ref().is_some_and(|replicas| replicas.failure().is_some());
        let offline_directories = if has_failed { vec![node.directory] } else { Vec::new() };
        let Some(broker) = self.quorum.image(applied).brokers.get(&id) else { return };
        let beat = Heartbeat {
            id,
            epoch: broker.epoch,
            applied_index: applied,
            want_fence: false,
            want_shutdown,
            offline_directories,
        };
        match self.quorum.leader {
            Some(leader) if leader == id => self.heard(id, id, &beat),
            Some(leader) => self.call(id, leader, Letter::Beat { from: id, to: leader, beat }),
            None => {}
        }
    }

    /// The controller hears of a broker.
    pub fn heard(&mut self, leader: BrokerId, from: BrokerId, beat: &Heartbeat) {
        if self.quorum.leader != Some(leader) || !self.is_in_office(leader) {
            return;
        }
        let clock = self.nodes[&leader].clock.now();
        let image = Arc::clone(self.quorum.newest());
        let Ok((reply, command)) = self.quorum.sessions.heartbeat(&image, beat, clock) else { return };
        if let Some(command) = command {
            self.quorum.propose_own(command);
            self.commit_soon();
        }
        let session = self.nodes[&from].session();
        if leader == from {
            self.alive(from, session, reply);
        } else {
            self.call(leader, from, Letter::Alive { to: from, session, reply });
        }
    }

    /// A broker hears that it lives, or may stop.
    pub fn alive(&mut self, id: BrokerId, session: u64, reply: HeartbeatReply) {
        let node = &self.nodes[&id];
        if node.session() == session && node.stopping_since.is_some() && reply.should_shutdown {
            self.shut_down(id);
        }
    }

    /// The controller looks after the sessions; without one another may be elected.
    pub fn watch(&mut self) {
        self.after(LOOK_EVERY, Event::Watch);
        let now = self.now;
        match self.quorum.leader {
            Some(leader) if self.is_in_office(leader) => {
                self.node(leader).tick(now);
                let clock = self.nodes[&leader].clock.now();
                let image = Arc::clone(self.quorum.newest());
                let commands = self.quorum.sessions.expired(&image, clock);
                for command in commands {
                    self.saw("session over");
                    self.note(&format!("expired {command:?}"));
                    self.quorum.propose_own(command);
                    self.commit_soon();
                }
            }
            _ if self.rng.percent(25) => {
                let voters = self.plan.voters;
                let fit: Vec<_> = (1..=voters).filter(|id| self.is_in_office(*id)).collect();
                if let Some(id) = self.pick(&fit) {
                    self.elect(id);
                }
            }
            _ => {}
        }
    }

    /// A voter becomes the leader of the quorum, which has applied all there is.
    pub fn elect(&mut self, id: BrokerId) {
        let now = self.now;
        self.node(id).tick(now);
        let clock = self.nodes[&id].clock.now();
        let kept = self.rng.below(self.quorum.pending() as u64 + 1) as usize;
        if kept < self.quorum.pending() {
            self.saw("proposal lost with its controller");
        }
        self.quorum.elect(id, kept, clock);
        self.note(&format!("{id} is the controller"));
        self.saw("controller elected");
        self.after(Duration::from_millis(1), Event::Apply(id));
        self.commit_soon();
    }
}
