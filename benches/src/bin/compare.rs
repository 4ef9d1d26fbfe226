//! `compare`: Tidemark, Apache Kafka and the floor in turn under the same load, and the ratios.
//!
//! `cargo build --release --workspace && target/release/compare --kafka-script PATH`

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use tidemark_benches::clock;
use tidemark_benches::compare::{Findings, Target, tables};
use tidemark_benches::connection::LoadError;
use tidemark_benches::options::{Cli, Plan};

/// Runs Tidemark, Apache Kafka and the floor in turn under the same load, and prints the ratios.
#[derive(Debug, Parser)]
#[command(name = "compare", version)]
struct Arguments {
    /// Tidemark's binary [default: beside this one]
    #[arg(long)]
    tidemark: Option<PathBuf>,
    /// Leave Tidemark out.
    #[arg(long)]
    no_tidemark: bool,
    /// Script that starts Apache Kafka on $PORT with $DATA and prints its pid; without it Kafka is left out.
    #[arg(long)]
    kafka_script: Option<PathBuf>,
    /// Directory on the disk to be measured; each broker gets a new directory in it.
    #[arg(long, default_value = ".")]
    data: PathBuf,
    /// Port of the broker under load.
    #[arg(long, default_value_t = 21_392)]
    port: u16,
    /// Seconds measured per scenario.
    #[arg(long, default_value = "10")]
    seconds: String,
    /// Seconds of load before measuring.
    #[arg(long, default_value = "5")]
    warmup: String,
    /// Print JSON instead of tables.
    #[arg(long)]
    json: bool,
}

/// Kafka answers before the disk has anything. With this Tidemark does the same, so that brokers are compared and not what
/// a sync costs on this machine.
const UNSYNCED: [&str; 2] = ["--topic-config", "tidemark.flush=async"];

/// What is run against each, and whether it is run again with [`UNSYNCED`].
const SCENARIOS: [(&[&str], bool); 5] = [
    (&["produce", "--partitions", "8", "--connections", "4"], false),
    (&["small", "--partitions", "8", "--connections", "8"], true),
    (&["small", "--partitions", "8", "--connections", "64"], false),
    (&["fetch", "--partitions", "4", "--connections", "2", "--rate", "20000"], true),
    (&["e2e"], false),
];

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match compare(&arguments) {
        Ok(found) => {
            let text = if arguments.json {
                serde_json::to_string_pretty(&found).expect("findings are plain data")
            } else {
                tables(&found)
            };
            // A reader that has gone away is no failure.
            let _ = writeln!(std::io::stdout(), "{text}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("compare: {error}");
            ExitCode::FAILURE
        }
    }
}

fn compare(arguments: &Arguments) -> Result<Vec<Findings>, LoadError> {
    let beside = std::env::current_exe()?;
    let mut targets = vec![Target::Floor(beside.with_file_name("floor"))];
    if let Some(script) = &arguments.kafka_script {
        targets.push(Target::Kafka(script.clone()));
    }
    if !arguments.no_tidemark {
        let binary = arguments.tidemark.clone().unwrap_or_else(|| beside.with_file_name("tidemark"));
        targets.push(Target::Tidemark(binary));
    }
    let times = ["--seconds", &arguments.seconds, "--warmup", &arguments.warmup];
    let plan = |scenario: &[&str], configs: &[&str]| {
        Cli::parse_from([&["load"], scenario, configs, &times].concat()).mode.plan(clock::wall_ms())
    };
    let plans: Vec<Plan> = SCENARIOS
        .iter()
        .flat_map(|(scenario, twice)| {
            let again = twice.then(|| plan(scenario, &UNSYNCED));
            std::iter::once(plan(scenario, &[])).chain(again)
        })
        .collect();
    let run = arguments.data.canonicalize()?.join(format!("compare-{}", clock::wall_ms()));
    let measure = |target: &Target| {
        let data = run.join(target.name().replace(' ', "-"));
        std::fs::DirBuilder::new().recursive(true).create(&data)?;
        let found = target.measure(&data, arguments.port, &plans);
        // What one leaves in the page cache is memory the next would have to find elsewhere.
        remove(&data)?;
        found
    };
    let found = targets.iter().map(measure).collect();
    remove(&run)?;
    found
}

/// Removes what this run has made.
#[allow(clippy::disallowed_methods, reason = "a directory of the bench's own, outside any broker")]
fn remove(run: &Path) -> std::io::Result<()> {
    std::fs::remove_dir_all(run)
}
