//! Which partitions a request becomes: assigned by hand, or placed by the proposer and checked here.

use std::collections::{BTreeMap, BTreeSet};

use tidemark_protocol::error_code::ErrorCode;
use tidemark_protocol::types::BrokerId;

use crate::metadata::broker_config::BrokerSettings;
use crate::metadata::command::NewTopic;
use crate::metadata::config_layers::ConfigLayers;
use crate::metadata::image::{ClusterImage, PartitionImage};
use crate::metadata::placement;
use crate::metadata::reply::Failure;

/// The partitions of a new topic as assigned by hand or as placed by the proposer.
pub(super) fn partitions_of(
    image: &ClusterImage,
    topic: &NewTopic,
    statics: &BTreeMap<String, String>,
) -> Result<Vec<PartitionImage>, Failure> {
    if !topic.manual.is_empty() {
        return manual_partitions(image, topic);
    }
    let invalid = |code, text: &str| Err(Failure::new(code, text));
    if topic.replication_factor == 0 || topic.replication_factor < -1 {
        return invalid(
            ErrorCode::InvalidReplicationFactor,
            "Replication factor must be larger than 0, or -1 to use the default value.",
        );
    }
    if topic.partitions == 0 || topic.partitions < -1 {
        return invalid(
            ErrorCode::InvalidPartitions,
            "Number of partitions was set to an invalid non-positive value.",
        );
    }
    let defaults = BrokerSettings::resolve(&ConfigLayers::of_cluster(image, statics));
    let count = if topic.partitions == -1 { defaults.num_partitions } else { topic.partitions };
    let replication_factor = match topic.replication_factor {
        -1 => defaults.default_replication_factor,
        asked => asked,
    };
    placed_partitions(image, &topic.placement, count, replication_factor)
}

/// Checks what the proposer placed: as many partitions and replicas as wanted, on brokers that are there.
pub(super) fn placed_partitions(
    image: &ClusterImage,
    placement: &[Vec<BrokerId>],
    count: i32,
    replication_factor: i16,
) -> Result<Vec<PartitionImage>, Failure> {
    let wanted = usize::try_from(replication_factor).unwrap_or(0);
    if let Err(cause) = placement::check(image, wanted) {
        let message = format!("Unable to replicate the partition {wanted} time(s): {cause}");
        return Err(Failure::new(ErrorCode::InvalidReplicationFactor, message));
    }
    if placement.len() != usize::try_from(count).unwrap_or(0) {
        let message = format!("{count} partitions were asked for, but {} were placed.", placement.len());
        return Err(Failure::new(ErrorCode::InvalidReplicaAssignment, message));
    }
    placement.iter().enumerate().map(|(at, replicas)| partition(image, at, replicas, Some(wanted))).collect()
}

fn manual_partitions(image: &ClusterImage, topic: &NewTopic) -> Result<Vec<PartitionImage>, Failure> {
    let contradiction = |what: &str| {
        let message = format!("A manual partition assignment was specified, but {what} was not set to -1.");
        Err(Failure::new(ErrorCode::InvalidRequest, message))
    };
    if topic.replication_factor != -1 {
        return contradiction("replication factor");
    }
    if topic.partitions != -1 {
        return contradiction("numPartitions");
    }
    let invalid = |message: String| Failure::new(ErrorCode::InvalidReplicaAssignment, message);
    let mut by_index = BTreeMap::new();
    let mut replication_factor = None;
    for (index, replicas) in &topic.manual {
        let at = usize::try_from(*index).unwrap_or(usize::MAX);
        let partition = partition(image, at, replicas, replication_factor)?;
        replication_factor = Some(replicas.len());
        if by_index.insert(*index, partition).is_some() {
            return Err(invalid(format!(
                "Found multiple manual partition assignments for partition {index}"
            )));
        }
    }
    if !by_index.keys().copied().eq(0..i32::try_from(by_index.len()).unwrap_or(i32::MAX)) {
        return Err(invalid("partitions should be a consecutive 0-based integer sequence".to_owned()));
    }
    Ok(by_index.into_values().collect())
}

/// One new partition on these replicas; usable ones are in sync, and the first of them that is not drained leads.
pub(super) fn partition(
    image: &ClusterImage,
    index: usize,
    replicas: &[BrokerId],
    replication_factor: Option<usize>,
) -> Result<PartitionImage, Failure> {
    let invalid = |what: String| Err(Failure::new(ErrorCode::InvalidReplicaAssignment, what));
    if replicas.is_empty() {
        return invalid("The manual partition assignment includes an empty replica list.".to_owned());
    }
    let mut seen = BTreeSet::new();
    for id in replicas {
        if !image.brokers.contains_key(id) {
            return invalid(format!(
                "The manual partition assignment includes broker {id}, but no such broker is registered."
            ));
        }
        if !seen.insert(id) {
            return invalid(format!(
                "The manual partition assignment includes the broker {id} more than once."
            ));
        }
    }
    if let Some(expected) = replication_factor.filter(|expected| *expected != replicas.len()) {
        return invalid(format!(
            "The manual partition assignment includes a partition with {} replica(s), but this is not consistent \
             with previous partitions, which have {expected} replica(s).",
            replicas.len()
        ));
    }
    let is_usable = |id: &&BrokerId| image.brokers.get(*id).is_some_and(|broker| broker.is_usable());
    let isr: Vec<BrokerId> = replicas.iter().filter(is_usable).copied().collect();
    if isr.is_empty() {
        return invalid(format!(
            "All brokers specified in the manual partition assignment for partition {index} are fenced or in \
             controlled shutdown."
        ));
    }
    let mut partition = PartitionImage::new(replicas, &isr);
    if let Some(leader) = isr.iter().find(|id| image.may_lead(**id)) {
        partition.leader = *leader;
    }
    Ok(partition)
}
