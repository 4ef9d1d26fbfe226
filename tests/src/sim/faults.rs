//! What goes wrong. Nothing here destroys the last good copy of anything: losing that would be no error of anyone's.

use std::time::Duration;

use tidemark_protocol::types::BrokerId;
use tidemark_storage::disk::SimDisk;
use uuid::Uuid;

use super::bugs::Bug;
use super::mirror::Mirror;
use super::plan::{Fault, Plan};
use super::world::{Event, World};

/// The end of a fault.
#[derive(Clone, Copy, Debug)]
pub enum Undo {
    /// A process goes on.
    Resume(BrokerId, u64),
    /// A direction works again.
    Mend(BrokerId, BrokerId),
    /// A node is reached again.
    Join(BrokerId),
    /// There is room on the disk.
    Room(BrokerId),
    /// The disk is as fast as before.
    Fast(BrokerId),
    /// A process whose disk has failed is started anew, on the same disk.
    Replace(BrokerId, u64),
}

impl World {
    /// Something goes wrong.
    pub fn fault(&mut self) {
        if self.is_healing {
            return;
        }
        let delay = self.around_ms(self.plan.fault_every_ms);
        self.after(delay, Event::Fault);
        // While an emptied disk still counts as a copy, nothing else may happen to the others.
        if self.nodes.values().any(|node| node.is_wiped) {
            return;
        }
        let Some(fault) = Plan::choose(&mut self.rng, &self.plan.faults) else { return };
        let up = self.ids(|node| node.is_awake());
        let Some(id) = self.pick(&up) else { return };
        self.note(&format!("{fault:?} {id}"));
        let long = self.around_ms(4_000);
        match fault {
            Fault::PowerLoss => self.power_loss(id),
            Fault::PowerLossSoon => {
                let calls = 1 + self.rng.below(60);
                self.nodes[&id].disk.power_off_at(calls);
            }
            Fault::Kill => self.kill(id),
            Fault::PowerLossOfAll => {
                for id in self.ids(|node| node.is_up) {
                    self.power_loss(id);
                }
            }
            Fault::Pause => {
                self.node(id).is_paused = true;
                let run = self.nodes[&id].run;
                self.after(long, Event::Undo(Undo::Resume(id, run)));
            }
            Fault::ControllerFailover => {
                let voters = self.plan.voters;
                let fit: Vec<_> = (1..=voters).filter(|id| self.is_in_office(*id)).collect();
                if let Some(id) = self.pick(&fit) {
                    self.elect(id);
                }
            }
            Fault::Shutdown => {
                let now = self.now;
                self.node(id).stopping_since.get_or_insert(now);
            }
            Fault::Wipe => self.wipe(id),
            Fault::CutOneWay | Fault::Isolate | Fault::SlowLink | Fault::BreakConnections => {
                self.network_fault(fault, id, long);
            }
            Fault::WriteError | Fault::SyncError | Fault::FullDisk | Fault::SlowDisk | Fault::ClockStep => {
                self.disk_fault(fault, id, long);
            }
        }
        self.saw(name(fault));
    }

    fn network_fault(&mut self, fault: Fault, id: BrokerId, long: Duration) {
        let others = self.ids(|node| node.id != id);
        let Some(other) = self.pick(&others) else { return };
        match fault {
            Fault::CutOneWay => {
                self.net.cut(id, other);
                self.after(long, Event::Undo(Undo::Mend(id, other)));
            }
            Fault::Isolate => {
                self.net.isolate(id);
                self.after(long, Event::Undo(Undo::Join(id)));
            }
            Fault::SlowLink => {
                let by = self.around_ms(700);
                self.net.slow(id, other, self.now + long, by);
            }
            _ => {
                let of = |key: &(BrokerId, u64)| key.0 == id;
                let mine: Vec<_> =
                    self.connections.iter().filter(|(key, _)| of(key)).map(|(k, v)| (*k, v.0)).collect();
                for ((follower, connection), leader) in mine {
                    if !self.net.is_dead((follower, connection)) {
                        self.break_connection(follower, leader, connection);
                    }
                }
            }
        }
    }

    fn disk_fault(&mut self, fault: Fault, id: BrokerId, long: Duration) {
        let nth = 1 + self.rng.below(20);
        let step_ms = self.rng.below(7_200_000) as i64 - 3_600_000;
        let room = self.rng.below(3_000);
        let node = self.node(id);
        match fault {
            Fault::WriteError => node.disk.fail_write(nth),
            Fault::SyncError => node.disk.fail_sync(nth),
            Fault::FullDisk => {
                node.disk.set_capacity(node.disk.used() + room);
                self.after(long, Event::Undo(Undo::Room(id)));
            }
            Fault::SlowDisk => {
                node.slow_sync_us = 1_500_000;
                self.after(long, Event::Undo(Undo::Fast(id)));
            }
            _ => {
                let wall_ms = node.clock.now().wall_ms + step_ms;
                node.clock.set_wall(wall_ms);
            }
        }
    }

    /// A fault is over.
    pub fn undo(&mut self, undo: Undo) {
        match undo {
            Undo::Resume(id, run) => {
                let node = self.node(id);
                if node.run == run && node.is_paused {
                    node.is_paused = false;
                    self.wake(id, Duration::ZERO);
                    self.after(Duration::ZERO, Event::Apply(id));
                }
            }
            Undo::Mend(from, to) => self.net.mend(from, to),
            Undo::Join(id) => self.net.join(id),
            Undo::Room(id) => self.nodes[&id].disk.set_capacity(u64::MAX),
            Undo::Fast(id) => self.node(id).slow_sync_us = 0,
            Undo::Replace(id, run) => {
                if self.nodes[&id].run == run && self.nodes[&id].is_up {
                    self.kill(id);
                }
            }
        }
    }

    /// The power of a machine fails; it comes back.
    pub fn power_loss(&mut self, id: BrokerId) {
        let node = self.node(id);
        node.disk = node.disk.crash();
        self.down(id);
    }

    /// The process dies.
    pub fn kill(&mut self, id: BrokerId) {
        let node = self.node(id);
        node.disk = node.disk.restart();
        self.down(id);
    }

    /// A process that may stop stops in order.
    pub fn shut_down(&mut self, id: BrokerId) {
        let now = self.now;
        let node = self.node(id);
        node.tick(now);
        let clean = node.replicas.take().is_some_and(|replicas| replicas.stop());
        self.note(&format!("{id} stopped, clean: {clean}"));
        self.saw("stopped in order");
        if self.nodes[&id].disk.is_off() { self.power_loss(id) } else { self.kill(id) }
    }

    fn down(&mut self, id: BrokerId) {
        self.note(&format!("down {id}"));
        // What the node follows and what follows it learns of it.
        let touched: Vec<_> = self
            .connections
            .iter()
            .filter(|((follower, _), (leader, _))| *follower == id || *leader == id)
            .map(|((follower, connection), (leader, _))| (*follower, *connection, *leader))
            .filter(|(follower, connection, _)| !self.net.is_dead((*follower, *connection)))
            .collect();
        self.node(id).down();
        for (follower, connection, leader) in touched {
            self.break_connection(follower, leader, connection);
        }
        let delay = self.around_ms(2_000);
        self.after(delay, Event::Boot(id));
    }

    /// A machine comes back with an empty disk, if everything it holds is held by others whom nothing ails.
    fn wipe(&mut self, id: BrokerId) {
        let image = self.quorum.newest().clone();
        let is_well = |other: &BrokerId| {
            let node = &self.nodes[other];
            let is_usable = image.brokers.get(other).is_some_and(|broker| broker.is_usable());
            *other != id && node.is_awake() && node.replicas.is_some() && is_usable
        };
        let all_well = self.nodes.keys().filter(|other| **other != id).all(&is_well);
        let is_spared = image.topics.values().flat_map(|topic| topic.partitions.iter()).all(|partition| {
            let holds = |other: &&BrokerId| is_well(other);
            !partition.has_replica(id) || partition.isr.iter().filter(holds).count() >= 2
        });
        if !all_well || !is_spared {
            return;
        }
        self.kill(id);
        let seed = self.rng.next_u64();
        let keeps_identity = self.bug == Bug::WipedAsIntact;
        let node = self.node(id);
        node.disk = SimDisk::new(seed);
        if !keeps_identity {
            node.directory = Uuid::from_u128(u128::from(seed));
        }
        node.is_wiped = true;
        node.wipes += 1;
        for mirror in node.mirrors.values_mut() {
            *mirror = Mirror::wiped();
        }
        self.net.heal();
        self.saw("disk wiped");
    }
}

fn name(fault: Fault) -> &'static str {
    match fault {
        Fault::PowerLoss => "power loss",
        Fault::PowerLossSoon => "power loss soon",
        Fault::Kill => "kill",
        Fault::Pause => "pause",
        Fault::CutOneWay => "cut one way",
        Fault::Isolate => "isolated",
        Fault::SlowLink => "slow link",
        Fault::BreakConnections => "connections broken",
        Fault::ControllerFailover => "controller failover",
        Fault::Shutdown => "shutdown wanted",
        Fault::Wipe => "wipe",
        Fault::WriteError => "write error",
        Fault::SyncError => "sync error",
        Fault::FullDisk => "full disk",
        Fault::SlowDisk => "slow disk",
        Fault::ClockStep => "clock step",
        Fault::PowerLossOfAll => "power loss of all",
    }
}
