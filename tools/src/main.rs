//! `tidemark`: the one binary. Broker, command line and offline tools.

mod cli;
mod client;
mod commands;
mod confirm;
mod exit;
mod files;
mod filter;
mod format;
mod offset_spec;
mod output;
mod plan;
mod survey;
mod time_text;
mod units;

use std::process::ExitCode;

use clap::Parser;

/// Message buffers come and go at a high rate on many threads; the system allocator is slower at that and keeps more.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    match cli::run(cli) {
        Ok(None) => ExitCode::SUCCESS,
        Ok(Some(exit)) => ExitCode::from(exit as u8),
        Err(failure) => {
            failure.print();
            ExitCode::from(failure.exit as u8)
        }
    }
}
