//! What must hold after every step: I1 to I9 as far as one partition shows them, and that nothing acknowledged is lost.

use tidemark_protocol::types::{BrokerId, Offset};

use super::bugs::Bug;
use super::controller::Controller;
use super::log::hash;
use super::node::Role;
use super::world::World;
use crate::replication::epochs::EpochLog;

impl World {
    fn true_high_watermark(&self) -> Offset {
        self.committed.len() as Offset
    }

    /// Whether nobody could be elected without loss: only wiped disks are left. That is no error of anyone's.
    pub fn is_stranded(&self, controller: &Controller) -> bool {
        controller.now.candidates().all(|id| self.nodes[&id].is_wiped)
    }

    /// I1 and I3: one leader an epoch, and it has all that is committed.
    pub fn check_new_leader(&mut self, id: BrokerId, leader_epoch: i32) {
        let other = self.leaders.insert(leader_epoch, id);
        assert!(other.is_none_or(|other| other == id), "I1: {other:?} and {id} lead epoch {leader_epoch}");
        let node = &self.nodes[&id];
        // A leader that was deposed before it heard of its role may lack what came after.
        if self.controller.now.partition.leader_epoch == leader_epoch {
            let end = self.true_high_watermark();
            assert_eq!(
                node.log.hash_before(end),
                Some(self.committed_hashes[end as usize]),
                "I3: leader {id} lacks what is committed before {end}"
            );
        }
        self.saw("leader change");
    }

    /// The leader's high watermark may have moved: what it covers is committed for ever.
    pub fn note_commits(&mut self, id: BrokerId) {
        let node = &self.nodes[&id];
        let known = self.true_high_watermark();
        let common = node.high_watermark.min(known);
        assert_eq!(
            node.log.hash_before(common),
            Some(self.committed_hashes[common as usize]),
            "I4: leader {id} commits before {common} what differs from what was"
        );
        for offset in known..node.high_watermark {
            let record = node.log.get(offset).unwrap();
            self.committed_hashes.push(hash(self.committed_hashes[offset as usize], record));
            self.committed.push(record);
        }
    }

    /// Whoever waited for what is committed now is answered; I9: enough disks have it.
    pub fn acknowledge(&mut self, id: BrokerId) {
        let node = self.nodes.get_mut(&id).unwrap();
        let Role::Leader(leader) = &node.role else { return };
        let (is_enough, required) = (leader.check_isr().is_ok(), leader.required_isr());
        let later = node.waiting.split_off(&node.high_watermark);
        let done = std::mem::replace(&mut node.waiting, later);
        for (offset, value) in done {
            assert_eq!(self.committed[offset as usize].value, value, "an ack for another record");
            if !is_enough {
                continue;
            }
            let has = self.nodes.values().filter(|node| {
                let is_there = node.log.progress().durable_end > offset;
                let same = node
                    .log
                    .hash_before(offset + 1)
                    .is_none_or(|hash| hash == self.committed_hashes[offset as usize + 1]);
                // What a wiped disk had when it said so is not known any more.
                is_there && same || node.wipes > 0
            });
            assert!(
                has.count() >= required,
                "I9: {offset} is acknowledged with fewer than {required} copies"
            );
            self.acknowledged.insert(value, offset);
            self.saw("acknowledged");
        }
    }

    /// After every step.
    pub fn check(&self) {
        self.check_controller();
        for node in self.nodes.values() {
            let (id, end) = (node.id, node.high_watermark);
            let log = &node.log;
            assert!(log.log_start() <= end && end <= log.log_end(), "marks of {id} are out of order");
            assert!(end <= self.true_high_watermark(), "{id} takes more for committed than is");
            if let Some(hash) = log.hash_before(end) {
                assert_eq!(hash, self.committed_hashes[end as usize], "I4: {id} differs before {end}");
            }
            self.check_superset(id);
        }
    }

    /// I2 and I6.
    fn check_controller(&self) {
        let partition = &self.controller.now.partition;
        let end = self.true_high_watermark();
        for id in self.controller.now.candidates() {
            let node = &self.nodes[&id];
            if node.is_wiped {
                continue;
            }
            let durable = node.log.progress().durable_end;
            assert!(durable >= end, "I2: {id} may be elected with {durable} of {end}");
            let has = node.log.hash_before(end);
            assert_eq!(has, Some(self.committed_hashes[end as usize]), "I2: {id} has other records");
        }
        let brokers = &self.controller.now.brokers;
        assert!(partition.isr.iter().all(|id| !brokers[id].is_fenced), "I6: fenced and in sync");
        assert!(partition.elr.iter().all(|id| !partition.isr.contains(id)), "I6: in both ISR and ELR");
        let is_enough = partition.isr.len() >= self.controller.required_isr();
        assert!(!is_enough || partition.elr.is_empty(), "I6: an ELR beside a full ISR");
    }

    /// I5 and I7: the current leader counts on everyone whom the controller may elect, and a settled high watermark is
    /// the true one.
    fn check_superset(&self, id: BrokerId) {
        let partition = &self.controller.now.partition;
        let Role::Leader(leader) = &self.nodes[&id].role else { return };
        if leader.leader_epoch() != partition.leader_epoch {
            return;
        }
        let end = self.true_high_watermark();
        let is_settled = leader.is_high_watermark_settled() && self.bug != Bug::SkipLeaderEpochStart;
        assert!(!is_settled || leader.high_watermark() == end, "I7: {id} is behind {end}");
        if leader.check_isr().is_err() {
            return;
        }
        let maximal = leader.maximal_isr();
        for candidate in self.controller.now.candidates() {
            assert!(
                maximal.contains(&candidate),
                "I5: leader {id} does not count on {candidate}: {maximal:?}"
            );
        }
    }

    /// I8 for every log.
    pub fn check_logs(&self) {
        self.nodes.values().for_each(|node| node.log.check());
    }
}
