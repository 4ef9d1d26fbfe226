//! [`PartitionChange`]: the one way in which a partition changes. Everybody who changes one (fencing, unfencing, leaders'
//! ISR changes, reassignments, elections, quarantine) says what shall be; what follows from that is computed here.
//!
//! ```text
//!   asked: ISR, replicas, forgotten replica, kind of election
//!     │ 1. a reassignment completes when all added replicas are in sync (KIP-455)
//!     │ 2. ELR: who left the ISR while it is too small to commit anything (KIP-966)
//!     │ 3. leader: from the ISR; from the ELR if the ISR is empty; unclean only where allowed; or none
//!     ▼ 4. epochs: the partition's with every change, the leader's with every leader, every removed replica, and when asked for
//! ```
//! What always holds of the result: ISR and ELR are replicas and disjoint; an ISR of the effective min ISR leaves no ELR;
//! the leader is in the ISR and usable, or −1. A last known leader is remembered, but never elected without being asked
//! for: it may lack records that others committed after it. A broker that is being drained leads only what nobody else can.

use std::sync::Arc;

use tidemark_protocol::types::BrokerId;

use super::image::{BrokerIds, ClusterImage, PartitionImage};
use super::replication_rules::ReplicationRules;

/// A change of one partition in the making.
#[derive(Clone, Debug)]
pub struct PartitionChange<'a> {
    image: &'a ClusterImage,
    rules: ReplicationRules,
    current: &'a PartitionImage,
    next: PartitionImage,
    forgotten: Option<BrokerId>,
    prefers_first: bool,
    allows_unclean: bool,
    begins_epoch: bool,
}

impl<'a> PartitionChange<'a> {
    /// No change yet, of a partition of a topic with these rules. Brokers are usable as `image` says.
    pub fn new(image: &'a ClusterImage, current: &'a PartitionImage, rules: ReplicationRules) -> Self {
        PartitionChange {
            image,
            rules,
            current,
            next: current.clone(),
            forgotten: None,
            prefers_first: false,
            begins_epoch: false,
            allows_unclean: rules.allows_unclean,
        }
    }

    /// The partition as it is.
    pub fn current(&self) -> &'a PartitionImage {
        self.current
    }

    /// The rules of its topic.
    pub fn rules(&self) -> ReplicationRules {
        self.rules
    }

    /// Asks for this ISR.
    pub fn isr(mut self, isr: &[BrokerId]) -> Self {
        self.next.isr = Arc::from(isr);
        self
    }

    /// Asks for the ISR without this broker.
    pub fn out_of_sync(mut self, broker: BrokerId) -> Self {
        self.next.isr = without(&self.next.isr, &[broker]);
        self
    }

    /// Asks that what this broker holds counts no more: it leaves ISR, ELR and last known leaders.
    pub fn forgetting(mut self, broker: BrokerId) -> Self {
        self.forgotten = Some(broker);
        self.out_of_sync(broker)
    }

    /// Asks for a new leader epoch, also of the same leader: what it was told in the old one counts no more.
    pub fn beginning_epoch(mut self) -> Self {
        self.begins_epoch = true;
        self
    }

    /// Asks for these replicas, those to be removed included, on the way from some to others.
    pub fn replicas(mut self, replicas: BrokerIds, adding: BrokerIds, removing: BrokerIds) -> Self {
        (self.next.replicas, self.next.adding, self.next.removing) = (replicas, adding, removing);
        self
    }

    /// Asks that the first replica leads, if it can without loss.
    pub fn preferring_first(mut self) -> Self {
        self.prefers_first = true;
        self
    }

    /// Allows any replica to lead when none can without loss.
    pub fn allowing_unclean(mut self) -> Self {
        self.allows_unclean = true;
        self
    }

    /// The partition that results; `None` when nothing changes.
    pub fn build(mut self) -> Option<PartitionImage> {
        self.complete_reassignment();
        self.settle();
        if self.complete_reassignment() {
            // An eligible replica leads now, and it is all that the reassignment waited for.
            self.settle();
        }
        self.remember_leader();
        self.keep_what_is_equal();
        if self.next == *self.current && !(self.begins_epoch && self.next.leader >= 0) {
            return None;
        }
        let loses_replica = self.current.replicas.iter().any(|id| !self.next.replicas.contains(id));
        let has_other_leader = self.next.leader != self.current.leader;
        if has_other_leader || loses_replica || self.begins_epoch && self.next.leader >= 0 {
            self.next.leader_epoch += 1;
        }
        self.next.partition_epoch += 1;
        self.check();
        Some(self.next)
    }

    /// ISR, ELR and leader of the replicas as they are now.
    fn settle(&mut self) {
        let replicas = Arc::clone(&self.next.replicas);
        self.next.isr = self.next.isr.iter().copied().filter(|id| replicas.contains(id)).collect();
        self.next.elr = self.eligible();
        self.elect();
    }

    /// Ends a reassignment when all added replicas are in sync and enough are without the removed ones; says whether.
    fn complete_reassignment(&mut self) -> bool {
        let next = &mut self.next;
        if !next.is_moving() {
            return false;
        }
        let isr = without(&next.isr, &next.removing);
        let replicas = without(&next.replicas, &next.removing);
        let is_added = next.adding.iter().all(|id| isr.contains(id));
        let is_over = is_added && isr.len() >= self.rules.min_isr(replicas.len());
        if is_over {
            (next.isr, next.replicas) = (isr, replicas);
            next.adding = Arc::from([]);
            next.removing = Arc::from([]);
        }
        is_over
    }

    fn is_large_enough(&self) -> bool {
        self.next.isr.len() >= self.rules.min_isr(self.next.replication_factor())
    }

    /// Replicas out of sync that hold everything committed so far: they were in sync, and nothing commits while the ISR is
    /// smaller than the min ISR. An ISR that is large enough leaves none in the end.
    fn eligible(&self) -> BrokerIds {
        let held = |id: &BrokerId| self.current.elr.contains(id) || self.current.isr.contains(id);
        let is_out = |id: &BrokerId| !self.next.isr.contains(id) && self.forgotten != Some(*id);
        self.next.replicas.iter().copied().filter(|id| held(id) && is_out(id)).collect()
    }

    fn elect(&mut self) {
        let may_lead = |id: &BrokerId| self.image.may_lead(*id);
        let preferred =
            self.next.replicas.first().copied().filter(|id| self.prefers_first && self.can_lead(*id));
        let stays = Some(self.next.leader).filter(|id| self.can_lead(*id));
        let candidate = self.clean_candidate();
        let willing = [preferred, stays, candidate].into_iter().flatten().find(may_lead);
        let clean = willing.or(stays).or(candidate);
        let unclean = || self.unclean_candidate().filter(|_| self.allows_unclean);
        self.next.leader = match clean {
            Some(id) => {
                if !self.next.isr.contains(&id) {
                    self.next.isr = Arc::from([id]);
                    self.next.elr = without(&self.next.elr, &[id]);
                }
                id
            }
            None => match unclean() {
                Some(id) => {
                    // What the others have beyond this replica is lost: none of them is in sync with it.
                    self.next.isr = Arc::from([id]);
                    self.next.elr = Arc::from([]);
                    id
                }
                None => -1,
            },
        };
        if self.is_large_enough() {
            self.next.elr = Arc::from([]);
        }
    }

    /// Whether a replica can lead without losing records.
    fn can_lead(&self, id: BrokerId) -> bool {
        let (isr, elr) = (&self.next.isr, &self.next.elr);
        (isr.contains(&id) || isr.is_empty() && elr.contains(&id)) && self.image.is_usable(id)
    }

    /// Members of an ISR keep the order of the replicas. Of an ELR, those whose disks lost nothing come first.
    fn clean_candidate(&self) -> Option<BrokerId> {
        let candidates = self.next.replicas.iter().copied().filter(|id| self.can_lead(*id));
        candidates
            .min_by_key(|id| (!self.image.may_lead(*id), self.next.isr.is_empty() && self.is_suspect(*id)))
    }

    /// One that may lack records, but nothing that it is known to have lost.
    fn unclean_candidate(&self) -> Option<BrokerId> {
        let may_lead = |id: &BrokerId| self.image.is_usable(*id) && self.forgotten != Some(*id);
        let candidates = self.next.replicas.iter().copied().filter(may_lead);
        candidates.min_by_key(|id| (!self.image.may_lead(*id), self.is_suspect(*id)))
    }

    fn is_suspect(&self, id: BrokerId) -> bool {
        self.image.brokers.get(&id).is_some_and(|broker| broker.is_suspect)
    }

    /// Who led last is remembered while nobody leads.
    fn remember_leader(&mut self) {
        let known: &[BrokerId] = match (self.next.leader, self.current.leader) {
            (0.., _) => &[],
            (_, leader @ 0..) => &[leader],
            _ => &self.current.last_known_elr,
        };
        let stays = |id: &BrokerId| self.next.replicas.contains(id) && self.forgotten != Some(*id);
        self.next.last_known_elr = known.iter().copied().filter(stays).collect();
    }

    /// The order of an ISR means nothing: what did not change must not look changed.
    fn keep_what_is_equal(&mut self) {
        for (next, current) in [
            (&mut self.next.isr, &self.current.isr),
            (&mut self.next.elr, &self.current.elr),
            (&mut self.next.last_known_elr, &self.current.last_known_elr),
        ] {
            if same_members(next, current) {
                next.clone_from(current);
            }
        }
    }

    /// The rules at the head of this file, where they are made.
    fn check(&self) {
        let PartitionImage { replicas, isr, elr, leader, .. } = &self.next;
        assert!(isr.iter().chain(elr.iter()).all(|id| replicas.contains(id)), "{:?}", self.next);
        assert!(!elr.iter().any(|id| isr.contains(id)), "{:?}", self.next);
        assert!(elr.is_empty() || !self.is_large_enough(), "{:?}", self.next);
        assert!(*leader == -1 || isr.contains(leader) && self.image.is_usable(*leader), "{:?}", self.next);
    }
}

/// The first list without the members of the second.
pub fn without(ids: &[BrokerId], gone: &[BrokerId]) -> BrokerIds {
    ids.iter().copied().filter(|id| !gone.contains(id)).collect()
}

fn same_members(a: &[BrokerId], b: &[BrokerId]) -> bool {
    a.len() == b.len() && a.iter().all(|id| b.contains(id))
}

#[cfg(test)]
mod tests;
