//! Topics: creation, deletion, more partitions. One result for each item, in the order of the request.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tidemark_protocol::error_code::ErrorCode;
use tidemark_protocol::types::{BrokerId, TopicId};

use super::Draft;
use super::assignment::{partition, partitions_of, placed_partitions};
use super::configs::{DUPLICATE_KEYS, check_len};
use crate::metadata::command::{NewPartitions, NewTopic, TopicKey};
use crate::metadata::config_layers::ConfigLayers;
use crate::metadata::image::{ClusterImage, ConfigResource, PartitionImage, TopicImage};
use crate::metadata::record::MetadataRecord;
use crate::metadata::reply::{Failure, TopicResult, TopicShape};
use crate::metadata::{topic_config, topic_name};

/// Partitions that one request may create, as in Kafka: a log entry stays small and an apply short.
pub const PARTITIONS_PER_REQUEST_MAX: usize = 10_000;

pub(super) fn create(
    draft: &mut Draft,
    topics: &[NewTopic],
    statics: &BTreeMap<String, String>,
) -> Vec<TopicResult> {
    let twice = duplicates(topics.iter().map(|topic| topic.name.as_str()));
    let size = |topic: &NewTopic| {
        let asked = usize::try_from(topic.partitions).unwrap_or(0);
        asked.max(topic.manual.len()).max(topic.placement.len())
    };
    let too_many = topics.iter().map(size).sum::<usize>() > PARTITIONS_PER_REQUEST_MAX;
    topics
        .iter()
        .map(|topic| {
            let result = if twice.contains(topic.name.as_str()) {
                Err(duplicate_name())
            } else if too_many {
                Err(too_many_partitions())
            } else {
                create_one(draft, topic, statics)
            };
            let id = if result.is_ok() { topic.id } else { TopicId::ZERO };
            TopicResult { name: Some(topic.name.clone()), id, result }
        })
        .collect()
}

/// Kafka's order: name, existence, configuration, size.
fn create_one(
    draft: &mut Draft,
    topic: &NewTopic,
    statics: &BTreeMap<String, String>,
) -> Result<TopicShape, Failure> {
    check_name(&draft.image, &topic.name)?;
    let configs = check_configs(&draft.image, topic, statics)?;
    let partitions = partitions_of(&draft.image, topic, statics)?;
    check_id(&draft.image, topic.id)?;
    let name: Arc<str> = Arc::from(topic.name.as_str());
    let shape = shape(&partitions);
    draft.push(MetadataRecord::Topic { id: topic.id, name, partitions });
    if !configs.is_empty() {
        let resource = ConfigResource::Topic(topic.name.clone());
        let changes = configs.into_iter().map(|(name, value)| (name, Some(value))).collect();
        draft.push(MetadataRecord::Config { resource, changes });
    }
    Ok(shape)
}

fn check_name(image: &ClusterImage, name: &str) -> Result<(), Failure> {
    topic_name::check(name).map_err(|text| Failure::new(ErrorCode::InvalidTopicException, text))?;
    if name == topic_name::METADATA_TOPIC {
        let message = format!("Creation of internal topic {name} is prohibited.");
        return Err(Failure::new(ErrorCode::InvalidRequest, message));
    }
    if image.topic_ids.contains_key(name) {
        let message = format!("Topic '{name}' already exists.");
        return Err(Failure::new(ErrorCode::TopicAlreadyExists, message));
    }
    let other = topic_name::can_collide(name)
        .then(|| image.colliding_names.get(&topic_name::normal_form(name)))
        .flatten();
    if let Some(other) = other {
        let message = format!("Topic '{name}' collides with existing topic: {other}");
        return Err(Failure::new(ErrorCode::InvalidTopicException, message));
    }
    Ok(())
}

/// The proposer draws ids at random; a nil, taken or option-like one is its mistake.
fn check_id(image: &ClusterImage, id: TopicId) -> Result<(), Failure> {
    if id.is_zero() || image.topics.contains_key(&id) || id.to_string().starts_with('-') {
        let message = format!("Topic id {id} cannot be used.");
        return Err(Failure::new(ErrorCode::InvalidRequest, message));
    }
    Ok(())
}

fn check_configs(
    image: &ClusterImage,
    topic: &NewTopic,
    statics: &BTreeMap<String, String>,
) -> Result<BTreeMap<String, String>, Failure> {
    let nulls: Vec<&str> =
        topic.configs.iter().filter(|(_, value)| value.is_none()).map(|(name, _)| name.as_str()).collect();
    if !nulls.is_empty() {
        let message = format!("Null value not supported for topic configs: {}", nulls.join(","));
        return Err(Failure::new(ErrorCode::InvalidConfig, message));
    }
    let mut configs = BTreeMap::new();
    for (name, value) in &topic.configs {
        let value = value.as_deref().unwrap_or_default();
        check_len(value)?;
        if configs.insert(name.clone(), value.to_owned()).is_some() {
            return Err(Failure::new(ErrorCode::InvalidRequest, DUPLICATE_KEYS));
        }
    }
    let layers = ConfigLayers::of_cluster(image, statics);
    topic_config::validate(&BTreeMap::new(), &configs, &layers)
        .map_err(|problem| Failure::new(ErrorCode::InvalidConfig, problem.message))?;
    Ok(configs)
}

pub(super) fn delete(draft: &mut Draft, topics: &[TopicKey]) -> Vec<TopicResult> {
    let resolved: Vec<Option<TopicId>> = topics.iter().map(|key| resolve(&draft.image, key)).collect();
    let twice = duplicates(resolved.iter().flatten());
    let twice: BTreeSet<TopicId> = twice.into_iter().copied().collect();
    let named_twice = duplicates(topics.iter());
    topics
        .iter()
        .zip(resolved)
        .map(|(key, id)| {
            let topic = id.and_then(|id| draft.image.topics.get(&id).cloned());
            let result = match &topic {
                _ if named_twice.contains(key) => Err(duplicate_name()),
                None => Err(unknown_topic(key)),
                Some(topic) if twice.contains(&topic.id) => Err(duplicate_name()),
                Some(topic) => {
                    draft.push(MetadataRecord::RemoveTopic { id: topic.id });
                    Ok(shape(&topic.partitions))
                }
            };
            let name = match (key, &topic) {
                (TopicKey::Name(name), _) => Some(name.clone()),
                (TopicKey::Id(_), topic) => topic.as_ref().map(|topic| topic.name.to_string()),
            };
            let asked = if let TopicKey::Id(id) = key { *id } else { TopicId::ZERO };
            TopicResult { name, id: topic.map_or(asked, |topic| topic.id), result }
        })
        .collect()
}

fn resolve(image: &ClusterImage, key: &TopicKey) -> Option<TopicId> {
    match key {
        TopicKey::Name(name) => image.topic_ids.get(name.as_str()).copied(),
        TopicKey::Id(id) => image.topics.contains_key(id).then_some(*id),
    }
}

fn unknown_topic(key: &TopicKey) -> Failure {
    let code = match key {
        TopicKey::Name(_) => ErrorCode::UnknownTopicOrPartition,
        TopicKey::Id(_) => ErrorCode::UnknownTopicId,
    };
    Failure::new(code, code.message())
}

pub(super) fn add_partitions(draft: &mut Draft, topics: &[NewPartitions]) -> Vec<TopicResult> {
    let twice = duplicates(topics.iter().map(|topic| topic.topic.as_str()));
    let size = |asked: &NewPartitions| {
        let existing = draft.image.topic(&asked.topic).map_or(0, |topic| topic.partitions.len());
        usize::try_from(asked.count).unwrap_or(0).saturating_sub(existing)
    };
    let too_many = topics.iter().map(size).sum::<usize>() > PARTITIONS_PER_REQUEST_MAX;
    topics
        .iter()
        .map(|asked| {
            let topic = draft.image.topic(&asked.topic).cloned();
            let result = match &topic {
                _ if twice.contains(asked.topic.as_str()) => Err(duplicate_name()),
                _ if too_many => Err(too_many_partitions()),
                None => Err(unknown_topic(&TopicKey::Name(asked.topic.clone()))),
                Some(topic) => grow(draft, topic, asked),
            };
            TopicResult {
                name: Some(asked.topic.clone()),
                id: topic.map_or(TopicId::ZERO, |topic| topic.id),
                result,
            }
        })
        .collect()
}

fn grow(draft: &mut Draft, topic: &TopicImage, asked: &NewPartitions) -> Result<TopicShape, Failure> {
    let existing = topic.partitions.len();
    let count = usize::try_from(asked.count).unwrap_or(0);
    if count <= existing {
        let message = if count == existing {
            format!("Topic already has {existing} partition(s).")
        } else {
            format!(
                "The topic {} currently has {existing} partition(s); {} would not be an increase.",
                topic.name, asked.count
            )
        };
        return Err(Failure::new(ErrorCode::InvalidPartitions, message));
    }
    let added = count - existing;
    let partitions = match &asked.manual {
        Some(manual) if manual.len() != added => {
            let message = format!(
                "Attempted to add {added} additional partition(s), but only {} assignment(s) were specified.",
                manual.len()
            );
            return Err(Failure::new(ErrorCode::InvalidReplicaAssignment, message));
        }
        Some(manual) => {
            let expected = Some(topic.replication_factor());
            let at = |(at, replicas): (usize, &Vec<BrokerId>)| {
                partition(&draft.image, existing + at, replicas, expected)
            };
            manual.iter().enumerate().map(at).collect::<Result<Vec<_>, _>>()?
        }
        None => {
            let factor = i16::try_from(topic.replication_factor()).unwrap_or(i16::MAX);
            let added = i32::try_from(added).unwrap_or(i32::MAX);
            placed_partitions(&draft.image, &asked.placement, added, factor)?
        }
    };
    draft.push(MetadataRecord::AddPartitions { topic_id: topic.id, partitions });
    Ok(TopicShape { partitions: asked.count, ..shape(&topic.partitions) })
}

/// Items that occur more than once.
fn duplicates<T: Ord + Copy>(items: impl Iterator<Item = T>) -> BTreeSet<T> {
    let mut seen = BTreeSet::new();
    items.filter(|item| !seen.insert(*item)).collect()
}

fn duplicate_name() -> Failure {
    Failure::new(ErrorCode::InvalidRequest, "Duplicate topic name.")
}

fn too_many_partitions() -> Failure {
    Failure::new(ErrorCode::PolicyViolation, "Excessively large number of partitions per request.")
}

fn shape(partitions: &[PartitionImage]) -> TopicShape {
    let replicas = partitions.first().map_or(0, |partition| partition.replicas.len());
    TopicShape {
        partitions: i32::try_from(partitions.len()).unwrap_or(i32::MAX),
        replication_factor: i16::try_from(replicas).unwrap_or(i16::MAX),
    }
}

#[cfg(test)]
mod tests;
