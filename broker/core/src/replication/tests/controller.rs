//! [`Controller`]: a controller that is always right and answers at once; what is slow is the way to it and back.
//!
//! Brokers, one partition, Kafka's order of validation, ELR (KIP-966). Every change makes an image; brokers apply images
//! in order, as late as they like.

use std::collections::BTreeMap;
use std::rc::Rc;

use tidemark_protocol::error_code::ErrorCode;
use tidemark_protocol::types::{BrokerId, LeaderEpoch};

use crate::replication::isr::{CommittedIsr, IsrAnswer, IsrProposal};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Broker {
    pub epoch: i64,
    pub is_fenced: bool,
    pub is_stopping: bool,
}

impl Broker {
    fn is_usable(&self) -> bool {
        !self.is_fenced && !self.is_stopping
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partition {
    pub replicas: Vec<BrokerId>,
    pub isr: Vec<BrokerId>,
    pub elr: Vec<BrokerId>,
    /// −1: none.
    pub leader: BrokerId,
    pub leader_epoch: LeaderEpoch,
    pub partition_epoch: i32,
}

/// The cluster after one change.
#[derive(Clone, Debug)]
pub struct Image {
    pub brokers: BTreeMap<BrokerId, Broker>,
    pub partition: Partition,
}

impl Image {
    /// Replicas that may be in sync, with their broker epochs.
    pub fn eligible(&self) -> BTreeMap<BrokerId, i64> {
        let replicas = self.partition.replicas.iter();
        let usable =
            replicas.filter_map(|id| Some((*id, self.brokers.get(id).filter(|b| b.is_usable())?.epoch)));
        usable.collect()
    }

    /// Whoever can be elected without loss, up or not.
    pub fn candidates(&self) -> impl Iterator<Item = BrokerId> {
        self.partition.isr.iter().chain(&self.partition.elr).copied()
    }
}

#[derive(Clone, Debug)]
pub struct Controller {
    pub now: Image,
    pub images: Vec<Rc<Image>>,
    pub min_insync_replicas: usize,
    /// Planted bug: an unknown broker epoch passes.
    pub allows_unknown_epoch: bool,
    /// Planted bug: attempts that were given up pass.
    pub allows_late_attempts: bool,
    /// A leader was taken from the ELR by the last change.
    pub elected_from_elr: bool,
    attempts: BTreeMap<(BrokerId, i64), u64>,
}

impl Controller {
    /// Brokers 1 to `brokers`, of which the first `replicas` hold the partition; all in sync.
    pub fn new(brokers: i32, replicas: i32, min_insync_replicas: usize) -> Controller {
        let broker = |id| (id, Broker { epoch: i64::from(id), is_fenced: false, is_stopping: false });
        let partition = Partition {
            replicas: (1..=replicas).collect(),
            isr: (1..=replicas).collect(),
            elr: Vec::new(),
            leader: 1,
            leader_epoch: 0,
            partition_epoch: 0,
        };
        let now = Image { brokers: (1..=brokers).map(broker).collect(), partition };
        let images = vec![Rc::new(now.clone())];
        Controller {
            now,
            images,
            min_insync_replicas,
            allows_unknown_epoch: false,
            allows_late_attempts: false,
            elected_from_elr: false,
            attempts: BTreeMap::new(),
        }
    }

    pub fn required_isr(&self) -> usize {
        self.min_insync_replicas.min(self.now.partition.replicas.len()).max(1)
    }

    /// A broker's session is over.
    pub fn fence(&mut self, id: BrokerId) {
        self.broker(id).is_fenced = true;
        self.leave_isr(id);
    }

    /// A fenced broker has caught up with the metadata.
    pub fn unfence(&mut self, id: BrokerId) {
        self.broker(id).is_fenced = false;
        let isr = self.now.partition.isr.clone();
        self.change(isr, None);
    }

    /// A broker wants to stop: others lead and commit without it, if there are any.
    pub fn begin_shutdown(&mut self, id: BrokerId) {
        self.broker(id).is_stopping = true;
        self.leave_isr(id);
    }

    /// A new incarnation: the session of the last one ends first. A wiped disk has nothing that could be elected.
    pub fn register(&mut self, id: BrokerId, is_wiped: bool) -> i64 {
        self.broker(id).is_fenced = true;
        self.leave_isr(id);
        if is_wiped && self.now.partition.elr.contains(&id) {
            self.now.partition.elr.retain(|member| *member != id);
            self.now.partition.partition_epoch += 1;
        }
        let epoch = 100 + self.images.len() as i64;
        *self.broker(id) = Broker { epoch, is_fenced: true, is_stopping: false };
        self.publish();
        epoch
    }

    /// Another member of the ISR leads.
    pub fn move_leader(&mut self, to: BrokerId) {
        let partition = &mut self.now.partition;
        assert!(partition.isr.contains(&to));
        partition.leader = to;
        partition.leader_epoch += 1;
        partition.partition_epoch += 1;
        self.publish();
    }

    pub fn add_replica(&mut self, id: BrokerId) {
        self.now.partition.replicas.push(id);
        self.now.partition.partition_epoch += 1;
        // With more replicas more of them may be required.
        let isr = self.now.partition.isr.clone();
        self.change(isr, None);
    }

    /// Takes a replica away that does not lead. The old leader epoch ends, so that its leader forgets it.
    pub fn remove_replica(&mut self, id: BrokerId) {
        let partition = &mut self.now.partition;
        partition.replicas.retain(|replica| *replica != id);
        partition.partition_epoch += 1;
        partition.leader_epoch += 1;
        let isr = partition.isr.iter().copied().filter(|member| *member != id).collect();
        self.change(isr, Some(id));
    }

    /// AlterPartition. `None`: an attempt that was given up, or a copy, which the way to the controller must drop.
    pub fn alter(
        &mut self,
        from: BrokerId,
        broker_epoch: i64,
        attempt: u64,
        asked: &IsrProposal,
    ) -> Option<IsrAnswer> {
        let newest = self.attempts.entry((from, broker_epoch)).or_default();
        if attempt <= *newest && !self.allows_late_attempts {
            return None;
        }
        *newest = attempt;
        if let Err(code) = self.check(from, broker_epoch, asked) {
            return Some(Err(code));
        }
        self.change(asked.isr.iter().map(|(member, _)| *member).collect(), None);
        let Partition { leader_epoch, partition_epoch, isr, .. } = self.now.partition.clone();
        Some(Ok(CommittedIsr { leader_epoch, partition_epoch, isr }))
    }

    fn check(&self, from: BrokerId, broker_epoch: i64, asked: &IsrProposal) -> Result<(), ErrorCode> {
        let partition = &self.now.partition;
        if self.now.brokers[&from].epoch != broker_epoch {
            return Err(ErrorCode::StaleBrokerEpoch);
        }
        if asked.leader_epoch > partition.leader_epoch || asked.partition_epoch > partition.partition_epoch {
            return Err(ErrorCode::NotController);
        }
        if asked.leader_epoch < partition.leader_epoch {
            return Err(ErrorCode::FencedLeaderEpoch);
        }
        if from != partition.leader {
            return Err(ErrorCode::InvalidRequest);
        }
        if asked.partition_epoch < partition.partition_epoch {
            return Err(ErrorCode::InvalidUpdateVersion);
        }
        let is_replica = |(id, _): &(BrokerId, i64)| partition.replicas.contains(id);
        if !asked.isr.iter().all(is_replica) || !asked.isr.iter().any(|(id, _)| *id == from) {
            return Err(ErrorCode::InvalidRequest);
        }
        let is_eligible = |(id, epoch): &(BrokerId, i64)| {
            let broker = self.now.brokers[id];
            let is_it = broker.epoch == *epoch || (self.allows_unknown_epoch && *epoch == -1);
            broker.is_usable() && is_it
        };
        if asked.isr.iter().all(is_eligible) { Ok(()) } else { Err(ErrorCode::IneligibleReplica) }
    }

    fn broker(&mut self, id: BrokerId) -> &mut Broker {
        self.now.brokers.get_mut(&id).unwrap()
    }

    /// A broker that stops stays in the ISR if nobody else is there; one that is fenced never does.
    fn leave_isr(&mut self, id: BrokerId) {
        let isr: Vec<BrokerId> =
            self.now.partition.isr.iter().copied().filter(|member| *member != id).collect();
        let has_other = isr.iter().any(|member| self.now.brokers[member].is_usable());
        if self.now.brokers[&id].is_fenced || has_other {
            self.change(isr, None);
        } else {
            self.publish();
        }
    }

    /// The one way in which the ISR changes: the ELR follows from it, a leader is elected if there is none.
    fn change(&mut self, isr: Vec<BrokerId>, gone: Option<BrokerId>) {
        self.elected_from_elr = false;
        let old = self.now.partition.clone();
        let required = self.required_isr();
        let elr_for = |isr: &[BrokerId]| -> Vec<BrokerId> {
            let known = || old.elr.iter().chain(old.isr.iter().filter(|member| !old.elr.contains(member)));
            let stays = |id: &&BrokerId| !isr.contains(id) && Some(**id) != gone;
            if isr.len() >= required { Vec::new() } else { known().filter(stays).copied().collect() }
        };
        let elr = elr_for(&isr);
        let usable = |ids: &[BrokerId]| ids.iter().copied().find(|id| self.now.brokers[id].is_usable());
        let (mut leader, mut isr, mut elr) = (old.leader, isr, elr);
        if !isr.contains(&leader) {
            leader = usable(&isr).unwrap_or(-1);
            if let Some(elected) = usable(&elr).filter(|_| isr.is_empty()) {
                leader = elected;
                isr = vec![elected];
                elr = elr_for(&isr);
                self.elected_from_elr = true;
            }
        }
        let partition = &mut self.now.partition;
        if (&isr, &elr, leader) != (&old.isr, &old.elr, old.leader) {
            partition.partition_epoch += 1;
            partition.leader_epoch += i32::from(leader != old.leader);
            (partition.isr, partition.elr, partition.leader) = (isr, elr, leader);
        }
        self.publish();
    }

    fn publish(&mut self) {
        self.images.push(Rc::new(self.now.clone()));
    }
}
