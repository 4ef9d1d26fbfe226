//! `tidemark cluster events`.

use clap::Args;
use serde_json::{Value, json};
use tidemark_core::metadata::units as core_units;
use tidemark_protocol::types::TimestampMs;

use crate::commands::watch::WatchArgs;
use crate::commands::{Context, Outcome, finish};
use crate::exit::Failure;
use crate::output::{Cell, OutputArgs, Report, Table, left, right};
use crate::time_text;

/// Flags of `cluster events`.
#[derive(Debug, Args)]
pub struct EventsArgs {
    /// Only those of the last so long
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// The last so many
    #[arg(short = 'n', long, default_value_t = 50, value_name = "N")]
    max: usize,
    #[command(flatten)]
    watch: WatchArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// Runs `cluster events`.
pub async fn run(context: &Context, args: EventsArgs) -> Outcome {
    args.watch.run(async || once(context, &args).await).await
}

async fn once(context: &Context, args: &EventsArgs) -> Outcome {
    let since = since_ms(context, args)?;
    let path = format!("/api/v1/events?since_ms={since}&limit={}", args.max);
    let answer = context.client.admin("GET", &path).await.map_err(Failure::from)?;
    let events = answer["events"].as_array().cloned().unwrap_or_default();
    let mut table =
        Table::new([left("TIME"), left("EVENT"), right("BROKER"), right("PARTITIONS"), left("WHAT")]);
    for event in &events {
        let at_ms = event["at_ms"].as_i64().unwrap_or(0);
        let text = |field: &str| event[field].as_str().unwrap_or("").to_owned();
        let partitions = event["partitions"].as_i64().unwrap_or(0);
        table.row([
            Cell::of(time_text::rfc3339(at_ms), at_ms),
            text("kind").into(),
            event["broker"].as_i64().map_or_else(|| "-".into(), Cell::from),
            Cell::of(if partitions == 0 { "-".to_owned() } else { partitions.to_string() }, partitions),
            text("message").into(),
        ]);
    }
    let rows: Vec<Value> = events.into_iter().map(with_time).collect();
    finish(&Report::new("cluster.events", json!({ "events": rows })).table(table), args.output)
}

fn with_time(mut event: Value) -> Value {
    let at = event["at_ms"].as_i64().map(time_text::rfc3339);
    event["at"] = json!(at);
    event
}

fn since_ms(context: &Context, args: &EventsArgs) -> Result<TimestampMs, Failure> {
    let Some(ago) = &args.since else { return Ok(0) };
    let ms = core_units::parse_duration_ms(ago).map_err(|error| Failure::usage(error.to_string()))?;
    Ok((context.now_ms() - ms).max(0))
}
