//! Elections on request: the preferred replica takes its partition back, or any replica takes one without a leader.

use std::sync::Arc;

use tidemark_protocol::error_code::ErrorCode;
use tidemark_protocol::types::{BrokerId, PartitionIndex};

use super::Draft;
use crate::metadata::command::{Election, TopicPartitions};
use crate::metadata::image::{ClusterImage, PartitionImage, TopicImage};
use crate::metadata::record::MetadataRecord;
use crate::metadata::reply::{Failure, PartitionResults};

/// Elects leaders of the named partitions, or of all. For all, partitions that need no election are left out.
pub(super) fn elect(
    draft: &mut Draft,
    election: Election,
    asked: Option<&[TopicPartitions]>,
) -> Vec<PartitionResults> {
    let Some(asked) = asked else { return elect_all(draft, election) };
    asked
        .iter()
        .map(|asked| {
            let one = |index: &PartitionIndex| (*index, elect_named(draft, election, &asked.topic, *index));
            PartitionResults {
                topic: asked.topic.clone(),
                partitions: asked.partitions.iter().map(one).collect(),
            }
        })
        .collect()
}

fn elect_all(draft: &mut Draft, election: Election) -> Vec<PartitionResults> {
    let topics: Vec<Arc<TopicImage>> = draft.image.topics.values().cloned().collect();
    topics
        .into_iter()
        .map(|topic| PartitionResults {
            topic: topic.name.to_string(),
            partitions: (0..)
                .zip(&topic.partitions)
                .map(|(index, partition)| (index, elect_one(draft, election, &topic, index, partition)))
                .filter(|(_, result)| !is_not_needed(result))
                .collect(),
        })
        .collect()
}

fn is_not_needed(result: &Result<(), Failure>) -> bool {
    result.as_ref().is_err_and(|failure| failure.code == ErrorCode::ElectionNotNeeded)
}

fn elect_named(
    draft: &mut Draft,
    election: Election,
    name: &str,
    index: PartitionIndex,
) -> Result<(), Failure> {
    let unknown = |message| Failure::new(ErrorCode::UnknownTopicOrPartition, message);
    let topic = draft.image.topic(name).cloned();
    let topic = topic.ok_or_else(|| unknown(format!("No such topic as {name}")))?;
    let partition =
        topic.partition(index).ok_or_else(|| unknown(format!("No such partition as {name}-{index}")))?;
    elect_one(draft, election, &topic, index, partition)
}

fn elect_one(
    draft: &mut Draft,
    election: Election,
    topic: &TopicImage,
    index: PartitionIndex,
    partition: &PartitionImage,
) -> Result<(), Failure> {
    let refuse = |code: ErrorCode| Err(Failure::new(code, code.message()));
    let preferred = partition.replicas.first().copied();
    let leader = match election {
        Election::Preferred if preferred == Some(partition.leader) => None,
        Election::Preferred => match preferred.filter(|id| can_lead(&draft.image, partition, *id)) {
            Some(id) => Some(id),
            None => return refuse(ErrorCode::PreferredLeaderNotAvailable),
        },
        Election::Unclean if partition.leader >= 0 => None,
        Election::Unclean => match unclean_leader(&draft.image, partition) {
            Some(id) => Some(id),
            None => return refuse(ErrorCode::EligibleLeadersNotAvailable),
        },
    };
    let Some(leader) = leader else { return refuse(ErrorCode::ElectionNotNeeded) };
    let mut changed = PartitionImage {
        leader,
        leader_epoch: partition.leader_epoch + 1,
        partition_epoch: partition.partition_epoch + 1,
        ..partition.clone()
    };
    if !changed.isr.contains(&leader) {
        // What the others have beyond this replica is lost: none of them is in sync with it.
        changed.isr = Arc::from([leader]);
    }
    draft.push(MetadataRecord::PartitionChange { topic_id: topic.id, index, partition: changed });
    Ok(())
}

/// Whether a replica can lead without losing records.
pub(super) fn can_lead(image: &ClusterImage, partition: &PartitionImage, id: BrokerId) -> bool {
    partition.isr.contains(&id) && is_usable(image, id)
}

fn is_usable(image: &ClusterImage, id: BrokerId) -> bool {
    image.brokers.get(&id).is_some_and(|broker| broker.is_usable())
}

/// One in sync if there is any, else one that may lack records.
fn unclean_leader(image: &ClusterImage, partition: &PartitionImage) -> Option<BrokerId> {
    let clean = partition.replicas.iter().copied().find(|id| can_lead(image, partition, *id));
    clean.or_else(|| partition.replicas.iter().copied().find(|id| is_usable(image, *id)))
}

#[cfg(test)]
mod tests;
