//! `tidemark topic describe`.

use std::collections::BTreeMap;

use clap::{Args, ValueEnum};
use serde_json::{Value, json};
use tidemark_protocol::types::{Offset, TopicPartition, base64_uuid};

use crate::client::configs::ConfigEntry;
use crate::client::error::ClientError;
use crate::client::metadata::{Partition, Topic};
use crate::client::offsets::{EARLIEST, LATEST};
use crate::commands::{Context, Outcome, finish};
use crate::exit::Failure;
use crate::output::{Cell, Format, ItemError, OutputArgs, Report, Table, left, right};
use crate::units;

/// Flags of `topic describe`.
#[derive(Debug, Args)]
pub struct DescribeArgs {
    /// Names of the topics
    #[arg(required = true)]
    topics: Vec<String>,
    /// Parts to show, with commas between
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [Section::Summary, Section::Partitions, Section::Config])]
    section: Vec<Section>,
    /// All configs, not only those this topic sets itself
    #[arg(short, long)]
    all: bool,
    /// What each config does
    #[arg(long)]
    docs: bool,
    /// Only partitions without a leader
    #[arg(long)]
    offline: bool,
    /// Only partitions with replicas that are not in sync
    #[arg(long)]
    under_replicated: bool,
    #[command(flatten)]
    output: OutputArgs,
}

/// A part of the description.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Section {
    /// Name, id, counts
    Summary,
    /// Leaders, replicas, offsets
    Partitions,
    /// Configs
    Config,
}

/// One topic, with all that is shown of it.
struct Described {
    name: String,
    topic: Topic,
    starts: BTreeMap<TopicPartition, Option<Offset>>,
    ends: BTreeMap<TopicPartition, Option<Offset>>,
    sizes: BTreeMap<TopicPartition, i64>,
    configs: Vec<ConfigEntry>,
}

/// Runs `topic describe`.
pub async fn run(context: &Context, args: DescribeArgs) -> Outcome {
    let mut tables = Vec::new();
    let (mut rows, mut errors) = (Vec::new(), Vec::new());
    for name in &args.topics {
        let described = match describe(context, name, &args).await {
            Ok(described) => described,
            Err(error @ ClientError::Unreachable { .. }) => return Err(error.into()),
            Err(error) if args.topics.len() == 1 => return Err(Failure::from(error)),
            Err(error) => {
                errors.push(ItemError::of(format!("topic {name}"), &error));
                continue;
            }
        };
        tables.extend(described.tables(&args));
        rows.push(described.json(&args));
    }
    let mut report = Report::new("topic.describe", json!({ "topics": rows })).errors(errors);
    for table in tables {
        report = report.table(table);
    }
    finish(&report, args.output)
}

async fn describe(context: &Context, name: &str, args: &DescribeArgs) -> Result<Described, ClientError> {
    let client = &context.client;
    let wanted = [name.to_owned()];
    let mut metadata = client.metadata(Some(&wanted), false).await?;
    let unknown = || ClientError::Kafka {
        code: tidemark_protocol::error_code::ErrorCode::UnknownTopicOrPartition,
        message: format!("there is no topic {name:?} here"),
    };
    let topic = metadata.topics.remove(name).ok_or_else(unknown)?;
    match topic.error {
        Some(tidemark_protocol::error_code::ErrorCode::UnknownTopicOrPartition) => return Err(unknown()),
        Some(code) => return Err(ClientError::Kafka { code, message: String::new() }),
        None => {}
    }
    let led = topic.partitions.iter().filter(|(_, partition)| partition.leader >= 0);
    let led: Vec<TopicPartition> = led.map(|(index, _)| TopicPartition::new(name, *index)).collect();
    let mut sizes = client.sizes().await?;
    sizes.retain(|tp, _| *tp.topic == *name);
    Ok(Described {
        name: name.to_owned(),
        topic,
        starts: client.offsets_at(&led, EARLIEST, false).await?,
        ends: client.offsets_at(&led, LATEST, false).await?,
        sizes,
        configs: client.topic_configs(name, args.docs).await?,
    })
}

impl Described {
    fn tables(&self, args: &DescribeArgs) -> Vec<Table> {
        let mut tables = Vec::new();
        if args.section.contains(&Section::Summary) {
            tables.push(self.summary());
        }
        if args.section.contains(&Section::Partitions) {
            tables.push(self.partitions(args));
        }
        if args.section.contains(&Section::Config) {
            tables.push(self.configs(args));
        }
        tables
    }

    fn summary(&self) -> Table {
        let replicas =
            self.topic.partitions.values().map(|partition| partition.replicas.len()).max().unwrap_or(0);
        let mut table = Table::new([
            left("TOPIC"),
            left("ID"),
            right("PARTITIONS"),
            right("REPLICAS"),
            right("RECORDS"),
            right("SIZE"),
        ]);
        let records = self.topic.partitions.keys().map(|index| self.records(*index)).sum::<i64>();
        let size: i64 = self.sizes.values().sum();
        table.row([
            self.name.as_str().into(),
            base64_uuid(self.topic.id).into(),
            self.topic.partitions.len().into(),
            replicas.into(),
            Cell::of(units::count(records), records),
            Cell::of(units::bytes(size), size),
        ]);
        table
    }

    fn partitions(&self, args: &DescribeArgs) -> Table {
        let mut table = Table::new([
            right("PART"),
            right("LEADER"),
            right("EPOCH"),
            left("REPLICAS"),
            left("IN SYNC"),
            right("START"),
            right("END"),
            right("SIZE"),
        ]);
        for (index, partition) in self.shown(args) {
            let leader = if partition.leader < 0 { "none".to_owned() } else { partition.leader.to_string() };
            let size = self.size(*index);
            table.row([
                (*index).into(),
                Cell::of(leader, partition.leader),
                partition.leader_epoch.into(),
                ids(&partition.replicas).into(),
                ids(&partition.isr).into(),
                offset(&self.starts, &self.name, *index).map_or_else(|| "-".into(), Cell::from),
                offset(&self.ends, &self.name, *index).map_or_else(|| "-".into(), Cell::from),
                Cell::of(units::bytes(size), size),
            ]);
        }
        table
    }

    fn configs(&self, args: &DescribeArgs) -> Table {
        let mut columns = vec![left("CONFIG"), left("VALUE"), left("SOURCE")];
        if args.docs {
            columns.push(left("MEANING"));
        }
        let mut table = Table::new(columns);
        for config in self.shown_configs(args) {
            let value = config.value.as_deref().unwrap_or("(secret)");
            let mut row = vec![
                config.name.as_str().into(),
                Cell::of(units::config_shown(&config.name, value), value),
                config.source.into(),
            ];
            if args.docs {
                row.push(config.documentation.as_deref().unwrap_or("").replace('\n', " ").into());
            }
            table.row(row);
        }
        table
    }

    fn shown<'a>(&'a self, args: &'a DescribeArgs) -> impl Iterator<Item = (&'a i32, &'a Partition)> {
        self.topic.partitions.iter().filter(|(_, partition)| {
            let offline = partition.leader < 0;
            let under_replicated = partition.isr.len() < partition.replicas.len();
            let all = !args.offline && !args.under_replicated;
            all || (args.offline && offline) || (args.under_replicated && under_replicated)
        })
    }

    /// Configs that the topic sets itself, or all; what a human table leaves out, JSON does not.
    fn shown_configs<'a>(&'a self, args: &'a DescribeArgs) -> impl Iterator<Item = &'a ConfigEntry> {
        let all = args.all || args.docs || matches!(args.output.format(), Format::Json | Format::Jsonl);
        self.configs
            .iter()
            .filter(move |config| all || config.is_own() || ALWAYS_SHOWN.contains(&&*config.name))
    }

    fn json(&self, args: &DescribeArgs) -> Value {
        let partitions = self.shown(args).map(|(index, partition)| {
            json!({
                "partition": index, "leader": partition.leader, "leader_epoch": partition.leader_epoch,
                "replicas": partition.replicas, "isr": partition.isr,
                "log_start_offset": offset(&self.starts, &self.name, *index),
                "high_watermark": offset(&self.ends, &self.name, *index),
                "size_bytes": self.size(*index),
            })
        });
        let mut object = json!({
            "name": self.name, "id": base64_uuid(self.topic.id), "internal": self.topic.is_internal,
        });
        if args.section.contains(&Section::Partitions) {
            object["partitions"] = partitions.collect();
        }
        if args.section.contains(&Section::Config) {
            object["configs"] = json!(self.shown_configs(args).collect::<Vec<_>>());
        }
        object
    }

    fn records(&self, index: i32) -> i64 {
        match (offset(&self.starts, &self.name, index), offset(&self.ends, &self.name, index)) {
            (Some(start), Some(end)) => end - start,
            _ => 0,
        }
    }

    fn size(&self, index: i32) -> i64 {
        self.sizes.get(&TopicPartition::new(&*self.name, index)).copied().unwrap_or(0)
    }
}

/// What people look for first, even where it is inherited.
const ALWAYS_SHOWN: &[&str] = &["cleanup.policy", "retention.ms", "retention.bytes"];

fn offset(offsets: &BTreeMap<TopicPartition, Option<Offset>>, name: &str, index: i32) -> Option<Offset> {
    offsets.get(&TopicPartition::new(name, index)).copied().flatten()
}

fn ids(brokers: &[i32]) -> String {
    brokers.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}
