//! `tidemark cluster elect-leaders`.

use clap::Args;
use serde_json::json;
use tidemark_protocol::error_code::ErrorCode;
use tidemark_protocol::types::TopicPartition;

use super::status::id_or_none;
use crate::client::cluster::PartitionOutcomes;
use crate::commands::{Context, Outcome, finish};
use crate::confirm::{ConsentArgs, Stake};
use crate::exit::{Exit, Failure};
use crate::output::{Cell, ItemError, OutputArgs, Report, Table, left, right};
use crate::survey::Survey;

/// Flags of `cluster elect-leaders`.
#[derive(Debug, Args)]
pub struct ElectArgs {
    /// Only partitions of this topic; repeatable
    #[arg(short, long = "topic", value_name = "TOPIC")]
    topics: Vec<String>,
    /// Let any replica lead a partition that has no leader, even one that lacks records: these are lost
    #[arg(long)]
    unclean: bool,
    #[command(flatten)]
    consent: ConsentArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// Runs `cluster elect-leaders`.
pub async fn run(context: &Context, args: ElectArgs) -> Outcome {
    let survey = Survey::of_metadata(&context.client).await.map_err(Failure::from)?;
    if let Some(unknown) = args.topics.iter().find(|topic| !survey.topics.contains_key(*topic)) {
        return Err(Failure::new(Exit::NotFound, format!("there is no topic {unknown:?} here")));
    }
    let asked = candidates(&survey, &args);
    if args.unclean && !args.consent.dry_run && !asked.is_empty() {
        let blast = format!(
            "An unclean election of {} partitions loses the records that the new leaders lack.",
            asked.len()
        );
        args.consent.obtain(&blast, Stake::Data("unclean"))?;
    }
    let outcomes = if args.consent.dry_run || asked.is_empty() {
        PartitionOutcomes::new()
    } else {
        context.client.elect_leaders(Some(&asked), args.unclean).await.map_err(Failure::from)?
    };
    let after = match outcomes.is_empty() {
        true => None,
        false => Some(context.client.metadata(None, false).await.map_err(Failure::from)?),
    };
    let mut table =
        Table::new([left("TOPIC"), right("PART"), right("LEADER"), right("AFTER"), left("RESULT")]);
    let (mut rows, mut errors) = (Vec::new(), Vec::new());
    for tp in &asked {
        let of = |topics: &std::collections::BTreeMap<String, crate::client::metadata::Topic>| {
            topics
                .get(&*tp.topic)
                .and_then(|topic| topic.partitions.get(&tp.partition))
                .map_or(-1, |p| p.leader)
        };
        let before = of(&survey.topics);
        let wanted = preferred(&survey, tp);
        let leader = after.as_ref().map_or(wanted, |metadata| of(&metadata.topics));
        let result = match outcomes.get(tp) {
            _ if args.consent.dry_run => "would be elected",
            Some(Err(error)) if error.code() != Some(ErrorCode::ElectionNotNeeded) => {
                errors.push(ItemError::of(format!("{}-{}", tp.topic, tp.partition), error));
                "failed"
            }
            _ => "elected",
        };
        table.row([
            (*tp.topic).into(),
            tp.partition.into(),
            Cell::of(id_or_none(before), before),
            Cell::of(id_or_none(leader), leader),
            result.into(),
        ]);
        rows.push(json!({
            "topic": &*tp.topic, "partition": tp.partition, "leader_before": before, "leader": leader, "result": result,
        }));
    }
    let data = json!({ "partitions": rows, "unclean": args.unclean, "dry_run": args.consent.dry_run });
    let mut report = Report::new("cluster.elect-leaders", data).errors(errors);
    report = match asked.is_empty() {
        true if args.unclean => report.note("Every partition has a leader."),
        true => report.note("Every partition is led by the replica it prefers, where that is in sync."),
        false => report.table(table),
    };
    finish(&report, args.output)
}

/// Partitions that an election would change: not led by the first replica though it is in sync, or by nobody.
fn candidates(survey: &Survey, args: &ElectArgs) -> Vec<TopicPartition> {
    let is_asked = |topic: &str| args.topics.is_empty() || args.topics.iter().any(|asked| asked == topic);
    let partitions = survey.partitions().filter(|(topic, _, partition)| {
        let first = partition.replicas.first().copied().unwrap_or(-1);
        let drained = survey.asked.get(&first).is_some_and(|asked| asked.drained);
        let is_needed = match args.unclean {
            true => partition.leader < 0,
            false => partition.leader != first && partition.isr.contains(&first) && !drained,
        };
        is_asked(topic) && is_needed
    });
    partitions.map(|(topic, index, _)| TopicPartition::new(topic, index)).collect()
}

fn preferred(survey: &Survey, tp: &TopicPartition) -> i32 {
    let topic = survey.topics.get(&*tp.topic);
    let first = topic.and_then(|topic| topic.partitions.get(&tp.partition)?.replicas.first());
    first.copied().unwrap_or(-1)
}
