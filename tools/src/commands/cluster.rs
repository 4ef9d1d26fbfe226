//! `tidemark cluster`: the verbs on the cluster as a whole, one file each.

pub mod balance;
pub mod elect_leaders;
pub mod events;
pub mod health;
pub mod quorum;
pub mod reassign;
pub mod status;

use clap::Subcommand;

use super::{Context, Outcome};

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum ClusterCommand {
    /// Show brokers, partitions and the quorum at a glance
    Status(status::StatusArgs),
    /// Say whether all is well; exit 10 if it is not
    Health(health::HealthArgs),
    /// Show the metadata quorum: who leads, who votes, who is behind
    Quorum(quorum::QuorumArgs),
    /// Show what happened lately
    Events(events::EventsArgs),
    /// Spread replicas and leaders evenly over brokers and racks
    #[command(subcommand)]
    Balance(balance::BalanceCommand),
    /// Give partitions back to their preferred leaders
    ElectLeaders(elect_leaders::ElectArgs),
    /// Move replicas to other brokers
    #[command(subcommand)]
    Reassign(reassign::ReassignCommand),
}

/// Runs a verb.
pub async fn run(context: &Context, command: ClusterCommand) -> Outcome {
    match command {
        ClusterCommand::Status(args) => status::run(context, args).await,
        ClusterCommand::Health(args) => health::run(context, args).await,
        ClusterCommand::Quorum(args) => quorum::run(context, args).await,
        ClusterCommand::Events(args) => events::run(context, args).await,
        ClusterCommand::Balance(command) => balance::run(context, command).await,
        ClusterCommand::ElectLeaders(args) => elect_leaders::run(context, args).await,
        ClusterCommand::Reassign(command) => reassign::run(context, command).await,
    }
}
