//! `tidemark topic list`.

use clap::Args;
use serde::Serialize;
use serde_json::json;
use tidemark_protocol::types::base64_uuid;

use crate::commands::{Context, Outcome, finish};
use crate::exit::Failure;
use crate::output::{Cell, OutputArgs, Report, Table, left, right};
use crate::units;

/// Flags of `topic list`.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// Only topics whose name contains this
    filter: Option<String>,
    /// Also the brokers' own topics, as __consumer_offsets
    #[arg(long)]
    internal: bool,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Serialize)]
struct Row {
    name: String,
    id: String,
    internal: bool,
    partitions: usize,
    replication_factor: usize,
    partitions_without_leader: usize,
    partitions_under_replicated: usize,
    size_bytes: i64,
}

/// Runs `topic list`.
pub async fn run(context: &Context, args: ListArgs) -> Outcome {
    let metadata = context.client.metadata(None, false).await.map_err(Failure::from)?;
    let sizes = context.client.sizes().await.map_err(Failure::from)?;
    let mut table = Table::new([
        left("TOPIC"),
        right("PARTITIONS"),
        right("REPLICAS"),
        right("SIZE"),
        left("STATE"),
        left("ID").wide(),
        left("INTERNAL").wide(),
    ]);
    let mut rows = Vec::new();
    for (name, topic) in metadata.topics {
        let wanted = args.filter.as_ref().is_none_or(|filter| name.contains(filter));
        if !wanted || (topic.is_internal && !args.internal) {
            continue;
        }
        let partitions = topic.partitions.values();
        let row = Row {
            id: base64_uuid(topic.id),
            internal: topic.is_internal,
            partitions: topic.partitions.len(),
            replication_factor: partitions.clone().map(|p| p.replicas.len()).max().unwrap_or(0),
            partitions_without_leader: partitions.clone().filter(|p| p.leader < 0).count(),
            partitions_under_replicated: partitions.filter(|p| p.isr.len() < p.replicas.len()).count(),
            size_bytes: sizes.iter().filter(|(tp, _)| *tp.topic == *name).map(|(_, size)| size).sum(),
            name,
        };
        let state = match (row.partitions_without_leader, row.partitions_under_replicated) {
            (0, 0) => "ok".to_owned(),
            (0, under) => format!("{under} under-replicated"),
            (offline, _) => format!("{offline} offline"),
        };
        table.row([
            row.name.as_str().into(),
            row.partitions.into(),
            row.replication_factor.into(),
            Cell::of(units::bytes(row.size_bytes), row.size_bytes),
            state.into(),
            row.id.as_str().into(),
            row.internal.into(),
        ]);
        rows.push(row);
    }
    let mut report = Report::new("topic.list", json!({ "topics": rows })).table(table);
    if rows.is_empty() {
        report = report.note("No topics. `tidemark topic create NAME` makes one.");
    }
    finish(&report, args.output)
}
