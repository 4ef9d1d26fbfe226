//! The simulation of the cluster: nodes of the real replicas over the real storage on a disk that crashes, the real rules of
//! the metadata, clients, and time, network and quorum made of a seed.
//!
//! How: each seed founds a cluster, lets it live among faults and operators (`plan` says which), then heals it and waits until
//! every partition serves and all replicas are equal. After every event the invariants I1 to I9 hold (`checks`).

use std::cell::Cell;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, Once};

mod bad_disk;
mod bugs;
mod checks;
mod clients;
mod errands;
mod faults;
mod heal;
mod life;
mod mirror;
mod net;
mod node;
mod plan;
mod planted;
mod quorum;
mod world;

pub use bugs::{BUGS, Bug, RARE_BUGS};
use world::World;

/// A seed that held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct History {
    /// Tells two histories apart.
    pub trace: u64,
    /// Events it had.
    pub events: u64,
    /// How often what happened.
    pub seen: BTreeMap<&'static str, u64>,
}

thread_local! {
    /// Panics of this thread are what a seed came to, not news of their own.
    static IS_QUIET: Cell<bool> = const { Cell::new(false) };
}

/// A failing check is told by whoever ran the seed.
fn hush() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let loud = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if !IS_QUIET.get() {
                loud(info);
            }
        }));
    });
}

/// Runs one seed; `Err` is what went wrong. `is_traced` tells every step.
pub fn run(seed: u64, bug: Bug, is_traced: bool) -> Result<History, String> {
    hush();
    IS_QUIET.set(!is_traced);
    let result = catch_unwind(AssertUnwindSafe(|| {
        let mut world = World::new(seed, bug);
        world.is_traced = is_traced;
        if is_traced {
            println!("{:?}", world.plan);
        }
        world.run();
        History { trace: world.trace, events: world.events, seen: world.seen }
    }));
    IS_QUIET.set(false);
    result.map_err(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        text.or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned())).unwrap_or_default()
    })
}

/// What many seeds came to.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// Seeds that failed, ascending, with why.
    pub failures: BTreeMap<u64, String>,
    /// How often what happened, in all.
    pub seen: BTreeMap<&'static str, u64>,
    /// Events of all.
    pub events: u64,
}

impl Summary {
    /// Failures as they are told: with the command that replays each.
    pub fn report(&self) -> String {
        let command = "cargo run --release -p tidemark-tests --bin sim -- --seed";
        let told =
            self.failures.iter().map(|(seed, why)| format!("seed {seed}: {why}\n  replay: {command} {seed}"));
        told.collect::<Vec<_>>().join("\n")
    }
}

/// Runs seeds side by side.
pub fn run_all(seeds: &[u64], threads: usize) -> Summary {
    let (next, summary) = (AtomicUsize::new(0), Mutex::new(Summary::default()));
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(seed) = seeds.get(next.fetch_add(1, Ordering::SeqCst)) {
                    let result = run(*seed, Bug::None, false);
                    let mut summary = summary.lock().expect("nobody panics with it");
                    match result {
                        Ok(history) => {
                            summary.events += history.events;
                            history
                                .seen
                                .into_iter()
                                .for_each(|(what, n)| *summary.seen.entry(what).or_default() += n);
                        }
                        Err(why) => {
                            summary.failures.insert(*seed, why);
                        }
                    }
                }
            });
        }
    });
    summary.into_inner().expect("nobody panics with it")
}
