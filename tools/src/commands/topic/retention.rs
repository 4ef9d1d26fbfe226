//! `tidemark topic retention`: how long records stay, with what a change would delete.

use clap::Args;
use serde_json::json;
use tidemark_core::metadata::units as core_units;
use tidemark_protocol::types::TopicPartition;

use crate::client::configs::{ConfigEntry, ConfigOp};
use crate::client::offsets::{EARLIEST, LATEST};
use crate::commands::consume::plan;
use crate::commands::{Context, Outcome, finish};
use crate::confirm::{ConsentArgs, Stake};
use crate::exit::Failure;
use crate::output::{Cell, OutputArgs, Report, Table, left};
use crate::units;

/// The configs this is about, as people call them.
const LIMITS: [(&str, &str); 4] = [
    ("total time", "retention.ms"),
    ("total size", "retention.bytes"),
    ("local time", "local.retention.ms"),
    ("local size", "local.retention.bytes"),
];

/// Flags of `topic retention`.
#[derive(Debug, Args)]
pub struct RetentionArgs {
    /// Name of the topic
    topic: String,
    /// Keep records so long: 90d, inf
    #[arg(long, value_name = "TIME")]
    total: Option<String>,
    /// Keep so many bytes of each partition: 50GiB, inf
    #[arg(long, value_name = "SIZE")]
    total_bytes: Option<String>,
    /// Of these, keep so long on local disks when the topic is tiered
    #[arg(long, value_name = "TIME")]
    local: Option<String>,
    /// Of these, keep so many bytes on local disks when the topic is tiered
    #[arg(long, value_name = "SIZE")]
    local_bytes: Option<String>,
    /// Go back to the broker's defaults
    #[arg(long, conflicts_with_all = ["total", "total_bytes", "local", "local_bytes"])]
    inherit: bool,
    #[command(flatten)]
    consent: ConsentArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// Runs `topic retention`.
pub async fn run(context: &Context, args: RetentionArgs) -> Outcome {
    let before = context.client.topic_configs(&args.topic, false).await.map_err(Failure::from)?;
    let ops = ops(&args, &before)?;
    if !ops.is_empty() {
        // The broker judges first, so that nobody is asked about what cannot be.
        let checked = context.client.alter_topic_configs(&args.topic, &ops, true).await;
        checked.map_err(|error| Failure::from(error).while_doing("cannot change the retention"))?;
    }
    let expiring = expiring(context, &args.topic, &ops).await?;
    if !ops.is_empty() && !args.consent.dry_run {
        if expiring.is_some_and(|(records, _)| records > 0) {
            let blast = format!("Topic {}: {}", args.topic, expiring_text(expiring));
            args.consent.obtain(&blast, Stake::Data(&args.topic))?;
        }
        context.client.alter_topic_configs(&args.topic, &ops, false).await.map_err(Failure::from)?;
    }
    finish(&report(&args, &before, &ops, expiring), args.output)
}

fn ops(args: &RetentionArgs, before: &[ConfigEntry]) -> Result<Vec<ConfigOp>, Failure> {
    if args.inherit {
        let own = |key: &str| before.iter().any(|entry| entry.name == key && entry.is_own());
        let keys = LIMITS.iter().map(|(_, key)| *key).filter(|key| own(key));
        return Ok(keys.map(|key| ConfigOp::Unset(key.to_owned())).collect());
    }
    let given = [&args.total, &args.total_bytes, &args.local, &args.local_bytes];
    let mut ops = Vec::new();
    for ((_, key), value) in LIMITS.iter().zip(given) {
        if let Some(value) = value {
            let value = units::config_value(key, value)?;
            if key.ends_with(".ms") {
                core_units::parse_duration_ms(&value).map_err(|error| Failure::usage(error.to_string()))?;
            }
            ops.push(ConfigOp::Set((*key).to_owned(), value));
        }
    }
    Ok(ops)
}

/// Records older than the new time limit, and all records; `None` when time is not limited anew.
async fn expiring(context: &Context, topic: &str, ops: &[ConfigOp]) -> Result<Option<(i64, i64)>, Failure> {
    let limit = ops.iter().find_map(|op| match op {
        ConfigOp::Set(key, value) if key == "retention.ms" => value.parse::<i64>().ok(),
        _ => None,
    });
    let Some(limit) = limit.filter(|limit| *limit >= 0) else { return Ok(None) };
    let partitions = plan::partitions(context, &[topic.to_owned()], &[]).await?;
    let client = &context.client;
    let starts = client.offsets_at(&partitions, EARLIEST, false).await.map_err(Failure::from)?;
    let ends = client.offsets_at(&partitions, LATEST, false).await.map_err(Failure::from)?;
    let cut = client.offsets_at(&partitions, context.now_ms() - limit, false).await.map_err(Failure::from)?;
    let (mut old, mut all) = (0, 0);
    for tp in &partitions {
        let at = |offsets: &std::collections::BTreeMap<TopicPartition, Option<i64>>| {
            offsets.get(tp).copied().flatten()
        };
        let (start, end) = (at(&starts).unwrap_or(0), at(&ends).unwrap_or(0));
        old += at(&cut).unwrap_or(end) - start;
        all += end - start;
    }
    Ok(Some((old, all)))
}

fn expiring_text(expiring: Option<(i64, i64)>) -> String {
    match expiring {
        Some((old, all)) if old > 0 => format!(
            "{} of {} records ({}%) are older than that and would be deleted as their segments expire.",
            units::count(old),
            units::count(all),
            old * 100 / all.max(1)
        ),
        Some(_) => "No record is older than that; nothing would be deleted now.".to_owned(),
        None => String::new(),
    }
}

fn report(
    args: &RetentionArgs,
    before: &[ConfigEntry],
    ops: &[ConfigOp],
    expiring: Option<(i64, i64)>,
) -> Report {
    let mut table =
        Table::new([left("LIMIT"), left("CONFIG"), left("NOW"), left("AFTER"), left("SOURCE").wide()]);
    let mut rows = Vec::new();
    for (name, key) in LIMITS {
        let Some(entry) = before.iter().find(|entry| entry.name == key) else { continue };
        let now = entry.value.clone().unwrap_or_default();
        let after = ops.iter().find_map(|op| match op {
            ConfigOp::Set(changed, value) if changed == key => Some(value.clone()),
            ConfigOp::Unset(changed) if changed == key => Some("(inherited)".to_owned()),
            _ => None,
        });
        rows.push(
            json!({ "limit": name, "config": key, "now": now, "after": after, "source": entry.source }),
        );
        let after_shown = match &after {
            Some(after) => units::config_shown(key, after),
            None => "unchanged".to_owned(),
        };
        table.row([
            name.into(),
            key.into(),
            Cell::of(units::config_shown(key, &now), &now),
            Cell::of(after_shown, after.as_deref().unwrap_or(&now)),
            entry.source.into(),
        ]);
    }
    let data = json!({
        "topic": args.topic, "limits": rows, "dry_run": args.consent.dry_run,
        "records_expiring": expiring.map(|(old, _)| old), "records": expiring.map(|(_, all)| all),
    });
    let mut report = Report::new("topic.retention", data).table(table);
    let text = expiring_text(expiring);
    if !text.is_empty() {
        report = report.note(text);
    }
    if args.consent.dry_run && !ops.is_empty() {
        report = report.note("Dry run: nothing was changed.");
    }
    report
}
