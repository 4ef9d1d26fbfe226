//! `tidemark cluster quorum`.

use clap::Args;
use serde_json::json;

use super::status::id_or_none;
use crate::client::cluster::QuorumMember;
use crate::commands::watch::WatchArgs;
use crate::commands::{Context, Outcome, finish};
use crate::exit::{Failure, exit_of};
use crate::output::{Cell, OutputArgs, Report, Table, left, right};
use crate::survey::Survey;
use crate::units;

/// Flags of `cluster quorum`.
#[derive(Debug, Args)]
pub struct QuorumArgs {
    #[command(flatten)]
    watch: WatchArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// Runs `cluster quorum`.
pub async fn run(context: &Context, args: QuorumArgs) -> Outcome {
    args.watch.run(async || once(context, &args).await).await
}

async fn once(context: &Context, args: &QuorumArgs) -> Outcome {
    let survey = Survey::of_metadata(&context.client).await.map_err(Failure::from)?;
    let now_ms = context.now_ms();
    let quorum = survey.quorum.as_ref().map_err(|error| Failure::new(exit_of(error), error.to_string()))?;
    let mut summary =
        Table::new([right("LEADER"), right("TERM"), right("COMMITTED"), right("VOTERS"), right("MAY LOSE")]);
    let alive = quorum.voters.iter().filter(|voter| survey.votes_now(quorum, voter)).count();
    let majority = quorum.voters.len() / 2 + 1;
    let spare = alive.saturating_sub(majority);
    summary.row([
        Cell::of(id_or_none(quorum.leader), quorum.leader),
        quorum.epoch.into(),
        quorum.high_watermark.into(),
        Cell::of(format!("{alive} of {}", quorum.voters.len()), quorum.voters.len()),
        spare.into(),
    ]);
    let mut members = Table::new([
        right("NODE"),
        left("ROLE"),
        left("STATE"),
        right("LOG END"),
        right("BEHIND"),
        right("LAST FETCH"),
        right("LAST CAUGHT UP"),
    ]);
    let end = quorum.voters.iter().map(|voter| voter.log_end_offset).max().unwrap_or(-1);
    let mut rows = Vec::new();
    let voters = quorum.voters.iter().map(|member| (member, "voter"));
    for (member, role) in voters.chain(quorum.observers.iter().map(|member| (member, "observer"))) {
        let role = if member.id == quorum.leader { "leader" } else { role };
        let state = if survey.votes_now(quorum, member) { "up" } else { "down" };
        let behind = (member.log_end_offset >= 0).then(|| (end - member.log_end_offset).max(0));
        members.row([
            member.id.into(),
            role.into(),
            state.into(),
            told(member.log_end_offset),
            behind.map_or_else(|| "-".into(), Cell::from),
            ago(now_ms, member.last_fetch_ms, role),
            ago(now_ms, member.last_caught_up_ms, role),
        ]);
        rows.push(row(member, role, state, behind));
    }
    let data = json!({
        "leader": quorum.leader, "term": quorum.epoch, "high_watermark": quorum.high_watermark,
        "voters_up": alive, "may_lose": spare, "members": rows,
    });
    finish(&Report::new("cluster.quorum", data).table(summary).table(members), args.output)
}

fn row(member: &QuorumMember, role: &str, state: &str, behind: Option<i64>) -> serde_json::Value {
    json!({
        "id": member.id, "role": role, "state": state, "log_end_offset": member.log_end_offset,
        "behind": behind, "last_fetch_ms": member.last_fetch_ms, "last_caught_up_ms": member.last_caught_up_ms,
    })
}

fn told(offset: i64) -> Cell {
    if offset < 0 { Cell::of("-", offset) } else { offset.into() }
}

/// The leader fetches from nobody and is never behind.
fn ago(now_ms: i64, at_ms: i64, role: &str) -> Cell {
    match at_ms {
        _ if role == "leader" => Cell::of("-", at_ms),
        ..0 => Cell::of("-", at_ms),
        at_ms => {
            Cell::of(format!("{} ago", units::duration_ms(((now_ms - at_ms) / 100 * 100).max(100))), at_ms)
        }
    }
}
