//! The whole history of a seed: a cluster is founded, lives among faults, is healed, and must then converge and serve.

use std::collections::BTreeMap;
use std::time::Duration;

use tidemark_core::metadata::PartitionImage;
use tidemark_protocol::types::TopicIdPartition;

use super::world::{Event, World};

/// A cluster without faults is at work by then.
const START_TIME_MAX: Duration = Duration::from_secs(20);
/// A healed cluster has converged by then: the slowest wait is for a replica that lags.
const HEAL_TIME_MAX: Duration = Duration::from_secs(120);
/// … and answers a write by then.
const SERVE_TIME_MAX: Duration = Duration::from_secs(20);

impl World {
    /// The whole history.
    pub fn run(&mut self) {
        self.found();
        let end = self.now + Duration::from_millis(self.plan.chaos_ms);
        let delay = self.around_ms(self.plan.fault_every_ms);
        self.after(delay, Event::Fault);
        self.after(delay, Event::Errand);
        self.run_until(end, |_| false);
        self.heal();
        self.converge();
        self.serve();
    }

    /// All machines are switched on and make a cluster with topics.
    fn found(&mut self) {
        for id in self.ids(|_| true) {
            let delay = self.around_ms(100);
            self.after(delay, Event::Boot(id));
        }
        self.after(Duration::from_millis(300), Event::Watch);
        let all = self.plan.brokers as usize;
        let is_up =
            self.run_until(START_TIME_MAX, |world| world.quorum.newest().usable_brokers().count() == all);
        assert!(is_up, "liveness: a cluster without faults does not start");
        for _ in 0..self.plan.topics {
            self.create_topic();
        }
        self.hire();
    }

    /// Everything works again.
    fn heal(&mut self) {
        self.note("heal");
        self.is_healing = true;
        self.net.heal();
        self.plan.loss_permille = 0;
        self.plan.delay_us = self.plan.delay_us.min(2_000);
        self.plan.sync_us = self.plan.sync_us.min(2_000);
        self.plan.apply_us = self.plan.apply_us.min(20_000);
        for id in self.ids(|_| true) {
            let run = self.nodes[&id].run;
            self.nodes[&id].disk.set_capacity(u64::MAX);
            let node = self.node(id);
            node.slow_sync_us = 0;
            self.undo(super::faults::Undo::Resume(id, run));
        }
        // Armed faults of disks are disarmed by a restart only where they strike: a sync that fails now is one more fault,
        // after which the node is replaced.
        self.settle_clients();
    }

    fn settle_clients(&mut self) {
        self.plan.produce_every_ms = self.plan.produce_every_ms.max(100);
    }

    fn converge(&mut self) {
        let end = self.now + HEAL_TIME_MAX;
        let has_converged = self.run_until(end, |world| world.why_not_converged().is_none());
        if !has_converged {
            self.tell_replicas();
            panic!("liveness: {}", self.why_not_converged().unwrap_or_default());
        }
    }

    /// For finding out why.
    fn tell_replicas(&mut self) {
        if !self.is_traced {
            return;
        }
        for node in self.nodes.values() {
            for (tp, mirror) in &node.mirrors {
                let ends = (mirror.log_start, mirror.high_watermark, mirror.durable_end, mirror.log_end);
                println!("node {} {tp:?}: open {} {ends:?}", node.id, mirror.is_open);
            }
        }
        for node in self.nodes.values_mut() {
            let id = node.id;
            for (tp, state) in node.replicas.as_mut().map(|replicas| replicas.sights()).unwrap_or_default() {
                if let tidemark_broker::partition::sight::ReplicaState::Open(sight) = state {
                    println!("node {id} {tp:?}: {:?} follows {:?}", sight.leader, sight.following);
                }
            }
        }
    }

    /// What is still missing of a whole cluster.
    fn why_not_converged(&mut self) -> Option<String> {
        let image = self.quorum.newest().clone();
        if let Some(node) =
            self.nodes.values().find(|node| node.replicas.is_none() || node.applied < image.version)
        {
            return Some(format!("node {} is at {} of {}", node.id, node.applied, image.version));
        }
        if let Some(broker) = image.brokers.values().find(|broker| !broker.is_usable()) {
            return Some(format!("broker {} is not usable: {broker:?}", broker.id));
        }
        for topic in image.topics.values() {
            for (index, partition) in topic.partitions.iter().enumerate() {
                let index = index as i32;
                if self.is_stranded(partition) {
                    continue;
                }
                let whole = partition.leader > 0
                    && partition.isr.len() == partition.replicas.len()
                    && !partition.is_moving();
                if !whole {
                    return Some(format!("{}-{index} is {partition:?}", topic.name));
                }
                let tp = TopicIdPartition { topic_id: topic.id, partition: index };
                for id in partition.replicas.iter() {
                    let is_open = self.nodes[id].mirrors.get(&tp).is_some_and(|mirror| mirror.is_open);
                    if !is_open && partition.replicas.len() > 1 {
                        return Some(format!("{}-{index} is not open on {id}", topic.name));
                    }
                }
            }
        }
        None
    }

    /// Whether the only replica was on a disk that was emptied: one that was made while the cluster did not know of it yet.
    fn is_stranded(&self, partition: &PartitionImage) -> bool {
        partition.isr.is_empty()
            && partition.replicas.len() == 1
            && self.nodes[&partition.replicas[0]].wipes > 0
    }

    /// Everything is there, everywhere the same, and every partition takes writes.
    fn serve(&mut self) {
        let before: BTreeMap<TopicIdPartition, i64> =
            self.ledgers.iter().map(|(tp, ledger)| (*tp, ledger.end)).collect();
        let image = self.quorum.newest().clone();
        let mut partitions = Vec::new();
        for topic in image.topics.values() {
            for (index, partition) in
                topic.partitions.iter().enumerate().filter(|(_, p)| !self.is_stranded(p))
            {
                let index = i32::try_from(index).expect("few partitions");
                assert!(partition.leader > 0, "it has converged");
                partitions.push(TopicIdPartition { topic_id: topic.id, partition: index });
            }
        }
        // One producer for each partition.
        self.producers.clear();
        for (at, tp) in partitions.iter().enumerate() {
            self.producers.push(super::clients::Producer {
                producer_id: 1_000_000 + at as i64,
                is_idempotent: true,
                acks: tidemark_broker::partition::Acks::All,
                target: Some(*tp),
                sequence: 0,
                under_way: None,
                attempt: 1_000_000,
                answered: 0,
            });
            self.after(Duration::ZERO, Event::Produce(at));
        }
        let end = self.now + SERVE_TIME_MAX;
        let serves =
            self.run_until(end, |world| world.producers.iter().all(|producer| producer.answered > 0));
        if !serves {
            let waiting: Vec<_> =
                self.producers.iter().filter(|p| p.answered == 0).map(|p| p.target).collect();
            panic!("liveness: no write is answered by {waiting:?}");
        }
        self.plan.produce_every_ms = 60_000_000;
        let end = self.now + SERVE_TIME_MAX;
        let are_equal = self.run_until(end, |world| world.why_not_equal().is_none());
        assert!(are_equal, "C18: {}", self.why_not_equal().unwrap_or_default());
        for (tp, end) in before {
            let ledger = &self.ledgers[&tp];
            assert!(ledger.end >= end, "what was committed of {tp:?} is gone");
        }
    }

    /// Where replicas differ.
    fn why_not_equal(&mut self) -> Option<String> {
        let image = self.quorum.newest().clone();
        for topic in image.topics.values() {
            for (index, partition) in topic.partitions.iter().enumerate() {
                let tp = TopicIdPartition { topic_id: topic.id, partition: index as i32 };
                let Some(ledger) = self.ledgers.get(&tp).filter(|_| partition.leader > 0) else { continue };
                let leader = self.nodes[&partition.leader].mirrors.get(&tp)?;
                let start = leader.log_start;
                if start > ledger.deletable_to {
                    return Some(format!(
                        "{tp:?} starts at {start}, deleted was {} at most",
                        ledger.deletable_to
                    ));
                }
                for id in partition.replicas.iter() {
                    let Some(mirror) = self.nodes[id].mirrors.get(&tp) else {
                        return Some(format!("{tp:?} is not on {id}"));
                    };
                    let ends = (mirror.log_end, mirror.durable_end, mirror.high_watermark);
                    if ends != (leader.log_end, leader.log_end, leader.log_end) {
                        return Some(format!(
                            "{tp:?} on {id}: {ends:?}, the leader's end is {}",
                            leader.log_end
                        ));
                    }
                    // A deletion may have reached this replica and not the one that leads now.
                    let start = start.max(mirror.log_start);
                    if start > ledger.deletable_to {
                        return Some(format!("{tp:?} on {id} starts at {start}, beyond what was deleted"));
                    }
                    let theirs: Vec<_> = mirror.entries.range(start..).collect();
                    let wanted: Vec<_> = ledger.committed.range(start..).collect();
                    if theirs != wanted {
                        return Some(format!("{tp:?} on {id} has other records than were committed"));
                    }
                }
            }
        }
        None
    }
}
