//! Reassignments (KIP-455): a partition's replicas change to a target, at once where all of the target is in sync, else by
//! adding first and removing when the added ones have caught up.

use std::collections::BTreeSet;
use std::sync::Arc;

use tidemark_protocol::error_code::ErrorCode;
use tidemark_protocol::types::{BrokerId, PartitionIndex};

use super::Draft;
use super::elections::can_lead;
use crate::metadata::command::TopicReassignment;
use crate::metadata::image::{BrokerIds, ClusterImage, PartitionImage};
use crate::metadata::record::MetadataRecord;
use crate::metadata::reply::{Failure, PartitionResults};

/// Starts, replaces or (target `None`) cancels reassignments, each partition by itself.
pub(super) fn reassign(
    draft: &mut Draft,
    topics: &[TopicReassignment],
    allow_replication_factor_change: bool,
) -> Vec<PartitionResults> {
    topics
        .iter()
        .map(|topic| {
            let partitions = topic.partitions.iter().map(|(index, target)| {
                let target = target.as_deref();
                let result =
                    reassign_one(draft, &topic.topic, *index, target, allow_replication_factor_change);
                (*index, result)
            });
            PartitionResults { topic: topic.topic.clone(), partitions: partitions.collect() }
        })
        .collect()
}

fn reassign_one(
    draft: &mut Draft,
    name: &str,
    index: PartitionIndex,
    target: Option<&[BrokerId]>,
    allow_replication_factor_change: bool,
) -> Result<(), Failure> {
    let unknown = |message| Failure::new(ErrorCode::UnknownTopicOrPartition, message);
    let topic = draft.image.topic(name).cloned();
    let topic = topic.ok_or_else(|| unknown(format!("Unable to find a topic named {name}.")))?;
    let current =
        topic.partition(index).ok_or_else(|| unknown(format!("Unable to find partition {name}:{index}.")))?;
    let changed = match target {
        None => cancelled(&draft.image, current)?,
        Some(target) => {
            check_target(&draft.image, target)?;
            let before = current.replicas.len() - current.adding.len();
            if !allow_replication_factor_change && target.len() != before {
                return Err(Failure::new(
                    ErrorCode::InvalidReplicationFactor,
                    format!("The replication factor is changed from {before} to {}", target.len()),
                ));
            }
            reassigned(&draft.image, current, target)
        }
    };
    if changed != *current {
        let partition = PartitionImage { partition_epoch: current.partition_epoch + 1, ..changed };
        draft.push(MetadataRecord::PartitionChange { topic_id: topic.id, index, partition });
    }
    Ok(())
}

fn check_target(image: &ClusterImage, target: &[BrokerId]) -> Result<(), Failure> {
    let invalid = |what: String| Err(Failure::new(ErrorCode::InvalidReplicaAssignment, what));
    if target.is_empty() {
        return invalid("The manual partition assignment includes an empty replica list.".to_owned());
    }
    let mut seen = BTreeSet::new();
    for id in target {
        if !seen.insert(id) {
            return invalid(format!(
                "The manual partition assignment includes the broker {id} more than once."
            ));
        }
        if !image.brokers.contains_key(id) {
            return invalid(format!(
                "The manual partition assignment includes broker {id}, but no such broker is registered."
            ));
        }
    }
    Ok(())
}

/// The replicas a partition returns to when its reassignment is cancelled.
fn cancelled(image: &ClusterImage, current: &PartitionImage) -> Result<PartitionImage, Failure> {
    if current.adding.is_empty() && current.removing.is_empty() {
        let code = ErrorCode::NoReassignmentInProgress;
        return Err(Failure::new(code, code.message()));
    }
    let original = without(&current.replicas, &current.adding);
    let isr = without(&current.isr, &current.adding);
    if isr.is_empty() {
        let message = "Cancelling the reassignment would leave the partition without an in-sync replica.";
        return Err(Failure::new(ErrorCode::InvalidReplicaAssignment, message));
    }
    Ok(settled(image, current, original, isr))
}

/// What a partition becomes when `target` is asked for.
fn reassigned(image: &ClusterImage, current: &PartitionImage, target: &[BrokerId]) -> PartitionImage {
    let original = without(&current.replicas, &current.adding);
    let in_sync: BrokerIds = target.iter().copied().filter(|id| current.isr.contains(id)).collect();
    if in_sync.len() == target.len() {
        return settled(image, current, Arc::from(target), in_sync);
    }
    let removing = without(&original, target);
    PartitionImage {
        replicas: target.iter().chain(removing.iter()).copied().collect(),
        isr: current.isr.iter().copied().filter(|id| target.contains(id) || original.contains(id)).collect(),
        adding: without(target, &original),
        removing,
        ..current.clone()
    }
}

/// A partition whose reassignment is over; another replica leads if the leader is not one any more.
fn settled(
    image: &ClusterImage,
    current: &PartitionImage,
    replicas: BrokerIds,
    isr: BrokerIds,
) -> PartitionImage {
    let none: BrokerIds = Arc::from([]);
    // The order of the in-sync replicas means nothing; what did not change must not look changed.
    let isr = if same_members(&isr, &current.isr) { Arc::clone(&current.isr) } else { isr };
    let mut settled =
        PartitionImage { replicas, isr, adding: Arc::clone(&none), removing: none, ..current.clone() };
    if !settled.replicas.contains(&settled.leader) {
        let heir = settled.replicas.iter().copied().find(|id| can_lead(image, &settled, *id));
        settled.leader = heir.unwrap_or(-1);
        settled.leader_epoch += 1;
    }
    settled
}

fn without(ids: &[BrokerId], gone: &[BrokerId]) -> BrokerIds {
    ids.iter().copied().filter(|id| !gone.contains(id)).collect()
}

fn same_members(a: &[BrokerId], b: &[BrokerId]) -> bool {
    a.len() == b.len() && a.iter().all(|id| b.contains(id))
}

#[cfg(test)]
mod tests;
