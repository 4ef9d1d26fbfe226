//! `tidemark broker logdirs`.

use std::collections::BTreeMap;

use clap::Args;
use serde_json::json;
use tidemark_protocol::types::BrokerId;

use super::unknown;
use crate::client::cluster::LogDir;
use crate::commands::{Context, Outcome, finish};
use crate::exit::Failure;
use crate::output::{Cell, ItemError, OutputArgs, Report, Table, left, right};
use crate::units;

/// Flags of `broker logdirs`.
#[derive(Debug, Args)]
pub struct LogdirsArgs {
    /// Ids of the brokers; by default all
    brokers: Vec<BrokerId>,
    #[command(flatten)]
    output: OutputArgs,
}

/// Runs `broker logdirs`.
pub async fn run(context: &Context, args: LogdirsArgs) -> Outcome {
    let cluster = context.client.describe_cluster().await.map_err(Failure::from)?;
    if let Some(id) = args.brokers.iter().find(|id| !cluster.brokers.contains_key(id)) {
        return Err(unknown(*id));
    }
    let (mut found, mut errors) = (BTreeMap::new(), Vec::new());
    for broker in cluster.brokers.values() {
        let asked = args.brokers.is_empty() && !broker.fenced || args.brokers.contains(&broker.id);
        if !asked {
            continue;
        }
        match context.client.log_dirs(broker.id).await {
            Ok(dirs) => {
                found.insert(broker.id, dirs);
            }
            Err(error) => errors.push(ItemError::of(format!("broker {}", broker.id), &error)),
        }
    }
    let row = |(id, dir): (&BrokerId, &LogDir)| {
        let mut value = json!(dir);
        value["broker"] = (*id).into();
        value
    };
    let rows: Vec<_> =
        found.iter().flat_map(|(id, dirs)| dirs.iter().map(move |dir| row((id, dir)))).collect();
    let report = Report::new("broker.logdirs", json!({ "log_dirs": rows })).table(table(&found));
    finish(&report.errors(errors), args.output)
}

/// Directories by broker.
pub fn table(found: &BTreeMap<BrokerId, Vec<LogDir>>) -> Table {
    let mut table = Table::new([
        right("BROKER"),
        left("DIRECTORY"),
        left("STATE"),
        right("REPLICAS"),
        right("DATA"),
        right("FREE"),
        right("DISK"),
    ]);
    let bytes = |count: i64| Cell::of(if count < 0 { "-".to_owned() } else { units::bytes(count) }, count);
    for (id, dirs) in found {
        for dir in dirs {
            table.row([
                (*id).into(),
                dir.path.as_str().into(),
                dir.error.as_deref().unwrap_or("ok").into(),
                dir.replicas.into(),
                bytes(dir.size_bytes),
                bytes(dir.usable_bytes),
                bytes(dir.total_bytes),
            ]);
        }
    }
    table
}
