//! Seeds of the cluster's simulation (`tests/src/sim.rs`).
//!
//! `TIDEMARK_SEEDS=10000` runs so many seeds, `TIDEMARK_SEED=42` only that one.

use tidemark_tests::sim::{BUGS, Bug, run, run_all};

/// Under a minute in a debug build.
const SEEDS_DEFAULT: u64 = 60;
/// With so many seeds everything must have happened.
const SEEDS_FOR_ALL: u64 = 200;
const THREADS: usize = 2;
/// Seeds within which each planted bug must be caught.
const SEEDS_FOR_A_BUG: u64 = 40;

fn env(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

#[test]
fn nothing_acknowledged_is_lost_and_a_healed_cluster_serves() {
    let seeds: Vec<u64> = match env("TIDEMARK_SEED") {
        Some(seed) => vec![seed],
        None => (0..env("TIDEMARK_SEEDS").unwrap_or(SEEDS_DEFAULT)).collect(),
    };
    let summary = run_all(&seeds, THREADS);
    assert!(summary.failures.is_empty(), "{}", summary.report());
    // A history in which something never happens proves nothing about it.
    let wanted = [
        "ISR expanded",
        "ISR shrunk",
        "acknowledged",
        "connection broken",
        "controller elected",
        "directory failed",
        "disk full",
        "disk wiped",
        "elected from the ELR",
        "leader change",
        "nobody leads",
        "partition added",
        "power lost in the middle",
        "proposal lost with its controller",
        "reassignment completed",
        "records deleted",
        "session over",
        "stopped in order",
        "sync in the background",
        "too few in sync",
        "topic deleted",
    ];
    let missing: Vec<_> = wanted.iter().filter(|what| !summary.seen.contains_key(*what)).collect();
    let many = seeds.len() as u64 >= SEEDS_FOR_ALL;
    assert!(!many || missing.is_empty(), "never happened: {missing:?}");
}

#[test]
fn seeds_that_ever_failed_hold() {
    let file = include_str!("regressions.txt");
    let seed = |line: &str| line.split('#').next().unwrap_or("").trim().parse::<u64>().ok();
    let seeds: Vec<u64> = file.lines().filter_map(seed).collect();
    assert!(!seeds.is_empty());
    let summary = run_all(&seeds, THREADS);
    assert!(summary.failures.is_empty(), "{}", summary.report());
}

#[test]
fn one_seed_is_one_history() {
    for seed in 0..4 {
        assert_eq!(run(seed, Bug::None, false), run(seed, Bug::None, false), "seed {seed}");
    }
}

#[test]
fn every_planted_bug_is_caught() {
    for (bug, known) in BUGS {
        // A change of the product changes histories: then another of the first seeds has to do.
        let seeds = std::iter::once(known).chain(0..SEEDS_FOR_A_BUG);
        let caught = seeds.into_iter().find_map(|seed| run(seed, bug, false).err().map(|why| (seed, why)));
        let (seed, why) = caught.unwrap_or_else(|| panic!("{bug:?} goes unnoticed"));
        println!("{bug:?}: seed {seed}: {why}");
    }
}
