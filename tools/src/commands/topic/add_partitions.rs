//! `tidemark topic add-partitions`.

use clap::Args;
use serde_json::json;

use crate::commands::{Context, Outcome, finish};
use crate::confirm::{ConsentArgs, Stake};
use crate::exit::Failure;
use crate::output::{OutputArgs, Report, Table, left, right};

/// Flags of `topic add-partitions`.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("how").required(true))]
pub struct AddPartitionsArgs {
    /// Name of the topic
    topic: String,
    /// So many more
    #[arg(short = 'n', long, value_name = "N", group = "how", value_parser = clap::value_parser!(i32).range(1..))]
    add: Option<i32>,
    /// So many in all
    #[arg(long, value_name = "TOTAL", group = "how", value_parser = clap::value_parser!(i32).range(1..))]
    to: Option<i32>,
    #[command(flatten)]
    consent: ConsentArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// Runs `topic add-partitions`.
pub async fn run(context: &Context, args: AddPartitionsArgs) -> Outcome {
    let topic = context.client.topic(&args.topic, false).await.map_err(Failure::from)?;
    let before = i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX);
    let after = args.to.unwrap_or(before.saturating_add(args.add.unwrap_or(0)));
    let adding =
        |error| Failure::from(error).while_doing(&format!("cannot add partitions to topic {}", args.topic));
    // The broker judges first, so that nobody is asked about what cannot be.
    context.client.create_partitions(&args.topic, after, true).await.map_err(adding)?;
    if !args.consent.dry_run {
        let blast = format!(
            "Topic {} goes from {before} to {after} partitions, for good. Keys will land on other partitions than before.",
            args.topic
        );
        args.consent.obtain(&blast, Stake::Other)?;
        context.client.create_partitions(&args.topic, after, false).await.map_err(adding)?;
    }
    let mut table = Table::new([left("TOPIC"), right("BEFORE"), right("AFTER")]);
    table.row([args.topic.as_str().into(), before.into(), after.into()]);
    let data = json!({
        "topic": args.topic, "partitions_before": before, "partitions_after": after, "dry_run": args.consent.dry_run,
    });
    let report = Report::new("topic.add_partitions", data).table(table);
    let report = if args.consent.dry_run { report.note("Dry run: nothing was changed.") } else { report };
    finish(&report, args.output)
}
