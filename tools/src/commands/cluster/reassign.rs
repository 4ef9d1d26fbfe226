//! `tidemark cluster reassign`: replicas move to other brokers, by a file in Kafka's form or by a wish.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::{Value, json};
use tidemark_protocol::types::{BrokerId, TopicPartition};

use crate::client::cluster::Reassignment;
use crate::commands::watch::WatchArgs;
use crate::commands::{Context, Outcome, finish};
use crate::confirm::{ConsentArgs, Stake};
use crate::exit::{Exit, Failure};
use crate::files;
use crate::output::{ItemError, OutputArgs, Report, Table, left, right};
use crate::plan::{self, Nodes, Placement, Wish};
use crate::survey::Survey;
use crate::units;

/// Partitions in one request: brokers decide them one after another.
const AT_ONCE: usize = 1000;
/// Between two looks while waiting.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum ReassignCommand {
    /// Show which replicas would move where; -o json gives a file for `run --file`
    Plan(PlanArgs),
    /// Move them
    Run(RunArgs),
    /// Show what is moving
    Status(StatusArgs),
    /// Call off what is moving: replicas return to where they were
    Cancel(CancelArgs),
}

/// Flags of `reassign plan`.
#[derive(Debug, Args)]
pub struct PlanArgs {
    #[command(flatten)]
    wish: WishArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// Flags of `reassign run`.
#[derive(Debug, Args)]
pub struct RunArgs {
    #[command(flatten)]
    wish: WishArgs,
    #[command(flatten)]
    how: HowArgs,
}

/// What shall be where.
#[derive(Debug, Args)]
struct WishArgs {
    /// Only this topic; repeatable
    #[arg(short, long = "topic", value_name = "TOPIC")]
    topics: Vec<String>,
    /// Brokers that shall hold all replicas, with commas between
    #[arg(long, value_name = "IDS", value_delimiter = ',')]
    to: Vec<BrokerId>,
    /// Brokers that shall hold none, with commas between
    #[arg(long, value_name = "IDS", value_delimiter = ',')]
    off: Vec<BrokerId>,
    /// Replicas that each partition shall have
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    replicas: Option<u16>,
    /// A plan in the form of Kafka's kafka-reassign-partitions.sh, or of `plan -o json`
    #[arg(long, value_name = "FILE", conflicts_with_all = ["topics", "to", "off", "replicas"])]
    file: Option<PathBuf>,
}

/// How a plan is carried out.
#[derive(Debug, Args)]
pub struct HowArgs {
    /// Wait until all replicas are in sync, for so long at most [default: 1h]
    #[arg(long, value_name = "TIME", num_args = 0..=1, require_equals = true, default_missing_value = "1h", value_parser = units::duration)]
    wait: Option<Duration>,
    #[command(flatten)]
    consent: ConsentArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// Flags of `reassign status`.
#[derive(Debug, Args)]
pub struct StatusArgs {
    #[command(flatten)]
    watch: WatchArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// Flags of `reassign cancel`.
#[derive(Debug, Args)]
pub struct CancelArgs {
    /// Only this topic; repeatable
    #[arg(short, long = "topic", value_name = "TOPIC")]
    topics: Vec<String>,
    #[command(flatten)]
    consent: ConsentArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// Runs a verb.
pub async fn run(context: &Context, command: ReassignCommand) -> Outcome {
    match command {
        ReassignCommand::Plan(args) => {
            let survey = Survey::of_metadata(&context.client).await.map_err(Failure::from)?;
            let plan = wished(&survey, &args.wish)?;
            finish(&plan_report("cluster.reassign.plan", &survey, &plan), args.output)
        }
        ReassignCommand::Run(args) => {
            let survey = Survey::of_metadata(&context.client).await.map_err(Failure::from)?;
            let plan = wished(&survey, &args.wish)?;
            carry_out(context, "cluster.reassign.run", &survey, &plan, &args.how).await
        }
        ReassignCommand::Status(args) => status(context, "cluster.reassign.status", args).await,
        ReassignCommand::Cancel(args) => cancel(context, "cluster.reassign.cancel", args).await,
    }
}

/// Brokers that replicas can be put on: they serve and are not being emptied.
pub fn nodes_of(survey: &Survey) -> Nodes {
    let is_open = |id: &BrokerId| !survey.asked.get(id).is_some_and(|asked| asked.drained || asked.stopping);
    let serving = survey.brokers.values().filter(|broker| !broker.fenced && is_open(&broker.id));
    serving.map(|broker| (broker.id, broker.rack.clone())).collect()
}

/// Where the replicas of these topics are, or of all; those on their way off are gone already.
pub fn placement_of(survey: &Survey, topics: &[String]) -> Placement {
    let going: BTreeMap<(&str, i32), &Vec<BrokerId>> = survey
        .reassignments
        .iter()
        .map(|moving| ((moving.topic.as_str(), moving.partition), &moving.removing))
        .collect();
    let asked =
        survey.partitions().filter(|(topic, _, _)| topics.is_empty() || topics.iter().any(|t| t == topic));
    asked
        .map(|(topic, index, partition)| {
            let gone = going.get(&(topic, index));
            let stays = |id: &&BrokerId| gone.is_none_or(|gone| !gone.contains(id));
            (TopicPartition::new(topic, index), partition.replicas.iter().filter(stays).copied().collect())
        })
        .collect()
}

/// Fails where a topic does not exist.
pub fn check_topics(survey: &Survey, topics: &[String]) -> Result<(), Failure> {
    match topics.iter().find(|topic| !survey.topics.contains_key(*topic)) {
        Some(unknown) => Err(Failure::new(Exit::NotFound, format!("there is no topic {unknown:?} here"))),
        None => Ok(()),
    }
}

fn wished(survey: &Survey, args: &WishArgs) -> Result<Placement, Failure> {
    if let Some(file) = &args.file {
        return read_plan(&files::read_text(file)?)
            .map_err(|why| Failure::usage(format!("{}: {why}", file.display())));
    }
    check_topics(survey, &args.topics)?;
    if let Some(unknown) = args.to.iter().chain(&args.off).find(|id| !survey.knows(**id)) {
        return Err(Failure::new(Exit::NotFound, format!("there is no broker {unknown} here")));
    }
    let wish = Wish {
        to: args.to.iter().copied().collect(),
        off: args.off.iter().copied().collect(),
        replicas: args.replicas.map(usize::from),
    };
    if wish.to.is_empty() && wish.off.is_empty() && wish.replicas.is_none() {
        return Err(Failure::usage("say what shall be where").hint(
            "--off 3 empties broker 3, --to 1,2,4 moves to these, --replicas 3 changes their number, --file reads a plan; \
             `cluster balance` evens all out.",
        ));
    }
    plan::towards(&nodes_of(survey), &placement_of(survey, &args.topics), &wish)
        .map_err(|error| Failure::new(Exit::Conflict, error.to_string()))
}

/// `{"version":1,"partitions":[{"topic":"t","partition":0,"replicas":[1,2]}]}`, or our own report of such a plan.
fn read_plan(text: &str) -> Result<Placement, String> {
    let value: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let partitions = value["partitions"].as_array().or_else(|| value["data"]["partitions"].as_array());
    let entry = |entry: &Value| {
        let topic = entry["topic"].as_str()?;
        let partition = i32::try_from(entry["partition"].as_i64()?).ok()?;
        let ids =
            entry["replicas"].as_array()?.iter().map(|id| id.as_i64().and_then(|id| id.try_into().ok()));
        Some((TopicPartition::new(topic, partition), ids.collect::<Option<Vec<BrokerId>>>()?))
    };
    let all = partitions.ok_or("it has no list \"partitions\"")?;
    all.iter()
        .map(|value| {
            entry(value).ok_or_else(|| format!("{value} does not give topic, partition and replicas"))
        })
        .collect()
}

/// A plan as a table, and as JSON that `run --file` takes.
pub fn plan_report(kind: &'static str, survey: &Survey, plan: &Placement) -> Report {
    let mut table =
        Table::new([left("TOPIC"), right("PART"), left("REPLICAS"), left("AFTER"), right("COPIES")]);
    let mut rows = Vec::new();
    let mut copies = 0;
    for (tp, target) in plan {
        let now = replicas_of(survey, tp);
        let new = target.iter().filter(|id| !now.contains(id)).count();
        copies += new;
        table.row([
            (*tp.topic).into(),
            tp.partition.into(),
            ids(&now).into(),
            ids(target).into(),
            new.into(),
        ]);
        rows.push(json!({ "topic": &*tp.topic, "partition": tp.partition, "replicas": target, "replicas_before": now }));
    }
    let report = Report::new(kind, json!({ "version": 1, "partitions": rows, "copies": copies }));
    match plan.is_empty() {
        true => report.note("Nothing would move."),
        false => report
            .table(table)
            .note(format!("{} partitions change, {copies} replicas are copied.", plan.len())),
    }
}

/// Begins the moves of a plan, and waits for them if asked.
pub async fn carry_out(
    context: &Context,
    kind: &'static str,
    survey: &Survey,
    plan: &Placement,
    how: &HowArgs,
) -> Outcome {
    let mut report = plan_report(kind, survey, plan);
    if how.consent.dry_run {
        return finish(&report.note("Dry run: nothing was changed."), how.output);
    }
    if plan.is_empty() {
        return finish(&report, how.output);
    }
    let blast =
        format!("This changes the replicas of {} partitions and copies data between brokers.", plan.len());
    how.consent.obtain(&blast, Stake::Other)?;
    let targets = plan.iter().map(|(tp, target)| (tp.clone(), Some(target.clone()))).collect();
    report = report.errors(begin(context, &targets).await?);
    if let Some(patience) = how.wait {
        wait(context, plan, patience).await?;
        report = report.note("All replicas are in sync.");
    } else {
        report = report.note("Begun. `tidemark cluster reassign status` shows how far it is.");
    }
    finish(&report, how.output)
}

async fn begin(
    context: &Context,
    targets: &BTreeMap<TopicPartition, Option<Vec<BrokerId>>>,
) -> Result<Vec<ItemError>, Failure> {
    let mut errors = Vec::new();
    let all: Vec<_> = targets.iter().collect();
    for some in all.chunks(AT_ONCE) {
        let some = some.iter().map(|(tp, target)| ((*tp).clone(), (*target).clone())).collect();
        let outcomes = context.client.reassign(&some).await.map_err(Failure::from)?;
        for (tp, outcome) in outcomes {
            if let Err(error) = outcome {
                errors.push(ItemError::of(format!("{}-{}", tp.topic, tp.partition), &error));
            }
        }
    }
    Ok(errors)
}

async fn wait(context: &Context, plan: &Placement, patience: Duration) -> Result<(), Failure> {
    let deadline = tokio::time::Instant::now() + patience;
    let names: BTreeSet<(&str, i32)> = plan.keys().map(|tp| (&*tp.topic, tp.partition)).collect();
    loop {
        let moving = context.client.reassignments().await.map_err(Failure::from)?;
        let left =
            moving.iter().filter(|moving| names.contains(&(moving.topic.as_str(), moving.partition))).count();
        if left == 0 {
            return Ok(());
        }
        if tokio::time::Instant::now() + LOOK_EVERY >= deadline {
            let message =
                format!("{left} partitions were still moving after {}", units::duration_text(patience));
            return Err(Failure::new(Exit::TimedOut, message).hint("They go on moving."));
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// What is moving.
pub async fn status(context: &Context, kind: &'static str, args: StatusArgs) -> Outcome {
    args.watch
        .run(async || {
            let moving = context.client.reassignments().await.map_err(Failure::from)?;
            finish(&moving_report(kind, &moving), args.output)
        })
        .await
}

fn moving_report(kind: &'static str, moving: &[Reassignment]) -> Report {
    let mut table =
        Table::new([left("TOPIC"), right("PART"), left("REPLICAS"), left("ADDING"), left("REMOVING")]);
    for moving in moving {
        let Reassignment { topic, partition, replicas, adding, removing } = moving;
        table.row([
            topic.into(),
            partition.into(),
            ids(replicas).into(),
            ids(adding).into(),
            ids(removing).into(),
        ]);
    }
    let report = Report::new(kind, json!({ "partitions": moving }));
    if moving.is_empty() { report.note("Nothing is moving.") } else { report.table(table) }
}

/// Calls off what is moving.
pub async fn cancel(context: &Context, kind: &'static str, args: CancelArgs) -> Outcome {
    let mut moving = context.client.reassignments().await.map_err(Failure::from)?;
    moving.retain(|moving| args.topics.is_empty() || args.topics.contains(&moving.topic));
    let mut report = moving_report(kind, &moving);
    if args.consent.dry_run {
        return finish(&report.note("Dry run: nothing was changed."), args.output);
    }
    if !moving.is_empty() {
        args.consent
            .obtain(&format!("This calls off the moves of {} partitions.", moving.len()), Stake::Other)?;
        let targets =
            moving.iter().map(|moving| (TopicPartition::new(&*moving.topic, moving.partition), None));
        let errors = begin(context, &targets.collect()).await?;
        report = report.note(format!("{} moves called off.", moving.len() - errors.len())).errors(errors);
    }
    finish(&report, args.output)
}

fn replicas_of(survey: &Survey, tp: &TopicPartition) -> Vec<BrokerId> {
    let topic = survey.topics.get(&*tp.topic);
    topic
        .and_then(|topic| topic.partitions.get(&tp.partition))
        .map(|p| p.replicas.clone())
        .unwrap_or_default()
}

/// `1,2,3`; `-` for none.
pub fn ids(brokers: &[BrokerId]) -> String {
    match brokers {
        [] => "-".to_owned(),
        some => some.iter().map(ToString::to_string).collect::<Vec<_>>().join(","),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plans_are_read_in_kafkas_form_and_in_our_own() {
        let kafka = r#"{"version":1,"partitions":[{"topic":"t","partition":1,"replicas":[2,3],"log_dirs":["any","any"]}]}"#;
        let plan = read_plan(kafka).expect("a plan");
        assert_eq!(plan, Placement::from([(TopicPartition::new("t", 1), vec![2, 3])]));
        let ours = format!(r#"{{"kind":"tidemark.cluster.reassign.plan/v1","data":{kafka},"errors":[]}}"#);
        assert_eq!(read_plan(&ours), Ok(plan));
        assert!(read_plan("{}").is_err());
        assert!(read_plan(r#"{"partitions":[{"topic":"t","partition":1}]}"#).is_err());
    }
}
