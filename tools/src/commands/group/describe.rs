//! `tidemark group describe`.

use std::collections::BTreeMap;

use clap::Args;
use serde_json::{Value, json};
use tidemark_protocol::error_code::ErrorCode;
use tidemark_protocol::types::{Offset, TopicPartition};

use crate::client::error::ClientError;
use crate::client::groups::{GroupDescription, Member};
use crate::client::offsets::LATEST;
use crate::commands::{Context, Outcome, finish};
use crate::exit::Failure;
use crate::output::{Cell, ItemError, OutputArgs, Report, Table, left, right};
use crate::units;

/// Flags of `group describe`.
#[derive(Debug, Args)]
pub struct DescribeArgs {
    /// Ids of the groups
    #[arg(required = true)]
    groups: Vec<String>,
    /// Also the members
    #[arg(long)]
    members: bool,
    /// Only partitions with lag
    #[arg(long)]
    lagging: bool,
    #[command(flatten)]
    output: OutputArgs,
}

struct Described {
    id: String,
    group: GroupDescription,
    offsets: Vec<Row>,
}

struct Row {
    tp: TopicPartition,
    committed: Option<Offset>,
    end: Option<Offset>,
    member: Option<Member>,
}

impl Row {
    /// Records to go; unknown without a commit or without an end, as for a deleted topic.
    fn lag(&self) -> Option<i64> {
        Some((self.end? - self.committed?).max(0))
    }
}

/// Runs `group describe`.
pub async fn run(context: &Context, args: DescribeArgs) -> Outcome {
    let mut tables = Vec::new();
    let (mut rows, mut errors) = (Vec::new(), Vec::new());
    for id in &args.groups {
        match describe(context, id).await {
            Ok(mut described) => {
                described.offsets.retain(|row| !args.lagging || row.lag().is_some_and(|lag| lag > 0));
                tables.extend(described.tables(args.members));
                rows.push(described.json());
            }
            Err(error @ ClientError::Unreachable { .. }) => return Err(error.into()),
            Err(error) if args.groups.len() == 1 => return Err(Failure::from(error)),
            Err(error) => errors.push(ItemError::of(format!("group {id}"), &error)),
        }
    }
    let report = Report::new("group.describe", json!({ "groups": rows })).errors(errors);
    finish(&tables.into_iter().fold(report, Report::table), args.output)
}

async fn describe(context: &Context, id: &str) -> Result<Described, ClientError> {
    let client = &context.client;
    let group = client.describe_group(id).await?;
    let committed = client.committed(id).await?;
    if group.state == "Dead" && committed.is_empty() {
        let message = format!("there is no group {id:?} here");
        return Err(ClientError::Kafka { code: ErrorCode::GroupIdNotFound, message });
    }
    let mut members: BTreeMap<TopicPartition, Member> = BTreeMap::new();
    for member in &group.members {
        members.extend(member.partitions.iter().map(|tp| (tp.clone(), member.clone())));
    }
    let partitions: Vec<TopicPartition> = committed.keys().chain(members.keys()).cloned().collect();
    let ends = ends(context, partitions.clone()).await?;
    let mut partitions = partitions;
    partitions.sort();
    partitions.dedup();
    let offsets = partitions.into_iter().map(|tp| Row {
        committed: committed.get(&tp).copied(),
        end: ends.get(&tp).copied().flatten(),
        member: members.get(&tp).cloned(),
        tp,
    });
    Ok(Described { id: id.to_owned(), group, offsets: offsets.collect() })
}

/// Ends of those partitions that still exist.
async fn ends(
    context: &Context,
    mut partitions: Vec<TopicPartition>,
) -> Result<BTreeMap<TopicPartition, Option<Offset>>, ClientError> {
    let mut names: Vec<String> = partitions.iter().map(|tp| tp.topic.to_string()).collect();
    names.sort();
    names.dedup();
    let metadata = context.client.metadata(Some(&names), false).await?;
    partitions.retain(|tp| {
        let known = metadata.topics.get(&*tp.topic).and_then(|topic| topic.partitions.get(&tp.partition));
        known.is_some_and(|partition| partition.leader >= 0)
    });
    context.client.offsets_at(&partitions, LATEST, false).await
}

impl Described {
    fn tables(&self, members: bool) -> Vec<Table> {
        let lag: i64 = self.offsets.iter().filter_map(Row::lag).sum();
        let mut summary = Table::new([
            left("GROUP"),
            left("STATE"),
            left("PROTOCOL"),
            left("ASSIGNOR"),
            right("MEMBERS"),
            right("LAG"),
        ]);
        summary.row([
            self.id.as_str().into(),
            self.group.state.as_str().into(),
            self.group.protocol_type.as_str().into(),
            self.group.protocol.as_str().into(),
            self.group.members.len().into(),
            Cell::of(units::count(lag), lag),
        ]);
        let mut tables = vec![summary, self.offsets_table()];
        if members {
            tables.push(self.members_table());
        }
        tables
    }

    fn offsets_table(&self) -> Table {
        let mut table = Table::new([
            left("TOPIC"),
            right("PART"),
            right("COMMITTED"),
            right("END"),
            right("LAG"),
            left("CLIENT"),
            left("MEMBER").wide(),
        ]);
        let number = |number: Option<i64>| number.map_or_else(|| Cell::of("-", ""), Cell::from);
        for row in &self.offsets {
            table.row([
                row.tp.topic.as_ref().into(),
                row.tp.partition.into(),
                number(row.committed),
                number(row.end),
                row.lag().map_or_else(|| Cell::of("-", ""), |lag| Cell::of(units::count(lag), lag)),
                row.member
                    .as_ref()
                    .map_or_else(|| Cell::of("-", ""), |m| format!("{} {}", m.client_id, m.host).into()),
                row.member.as_ref().map_or_else(|| Cell::of("-", ""), |m| m.id.as_str().into()),
            ]);
        }
        table
    }

    fn members_table(&self) -> Table {
        let mut table =
            Table::new([left("MEMBER"), left("INSTANCE"), left("CLIENT"), left("HOST"), right("PARTITIONS")]);
        for member in &self.group.members {
            table.row([
                member.id.as_str().into(),
                member.instance_id.as_deref().unwrap_or("-").into(),
                member.client_id.as_str().into(),
                member.host.as_str().into(),
                member.partitions.len().into(),
            ]);
        }
        table
    }

    fn json(&self) -> Value {
        let offsets = self.offsets.iter().map(|row| {
            json!({
                "topic": *row.tp.topic, "partition": row.tp.partition, "committed_offset": row.committed,
                "log_end_offset": row.end, "lag": row.lag(), "member": row.member.as_ref().map(|m| &m.id),
            })
        });
        let members = self.group.members.iter().map(|member| {
            json!({
                "member": member.id, "instance_id": member.instance_id, "client_id": member.client_id,
                "host": member.host,
                "partitions": member.partitions.iter().map(ToString::to_string).collect::<Vec<_>>(),
            })
        });
        json!({
            "group": self.id, "state": self.group.state, "protocol_type": self.group.protocol_type,
            "assignor": self.group.protocol, "lag": self.offsets.iter().filter_map(Row::lag).sum::<i64>(),
            "offsets": offsets.collect::<Value>(), "members": members.collect::<Value>(),
        })
    }
}
