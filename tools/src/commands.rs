//! The commands: one file a noun. Here stands what all of them need.

pub mod broker;
pub mod cluster;
pub mod completion;
pub mod config;
pub mod consume;
pub mod dev;
pub mod group;
pub mod node;
pub mod produce;
pub mod segment;
pub mod start;
pub mod topic;
pub mod watch;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use tidemark_broker::clock::Clock;
use tidemark_protocol::types::TimestampMs;

use crate::client::Client;
use crate::exit::{Exit, Failure};

/// How a command ended: done, done with failed items, or failed as a whole.
pub type Outcome = Result<Option<Exit>, Failure>;

/// What commands that talk to a cluster are given.
pub struct Context {
    /// The cluster.
    pub client: Arc<Client>,
    /// The time.
    pub clock: Clock,
}

impl Context {
    /// The wall clock.
    pub fn now_ms(&self) -> TimestampMs {
        self.clock.now().wall_ms
    }
}

/// A command under way. Behind a pointer, because the runtime's code would be made several times over, each with a copy
/// of the whole command inside.
pub type Running<'a> = Pin<Box<dyn Future<Output = Outcome> + 'a>>;

/// Runs a client command: one thread is enough.
pub fn small_runtime<'a>(command: impl Future<Output = Outcome> + 'a) -> Outcome {
    let command: Running<'a> = Box::pin(command);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(Exit::Failed, format!("cannot start: {error}")))?;
    let outcome = runtime.block_on(command);
    // A thread may still wait for a terminal's input: nobody waits for it.
    runtime.shutdown_background();
    outcome
}

/// An error of writing to standard output; whoever reads it may stop early, as `head` does, and that is no failure.
pub fn output_failed(error: std::io::Error) -> Outcome {
    match error.kind() {
        std::io::ErrorKind::BrokenPipe => Ok(None),
        _ => Err(Failure::new(Exit::Failed, format!("cannot write to standard output: {error}"))),
    }
}

/// Prints a report, the end of most commands.
pub fn finish(report: &crate::output::Report, output: crate::output::OutputArgs) -> Outcome {
    report.print(output.format()).or_else(output_failed)
}
