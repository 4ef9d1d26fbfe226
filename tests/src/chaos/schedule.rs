//! [`Schedule`]: what is done to the cluster and when, from a seed.
//!
//! A round lasts a few seconds and has a random handful of faults, a quarter of them none; what a round did is undone when the
//! next begins. After several rounds everything is healed and the cluster must become whole; then a disk may be damaged, because
//! then, and only then, every other node has all that was acknowledged.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::proxy::{Effect, End};
use crate::rng::Rng;

/// Rounds between two healings.
const ROUNDS_BETWEEN_HEALINGS: u64 = 8;
/// Length of a round, milliseconds.
const ROUND_MS: std::ops::Range<u64> = 2_000..8_000;
/// Rounds without a fault, of a hundred.
const QUIET_PERCENT: u64 = 25;
/// Bits that are flipped at a time.
const FLIPS: u32 = 10;
/// The most faults at a time.
const FAULTS_MAX: u64 = 3;

/// Kinds of faults, for the command line and the summary.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Sort {
    /// kill -9 of one node.
    Kill,
    /// kill -9 of all nodes at once.
    KillAll,
    /// SIGSTOP.
    Pause,
    /// SIGTERM, and a start.
    Restart,
    /// A link between two nodes.
    Link,
    /// A node cut off from all others.
    Isolate,
    /// A link between a node and its clients.
    Clients,
    /// A disk that fails, fills or dawdles.
    Disk,
    /// A clock that is wrong.
    Clock,
    /// A disk that comes back empty.
    Wipe,
    /// A disk that comes back with other bits.
    Flip,
}

impl Sort {
    /// Whether it takes a test build of the broker.
    pub fn needs_hooks(self) -> bool {
        matches!(self, Sort::Disk | Sort::Clock)
    }

    /// Whether it destroys what the others must have.
    fn is_damage(self) -> bool {
        matches!(self, Sort::Wipe | Sort::Flip)
    }
}

/// Every kind, with its name.
pub const SORTS: &[(Sort, &str)] = &[
    (Sort::Kill, "kill"),
    (Sort::KillAll, "kill-all"),
    (Sort::Pause, "pause"),
    (Sort::Restart, "restart"),
    (Sort::Link, "link"),
    (Sort::Isolate, "isolate"),
    (Sort::Clients, "clients"),
    (Sort::Disk, "disk"),
    (Sort::Clock, "clock"),
    (Sort::Wipe, "wipe"),
    (Sort::Flip, "flip"),
];

impl fmt::Display for Sort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(SORTS.iter().find(|(sort, _)| sort == self).map_or("?", |(_, name)| name))
    }
}

impl FromStr for Sort {
    type Err = String;

    fn from_str(text: &str) -> Result<Sort, String> {
        let found = SORTS.iter().find(|(_, name)| *name == text).map(|(sort, _)| *sort);
        let all = || SORTS.iter().map(|(_, name)| *name).collect::<Vec<_>>().join(", ");
        found.ok_or_else(|| format!("{text}? Faults are {}", all()))
    }
}

/// One fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// kill -9; started again when the round ends.
    Kill(Vec<i32>),
    /// SIGSTOP until the round ends.
    Pause(i32),
    /// SIGTERM, and started again at once.
    Restart(i32),
    /// Links that do something else than pass.
    Links(Sort, Vec<(End, End)>, Effect),
    /// What ails a disk until the round ends, in the words of the test build.
    Disk(i32, String),
    /// A wall clock that is wrong by so many milliseconds until the round ends.
    Clock(i32, i64),
    /// kill -9, all its data removed, and started again.
    Wipe(i32),
    /// kill -9, so many bits of its segments flipped by chance from this seed, and started again.
    Flip(i32, u32, u64),
}

impl Fault {
    /// Its kind.
    pub fn sort(&self) -> Sort {
        match self {
            Fault::Kill(nodes) if nodes.len() > 1 => Sort::KillAll,
            Fault::Kill(_) => Sort::Kill,
            Fault::Pause(_) => Sort::Pause,
            Fault::Restart(_) => Sort::Restart,
            Fault::Links(sort, ..) => *sort,
            Fault::Disk(..) => Sort::Disk,
            Fault::Clock(..) => Sort::Clock,
            Fault::Wipe(_) => Sort::Wipe,
            Fault::Flip(..) => Sort::Flip,
        }
    }
}

/// What comes next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// These faults for so long.
    Round(Duration, Vec<Fault>),
    /// Everything is undone, and the cluster must become whole.
    Heal,
    /// A disk is damaged while the cluster is whole.
    Damage(Fault),
}

/// The steps of a run, without end. The same seed gives the same ones.
pub struct Schedule {
    rng: Rng,
    sorts: Vec<Sort>,
    nodes: Vec<i32>,
    round: u64,
}

impl Schedule {
    /// Steps with faults of these kinds.
    pub fn new(seed: u64, sorts: &BTreeSet<Sort>, nodes: &[i32]) -> Schedule {
        Schedule {
            rng: Rng::new(seed),
            sorts: sorts.iter().copied().collect(),
            nodes: nodes.to_vec(),
            round: 0,
        }
    }

    /// The next step.
    pub fn next_step(&mut self) -> Step {
        self.round += 1;
        let (damages, faults): (Vec<Sort>, Vec<Sort>) = self.sorts.iter().partition(|sort| sort.is_damage());
        match self.round % (ROUNDS_BETWEEN_HEALINGS + 2) {
            0 => Step::Heal,
            1 if self.round > 1 && !damages.is_empty() => {
                let sort = *self.rng.pick(&damages);
                Step::Damage(self.fault(sort))
            }
            _ => {
                let length = Duration::from_millis(self.rng.between(ROUND_MS.start, ROUND_MS.end));
                let count =
                    if self.rng.percent(QUIET_PERCENT) { 0 } else { self.rng.between(1, FAULTS_MAX + 1) };
                let count = if faults.is_empty() { 0 } else { count };
                let chosen: Vec<Sort> = (0..count).map(|_| *self.rng.pick(&faults)).collect();
                Step::Round(length, chosen.into_iter().map(|sort| self.fault(sort)).collect())
            }
        }
    }

    fn fault(&mut self, sort: Sort) -> Fault {
        let node = *self.rng.pick(&self.nodes);
        match sort {
            Sort::Kill => Fault::Kill(vec![node]),
            Sort::KillAll => Fault::Kill(self.nodes.clone()),
            Sort::Pause => Fault::Pause(node),
            Sort::Restart => Fault::Restart(node),
            Sort::Wipe => Fault::Wipe(node),
            Sort::Flip => Fault::Flip(node, FLIPS, self.rng.next_u64()),
            Sort::Disk => {
                let ailments = [
                    "eio-write",
                    "eio-sync",
                    "eio-sync everywhere",
                    "full",
                    "full everywhere",
                    "slow=300",
                    "slow=1500 everywhere",
                ];
                Fault::Disk(node, (*self.rng.pick(&ailments)).to_owned())
            }
            Sort::Clock => {
                let hours = i64::try_from(self.rng.below(48)).expect("a small number") - 24;
                Fault::Clock(node, hours * 3_600_000 + 1_500)
            }
            Sort::Link => {
                let others: Vec<i32> = self.nodes.iter().copied().filter(|other| *other != node).collect();
                let (a, b) = (End::Node(node), End::Node(*self.rng.pick(&others)));
                Fault::Links(sort, self.directions(a, b), self.effect())
            }
            Sort::Isolate => {
                let others: Vec<i32> = self.nodes.iter().copied().filter(|other| *other != node).collect();
                let way = self.rng.below(3);
                let links = others.into_iter().flat_map(|other| {
                    let (a, b) = (End::Node(node), End::Node(other));
                    // Deaf, mute, or both.
                    [(a, b), (b, a)].into_iter().skip(usize::from(way == 1)).take(if way == 0 {
                        2
                    } else {
                        1
                    })
                });
                Fault::Links(sort, links.collect(), Effect::Cut)
            }
            Sort::Clients => {
                Fault::Links(sort, self.directions(End::Clients, End::Node(node)), self.effect())
            }
        }
    }

    /// One way, the other way, or both.
    fn directions(&mut self, a: End, b: End) -> Vec<(End, End)> {
        match self.rng.below(3) {
            0 => vec![(a, b)],
            1 => vec![(b, a)],
            _ => vec![(a, b), (b, a)],
        }
    }

    fn effect(&mut self) -> Effect {
        match self.rng.below(5) {
            0 | 1 => Effect::Cut,
            2 => Effect::Delay(Duration::from_millis(self.rng.between(20, 1500))),
            3 => Effect::Drip(u32::try_from(self.rng.between(200, 20_000)).expect("a small number")),
            _ => Effect::Reset,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(seed: u64) -> Vec<Step> {
        let sorts = SORTS.iter().map(|(sort, _)| *sort).collect();
        let mut schedule = Schedule::new(seed, &sorts, &[1, 2, 3]);
        (0..500).map(|_| schedule.next_step()).collect()
    }

    #[test]
    fn the_same_seed_gives_the_same_steps_and_another_gives_others() {
        assert_eq!(steps(1), steps(1));
        assert_ne!(steps(1), steps(2));
    }

    #[test]
    fn every_kind_of_fault_comes_and_a_quarter_of_the_rounds_has_none() {
        let steps = steps(3);
        let mut quiet = 0;
        let mut seen = BTreeSet::new();
        for step in &steps {
            match step {
                Step::Round(_, faults) => {
                    quiet += usize::from(faults.is_empty());
                    seen.extend(faults.iter().map(Fault::sort));
                }
                Step::Damage(fault) => drop(seen.insert(fault.sort())),
                Step::Heal => {}
            }
        }
        assert_eq!(seen.len(), SORTS.len());
        assert!((60..160).contains(&quiet), "{quiet} of {} steps are quiet", steps.len());
    }

    #[test]
    fn a_disk_is_damaged_only_while_the_cluster_is_whole() {
        for pair in steps(4).windows(2) {
            assert!(!matches!(pair[1], Step::Damage(_)) || pair[0] == Step::Heal);
        }
    }
}
