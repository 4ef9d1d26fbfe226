//! What must hold after every event: I1 to I9 for every partition, and that nothing acknowledged is lost.
//!
//! I10, that every broker's metadata are a prefix of one log, holds by the quorum's making here.

use std::collections::BTreeSet;

use tidemark_broker::partition::sight::{ReplicaState, Sight};
use tidemark_broker::partition::{Appended, ProduceError};
use tidemark_core::metadata::replication_rules::ReplicationRules;
use tidemark_core::metadata::{ClusterImage, PartitionImage};
use tidemark_protocol::types::{BrokerId, TopicIdPartition};

use super::clients::Answer;
use super::mirror::{Ledger, Mirror};
use super::node::Waiting;
use super::world::World;

impl World {
    /// Takes note of what has become of a node's replicas.
    pub fn look(&mut self, id: BrokerId) {
        let Some(replicas) = &mut self.node(id).replicas else { return };
        let states = replicas.sights();
        let held: BTreeSet<TopicIdPartition> = states.iter().map(|(tp, _)| *tp).collect();
        self.node(id).mirrors.retain(|tp, _| held.contains(tp));
        for (tp, state) in states {
            match state {
                ReplicaState::Open(sight) => self.look_at(id, tp, &sight),
                ReplicaState::Offline => {
                    self.saw("log offline");
                    self.node(id).mirrors.entry(tp).or_default().is_open = false;
                }
                ReplicaState::Unopened => {}
            }
        }
    }

    fn look_at(&mut self, id: BrokerId, tp: TopicIdPartition, sight: &Sight) {
        let node = self.nodes.get_mut(&id).expect("nodes are never removed");
        let ledger = self.ledgers.entry(tp).or_default();
        let mirror = node.mirrors.entry(tp).or_default();
        let before = (mirror.log_end, mirror.durable_end, mirror.high_watermark, mirror.log_start);
        if let Err(why) = mirror.read(sight) {
            assert!(node.disk.is_off(), "node {id}, {tp:?}: {why}");
            return;
        }
        let end = sight.high_watermark;
        assert!(
            sight.log_start <= end && end <= sight.log_end && sight.durable_end <= sight.log_end,
            "marks of node {id} for {tp:?} are out of order"
        );
        assert!(
            sight.log_start >= mirror.deleted_to,
            "H8: node {id} has answered that {tp:?} begins at {}, now it begins at {}",
            mirror.deleted_to,
            sight.log_start
        );
        let is_new = before != (sight.log_end, sight.durable_end, end, sight.log_start);
        if let Err(why) = ledger.compare(mirror, end) {
            panic!("I4: node {id} differs from what is committed of {tp:?}: {why}");
        }
        let was_leader = std::mem::replace(&mut mirror.was_leader, sight.leader.is_some());
        if was_leader && sight.leader.is_none() && end > ledger.end {
            // It committed that just before it heard that another one leads.
            if let Err(why) = ledger.commit(mirror, end) {
                panic!("node {id}, which led {tp:?}: {why}");
            }
        }
        if sight.leader.is_some() {
            look_at_leader(id, tp, sight, ledger, mirror, self.quorum.newest());
        } else {
            assert!(end <= ledger.end, "node {id} takes {end} of {tp:?} for committed, it is {}", ledger.end);
        }
        if is_new {
            self.dirty.insert(tp);
        }
        self.ask_latest(id, tp, sight);
        self.skip_leader_epoch_start(id, tp, sight);
    }

    /// What was changed is checked: I2 and I5, which need all nodes.
    pub fn check_dirty(&mut self) {
        for tp in std::mem::take(&mut self.dirty) {
            let image = std::sync::Arc::clone(self.quorum.newest());
            let Some(partition) = image.partition_by_id(&tp) else { continue };
            self.check_candidates(tp, partition);
        }
    }

    /// I2: whoever may be elected has all that is committed, on its disk.
    fn check_candidates(&mut self, tp: TopicIdPartition, partition: &PartitionImage) {
        let Some(ledger) = self.ledgers.get(&tp) else { return };
        let end = ledger.end;
        for id in partition.isr.iter().chain(partition.elr.iter()) {
            let node = self.nodes.get_mut(id).expect("nodes are never removed");
            if node.is_wiped {
                continue;
            }
            let Some(mirror) = node.mirrors.get_mut(&tp) else {
                assert!(
                    end == 0,
                    "I2: node {id} may lead {tp:?} and holds nothing of it, {end} are committed"
                );
                continue;
            };
            assert!(
                mirror.durable_end >= end,
                "I2: node {id} may lead {tp:?} with {} of {end} ({partition:?})",
                mirror.durable_end
            );
            if let Err(why) = ledger.compare(mirror, end) {
                panic!("I2: node {id} may lead {tp:?}, but differs: {why}");
            }
        }
    }

    /// Entries were decided: I6, and what happened is counted.
    pub fn note_image(&mut self, before: u64) {
        let (old, new) = (self.quorum.image(before).clone(), self.quorum.newest().clone());
        let rules = ReplicationRules::of_cluster(&new);
        let mut seen = Vec::new();
        for (topic_id, topic) in &new.topics {
            let rules = rules.with_overrides_of(&new, &topic.name);
            for (index, partition) in topic.partitions.iter().enumerate() {
                let index = i32::try_from(index).expect("few partitions");
                let tp = TopicIdPartition { topic_id: *topic_id, partition: index };
                let was = old.partition_by_id(&tp);
                if was == Some(partition) {
                    continue;
                }
                self.dirty.insert(tp);
                check_partition(&new, partition, rules.min_isr(partition.replication_factor()), tp);
                if let Some(was) = was {
                    changes(was, partition, &mut seen);
                }
            }
        }
        for what in seen {
            self.saw(what);
        }
        self.note(&format!("committed {}", new.version));
        if self.is_traced {
            for topic in new.topics.values() {
                for (index, partition) in topic.partitions.iter().enumerate() {
                    let id = TopicIdPartition { topic_id: topic.id, partition: index as i32 };
                    if old.partition_by_id(&id) != Some(partition) {
                        println!("             {}-{index}: {partition:?}", topic.name);
                    }
                }
            }
        }
    }

    /// Takes in the answers that a node's writers gave.
    pub fn collect(&mut self, id: BrokerId) {
        let node = self.node(id);
        let (done, rest): (Vec<_>, Vec<_>) =
            std::mem::take(&mut node.waiting).into_iter().partition(|waiting| waiting.wait.is_complete());
        node.waiting = rest;
        for waiting in done {
            self.answered(id, waiting);
        }
        self.poll_deletions(id);
    }

    fn answered(&mut self, id: BrokerId, waiting: Waiting) {
        let Waiting { producer, attempt, id: tp, crc, is_all, wait } = waiting;
        let result = wait.into_results().into_iter().next().flatten().unwrap_or(Err(ProduceError::Closed));
        if let Ok(appended) = &result
            && is_all
        {
            self.check_ack(id, tp, crc, *appended);
            self.saw("acknowledged");
        }
        self.note(&format!("produce {producer}.{attempt} at {id}: {result:?}"));
        let is_out_of_order = matches!(result, Err(ProduceError::OutOfOrderSequence { .. }));
        // A leader that was deposed and does not know it may lack what its follower has taken since.
        let is_current = self.is_current_leader(id, tp)
            && self.producers.get(producer).is_some_and(|p| p.attempt == attempt);
        assert!(
            !(is_out_of_order && is_current),
            "C21: a producer that waits for each answer hears {result:?}"
        );
        let answer: Answer = result.map(|appended| appended.base_offset);
        self.answer_client(producer, attempt, answer);
    }

    /// Whether the node leads the partition and nobody was elected since.
    pub fn is_current_leader(&self, id: BrokerId, tp: TopicIdPartition) -> bool {
        let known = self.quorum.image(self.nodes[&id].applied).partition_by_id(&tp);
        let now = self.quorum.newest().partition_by_id(&tp);
        now.is_some_and(|now| {
            now.leader == id && known.is_some_and(|known| known.leader_epoch == now.leader_epoch)
        })
    }

    /// I9, and that what is acknowledged is committed.
    fn check_ack(&mut self, id: BrokerId, tp: TopicIdPartition, crc: u32, appended: Appended) {
        let image = self.quorum.newest().clone();
        let ledger = self.ledgers.entry(tp).or_default();
        if appended.base_offset < ledger.deletable_to {
            return;
        }
        let entry = ledger.committed.get(&appended.base_offset);
        assert!(
            entry.is_some_and(|entry| entry.crc == crc),
            "node {id} acknowledged {appended:?} of {tp:?}, committed there is {entry:?}"
        );
        let Some(topic) = image.topic_by_id(tp.topic_id) else { return };
        let Some(partition) = image.partition_by_id(&tp) else { return };
        let rules = ReplicationRules::of_cluster(&image).with_overrides_of(&image, &topic.name);
        // A leader that has not heard of a higher minimum answers by the lower one.
        let required = rules.min_isr(partition.replication_factor()).min(self.least_min_isr(tp));
        let required = self.bug.required(required, partition.replication_factor());
        let copies = self.nodes.values().filter(|node| {
            let mirror = node.mirrors.get(&tp);
            mirror.is_some_and(|mirror| mirror.was_wiped || mirror.durable_end > appended.last_offset)
        });
        let copies = copies.count();
        assert!(
            copies >= required,
            "I9: {appended:?} of {tp:?} is acknowledged with {copies} of {required} copies"
        );
    }
}

/// I1, I3, I5 and I7 as far as one leader shows them, and what it commits.
fn look_at_leader(
    id: BrokerId,
    tp: TopicIdPartition,
    sight: &Sight,
    ledger: &mut Ledger,
    mirror: &mut Mirror,
    image: &ClusterImage,
) {
    let Some(leader) = &sight.leader else { return };
    let epoch = leader.leader_epoch;
    let other = *ledger.leaders.entry(epoch).or_insert(id);
    assert!(other == id, "I1: nodes {other} and {id} lead epoch {epoch} of {tp:?}");
    let partition = image.partition_by_id(&tp);
    let is_current =
        partition.is_some_and(|partition| partition.leader_epoch == epoch && partition.leader == id);
    if is_current {
        assert!(
            sight.log_end >= ledger.end,
            "I3: leader {id} of {tp:?} ends at {} of {}",
            sight.log_end,
            ledger.end
        );
        if let Err(why) = ledger.compare(mirror, ledger.end) {
            panic!("I3: leader {id} of {tp:?} lacks what is committed: {why}");
        }
    }
    if sight.high_watermark > ledger.end
        && let Err(why) = ledger.commit(mirror, sight.high_watermark)
    {
        panic!("leader {id} of {tp:?}: {why}");
    }
    let Some(partition) = partition.filter(|_| is_current) else { return };
    let (known, end) = (sight.high_watermark, ledger.end);
    assert!(!leader.is_settled || known == end, "I7: leader {id} of {tp:?} is settled at {known}, not {end}");
    let members = partition.isr.iter().chain(partition.elr.iter());
    if leader.isr.len() >= leader.required_isr {
        for member in members {
            let counts = leader.maximal_isr.contains(member);
            assert!(
                counts,
                "I5: leader {id} of {tp:?} does not count on {member}: {leader:?}, {partition:?}"
            );
        }
    }
}

/// I6, and what else a partition's state must be like.
fn check_partition(image: &ClusterImage, partition: &PartitionImage, min_isr: usize, tp: TopicIdPartition) {
    let PartitionImage { isr, elr, replicas, leader, .. } = partition;
    let is_usable = |id: &BrokerId| image.brokers.get(id).is_some_and(|broker| broker.is_usable());
    assert!(isr.iter().all(is_usable), "I6: fenced and in sync: {tp:?} {partition:?}");
    assert!(elr.iter().all(|id| !isr.contains(id)), "I6: in both ISR and ELR: {tp:?} {partition:?}");
    assert!(
        isr.len() < min_isr || elr.is_empty(),
        "I6: an ELR beside a full ISR of {min_isr}: {tp:?} {partition:?}"
    );
    assert!(isr.iter().all(|id| replicas.contains(id)), "an ISR beyond the replicas: {tp:?} {partition:?}");
    assert!(*leader < 0 || isr.contains(leader), "a leader out of sync: {tp:?} {partition:?}");
}

fn changes(was: &PartitionImage, now: &PartitionImage, seen: &mut Vec<&'static str>) {
    if was.leader_epoch != now.leader_epoch {
        seen.push("leader change");
    }
    if now.leader < 0 && was.leader >= 0 {
        seen.push("nobody leads");
    }
    if now.leader >= 0 && was.isr.is_empty() && was.elr.contains(&now.leader) {
        seen.push("elected from the ELR");
    }
    if now.isr.len() > was.isr.len() {
        seen.push("ISR expanded");
    }
    if now.isr.len() < was.isr.len() {
        seen.push("ISR shrunk");
    }
    if was.is_moving() && !now.is_moving() {
        seen.push("reassignment completed");
    }
}
