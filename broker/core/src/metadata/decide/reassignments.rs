//! Reassignments (KIP-455): a partition's replicas change to a target, at once where all of the target is in sync, else by
//! adding first and removing when the added ones have caught up.

use std::collections::BTreeSet;
use std::sync::Arc;

use tidemark_protocol::error_code::ErrorCode;
use tidemark_protocol::types::{BrokerId, PartitionIndex};

use super::Draft;
use crate::metadata::command::TopicReassignment;
use crate::metadata::image::{BrokerIds, ClusterImage, PartitionImage};
use crate::metadata::partition_change::{PartitionChange, without};
use crate::metadata::replication_rules::ReplicationRules;
use crate::metadata::reply::{Failure, PartitionResults};

/// Starts, replaces or (target `None`) cancels reassignments, each partition by itself.
pub(super) fn reassign(
    draft: &mut Draft,
    topics: &[TopicReassignment],
    allow_replication_factor_change: bool,
) -> Vec<PartitionResults> {
    let defaults = ReplicationRules::of_cluster(&draft.image);
    let results = topics.iter().map(|topic| {
        let name = &topic.topic;
        let rules = defaults.with_overrides_of(&draft.image, name);
        let partitions = topic.partitions.iter().map(|(index, target)| {
            let target = target.as_deref();
            (*index, reassign_one(draft, rules, name, *index, target, allow_replication_factor_change))
        });
        PartitionResults { topic: name.clone(), partitions: partitions.collect() }
    });
    results.collect()
}

fn reassign_one(
    draft: &mut Draft,
    rules: ReplicationRules,
    name: &str,
    index: PartitionIndex,
    target: Option<&[BrokerId]>,
    allow_replication_factor_change: bool,
) -> Result<(), Failure> {
    let unknown = |message| Failure::new(ErrorCode::UnknownTopicOrPartition, message);
    let topic = draft.image.topic(name);
    let topic = topic.ok_or_else(|| unknown(format!("Unable to find a topic named {name}.")))?;
    let current = topic.partition(index).cloned();
    let current = current.ok_or_else(|| unknown(format!("Unable to find partition {name}:{index}.")))?;
    let topic_id = topic.id;
    let change = PartitionChange::new(&draft.image, &current, rules);
    let change = match target {
        None => cancelled(change)?,
        Some(target) => {
            check_target(&draft.image, target)?;
            let before = current.replication_factor();
            if !allow_replication_factor_change && target.len() != before {
                return Err(Failure::new(
                    ErrorCode::InvalidReplicationFactor,
                    format!("The replication factor is changed from {before} to {}", target.len()),
                ));
            }
            towards(change, target)
        }
    };
    let Some(changed) = change.build() else { return Ok(()) };
    let holds_all = |partition: &PartitionImage| !partition.isr.is_empty() || !partition.elr.is_empty();
    if holds_all(&current) && !holds_all(&changed) {
        // Only replicas that the reassignment was adding hold everything, and it would take them away.
        return Err(unclean_revert(name, index));
    }
    draft.change(topic_id, index, changed);
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

/// Back to the replicas from before the reassignment.
fn cancelled(change: PartitionChange<'_>) -> Result<PartitionChange<'_>, Failure> {
    let current = change.current();
    if !current.is_moving() {
        let code = ErrorCode::NoReassignmentInProgress;
        return Err(Failure::new(code, code.message()));
    }
    let none: BrokerIds = Arc::from([]);
    Ok(change.replicas(without(&current.replicas, &current.adding), Arc::clone(&none), none))
}

/// Towards `target`: all of old and new until the new ones are in sync. What an earlier reassignment was adding and this
/// one does not want goes at once.
fn towards<'a>(change: PartitionChange<'a>, target: &[BrokerId]) -> PartitionChange<'a> {
    let current = change.current();
    let original = without(&current.replicas, &current.adding);
    let removing = without(&original, target);
    let replicas = target.iter().chain(removing.iter()).copied().collect();
    change.replicas(replicas, without(target, &original), removing)
}

fn unclean_revert(topic: &str, index: PartitionIndex) -> Failure {
    let message = format!(
        "Unable to revert partition assignment for {topic}:{index} because it would require an unclean leader election."
    );
    Failure::new(ErrorCode::InvalidReplicaAssignment, message)
}

#[cfg(test)]
mod tests;
