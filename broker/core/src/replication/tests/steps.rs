//! What a seed makes happen, step by step.

use std::time::Duration;

use tidemark_protocol::types::BrokerId;

use super::chance::Rng;
use super::node::{Node, Role};
use super::world::{Message, World};
use crate::replication::epochs::EpochLog;

const STEPS: usize = 500;

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

    pub fn summary(&self) -> String {
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

    pub fn sync_to(&mut self, id: BrokerId, end: i64) {
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

    pub fn fetch(&mut self, id: BrokerId) {
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
}
