//! What becomes of partitions when a broker comes, goes or cannot vouch for what it holds.
//!
//! A broker that is fenced or shutting down is in no ISR. One whose data cannot be relied upon is in no ELR either. The
//! broker's own record comes first: what follows for its partitions is computed on the image that it leaves.

use tidemark_protocol::error_code::ErrorCode;
use tidemark_protocol::types::{BrokerId, TopicIdPartition};

use super::Draft;
use crate::metadata::image::BrokerRegistration;
use crate::metadata::partition_change::PartitionChange;
use crate::metadata::record::MetadataRecord;
use crate::metadata::replication_rules::ReplicationRules;
use crate::metadata::reply::Failure;

/// What a broker's data is worth when it is out of sync.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trust {
    /// It holds what it called durable.
    Kept,
    /// It stopped uncleanly: where writes do not wait for the disk it counts only as the last that may have them.
    Unclean,
    /// It holds nothing.
    Lost,
}

pub(super) fn fence(draft: &mut Draft, id: BrokerId, epoch: i64) -> Result<(), Failure> {
    let broker = current(draft, id, epoch)?;
    if !broker.fenced {
        draft.push(of_broker(&broker, true, broker.in_controlled_shutdown));
        leave(draft, id, Trust::Kept);
    }
    Ok(())
}

pub(super) fn unfence(draft: &mut Draft, id: BrokerId, epoch: i64) -> Result<(), Failure> {
    let broker = current(draft, id, epoch)?;
    if broker.fenced && !broker.in_controlled_shutdown {
        draft.push(of_broker(&broker, false, false));
        arrive(draft, id);
    }
    Ok(())
}

pub(super) fn begin_shutdown(draft: &mut Draft, id: BrokerId, epoch: i64) -> Result<(), Failure> {
    let broker = current(draft, id, epoch)?;
    if !broker.in_controlled_shutdown {
        draft.push(of_broker(&broker, broker.fenced, true));
        leave(draft, id, Trust::Kept);
    }
    Ok(())
}

/// Nothing compares the next registration of this id with what it held: it must count as a stranger.
pub(super) fn unregister(draft: &mut Draft, id: BrokerId) -> Result<(), Failure> {
    if !draft.image.brokers.contains_key(&id) {
        let message = format!("Broker ID {id} is not currently registered");
        return Err(Failure::new(ErrorCode::BrokerIdNotRegistered, message));
    }
    let rules = ReplicationRules::of_cluster(&draft.image);
    draft.push(MetadataRecord::UnregisterBroker { id });
    leave(draft, id, Trust::Lost);
    draft.follow_rules_since(rules);
    Ok(())
}

/// In a new leader epoch: the leader may have been told by the damaged replica that it has caught up, and would let it in again
/// before it is dropped.
pub(super) fn quarantine(
    draft: &mut Draft,
    id: BrokerId,
    epoch: i64,
    partitions: &[TopicIdPartition],
) -> Result<(), Failure> {
    current(draft, id, epoch)?;
    let defaults = ReplicationRules::of_cluster(&draft.image);
    for tp in partitions {
        let Some(topic) = draft.image.topic_by_id(tp.topic_id) else { continue };
        let Some(partition) = topic.partition(tp.partition).cloned() else { continue };
        let rules = defaults.with_overrides_of(&draft.image, &topic.name);
        let change = PartitionChange::new(&draft.image, &partition, rules).forgetting(id).beginning_epoch();
        if let Some(changed) = change.build().filter(|_| partition.has_replica(id)) {
            draft.change(tp.topic_id, tp.partition, changed);
        }
    }
    Ok(())
}

/// The registration, if this is its epoch.
pub(super) fn current(draft: &Draft, id: BrokerId, epoch: i64) -> Result<BrokerRegistration, Failure> {
    let stale = |message| Err(Failure::new(ErrorCode::StaleBrokerEpoch, message));
    match draft.image.brokers.get(&id) {
        None => stale(format!("No broker registration found for broker id {id}")),
        Some(broker) if broker.epoch != epoch => {
            stale(format!("Expected broker epoch {}, but got broker epoch {epoch}", broker.epoch))
        }
        Some(broker) => Ok((**broker).clone()),
    }
}

/// A broker that is not usable any more leaves every ISR, and where its data is gone every ELR; others are elected.
pub(super) fn leave(draft: &mut Draft, id: BrokerId, trust: Trust) {
    let topics = draft.topics_of(id);
    draft.sweep(&topics, |change| {
        let partition = change.current();
        let is_last = partition.isr.iter().chain(partition.elr.iter()).all(|member| *member == id);
        let is_doubtful = trust == Trust::Unclean && change.rules().is_async && !is_last;
        let is_lost = trust == Trust::Lost || is_doubtful;
        let lists = [&partition.isr, &partition.elr, &partition.last_known_elr];
        match lists.map(|list| list.contains(&id)) {
            [false, false, false] => None,
            _ if is_lost => Some(change.forgetting(id)),
            [true, ..] => Some(change.out_of_sync(id)),
            [false, ..] => None,
        }
    });
}

/// A broker that became usable leads what has no leader and what it may lead.
pub(super) fn arrive(draft: &mut Draft, id: BrokerId) {
    let topics = draft.topics_of(id);
    draft.sweep(&topics, |change| {
        let partition = change.current();
        (partition.leader < 0 && partition.has_replica(id)).then_some(change)
    });
}

fn of_broker(broker: &BrokerRegistration, fenced: bool, in_controlled_shutdown: bool) -> MetadataRecord {
    MetadataRecord::BrokerChange { id: broker.id, fenced, in_controlled_shutdown }
}

#[cfg(test)]
mod tests;
