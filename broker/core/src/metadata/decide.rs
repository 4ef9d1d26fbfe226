//! [`decide`]: which records a command becomes. Deterministic: image and command are all it sees.
//!
//! Run by every voter when the command is committed, and alone for `validate_only` and for an early answer. Items of
//! one command are decided one after another, each on the image that the ones before it leave.

mod assignment;
mod brokers;
mod client_quotas;
mod configs;
mod elections;
mod reassignments;
mod topics;

use super::command::Command;
use super::image::{BrokerRegistration, ClusterImage};
use super::record::MetadataRecord;
use super::reply::Reply;

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
    let mut draft = Draft { image: image.clone(), records: Vec::new() };
    let reply = match command {
        Command::InitializeCluster { cluster_id, features } => {
            Reply::Initialized(brokers::initialize(&mut draft, cluster_id, features))
        }
        Command::RegisterBroker { id, cluster_id, incarnation, rack, endpoints, directories, fenced } => {
            let asked = BrokerRegistration {
                id: *id,
                epoch: i64::try_from(index).expect("log indexes stay below 2^63"),
                incarnation: *incarnation,
                rack: rack.clone(),
                endpoints: endpoints.clone(),
                directories: directories.clone(),
                fenced: *fenced,
                in_controlled_shutdown: false,
            };
            Reply::BrokerRegistered(brokers::register(&mut draft, cluster_id, asked))
        }
        Command::CreateTopics { topics, statics } => {
            Reply::TopicsCreated(topics::create(&mut draft, topics, statics))
        }
        Command::DeleteTopics { topics } => Reply::TopicsDeleted(topics::delete(&mut draft, topics)),
        Command::CreatePartitions { topics } => {
            Reply::PartitionsCreated(topics::add_partitions(&mut draft, topics))
        }
        Command::AlterConfigs { alterations, statics } => {
            Reply::ConfigsAltered(configs::alter(&mut draft, alterations, statics))
        }
        Command::AllocateProducerIds { broker, broker_epoch } => {
            Reply::ProducerIdsAllocated(brokers::allocate_producer_ids(&mut draft, *broker, *broker_epoch))
        }
        Command::ElectLeaders { election, partitions } => {
            Reply::LeadersElected(elections::elect(&mut draft, *election, partitions.as_deref()))
        }
        Command::ReassignPartitions { topics, allow_replication_factor_change } => {
            let results = reassignments::reassign(&mut draft, topics, *allow_replication_factor_change);
            Reply::PartitionsReassigned(results)
        }
        Command::AlterClientQuotas { items } => {
            let results = client_quotas::alter(&draft.image, items);
            let pushed = results.into_iter().map(|result| result.map(|record| draft.push(record)));
            Reply::QuotasAltered(pushed.collect())
        }
    };
    Outcome { records: draft.records, reply }
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
