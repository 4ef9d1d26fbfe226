//! What goes wrong, and what the controller makes of it. Nothing here destroys the last good copy: that would be no
//! error of anyone's.

use tidemark_protocol::types::BrokerId;

use super::controller::Controller;
use super::world::{Message, World};
use crate::replication::epochs::EpochLog;

impl World {
    /// Changes the controller's mind, unless nobody but wiped disks would be left.
    pub fn change(&mut self, change: impl FnOnce(&mut Controller)) -> bool {
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

    pub fn crash(&mut self, id: BrokerId) {
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

    pub fn wipe(&mut self, id: BrokerId) {
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

    pub fn restart(&mut self, id: BrokerId) {
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
    pub fn expire(&mut self, id: BrokerId) {
        if !self.controller.now.brokers[&id].is_fenced {
            self.change(|controller| controller.fence(id));
        }
    }

    pub fn unfence(&mut self, id: BrokerId) {
        let node = &self.nodes[&id];
        let broker = self.controller.now.brokers[&id];
        let knows_itself = self.controller.images[node.applied].brokers[&id].epoch == node.broker_epoch;
        if node.is_up && broker.is_fenced && broker.epoch == node.broker_epoch && knows_itself {
            self.change(|controller| controller.unfence(id));
        }
    }

    pub fn move_leader(&mut self) {
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

    pub fn delete_records(&mut self, id: BrokerId) {
        let World { nodes, rng, .. } = self;
        let node = nodes.get_mut(&id).unwrap();
        let start = rng.between(node.log.log_start(), node.high_watermark);
        if let Some(leader) = node.leader() {
            leader.on_log_start(start);
            node.log.advance_start(start);
        }
    }

    pub fn remove_replica(&mut self, id: BrokerId) {
        let partition = &self.controller.now.partition;
        let is_other = partition.replicas.contains(&id) && partition.leader >= 0 && partition.leader != id;
        let in_sync = partition.isr.iter().filter(|member| **member != id).count();
        if is_other && partition.replicas.len() > 3 && in_sync >= self.controller.required_isr() {
            self.change(|controller| controller.remove_replica(id));
            self.saw("replica removed");
        }
    }
}
