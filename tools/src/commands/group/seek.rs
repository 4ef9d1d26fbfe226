//! `tidemark group seek`: moves committed offsets. Shows the change; `--execute` makes it.

use std::collections::BTreeMap;

use clap::Args;
use serde_json::json;
use tidemark_protocol::types::{Offset, PartitionIndex, TopicPartition};

use crate::client::offsets::{EARLIEST, LATEST};
use crate::commands::consume::plan;
use crate::commands::{Context, Outcome, finish};
use crate::exit::{Exit, Failure};
use crate::offset_spec::Place;
use crate::output::{Cell, OutputArgs, Report, Table, left, right};
use crate::units;

/// Flags of `group seek`.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("target").required(true))]
pub struct SeekArgs {
    /// Id of the group
    group: String,
    /// Where to: start, end, N, +N (after the start), -N (before the end), @TIME, @-1h
    #[arg(long, value_name = "WHERE", allow_hyphen_values = true, group = "target")]
    to: Option<String>,
    /// To where another group is
    #[arg(long, value_name = "GROUP", group = "target")]
    to_group: Option<String>,
    /// Topics, or some of their partitions as orders:0,1; repeatable; by default all that were committed
    #[arg(long, value_name = "TOPIC[:P,…]", value_parser = selection)]
    topics: Vec<Selection>,
    /// Make the change
    #[arg(long, conflicts_with = "dry_run")]
    execute: bool,
    /// Show the change only, which is the default
    #[arg(long)]
    dry_run: bool,
    /// Accepted for scripts; --execute is the consent
    #[arg(short = 'y', long, hide = true)]
    yes: bool,
    #[command(flatten)]
    output: OutputArgs,
}

/// A topic with some of its partitions, or all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection {
    topic: String,
    partitions: Vec<PartitionIndex>,
}

/// Runs `group seek`.
pub async fn run(context: &Context, args: SeekArgs) -> Outcome {
    let client = &context.client;
    let before = client.committed(&args.group).await.map_err(Failure::from)?;
    let partitions = partitions(context, &args, &before).await?;
    let after = targets(context, &args, &partitions).await?;
    if args.execute && !after.is_empty() {
        let group = client.describe_group(&args.group).await.map_err(Failure::from)?;
        if !matches!(group.state.as_str(), "Empty" | "Dead") {
            let count = group.members.len();
            let members = if count == 1 { "member" } else { "members" };
            let message = format!("group {} is {} with {count} {members}", args.group, group.state);
            return Err(Failure::new(Exit::Conflict, message)
                .hint("Its members would overwrite the offsets. Stop them first; `tidemark group describe` lists them."));
        }
        client.commit(&args.group, -1, "", &after).await.map_err(Failure::from)?;
    }
    finish(&report(&args, &before, &after), args.output)
}

/// The partitions to move.
async fn partitions(
    context: &Context,
    args: &SeekArgs,
    before: &BTreeMap<TopicPartition, Offset>,
) -> Result<Vec<TopicPartition>, Failure> {
    let mut partitions = Vec::new();
    for selection in &args.topics {
        let topics = [selection.topic.clone()];
        partitions.extend(plan::partitions(context, &topics, &selection.partitions).await?);
    }
    if args.topics.is_empty() {
        partitions.extend(before.keys().cloned());
        if partitions.is_empty() && args.to_group.is_none() {
            return Err(Failure::new(
                Exit::NotFound,
                format!("group {} has no committed offsets", args.group),
            )
            .hint("Name the topics: --topics TOPIC"));
        }
    }
    partitions.sort();
    partitions.dedup();
    Ok(partitions)
}

/// Where each goes, inside its log.
async fn targets(
    context: &Context,
    args: &SeekArgs,
    partitions: &[TopicPartition],
) -> Result<BTreeMap<TopicPartition, Offset>, Failure> {
    let client = &context.client;
    if let Some(other) = &args.to_group {
        let mut offsets = client.committed(other).await.map_err(Failure::from)?;
        if offsets.is_empty() {
            return Err(Failure::new(Exit::NotFound, format!("group {other} has no committed offsets")));
        }
        offsets.retain(|tp, _| args.topics.is_empty() || partitions.contains(tp));
        return Ok(offsets);
    }
    let text = args.to.as_deref().expect("one of --to and --to-group is required");
    let place = Place::parse(text, context.now_ms()).map_err(Failure::usage)?;
    let mut offsets = plan::resolve(context, partitions, place, false).await?;
    let starts = client.offsets_at(partitions, EARLIEST, false).await.map_err(Failure::from)?;
    let ends = client.offsets_at(partitions, LATEST, false).await.map_err(Failure::from)?;
    for (tp, offset) in &mut offsets {
        let bound = |bounds: &BTreeMap<TopicPartition, Option<Offset>>| bounds.get(tp).copied().flatten();
        *offset = (*offset).max(bound(&starts).unwrap_or(0)).min(bound(&ends).unwrap_or(Offset::MAX));
    }
    Ok(offsets)
}

fn report(
    args: &SeekArgs,
    before: &BTreeMap<TopicPartition, Offset>,
    after: &BTreeMap<TopicPartition, Offset>,
) -> Report {
    let mut table =
        Table::new([left("TOPIC"), right("PART"), right("BEFORE"), right("AFTER"), right("CHANGE")]);
    let mut rows = Vec::new();
    for (tp, to) in after {
        let from = before.get(tp).copied();
        let change = from.map(|from| to - from);
        table.row([
            tp.topic.as_ref().into(),
            tp.partition.into(),
            from.map_or_else(|| Cell::of("-", ""), Cell::from),
            (*to).into(),
            change.map_or_else(|| Cell::of("new", ""), |change| Cell::of(signed(change), change)),
        ]);
        rows.push(json!({ "topic": *tp.topic, "partition": tp.partition, "before": from, "after": to }));
    }
    let data = json!({ "group": args.group, "offsets": rows, "dry_run": !args.execute });
    let report = Report::new("group.seek", data).table(table);
    if args.execute { report } else { report.note("Nothing was changed; --execute makes it so.") }
}

fn signed(change: i64) -> String {
    if change > 0 { format!("+{}", units::count(change)) } else { units::count(change) }
}

fn selection(text: &str) -> Result<Selection, String> {
    let (topic, partitions) =
        text.split_once(':').map_or((text, ""), |(topic, partitions)| (topic, partitions));
    let index =
        |part: &str| part.trim().parse().map_err(|_| format!("{part:?} is no partition, as in orders:0,1"));
    let partitions =
        partitions.split(',').filter(|part| !part.is_empty()).map(index).collect::<Result<_, _>>()?;
    if topic.is_empty() {
        return Err("a topic is missing, as in orders or orders:0,1".to_owned());
    }
    Ok(Selection { topic: topic.to_owned(), partitions })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_and_partitions_are_selected() {
        let parsed = |topic: &str, partitions: &[i32]| Selection {
            topic: topic.to_owned(),
            partitions: partitions.to_vec(),
        };
        assert_eq!(selection("orders"), Ok(parsed("orders", &[])));
        assert_eq!(selection("orders:0,3"), Ok(parsed("orders", &[0, 3])));
        assert!(selection("orders:x").is_err());
        assert!(selection(":1").is_err());
    }
}
