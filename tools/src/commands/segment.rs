//! `tidemark segment`: what stands in segment files, offline and read-only; no broker is needed, a running one not disturbed.
//!
//! Segments of Apache Kafka are read as well, since the files hold the same bytes; only its indexes are of another format.

pub mod dump;
pub mod find;
pub mod index;
pub mod verify;

use clap::Subcommand;

use super::Outcome;

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum SegmentCommand {
    /// Print the batches, records or index entries of a file
    Dump(dump::DumpArgs),
    /// Check checksums, offsets and indexes of a file or of all below a directory
    Verify(verify::VerifyArgs),
}

/// Runs a verb.
pub fn run(command: SegmentCommand) -> Outcome {
    match command {
        SegmentCommand::Dump(args) => dump::run(&args),
        SegmentCommand::Verify(args) => verify::run(&args),
    }
}
