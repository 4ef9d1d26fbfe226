//! `tidemark start`: a node from its configuration.

use std::path::PathBuf;

use clap::Args;
use tidemark_broker::clock::Clock;

use super::{Outcome, node};

/// Flags of `start`.
#[derive(Debug, Args)]
pub struct StartArgs {
    /// Configuration; by default tidemark.toml here or in /etc/tidemark, or built-in values without one
    #[arg(short, long, env = "TIDEMARK_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Set a key, as node.id=1 or kafka.num.partitions=4; stronger than file and environment; repeatable
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
}

/// Runs `start`.
pub fn run(args: StartArgs, clock: Clock) -> Outcome {
    let file = node::config_file(args.config.as_deref());
    let config = node::checked(&node::layers(file.as_deref(), &args.set)?)?;
    node::run(&config, clock, |ready| {
        node::say_ready(ready);
        Ok(())
    })
}
