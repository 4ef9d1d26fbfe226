//! `tidemark cluster balance`: replicas and preferred leaders spread evenly, with as few copies as that takes.

use clap::{Args, Subcommand};

use super::reassign::{self, CancelArgs, HowArgs, StatusArgs};
use crate::commands::{Context, Outcome, finish};
use crate::exit::Failure;
use crate::output::OutputArgs;
use crate::plan::{self, Placement};
use crate::survey::Survey;

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum BalanceCommand {
    /// Show what would move
    Plan(PlanArgs),
    /// Move it; leaders follow within the controller's next look, or with `cluster elect-leaders`
    Run(RunArgs),
    /// Show what is moving
    Status(StatusArgs),
    /// Call off what is moving
    Cancel(CancelArgs),
}

/// Flags of `balance plan`.
#[derive(Debug, Args)]
pub struct PlanArgs {
    /// Only this topic; repeatable
    #[arg(short, long = "topic", value_name = "TOPIC")]
    topics: Vec<String>,
    #[command(flatten)]
    output: OutputArgs,
}

/// Flags of `balance run`.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// Only this topic; repeatable
    #[arg(short, long = "topic", value_name = "TOPIC")]
    topics: Vec<String>,
    #[command(flatten)]
    how: HowArgs,
}

/// Runs a verb.
pub async fn run(context: &Context, command: BalanceCommand) -> Outcome {
    match command {
        BalanceCommand::Plan(args) => {
            let (survey, plan) = planned(context, &args.topics).await?;
            finish(&reassign::plan_report("cluster.balance.plan", &survey, &plan), args.output)
        }
        BalanceCommand::Run(args) => {
            let (survey, plan) = planned(context, &args.topics).await?;
            reassign::carry_out(context, "cluster.balance.run", &survey, &plan, &args.how).await
        }
        BalanceCommand::Status(args) => reassign::status(context, "cluster.balance.status", args).await,
        BalanceCommand::Cancel(args) => reassign::cancel(context, "cluster.balance.cancel", args).await,
    }
}

async fn planned(context: &Context, topics: &[String]) -> Result<(Survey, Placement), Failure> {
    let survey = Survey::of_metadata(&context.client).await.map_err(Failure::from)?;
    reassign::check_topics(&survey, topics)?;
    let plan = plan::even(&reassign::nodes_of(&survey), &reassign::placement_of(&survey, topics));
    Ok((survey, plan))
}
