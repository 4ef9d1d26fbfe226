//! A cluster of several brokers for conversations with the controller: commands in short words, one topic "t".

use std::collections::BTreeMap;

use tidemark_protocol::error_code::ErrorCode;
use tidemark_protocol::types::{BrokerId, TopicIdPartition, TopicPartition};
use uuid::Uuid;

use super::{alter, create, new_topic, registration, run};
use crate::metadata::command::{
    Command, ConfigOpKind, Election, IsrProposal, NewTopic, Recovery, TopicPartitions, TopicReassignment,
};
use crate::metadata::image::{ClusterImage, ConfigResource, PartitionImage};
use crate::metadata::reply::{Failure, PartitionState, Reply};

/// A cluster and the number of registrations so far.
pub(crate) struct World {
    pub(crate) image: ClusterImage,
    incarnations: u128,
}

impl World {
    /// Brokers 1 to `brokers`, registered fenced and unfenced since.
    pub(crate) fn new(brokers: i32) -> World {
        let mut world = World { image: ClusterImage::new("tidal"), incarnations: 0 };
        for id in 1..=brokers {
            world.register(id, Recovery::Clean);
            world.unfence(id);
        }
        world
    }

    /// The same with topic "t": one partition with these replicas.
    pub(crate) fn with_topic(brokers: i32, replicas: &[BrokerId]) -> World {
        World::configured(brokers, replicas, &[])
    }

    /// The same with overrides.
    pub(crate) fn configured(brokers: i32, replicas: &[BrokerId], configs: &[(&str, &str)]) -> World {
        let mut world = World::new(brokers);
        let configs = configs.iter().map(|(key, value)| ((*key).to_owned(), Some((*value).to_owned())));
        let topic = NewTopic {
            manual: vec![(0, replicas.to_vec())],
            configs: configs.collect(),
            ..new_topic(&world.image, "t", -1, -1)
        };
        run(&mut world.image, &create(vec![topic]));
        assert_eq!(world.t().replicas.len(), replicas.len());
        world
    }

    pub(crate) fn t(&self) -> PartitionImage {
        self.image.partition(&TopicPartition::new("t", 0)).unwrap().clone()
    }

    /// Leader, ISR and ELR of "t".
    #[track_caller]
    pub(crate) fn expect(&self, leader: BrokerId, isr: &[BrokerId], elr: &[BrokerId]) {
        let t = self.t();
        assert_eq!((t.leader, &*t.isr, &*t.elr), (leader, isr, elr));
    }

    pub(crate) fn epoch(&self, id: BrokerId) -> i64 {
        self.image.brokers.get(&id).map_or(-1, |broker| broker.epoch)
    }

    /// Registers a new incarnation, fenced, that knows its last epoch and has the same disk.
    pub(crate) fn register(&mut self, id: BrokerId, found: Recovery) {
        let command = self.registration(id, found);
        self.registered(&command).unwrap();
    }

    pub(crate) fn registration(&mut self, id: BrokerId, found: Recovery) -> Command {
        self.incarnations += 1;
        let mut command = registration(id, self.incarnations);
        let Command::RegisterBroker { fenced, previous_epoch, recovery, directories, .. } = &mut command
        else {
            unreachable!()
        };
        (*fenced, *previous_epoch, *recovery) = (true, self.epoch(id), found);
        *directories = vec![Uuid::from_u128(u128::try_from(id).unwrap())];
        command
    }

    pub(crate) fn registered(&mut self, command: &Command) -> Result<i64, Failure> {
        match run(&mut self.image, command) {
            Reply::BrokerRegistered(result) => result,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn fence(&mut self, id: BrokerId) {
        self.change(Command::FenceBroker { id, epoch: self.epoch(id) }).unwrap();
    }

    pub(crate) fn unfence(&mut self, id: BrokerId) {
        self.change(Command::UnfenceBroker { id, epoch: self.epoch(id) }).unwrap();
    }

    pub(crate) fn shut_down(&mut self, id: BrokerId) {
        self.change(Command::BeginControlledShutdown { id, epoch: self.epoch(id) }).unwrap();
    }

    pub(crate) fn quarantine(&mut self, id: BrokerId) {
        let topic_id = self.image.topic("t").unwrap().id;
        let partitions = vec![TopicIdPartition { topic_id, partition: 0 }];
        let broker_epoch = self.epoch(id);
        self.change(Command::QuarantineReplicas { broker: id, broker_epoch, partitions }).unwrap();
    }

    pub(crate) fn change(&mut self, command: Command) -> Result<(), Failure> {
        match run(&mut self.image, &command) {
            Reply::BrokerChanged(result) => result,
            other => panic!("{other:?}"),
        }
    }

    /// A proposal of the leader of "t" as it would send it now.
    pub(crate) fn proposal(&self, isr: &[BrokerId]) -> IsrProposal {
        let t = self.t();
        IsrProposal {
            topic_id: self.image.topic("t").unwrap().id,
            index: 0,
            leader_epoch: t.leader_epoch,
            partition_epoch: t.partition_epoch,
            isr: isr.iter().map(|id| (*id, self.epoch(*id))).collect(),
        }
    }

    pub(crate) fn alter_as(
        &mut self,
        broker: BrokerId,
        proposal: IsrProposal,
    ) -> Result<PartitionState, ErrorCode> {
        let broker_epoch = self.epoch(broker);
        let partitions = vec![proposal];
        match run(&mut self.image, &Command::AlterPartition { broker, broker_epoch, partitions }) {
            Reply::PartitionsAltered(Ok(mut results)) => {
                results.remove(0).result.map_err(|failure| failure.code)
            }
            Reply::PartitionsAltered(Err(failure)) => Err(failure.code),
            other => panic!("{other:?}"),
        }
    }

    /// The leader of "t" gets this ISR.
    pub(crate) fn isr(&mut self, isr: &[BrokerId]) {
        let proposal = self.proposal(isr);
        self.alter_as(self.t().leader, proposal).unwrap();
    }

    pub(crate) fn set(&mut self, resource: ConfigResource, key: &str, value: Option<&str>) {
        let kind = if value.is_some() { ConfigOpKind::Set } else { ConfigOpKind::Delete };
        match run(&mut self.image, &alter(resource, &[(key, kind, value)])) {
            Reply::ConfigsAltered(results) => assert_eq!(results[0].result, Ok(())),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn set_topic(&mut self, key: &str, value: Option<&str>) {
        self.set(ConfigResource::Topic("t".to_owned()), key, value);
    }

    pub(crate) fn elect(&mut self, election: Election) -> Result<(), ErrorCode> {
        let partitions = Some(vec![TopicPartitions { topic: "t".to_owned(), partitions: vec![0] }]);
        match run(&mut self.image, &Command::ElectLeaders { election, partitions }) {
            Reply::LeadersElected(mut results) => {
                results.remove(0).partitions.remove(0).1.map_err(|failure| failure.code)
            }
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn reassign(&mut self, target: Option<&[BrokerId]>) -> Result<(), Failure> {
        let topics = vec![TopicReassignment {
            topic: "t".to_owned(),
            partitions: vec![(0, target.map(<[BrokerId]>::to_vec))],
        }];
        let command = Command::ReassignPartitions { topics, allow_replication_factor_change: true };
        match run(&mut self.image, &command) {
            Reply::PartitionsReassigned(mut results) => results.remove(0).partitions.remove(0).1,
            other => panic!("{other:?}"),
        }
    }

    /// Static configuration of a broker, as its next registration tells.
    pub(crate) fn register_with(&mut self, id: BrokerId, key: &str, value: &str) {
        let mut command = self.registration(id, Recovery::Clean);
        let Command::RegisterBroker { statics, .. } = &mut command else { unreachable!() };
        *statics = BTreeMap::from([(key.to_owned(), value.to_owned())]);
        self.registered(&command).unwrap();
    }
}
