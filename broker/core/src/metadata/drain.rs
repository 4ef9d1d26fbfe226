//! Brokers that are being emptied: what is asked of them, what would harm, and what comes next.
//!
//! ```text
//!   serving ──drain──▶ draining ──undrain──▶ serving        leads nothing that another could lead; goes on following
//!      └────────leave──▶ leaving ──▶ empty ──stopped──▶ gone     its replicas move to others in batches as well
//! ```
//! Kept in the image beside the registration, so it outlives restarts of the broker and failovers of the controller. A
//! partition that nobody else could lead stays with its draining leader until somebody can: a drain never takes one offline.

use std::collections::BTreeSet;

use tidemark_protocol::types::BrokerId;

use super::balance;
use super::command::{Command, TopicReassignment};
use super::image::{ClusterImage, PartitionImage};

/// Partitions that move off a leaving broker at once: their followers' first fetches share its disk with its clients.
pub const MOVES_MAX: usize = 100;
/// Partitions that a refusal names before it only counts.
const NAMED_MAX: usize = 5;

/// Why a broker must not be drained: what would happen, one reason each. None if it may be.
pub fn harm_of_draining(image: &ClusterImage, broker: BrokerId) -> Vec<String> {
    let others = image.leading_brokers().filter(|other| other.id != broker).count();
    if others == 0 {
        return vec![format!("broker {broker} is the last one that may lead: nobody could take over")];
    }
    let stuck = partitions_of(image, broker, |partition| {
        partition.leader == broker && !partition.isr.iter().any(|id| *id != broker && image.may_lead(*id))
    });
    let mut reasons = Vec::new();
    if !stuck.is_empty() {
        reasons.push(format!(
            "broker {broker} is the only one that could lead {}: no other replica is in sync and may lead",
            counted(&stuck)
        ));
    }
    reasons
}

/// Why a broker must not leave: what would happen, one reason each. None if it may.
pub fn harm_of_leaving(image: &ClusterImage, broker: BrokerId) -> Vec<String> {
    if !image.leading_brokers().any(|other| other.id != broker) {
        return vec![format!("broker {broker} is the last one: its data could go nowhere")];
    }
    let mut reasons = Vec::new();
    if let Err(error) = balance::drain_plan(image, broker) {
        reasons.push(format!("{error}: add a broker first, or lower the replication factor"));
    }
    if !image.is_usable(broker) {
        let last = partitions_of(image, broker, |partition| {
            let mut holders =
                partition.isr.iter().chain(partition.elr.iter()).chain(partition.last_known_elr.iter());
            partition.leader < 0 && holders.all(|id| *id == broker)
        });
        if !last.is_empty() {
            reasons.push(format!(
                "broker {broker} is not alive and has the only whole copy of {}: their records would be lost",
                counted(&last)
            ));
        }
    }
    reasons
}

/// What the controller does next for brokers that leave: it moves another batch of replicas, or forgets one that holds none
/// and has stopped. Nothing while it waits for either.
pub fn next_step(image: &ClusterImage) -> Option<Command> {
    image.leaving_brokers().find_map(|id| match image.brokers.get(&id) {
        Some(broker) if image.replicas_of_broker(id) == 0 => {
            broker.fenced.then_some(Command::UnregisterBroker { id })
        }
        Some(_) => next_batch(image, id),
        None => None,
    })
}

/// Replicas that are on their way off a broker.
pub fn moving_off(image: &ClusterImage, broker: BrokerId) -> usize {
    let topics = image.topics_of_broker(broker);
    topics
        .flat_map(|topic| &topic.partitions)
        .filter(|partition| partition.removing.contains(&broker))
        .count()
}

/// Half a batch that has arrived is enough to begin more: a slow partition does not hold up the others.
fn next_batch(image: &ClusterImage, broker: BrokerId) -> Option<Command> {
    let room = MOVES_MAX.saturating_sub(moving_off(image, broker));
    if room < MOVES_MAX / 2 {
        return None;
    }
    // Nowhere to go now: another broker may come.
    let plan = balance::drain_plan(image, broker).ok()?;
    let topics = first_of(plan, room);
    (!topics.is_empty())
        .then_some(Command::ReassignPartitions { topics, allow_replication_factor_change: false })
}

fn first_of(plan: Vec<TopicReassignment>, mut room: usize) -> Vec<TopicReassignment> {
    let mut topics = Vec::new();
    for mut topic in plan {
        topic.partitions.truncate(room);
        room -= topic.partitions.len();
        if !topic.partitions.is_empty() {
            topics.push(topic);
        }
    }
    topics
}

fn partitions_of(
    image: &ClusterImage,
    broker: BrokerId,
    is_meant: impl Fn(&PartitionImage) -> bool,
) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for topic in image.topics_of_broker(broker) {
        let meant = (0..)
            .zip(&topic.partitions)
            .filter(|(_, partition)| partition.has_replica(broker) && is_meant(partition));
        names.extend(meant.map(|(index, _): (i32, _)| format!("{}-{index}", topic.name)));
    }
    names
}

/// `3 partitions (a-0, a-1, b-7)`.
fn counted(names: &BTreeSet<String>) -> String {
    let noun = if names.len() == 1 { "partition" } else { "partitions" };
    let shown: Vec<&str> = names.iter().take(NAMED_MAX).map(String::as_str).collect();
    let more = names.len() - shown.len();
    let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{} {noun} ({}{rest})", names.len(), shown.join(", "))
}

#[cfg(test)]
mod tests;
