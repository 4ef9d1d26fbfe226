//! [`Plan`]: what a seed is about: how large the cluster is, how bad its network and its disks are, and how often what happens.
//!
//! Swarm testing: most seeds leave some faults out altogether, so that the others get further than they would among all.

use crate::rng::Rng;

/// A kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// The power of a node fails; it comes back later.
    PowerLoss,
    /// The power fails in the middle of whatever the disk does some calls later.
    PowerLossSoon,
    /// The process dies, the machine stays.
    Kill,
    /// The process stands still.
    Pause,
    /// One direction between two nodes is cut.
    CutOneWay,
    /// A node is cut off from all others.
    Isolate,
    /// A link is slow for a while.
    SlowLink,
    /// Connections of replication break.
    BreakConnections,
    /// Another node becomes the controller.
    ControllerFailover,
    /// A node stops in order and comes back.
    Shutdown,
    /// A node comes back with an empty disk.
    Wipe,
    /// A write fails.
    WriteError,
    /// A sync fails.
    SyncError,
    /// The disk is full for a while.
    FullDisk,
    /// Syncs take long for a while.
    SlowDisk,
    /// The wall clock jumps.
    ClockStep,
    /// Power loss of all nodes at once.
    PowerLossOfAll,
}

/// Something an operator does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Errand {
    /// Creates a topic.
    Create,
    /// Deletes one.
    Delete,
    /// Adds partitions.
    Grow,
    /// Moves partitions to other brokers.
    Reassign,
    /// Changes `min.insync.replicas`.
    MinIsr,
    /// Deletes records.
    DeleteRecords,
    /// Brings leaders back to preferred replicas.
    Preferred,
}

const FAULTS: [(Fault, u64); 17] = [
    (Fault::PowerLoss, 8),
    (Fault::PowerLossSoon, 8),
    (Fault::Kill, 4),
    (Fault::Pause, 6),
    (Fault::CutOneWay, 6),
    (Fault::Isolate, 5),
    (Fault::SlowLink, 5),
    (Fault::BreakConnections, 5),
    (Fault::ControllerFailover, 5),
    (Fault::Shutdown, 4),
    (Fault::Wipe, 4),
    (Fault::WriteError, 2),
    (Fault::SyncError, 3),
    (Fault::FullDisk, 3),
    (Fault::SlowDisk, 3),
    (Fault::ClockStep, 2),
    (Fault::PowerLossOfAll, 2),
];

const ERRANDS: [(Errand, u64); 7] = [
    (Errand::Create, 3),
    (Errand::Delete, 2),
    (Errand::Grow, 2),
    (Errand::Reassign, 6),
    (Errand::MinIsr, 3),
    (Errand::DeleteRecords, 5),
    (Errand::Preferred, 3),
];

/// The taste of one seed.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Brokers; the first of them vote, too.
    pub brokers: i32,
    /// Voters of the quorum.
    pub voters: i32,
    /// Topics at the beginning.
    pub topics: u64,
    /// Producers.
    pub producers: u64,
    /// Faults with their weights; empty for none.
    pub faults: Vec<(Fault, u64)>,
    /// Errands with their weights.
    pub errands: Vec<(Errand, u64)>,
    /// Mean time between faults, milliseconds.
    pub fault_every_ms: u64,
    /// Mean time between errands, milliseconds.
    pub errand_every_ms: u64,
    /// Mean time between two batches of a producer, milliseconds.
    pub produce_every_ms: u64,
    /// Longest delay of a message on a good link, microseconds.
    pub delay_us: u64,
    /// Messages in a thousand that are lost.
    pub loss_permille: u64,
    /// Longest time of a sync in the background, microseconds.
    pub sync_us: u64,
    /// How long the safety phase lasts, milliseconds.
    pub chaos_ms: u64,
    /// Some producers do not wait for the disk, so syncs run beside appends.
    pub has_impatient: bool,
    /// Images are applied late.
    pub apply_us: u64,
}

fn some<T: Copy>(rng: &mut Rng, all: &[(T, u64)]) -> Vec<(T, u64)> {
    all.iter()
        .map(|(what, weight)| (*what, weight * [0, 0, 1, 1, 2, 5][rng.below(6) as usize]))
        .filter(|(_, weight)| *weight > 0)
        .collect()
}

impl Plan {
    /// What this seed is about.
    pub fn new(rng: &mut Rng) -> Plan {
        let brokers = [3, 3, 3, 4, 5, 5, 7][rng.below(7) as usize];
        let voters = if brokers >= 5 && rng.percent(50) { 5 } else { 3 };
        Plan {
            brokers,
            voters,
            topics: rng.between(1, 4),
            producers: rng.between(2, 6),
            faults: some(rng, &FAULTS),
            errands: some(rng, &ERRANDS),
            fault_every_ms: [700, 1_500, 3_000, 6_000][rng.below(4) as usize],
            errand_every_ms: [700, 2_000, 5_000][rng.below(3) as usize],
            produce_every_ms: [15, 40, 150][rng.below(3) as usize],
            delay_us: [300, 2_000, 30_000, 200_000][rng.below(4) as usize],
            loss_permille: [0, 0, 2, 20][rng.below(4) as usize],
            sync_us: [200, 5_000, 80_000][rng.below(3) as usize],
            chaos_ms: [6_000, 12_000, 20_000, 45_000][rng.below(4) as usize],
            has_impatient: rng.percent(50),
            apply_us: [500, 20_000, 400_000][rng.below(3) as usize],
        }
    }

    /// One of the weighted, if there is any.
    pub fn choose<T: Copy>(rng: &mut Rng, of: &[(T, u64)]) -> Option<T> {
        let total: u64 = of.iter().map(|(_, weight)| weight).sum();
        if total == 0 {
            return None;
        }
        let mut at = rng.below(total);
        for (what, weight) in of {
            if at < *weight {
                return Some(*what);
            }
            at -= weight;
        }
        None
    }
}
