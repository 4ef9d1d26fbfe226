//! What operators do: topics come, grow, change and go, replicas move, records are deleted.

use tidemark_core::metadata::command::Election;
use tidemark_core::metadata::placement::place;
use tidemark_core::metadata::{
    Command, ConfigAlteration, ConfigOp, ConfigOpKind, ConfigResource, NewPartitions, NewTopic, TopicKey,
    TopicReassignment,
};
use tidemark_protocol::types::{BrokerId, TopicId, TopicIdPartition};
use uuid::Uuid;

use super::bugs::Bug;
use super::node::Purpose;
use super::plan::{Errand, Plan};
use super::world::{Event, World};

/// More topics than this would only be slower.
const TOPICS_MAX: usize = 4;

impl World {
    /// An operator does something.
    pub fn errand(&mut self) {
        if self.is_healing {
            return;
        }
        let delay = self.around_ms(self.plan.errand_every_ms);
        self.after(delay, Event::Errand);
        // What is made now might be put on a disk of which the cluster does not know that it is empty.
        if self.nodes.values().any(|node| node.is_wiped) {
            return;
        }
        let Some(errand) = Plan::choose(&mut self.rng, &self.plan.errands) else { return };
        self.note(&format!("{errand:?}"));
        let names: Vec<String> = self.quorum.topic_names().into_iter().collect();
        let name = if names.is_empty() { None } else { Some(self.rng.pick(&names).clone()) };
        match (errand, name) {
            (Errand::Create, _) if names.len() < TOPICS_MAX => self.create_topic(),
            (Errand::Delete, Some(name)) if names.len() > 1 => {
                self.saw("topic deleted");
                self.submit(Command::DeleteTopics { topics: vec![TopicKey::Name(name)] });
            }
            (Errand::Grow, Some(name)) => self.grow(&name),
            (Errand::Reassign, Some(name)) => self.reassign(&name),
            (Errand::MinIsr, Some(name)) => {
                let value = self.rng.between(1, 4).to_string();
                let op = ConfigOp {
                    name: "min.insync.replicas".to_owned(),
                    kind: ConfigOpKind::Set,
                    value: Some(value),
                };
                let resource = ConfigResource::Topic(name);
                let alterations = vec![ConfigAlteration { resource, replace: false, ops: vec![op] }];
                self.submit(Command::AlterConfigs { alterations, statics: Default::default() });
            }
            (Errand::DeleteRecords, Some(name)) => self.delete_records(&name),
            (Errand::Preferred, _) => {
                self.submit(Command::ElectLeaders { election: Election::Preferred, partitions: None });
            }
            _ => {}
        }
    }

    /// Has a broker propose it.
    fn submit(&mut self, command: Command) {
        let up = self.ids(|node| node.is_awake() && node.replicas.is_some());
        if let Some(id) = self.pick(&up) {
            self.node(id).queue.push_back((command, Purpose::Errand));
            self.pump(id);
        }
    }

    /// A topic of this seed's taste.
    pub fn create_topic(&mut self) {
        let image = self.quorum.newest().clone();
        self.topics += 1;
        let usable = image.usable_brokers().count() as u64;
        if usable == 0 {
            return;
        }
        let most = usable.min(5);
        let factor = if self.rng.percent(15) { 1 + self.rng.below(most) } else { most.min(3) } as usize;
        let partitions = 1 + self.rng.below(3) as usize;
        let dice = self.rng.next_u64();
        let Ok(placement) = place(&image, 0, partitions, factor, dice) else { return };
        let mut configs = vec![
            ("internal.segment.bytes".to_owned(), Some("3000".to_owned())),
            ("segment.index.bytes".to_owned(), Some("1024".to_owned())),
            ("file.delete.delay.ms".to_owned(), Some("100".to_owned())),
        ];
        let min_isr = if self.bug == Bug::DefaultMinIsrOne { 1 } else { self.rng.between(1, 4) };
        if self.rng.percent(50) || self.bug == Bug::DefaultMinIsrOne {
            let min_isr = min_isr.to_string();
            configs.push(("min.insync.replicas".to_owned(), Some(min_isr)));
        }
        self.saw("topic created");
        // Names are used again: what is left of a deleted topic must not pass for the new one.
        let name = format!("t{}", self.topics % (TOPICS_MAX as u64 + 2));
        self.submit(Command::CreateTopics {
            topics: vec![NewTopic {
                name,
                id: TopicId(Uuid::from_u128(
                    u128::from(self.topics) << 64 | u128::from(self.seed) | 1 << 127,
                )),
                partitions: i32::try_from(partitions).expect("few"),
                replication_factor: i16::try_from(factor).expect("few"),
                manual: Vec::new(),
                placement,
                configs,
            }],
            statics: Default::default(),
        });
    }

    fn grow(&mut self, name: &str) {
        let image = self.quorum.newest().clone();
        let Some(topic) = image.topic(name) else { return };
        let (count, factor) = (topic.partitions.len(), topic.partitions[0].replication_factor());
        let dice = self.rng.next_u64();
        if count >= 4 {
            return;
        }
        let Ok(placement) = place(&image, count, 1, factor, dice) else { return };
        let count = i32::try_from(count + 1).expect("few");
        self.saw("partition added");
        self.submit(Command::CreatePartitions {
            topics: vec![NewPartitions { topic: name.to_owned(), count, manual: None, placement }],
        });
    }

    fn reassign(&mut self, name: &str) {
        let image = self.quorum.newest().clone();
        let Some(topic) = image.topic(name) else { return };
        let index = self.rng.below(topic.partitions.len() as u64) as usize;
        let partition = &topic.partitions[index];
        let mut brokers: Vec<BrokerId> = image.brokers.keys().copied().collect();
        let factor = partition.replication_factor().min(brokers.len());
        let mut target = Vec::new();
        while target.len() < factor {
            let at = self.rng.below(brokers.len() as u64) as usize;
            target.push(brokers.swap_remove(at));
        }
        // Now and then what runs is cancelled.
        let target = if partition.is_moving() && self.rng.percent(30) { None } else { Some(target) };
        self.saw("reassignment");
        let index = i32::try_from(index).expect("few");
        self.submit(Command::ReassignPartitions {
            topics: vec![TopicReassignment { topic: name.to_owned(), partitions: vec![(index, target)] }],
            allow_replication_factor_change: true,
        });
    }

    fn delete_records(&mut self, name: &str) {
        let image = self.quorum.newest().clone();
        let Some(topic) = image.topic(name) else { return };
        let index = self.rng.below(topic.partitions.len() as u64) as i32;
        let tp = TopicIdPartition { topic_id: topic.id, partition: index };
        let Some(leader) = topic.partition(index).map(|partition| partition.leader) else { return };
        let Some(node) = self.nodes.get_mut(&leader).filter(|node| node.is_awake()) else { return };
        let Some(handle) = node.replicas.as_ref().and_then(|replicas| replicas.partition(tp)) else { return };
        let Some(view) = handle.view() else { return };
        let span = u64::try_from(view.high_watermark - view.log_start).expect("the chain holds");
        let before = view.log_start + self.rng.below(span + 1) as i64;
        let ledger = self.ledgers.entry(tp).or_default();
        ledger.deletable_to = ledger.deletable_to.max(before);
        let deletion = Box::pin(async move { handle.delete_records(Some(before)).await });
        self.node(leader).deletions.push((tp, deletion));
        self.poll_deletions(leader);
        self.wake(leader, std::time::Duration::ZERO);
    }

    /// Deletions that are answered count from now on.
    pub fn poll_deletions(&mut self, id: BrokerId) {
        use std::task::{Context, Poll, Waker};
        let deletions = std::mem::take(&mut self.node(id).deletions);
        for (tp, mut deletion) in deletions {
            match deletion.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Pending => self.node(id).deletions.push((tp, deletion)),
                Poll::Ready(Ok(start)) => {
                    self.saw("records deleted");
                    let mirror = self.node(id).mirrors.entry(tp).or_default();
                    mirror.deleted_to = mirror.deleted_to.max(start);
                }
                Poll::Ready(Err(_)) => {}
            }
        }
    }
}
