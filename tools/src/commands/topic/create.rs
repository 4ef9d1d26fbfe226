//! `tidemark topic create`.

use std::collections::BTreeMap;

use clap::Args;
use serde_json::json;
use tidemark_core::metadata::units as core_units;
use tidemark_protocol::error_code::ErrorCode;

use crate::client::admin::NewTopic;
use crate::client::error::ClientError;
use crate::commands::{Context, Outcome, finish};
use crate::exit::Failure;
use crate::output::{ItemError, OutputArgs, Report, Table, left, right};
use crate::units;

/// Flags of `topic create`.
#[derive(Debug, Args)]
pub struct CreateArgs {
    /// Names of the topics
    #[arg(required = true)]
    topics: Vec<String>,
    /// Number of partitions; by default the broker's num.partitions
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(i32).range(1..))]
    partitions: Option<i32>,
    /// Replicas of each partition; by default the broker's default.replication.factor
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(i16).range(1..))]
    replicas: Option<i16>,
    /// A config, in Kafka's or human units, as retention.ms=7d; repeatable
    #[arg(short, long = "config", value_name = "KEY=VALUE", value_parser = units::key_value)]
    configs: Vec<(String, String)>,
    /// Keep records so long (7d, inf) or so many bytes a partition (50GiB)
    #[arg(long, value_name = "TIME|SIZE")]
    total: Option<String>,
    /// Of these, keep so much on local disks when the topic is tiered
    #[arg(long, value_name = "TIME|SIZE")]
    local: Option<String>,
    /// Keep the last record of every key instead of a time span
    #[arg(long)]
    compact: bool,
    /// Succeed when the topic is there already
    #[arg(long)]
    if_not_exists: bool,
    /// Let the broker check everything, but create nothing
    #[arg(long)]
    dry_run: bool,
    /// Accepted for scripts; nothing is asked here
    #[arg(short = 'y', long, hide = true)]
    yes: bool,
    #[command(flatten)]
    output: OutputArgs,
}

/// Runs `topic create`.
pub async fn run(context: &Context, args: CreateArgs) -> Outcome {
    let configs = configs(&args)?;
    let mut table = Table::new([left("TOPIC"), right("PARTITIONS"), right("REPLICAS"), left("RESULT")]);
    let (mut rows, mut errors) = (Vec::new(), Vec::new());
    let done = if args.dry_run { "would be created" } else { "created" };
    for name in &args.topics {
        let new = NewTopic {
            name: name.clone(),
            partitions: args.partitions.unwrap_or(-1),
            replication: args.replicas.unwrap_or(-1),
            configs: configs.clone(),
        };
        match context.client.create_topic(&new, args.dry_run).await {
            Ok(created) => {
                table.row([
                    name.as_str().into(),
                    created.partitions.into(),
                    created.replication.into(),
                    done.into(),
                ]);
                rows.push(json!({
                    "name": name, "partitions": created.partitions, "replication_factor": created.replication,
                    "created": !args.dry_run,
                }));
            }
            Err(error) if args.if_not_exists && error.code() == Some(ErrorCode::TopicAlreadyExists) => {
                table.row([name.as_str().into(), "-".into(), "-".into(), "exists".into()]);
                rows.push(json!({ "name": name, "created": false }));
            }
            // Without an answer the other topics have no better chance.
            Err(error @ ClientError::Unreachable { .. }) => return Err(error.into()),
            Err(error) => errors.push(ItemError::of(format!("topic {name}"), &error)),
        }
    }
    let mut report =
        Report::new("topic.create", json!({ "topics": rows, "dry_run": args.dry_run, "configs": configs }));
    if !rows.is_empty() {
        report = report.table(table);
    }
    for (key, value) in &configs {
        report = report.note(format!("{key}={}", units::config_shown(key, value)));
    }
    if args.dry_run {
        report = report.note("Dry run: nothing was created.");
    }
    finish(&report.errors(errors), args.output)
}

/// The configs of all flags, in Kafka's units.
fn configs(args: &CreateArgs) -> Result<BTreeMap<String, String>, Failure> {
    let mut configs = BTreeMap::new();
    if args.compact {
        configs.insert("cleanup.policy".to_owned(), "compact".to_owned());
    }
    for (prefix, limit) in [("", &args.total), ("local.", &args.local)] {
        if let Some(limit) = limit {
            let (key, value) = time_or_size(limit)?;
            configs.insert(format!("{prefix}{key}"), value);
        }
    }
    for (key, value) in &args.configs {
        let value = units::config_value(key, value)?;
        if configs.insert(key.clone(), value).is_some() {
            return Err(Failure::usage(format!("{key} is given twice")));
        }
    }
    Ok(configs)
}

/// `7d` is a time, `50GiB` a size.
fn time_or_size(text: &str) -> Result<(&'static str, String), Failure> {
    if matches!(text, "inf" | "forever" | "unlimited") {
        return Ok(("retention.ms", "-1".to_owned()));
    }
    let plain = text.parse::<i64>().is_ok();
    match (core_units::parse_duration_ms(text), core_units::parse_bytes(text)) {
        (Ok(ms), _) if !plain => Ok(("retention.ms", ms.to_string())),
        (_, Ok(bytes)) if !plain => Ok(("retention.bytes", bytes.to_string())),
        _ => Err(Failure::usage(format!("{text:?} is neither a time (7d, 12h, inf) nor a size (50GiB)"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_a_time_or_a_size() {
        let limit = |text| time_or_size(text).ok();
        assert_eq!(limit("7d"), Some(("retention.ms", "604800000".to_owned())));
        assert_eq!(limit("50GiB"), Some(("retention.bytes", "53687091200".to_owned())));
        assert_eq!(limit("inf"), Some(("retention.ms", "-1".to_owned())));
        assert_eq!(limit("5"), None);
        assert_eq!(limit("long"), None);
    }
}
