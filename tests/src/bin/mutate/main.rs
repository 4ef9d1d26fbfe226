//! Mutations of valid requests of every served API and version, sent to a real broker: it does not panic, its memory stays
//! bounded, and it still serves.
//!
//! `cargo run --release -p tidemark-tests --bin mutate -- --count 10000000 [--seed N] [--threads N] [--binary PATH]
//! [--bootstrap HOST:PORT --pid PID [--log FILE]]`

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use kafka_protocol::messages as kafka;
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::protocol::StrBytes;
use tidemark_tests::client::Client;
use tidemark_tests::corpus::{self, PARTITIONS, TOPIC};
use tidemark_tests::node::{Node, resident_bytes};
use uuid::Uuid;

mod worker;
use worker::{Progress, work};

/// Mutations between two looks at the broker.
const CHECK_EVERY: u64 = 100_000;
/// Memory the broker may take, whatever it is sent.
const RESIDENT_BYTES_MAX: u64 = 1536 << 20;
/// Time between two looks at the progress.
const LOOK_TIME: Duration = Duration::from_millis(100);

struct Options {
    count: u64,
    seed: u64,
    threads: u64,
    binary: PathBuf,
    bootstrap: Option<SocketAddr>,
    pid: Option<u32>,
    log: Option<PathBuf>,
}

/// The broker under test.
struct Target {
    address: SocketAddr,
    pid: Option<u32>,
    log: Option<PathBuf>,
}

fn main() {
    let options = options();
    println!("mutate: seed {}, {} mutations, {} connections", options.seed, options.count, options.threads);
    if let Err(why) = run(&options) {
        eprintln!("FAILED: {why}");
        eprintln!(
            "replay: cargo run --release -p tidemark-tests --bin mutate -- --count {} --seed {} --threads {}",
            options.count, options.seed, options.threads
        );
        std::process::exit(1);
    }
    println!("1 passed, 0 failed");
}

fn options() -> Options {
    let mut options = Options {
        count: 200_000,
        seed: 1,
        threads: 16,
        binary: Node::default_binary(),
        bootstrap: None,
        pid: None,
        log: None,
    };
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        let value = arguments.next().unwrap_or_else(|| panic!("{name} needs a value"));
        let number = || value.parse().unwrap_or_else(|_| panic!("{name} {value} is no number"));
        match name.as_str() {
            "--count" => options.count = number(),
            "--seed" => options.seed = number(),
            "--threads" => options.threads = number(),
            "--binary" => options.binary = PathBuf::from(&value),
            "--bootstrap" => options.bootstrap = Some(value.parse().expect("--bootstrap takes address:port")),
            "--pid" => options.pid = Some(number() as u32),
            "--log" => options.log = Some(PathBuf::from(&value)),
            _ => panic!(
                "{name}? --count N, --seed N, --threads N, --binary PATH, --bootstrap A:P, --pid P, --log FILE"
            ),
        }
    }
    options
}

fn run(options: &Options) -> Result<(), String> {
    let temporary = tempfile::tempdir().map_err(|error| error.to_string())?;
    // What is said of each refused request would fill the disk; nothing may be created beside what is asked for.
    let settings = ["log.filter=error", "admin.bind=off", "kafka.auto.create.topics.enable=false"];
    let mut node = Node::new(&options.binary, &temporary.path().join("data"), &settings);
    let target = match options.bootstrap {
        Some(address) => Target { address, pid: options.pid, log: options.log.clone() },
        None => {
            node.start()?;
            Target { address: node.address(), pid: node.pid(), log: Some(node.log_path()) }
        }
    };
    let entries = corpus::entries(target.prepare()?);
    println!("{} valid requests to start from", entries.len());
    let progress = Arc::new(Progress::new(options.count));
    let workers: Vec<_> = (0..options.threads)
        .map(|thread| {
            let (entries, progress, address) = (entries.clone(), Arc::clone(&progress), target.address);
            let seed = options.seed ^ (thread << 32);
            std::thread::spawn(move || work(&entries, address, seed, &progress))
        })
        .collect();
    let watched = watch(&target, &progress);
    progress.stop();
    for worker in workers {
        worker.join().map_err(|_| "a worker panicked".to_owned())??;
    }
    watched?;
    target.check(&progress)
}

/// Looks at the broker from time to time until enough is done.
#[allow(clippy::disallowed_methods, reason = "a real process is watched in real time")]
fn watch(target: &Target, progress: &Progress) -> Result<(), String> {
    let begun = Instant::now();
    let mut next = CHECK_EVERY;
    while !progress.is_over() {
        std::thread::sleep(LOOK_TIME);
        if progress.done() < next && !progress.is_over() {
            continue;
        }
        next = progress.done() + CHECK_EVERY;
        target.check(progress)?;
        let rate = progress.done() as f64 / begun.elapsed().as_secs_f64();
        println!("{progress}; {rate:.0}/s; {} MiB", target.resident_bytes()? >> 20);
    }
    Ok(())
}

impl Target {
    /// Makes the topic of the corpus and says its id.
    fn prepare(&self) -> Result<Uuid, String> {
        let mut client = Client::connect(self.address).map_err(|error| error.to_string())?;
        let configs = [("segment.bytes", "1048576"), ("retention.bytes", "4194304")];
        client.create_topic(TOPIC, PARTITIONS, &configs).map_err(|error| error.to_string())?;
        let answer = topics(&mut client, Some(TOPIC))?;
        let topic = answer.topics.first().ok_or("the topic is not there")?;
        Ok(topic.topic_id)
    }

    /// What must hold at any time.
    fn check(&self, progress: &Progress) -> Result<(), String> {
        let after = |why: String| format!("after {progress}: {why}");
        let mut client =
            Client::connect(self.address).map_err(|error| after(format!("no connection: {error}")))?;
        self.tidy(&mut client).map_err(&after)?;
        let resident = self.resident_bytes().map_err(&after)?;
        if resident > RESIDENT_BYTES_MAX {
            return Err(after(format!("the broker takes {} MiB", resident >> 20)));
        }
        match self.log.as_deref().and_then(panics) {
            Some(line) => Err(after(format!("the broker panicked: {line}"))),
            None => Ok(()),
        }
    }

    /// A sane client's work: a listing, and the end of the topics that mutations brought about.
    fn tidy(&self, client: &mut Client) -> Result<(), String> {
        let mut names = Vec::new();
        for topic in topics(client, None)?.topics {
            let name = topic.name.ok_or("a topic without a name is listed")?;
            if name.as_str() != TOPIC && !topic.is_internal {
                names.push(name);
            }
        }
        let request = kafka::DeleteTopicsRequest::default().with_topic_names(names).with_timeout_ms(10_000);
        let answer: kafka::DeleteTopicsResponse = client
            .call(kafka::ApiKey::DeleteTopics, 5, &request)
            .map_err(|error| format!("DeleteTopics: {error}"))?;
        match answer.responses.iter().find(|topic| topic.error_code != 0) {
            Some(topic) => Err(format!("{:?} was listed and not deleted: {}", topic.name, topic.error_code)),
            None => client.create_topic(TOPIC, PARTITIONS, &[]).map_err(|error| error.to_string()),
        }
    }

    /// Resident memory; 0 where the process is not known.
    fn resident_bytes(&self) -> Result<u64, String> {
        self.pid.map_or(Ok(0), resident_bytes)
    }
}

fn topics(client: &mut Client, name: Option<&str>) -> Result<kafka::MetadataResponse, String> {
    let asked = name.map(|name| {
        let name = kafka::TopicName(StrBytes::from_string(name.to_owned()));
        vec![MetadataRequestTopic::default().with_name(Some(name))]
    });
    let request = kafka::MetadataRequest::default().with_topics(asked).with_allow_auto_topic_creation(false);
    client.call(kafka::ApiKey::Metadata, 12, &request).map_err(|error| format!("Metadata: {error}"))
}

/// The first line of a panic in the broker's log.
#[allow(clippy::disallowed_methods, reason = "the broker's log is a real file")]
fn panics(log: &Path) -> Option<String> {
    let text = std::fs::read(log).ok()?;
    let text = String::from_utf8_lossy(&text);
    text.lines().find(|line| line.contains("panicked")).map(str::to_owned)
}
