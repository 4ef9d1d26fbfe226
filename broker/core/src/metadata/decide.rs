//! [`decide`]: which records a command becomes. Deterministic: image and command are all it sees.
//!
//! Run by every voter when the command is committed, and alone for `validate_only` and for an early answer. Items of
//! one command are decided one after another, each on the image that the ones before it leave.

mod alter_partition;
mod assignment;
mod broker_life;
mod brokers;
mod client_quotas;
mod configs;
mod drains;
mod elections;
mod partitions;
mod reassignments;
mod topics;

use super::command::{Command, Recovery};
use super::image::{BrokerRegistration, ClusterImage};
use super::record::MetadataRecord;
use super::replication_rules::REPLICATION_KEYS;
use super::reply::{Failure, Reply};
use brokers::Arrival;

/// What a command becomes.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// To apply, in order, all or none.
    pub records: Vec<MetadataRecord>,
    /// To answer once they are applied.
    pub reply: Reply,
}

/// Decides a command on the image before it. `index` is the log index of the entry (the broker epoch of a
/// registration); for `validate_only` any number will do.
pub fn decide(image: &ClusterImage, command: &Command, index: u64) -> Outcome {
    let mut outcome = Draft { image: image.clone(), records: Vec::new() };
    let draft = &mut outcome;
    let reply = match command {
        Command::InitializeCluster { cluster_id, features } => {
            Reply::Initialized(brokers::initialize(draft, cluster_id, features))
        }
        Command::RegisterBroker { .. } => Reply::BrokerRegistered(register(draft, command, index)),
        Command::FenceBroker { id, epoch } => Reply::BrokerChanged(broker_life::fence(draft, *id, *epoch)),
        Command::UnfenceBroker { id, epoch } => {
            Reply::BrokerChanged(broker_life::unfence(draft, *id, *epoch))
        }
        Command::BeginControlledShutdown { id, epoch } => {
            Reply::BrokerChanged(broker_life::begin_shutdown(draft, *id, *epoch))
        }
        Command::UnregisterBroker { id } => Reply::BrokerChanged(broker_life::unregister(draft, *id)),
        Command::QuarantineReplicas { broker, broker_epoch, partitions } => {
            Reply::BrokerChanged(broker_life::quarantine(draft, *broker, *broker_epoch, partitions))
        }
        Command::AlterPartition { broker, broker_epoch, partitions } => {
            Reply::PartitionsAltered(alter_partition::alter(draft, *broker, *broker_epoch, partitions))
        }
        Command::CreateTopics { topics, statics } => {
            Reply::TopicsCreated(topics::create(draft, topics, statics))
        }
        Command::DeleteTopics { topics } => Reply::TopicsDeleted(topics::delete(draft, topics)),
        Command::CreatePartitions { topics } => {
            Reply::PartitionsCreated(topics::add_partitions(draft, topics))
        }
        Command::AlterConfigs { alterations, statics } => {
            Reply::ConfigsAltered(configs::alter(draft, alterations, statics))
        }
        Command::AllocateProducerIds { broker, broker_epoch } => {
            Reply::ProducerIdsAllocated(brokers::allocate_producer_ids(draft, *broker, *broker_epoch))
        }
        Command::ElectLeaders { election, partitions } => {
            Reply::LeadersElected(elections::elect(draft, *election, partitions.as_deref()))
        }
        Command::ReassignPartitions { topics, allow_replication_factor_change } => {
            let results = reassignments::reassign(draft, topics, *allow_replication_factor_change);
            Reply::PartitionsReassigned(results)
        }
        Command::AlterClientQuotas { items } => {
            let results = client_quotas::alter(&draft.image, items);
            let pushed = results.into_iter().map(|result| result.map(|record| draft.push(record)));
            Reply::QuotasAltered(pushed.collect())
        }
        Command::DrainBroker { id, leaves } => Reply::BrokerChanged(drains::begin(draft, *id, *leaves)),
        Command::UndrainBroker { id } => Reply::BrokerChanged(drains::end(draft, *id)),
    };
    Outcome { records: outcome.records, reply }
}

/// Takes a registration apart into what is kept and what only decides about it.
fn register(draft: &mut Draft, command: &Command, index: u64) -> Result<i64, Failure> {
    let Command::RegisterBroker {
        id,
        cluster_id,
        incarnation,
        rack,
        endpoints,
        directories,
        statics,
        fenced,
        previous_epoch,
        recovery,
        session_is_live,
    } = command
    else {
        unreachable!("called for registrations only")
    };
    let kept = |(key, _): &(&String, &String)| REPLICATION_KEYS.contains(&key.as_str());
    let asked = BrokerRegistration {
        id: *id,
        epoch: i64::try_from(index).expect("log indexes stay below 2^63"),
        incarnation: *incarnation,
        rack: rack.clone(),
        endpoints: endpoints.clone(),
        directories: directories.clone(),
        fenced: *fenced,
        in_controlled_shutdown: false,
        is_suspect: *recovery == Recovery::Suspect,
        statics: statics.iter().filter(kept).map(|(key, value)| (key.clone(), value.clone())).collect(),
    };
    let arrival = Arrival {
        cluster_id,
        previous_epoch: *previous_epoch,
        recovery: *recovery,
        session_is_live: *session_is_live,
    };
    brokers::register(draft, &arrival, asked)
}

/// The image as the records so far leave it, and those records.
struct Draft {
    image: ClusterImage,
    records: Vec<MetadataRecord>,
}

impl Draft {
    fn push(&mut self, record: MetadataRecord) {
        self.image.apply(&record);
        self.records.push(record);
    }
}

#[cfg(test)]
pub(super) mod tests;
