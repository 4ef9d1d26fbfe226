//! `tidemark broker can-restart`: whether a broker can stop for a while without clients noticing.

use clap::Args;
use serde_json::json;
use tidemark_protocol::types::BrokerId;

use super::unknown;
use crate::commands::{Context, Outcome, finish};
use crate::exit::{Exit, Failure};
use crate::output::{ItemError, OutputArgs, Report};
use crate::survey::{Survey, some_of};

/// Flags of `broker can-restart`.
#[derive(Debug, Args)]
pub struct CanRestartArgs {
    /// Id of the broker
    broker: BrokerId,
    #[command(flatten)]
    output: OutputArgs,
}

/// Runs `broker can-restart`.
pub async fn run(context: &Context, args: CanRestartArgs) -> Outcome {
    let survey = Survey::take(&context.client).await.map_err(Failure::from)?;
    let id = args.broker;
    if !survey.knows(id) {
        return Err(unknown(id));
    }
    let reasons = reasons(&survey, id);
    let data = json!({ "broker": id, "can_restart": reasons.is_empty(), "reasons": reasons });
    let error =
        |why: &String| ItemError::local(format!("broker {id}"), "UNSAFE_RESTART", why, Exit::Conflict);
    let mut report = Report::new("broker.can-restart", data).errors(reasons.iter().map(error).collect());
    if reasons.is_empty() {
        report = report
            .note(format!("broker {id} can be restarted: its partitions and the quorum go on without it"));
    }
    finish(&report, args.output)
}

/// What clients would notice, one reason each.
fn reasons(survey: &Survey, id: BrokerId) -> Vec<String> {
    let others_in_sync =
        |isr: &[BrokerId]| isr.iter().filter(|member| **member != id && !survey.is_silent(**member)).count();
    let leaderless =
        survey.named(|_, partition| partition.isr.contains(&id) && others_in_sync(&partition.isr) == 0);
    let too_small = survey.named(|topic, partition| {
        let left = others_in_sync(&partition.isr);
        partition.isr.contains(&id) && left > 0 && left < survey.min_isr_of(topic, partition)
    });
    let mut reasons = Vec::new();
    if !leaderless.is_empty() {
        reasons.push(format!(
            "{} would have no leader, since no other replica is in sync: {}",
            counted(leaderless.len()),
            some_of(&leaderless)
        ));
    }
    if !too_small.is_empty() {
        reasons.push(format!(
            "{} would refuse writes with acks=all, being below min.insync.replicas: {}",
            counted(too_small.len()),
            some_of(&too_small)
        ));
    }
    reasons.extend(quorum_reason(survey, id));
    reasons
}

fn quorum_reason(survey: &Survey, id: BrokerId) -> Option<String> {
    let quorum = match &survey.quorum {
        Ok(quorum) => quorum,
        Err(error) => return Some(format!("the metadata quorum cannot be looked at: {error}")),
    };
    if !quorum.voters.iter().any(|voter| voter.id == id) {
        return None;
    }
    let others =
        quorum.voters.iter().filter(|voter| voter.id != id && survey.votes_now(quorum, voter)).count();
    let majority = quorum.voters.len() / 2 + 1;
    (others < majority).then(|| {
        format!(
            "the metadata quorum would lose its majority: {others} of {} voters would be left, {majority} are needed",
            quorum.voters.len()
        )
    })
}

fn counted(partitions: usize) -> String {
    if partitions == 1 { "1 partition".to_owned() } else { format!("{partitions} partitions") }
}
