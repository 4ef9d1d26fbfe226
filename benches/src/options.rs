//! The command line of the load driver.

use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use serde::Serialize;
use tidemark_protocol::batch::Compression;

/// Loads any Kafka broker over raw protocol with prepared batches, and reports throughput, latency and what it cost.
#[derive(Clone, Debug, Parser)]
#[command(name = "load", version)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub mode: Mode,
}

/// What to do. The modes differ in their defaults: `--help` of each shows them.
#[derive(Clone, Debug, Subcommand)]
pub enum Mode {
    /// Produce batches of 16 KiB as fast as they are acknowledged, or at a rate.
    Produce(Options),
    /// Produce one 100-byte record per request.
    Small(Options),
    /// Produce, with five consumers at the tail that each read everything.
    Fetch(Options),
    /// Produce at a rate with one consumer; latency from the moment a batch was due to its arrival at the consumer.
    E2e(Options),
}

/// Settings of a run. Those left out take the default of the mode.
#[derive(Clone, Debug, Args)]
pub struct Options {
    /// Any broker of the cluster.
    #[arg(long, default_value = "127.0.0.1:9092")]
    pub bootstrap: String,
    /// Topic to create and, unless --keep, to delete at the end [default: a new name]
    #[arg(long)]
    pub topic: Option<String>,
    /// Partitions of the topic.
    #[arg(long, default_value_t = 1)]
    pub partitions: i32,
    /// Replicas of each partition.
    #[arg(long, default_value_t = 1)]
    pub replication_factor: i16,
    /// Config of the topic; may be given several times.
    #[arg(long = "topic-config", value_name = "KEY=VALUE", value_parser = key_value)]
    pub topic_configs: Vec<(String, String)>,
    /// Keep the topic.
    #[arg(long)]
    pub keep: bool,
    /// Bytes of each record's value [default: 1024; small: 100]
    #[arg(long)]
    pub record_bytes: Option<usize>,
    /// Bytes of a batch before compression; filled with whole records, at least one [default: 16384; small: one record]
    #[arg(long)]
    pub batch_bytes: Option<usize>,
    /// Codec of the batches.
    #[arg(long, value_enum, default_value_t = Codec::None)]
    pub codec: Codec,
    /// Acknowledgements: 0, 1 or all.
    #[arg(long, default_value = "all", value_parser = acks)]
    pub acks: i16,
    /// Produce as an idempotent producer.
    #[arg(long)]
    pub idempotent: bool,
    /// Producing connections.
    #[arg(long, default_value_t = 1)]
    pub connections: usize,
    /// Requests in flight on each connection [default: 5; small: 1]
    #[arg(long)]
    pub pipeline: Option<usize>,
    /// Records per second over all connections; 0 is as fast as they are acknowledged [default: 0; e2e: 1000]
    #[arg(long)]
    pub rate: Option<f64>,
    /// Consumers, each reading all partitions from the tail [default: 0; fetch: 5; e2e: 1]
    #[arg(long)]
    pub consumers: Option<usize>,
    /// Longest wait of a fetch for data, in milliseconds.
    #[arg(long, default_value_t = 500)]
    pub fetch_wait_ms: i32,
    /// Most bytes of a fetch.
    #[arg(long, default_value_t = 8 << 20)]
    pub fetch_bytes: i32,
    /// Seconds measured.
    #[arg(long, default_value_t = 10.0)]
    pub seconds: f64,
    /// Seconds of load before measuring.
    #[arg(long, default_value_t = 3.0)]
    pub warmup: f64,
    /// Process whose CPU and memory are read from /proc, on this machine; several are added up.
    #[arg(long)]
    pub pid: Vec<u32>,
    /// Print the report as JSON.
    #[arg(long)]
    pub json: bool,
}

/// Codecs by Kafka's names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "the names say it")]
pub enum Codec {
    #[default]
    None,
    Gzip,
    Snappy,
    Lz4,
    Zstd,
}

impl From<Codec> for Compression {
    fn from(codec: Codec) -> Compression {
        match codec {
            Codec::None => Compression::None,
            Codec::Gzip => Compression::Gzip,
            Codec::Snappy => Compression::Snappy,
            Codec::Lz4 => Compression::Lz4,
            Codec::Zstd => Compression::Zstd,
        }
    }
}

/// A run with every default filled in.
#[derive(Clone, Debug, Serialize)]
pub struct Plan {
    /// Name of the mode.
    pub mode: &'static str,
    /// Any broker of the cluster.
    pub bootstrap: String,
    /// Topic made for the run.
    pub topic: String,
    /// Its partitions.
    pub partitions: i32,
    /// Replicas of each.
    pub replication_factor: i16,
    /// Its configs.
    pub topic_configs: Vec<(String, String)>,
    /// Whether it stays.
    #[serde(skip)]
    pub keep: bool,
    /// Bytes of a value.
    pub record_bytes: usize,
    /// Bytes of a batch, before compression.
    pub batch_bytes: usize,
    /// Codec of the batches.
    pub codec: Codec,
    /// 0, 1, −1.
    pub acks: i16,
    /// Whether producers have ids and sequences.
    pub idempotent: bool,
    /// Producing connections.
    pub connections: usize,
    /// Requests in flight on each.
    pub pipeline: usize,
    /// Records per second over all; 0 is no limit.
    pub rate: f64,
    /// Consumers.
    pub consumers: usize,
    /// Longest wait of a fetch.
    pub fetch_wait_ms: i32,
    /// Most bytes of a fetch.
    pub fetch_bytes: i32,
    /// Time before measuring.
    #[serde(skip)]
    pub warmup: Duration,
    /// Time measured.
    #[serde(skip)]
    pub measured: Duration,
    /// The brokers' processes.
    pub pids: Vec<u32>,
    /// Whether to report as JSON.
    #[serde(skip)]
    pub json: bool,
}

impl Mode {
    /// Fills in the defaults of the mode. `unique` makes the topic's name one of its own.
    pub fn plan(self, unique: i64) -> Plan {
        let (mode, options, record_bytes, batch_bytes, pipeline, rate, consumers) = match self {
            Mode::Produce(options) => ("produce", options, 1024, 16_384, 5, 0.0, 0),
            Mode::Small(options) => ("small", options, 100, 0, 1, 0.0, 0),
            Mode::Fetch(options) => ("fetch", options, 1024, 16_384, 5, 0.0, 5),
            Mode::E2e(options) => ("e2e", options, 1024, 0, 100, 1000.0, 1),
        };
        Plan {
            mode,
            topic: options.topic.unwrap_or_else(|| format!("load-{mode}-{unique}")),
            bootstrap: options.bootstrap,
            partitions: options.partitions.max(1),
            replication_factor: options.replication_factor,
            topic_configs: options.topic_configs,
            keep: options.keep,
            record_bytes: options.record_bytes.unwrap_or(record_bytes),
            batch_bytes: options.batch_bytes.unwrap_or(batch_bytes),
            codec: options.codec,
            acks: options.acks,
            idempotent: options.idempotent,
            connections: options.connections.max(1),
            pipeline: options.pipeline.unwrap_or(pipeline).max(1),
            rate: options.rate.unwrap_or(rate).max(0.0),
            consumers: options.consumers.unwrap_or(consumers),
            fetch_wait_ms: options.fetch_wait_ms,
            fetch_bytes: options.fetch_bytes,
            warmup: Duration::from_secs_f64(options.warmup.max(0.0)),
            measured: Duration::from_secs_f64(options.seconds.max(0.1)),
            pids: options.pid,
            json: options.json,
        }
    }
}

fn key_value(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("expected KEY=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
}

fn acks(text: &str) -> Result<i16, String> {
    match text {
        "all" | "-1" => Ok(-1),
        "1" => Ok(1),
        "0" => Ok(0),
        _ => Err("expected 0, 1 or all".to_owned()),
    }
}
