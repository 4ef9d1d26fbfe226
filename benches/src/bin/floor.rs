//! `floor`: the least a durable broker can do, for the load driver to run against.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use tidemark_benches::floor::Floor;

/// Receives, checks CRC-32C, writes, fdatasyncs, answers: the machine's floor under any broker.
#[derive(Debug, Parser)]
#[command(name = "floor", version)]
struct Arguments {
    /// Where to listen.
    #[arg(long, default_value = "127.0.0.1:9292")]
    bind: String,
    /// Directory for the files; on the disk to be measured.
    #[arg(long)]
    data: PathBuf,
    /// Acknowledge without fdatasync.
    #[arg(long)]
    no_sync: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let serve = || {
        if !arguments.data.is_dir() {
            return Err(std::io::Error::other(format!("{} is not a directory", arguments.data.display())));
        }
        let floor = Floor::bind(&arguments.bind, arguments.data.clone(), !arguments.no_sync)?;
        println!("floor ready kafka={} pid={}", floor.address(), std::process::id());
        floor.run()
    };
    match serve() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("floor: {error}");
            ExitCode::FAILURE
        }
    }
}
