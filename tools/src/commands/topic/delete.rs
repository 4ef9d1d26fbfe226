//! `tidemark topic delete`.

use std::collections::BTreeMap;

use clap::Args;
use serde_json::json;
use tidemark_protocol::types::TopicPartition;

use crate::client::error::ClientError;
use crate::commands::{Context, Outcome, finish};
use crate::confirm::{ConsentArgs, Stake};
use crate::exit::Failure;
use crate::output::{ItemError, OutputArgs, Report, Table, left, right};
use crate::units;

/// Flags of `topic delete`.
#[derive(Debug, Args)]
pub struct DeleteArgs {
    /// Names of the topics
    #[arg(required = true)]
    topics: Vec<String>,
    #[command(flatten)]
    consent: ConsentArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// Runs `topic delete`.
pub async fn run(context: &Context, args: DeleteArgs) -> Outcome {
    let names: Vec<String> = args.topics.clone();
    let metadata = context.client.metadata(Some(&names), false).await.map_err(Failure::from)?;
    let sizes = context.client.sizes().await.map_err(Failure::from)?;
    let mut table = Table::new([left("TOPIC"), right("PARTITIONS"), right("SIZE"), left("RESULT")]);
    let (mut rows, mut errors) = (Vec::new(), Vec::new());
    for name in &names {
        let topic = metadata.topics.get(name);
        if let Some(code) = topic.and_then(|topic| topic.error) {
            let error = ClientError::Kafka { code, message: String::new() };
            errors.push(ItemError::of(format!("topic {name}"), &error));
            continue;
        }
        let partitions = topic.map_or(0, |topic| topic.partitions.len());
        let size = size_of(&sizes, name);
        if !args.consent.dry_run {
            let blast = format!(
                "This deletes topic {name} for good: {partitions} partitions, {} on disk.",
                units::bytes(size)
            );
            args.consent.obtain(&blast, Stake::Data(name))?;
            if let Err(error) = context.client.delete_topic(name).await {
                errors.push(ItemError::of(format!("topic {name}"), &error));
                continue;
            }
        }
        let result = if args.consent.dry_run { "would be deleted" } else { "deleted" };
        let shown = crate::output::Cell::of(units::bytes(size), size);
        table.row([name.as_str().into(), partitions.into(), shown, result.into()]);
        rows.push(json!({
            "name": name, "partitions": partitions, "size_bytes": size, "deleted": !args.consent.dry_run,
        }));
    }
    let mut report = Report::new("topic.delete", json!({ "topics": rows, "dry_run": args.consent.dry_run }));
    if !rows.is_empty() {
        report = report.table(table);
    }
    if args.consent.dry_run {
        report = report.note("Dry run: nothing was deleted.");
    }
    finish(&report.errors(errors), args.output)
}

fn size_of(sizes: &BTreeMap<TopicPartition, i64>, topic: &str) -> i64 {
    sizes.iter().filter(|(tp, _)| *tp.topic == *topic).map(|(_, size)| size).sum()
}
