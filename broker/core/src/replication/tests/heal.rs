//! The end of every history: nothing fails any more, and all replicas must become equal and serve.

use std::time::Duration;

use super::bugs::Bug;
use super::node::Role;
use super::world::World;
use crate::replication::epochs::EpochLog;

/// Each round brings every message and every sync.
const ROUNDS_MAX: usize = 300;

impl World {
    /// Nothing fails any more: all replicas must become equal, and writes must be answered.
    pub fn heal(&mut self) {
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
