//! Many idle partitions and many idle connections: how long a broker takes to start with them, what memory they cost, and
//! that it serves meanwhile.
//!
//! On ext4, a run right after another pays for the other's clean-up: for minutes after files were deleted, each new file
//! costs a search past their inodes. `--dir` names a folder that is kept.
//!
//! `cargo run --release -p tidemark-tests --bin scale -- [--partitions 20000] [--connections 10000] [--dir DIR]
//! [--binary PATH]`

use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use bytes::Bytes;
use kafka_protocol::messages as kafka;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::protocol::StrBytes;
use tidemark_protocol::batch::{BatchBuilder, BuilderOptions};
use tidemark_tests::client::Client;
use tidemark_tests::node::Node;

/// Partitions of each topic.
const TOPIC_PARTITIONS: i32 = 1000;
/// Partitions of one produce request.
const PRODUCE_PARTITIONS: i32 = 250;
/// Wanted from start to ready.
const READY_TIME_WANTED: Duration = Duration::from_secs(3);
/// Open files beside the connections.
const OTHER_FILES: u64 = 4096;
/// How long a clean stop may take.
const STOP_TIME_MAX: Duration = Duration::from_secs(30);

struct Options {
    partitions: i32,
    connections: u64,
    binary: PathBuf,
    dir: Option<PathBuf>,
}

fn main() {
    let options = options();
    match run(&options) {
        Ok(failed) if failed.is_empty() => println!("1 passed, 0 failed"),
        Ok(failed) => {
            failed.iter().for_each(|why| eprintln!("FAILED: {why}"));
            std::process::exit(1);
        }
        Err(why) => {
            eprintln!("FAILED: {why}");
            std::process::exit(1);
        }
    }
}

fn options() -> Options {
    let mut options =
        Options { partitions: 20_000, connections: 10_000, binary: Node::default_binary(), dir: None };
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        let value = arguments.next().unwrap_or_else(|| panic!("{name} needs a value"));
        let number = || value.parse().unwrap_or_else(|_| panic!("{name} {value} is no number"));
        match name.as_str() {
            "--partitions" => options.partitions = number(),
            "--connections" => options.connections = number() as u64,
            "--binary" => options.binary = PathBuf::from(&value),
            "--dir" => options.dir = Some(PathBuf::from(&value)),
            _ => panic!("{name}? --partitions N, --connections N, --binary PATH, --dir DIR"),
        }
    }
    options
}

/// Measures; says what was not as wanted.
fn run(options: &Options) -> Result<Vec<String>, String> {
    raise_file_limit(options.connections + OTHER_FILES)?;
    let temporary = tempfile::tempdir().map_err(|error| error.to_string())?;
    let dir = options.dir.clone().unwrap_or_else(|| temporary.path().join("data"));
    let mut node = Node::new(&options.binary, &dir, &["log.filter=warn", "admin.bind=off"]);
    println!("{:<52}{:>12}{:>12}{:>12}", "", "time", "memory", "open files");
    row("started empty", node.start()?, &node)?;
    let begun = now();
    let topics = create(&node, options.partitions)?;
    row(&format!("{} partitions created", options.partitions), begun.elapsed(), &node)?;
    let begun = now();
    fill(&node, topics)?;
    row("one batch produced to each, acks=all", begun.elapsed(), &node)?;

    let mut failed = Vec::new();
    stop(&mut node)?;
    let mut restart = |what: &str, node: &mut Node| -> Result<(), String> {
        let took = node.start()?;
        row(&format!("ready again after {what}"), took, node)?;
        if took > READY_TIME_WANTED {
            failed.push(format!("ready {took:?} after {what}, wanted within {READY_TIME_WANTED:?}"));
        }
        let begun = now();
        serve(node.address(), topics - 1)?;
        row("  first produce and fetch", begun.elapsed(), node)
    };
    restart("a clean stop", &mut node)?;
    node.kill();
    restart("kill -9", &mut node)?;
    node.kill();
    restart("kill -9 again", &mut node)?;

    let begun = now();
    let held = hold(node.address(), options.connections)?;
    row(&format!("{} idle connections held", held.len()), begun.elapsed(), &node)?;
    let begun = now();
    serve(node.address(), 0)?;
    row("  a produce and a fetch meanwhile", begun.elapsed(), &node)?;
    let begun = now();
    let open = held.iter().filter(|stream| is_open(stream)).count();
    row(&format!("  {open} of them still open"), begun.elapsed(), &node)?;
    if open != held.len() {
        failed.push(format!("{} idle connections were closed", held.len() - open));
    }
    drop(held);
    let begun = now();
    serve(node.address(), 0)?;
    row("a produce and a fetch once they are gone", begun.elapsed(), &node)?;
    Ok(failed)
}

#[allow(clippy::disallowed_methods, reason = "real time is what is measured")]
fn now() -> Instant {
    Instant::now()
}

fn row(what: &str, time: Duration, node: &Node) -> Result<(), String> {
    let memory = node.resident_bytes()? >> 20;
    println!("{what:<52}{:>9} ms{memory:>8} MiB{:>12}", time.as_millis(), node.open_files()?);
    Ok(())
}

fn raise_file_limit(files: u64) -> Result<(), String> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|current| current >= files) {
        return Ok(());
    }
    let maximum = limit.maximum.map(|maximum| maximum.max(files));
    // A child has what its parent has.
    setrlimit(Resource::Nofile, Rlimit { current: Some(files), maximum })
        .map_err(|error| format!("{files} open files are not allowed here: {error}"))
}

fn topic(nth: i32) -> String {
    format!("idle-{nth}")
}

/// Makes the topics; says how many.
fn create(node: &Node, partitions: i32) -> Result<i32, String> {
    let mut client = Client::connect(node.address()).map_err(|error| error.to_string())?;
    let topics = (partitions + TOPIC_PARTITIONS - 1) / TOPIC_PARTITIONS;
    for nth in 0..topics {
        let count = TOPIC_PARTITIONS.min(partitions - nth * TOPIC_PARTITIONS);
        client.create_topic(&topic(nth), count, &[]).map_err(|error| error.to_string())?;
    }
    Ok(topics)
}

/// A batch of one record of this moment, so that retention lets it be.
#[allow(clippy::disallowed_methods, reason = "records carry real time")]
fn batch() -> Bytes {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let mut builder = BatchBuilder::new(BuilderOptions::default());
    builder.append(0, since.as_millis() as i64, None, Some(&[b'x'; 100]), &[]);
    builder.build().bytes().clone()
}

fn fill(node: &Node, topics: i32) -> Result<(), String> {
    let mut client = Client::connect(node.address()).map_err(|error| error.to_string())?;
    let batch = batch();
    for nth in 0..topics {
        for first in (0..TOPIC_PARTITIONS).step_by(PRODUCE_PARTITIONS as usize) {
            let data = (first..first + PRODUCE_PARTITIONS)
                .map(|index| {
                    PartitionProduceData::default().with_index(index).with_records(Some(batch.clone()))
                })
                .collect();
            let name = kafka::TopicName(StrBytes::from_string(topic(nth)));
            let topic = TopicProduceData::default().with_name(name).with_partition_data(data);
            let request = kafka::ProduceRequest::default()
                .with_acks(-1)
                .with_timeout_ms(30_000)
                .with_topic_data(vec![topic]);
            let answer: kafka::ProduceResponse =
                client.call(kafka::ApiKey::Produce, 9, &request).map_err(|error| error.to_string())?;
            let refused = answer.responses.iter().flat_map(|topic| &topic.partition_responses);
            // The last topic may have fewer partitions.
            const UNKNOWN_TOPIC_OR_PARTITION: i16 = 3;
            if let Some(refused) =
                refused.into_iter().find(|p| ![0, UNKNOWN_TOPIC_OR_PARTITION].contains(&p.error_code))
            {
                return Err(format!(
                    "partition {} of idle-{nth} refused: {}",
                    refused.index, refused.error_code
                ));
            }
        }
    }
    Ok(())
}

/// A produce and a fetch of a fresh client: what was written is there.
fn serve(address: SocketAddr, nth: i32) -> Result<(), String> {
    let served = || -> std::io::Result<(i16, i64, (i16, i64, Bytes))> {
        let mut client = Client::connect(address)?;
        client.send_produce(&topic(nth), 0, batch())?;
        let (code, offset) = client.receive_produce()?;
        Ok((code, offset, client.fetch(&topic(nth), 0, 0, 0)?))
    };
    match served().map_err(|error| format!("not served: {error}"))? {
        (0, offset, (0, high_watermark, records)) if high_watermark == offset + 1 && !records.is_empty() => {
            Ok(())
        }
        other => Err(format!("a produce and a fetch gave {other:?}")),
    }
}

fn hold(address: SocketAddr, count: u64) -> Result<Vec<TcpStream>, String> {
    (0..count)
        .map(|nth| TcpStream::connect(address).map_err(|error| format!("connection {nth}: {error}")))
        .collect()
}

fn is_open(stream: &TcpStream) -> bool {
    let peeked = stream.set_nonblocking(true).and_then(|()| stream.peek(&mut [0]));
    peeked.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock)
}

/// Stops with SIGTERM and waits for the end.
fn stop(node: &mut Node) -> Result<(), String> {
    let begun = now();
    node.stop(STOP_TIME_MAX)?;
    println!("{:<52}{:>9} ms", "stopped cleanly", begun.elapsed().as_millis());
    Ok(())
}
