//! What the controller proposes by itself: leaders back to their preferred replicas, internal topics up to their
//! replication factor, a broker emptied. Pure: plans are computed from an image and proposed as any command.

use std::collections::BTreeMap;
use std::sync::Arc;

use thiserror::Error;
use tidemark_protocol::types::{BrokerId, PartitionIndex};

use super::command::{TopicPartitions, TopicReassignment};
use super::image::{BrokerIds, ClusterImage, PartitionImage, TopicImage};
use super::partition_change::without;
use super::placement::Load;
use super::topic_name;

/// Elections proposed at once, as in Kafka: a log entry stays small, and the rest comes with the next check.
pub const ELECTIONS_MAX: usize = 1000;

/// A replica that no other broker can take.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "partition {topic}-{partition} has {replication_factor} replicas, and there is no other usable broker for one of them"
)]
pub struct NowhereToGo {
    /// Topic of the first such partition.
    pub topic: Arc<str>,
    /// Its index.
    pub partition: PartitionIndex,
    /// Its replicas.
    pub replication_factor: usize,
}

/// Partitions whose preferred replica could lead without loss and does not, of brokers that lead too few of those they
/// are preferred for: more than `percentage` of them are led by others (`leader.imbalance.per.broker.percentage`). Ready
/// for [`Command::ElectLeaders`](super::Command::ElectLeaders), at most [`ELECTIONS_MAX`].
pub fn imbalance(image: &ClusterImage, percentage: u32) -> Vec<TopicPartitions> {
    let mut preferred: BTreeMap<BrokerId, (u64, u64)> = BTreeMap::new();
    for partition in image.topics.values().flat_map(|topic| &topic.partitions) {
        let Some(first) = partition.replicas.first() else { continue };
        let (all, elsewhere) = preferred.entry(*first).or_default();
        *all += 1;
        *elsewhere += u64::from(partition.leader != *first);
    }
    let is_imbalanced = |broker: &BrokerId| {
        preferred.get(broker).is_some_and(|(all, elsewhere)| elsewhere * 100 > all * u64::from(percentage))
    };
    let could_lead = |partition: &PartitionImage| {
        let first = partition.replicas.first().filter(|first| **first != partition.leader);
        first.is_some_and(|id| partition.isr.contains(id) && image.may_lead(*id) && is_imbalanced(id))
    };
    let mut left = ELECTIONS_MAX;
    let elections = image.topics_by_name().filter_map(|topic| {
        let partitions: Vec<PartitionIndex> = (0..)
            .zip(&topic.partitions)
            .filter(|(_, partition)| could_lead(partition))
            .map(|(index, _)| index)
            .take(left)
            .collect();
        left -= partitions.len();
        (!partitions.is_empty()).then(|| TopicPartitions { topic: topic.name.to_string(), partitions })
    });
    elections.collect()
}

/// Reassignments that raise internal topics to `wanted` replicas, once there are so many usable brokers; they change the
/// replication factor. Two of three would be worse than one: either of them could stop writes. Partitions that are moving
/// already are left alone.
pub fn internal_replication(image: &ClusterImage, wanted: usize) -> Vec<TopicReassignment> {
    let internal = || image.topics_by_name().filter(|topic| topic_name::is_internal(&topic.name));
    let is_short = |topic: &Arc<TopicImage>| topic.partitions.iter().any(|p| p.replicas.len() < wanted);
    if !internal().any(is_short) || image.leading_brokers().count() < wanted {
        return Vec::new();
    }
    let mut load = Load::of(image);
    let raised = |partition: &PartitionImage, load: &mut Load| {
        if partition.is_moving() || partition.replicas.len() >= wanted {
            return None;
        }
        let mut replicas = partition.replicas.to_vec();
        while replicas.len() < wanted {
            replicas.push(load.choose(image, &replicas, None)?);
        }
        Some(replicas)
    };
    let plans = internal()
        .map(|topic| plan(topic, topic.partitions.iter().map(|partition| raised(partition, &mut load))));
    plans.filter(|plan| !plan.partitions.is_empty()).collect()
}

/// Reassignments that take every replica off a broker, each to another rack than its siblings if there is one, else to
/// the least loaded broker, in the place it had in the order of preference. What already moves away is left alone.
pub fn drain_plan(image: &ClusterImage, broker: BrokerId) -> Result<Vec<TopicReassignment>, NowhereToGo> {
    let mut load = Load::of(image);
    let mut plans = Vec::new();
    for topic in image.topics_of_broker(broker) {
        let mut targets = Vec::new();
        for (index, partition) in (0..).zip(&topic.partitions) {
            let wanted = target_of(partition);
            let target = match wanted.iter().position(|id| *id == broker) {
                None => None,
                Some(at) => {
                    let substitute = load
                        .choose(image, &without(&wanted, &[broker]), Some(broker))
                        .ok_or_else(|| NowhereToGo {
                            topic: Arc::clone(&topic.name),
                            partition: index,
                            replication_factor: wanted.len(),
                        })?;
                    let mut target = wanted.to_vec();
                    target[at] = substitute;
                    Some(target)
                }
            };
            targets.push(target);
        }
        let plan = plan(topic, targets.into_iter());
        if !plan.partitions.is_empty() {
            plans.push(plan);
        }
    }
    Ok(plans)
}

/// The replicas that a partition has or is on its way to.
fn target_of(partition: &PartitionImage) -> BrokerIds {
    without(&partition.replicas, &partition.removing)
}

fn plan(topic: &TopicImage, targets: impl Iterator<Item = Option<Vec<BrokerId>>>) -> TopicReassignment {
    let partitions = (0..).zip(targets).filter_map(|(index, target)| Some((index, Some(target?))));
    TopicReassignment { topic: topic.name.to_string(), partitions: partitions.collect() }
}

#[cfg(test)]
mod tests;
