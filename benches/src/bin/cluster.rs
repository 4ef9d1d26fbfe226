//! `cluster`: three nodes of Tidemark and three of Apache Kafka in turn, with thousands of partitions: start, failover, replication.
//!
//! `cargo build --release --workspace && target/release/cluster --kafka-script tests/interop/start_kafka.sh`

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use tidemark_benches::clock;
use tidemark_benches::connection::LoadError;
use tidemark_benches::figures::{Findings, missed, table};
use tidemark_benches::nodes::System;
use tidemark_benches::round::{Script, prepare, run};

/// Runs three nodes of Tidemark and of Apache Kafka in turn, and takes nodes away from them. Fails when Tidemark takes longer to
/// start or to recover than Kafka at its defaults.
#[derive(Debug, Parser)]
#[command(name = "cluster", version)]
struct Arguments {
    /// Tidemark's binary [default: beside this one]
    #[arg(long)]
    tidemark: Option<PathBuf>,
    /// Leave Tidemark out.
    #[arg(long)]
    no_tidemark: bool,
    /// Script that starts a node of Apache Kafka; without it Kafka is left out.
    #[arg(long)]
    kafka_script: Option<PathBuf>,
    /// Directory on the disk to be measured; each system gets a new directory in it.
    #[arg(long, default_value = ".")]
    data: PathBuf,
    /// The first of six ports.
    #[arg(long, default_value_t = 21_492)]
    port: u16,
    /// Partitions of three replicas each; a multiple of three.
    #[arg(long, default_value_t = 3000)]
    partitions: usize,
    /// Rounds of each.
    #[arg(long, default_value_t = 2)]
    rounds: usize,
    /// Seconds measured of each load, after half as many of warming up; 0 leaves loads out.
    #[arg(long, default_value_t = 4.0)]
    seconds: f64,
    /// Print JSON instead of a table.
    #[arg(long)]
    json: bool,
}

/// How long a broker of Tidemark may be silent. Kafka is run with it too, beside its own default of nine seconds.
const SESSION: Duration = Duration::from_secs(2);

/// What takes its turn.
struct Turn {
    system: System,
    data: PathBuf,
    script: Script,
    findings: Findings,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match compare(&arguments) {
        Ok(found) => {
            let text = if arguments.json {
                serde_json::to_string_pretty(&found).expect("findings are plain data")
            } else {
                table(&found)
            };
            // A reader that has gone away is no failure.
            let _ = writeln!(std::io::stdout(), "{text}");
            judge(&arguments, &found)
        }
        Err(error) => {
            eprintln!("cluster: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The first two are Tidemark and Kafka at its defaults, if both were run.
fn judge(arguments: &Arguments, found: &[Findings]) -> ExitCode {
    if arguments.no_tidemark {
        return ExitCode::SUCCESS;
    }
    let missed = match found {
        [ours, theirs, ..] => missed(ours, theirs),
        _ => Vec::new(),
    };
    missed.iter().for_each(|aim| eprintln!("missed: {aim}"));
    if missed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn compare(arguments: &Arguments) -> Result<Vec<Findings>, LoadError> {
    let run_dir = arguments.data.canonicalize()?.join(format!("cluster-{}", clock::wall_ms()));
    let mut turns = turns(arguments, &run_dir)?;
    if let Err(error) = rounds(arguments, &mut turns) {
        eprintln!("data and logs are left in {}", run_dir.display());
        return Err(error);
    }
    remove(&run_dir)?;
    Ok(turns.into_iter().map(|turn| turn.findings).collect())
}

fn rounds(arguments: &Arguments, turns: &mut [Turn]) -> Result<(), LoadError> {
    for turn in turns.iter() {
        // The same Kafka takes two turns.
        if !turn.data.exists() {
            eprintln!("{}: making {} partitions", turn.findings.name, turn.script.partitions);
            std::fs::DirBuilder::new().recursive(true).create(&turn.data)?;
            prepare(turn.system.clone(), &turn.data, arguments.port, &turn.script)?;
        }
    }
    for round in 1..=arguments.rounds {
        for turn in &mut *turns {
            eprintln!("{}, round {round}", turn.findings.name);
            run(turn.system.clone(), &turn.data, arguments.port, &turn.script, &mut turn.findings)?;
        }
    }
    Ok(())
}

fn turns(arguments: &Arguments, run_dir: &Path) -> Result<Vec<Turn>, LoadError> {
    let script =
        Script { partitions: arguments.partitions, load_seconds: arguments.seconds, only_failures: false };
    let turn = |name: &str, dir: &str, system, script: &Script| Turn {
        system,
        data: run_dir.join(dir),
        script: script.clone(),
        findings: Findings { name: name.to_owned(), ..Findings::default() },
    };
    let mut turns = Vec::new();
    if !arguments.no_tidemark {
        let beside = std::env::current_exe()?.with_file_name("tidemark");
        let binary = arguments.tidemark.clone().unwrap_or(beside);
        turns.push(turn("Tidemark, session 2 s", "tidemark", System::Tidemark(binary), &script));
    }
    if let Some(path) = &arguments.kafka_script {
        turns.push(turn("Kafka, session 9 s", "kafka", System::Kafka(path.clone(), None), &script));
        let script = Script { only_failures: true, ..script.clone() };
        let tuned = System::Kafka(path.clone(), Some(SESSION));
        turns.push(turn("Kafka, session 2 s", "kafka", tuned, &script));
    }
    Ok(turns)
}

/// Removes what this run has made.
#[allow(clippy::disallowed_methods, reason = "a directory of the bench's own, outside any broker")]
fn remove(run: &Path) -> std::io::Result<()> {
    std::fs::remove_dir_all(run)
}
