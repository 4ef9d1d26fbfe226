//! `load`: the load driver. `load produce --help` tells what can be set.

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use tidemark_benches::options::Cli;
use tidemark_benches::{clock, run};

fn main() -> ExitCode {
    let plan = Cli::parse().mode.plan(clock::wall_ms());
    let text = match run::run(&plan) {
        Ok(report) if plan.json => serde_json::to_string_pretty(&report).expect("a report is plain data"),
        Ok(report) => report.to_string(),
        Err(error) => {
            eprintln!("load: {error}");
            return ExitCode::FAILURE;
        }
    };
    // A reader that has gone away, such as `head`, is no failure of the run.
    let _ = writeln!(std::io::stdout(), "{text}");
    ExitCode::SUCCESS
}
