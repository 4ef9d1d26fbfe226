//! Three brokers as processes behind proxies, real clients, faults from a seed, and a check of all that clients saw.
//!
//! `cargo build --release && cargo run --release -p tidemark-tests --bin chaos -- --minutes 30 --seed N [--faults kill,pause,…]
//! [--churn no] [--rate RECORDS_A_SECOND] [--client NAME=COMMAND] [--dir DIR] [--binary PATH] [--port FIRST]`
//!
//! `--planted lies` has every disk lie about its syncs, so that kill -9 loses what was acknowledged: such a run must fail.
//! Disks and clocks go wrong only in a test build: `cargo build --release -p tidemark-tools --features lossy-disk`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use tidemark_tests::chaos::run::{self, Options};
use tidemark_tests::chaos::schedule::SORTS;
use tidemark_tests::node::Node;

/// Threads of the proxies and clients: the brokers need the machine more.
const THREADS: usize = 2;

fn main() -> ExitCode {
    let mut options = options();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let mut kept = None;
    if options.dir.as_os_str().is_empty() {
        let dir =
            tempfile::Builder::new().prefix("tidemark-chaos-").tempdir().expect("a temporary directory");
        options.dir = dir.path().to_owned();
        kept = Some(dir);
    }
    println!("chaos: seed {}, {:?}, {}", options.seed, options.time, options.dir.display());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(THREADS).enable_all().build();
    let passed = runtime.expect("threads can be started").block_on(async {
        tokio::select! {
            passed = run::run(&options) => passed.unwrap_or_else(|error| {
                eprintln!("the run could not go on: {error}");
                false
            }),
            _ = tokio::signal::ctrl_c() => false,
        }
    });
    if passed {
        println!("1 passed, 0 failed");
        return ExitCode::SUCCESS;
    }
    let dir = kept.map_or(options.dir, tempfile::TempDir::keep);
    println!("history, data and logs of the nodes: {}", dir.display());
    println!(
        "replay: cargo run --release -p tidemark-tests --bin chaos -- {} --seed {}",
        arguments.join(" "),
        options.seed
    );
    println!("0 passed, 1 failed");
    ExitCode::FAILURE
}

fn options() -> Options {
    let mut options = Options {
        time: Duration::from_secs(120),
        seed: 1,
        dir: PathBuf::new(),
        binary: Node::default_binary(),
        first_port: 24600,
        rate: 200,
        sorts: SORTS.iter().map(|(sort, _)| *sort).collect(),
        churns: true,
        planted: String::new(),
        programs: BTreeMap::new(),
    };
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        let value = arguments.next().unwrap_or_else(|| panic!("{name} needs a value"));
        let number = || value.parse::<u64>().unwrap_or_else(|_| panic!("{name} {value} is no number"));
        match name.as_str() {
            "--minutes" => {
                let minutes: f64 = value.parse().unwrap_or_else(|_| panic!("{name} {value} is no number"));
                options.time = Duration::from_secs_f64(minutes * 60.0);
            }
            "--seed" => options.seed = number(),
            "--rate" => options.rate = number(),
            "--port" => options.first_port = u16::try_from(number()).expect("a port"),
            "--dir" => options.dir = PathBuf::from(&value),
            "--binary" => options.binary = PathBuf::from(&value),
            "--faults" => {
                let sorts: Result<BTreeSet<_>, String> = value.split(',').map(str::parse).collect();
                options.sorts = sorts.unwrap_or_else(|error| panic!("{error}"));
            }
            "--churn" => options.churns = value != "no",
            "--planted" => options.planted = value.clone(),
            "--client" => {
                let (name, command) = value.split_once('=').expect("--client NAME=COMMAND");
                options
                    .programs
                    .insert(name.to_owned(), command.split_whitespace().map(str::to_owned).collect());
            }
            _ => panic!(
                "{name}? --minutes, --seed, --rate, --port, --dir, --binary, --faults, --churn, --planted, --client"
            ),
        }
    }
    options
}
