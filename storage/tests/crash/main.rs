//! What survives a crash: a random workload on logs over a disk that loses everything it is allowed to lose.
//!
//! How: each seed drives appends (idempotent ones too), group commits, rolls, retention, DeleteRecords, cuts,
//! compactions, a full disk, failing writes and syncs; the power fails at any call, during recovery too. Then every
//! acknowledged batch must be there byte for byte, in order, once, with nothing in between that was never written.
//!
//! `TIDEMARK_SEEDS=10000` runs so many seeds, `TIDEMARK_SEED=42` only that one.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

mod lying;
mod model;
mod world;

use world::{BUGS, Bug, World};

/// Enough to take seconds in a debug build.
const SEEDS_DEFAULT: u64 = 300;
const CRASHES_PER_SEED: usize = 4;
/// More failing seeds tell no more.
const FAILURES_MAX: usize = 20;
/// A planted bug must be caught within so many seeds.
const SEEDS_PER_BUG: u64 = 1_000;

fn env(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

/// Runs one seed; `Err` is what went wrong.
fn run(seed: u64, bug: Bug) -> Result<BTreeMap<&'static str, u64>, String> {
    let result = catch_unwind(AssertUnwindSafe(|| {
        let mut world = World::new(seed, bug);
        world.is_traced = env("TIDEMARK_SEED").is_some();
        world.run(CRASHES_PER_SEED);
        world.seen
    }));
    result.map_err(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        text.or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned())).unwrap_or_default()
    })
}

#[test]
fn acknowledged_batches_survive_every_crash() {
    let seeds = match env("TIDEMARK_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..env("TIDEMARK_SEEDS").unwrap_or(SEEDS_DEFAULT),
    };
    let many = seeds.end - seeds.start >= SEEDS_DEFAULT;
    let mut seen: BTreeMap<&'static str, u64> = BTreeMap::new();
    let mut failures = Vec::new();
    for seed in seeds {
        match run(seed, Bug::None) {
            Ok(counts) => counts.into_iter().for_each(|(what, n)| *seen.entry(what).or_default() += n),
            Err(why) => failures.push(format!(
                "seed {seed}: {why}\n  replay: TIDEMARK_SEED={seed} cargo test -p tidemark-storage --test crash acknowledged"
            )),
        }
        if failures.len() == FAILURES_MAX {
            break;
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    println!("{seen:#?}");
    // A workload in which something never happens proves nothing about it.
    let wanted = [
        "compaction",
        "compaction outdated",
        "crash in recovery",
        "delete records",
        "disk full",
        "duplicate",
        "error",
        "found empty",
        "found intact",
        "found torn",
        "reopen",
        "restart",
        "start adopted",
        "start adopted above what is durable",
        "retention",
        "retried",
        "rolled by time",
        "truncate",
        "unacknowledged lost",
    ];
    let missing: Vec<_> = wanted.iter().filter(|what| !seen.contains_key(*what)).collect();
    assert!(!many || missing.is_empty(), "never happened: {missing:?}");
}

#[test]
fn every_planted_bug_is_caught() {
    for bug in BUGS {
        let caught = (0..SEEDS_PER_BUG).find_map(|seed| run(seed, bug).err().map(|why| (seed, why)));
        match caught {
            Some((seed, why)) => {
                println!("{bug:?}: caught with seed {seed}: {}", why.lines().next().unwrap_or(""))
            }
            None => panic!("{bug:?} went unnoticed in {SEEDS_PER_BUG} seeds"),
        }
    }
}

#[test]
fn one_seed_is_one_history() {
    for seed in 0..10 {
        let run = || {
            let mut world = World::new(seed, Bug::None);
            world.run(CRASHES_PER_SEED);
            (world.digest(), world.seen)
        };
        assert_eq!(run(), run(), "seed {seed}");
    }
}
