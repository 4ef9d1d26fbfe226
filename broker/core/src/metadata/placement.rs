//! Which brokers get the replicas of new partitions: round robin over racks, from a start the caller draws.
//!
//! Racks take turns, brokers within a rack take turns, and the followers of a partition step through the ring at a
//! stride that grows each time the leaders went around, so that the partitions of one broker have their followers on
//! many others and a failed broker's load spreads. Fenced and draining brokers are assigned replicas only where the others
//! do not suffice, and never the first; those that leave are assigned none. Pure: the same image and seed give the same placement.

use std::collections::BTreeMap;

use thiserror::Error;
use tidemark_protocol::types::BrokerId;

use super::image::ClusterImage;

/// Why replicas cannot be placed, in Kafka's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum PlacementError {
    /// Fewer brokers than replicas asked for.
    #[error(
        "The target replication factor of {replication_factor} cannot be reached because only {registered} \
         broker(s) are registered."
    )]
    TooFewBrokers {
        /// As asked.
        replication_factor: usize,
        /// As there are, fenced ones included.
        registered: usize,
    },
    /// Nobody could lead.
    #[error("All brokers are currently fenced.")]
    AllFenced,
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
) -> Result<Vec<Vec<BrokerId>>, PlacementError> {
    check(image, replication_factor)?;
    let ring = ring(image);
    let racks = ring.iter().map(|(_, rack)| rack + 1).max().unwrap_or(0);
    let start = usize::try_from(seed % ring.len() as u64).expect("less than the number of brokers");
    let reserve: Vec<BrokerId> =
        image.placeable_brokers().map(|broker| broker.id).filter(|id| !image.may_lead(*id)).collect();
    let placed = |index: usize| {
        let mut placed = replicas(&ring, racks, start + index, replication_factor.min(ring.len()));
        let missing = replication_factor - placed.len();
        placed.extend((0..missing).map(|at| reserve[(start + index + at) % reserve.len()]));
        placed
    };
    Ok((first..first + partitions).map(placed).collect())
}

/// Whether so many replicas can be placed at all.
pub fn check(image: &ClusterImage, replication_factor: usize) -> Result<(), PlacementError> {
    let registered = image.placeable_brokers().count();
    if replication_factor == 0 || registered < replication_factor {
        return Err(PlacementError::TooFewBrokers { replication_factor, registered });
    }
    if image.leading_brokers().next().is_none() {
        return Err(PlacementError::AllFenced);
    }
    Ok(())
}

/// How many replicas each broker has, counting those that a plan moves; the choice of a broker for one more replica.
#[derive(Clone, Debug)]
pub struct Load {
    replicas: BTreeMap<BrokerId, usize>,
}

impl Load {
    /// As the image has it, on brokers that are usable and not being emptied.
    pub fn of(image: &ClusterImage) -> Self {
        let replicas = image.leading_brokers().map(|broker| (broker.id, image.replicas_of_broker(broker.id)));
        Load { replicas: replicas.collect() }
    }

    /// A usable broker beside these replicas: in a rack that has none of them if there is one, else anywhere; the least
    /// loaded, then the one with the lowest id. It counts as chosen.
    pub fn choose(
        &mut self,
        image: &ClusterImage,
        beside: &[BrokerId],
        except: Option<BrokerId>,
    ) -> Option<BrokerId> {
        let rack = |id: &BrokerId| image.brokers.get(id).and_then(|broker| broker.rack.as_deref());
        let taken: Vec<&str> = beside.iter().filter_map(rack).collect();
        let is_free = |id: &BrokerId| !beside.contains(id) && except != Some(*id);
        let candidates = self.replicas.iter().filter(|(id, _)| is_free(id));
        let (chosen, _) = candidates
            .min_by_key(|(id, load)| (rack(id).is_some_and(|rack| taken.contains(&rack)), **load))?;
        let chosen = *chosen;
        *self.replicas.entry(chosen).or_default() += 1;
        Some(chosen)
    }
}

/// Brokers that may lead, racks interleaved: the first of each rack, then the second of each, and so on.
fn ring(image: &ClusterImage) -> Vec<Member> {
    let mut racks: BTreeMap<&str, Vec<BrokerId>> = BTreeMap::new();
    for broker in image.leading_brokers() {
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
