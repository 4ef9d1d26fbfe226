//! Commands by chance: mostly what brokers and admins would send now, sometimes what is stale or impossible.

use std::collections::BTreeMap;

use tidemark_protocol::types::{BrokerId, PartitionIndex, TopicIdPartition};
use uuid::Uuid;

use crate::metadata::balance;
use crate::metadata::command::{
    Command, ConfigOpKind, Election, IsrProposal, NewPartitions, NewTopic, Recovery, TopicKey,
    TopicPartitions, TopicReassignment,
};
use crate::metadata::decide::tests::{alter, create, new_topic, registration};
use crate::metadata::image::{ClusterImage, ConfigResource, PartitionImage, TopicImage};
use crate::metadata::placement;

/// SplitMix64.
pub(super) struct Chance(pub(super) u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(super) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).unwrap()
    }

    pub(super) fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len())]
    }
}

const LOST: u128 = 1 << 100;

/// Whether a registration tells that the disk is not the one before. The workload draws another directory for a broker
/// whose disk was exchanged.
pub(super) fn is_lost(command: &Command) -> bool {
    let Command::RegisterBroker { recovery, directories, .. } = command else { return false };
    *recovery == Recovery::Wiped || directories.iter().any(|id| id.as_u128() & LOST != 0)
}

pub(super) struct Workload {
    brokers: BrokerId,
    incarnations: u128,
    topics: usize,
}

impl Workload {
    pub(super) fn new(chance: &mut Chance) -> Workload {
        Workload { brokers: 3 + BrokerId::try_from(chance.below(4)).unwrap(), incarnations: 0, topics: 0 }
    }

    /// One command, or a few that belong together.
    pub(super) fn next(&mut self, image: &ClusterImage, chance: &mut Chance) -> Vec<Command> {
        let id = 1 + BrokerId::try_from(chance.below(usize::try_from(self.brokers).unwrap())).unwrap();
        let known = image.brokers.get(&id);
        let stale = i64::from(chance.one_in(20));
        let epoch = known.map_or(1, |broker| broker.epoch) - stale;
        let Some(known) = known else { return vec![self.registration(image, id, chance)] };
        let command = match chance.below(40) {
            0..=4 if !known.fenced => Command::FenceBroker { id, epoch },
            0..=9 if known.in_controlled_shutdown => self.registration(image, id, chance),
            0..=9 => Command::UnfenceBroker { id, epoch },
            10 => Command::BeginControlledShutdown { id, epoch },
            11 => Command::UnregisterBroker { id },
            12..=14 => self.registration(image, id, chance),
            15 | 16 => self.topic(image, chance),
            17 => delete(image, chance),
            18 => grow(image, chance),
            19 | 20 => configure(image, id, chance),
            21 => elect(image, chance),
            22..=25 => self.reassign(image, chance),
            26 => quarantine(image, id, epoch, chance),
            27 => return plans(image, id),
            _ => return (0..3).filter_map(|_| alter_partition(image, chance)).take(1).collect(),
        };
        vec![command]
    }

    fn registration(&mut self, image: &ClusterImage, id: BrokerId, chance: &mut Chance) -> Command {
        self.incarnations += 1;
        let known = image.brokers.get(&id);
        let mut command = registration(id, self.incarnations);
        let Command::RegisterBroker {
            fenced,
            recovery,
            directories,
            previous_epoch,
            session_is_live,
            statics,
            ..
        } = &mut command
        else {
            unreachable!()
        };
        *fenced = !chance.one_in(10);
        *recovery = *chance.pick(&[
            Recovery::Clean,
            Recovery::Clean,
            Recovery::Intact,
            Recovery::Intact,
            Recovery::Suspect,
            Recovery::Wiped,
        ]);
        // Another directory than before is a lost one; the mark says so to the model.
        let own = known.and_then(|broker| broker.directories.first().copied());
        *directories = match own {
            Some(own) if !chance.one_in(8) => vec![Uuid::from_u128(own.as_u128() & !LOST)],
            _ => vec![Uuid::from_u128(LOST | self.incarnations)],
        };
        if own.is_some_and(|own| own.as_u128() & LOST != 0) && directories[0].as_u128() & LOST == 0 {
            // The mark is part of the id: taking it off is another directory, too.
            directories[0] = Uuid::from_u128(LOST | self.incarnations);
        }
        *previous_epoch = known.map_or(-1, |broker| broker.epoch) - i64::from(chance.one_in(4));
        *session_is_live = chance.one_in(8);
        if chance.one_in(10) {
            let value = chance.pick(&["1", "2", "3"]);
            *statics = BTreeMap::from([("min.insync.replicas".to_owned(), (*value).to_owned())]);
        }
        command
    }

    fn topic(&mut self, image: &ClusterImage, chance: &mut Chance) -> Command {
        self.topics += 1;
        let partitions = 1 + i32::try_from(chance.below(3)).unwrap();
        let replicas = 1 + i16::try_from(chance.below(4)).unwrap();
        let name =
            if chance.one_in(6) { "__consumer_offsets".to_owned() } else { format!("t{}", self.topics % 4) };
        let mut configs = Vec::new();
        if chance.one_in(2) {
            let value = chance.pick(&["1", "2", "3"]);
            configs.push(("min.insync.replicas".to_owned(), Some((*value).to_owned())));
        }
        if chance.one_in(8) {
            configs.push(("unclean.leader.election.enable".to_owned(), Some("true".to_owned())));
        }
        if chance.one_in(8) {
            configs.push(("tidemark.flush".to_owned(), Some("async".to_owned())));
        }
        create(vec![NewTopic { configs, ..new_topic(image, &name, partitions, replicas) }])
    }

    fn reassign(&self, image: &ClusterImage, chance: &mut Chance) -> Command {
        let Some((topic, index, partition)) = any_partition(image, chance) else {
            return Command::ReassignPartitions { topics: Vec::new(), allow_replication_factor_change: true };
        };
        let is_moving = !partition.adding.is_empty() || !partition.removing.is_empty();
        let target = if is_moving && chance.one_in(3) {
            None
        } else {
            let mut ids: Vec<BrokerId> = (1..=self.brokers).collect();
            for at in (1..ids.len()).rev() {
                ids.swap(at, chance.below(at + 1));
            }
            ids.truncate(1 + chance.below(4));
            Some(ids)
        };
        let topics =
            vec![TopicReassignment { topic: topic.name.to_string(), partitions: vec![(index, target)] }];
        Command::ReassignPartitions { topics, allow_replication_factor_change: true }
    }
}

fn any_partition(
    image: &ClusterImage,
    chance: &mut Chance,
) -> Option<(TopicImage, PartitionIndex, PartitionImage)> {
    let topics: Vec<_> = image.topics.values().collect();
    if topics.is_empty() {
        return None;
    }
    let topic = (***chance.pick(&topics)).clone();
    let at = chance.below(topic.partitions.len());
    let partition = topic.partitions[at].clone();
    Some((topic, PartitionIndex::try_from(at).unwrap(), partition))
}

/// What a leader would ask for; now and then with an old epoch, one of the future, or members that cannot be.
fn alter_partition(image: &ClusterImage, chance: &mut Chance) -> Option<Command> {
    let (topic, index, partition) = any_partition(image, chance)?;
    if partition.leader < 0 {
        return None;
    }
    let is_wanted = |id: &BrokerId, chance: &mut Chance| {
        *id == partition.leader || !chance.one_in(4) && (image.is_usable(*id) || chance.one_in(20))
    };
    let members: Vec<BrokerId> =
        partition.replicas.iter().copied().filter(|id| is_wanted(id, chance)).collect();
    let epoch_of = |id: BrokerId| image.brokers.get(&id).map_or(-1, |broker| broker.epoch);
    let mut isr: Vec<(BrokerId, i64)> = members.iter().map(|id| (*id, epoch_of(*id))).collect();
    let (mut leader_epoch, mut partition_epoch) = (partition.leader_epoch, partition.partition_epoch);
    let mut broker = partition.leader;
    match chance.below(40) {
        0 => leader_epoch -= 1,
        1 => partition_epoch -= 1,
        2 => partition_epoch += 1,
        3 => broker = 1,
        4 => isr.last_mut().unwrap().1 = -1,
        5 => isr.retain(|(id, _)| *id != partition.leader),
        _ => {}
    }
    let partitions = vec![IsrProposal { topic_id: topic.id, index, leader_epoch, partition_epoch, isr }];
    Some(Command::AlterPartition { broker, broker_epoch: epoch_of(broker), partitions })
}

fn quarantine(image: &ClusterImage, broker: BrokerId, broker_epoch: i64, chance: &mut Chance) -> Command {
    let partitions = any_partition(image, chance)
        .map(|(topic, partition, _)| TopicIdPartition { topic_id: topic.id, partition });
    Command::QuarantineReplicas { broker, broker_epoch, partitions: partitions.into_iter().collect() }
}

fn delete(image: &ClusterImage, chance: &mut Chance) -> Command {
    let topic = any_partition(image, chance).map(|(topic, ..)| TopicKey::Name(topic.name.to_string()));
    Command::DeleteTopics { topics: topic.into_iter().collect() }
}

fn grow(image: &ClusterImage, chance: &mut Chance) -> Command {
    let grown = any_partition(image, chance).map(|(topic, ..)| {
        let existing = topic.partitions.len();
        let factor = topic.replication_factor();
        NewPartitions {
            topic: topic.name.to_string(),
            count: i32::try_from(existing + 1).unwrap(),
            manual: None,
            placement: placement::place(image, existing, 1, factor, 0).unwrap_or_default(),
        }
    });
    Command::CreatePartitions { topics: grown.into_iter().collect() }
}

fn configure(image: &ClusterImage, id: BrokerId, chance: &mut Chance) -> Command {
    let topic = any_partition(image, chance).map(|(topic, ..)| ConfigResource::Topic(topic.name.to_string()));
    let resource = match (topic, chance.below(4)) {
        (_, 0) => ConfigResource::BrokerDefault,
        (_, 1) | (None, _) => ConfigResource::Broker(id),
        (Some(topic), _) => topic,
    };
    let (key, value) = *chance.pick(&[
        ("min.insync.replicas", Some("1")),
        ("min.insync.replicas", Some("2")),
        ("min.insync.replicas", Some("3")),
        ("min.insync.replicas", None),
        ("unclean.leader.election.enable", Some("true")),
        ("unclean.leader.election.enable", Some("false")),
        ("unclean.leader.election.enable", None),
    ]);
    let kind = if value.is_some() { ConfigOpKind::Set } else { ConfigOpKind::Delete };
    alter(resource, &[(key, kind, value)])
}

fn elect(image: &ClusterImage, chance: &mut Chance) -> Command {
    let election = if chance.one_in(2) { Election::Unclean } else { Election::Preferred };
    let one = any_partition(image, chance).filter(|_| !chance.one_in(4));
    let partitions = one.map(|(topic, index, _)| {
        vec![TopicPartitions { topic: topic.name.to_string(), partitions: vec![index] }]
    });
    Command::ElectLeaders { election, partitions }
}

/// What the controller proposes by itself.
fn plans(image: &ClusterImage, id: BrokerId) -> Vec<Command> {
    let election = Election::Preferred;
    let mut commands =
        vec![Command::ElectLeaders { election, partitions: Some(balance::imbalance(image, 10)) }];
    let mut reassign = |topics: Vec<TopicReassignment>| {
        if !topics.is_empty() {
            commands.push(Command::ReassignPartitions { topics, allow_replication_factor_change: true });
        }
    };
    reassign(balance::internal_replication(image, 3));
    if let Ok(plan) = balance::drain_plan(image, id) {
        reassign(plan);
    }
    commands
}
