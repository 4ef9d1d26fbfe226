//! `tidemark group delete`.

use clap::Args;
use serde_json::json;

use crate::client::error::ClientError;
use crate::commands::{Context, Outcome, finish};
use crate::confirm::{ConsentArgs, Stake};
use crate::output::{ItemError, OutputArgs, Report, Table, left, right};

/// Flags of `group delete`.
#[derive(Debug, Args)]
pub struct DeleteArgs {
    /// Ids of the groups
    #[arg(required = true)]
    groups: Vec<String>,
    #[command(flatten)]
    consent: ConsentArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// Runs `group delete`.
pub async fn run(context: &Context, args: DeleteArgs) -> Outcome {
    let mut table = Table::new([left("GROUP"), right("OFFSETS"), left("RESULT")]);
    let (mut rows, mut errors) = (Vec::new(), Vec::new());
    for id in &args.groups {
        let deleted = match context.client.committed(id).await {
            Ok(offsets) if args.consent.dry_run => Ok(offsets.len()),
            Ok(offsets) => {
                let blast = format!(
                    "This deletes group {id} with the committed offsets of {} partitions; its consumers start over.",
                    offsets.len()
                );
                args.consent.obtain(&blast, Stake::Other)?;
                context.client.delete_group(id).await.map(|()| offsets.len())
            }
            Err(error) => Err(error),
        };
        match deleted {
            Ok(offsets) => {
                let result = if args.consent.dry_run { "would be deleted" } else { "deleted" };
                table.row([id.as_str().into(), offsets.into(), result.into()]);
                rows.push(json!({ "group": id, "offsets": offsets, "deleted": !args.consent.dry_run }));
            }
            Err(error @ ClientError::Unreachable { .. }) => return Err(error.into()),
            Err(error) => errors.push(ItemError::of(format!("group {id}"), &error)),
        }
    }
    let mut report = Report::new("group.delete", json!({ "groups": rows, "dry_run": args.consent.dry_run }));
    if !rows.is_empty() {
        report = report.table(table);
    }
    if args.consent.dry_run {
        report = report.note("Dry run: nothing was deleted.");
    }
    finish(&report.errors(errors), args.output)
}
