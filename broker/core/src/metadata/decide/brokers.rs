//! The cluster's identity, broker registrations and producer id blocks.

use std::collections::BTreeMap;

use tidemark_protocol::error_code::ErrorCode;
use tidemark_protocol::types::{BrokerId, ProducerId};

use super::Draft;
use crate::metadata::image::BrokerRegistration;
use crate::metadata::record::MetadataRecord;
use crate::metadata::reply::{Failure, ProducerIdBlock};

/// Ids handed out at once, as Kafka does: one quorum write per thousand producers.
pub const PRODUCER_ID_BLOCK_LEN: i32 = 1000;

pub(super) fn initialize(
    draft: &mut Draft,
    cluster_id: &str,
    features: &BTreeMap<String, i16>,
) -> Result<(), Failure> {
    if cluster_id.is_empty() {
        return Err(Failure::new(ErrorCode::InvalidRequest, "The cluster id must not be empty."));
    }
    if draft.image.cluster_id == cluster_id {
        return Ok(());
    }
    check_cluster(draft, cluster_id)?;
    draft.push(MetadataRecord::Cluster { cluster_id: cluster_id.to_owned() });
    for (name, level) in features {
        draft.push(MetadataRecord::FeatureLevel { name: name.clone(), level: *level });
    }
    Ok(())
}

/// Fails unless the image has no identity yet or this one.
fn check_cluster(draft: &Draft, cluster_id: &str) -> Result<(), Failure> {
    let known = &draft.image.cluster_id;
    if known.is_empty() || known == cluster_id {
        return Ok(());
    }
    let message = format!("Expected cluster ID {known}, but got cluster ID {cluster_id}");
    Err(Failure::new(ErrorCode::InconsistentClusterId, message))
}

/// The broker epoch is the index of the entry that registered the incarnation. Registering the same incarnation again
/// keeps its epoch and updates what it says of itself; a new one restarts the partitions it leads.
pub(super) fn register(
    draft: &mut Draft,
    cluster_id: &str,
    asked: BrokerRegistration,
) -> Result<i64, Failure> {
    check_cluster(draft, cluster_id)?;
    if asked.id < 0 {
        let message = format!("Broker id {} is negative.", asked.id);
        return Err(Failure::new(ErrorCode::InvalidRegistration, message));
    }
    if asked.endpoints.is_empty() {
        return Err(Failure::new(ErrorCode::InvalidRegistration, "No listeners are given."));
    }
    let known = draft.image.brokers.get(&asked.id).cloned();
    let (registration, restarts_leaders) = match known.as_deref() {
        Some(known) if known.incarnation == asked.incarnation => {
            let BrokerRegistration { epoch, fenced, in_controlled_shutdown, .. } = *known;
            (BrokerRegistration { epoch, fenced, in_controlled_shutdown, ..asked }, false)
        }
        known => (asked, known.is_some()),
    };
    let epoch = registration.epoch;
    if known.as_deref() != Some(&registration) {
        draft.push(MetadataRecord::RegisterBroker { registration, restarts_leaders });
    }
    Ok(epoch)
}

pub(super) fn allocate_producer_ids(
    draft: &mut Draft,
    broker: BrokerId,
    broker_epoch: i64,
) -> Result<ProducerIdBlock, Failure> {
    let Some(known) = draft.image.brokers.get(&broker) else {
        let message = format!("Broker ID {broker} is not currently registered");
        return Err(Failure::new(ErrorCode::BrokerIdNotRegistered, message));
    };
    if known.epoch != broker_epoch {
        let message = format!("Expected broker epoch {}, but got broker epoch {broker_epoch}", known.epoch);
        return Err(Failure::new(ErrorCode::StaleBrokerEpoch, message));
    }
    let first: ProducerId = draft.image.next_producer_id;
    let Some(next_producer_id) = first.checked_add(i64::from(PRODUCER_ID_BLOCK_LEN)) else {
        return Err(Failure::new(ErrorCode::UnknownServerError, "All producer ids have been used."));
    };
    draft.push(MetadataRecord::ProducerIds { next_producer_id });
    Ok(ProducerIdBlock { first, len: PRODUCER_ID_BLOCK_LEN })
}

#[cfg(test)]
mod tests;
