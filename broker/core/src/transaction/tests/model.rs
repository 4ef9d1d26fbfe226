//! Random histories of one shard: producers with the same and with different transactional ids, by the old rules and the
//! new, coordinators that fail over at every step, a log that refuses, requests that are lost or come late, markers that
//! are answered late, twice or not at all.
//!
//! What must hold, whatever happens: a transaction has the same outcome at every partition, the one its producer was
//! told, and COMMIT only if its producer wished it; a decision never changes; every decision reaches its partitions and nothing hangs in the end; epochs never go
//! back. The partitions are what tells: the checks do not look into the coordinator.
//!
//! `TIDEMARK_SEEDS=100000` runs so many seeds, `TIDEMARK_SEED=42` only that one, and tells each step.

mod bugs;
mod chance;
mod client;
mod history;
mod node;
mod partition;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};

use bugs::{BUGS, Bug};
use world::World;

use super::*;

/// Enough to take seconds in a debug build.
const SEEDS_DEFAULT: u64 = 1_000;
/// Within so many seeds each planted bug must be noticed.
const BUG_SEEDS_MAX: u64 = 3_000;

fn env(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

/// Runs one seed; `Err` is what went wrong.
fn run(seed: u64, bug: Bug) -> Result<BTreeMap<&'static str, u64>, String> {
    let result = catch_unwind(AssertUnwindSafe(|| {
        let mut world = World::new(seed, bug);
        world.is_traced = bug == Bug::None && env("TIDEMARK_SEED").is_some();
        world.run();
        world.history.seen
    }));
    result.map_err(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        text.or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned())).unwrap_or_default()
    })
}

#[test]
fn every_transaction_has_one_outcome_and_nothing_hangs() {
    let seeds = match env("TIDEMARK_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..env("TIDEMARK_SEEDS").unwrap_or(SEEDS_DEFAULT),
    };
    let many = seeds.end - seeds.start >= SEEDS_DEFAULT;
    let mut seen: BTreeMap<&'static str, u64> = BTreeMap::new();
    for seed in seeds {
        match run(seed, Bug::None) {
            Ok(counts) => counts.into_iter().for_each(|(what, n)| *seen.entry(what).or_default() += n),
            Err(why) => panic!(
                "seed {seed}: {why}\n  replay: TIDEMARK_SEED={seed} cargo test -p tidemark-core --lib every_transaction_has_one_outcome"
            ),
        }
    }
    println!("{seen:#?}");
    // A history in which something never happens proves nothing about it.
    let wanted = [
        "aborted",
        "answer given up",
        "append refused",
        "batch came after its transaction",
        "committed",
        "connection fenced",
        "fenced",
        "init repeated",
        "marker of an older coordinator refused",
        "marker repeated",
        "marker taken and its answer lost",
        "new coordinator",
        "new coordinator lacks records",
        "producer id rotated",
        "request came late",
        "result told twice",
        "timed out",
    ];
    let missing: Vec<_> = wanted.iter().filter(|what| !seen.contains_key(*what)).collect();
    assert!(!many || missing.is_empty(), "never happened: {missing:?}");
}

#[test]
fn every_planted_bug_is_noticed() {
    for bug in BUGS {
        let noticed = (0..BUG_SEEDS_MAX).find_map(|seed| run(seed, bug).err().map(|why| (seed, why)));
        match noticed {
            Some((seed, why)) => {
                println!("{bug:?}: noticed with seed {seed}: {}", why.lines().next().unwrap_or(""))
            }
            None => panic!("{bug:?} went unnoticed in {BUG_SEEDS_MAX} seeds"),
        }
    }
}
