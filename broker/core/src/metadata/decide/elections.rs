//! Elections on request: the preferred replica takes its partition back, or any replica takes one without a leader.

use tidemark_protocol::error_code::ErrorCode;
use tidemark_protocol::types::{PartitionIndex, TopicIdPartition};

use super::Draft;
use crate::metadata::command::{Election, TopicPartitions};
use crate::metadata::image::PartitionImage;
use crate::metadata::partition_change::PartitionChange;
use crate::metadata::replication_rules::ReplicationRules;
use crate::metadata::reply::{Failure, PartitionResults};

/// Elects leaders of the named partitions, or of all. For all, partitions that need no election are left out.
pub(super) fn elect(
    draft: &mut Draft,
    election: Election,
    asked: Option<&[TopicPartitions]>,
) -> Vec<PartitionResults> {
    let defaults = ReplicationRules::of_cluster(&draft.image);
    let Some(asked) = asked else { return elect_all(draft, election, defaults) };
    asked
        .iter()
        .map(|asked| {
            let one = |index: &PartitionIndex| {
                (*index, elect_named(draft, election, defaults, &asked.topic, *index))
            };
            PartitionResults {
                topic: asked.topic.clone(),
                partitions: asked.partitions.iter().map(one).collect(),
            }
        })
        .collect()
}

fn elect_all(draft: &mut Draft, election: Election, defaults: ReplicationRules) -> Vec<PartitionResults> {
    let results = draft.all_topics().into_iter().map(|topic| {
        let rules = defaults.with_overrides_of(&draft.image, &topic.name);
        let one = |(index, partition)| {
            let id = TopicIdPartition { topic_id: topic.id, partition: index };
            (index, elect_one(draft, election, rules, id, partition))
        };
        let partitions = (0..).zip(&topic.partitions).map(one);
        PartitionResults {
            topic: topic.name.to_string(),
            partitions: partitions.filter(|(_, result)| !is_not_needed(result)).collect(),
        }
    });
    results.collect()
}

fn is_not_needed(result: &Result<(), Failure>) -> bool {
    result.as_ref().is_err_and(|failure| failure.code == ErrorCode::ElectionNotNeeded)
}

fn elect_named(
    draft: &mut Draft,
    election: Election,
    defaults: ReplicationRules,
    name: &str,
    index: PartitionIndex,
) -> Result<(), Failure> {
    let unknown = |message| Failure::new(ErrorCode::UnknownTopicOrPartition, message);
    let topic = draft.image.topic(name).ok_or_else(|| unknown(format!("No such topic as {name}")))?;
    let partition = topic.partition(index).cloned();
    let partition = partition.ok_or_else(|| unknown(format!("No such partition as {name}-{index}")))?;
    let rules = defaults.with_overrides_of(&draft.image, name);
    let id = TopicIdPartition { topic_id: topic.id, partition: index };
    elect_one(draft, election, rules, id, &partition)
}

fn elect_one(
    draft: &mut Draft,
    election: Election,
    rules: ReplicationRules,
    id: TopicIdPartition,
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
    let change = PartitionChange::new(&draft.image, partition, rules);
    let elected = match election {
        Election::Preferred => change.preferring_first().build().filter(|p| Some(p.leader) == preferred),
        Election::Unclean => change.allowing_unclean().build().filter(|p| p.leader >= 0),
    };
    match (elected, election) {
        (Some(elected), _) => {
            draft.change(id.topic_id, id.partition, elected);
            Ok(())
        }
        (None, Election::Preferred) => refuse(ErrorCode::PreferredLeaderNotAvailable),
        (None, Election::Unclean) => refuse(ErrorCode::EligibleLeadersNotAvailable),
    }
}

#[cfg(test)]
mod tests;
