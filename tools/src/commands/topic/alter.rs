//! `tidemark topic alter`: changes configs, all of a call or none.

use clap::Args;
use serde_json::json;

use crate::client::configs::{ConfigEntry, ConfigOp};
use crate::commands::{Context, Outcome, finish};
use crate::exit::Failure;
use crate::output::{Cell, OutputArgs, Report, Table, left};
use crate::units;

/// Flags of `topic alter`.
#[derive(Debug, Args)]
pub struct AlterArgs {
    /// Name of the topic
    topic: String,
    /// Set a config, in Kafka's or human units, as retention.ms=12h; repeatable
    #[arg(short = 'c', long = "set", value_name = "KEY=VALUE", value_parser = units::key_value)]
    set: Vec<(String, String)>,
    /// Go back to the inherited value; repeatable
    #[arg(short = 'u', long, value_name = "KEY")]
    unset: Vec<String>,
    /// Add an item to a list; repeatable
    #[arg(long, value_name = "KEY=ITEM", value_parser = units::key_value)]
    append: Vec<(String, String)>,
    /// Take an item off a list; repeatable
    #[arg(long, value_name = "KEY=ITEM", value_parser = units::key_value)]
    subtract: Vec<(String, String)>,
    /// Let the broker check everything, but change nothing
    #[arg(long)]
    dry_run: bool,
    /// Accepted for scripts; nothing is asked here
    #[arg(short = 'y', long, hide = true)]
    yes: bool,
    #[command(flatten)]
    output: OutputArgs,
}

/// Runs `topic alter`.
pub async fn run(context: &Context, args: AlterArgs) -> Outcome {
    let mut ops = Vec::new();
    for (key, value) in &args.set {
        ops.push(ConfigOp::Set(key.clone(), units::config_value(key, value)?));
    }
    ops.extend(args.unset.iter().cloned().map(ConfigOp::Unset));
    ops.extend(args.append.iter().cloned().map(|(key, value)| ConfigOp::Append(key, value)));
    ops.extend(args.subtract.iter().cloned().map(|(key, value)| ConfigOp::Subtract(key, value)));
    if ops.is_empty() {
        return Err(Failure::usage("nothing to change")
            .hint("As in: tidemark topic alter orders --set retention.ms=12h"));
    }
    let before = context.client.topic_configs(&args.topic, false).await.map_err(Failure::from)?;
    let altered = context.client.alter_topic_configs(&args.topic, &ops, args.dry_run).await;
    altered
        .map_err(|error| Failure::from(error).while_doing(&format!("cannot alter topic {}", args.topic)))?;
    let after = match args.dry_run {
        true => None,
        false => Some(context.client.topic_configs(&args.topic, false).await.map_err(Failure::from)?),
    };
    finish(&report(&args, &ops, &before, after.as_deref()), args.output)
}

fn report(
    args: &AlterArgs,
    ops: &[ConfigOp],
    before: &[ConfigEntry],
    after: Option<&[ConfigEntry]>,
) -> Report {
    let mut table = Table::new([left("CONFIG"), left("BEFORE"), left("AFTER")]);
    let mut rows = Vec::new();
    for op in ops {
        let (key, predicted) = match op {
            ConfigOp::Set(key, value) => (key, value.clone()),
            ConfigOp::Unset(key) => (key, "(inherited)".to_owned()),
            ConfigOp::Append(key, item) => (key, format!("with {item}")),
            ConfigOp::Subtract(key, item) => (key, format!("without {item}")),
        };
        let value = |entries: &[ConfigEntry]| {
            entries
                .iter()
                .find(|entry| entry.name == *key)
                .and_then(|entry| entry.value.clone())
                .unwrap_or_default()
        };
        let (old, new) = (value(before), after.map_or(predicted, value));
        rows.push(json!({ "name": key, "before": old, "after": new }));
        let shown = |value: &str| Cell::of(units::config_shown(key, value), value);
        table.row([key.as_str().into(), shown(&old), shown(&new)]);
    }
    let data = json!({ "topic": args.topic, "configs": rows, "dry_run": args.dry_run });
    let report = Report::new("topic.alter", data).table(table);
    if args.dry_run { report.note("Dry run: the broker accepts this; nothing was changed.") } else { report }
}
