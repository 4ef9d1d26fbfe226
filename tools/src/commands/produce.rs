//! `tidemark produce`: records from standard input or a file into a topic.

mod reader;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use clap::Args;
use serde_json::json;
use tidemark_protocol::batch::Compression;
use tidemark_protocol::types::PartitionIndex;
use tokio::sync::mpsc;

use super::{Context, Outcome, finish};
use crate::client::admin::NewTopic;
use crate::client::error::ClientError;
use crate::client::produce::{OutRecord, Placed, Producer, ProducerOptions};
use crate::exit::{Exit, Failure};
use crate::format::input::InputFormat;
use crate::output::{OutputArgs, Report, Table, left, right};
use crate::units;

/// Bytes of records in one request: below Kafka's default message.max.bytes with room for the headers.
const REQUEST_BYTES_MAX: usize = 900 << 10;
/// Records in one request: their bookkeeping stays small.
const REQUEST_RECORDS_MAX: usize = 20_000;
/// With --rate, requests leave so often: smooth, and not one request a record.
const RATE_TICKS_PER_SECOND: usize = 20;

/// Flags of `produce`.
#[derive(Debug, Args)]
pub struct ProduceArgs {
    /// Topic to write to
    topic: String,
    /// Key of every record
    #[arg(short, long)]
    key: Option<String>,
    /// Header of every record, repeatable
    #[arg(short = 'H', long = "header", value_name = "KEY=VALUE", value_parser = units::key_value)]
    headers: Vec<(String, String)>,
    /// Partition of every record; by default the key decides
    #[arg(short, long, value_name = "P", value_parser = clap::value_parser!(i32).range(0..))]
    partition: Option<PartitionIndex>,
    /// How records are read: json (one object a line), raw (all input is one value), or a format of
    /// %k key, %v value, %h headers, %p partition, %T timestamp with delimiters between
    #[arg(short, long, default_value = "%v\\n", value_name = "FORMAT", value_parser = InputFormat::parse)]
    format: InputFormat,
    /// Read from this file instead of standard input
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Compression of the batches
    #[arg(short = 'z', long, default_value = "none", value_name = "CODEC", value_parser = codec)]
    compression: Compression,
    /// Who must have a record before it counts as written: all, 1 or 0
    #[arg(long, default_value = "all", value_parser = acks, value_name = "all|1|0", allow_hyphen_values = true)]
    acks: i16,
    /// Write at most so many records a second
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    rate: Option<u32>,
    /// An empty value is null: a tombstone in a compacted topic
    #[arg(short = 'Z', long)]
    null: bool,
    /// Create the topic with the broker's defaults when it does not exist
    #[arg(long)]
    create: bool,
    #[command(flatten)]
    output: OutputArgs,
}

/// Runs `produce`.
pub async fn run(context: &Context, args: ProduceArgs) -> Outcome {
    if args.create {
        create(context, &args.topic).await?;
    }
    let options = ProducerOptions { acks: args.acks, compression: args.compression };
    let opened = Producer::open(&context.client, &args.topic, true, options).await;
    let mut producer = opened.map_err(|error| no_topic(error, &args.topic))?;
    if let Some(partition) = args.partition
        && usize::try_from(partition).is_ok_and(|index| index >= producer.partitions())
    {
        let message =
            format!("topic {} has {} partitions, there is no {partition}", args.topic, producer.partitions());
        return Err(Failure::new(Exit::NotFound, message));
    }
    let mut records = reader::start(&args)?;
    let mut tally = Tally::default();
    let mut failure = None;
    let sent = send_all(context, &args, &mut producer, &mut records, &mut tally).await;
    if let Err(error) = sent {
        failure = Some(error);
    }
    let report = tally.report(&args.topic);
    match failure {
        None => finish(&report, args.output),
        Some(failure) => {
            if tally.records > 0 {
                finish(&report, args.output)?;
            }
            Err(failure)
        }
    }
}

async fn send_all(
    context: &Context,
    args: &ProduceArgs,
    producer: &mut Producer<'_>,
    records: &mut mpsc::Receiver<Result<Vec<OutRecord>, String>>,
    tally: &mut Tally,
) -> Result<(), Failure> {
    let per_request =
        args.rate.map_or(REQUEST_RECORDS_MAX, |rate| (rate as usize / RATE_TICKS_PER_SECOND).max(1));
    let mut ticks = args
        .rate
        .map(|rate| tokio::time::interval(Duration::from_secs_f64(per_request as f64 / f64::from(rate))));
    while let Some(chunk) = records.recv().await {
        let chunk =
            chunk.map_err(|message| Failure::usage(format!("record {}: {message}", tally.read + 1)))?;
        tally.read += chunk.len();
        for part in requests(&chunk, per_request) {
            if let Some(ticks) = &mut ticks {
                ticks.tick().await;
            }
            let placed = producer.send(part, context.now_ms()).await.map_err(Failure::from)?;
            tally.add(part, &placed);
        }
    }
    Ok(())
}

/// Cuts records into requests by number and bytes.
fn requests(records: &[OutRecord], count_max: usize) -> Vec<&[OutRecord]> {
    let mut parts = Vec::new();
    let (mut start, mut bytes) = (0, 0);
    for (i, record) in records.iter().enumerate() {
        let size = record.size();
        if i > start && (bytes + size > REQUEST_BYTES_MAX || i - start >= count_max) {
            parts.push(&records[start..i]);
            (start, bytes) = (i, 0);
        }
        bytes += size;
    }
    if start < records.len() {
        parts.push(&records[start..]);
    }
    parts
}

/// What was written where.
#[derive(Default)]
struct Tally {
    read: usize,
    records: usize,
    bytes: usize,
    /// Records, first offset, last offset.
    partitions: BTreeMap<PartitionIndex, (i64, Option<i64>, Option<i64>)>,
}

impl Tally {
    fn add(&mut self, records: &[OutRecord], placed: &[Placed]) {
        self.records += records.len();
        let value = |record: &OutRecord| record.value.as_ref().map_or(0, Bytes::len);
        self.bytes += records.iter().map(|r| value(r) + r.key.as_ref().map_or(0, Bytes::len)).sum::<usize>();
        for batch in placed {
            let entry = self.partitions.entry(batch.partition).or_insert((0, batch.base_offset, None));
            entry.0 += i64::from(batch.records);
            entry.2 = batch.base_offset.map(|base| base + i64::from(batch.records) - 1);
        }
    }

    fn report(&self, topic: &str) -> Report {
        let mut table =
            Table::new([left("TOPIC"), right("PART"), right("RECORDS"), right("FIRST"), right("LAST")]);
        let offset = |offset: Option<i64>| offset.map_or_else(|| "-".to_owned(), |offset| offset.to_string());
        for (partition, (records, first, last)) in &self.partitions {
            table.row([
                topic.into(),
                (*partition).into(),
                (*records).into(),
                offset(*first).into(),
                offset(*last).into(),
            ]);
        }
        let row = |(partition, (records, first, last)): (
            &PartitionIndex,
            &(i64, Option<i64>, Option<i64>),
        )| {
            json!({ "partition": partition, "records": records, "first_offset": first, "last_offset": last })
        };
        let partitions: Vec<_> = self.partitions.iter().map(row).collect();
        let data =
            json!({ "topic": topic, "records": self.records, "bytes": self.bytes, "partitions": partitions });
        Report::new("produce", data).table(table)
    }
}

async fn create(context: &Context, topic: &str) -> Result<(), Failure> {
    let new = NewTopic { name: topic.to_owned(), partitions: -1, replication: -1, configs: BTreeMap::new() };
    match context.client.create_topic(&new, false).await {
        Ok(created) => eprintln!("created topic {topic} with {} partitions", created.partitions),
        Err(error) if error.code() == Some(tidemark_protocol::error_code::ErrorCode::TopicAlreadyExists) => {}
        Err(error) => return Err(Failure::from(error).while_doing(&format!("cannot create topic {topic}"))),
    }
    Ok(())
}

fn no_topic(error: ClientError, topic: &str) -> Failure {
    let missing = error.code() == Some(tidemark_protocol::error_code::ErrorCode::UnknownTopicOrPartition);
    let failure = Failure::from(error);
    if missing {
        failure.hint(format!("Create it: tidemark topic create {topic}, or produce with --create."))
    } else {
        failure
    }
}

fn codec(text: &str) -> Result<Compression, String> {
    Ok(match text {
        "none" | "uncompressed" => Compression::None,
        "gzip" => Compression::Gzip,
        "snappy" => Compression::Snappy,
        "lz4" => Compression::Lz4,
        "zstd" => Compression::Zstd,
        _ => return Err("one of none, gzip, snappy, lz4, zstd".to_owned()),
    })
}

fn acks(text: &str) -> Result<i16, String> {
    match text {
        "all" | "-1" => Ok(-1),
        "1" => Ok(1),
        "0" => Ok(0),
        _ => Err("one of all, 1, 0".to_owned()),
    }
}
