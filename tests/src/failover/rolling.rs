//! A rolling restart under load: each node is stopped in order and started again, and no client hears an error.
//!
//! librdkafka writes, reads in a group and commits in this process. Other clients are programs of their own: told where the
//! cluster is by `BOOTSTRAP` and the topic by `TOPIC`, they write and read until their input ends, then print one line
//! `errors N p99_ms M` and what went wrong before it.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::consumer::{CommitMode, Consumer, StreamConsumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use tokio::io::AsyncReadExt;
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::time::Instant;

use super::{Options, Stage, TOPIC};

/// Records between two commits of the reader.
const COMMIT_EVERY: u32 = 50;

/// How it went.
#[derive(Debug)]
pub struct Rolled {
    /// p50, p99 and longest of all writes.
    pub p50: Duration,
    /// See above.
    pub p99: Duration,
    /// See above.
    pub longest: Duration,
    /// Node by node.
    pub stops: Vec<Stopped>,
    /// What the other clients said.
    pub others: Vec<String>,
}

/// One node, stopped and started again.
#[derive(Debug)]
pub struct Stopped {
    /// Which.
    pub node: i32,
    /// How long stopping took.
    pub took: Duration,
    /// The slowest write while it stopped.
    pub while_stopping: Duration,
    /// The slowest write from then on until it was in sync again.
    pub while_starting: Duration,
}

/// Restarts all three nodes `rounds` times.
///
/// # Errors
/// The cluster does not come back; a client heard an error.
pub async fn roll(options: &Options, dir: &Path, programs: &[PathBuf]) -> Result<Rolled, String> {
    let mut stage = Stage::new(options, dir, None).await?;
    // The first writes make connections; what the restart does to later ones is asked.
    let warm = Instant::now();
    let (stop, stopping) = watch::channel(false);
    let reader = tokio::spawn(read(stage.ensemble.bootstrap().to_owned(), stopping));
    let mut others = Vec::new();
    for program in programs {
        others.push((program.clone(), start(program, stage.ensemble.bootstrap())?));
    }
    let mut stops = Vec::new();
    for _ in 0..options.rounds {
        for id in 1..=3 {
            stage.load.is_acknowledged_since(Instant::now()).await;
            let begun = Instant::now();
            stage.ensemble.member(id).stop().await.map_err(|why| format!("node {id} {why}"))?;
            let ended = Instant::now();
            stage.restore(id).await?;
            stage.load.is_acknowledged_since(Instant::now()).await;
            stops.push(Stopped {
                node: id,
                took: ended - begun,
                while_stopping: stage.load.slowest(begun, ended),
                while_starting: stage.load.slowest(ended, Instant::now()),
            });
        }
    }
    let mut said = Vec::new();
    for (program, child) in others {
        said.push(format!("{}: {}", program.display(), end(child).await?));
    }
    stop.send_replace(true);
    reader.await.map_err(|error| error.to_string())??;
    let all = stage.load.latencies(warm);
    let at = |part: usize| all[(all.len() - 1) * part / 100];
    let rolled = Rolled { p50: at(50), p99: at(99), longest: at(100), stops, others: said };
    stage.load.finish().await?;
    Ok(rolled)
}

/// Reads in a group and commits, until told to stop.
async fn read(bootstrap: String, mut stopping: watch::Receiver<bool>) -> Result<(), String> {
    let consumer: StreamConsumer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("group.id", "rolling")
        .set("auto.offset.reset", "earliest")
        .set("enable.auto.commit", "false")
        .create()
        .map_err(|error| error.to_string())?;
    consumer.subscribe(&[TOPIC]).map_err(|error| error.to_string())?;
    let consumer = std::sync::Arc::new(consumer);
    let mut count = 0;
    loop {
        tokio::select! {
            biased;
            _ = stopping.changed() => return Ok(()),
            record = consumer.recv() => {
                match record {
                    Ok(_) => {}
                    // A connection that ends is told, and made anew: nothing to be done about, its manual says.
                    Err(error) if is_of_connection(&error) => continue,
                    Err(error) => return Err(format!("an error reached librdkafka's reader: {error}")),
                }
            }
        }
        count += 1;
        if count % COMMIT_EVERY == 0 {
            let committer = std::sync::Arc::clone(&consumer);
            let commit = move || committer.commit_consumer_state(CommitMode::Sync);
            let committed = tokio::task::spawn_blocking(commit).await.map_err(|error| error.to_string())?;
            committed.map_err(|error| format!("an error reached librdkafka's committer: {error}"))?;
        }
    }
}

fn is_of_connection(error: &KafkaError) -> bool {
    let code = error.rdkafka_error_code();
    matches!(code, Some(RDKafkaErrorCode::BrokerTransportFailure | RDKafkaErrorCode::AllBrokersDown))
}

fn start(program: &Path, bootstrap: &str) -> Result<Child, String> {
    let mut command = Command::new(program);
    command.env("BOOTSTRAP", bootstrap).env("TOPIC", TOPIC);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
    command.spawn().map_err(|error| format!("{}: {error}", program.display()))
}

/// Tells a program to end; the line it prints, an error if it speaks of errors.
async fn end(mut child: Child) -> Result<String, String> {
    drop(child.stdin.take());
    let mut said = String::new();
    let mut out = child.stdout.take().ok_or("its output is a pipe")?;
    out.read_to_string(&mut said).await.map_err(|error| error.to_string())?;
    child.wait().await.map_err(|error| error.to_string())?;
    let last = said.lines().last().unwrap_or("nothing").to_owned();
    if last.starts_with("errors 0 ") { Ok(last) } else { Err(format!("a client heard of it: {said}")) }
}
