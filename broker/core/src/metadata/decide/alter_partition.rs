//! ISR changes by leaders, checked in Kafka's order with Kafka's codes.
//!
//! Unlike in Kafka a member without a broker epoch (−1) is never eligible: an empty disk behind an old fetch must not get
//! into an ISR (KIP-903).

use std::collections::BTreeSet;

use tidemark_protocol::error_code::ErrorCode;
use tidemark_protocol::types::BrokerId;

use super::Draft;
use super::broker_life::current;
use crate::metadata::command::IsrProposal;
use crate::metadata::image::{ClusterImage, PartitionImage};
use crate::metadata::partition_change::PartitionChange;
use crate::metadata::replication_rules::ReplicationRules;
use crate::metadata::reply::{AlteredPartition, Failure, PartitionState};

pub(super) fn alter(
    draft: &mut Draft,
    broker: BrokerId,
    broker_epoch: i64,
    partitions: &[IsrProposal],
) -> Result<Vec<AlteredPartition>, Failure> {
    current(draft, broker, broker_epoch)?;
    let defaults = ReplicationRules::of_cluster(&draft.image);
    let results = partitions.iter().map(|asked| AlteredPartition {
        topic_id: asked.topic_id,
        index: asked.index,
        result: alter_one(draft, broker, asked, defaults),
    });
    Ok(results.collect())
}

fn alter_one(
    draft: &mut Draft,
    broker: BrokerId,
    asked: &IsrProposal,
    defaults: ReplicationRules,
) -> Result<PartitionState, Failure> {
    let topic = draft.image.topic_by_id(asked.topic_id).ok_or_else(|| of(ErrorCode::UnknownTopicId))?;
    let partition = topic.partition(asked.index).cloned();
    let partition = partition.ok_or_else(|| of(ErrorCode::UnknownTopicOrPartition))?;
    check(&draft.image, broker, &partition, asked)?;
    let isr: Vec<BrokerId> = asked.isr.iter().map(|(id, _)| *id).collect();
    let rules = defaults.with_overrides_of(&draft.image, &topic.name);
    let change = PartitionChange::new(&draft.image, &partition, rules).isr(&isr);
    let Some(changed) = change.build() else { return Ok(state(&partition)) };
    let result = if changed.leader == broker {
        Ok(state(&changed))
    } else {
        // The change completed a reassignment that takes the sender away. It is told so and learns the rest from the
        // metadata: an error and a change at once, as in Kafka.
        Err(of(ErrorCode::NewLeaderElected))
    };
    draft.change(asked.topic_id, asked.index, changed);
    result
}

/// Kafka's order: a sender that knows more than this controller asks another one; then epochs, sender, members.
fn check(
    image: &ClusterImage,
    broker: BrokerId,
    partition: &PartitionImage,
    asked: &IsrProposal,
) -> Result<(), Failure> {
    if asked.leader_epoch > partition.leader_epoch || asked.partition_epoch > partition.partition_epoch {
        return Err(of(ErrorCode::NotController));
    }
    if asked.leader_epoch < partition.leader_epoch {
        return Err(of(ErrorCode::FencedLeaderEpoch));
    }
    if broker != partition.leader {
        return Err(of(ErrorCode::InvalidRequest));
    }
    if asked.partition_epoch < partition.partition_epoch {
        return Err(of(ErrorCode::InvalidUpdateVersion));
    }
    let mut seen = BTreeSet::new();
    if !asked.isr.iter().all(|(id, _)| partition.has_replica(*id) && seen.insert(*id)) {
        return Err(of(ErrorCode::InvalidRequest));
    }
    if !seen.contains(&partition.leader) {
        return Err(of(ErrorCode::InvalidRequest));
    }
    let ineligible: Vec<String> =
        asked.isr.iter().filter_map(|(id, epoch)| ineligibility(image, *id, *epoch)).collect();
    if ineligible.is_empty() {
        return Ok(());
    }
    Err(Failure::new(ErrorCode::IneligibleReplica, ineligible.join("; ")))
}

/// Why a broker cannot be in sync, if it cannot.
fn ineligibility(image: &ClusterImage, id: BrokerId, epoch: i64) -> Option<String> {
    let why = match image.brokers.get(&id) {
        None => "is not registered".to_owned(),
        Some(broker) if broker.in_controlled_shutdown => "is shutting down".to_owned(),
        Some(broker) if broker.fenced => "is fenced".to_owned(),
        Some(broker) if broker.epoch != epoch => {
            format!("has broker epoch {}, not {epoch}", broker.epoch)
        }
        Some(_) => return None,
    };
    Some(format!("Broker {id} {why}"))
}

fn state(partition: &PartitionImage) -> PartitionState {
    PartitionState {
        leader: partition.leader,
        leader_epoch: partition.leader_epoch,
        isr: partition.isr.clone(),
        partition_epoch: partition.partition_epoch,
    }
}

fn of(code: ErrorCode) -> Failure {
    Failure::new(code, code.message())
}

#[cfg(test)]
mod tests;
