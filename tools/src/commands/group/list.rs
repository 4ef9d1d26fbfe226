//! `tidemark group list`.

use clap::Args;
use serde_json::json;

use crate::commands::{Context, Outcome, finish};
use crate::exit::Failure;
use crate::output::{OutputArgs, Report, Table, left, right};

/// Flags of `group list`.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// Only groups whose id contains this
    filter: Option<String>,
    /// Only groups in this state: stable, empty, dead, preparingrebalance, completingrebalance
    #[arg(long)]
    state: Option<String>,
    /// Only groups of this type: classic, consumer
    #[arg(long = "type", value_name = "TYPE")]
    kind: Option<String>,
    #[command(flatten)]
    output: OutputArgs,
}

/// Runs `group list`.
pub async fn run(context: &Context, args: ListArgs) -> Outcome {
    let mut groups = context.client.list_groups().await.map_err(Failure::from)?;
    let same =
        |wanted: &Option<String>, have: &str| wanted.as_ref().is_none_or(|w| w.eq_ignore_ascii_case(have));
    groups.retain(|group| {
        let named = args.filter.as_ref().is_none_or(|filter| group.id.contains(filter));
        named && same(&args.state, &group.state) && same(&args.kind, &group.kind)
    });
    let mut table = Table::new([
        left("GROUP"),
        left("STATE"),
        left("TYPE"),
        left("PROTOCOL").wide(),
        right("COORDINATOR"),
    ]);
    for group in &groups {
        table.row([
            group.id.as_str().into(),
            group.state.as_str().into(),
            group.kind.as_str().into(),
            group.protocol_type.as_str().into(),
            group.coordinator.into(),
        ]);
    }
    let rows: Vec<_> = groups
        .iter()
        .map(|group| {
            json!({
                "group": group.id, "state": group.state, "type": group.kind, "protocol_type": group.protocol_type,
                "coordinator": group.coordinator,
            })
        })
        .collect();
    let mut report = Report::new("group.list", json!({ "groups": rows })).table(table);
    if groups.is_empty() {
        report = report.note("No groups. `tidemark consume TOPIC -g GROUP` makes one.");
    }
    finish(&report, args.output)
}
