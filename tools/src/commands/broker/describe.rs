//! `tidemark broker describe`.

use std::collections::BTreeMap;

use clap::Args;
use serde_json::json;
use tidemark_protocol::types::BrokerId;

use super::{logdirs, unknown};
use crate::commands::cluster::status::{brokers_json, id_or_none};
use crate::commands::{Context, Outcome, finish};
use crate::exit::Failure;
use crate::output::{Cell, OutputArgs, Report, Table, left, right};
use crate::survey::Survey;

/// Flags of `broker describe`.
#[derive(Debug, Args)]
pub struct DescribeArgs {
    /// Id of the broker
    broker: BrokerId,
    /// Only partitions that it should lead and does not, or whose replica here is out of sync
    #[arg(long)]
    problems: bool,
    #[command(flatten)]
    output: OutputArgs,
}

/// Runs `broker describe`.
pub async fn run(context: &Context, args: DescribeArgs) -> Outcome {
    let survey = Survey::take(&context.client).await.map_err(Failure::from)?;
    let id = args.broker;
    if !survey.knows(id) {
        return Err(unknown(id));
    }
    let mut summary = Table::new([left("BROKER"), left("")]);
    for (name, value) in facts(&survey, id) {
        summary.row([name.into(), value.into()]);
    }
    let mut partitions = Table::new([
        left("TOPIC"),
        right("PART"),
        left("ROLE"),
        right("LEADER"),
        left("REPLICAS"),
        left("IN SYNC"),
        left("STATE"),
    ]);
    let mut rows = Vec::new();
    for (topic, index, partition) in survey.partitions().filter(|(_, _, p)| p.replicas.contains(&id)) {
        let leads = partition.leader == id;
        let role = if leads { "leader" } else { "follower" };
        let state = match (partition.isr.contains(&id), partition.replicas.first() == Some(&id)) {
            (false, _) => "out of sync",
            (true, true) if !leads => "should lead",
            (true, _) => "ok",
        };
        if args.problems && state == "ok" {
            continue;
        }
        let ids = crate::commands::cluster::reassign::ids;
        partitions.row([
            topic.into(),
            index.into(),
            role.into(),
            Cell::of(id_or_none(partition.leader), partition.leader),
            ids(&partition.replicas).into(),
            ids(&partition.isr).into(),
            state.into(),
        ]);
        rows.push(json!({
            "topic": topic, "partition": index, "role": role, "leader": partition.leader,
            "replicas": partition.replicas, "isr": partition.isr, "state": state,
        }));
    }
    let broker = brokers_json(&survey).into_iter().find(|broker| broker["id"] == id);
    let dirs = survey.dirs.get(&id).and_then(|dirs| dirs.as_ref().ok()).cloned().unwrap_or_default();
    let data = json!({ "broker": broker, "log_dirs": dirs, "partitions": rows });
    let mut report = Report::new("broker.describe", data).table(summary);
    if !dirs.is_empty() {
        report = report.table(logdirs::table(&BTreeMap::from([(id, dirs)])));
    }
    finish(&report.table(partitions), args.output)
}

fn facts(survey: &Survey, id: BrokerId) -> Vec<(&'static str, String)> {
    let broker = survey.brokers.get(&id);
    let quorum = survey.quorum.as_ref().ok();
    let role = match quorum {
        Some(quorum) if quorum.leader == id => "leads the metadata quorum",
        Some(quorum) if quorum.voters.iter().any(|voter| voter.id == id) => "votes in the metadata quorum",
        _ => "broker",
    };
    let mut facts = vec![
        ("id", id.to_string()),
        ("state", survey.state_of(id).to_owned()),
        ("address", broker.map_or_else(|| "-".to_owned(), |broker| broker.address.clone())),
        ("rack", broker.and_then(|broker| broker.rack.clone()).unwrap_or_else(|| "-".to_owned())),
        ("role", role.to_owned()),
        ("leads", format!("{} partitions, preferred for {}", survey.leaders_of(id), survey.preferred_of(id))),
        ("replicas", survey.replicas_of(id).to_string()),
    ];
    if let Some(asked) = survey.asked.get(&id).filter(|asked| asked.leaves) {
        let left = i64::try_from(survey.replicas_of(id)).unwrap_or(0);
        let done = (asked.replicas_at_start - left).max(0);
        facts.push((
            "leaving",
            format!("{done} of {} replicas moved, {} moving", asked.replicas_at_start, asked.replicas_moving),
        ));
    }
    facts
}
