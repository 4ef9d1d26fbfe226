//! Elections on request: the preferred replica takes its partition back, or any replica takes one without a leader.

use std::sync::Arc;

use tidemark_protocol::error_code::ErrorCode;
use tidemark_protocol::types::PartitionIndex;

use super::Draft;
use crate::metadata::command::{Election, TopicPartitions};
use crate::metadata::image::{PartitionImage, TopicImage};
use crate::metadata::partition_change::PartitionChange;
use crate::metadata::replication_rules::ReplicationRules;
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
    let is_needed = match election {
        Election::Preferred => preferred != Some(partition.leader),
        Election::Unclean => partition.leader < 0,
    };
    if !is_needed {
        return refuse(ErrorCode::ElectionNotNeeded);
    }
    let rules = ReplicationRules::of_cluster(&draft.image).with_overrides_of(&draft.image, &topic.name);
    let change = PartitionChange::new(&draft.image, partition, rules);
    let elected = match election {
        Election::Preferred => change.preferring_first().build().filter(|p| Some(p.leader) == preferred),
        Election::Unclean => change.allowing_unclean().build().filter(|p| p.leader >= 0),
    };
    match (elected, election) {
        (Some(elected), _) => {
            draft.change(topic, index, elected);
            Ok(())
        }
        (None, Election::Preferred) => refuse(ErrorCode::PreferredLeaderNotAvailable),
        (None, Election::Unclean) => refuse(ErrorCode::EligibleLeadersNotAvailable),
    }
}

#[cfg(test)]
mod tests;
