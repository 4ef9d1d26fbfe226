//! Brokers begin and end to be emptied.

use std::sync::Arc;

use tidemark_protocol::error_code::ErrorCode;
use tidemark_protocol::types::BrokerId;

use super::Draft;
use crate::metadata::drain::{harm_of_draining, harm_of_leaving};
use crate::metadata::image::{BrokerIds, Drain};
use crate::metadata::partition_change::without;
use crate::metadata::record::MetadataRecord;
use crate::metadata::reply::Failure;

/// A drained broker gives away what it leads; one that leaves is moved off its partitions afterwards, step by step.
pub(super) fn begin(draft: &mut Draft, id: BrokerId, leaves: bool) -> Result<(), Failure> {
    check_registered(draft, id)?;
    match draft.image.drains.get(&id) {
        Some(drain) if drain.leaves == leaves => return Ok(()),
        Some(drain) if drain.leaves => {
            return refuse(format!("broker {id} is being decommissioned; cancel that first"));
        }
        _ => {}
    }
    let reasons = if leaves { harm_of_leaving(&draft.image, id) } else { harm_of_draining(&draft.image, id) };
    if !reasons.is_empty() {
        return refuse(reasons.join("; "));
    }
    let replicas = u32::try_from(draft.image.replicas_of_broker(id)).unwrap_or(u32::MAX);
    draft.push(MetadataRecord::Drain { id, drain: Some(Drain { leaves, replicas }) });
    let topics = draft.topics_of(id);
    draft.sweep(&topics, |change| (change.current().leader == id).then_some(change));
    Ok(())
}

/// It may lead again, and takes back what prefers it. Moves off it that have not arrived are called off.
pub(super) fn end(draft: &mut Draft, id: BrokerId) -> Result<(), Failure> {
    check_registered(draft, id)?;
    let Some(drain) = draft.image.drains.get(&id).copied() else { return Ok(()) };
    draft.push(MetadataRecord::Drain { id, drain: None });
    let topics = draft.topics_of(id);
    if drain.leaves {
        draft.sweep(&topics, |change| {
            let current = change.current();
            // What only the added replicas hold has to go on.
            let can_return = !without(&current.isr, &current.adding).is_empty();
            let none: BrokerIds = Arc::from([]);
            // Whoever was to take its place stands there, so its place in the order of preference is known.
            let back = |other: &BrokerId| if current.adding.contains(other) { id } else { *other };
            let before = without(&current.replicas, &[id]).iter().map(back).collect();
            (*current.removing == [id] && current.adding.len() == 1 && can_return)
                .then(|| change.replicas(before, Arc::clone(&none), none))
        });
    }
    let topics = draft.topics_of(id);
    draft.sweep(&topics, |change| {
        (change.current().replicas.first() == Some(&id)).then(|| change.preferring_first())
    });
    Ok(())
}

fn check_registered(draft: &Draft, id: BrokerId) -> Result<(), Failure> {
    if draft.image.brokers.contains_key(&id) {
        return Ok(());
    }
    Err(Failure::new(ErrorCode::BrokerIdNotRegistered, format!("Broker ID {id} is not currently registered")))
}

fn refuse(why: String) -> Result<(), Failure> {
    Err(Failure::new(ErrorCode::PolicyViolation, why))
}
