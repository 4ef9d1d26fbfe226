//! `tidemark topic trim`: deletes the oldest records up to an offset or a time.

use std::collections::BTreeMap;

use clap::Args;
use serde_json::json;
use tidemark_protocol::types::{Offset, PartitionIndex, TopicPartition};

use crate::client::offsets::{EARLIEST, LATEST};
use crate::commands::consume::plan;
use crate::commands::{Context, Outcome, finish};
use crate::confirm::{ConsentArgs, Stake};
use crate::exit::Failure;
use crate::offset_spec::Place;
use crate::output::{Cell, ItemError, OutputArgs, Report, Table, right};
use crate::units;

/// Flags of `topic trim`.
#[derive(Debug, Args)]
pub struct TrimArgs {
    /// Name of the topic
    topic: String,
    /// First record that stays: N, -N (keep the last N), end, @TIME
    #[arg(long, value_name = "WHERE", allow_hyphen_values = true)]
    to: String,
    /// Partitions to trim, with commas between; by default all
    #[arg(short, long, value_delimiter = ',', value_name = "P")]
    partitions: Vec<PartitionIndex>,
    #[command(flatten)]
    consent: ConsentArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// Runs `topic trim`.
pub async fn run(context: &Context, args: TrimArgs) -> Outcome {
    let place = Place::parse(&args.to, context.now_ms()).map_err(Failure::usage)?;
    let partitions = plan::partitions(context, std::slice::from_ref(&args.topic), &args.partitions).await?;
    let client = &context.client;
    let starts = client.offsets_at(&partitions, EARLIEST, false).await.map_err(Failure::from)?;
    let ends = client.offsets_at(&partitions, LATEST, false).await.map_err(Failure::from)?;
    let wanted = plan::resolve(context, &partitions, place, false).await?;
    let start = |tp: &TopicPartition| starts.get(tp).copied().flatten().unwrap_or(0);
    let end = |tp: &TopicPartition| ends.get(tp).copied().flatten().unwrap_or(0);
    let targets: BTreeMap<TopicPartition, Offset> =
        wanted.into_iter().filter(|(tp, to)| *to > start(tp)).collect();
    let lost: i64 = targets.iter().map(|(tp, to)| (*to).min(end(tp)) - start(tp)).sum();
    let mut results = BTreeMap::new();
    if !args.consent.dry_run && !targets.is_empty() {
        let blast = format!(
            "This deletes the oldest {} records of topic {} in {} partitions, for good.",
            units::count(lost),
            args.topic,
            targets.len()
        );
        args.consent.obtain(&blast, Stake::Data(&args.topic))?;
        results = client.delete_records(&targets).await.map_err(Failure::from)?;
    }
    let mut table =
        Table::new([right("PART"), right("START BEFORE"), right("START AFTER"), right("RECORDS DELETED")]);
    let (mut rows, mut errors) = (Vec::new(), Vec::new());
    for tp in &partitions {
        let after = match (results.get(tp), targets.get(tp)) {
            (Some(Ok(low_watermark)), _) => *low_watermark,
            (Some(Err(error)), _) => {
                errors.push(ItemError::of(format!("partition {tp}"), error));
                continue;
            }
            (None, Some(target)) => *target,
            (None, None) => start(tp),
        };
        let deleted = after.min(end(tp)) - start(tp);
        table.row([
            tp.partition.into(),
            start(tp).into(),
            after.into(),
            Cell::of(units::count(deleted), deleted),
        ]);
        rows.push(json!({
            "partition": tp.partition, "log_start_before": start(tp), "log_start_after": after,
            "records_deleted": deleted,
        }));
    }
    let data = json!({ "topic": args.topic, "partitions": rows, "dry_run": args.consent.dry_run });
    let report = Report::new("topic.trim", data).table(table).errors(errors);
    let report = match (args.consent.dry_run, targets.is_empty()) {
        (_, true) => report.note("Nothing lies before that; nothing was deleted."),
        (true, _) => report.note("Dry run: nothing was deleted."),
        _ => report,
    };
    finish(&report, args.output)
}
