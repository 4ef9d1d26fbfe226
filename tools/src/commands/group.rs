//! `tidemark group`: the verbs on consumer groups, one file each.

pub mod delete;
pub mod describe;
pub mod list;
pub mod seek;

use clap::Subcommand;

use super::{Context, Outcome};

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum GroupCommand {
    /// List groups
    List(list::ListArgs),
    /// Show a group's offsets, lag and members
    Describe(describe::DescribeArgs),
    /// Move a group's committed offsets; shows what would change unless --execute
    Seek(seek::SeekArgs),
    /// Delete empty groups with their offsets
    Delete(delete::DeleteArgs),
}

/// Runs a verb.
pub async fn run(context: &Context, command: GroupCommand) -> Outcome {
    match command {
        GroupCommand::List(args) => list::run(context, args).await,
        GroupCommand::Describe(args) => describe::run(context, args).await,
        GroupCommand::Seek(args) => seek::run(context, args).await,
        GroupCommand::Delete(args) => delete::run(context, args).await,
    }
}
