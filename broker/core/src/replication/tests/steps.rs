//! What a seed makes happen: work, faults, and in the end a healed cluster that must converge.

use std::time::Duration;

use tidemark_protocol::types::BrokerId;

use super::chance::Rng;
use super::node::{Node, Role};
use super::world::{Bug, Message, World};
use crate::replication::epochs::EpochLog;

const STEPS: usize = 500;
/// Of a healed cluster: each round brings every message and every sync.
const ROUNDS_MAX: usize = 300;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Produce,
    Sync,
    Fetch,
    Deliver,
    Lose,
    Repeat,
    Hold,
    Release,
    Apply,
    Wait,
    WaitLong,
    Crash,
    Wipe,
    Restart,
    Expire,
    Unfence,
    Shutdown,
    MoveLeader,
    DeleteRecords,
    Isolate,
    Connect,
    AddReplica,
    RemoveReplica,
}

/// How often a seed does what; each seed has its own taste.
fn weights(rng: &mut Rng) -> Vec<(Step, usize)> {
    let mut weights = vec![
        (Step::Produce, 120),
        (Step::Sync, 160),
        (Step::Fetch, 220),
        (Step::Deliver, 480),
        (Step::Apply, 100),
        (Step::Wait, 60),
        (Step::Restart, 40),
        (Step::Unfence, 60),
        (Step::Connect, 20),
        (Step::Release, 40),
    ];
    let faults = [
        (Step::Lose, 20),
        (Step::Repeat, 20),
        (Step::Hold, 30),
        (Step::WaitLong, 6),
        (Step::Crash, 6),
        (Step::Wipe, 4),
        (Step::Expire, 6),
        (Step::Shutdown, 3),
        (Step::MoveLeader, 8),
        (Step::DeleteRecords, 8),
        (Step::Isolate, 4),
        (Step::AddReplica, 4),
        (Step::RemoveReplica, 4),
    ];
    for (step, weight) in faults {
        let factor = [0, 1, 2, 5][rng.below(4)];
        weights.push((step, weight * factor));
    }
    weights
}

impl World {
    /// The whole history of a seed.
    pub fn run(&mut self) {
        let weights = weights(&mut self.rng);
        let total = weights.iter().map(|(_, weight)| weight).sum();
        for number in 0..STEPS {
            let mut at = self.rng.below(total);
            let chosen = weights.iter().find(|(_, weight)| {
                let is_it = at < *weight;
                at = at.wrapping_sub(*weight);
                is_it
            });
            let step = chosen.expect("weights add up").0;
            self.step(number, step);
            self.check();
        }
        self.check_logs();
        self.heal();
    }

    /// A number that tells two histories apart.
    pub fn digest(&self) -> (u64, u64, usize) {
        (*self.committed_hashes.last().unwrap(), self.rng.clone().next_u64(), self.acknowledged.len())
    }

    fn step(&mut self, number: usize, step: Step) {
        let ids = self.targets(step);
        let Some(id) = self.rng.pick(&ids) else { return };
        if self.is_traced {
            println!("{number}: {step:?} {id} {}", self.summary());
        }
        match step {
            Step::Produce => self.produce_somewhere(),
            Step::Sync => self.sync(id),
            Step::Fetch => self.fetch(id),
            Step::Deliver | Step::Lose | Step::Repeat | Step::Hold => self.network(step),
            Step::Release => {
                if !self.held.is_empty() {
                    let at = self.rng.below(self.held.len());
                    let message = self.held.remove(at);
                    self.deliver(message);
                }
            }
            Step::Apply => self.apply_some(id),
            Step::Wait => {
                let time = Duration::from_millis(self.rng.below(300) as u64);
                self.wait(time);
            }
            Step::WaitLong => {
                let time = Duration::from_secs(self.rng.below(40) as u64);
                self.wait(time);
            }
            Step::Crash => self.crash(id),
            Step::Wipe => self.wipe(id),
            Step::Restart => self.restart(id),
            Step::Expire => self.expire(id),
            Step::Unfence => self.unfence(id),
            Step::Shutdown => _ = self.change(|controller| controller.begin_shutdown(id)),
            Step::MoveLeader => self.move_leader(),
            Step::DeleteRecords => self.delete_records(id),
            Step::Isolate => _ = self.isolated.insert(id),
            Step::Connect => _ = self.isolated.remove(&id),
            Step::AddReplica => {
                let is_one = self.controller.now.partition.replicas.contains(&id);
                if !is_one && self.controller.now.partition.leader >= 0 {
                    self.change(|controller| controller.add_replica(id));
                    self.saw("replica added");
                }
            }
            Step::RemoveReplica => self.remove_replica(id),
        }
    }

    /// Nodes to which a step means something.
    fn targets(&self, step: Step) -> Vec<BrokerId> {
        let fits = |node: &&Node| match step {
            Step::Restart => !node.is_up,
            Step::Unfence => node.is_up && self.controller.now.brokers[&node.id].is_fenced,
            Step::Connect => self.isolated.contains(&node.id),
            Step::Apply => node.is_up && node.applied + 1 < self.controller.images.len(),
            Step::Sync | Step::Fetch | Step::Crash => node.is_up,
            _ => true,
        };
        self.nodes.values().filter(fits).map(|node| node.id).collect()
    }

    fn summary(&self) -> String {
        let nodes = self.nodes.values().map(|node| {
            let role = match &node.role {
                _ if !node.is_up => "down".to_owned(),
                Role::Idle => "idle".to_owned(),
                Role::Leader(leader) => format!("L{} {:?}", leader.leader_epoch(), leader.maximal_isr()),
                Role::Follower(follower) => format!("F{}", follower.leader_epoch()),
            };
            let ends = node.log.progress();
            format!(
                "{}:{role} {}..{}/{} hw {}",
                node.id,
                node.log.log_start(),
                ends.durable_end,
                ends.append_end,
                node.high_watermark
            )
        });
        format!("{:?} | {}", self.controller.now.partition, nodes.collect::<Vec<_>>().join(" | "))
    }

    /// Clients write to whoever thinks it leads, also when it does no longer.
    fn produce_somewhere(&mut self) {
        let leads = |node: &&Node| node.is_up && matches!(node.role, Role::Leader(_));
        let leaders: Vec<BrokerId> = self.nodes.values().filter(leads).map(|node| node.id).collect();
        if let Some(id) = self.rng.pick(&leaders) {
            self.produce(id);
        }
    }

    fn sync(&mut self, id: BrokerId) {
        let progress = self.nodes[&id].log.progress();
        if !self.nodes[&id].is_up || progress.durable_end == progress.append_end {
            return;
        }
        let end = self.rng.between(progress.durable_end + 1, progress.append_end);
        self.sync_to(id, end);
    }

    fn sync_to(&mut self, id: BrokerId, end: i64) {
        let bug = self.bug;
        let node = self.node(id);
        node.log.sync(end);
        if let Some(leader) = node.leader() {
            leader.on_durable(end);
            self.settle(id);
        } else if let Some((to, durable)) = node.durable(bug) {
            self.send(Message::Durable { from: id, to, durable });
        }
    }

    fn fetch(&mut self, id: BrokerId) {
        if !self.nodes[&id].is_up {
            return;
        }
        if let Some((to, position, state)) = self.nodes[&id].fetch(self.bug) {
            self.send(Message::Fetch { from: id, to, position, state });
        }
    }

    fn network(&mut self, step: Step) {
        if self.messages.is_empty() {
            return;
        }
        let at = if self.rng.percent(self.order_percent) { 0 } else { self.rng.below(self.messages.len()) };
        match step {
            Step::Lose => {
                self.messages.remove(at);
                self.saw("message lost");
            }
            // What is rare is held rather than a fetch.
            Step::Hold => {
                let is_fetch =
                    |message: &Message| matches!(message, Message::Fetch { .. } | Message::Fetched { .. });
                let at = self.messages.iter().rposition(|message| !is_fetch(message)).unwrap_or(at);
                let message = self.messages.remove(at);
                self.held.push(message);
            }
            // An answer that comes twice finds its request answered; attempts are counted.
            Step::Repeat => {
                let message = self.messages[at].clone();
                self.deliver(message);
            }
            _ => {
                let message = self.messages.remove(at);
                self.deliver(message);
            }
        }
    }

    fn apply_some(&mut self, id: BrokerId) {
        let (applied, newest) = (self.nodes[&id].applied, self.controller.images.len() - 1);
        if !self.nodes[&id].is_up || applied == newest || self.isolated.contains(&id) {
            return;
        }
        let is_newest = self.rng.percent(50);
        let index =
            if is_newest { newest } else { self.rng.between(applied as i64 + 1, newest as i64) as usize };
        self.apply(id, index);
    }

    /// Changes the controller's mind, unless nobody but wiped disks would be left.
    fn change(&mut self, change: impl FnOnce(&mut super::controller::Controller)) -> bool {
        let mut after = self.controller.clone();
        change(&mut after);
        if self.is_stranded(&after) {
            return false;
        }
        if after.elected_from_elr {
            self.saw("elected from the ELR");
        }
        if after.now.partition.isr.is_empty() {
            self.saw("nobody in sync");
        }
        self.controller = after;
        true
    }

    fn crash(&mut self, id: BrokerId) {
        if !self.nodes[&id].is_up {
            return;
        }
        let World { nodes, rng, .. } = self;
        let node = nodes.get_mut(&id).unwrap();
        node.stop();
        let is_lossy = node.log.crash(rng);
        // What is known to be committed is written down now and then.
        let known = node.high_watermark.min(node.log.log_end());
        node.high_watermark = rng.between(node.log.log_start(), known);
        if is_lossy {
            self.saw("crash loses records");
        }
    }

    fn wipe(&mut self, id: BrokerId) {
        let others = |other: BrokerId| other != id && !self.nodes[&other].is_wiped;
        if !self.controller.now.candidates().any(others) {
            return;
        }
        self.crash(id);
        let node = self.node(id);
        if node.is_up {
            return;
        }
        node.log.restart(0, 0);
        node.high_watermark = 0;
        node.is_wiped = true;
        node.wipes += 1;
        // What it had proposed would be judged by a log that is gone.
        let is_its = |message: &Message| matches!(message, Message::Alter { from, .. } if *from == id);
        self.messages.retain(|message| !is_its(message));
        self.held.retain(|message| !is_its(message));
        self.saw("disk wiped");
    }

    fn restart(&mut self, id: BrokerId) {
        if self.nodes[&id].is_up {
            return;
        }
        let is_wiped = self.nodes[&id].is_wiped;
        let mut epoch = 0;
        if self.change(|controller| epoch = controller.register(id, is_wiped)) {
            let node = self.node(id);
            node.broker_epoch = epoch;
            node.is_up = true;
            node.is_wiped = false;
        }
    }

    /// A session ends, rightly or not.
    fn expire(&mut self, id: BrokerId) {
        if !self.controller.now.brokers[&id].is_fenced {
            self.change(|controller| controller.fence(id));
        }
    }

    fn unfence(&mut self, id: BrokerId) {
        let node = &self.nodes[&id];
        let broker = self.controller.now.brokers[&id];
        let knows_itself = self.controller.images[node.applied].brokers[&id].epoch == node.broker_epoch;
        if node.is_up && broker.is_fenced && broker.epoch == node.broker_epoch && knows_itself {
            self.change(|controller| controller.unfence(id));
        }
    }

    fn move_leader(&mut self) {
        let partition = &self.controller.now.partition;
        let is_other = |id: &BrokerId| {
            let broker = self.controller.now.brokers[id];
            *id != partition.leader && !broker.is_fenced && !broker.is_stopping
        };
        let others: Vec<BrokerId> = partition.isr.iter().copied().filter(is_other).collect();
        if let Some(to) = self.rng.pick(&others) {
            self.change(|controller| controller.move_leader(to));
        }
    }

    fn delete_records(&mut self, id: BrokerId) {
        let World { nodes, rng, .. } = self;
        let node = nodes.get_mut(&id).unwrap();
        let start = rng.between(node.log.log_start(), node.high_watermark);
        if let Some(leader) = node.leader() {
            leader.on_log_start(start);
            node.log.advance_start(start);
        }
    }

    fn remove_replica(&mut self, id: BrokerId) {
        let partition = &self.controller.now.partition;
        let is_other = partition.replicas.contains(&id) && partition.leader >= 0 && partition.leader != id;
        let in_sync = partition.isr.iter().filter(|member| **member != id).count();
        if is_other && partition.replicas.len() > 3 && in_sync >= self.controller.required_isr() {
            self.change(|controller| controller.remove_replica(id));
            self.saw("replica removed");
        }
    }

    /// Nothing fails any more: all replicas must become equal, and writes must be answered.
    fn heal(&mut self) {
        self.isolated.clear();
        let held = std::mem::take(&mut self.held);
        self.messages.extend(held);
        for round in 0..ROUNDS_MAX {
            self.round();
            if self.has_converged() {
                if self.is_traced {
                    println!("converged after {round} rounds");
                }
                self.check_logs();
                return self.serve();
            }
        }
        panic!("liveness: not converged after {ROUNDS_MAX} rounds: {}", self.summary());
    }

    fn round(&mut self) {
        for id in self.ids() {
            self.restart(id);
            if self.controller.now.brokers[&id].is_stopping {
                self.crash(id);
                self.restart(id);
            }
            let newest = self.controller.images.len() - 1;
            if self.nodes[&id].applied < newest {
                self.apply(id, newest);
            }
            self.unfence(id);
            self.fetch(id);
            let end = self.nodes[&id].log.log_end();
            if self.nodes[&id].is_up && !self.nodes[&id].log.is_durable() {
                self.sync_to(id, end);
            }
        }
        for message in std::mem::take(&mut self.messages) {
            self.deliver(message);
            self.check();
        }
        self.wait(Duration::from_millis(20));
        self.check();
    }

    fn has_converged(&self) -> bool {
        let partition = &self.controller.now.partition;
        let Some(leader) = self.nodes.get(&partition.leader) else { return false };
        let end = leader.log.log_end();
        partition.isr.len() == partition.replicas.len()
            && partition.replicas.iter().all(|id| {
                let node = &self.nodes[id];
                node.high_watermark == end
                    && node.log.is_durable()
                    && node.log.hash_before(end) == leader.log.hash_before(end)
                    && node.log.log_end() == end
            })
            && matches!(&leader.role, Role::Leader(state) if state.leader_epoch() == partition.leader_epoch
                && state.isr().len() == partition.isr.len())
    }

    fn serve(&mut self) {
        assert!(self.bug != Bug::None || self.acknowledged.keys().all(|value| *value <= self.values));
        for (value, offset) in &self.acknowledged {
            let record = self.committed[*offset as usize];
            assert_eq!(record.value, *value, "an acknowledged record is gone from {offset}");
        }
        let leader = self.controller.now.partition.leader;
        self.produce(leader);
        let value = self.values;
        for _ in 0..20 {
            self.round();
        }
        assert!(
            self.acknowledged.contains_key(&value),
            "liveness: a write is not answered: {}",
            self.summary()
        );
    }
}
