//! Where replicas should be: a plan of moves towards even brokers, or towards and off named ones. Pure.
//!
//! Replicas of a partition stay on as many racks as they are on, and moves are as few as the goal needs: first replicas move
//! from the brokers with most to those with fewest, then the order of preference changes, which moves no data.

use std::collections::{BTreeMap, BTreeSet};

use tidemark_protocol::types::{BrokerId, TopicPartition};

/// A broker that replicas may be put on, with its rack.
pub type Nodes = BTreeMap<BrokerId, Option<String>>;

/// The replicas of partitions, in order of preference.
pub type Placement = BTreeMap<TopicPartition, Vec<BrokerId>>;

/// What a plan asks of placement beside evenness.
#[derive(Clone, Debug, Default)]
pub struct Wish {
    /// Replicas stand on these only; empty for any.
    pub to: BTreeSet<BrokerId>,
    /// Replicas leave these.
    pub off: BTreeSet<BrokerId>,
    /// So many replicas each; `None` for as many as there are.
    pub replicas: Option<usize>,
}

/// Why a plan cannot be made: a partition for which there are too few brokers.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("partition {partition} would have {wanted} replicas, and only {found} brokers can take one")]
pub struct TooFew {
    /// The first such partition.
    pub partition: String,
    /// Replicas wanted.
    pub wanted: usize,
    /// Brokers there are for it.
    pub found: usize,
}

/// Partitions whose replicas should be others, with the others: even replicas and even preferred leaders.
pub fn even(nodes: &Nodes, now: &Placement) -> Placement {
    let mut plan = now.clone();
    even_replicas(nodes, &mut plan);
    even_leaders(nodes, &mut plan);
    changed(now, plan)
}

/// Partitions whose replicas should be others to fulfil a wish; what fulfils it already stays.
pub fn towards(nodes: &Nodes, now: &Placement, wish: &Wish) -> Result<Placement, TooFew> {
    let is_allowed = |id: &BrokerId| (wish.to.is_empty() || wish.to.contains(id)) && !wish.off.contains(id);
    let allowed: Nodes =
        nodes.iter().filter(|(id, _)| is_allowed(id)).map(|(id, rack)| (*id, rack.clone())).collect();
    let mut load = counts(&allowed, now);
    let mut plan = Placement::new();
    for (tp, replicas) in now {
        let wanted = wish.replicas.unwrap_or(replicas.len());
        // A replica that is down stays where it may be: only a wish moves it.
        let mut target: Vec<BrokerId> = replicas.iter().copied().filter(is_allowed).take(wanted).collect();
        while target.len() < wanted {
            let Some(next) = least_loaded(&allowed, &load, &target) else {
                let partition = format!("{}-{}", tp.topic, tp.partition);
                return Err(TooFew { partition, wanted, found: target.len() });
            };
            *load.entry(next).or_default() += 1;
            // In the place of the replica that goes: its place in the order of preference is kept.
            let place = replicas.iter().position(|id| !is_allowed(id) && !target.contains(id));
            match place.filter(|at| *at < target.len()) {
                Some(at) => target.insert(at, next),
                None => target.push(next),
            }
        }
        plan.insert(tp.clone(), target);
    }
    Ok(changed(now, plan))
}

fn changed(now: &Placement, mut plan: Placement) -> Placement {
    plan.retain(|tp, replicas| now.get(tp) != Some(replicas));
    plan
}

/// Replicas by node, nodes without any included.
fn counts(nodes: &Nodes, placement: &Placement) -> BTreeMap<BrokerId, usize> {
    let mut counts: BTreeMap<BrokerId, usize> = nodes.keys().map(|id| (*id, 0)).collect();
    for id in placement.values().flatten() {
        if let Some(count) = counts.get_mut(id) {
            *count += 1;
        }
    }
    counts
}

/// A rack that is not there yet first, then the fewest replicas, then the lowest id.
fn least_loaded(nodes: &Nodes, load: &BTreeMap<BrokerId, usize>, beside: &[BrokerId]) -> Option<BrokerId> {
    let taken: BTreeSet<&String> = racks(nodes, beside).collect();
    let free = nodes.iter().filter(|(id, _)| !beside.contains(id));
    let best = free.min_by_key(|(id, rack)| {
        (rack.as_ref().is_some_and(|rack| taken.contains(rack)), load.get(id).copied().unwrap_or(0), **id)
    });
    best.map(|(id, _)| *id)
}

fn racks<'a>(nodes: &'a Nodes, ids: &'a [BrokerId]) -> impl Iterator<Item = &'a String> {
    ids.iter().filter_map(|id| nodes.get(id)?.as_ref())
}

fn even_replicas(nodes: &Nodes, plan: &mut Placement) {
    let mut load = counts(nodes, plan);
    while let Some((tp, from, to)) = next_move(nodes, &load, plan) {
        let replicas = plan.get_mut(&tp).expect("it was just found there");
        let at = replicas.iter().position(|id| *id == from).expect("it was just found there");
        replicas[at] = to;
        *load.entry(from).or_default() -= 1;
        *load.entry(to).or_default() += 1;
    }
}

/// From the fullest node to the emptiest that can take something of it; none when all are within one replica.
fn next_move(
    nodes: &Nodes,
    load: &BTreeMap<BrokerId, usize>,
    plan: &Placement,
) -> Option<(TopicPartition, BrokerId, BrokerId)> {
    let mut by_load: Vec<(usize, BrokerId)> = load.iter().map(|(id, count)| (*count, *id)).collect();
    by_load.sort_unstable();
    for (most, from) in by_load.iter().rev() {
        for (fewest, to) in &by_load {
            if *most <= fewest + 1 {
                break;
            }
            if let Some(tp) = movable(nodes, plan, *from, *to) {
                return Some((tp, *from, *to));
            }
        }
    }
    None
}

/// A partition of the topic that is most uneven between the two, whose racks do not become fewer.
fn movable(nodes: &Nodes, plan: &Placement, from: BrokerId, to: BrokerId) -> Option<TopicPartition> {
    let mut uneven: BTreeMap<&str, i64> = BTreeMap::new();
    for (tp, replicas) in plan {
        *uneven.entry(&*tp.topic).or_default() +=
            i64::from(replicas.contains(&from)) - i64::from(replicas.contains(&to));
    }
    let distinct = |ids: &[BrokerId]| racks(nodes, ids).collect::<BTreeSet<_>>().len();
    let fits = plan.iter().filter(|(_, replicas)| {
        let moved: Vec<BrokerId> = replicas.iter().map(|id| if *id == from { to } else { *id }).collect();
        replicas.contains(&from) && !replicas.contains(&to) && distinct(&moved) >= distinct(replicas)
    });
    fits.max_by_key(|(tp, _)| uneven.get(&*tp.topic).copied()).map(|(tp, _)| tp.clone())
}

/// Puts another replica first where its node is preferred for fewer partitions.
fn even_leaders(nodes: &Nodes, plan: &mut Placement) {
    let mut preferred: BTreeMap<BrokerId, usize> = nodes.keys().map(|id| (*id, 0)).collect();
    for first in plan.values().filter_map(|replicas| replicas.first()) {
        *preferred.entry(*first).or_default() += 1;
    }
    // Each swap makes the sum of squares smaller, so this ends.
    let mut swapped = true;
    while swapped {
        swapped = false;
        for replicas in plan.values_mut() {
            let Some(first) = replicas.first().copied() else { continue };
            let others = (1..replicas.len()).filter(|at| nodes.contains_key(&replicas[*at]));
            let Some(at) = others.min_by_key(|at| preferred[&replicas[*at]]) else { continue };
            let gains = !nodes.contains_key(&first) || preferred[&first] > preferred[&replicas[at]] + 1;
            if gains {
                *preferred.entry(first).or_default() -= 1;
                *preferred.entry(replicas[at]).or_default() += 1;
                replicas.swap(0, at);
                swapped = true;
            }
        }
    }
}

#[cfg(test)]
mod tests;
