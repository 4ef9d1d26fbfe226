//! The cluster's identity, broker registrations and producer id blocks.

use std::collections::BTreeMap;

use tidemark_protocol::error_code::ErrorCode;
use tidemark_protocol::types::{BrokerId, ProducerId};

use super::Draft;
use super::broker_life::{Trust, arrive, leave};
use crate::metadata::command::Recovery;
use crate::metadata::image::BrokerRegistration;
use crate::metadata::record::MetadataRecord;
use crate::metadata::replication_rules::ReplicationRules;
use crate::metadata::reply::{Failure, ProducerIdBlock};

/// Ids handed out at once, as Kafka does: one quorum write per thousand producers.
pub const PRODUCER_ID_BLOCK_LEN: i32 = 1000;

const DUPLICATE: &str = "Another broker is registered with that broker id. If the broker was recently restarted this \
     should self-resolve once the heartbeat manager expires the broker's session.";

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

/// What a registration says beside the facts that are kept.
pub(super) struct Arrival<'a> {
    /// The cluster it believes to be in.
    pub(super) cluster_id: &'a str,
    /// Broker epoch of its last run; −1 when its disk does not tell.
    pub(super) previous_epoch: i64,
    /// What it found on its disk.
    pub(super) recovery: Recovery,
    /// Whether the incarnation before still has a session.
    pub(super) session_is_live: bool,
}

/// The broker epoch is the index of the entry that registered the incarnation. Registering the same incarnation again
/// keeps its epoch and updates what it says of itself. A new one that starts fenced leaves every ISR; one that does not
/// (a single node) restarts the partitions it leads.
pub(super) fn register(
    draft: &mut Draft,
    arrival: &Arrival<'_>,
    asked: BrokerRegistration,
) -> Result<i64, Failure> {
    check_cluster(draft, arrival.cluster_id)?;
    if asked.id < 0 {
        let message = format!("Broker id {} is negative.", asked.id);
        return Err(Failure::new(ErrorCode::InvalidRegistration, message));
    }
    if asked.endpoints.is_empty() {
        return Err(Failure::new(ErrorCode::InvalidRegistration, "No listeners are given."));
    }
    match draft.image.brokers.get(&asked.id).cloned() {
        Some(known) if known.incarnation == asked.incarnation => Ok(update(draft, &known, asked)),
        Some(known) if arrival.session_is_live && !known.in_controlled_shutdown => {
            Err(Failure::new(ErrorCode::DuplicateBrokerRegistration, DUPLICATE))
        }
        known => Ok(restart(draft, arrival, known.as_deref(), asked)),
    }
}

fn update(draft: &mut Draft, known: &BrokerRegistration, asked: BrokerRegistration) -> i64 {
    let BrokerRegistration { id, epoch, fenced, in_controlled_shutdown, is_suspect, .. } = *known;
    let registration = BrokerRegistration { epoch, fenced, in_controlled_shutdown, is_suspect, ..asked };
    if *known == registration {
        return epoch;
    }
    let rules = ReplicationRules::of_cluster(&draft.image);
    let has_lost_directory = lost_directory(known, &registration);
    draft.push(MetadataRecord::RegisterBroker { registration, restarts_leaders: false });
    if has_lost_directory {
        leave(draft, id, Trust::Lost);
    }
    draft.follow_rules_since(rules);
    epoch
}

fn restart(
    draft: &mut Draft,
    arrival: &Arrival<'_>,
    known: Option<&BrokerRegistration>,
    asked: BrokerRegistration,
) -> i64 {
    let BrokerRegistration { id, epoch, fenced, .. } = asked;
    let was_fenced = known.is_none_or(|known| known.fenced);
    let trust = match (arrival.recovery, known) {
        (Recovery::Wiped, _) => Trust::Lost,
        (_, Some(known)) if lost_directory(known, &asked) => Trust::Lost,
        (Recovery::Clean, Some(known)) if known.epoch == arrival.previous_epoch => Trust::Kept,
        _ => Trust::Unclean,
    };
    let leaves = fenced || trust == Trust::Lost;
    let rules = ReplicationRules::of_cluster(&draft.image);
    let restarts_leaders = known.is_some() && !leaves;
    draft.push(MetadataRecord::RegisterBroker { registration: asked, restarts_leaders });
    if leaves {
        leave(draft, id, trust);
    }
    if was_fenced && !leaves {
        arrive(draft, id);
    }
    draft.follow_rules_since(rules);
    epoch
}

/// A directory that was there and is not: its replicas are gone, whichever they were.
fn lost_directory(known: &BrokerRegistration, now: &BrokerRegistration) -> bool {
    !known.directories.iter().all(|directory| now.directories.contains(directory))
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
