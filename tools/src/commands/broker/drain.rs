//! `tidemark broker drain`, `undrain` and `decommission`: a broker is emptied of leaders, or of everything.
//!
//! Kafka has no API for it, so these go to the admin port of any broker, which has the controller decide. What would harm is
//! refused there, with exit 6 here.

use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};
use tidemark_protocol::types::BrokerId;

use super::unknown;
use crate::commands::{Context, Outcome, finish};
use crate::confirm::{ConsentArgs, Stake};
use crate::exit::{Exit, Failure};
use crate::output::{OutputArgs, Report, Table, left, right};
use crate::survey::asked_of;
use crate::units;

/// Between two looks while waiting.
const LOOK_EVERY: Duration = Duration::from_millis(300);

/// Flags of `broker drain`.
#[derive(Debug, Args)]
pub struct DrainArgs {
    /// Id of the broker
    broker: BrokerId,
    /// Wait until it leads nothing, for so long at most [default: 2m]
    #[arg(long, value_name = "TIME", num_args = 0..=1, require_equals = true, default_missing_value = "2m", value_parser = units::duration)]
    wait: Option<Duration>,
    /// Show what would happen, change nothing
    #[arg(long)]
    dry_run: bool,
    /// Accepted for scripts; nothing is asked here
    #[arg(short = 'y', long, hide = true)]
    yes: bool,
    #[command(flatten)]
    output: OutputArgs,
}

/// Flags of `broker undrain`.
#[derive(Debug, Args)]
pub struct UndrainArgs {
    /// Id of the broker
    broker: BrokerId,
    /// Show what would happen, change nothing
    #[arg(long)]
    dry_run: bool,
    /// Accepted for scripts; nothing is asked here
    #[arg(short = 'y', long, hide = true)]
    yes: bool,
    #[command(flatten)]
    output: OutputArgs,
}

/// Flags of `broker decommission`.
#[derive(Debug, Args)]
pub struct DecommissionArgs {
    /// Id of the broker
    broker: BrokerId,
    /// Wait until it is empty, for so long at most [default: 1h]
    #[arg(long, value_name = "TIME", num_args = 0..=1, require_equals = true, default_missing_value = "1h", value_parser = units::duration)]
    wait: Option<Duration>,
    /// Show how far it is
    #[arg(long, conflicts_with_all = ["wait", "cancel"])]
    status: bool,
    /// Call it off: what is on its way returns, what has moved stays where it is
    #[arg(long, conflicts_with = "wait")]
    cancel: bool,
    #[command(flatten)]
    consent: ConsentArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// Runs `broker drain`.
pub async fn drain(context: &Context, args: DrainArgs) -> Outcome {
    let id = args.broker;
    let mut broker = post(context, id, "drain", args.dry_run).await?;
    if let (Some(patience), false) = (args.wait, args.dry_run) {
        broker = until(context, id, patience, |broker| broker["leaders"] == 0).await?;
    }
    let report = report("broker.drain", &broker, args.dry_run);
    let leaders = broker["leaders"].as_i64().unwrap_or(0);
    let report = match (args.dry_run, leaders) {
        (true, leaders) => report.note(format!("Dry run: {leaders} partitions would be led by others.")),
        (_, 0) => report.note(format!(
            "broker {id} leads nothing and goes on following. `tidemark broker undrain {id}` ends it."
        )),
        (_, leaders) => report
            .note(format!("broker {id} still leads {leaders} partitions that nobody else can lead now.")),
    };
    finish(&report, args.output)
}

/// Runs `broker undrain`.
pub async fn undrain(context: &Context, args: UndrainArgs) -> Outcome {
    let broker = post(context, args.broker, "undrain", args.dry_run).await?;
    let report = report("broker.undrain", &broker, args.dry_run);
    finish(&if args.dry_run { report.note("Dry run: nothing was changed.") } else { report }, args.output)
}

/// Runs `broker decommission`.
pub async fn decommission(context: &Context, args: DecommissionArgs) -> Outcome {
    let id = args.broker;
    if args.status {
        let broker = state(context, id).await?.ok_or_else(|| unknown(id))?;
        return finish(&report("broker.decommission", &broker, false).note(progress(&broker)), args.output);
    }
    if args.cancel {
        let broker = state(context, id).await?.ok_or_else(|| unknown(id))?;
        if broker["drain"]["leaves"] != true {
            return Err(Failure::new(Exit::Conflict, progress(&broker)));
        }
        let broker = post(context, id, "undrain", args.consent.dry_run).await?;
        return finish(
            &report("broker.decommission", &broker, args.consent.dry_run).note("Called off."),
            args.output,
        );
    }
    // What is refused is refused before anything is asked.
    let planned = post(context, id, "decommission", true).await?;
    if args.consent.dry_run {
        let note = format!("Dry run: {} replicas would move to other brokers.", planned["replicas"]);
        return finish(&report("broker.decommission", &planned, true).note(note), args.output);
    }
    let blast = format!(
        "This moves {} replicas off broker {id}, and forgets it once it is empty and has stopped.",
        planned["replicas"]
    );
    args.consent.obtain(&blast, Stake::Other)?;
    let mut broker = post(context, id, "decommission", false).await?;
    if let Some(patience) = args.wait {
        broker = until(context, id, patience, |broker| broker["replicas"] == 0).await?;
    }
    finish(&report("broker.decommission", &broker, false).note(progress(&broker)), args.output)
}

/// Asks for a change; the broker as it is afterwards.
async fn post(context: &Context, id: BrokerId, verb: &str, dry_run: bool) -> Result<Value, Failure> {
    let query = if dry_run { "?dry_run=true" } else { "" };
    let path = format!("/api/v1/brokers/{id}/{verb}{query}");
    let answer = context.client.admin("POST", &path).await.map_err(Failure::from)?;
    Ok(answer["broker"].clone())
}

/// A broker as the admin port tells it; `None` for one that is not there.
async fn state(context: &Context, id: BrokerId) -> Result<Option<Value>, Failure> {
    let answer = context.client.admin("GET", "/api/v1/brokers").await.map_err(Failure::from)?;
    let brokers = answer["brokers"].as_array().cloned().unwrap_or_default();
    Ok(brokers.into_iter().find(|broker| broker["id"] == id))
}

/// Waits; one that is forgotten meanwhile holds and leads nothing.
async fn until(
    context: &Context,
    id: BrokerId,
    patience: Duration,
    is_done: impl Fn(&Value) -> bool,
) -> Result<Value, Failure> {
    let deadline = tokio::time::Instant::now() + patience;
    loop {
        let broker = match state(context, id).await {
            Ok(found) => found.unwrap_or_else(|| json!({ "id": id, "replicas": 0, "leaders": 0 })),
            // The broker that was asked may be the one that stops.
            Err(failure) if failure.exit == Exit::Unreachable => Value::Null,
            Err(failure) => return Err(failure),
        };
        if !broker.is_null() && is_done(&broker) {
            return Ok(broker);
        }
        if tokio::time::Instant::now() + LOOK_EVERY >= deadline {
            let message = format!(
                "broker {id} was not done after {}: {}",
                units::duration_text(patience),
                progress(&broker)
            );
            return Err(
                Failure::new(Exit::TimedOut, message).hint("It goes on; the same command waits again.")
            );
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

fn report(kind: &'static str, broker: &Value, dry_run: bool) -> Report {
    let mut table =
        Table::new([right("BROKER"), left("STATE"), right("LEADERS"), right("REPLICAS"), right("MOVING")]);
    let number = |field: &str| broker[field].as_i64().unwrap_or(0);
    table.row([
        number("id").into(),
        word(broker).into(),
        number("leaders").into(),
        number("replicas").into(),
        broker["drain"]["replicas_moving"].as_i64().unwrap_or(0).into(),
    ]);
    let mut data = broker.clone();
    data["state"] = word(broker).into();
    Report::new(kind, json!({ "broker": data, "dry_run": dry_run })).table(table)
}

fn word(broker: &Value) -> &'static str {
    let asked = asked_of(broker).map(|(_, asked)| asked).unwrap_or_default();
    match (asked.leaves, asked.drained) {
        _ if broker["epoch"].is_null() => "gone",
        (true, _) if broker["replicas"] == 0 => "empty, to be stopped",
        (true, _) => "leaving",
        (_, true) => "drained",
        _ if broker["fenced"] == true => "down",
        _ => "up",
    }
}

/// How far a decommission is, and what is left to do.
fn progress(broker: &Value) -> String {
    let id = &broker["id"];
    let asked = asked_of(broker).map(|(_, asked)| asked).unwrap_or_default();
    let left = broker["replicas"].as_i64().unwrap_or(0);
    match word(broker) {
        "gone" => format!("broker {id} is forgotten; its data directory can be deleted"),
        "empty, to be stopped" => format!("broker {id} is empty: stop its process, and it is forgotten"),
        "leaving" => {
            let done = (asked.replicas_at_start - left).max(0);
            format!(
                "{done} of {} replicas have moved, {} are moving",
                asked.replicas_at_start, asked.replicas_moving
            )
        }
        _ => format!("broker {id} is not being decommissioned"),
    }
}
