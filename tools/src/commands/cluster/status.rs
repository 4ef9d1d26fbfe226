//! `tidemark cluster status`.

use clap::Args;
use serde_json::{Value, json};
use tidemark_protocol::types::BrokerId;

use super::health;
use crate::commands::watch::WatchArgs;
use crate::commands::{Context, Outcome, finish};
use crate::exit::Failure;
use crate::output::{Cell, OutputArgs, Report, Table, left, right};
use crate::survey::Survey;
use crate::units;

/// Flags of `cluster status`.
#[derive(Debug, Args)]
pub struct StatusArgs {
    #[command(flatten)]
    watch: WatchArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// Runs `cluster status`.
pub async fn run(context: &Context, args: StatusArgs) -> Outcome {
    args.watch
        .run(async || {
            let survey = Survey::take(&context.client).await.map_err(Failure::from)?;
            finish(&report(&survey), args.output)
        })
        .await
}

fn report(survey: &Survey) -> Report {
    let controller = survey.quorum.as_ref().map_or(-1, |quorum| quorum.leader);
    let findings = health::findings(survey, &health::Limits::default());
    let word = if findings.iter().all(|finding| finding.is_ok()) { "healthy" } else { "unhealthy" };
    let offline = survey.named(|_, partition| partition.leader < 0).len();
    let lagging = survey.named(|_, partition| partition.isr.len() < partition.replicas.len()).len();
    let small =
        survey.named(|topic, partition| partition.isr.len() < survey.min_isr_of(topic, partition)).len();
    let partitions = survey.partitions().count();
    let voters = survey.quorum.as_ref().map_or(0, |quorum| quorum.voters.len());
    let mut summary = Table::new([
        left("CLUSTER"),
        left("HEALTH"),
        right("CONTROLLER"),
        right("VOTERS"),
        right("TOPICS"),
        right("PARTITIONS"),
        right("OFFLINE"),
        right("UNDER REPLICATED"),
        right("UNDER MIN ISR"),
        right("MOVING"),
    ]);
    summary.row([
        survey.cluster_id.as_str().into(),
        word.into(),
        Cell::of(id_or_none(controller), controller),
        voters.into(),
        survey.topics.len().into(),
        partitions.into(),
        offline.into(),
        lagging.into(),
        small.into(),
        survey.reassignments.len().into(),
    ]);
    let data = json!({
        "cluster_id": survey.cluster_id, "healthy": word == "healthy", "controller": controller,
        "voters": voters, "topics": survey.topics.len(), "partitions": partitions,
        "partitions_offline": offline, "partitions_under_replicated": lagging,
        "partitions_under_min_isr": small, "reassignments": survey.reassignments.len(),
        "brokers": brokers_json(survey),
    });
    Report::new("cluster.status", data).table(summary).table(brokers_table(survey))
}

/// All brokers as a table: those of `broker list` too.
pub fn brokers_table(survey: &Survey) -> Table {
    let mut table = Table::new([
        right("BROKER"),
        left("STATE"),
        left("ADDRESS"),
        left("RACK"),
        left("ROLE"),
        right("LEADERS"),
        right("PREFERRED").wide(),
        right("REPLICAS"),
        right("DATA"),
        right("DISK FREE"),
    ]);
    for id in survey.brokers.keys().chain(&survey.missing).copied() {
        let (size, free, total) = disk(survey, id);
        let broker = survey.brokers.get(&id);
        let rack = broker.and_then(|broker| broker.rack.clone()).unwrap_or_default();
        table.row([
            id.into(),
            survey.state_of(id).into(),
            broker.map_or_else(String::new, |broker| broker.address.clone()).into(),
            Cell::of(if rack.is_empty() { "-" } else { &rack }, &rack),
            role(survey, id).into(),
            survey.leaders_of(id).into(),
            survey.preferred_of(id).into(),
            survey.replicas_of(id).into(),
            Cell::of(size.map_or_else(|| "-".to_owned(), units::bytes), size.unwrap_or(-1)),
            Cell::of(shown_free(free, total), free.unwrap_or(-1)),
        ]);
    }
    table
}

/// The same for scripts.
pub fn brokers_json(survey: &Survey) -> Vec<Value> {
    let ids = survey.brokers.keys().chain(&survey.missing).copied();
    ids.map(|id| {
        let (size, free, total) = disk(survey, id);
        let broker = survey.brokers.get(&id);
        let asked = survey.asked.get(&id).cloned().unwrap_or_default();
        json!({
            "id": id, "state": survey.state_of(id), "address": broker.map(|broker| &broker.address),
            "rack": broker.and_then(|broker| broker.rack.clone()),
            "fenced": broker.is_none_or(|broker| broker.fenced),
            "drained": asked.drained, "leaving": asked.leaves, "role": role(survey, id),
            "leaders": survey.leaders_of(id), "preferred": survey.preferred_of(id),
            "replicas": survey.replicas_of(id), "replicas_moving": asked.replicas_moving,
            "size_bytes": size, "disk_free_bytes": free, "disk_total_bytes": total,
        })
    })
    .collect()
}

/// What a broker is to the metadata quorum.
fn role(survey: &Survey, id: BrokerId) -> &'static str {
    let Ok(quorum) = &survey.quorum else { return "-" };
    if quorum.leader == id {
        "controller"
    } else if quorum.voters.iter().any(|voter| voter.id == id) {
        "voter"
    } else {
        "-"
    }
}

/// Bytes of data, bytes free and bytes in all of the broker's disks, where they are told.
fn disk(survey: &Survey, id: BrokerId) -> (Option<i64>, Option<i64>, Option<i64>) {
    let Some(Ok(dirs)) = survey.dirs.get(&id) else { return (None, None, None) };
    let told = dirs.iter().all(|dir| dir.total_bytes >= 0 && dir.usable_bytes >= 0);
    let sum = |bytes: fn(&crate::client::cluster::LogDir) -> i64| dirs.iter().map(bytes).sum::<i64>();
    let space = told.then(|| (sum(|dir| dir.usable_bytes), sum(|dir| dir.total_bytes)));
    (Some(sum(|dir| dir.size_bytes)), space.map(|space| space.0), space.map(|space| space.1))
}

fn shown_free(free: Option<i64>, total: Option<i64>) -> String {
    match (free, total) {
        (Some(free), Some(total)) if total > 0 => format!("{} ({}%)", units::bytes(free), free * 100 / total),
        _ => "-".to_owned(),
    }
}

/// An id, or that there is none.
pub fn id_or_none(id: BrokerId) -> String {
    if id < 0 { "none".to_owned() } else { id.to_string() }
}
