//! `tidemark broker`: the verbs on single brokers, one file each.

pub mod can_restart;
pub mod describe;
pub mod drain;
pub mod list;
pub mod logdirs;

use clap::Subcommand;

use super::{Context, Outcome};

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum BrokerCommand {
    /// List brokers with what they do and hold
    List(list::ListArgs),
    /// Show one broker: its partitions and disks
    Describe(describe::DescribeArgs),
    /// Show the data directories of brokers
    Logdirs(logdirs::LogdirsArgs),
    /// Say whether a broker can be restarted without harm; exit 6 with the reasons if not
    CanRestart(can_restart::CanRestartArgs),
    /// Let others lead what a broker leads, for maintenance; it goes on following
    Drain(drain::DrainArgs),
    /// End a drain: the broker leads again
    Undrain(drain::UndrainArgs),
    /// Move everything off a broker, and forget it once it is empty and has stopped
    Decommission(drain::DecommissionArgs),
}

/// Runs a verb.
pub async fn run(context: &Context, command: BrokerCommand) -> Outcome {
    match command {
        BrokerCommand::List(args) => list::run(context, args).await,
        BrokerCommand::Describe(args) => describe::run(context, args).await,
        BrokerCommand::Logdirs(args) => logdirs::run(context, args).await,
        BrokerCommand::CanRestart(args) => can_restart::run(context, args).await,
        BrokerCommand::Drain(args) => drain::drain(context, args).await,
        BrokerCommand::Undrain(args) => drain::undrain(context, args).await,
        BrokerCommand::Decommission(args) => drain::decommission(context, args).await,
    }
}

/// A broker that nobody knows of.
fn unknown(id: i32) -> crate::exit::Failure {
    crate::exit::Failure::new(crate::exit::Exit::NotFound, format!("there is no broker {id} here"))
        .hint("`tidemark broker list` shows the brokers there are.")
}
