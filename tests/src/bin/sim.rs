//! `sim`: seeds of the cluster's simulation, many of them side by side, or one with every step told.
//!
//! `--seeds 10000 [--from 0] [--threads 2]`, `--seed 42` to replay one, `--bugs 500` to look for a seed below 500 that catches
//! each planted bug, `--bug NAME --seed 42` to replay one with a planted bug.

use std::process::ExitCode;

use tidemark_tests::sim::{BUGS, Bug, RARE_BUGS, run, run_all};

/// Seeds between two words of how far it is.
const CHUNK: usize = 500;

fn text(name: &str) -> Option<String> {
    std::env::args().skip_while(|arg| arg != name).nth(1)
}

fn number(name: &str) -> Option<u64> {
    text(name).map(|text| text.parse().unwrap_or_else(|_| panic!("{name} takes a number")))
}

fn main() -> ExitCode {
    if let Some(seed) = number("--seed") {
        let asked = text("--bug").unwrap_or_default();
        let bug =
            BUGS.iter().map(|(bug, _)| *bug).find(|bug| format!("{bug:?}") == asked).unwrap_or(Bug::None);
        let result = run(seed, bug, true);
        println!("{result:#?}");
        return if result.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    if let Some(within) = number("--bugs") {
        return find_bugs(within);
    }
    let (from, count) = (number("--from").unwrap_or(0), number("--seeds").unwrap_or(1_000));
    let threads = number("--threads").unwrap_or(2) as usize;
    let seeds: Vec<u64> = (from..from + count).collect();
    let (mut failed, mut events) = (0, 0);
    for seeds in seeds.chunks(CHUNK) {
        let summary = run_all(seeds, threads);
        failed += summary.failures.len();
        events += summary.events;
        if !summary.failures.is_empty() {
            println!("{}", summary.report());
        }
        println!("up to seed {}: {failed} failed", seeds.last().expect("a chunk is not empty"));
    }
    println!("{count} seeds, {events} events, {failed} failed");
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn bugs() -> impl Iterator<Item = Bug> {
    BUGS.into_iter().map(|(bug, _)| bug).chain(RARE_BUGS)
}

fn find_bugs(within: u64) -> ExitCode {
    let mut code = ExitCode::SUCCESS;
    for bug in bugs() {
        match (0..within).find_map(|seed| run(seed, bug, false).err().map(|why| (seed, why))) {
            Some((seed, why)) => {
                println!("(Bug::{bug:?}, {seed}), // {}", why.chars().take(150).collect::<String>())
            }
            None => {
                println!("{bug:?} is not caught");
                code = ExitCode::FAILURE;
            }
        }
    }
    code
}
