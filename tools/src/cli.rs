//! The command tree, and who runs what. Each noun's flags stand beside what they do, in `commands/`.

use std::sync::Arc;
use std::time::Duration;

use clap::{CommandFactory, Parser, Subcommand};
use tidemark_broker::clock::Clock;

use crate::client::Client;
use crate::commands::{
    Context, Outcome, broker, cluster, completion, config, consume, dev, group, produce, segment,
    small_runtime, start, topic,
};
use crate::units;

const AFTER_HELP: &str = "\
First steps:
  tidemark dev                          start a broker on this machine
  echo hi | tidemark produce hello      write a record
  tidemark consume hello -n 1           read it

Exit codes:
  0 done          1 failed         2 usage            3 not found      4 denied
  5 unreachable   6 conflict       7 timed out        8 not confirmed  9 corruption found
 10 unhealthy";

/// A Kafka-compatible log broker, its command line and its tools
#[derive(Debug, Parser)]
#[command(name = "tidemark", version, after_help = AFTER_HELP, max_term_width = 120, disable_help_subcommand = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// Brokers to start from, HOST:PORT with commas between
    #[arg(
        short,
        long,
        global = true,
        env = "TIDEMARK_SERVER",
        default_value = "localhost:9092",
        value_name = "HOST:PORT",
        help_heading = "Connection"
    )]
    pub server: String,
    /// How long an operation may take, retries included
    #[arg(
        long,
        global = true,
        default_value = "30s",
        value_parser = units::duration,
        value_name = "TIME",
        help_heading = "Connection"
    )]
    pub timeout: Duration,
}

/// The verbs and nouns.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Start a broker for development, on this machine only
    Dev(dev::DevArgs),
    /// Start a broker from its configuration
    Start(start::StartArgs),
    /// Write records to a topic, from standard input or a file
    Produce(produce::ProduceArgs),
    /// Read records of topics
    Consume(consume::ConsumeArgs),
    /// List, create, describe, alter and delete topics
    #[command(subcommand)]
    Topic(topic::TopicCommand),
    /// List, describe, seek and delete consumer groups
    #[command(subcommand)]
    Group(group::GroupCommand),
    /// Look at the cluster as a whole, and even it out
    #[command(subcommand)]
    Cluster(cluster::ClusterCommand),
    /// List, describe, drain and remove brokers
    #[command(subcommand)]
    Broker(broker::BrokerCommand),
    /// Check and show the configuration of a node, offline
    #[command(subcommand)]
    Config(config::ConfigCommand),
    /// Look into segment files, offline and read-only
    #[command(subcommand)]
    Segment(segment::SegmentCommand),
    /// Print the completion script of a shell
    Completion(completion::CompletionArgs),
}

/// Runs the command line.
pub fn run(cli: Cli) -> Outcome {
    let context = Context { client: Arc::new(Client::new(&cli.server, cli.timeout)), clock: Clock::system() };
    match cli.command {
        Command::Produce(args) => small_runtime(produce::run(&context, args)),
        Command::Consume(args) => small_runtime(consume::run(&context, args)),
        Command::Topic(command) => small_runtime(topic::run(&context, command)),
        Command::Group(command) => small_runtime(group::run(&context, command)),
        Command::Cluster(command) => small_runtime(cluster::run(&context, command)),
        Command::Broker(command) => small_runtime(broker::run(&context, command)),
        Command::Config(command) => config::run(command),
        Command::Segment(command) => segment::run(command),
        Command::Completion(args) => completion::run(&args, Cli::command()),
        Command::Dev(args) => dev::run(args, context.clock),
        Command::Start(args) => start::run(args, context.clock),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_tree_holds_together() {
        Cli::command().debug_assert();
    }

    #[test]
    fn stable_forms_of_dev_and_start_are_read() {
        let forms: [&[&str]; 5] = [
            &["dev"],
            &["dev", "--port", "0", "--ephemeral", "--nodes", "1", "--set", "kafka.num.partitions=4"],
            &["dev", "--data", "d", "--set", "node.id=2", "--set", "admin.bind=127.0.0.1:0"],
            &["start"],
            &["start", "-c", "tidemark.toml", "--set", "node.id=2"],
        ];
        for form in forms {
            let args = std::iter::once(&"tidemark").chain(form);
            assert!(Cli::try_parse_from(args).is_ok(), "{form:?}");
        }
        assert!(Cli::try_parse_from(["tidemark", "dev", "--data", "d", "--ephemeral"]).is_err());
    }
}
