//! `tidemark start`: a node from its configuration.

use std::path::{Path, PathBuf};

use clap::Args;
use tidemark_broker::clock::Clock;

use super::{Outcome, node};
use crate::files;

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
    // A configuration that stands beside its data is a node of `dev`, which leaves its pid there.
    let beside = file.as_deref().and_then(Path::parent).is_some_and(|dir| same(dir, &config.data_dir));
    let pid = beside.then(|| config.data_dir.join("pid"));
    let outcome = node::run(&config, clock, |ready| {
        if let Some(pid) = &pid {
            files::write_text(pid, &format!("{}\n", std::process::id()))?;
        }
        node::say_ready(ready);
        Ok(())
    });
    if let Some(pid) = pid {
        // A node that did not start has not written it.
        let _ = files::remove(&pid);
    }
    outcome
}

fn same(a: &Path, b: &Path) -> bool {
    matches!((std::path::absolute(a), std::path::absolute(b)), (Ok(a), Ok(b)) if a == b)
}
