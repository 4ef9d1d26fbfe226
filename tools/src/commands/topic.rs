//! `tidemark topic`: the verbs on topics, one file each.

pub mod add_partitions;
pub mod alter;
pub mod create;
pub mod delete;
pub mod describe;
pub mod list;
pub mod retention;
pub mod trim;

use clap::Subcommand;

use super::{Context, Outcome};

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum TopicCommand {
    /// List topics
    List(list::ListArgs),
    /// Create topics
    Create(create::CreateArgs),
    /// Show a topic's partitions, offsets and configs
    Describe(describe::DescribeArgs),
    /// Change configs of a topic
    Alter(alter::AlterArgs),
    /// Delete topics and all their data
    Delete(delete::DeleteArgs),
    /// Give a topic more partitions
    AddPartitions(add_partitions::AddPartitionsArgs),
    /// Delete the oldest records of a topic
    Trim(trim::TrimArgs),
    /// Show or change how long a topic keeps its records
    Retention(retention::RetentionArgs),
}

/// Runs a verb.
pub async fn run(context: &Context, command: TopicCommand) -> Outcome {
    match command {
        TopicCommand::List(args) => list::run(context, args).await,
        TopicCommand::Create(args) => create::run(context, args).await,
        TopicCommand::Describe(args) => describe::run(context, args).await,
        TopicCommand::Alter(args) => alter::run(context, args).await,
        TopicCommand::Delete(args) => delete::run(context, args).await,
        TopicCommand::AddPartitions(args) => add_partitions::run(context, args).await,
        TopicCommand::Trim(args) => trim::run(context, args).await,
        TopicCommand::Retention(args) => retention::run(context, args).await,
    }
}
