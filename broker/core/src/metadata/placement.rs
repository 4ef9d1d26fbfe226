//! Which brokers get the replicas of new partitions: round robin over racks, from a start the caller draws.
//!
//! Racks take turns, brokers within a rack take turns, and the followers of a partition step through the ring at a
//! stride that grows each time the leaders went around, so that the partitions of one broker have their followers on
//! many others and a failed broker's load spreads. Pure: the same image and seed give the same placement.

use std::collections::BTreeMap;

use thiserror::Error;
use tidemark_protocol::types::BrokerId;

use super::image::ClusterImage;

/// Fewer usable brokers than replicas asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error(
    "The target replication factor of {replication_factor} cannot be reached because only {usable} broker(s) are registered."
)]
pub struct TooFewBrokers {
    /// As asked.
    pub replication_factor: usize,
    /// As there are.
    pub usable: usize,
}

/// A broker and the number of its rack.
type Member = (BrokerId, usize);

/// Replicas for `partitions` new partitions, the first of which has index `first`. Pure: `seed` picks the start.
pub fn place(
    image: &ClusterImage,
    first: usize,
    partitions: usize,
    replication_factor: usize,
    seed: u64,
) -> Result<Vec<Vec<BrokerId>>, TooFewBrokers> {
    let ring = ring(image);
    if replication_factor == 0 || ring.len() < replication_factor {
        return Err(TooFewBrokers { replication_factor, usable: ring.len() });
    }
    let racks = ring.iter().map(|(_, rack)| rack + 1).max().unwrap_or(0);
    let start = usize::try_from(seed % ring.len() as u64).expect("less than the number of brokers");
    Ok((first..first + partitions)
        .map(|index| replicas(&ring, racks, start + index, replication_factor))
        .collect())
}

/// Usable brokers, racks interleaved: the first of each rack, then the second of each, and so on.
fn ring(image: &ClusterImage) -> Vec<Member> {
    let mut racks: BTreeMap<&str, Vec<BrokerId>> = BTreeMap::new();
    for broker in image.usable_brokers() {
        racks.entry(broker.rack.as_deref().unwrap_or("")).or_default().push(broker.id);
    }
    let rounds = racks.values().map(Vec::len).max().unwrap_or(0);
    let nth = |round: usize| {
        racks.values().enumerate().filter_map(move |(rack, ids)| ids.get(round).map(|id| (*id, rack)))
    };
    (0..rounds).flat_map(nth).collect()
}

/// The leader is `ring[turn]`; followers come from racks not used yet while there are any.
fn replicas(ring: &[Member], racks: usize, turn: usize, count: usize) -> Vec<BrokerId> {
    let leader = ring[turn % ring.len()];
    let stride = 1 + (turn / ring.len()) % (ring.len() - 1).max(1);
    let mut used_racks = vec![false; racks];
    used_racks[leader.1] = true;
    let mut chosen = vec![leader.0];
    let others: Vec<Member> = (0..ring.len() - 1)
        .map(|step| ring[(turn + 1 + (stride - 1 + step) % (ring.len() - 1)) % ring.len()])
        .collect();
    while chosen.len() < count {
        if used_racks.iter().all(|used| *used) {
            used_racks.fill(false);
        }
        let fresh = others.iter().find(|(id, rack)| !used_racks[*rack] && !chosen.contains(id));
        match fresh {
            Some((id, rack)) => {
                used_racks[*rack] = true;
                chosen.push(*id);
            }
            // The racks that are left have no broker left: any broker will do.
            None => used_racks.fill(false),
        }
    }
    chosen
}

#[cfg(test)]
mod tests;
