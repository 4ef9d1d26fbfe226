//! Times of failover on three real processes, and that nothing stale is read and no client hears of a rolling restart.
//!
//! `cargo build --release && cargo run --release -p tidemark-tests --bin failover -- [--what leader|tuned|controller|pause|rolling]
//! [--rounds 20] [--client PROGRAM] [--binary PATH] [--port FIRST]`; without `--what` all of them. A client is a program as
//! `failover/rolling.rs` describes; tests/interop has two. Exits with 1 when a time is over its aim.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use tidemark_tests::failover::{self, Options, Stopped};
use tidemark_tests::node::Node;

/// Longest medians: a leader by default and with the README's settings, the controller.
const LEADER_MAX: Duration = Duration::from_secs(3);
const TUNED_MAX: Duration = Duration::from_secs(1);
const CONTROLLER_MAX: Duration = Duration::from_secs(2);
/// Longest p99 of a write during a rolling restart.
const ROLLING_P99_MAX: Duration = Duration::from_millis(500);

struct Arguments {
    options: Options,
    what: Option<String>,
    clients: Vec<PathBuf>,
}

fn main() -> ExitCode {
    let arguments = arguments();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.expect("threads can be started");
    let mut failed = 0;
    println!("{:<44} {:>7} {:>9} {:>9} {:>9}", "", "rounds", "min", "median", "max");
    for what in ["leader", "tuned", "controller", "pause", "rolling"] {
        if arguments.what.as_deref().is_none_or(|wanted| wanted == what) {
            let dir = tempfile::Builder::new().prefix("tidemark-failover-").tempdir();
            let dir = dir.expect("a temporary directory");
            if let Err(why) = runtime.block_on(run(what, &arguments, dir.path())) {
                eprintln!("{what} FAILED: {why}; data and logs: {}", dir.keep().display());
                failed += 1;
            }
        }
    }
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

async fn run(what: &str, arguments: &Arguments, dir: &std::path::Path) -> Result<(), String> {
    let options = Options { tuned: what == "tuned", ..arguments.options.clone() };
    match what {
        "leader" => report("kill -9 of a leader", failover::leaders(&options, dir).await?, LEADER_MAX),
        "tuned" => {
            report("… session 600 ms, beat 100 ms", failover::leaders(&options, dir).await?, TUNED_MAX)
        }
        "controller" => report(
            "kill -9 of the active controller",
            failover::controllers(&options, dir).await?,
            CONTROLLER_MAX,
        ),
        "pause" => {
            let refused = failover::pauses(&options, dir).await?;
            println!(
                "{:<44} {:>7} no stale answer, {refused} refused",
                "SIGSTOP of a leader", options.rounds
            );
            Ok(())
        }
        _ => {
            let options = Options { rounds: options.rounds.div_ceil(10), ..options };
            let rolled = failover::roll(&options, dir, &arguments.clients).await?;
            println!(
                "{:<44} {:>7} no error; writes p50 {:.1?}, p99 {:.1?}, longest {:.0?}",
                "rolling restart", options.rounds, rolled.p50, rolled.p99, rolled.longest,
            );
            for Stopped { node, took, while_stopping, while_starting } in &rolled.stops {
                println!(
                    "  node {node} stopped in {took:.0?}; slowest write meanwhile {while_stopping:.0?}, then {while_starting:.0?}"
                );
            }
            rolled.others.iter().for_each(|said| println!("  {said}"));
            aim(rolled.p99, ROLLING_P99_MAX)
        }
    }
}

fn report(what: &str, mut times: Vec<Duration>, max: Duration) -> Result<(), String> {
    times.sort_unstable();
    let median = times[times.len() / 2];
    let (least, most) = (times[0], times[times.len() - 1]);
    println!("{what:<44} {:>7} {least:>9.0?} {median:>9.0?} {most:>9.0?}", times.len());
    aim(median, max)
}

fn aim(got: Duration, max: Duration) -> Result<(), String> {
    if got <= max { Ok(()) } else { Err(format!("{got:.0?} is over {max:?}")) }
}

fn arguments() -> Arguments {
    let options = Options { binary: Node::default_binary(), port: 24200, rounds: 20, tuned: false };
    let mut arguments = Arguments { options, what: None, clients: Vec::new() };
    let mut given = std::env::args().skip(1);
    while let Some(name) = given.next() {
        let value = given.next().unwrap_or_else(|| panic!("{name} needs a value"));
        let number = || value.parse().unwrap_or_else(|_| panic!("{name} {value} is no number"));
        match name.as_str() {
            "--rounds" => arguments.options.rounds = number(),
            "--port" => arguments.options.port = value.parse().expect("a port"),
            "--binary" => arguments.options.binary = PathBuf::from(&value),
            "--what" => arguments.what = Some(value),
            "--client" => arguments.clients.push(PathBuf::from(&value)),
            _ => panic!("{name}? --what, --rounds, --client, --binary, --port"),
        }
    }
    arguments
}
