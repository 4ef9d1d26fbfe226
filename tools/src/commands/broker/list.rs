//! `tidemark broker list`.

use clap::Args;
use serde_json::json;

use crate::commands::cluster::status::{brokers_json, brokers_table};
use crate::commands::watch::WatchArgs;
use crate::commands::{Context, Outcome, finish};
use crate::exit::Failure;
use crate::output::{OutputArgs, Report};
use crate::survey::Survey;

/// Flags of `broker list`.
#[derive(Debug, Args)]
pub struct ListArgs {
    #[command(flatten)]
    watch: WatchArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// Runs `broker list`.
pub async fn run(context: &Context, args: ListArgs) -> Outcome {
    args.watch
        .run(async || {
            let survey = Survey::take(&context.client).await.map_err(Failure::from)?;
            let data = json!({ "brokers": brokers_json(&survey) });
            finish(&Report::new("broker.list", data).table(brokers_table(&survey)), args.output)
        })
        .await
}
