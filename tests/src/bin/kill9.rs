//! kill -9 of a real broker under load, round after round: nothing acknowledged is missing, nothing is there twice, nothing
//! is out of order.
//!
//! Each partition has one idempotent producer with several batches in flight; its records count 0, 1, 2, … After a kill
//! the producer goes on with the same producer id and sends again what was not acknowledged, so the log must hold exactly
//! 0..n. After each restart everything new is read and compared.
//!
//! `cargo run --release -p tidemark-tests --bin kill9 -- --rounds 1000 [--seed N] [--dir DIR]`

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use tidemark_protocol::batch::{BatchBuilder, BuilderOptions, Compression, batches};
use tidemark_tests::client::Client;
use tidemark_tests::node::Node;
use tidemark_tests::rng::Rng;

const TOPIC: &str = "kill9";
const PARTITIONS: i32 = 4;
/// Batches of one producer that wait for their answer; the broker remembers the last five.
const IN_FLIGHT_MAX: usize = 5;
/// Longest time a round runs before the kill.
const ROUND_MS_MAX: u64 = 400;

/// What one partition's producer knows; survives the kills.
struct Producer {
    partition: i32,
    id: Option<(i64, i16)>,
    /// Batches sent or to be sent, oldest first, not acknowledged yet.
    unacked: std::collections::VecDeque<Sent>,
    next_value: u64,
    rng: Rng,
}

#[derive(Clone)]
struct Sent {
    first: u64,
    count: u64,
    batch: Bytes,
}

struct Options {
    rounds: u64,
    seed: u64,
    dir: Option<PathBuf>,
    binary: PathBuf,
}

fn main() {
    let options = options();
    println!("kill9: seed {}, {} rounds, {}", options.seed, options.rounds, options.binary.display());
    if let Err(why) = run(&options) {
        eprintln!("FAILED: {why}");
        eprintln!(
            "replay: cargo run --release -p tidemark-tests --bin kill9 -- --rounds {} --seed {}",
            options.rounds, options.seed
        );
        std::process::exit(1);
    }
    println!("1 passed, 0 failed");
}

fn options() -> Options {
    let mut options = Options { rounds: 20, seed: 1, dir: None, binary: Node::default_binary() };
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        let value = arguments.next().unwrap_or_else(|| panic!("{name} needs a value"));
        let number = || value.parse().unwrap_or_else(|_| panic!("{name} {value} is no number"));
        match name.as_str() {
            "--rounds" => options.rounds = number(),
            "--seed" => options.seed = number(),
            "--dir" => options.dir = Some(PathBuf::from(&value)),
            "--binary" => options.binary = PathBuf::from(&value),
            _ => panic!("{name}? --rounds N, --seed N, --dir DIR, --binary PATH"),
        }
    }
    options
}

fn run(options: &Options) -> Result<(), String> {
    let temporary = tempfile::tempdir().map_err(|error| error.to_string())?;
    let dir = options.dir.clone().unwrap_or_else(|| temporary.path().join("data"));
    let mut node = Node::new(&options.binary, &dir, &["log.filter=warn", "admin.bind=off"]);
    let mut rng = Rng::new(options.seed);
    let mut producers: Vec<Producer> = (0..PARTITIONS)
        .map(|partition| Producer {
            partition,
            id: None,
            unacked: std::collections::VecDeque::new(),
            next_value: 0,
            rng: Rng::new(options.seed ^ (0xABCD + partition as u64)),
        })
        .collect();
    let mut verified = vec![Verified::default(); PARTITIONS as usize];
    let mut starts = Vec::new();
    for round in 1..=options.rounds {
        starts.push(node.start()?);
        prepare(&node)?;
        let acked = load(&node, &mut producers, Duration::from_millis(rng.between(20, ROUND_MS_MAX)))?;
        node.kill();
        starts.push(node.start()?);
        for (partition, verified) in verified.iter_mut().enumerate() {
            verified
                .verify(&node, partition as i32, acked[partition])
                .map_err(|why| format!("round {round}: {why}"))?;
        }
        node.kill();
        if round % 50 == 0 || round == options.rounds {
            starts.sort();
            let total: u64 = verified.iter().map(|v| v.next_value).sum();
            println!(
                "round {round}: {total} records, restart median {:?}, slowest {:?}",
                starts[starts.len() / 2],
                starts[starts.len() - 1]
            );
        }
    }
    Ok(())
}

fn prepare(node: &Node) -> Result<(), String> {
    let mut client = Client::connect(node.address()).map_err(|error| error.to_string())?;
    // Small segments: rolls, producer snapshots and index files are killed in the middle too.
    client
        .create_topic(TOPIC, PARTITIONS, &[("segment.bytes", "1048576"), ("retention.ms", "-1")])
        .map_err(|error| error.to_string())
}

/// Runs all producers for a while and kills the broker under them; returns how many records each has acknowledged.
fn load(node: &Node, producers: &mut [Producer], time: Duration) -> Result<Vec<u64>, String> {
    let stop = Arc::new(AtomicBool::new(false));
    let failure: Mutex<Option<String>> = Mutex::new(None);
    let pid = node.pid().ok_or("the broker does not run")?;
    let acked: Vec<AtomicU64> = producers.iter().map(|p| AtomicU64::new(p.acked())).collect();
    std::thread::scope(|scope| {
        for (producer, acked) in producers.iter_mut().zip(&acked) {
            let (stop, failure) = (stop.clone(), &failure);
            scope.spawn(move || {
                if let Err(why) = producer.produce(node, &stop, acked) {
                    failure.lock().expect("no thread panics").get_or_insert(why);
                }
            });
        }
        pause(time);
        // The kill comes while batches are on their way; the producers' connections break under them.
        kill(pid);
        stop.store(true, Ordering::SeqCst);
    });
    match failure.into_inner().expect("no thread panics") {
        Some(why) => Err(why),
        None => Ok(acked.into_iter().map(AtomicU64::into_inner).collect()),
    }
}

#[allow(clippy::disallowed_methods, reason = "the load runs for a while in real time")]
fn pause(time: Duration) {
    std::thread::sleep(time);
}

fn kill(pid: u32) {
    let status = std::process::Command::new("kill").arg("-9").arg(pid.to_string()).status();
    assert!(status.is_ok_and(|status| status.success()), "kill -9 {pid}");
}

impl Producer {
    fn acked(&self) -> u64 {
        self.unacked.front().map_or(self.next_value, |sent| sent.first)
    }

    /// Produces until the connection breaks. An answer that says no is a failure of the test.
    fn produce(&mut self, node: &Node, stop: &AtomicBool, acked: &AtomicU64) -> Result<(), String> {
        let Ok(mut client) = Client::connect(node.address()) else { return Ok(()) };
        let (id, epoch) = match self.id {
            Some(id) => id,
            None => match client.init_producer_id() {
                Ok(id) => *self.id.insert(id),
                Err(_) => return Ok(()),
            },
        };
        let mut resend: std::collections::VecDeque<Sent> = self.unacked.clone();
        let mut waiting = 0;
        loop {
            while waiting < IN_FLIGHT_MAX && (!resend.is_empty() || self.unacked.len() < IN_FLIGHT_MAX) {
                let sent = match resend.pop_front() {
                    Some(sent) => sent,
                    None => self.next_batch(id, epoch),
                };
                if client.send_produce(TOPIC, self.partition, sent.batch).is_err() {
                    return Ok(());
                }
                waiting += 1;
            }
            match client.receive_produce() {
                Ok((0, _)) => {
                    waiting -= 1;
                    self.unacked.pop_front();
                    acked.store(self.acked(), Ordering::SeqCst);
                }
                Ok((code, _)) if !stop.load(Ordering::SeqCst) => {
                    return Err(format!("partition {}: produce refused with code {code}", self.partition));
                }
                _ => return Ok(()),
            }
        }
    }

    fn next_batch(&mut self, id: i64, epoch: i16) -> Sent {
        let count = self.rng.between(1, 20);
        let codec = *self.rng.pick(&[Compression::None, Compression::None, Compression::Lz4]);
        let mut builder = BatchBuilder::new(BuilderOptions {
            compression: codec,
            producer_id: id,
            producer_epoch: epoch,
            base_sequence: (self.next_value % (1 << 31)) as i32,
            ..BuilderOptions::default()
        });
        for nth in 0..count {
            let mut value = (self.next_value + nth).to_be_bytes().to_vec();
            value.resize(8 + self.rng.below(3000) as usize, b'x');
            builder.append(nth as i64, 1_700_000_000_000, None, Some(&value), &[]);
        }
        let sent = Sent { first: self.next_value, count, batch: builder.build().bytes().clone() };
        self.next_value += sent.count;
        self.unacked.push_back(sent.clone());
        sent
    }
}

/// How far a partition was read and found right.
#[derive(Clone, Default)]
struct Verified {
    next_offset: i64,
    next_value: u64,
}

impl Verified {
    /// Reads everything new and compares it with what was sent.
    fn verify(&mut self, node: &Node, partition: i32, acked: u64) -> Result<(), String> {
        let at = |why: String| format!("partition {partition}: {why}");
        let mut client = Client::connect(node.address()).map_err(|error| at(error.to_string()))?;
        loop {
            let (code, high_watermark, records) =
                client.fetch(TOPIC, partition, self.next_offset, 0).map_err(|error| at(error.to_string()))?;
            if code != 0 {
                return Err(at(format!("fetch at {} answered {code}", self.next_offset)));
            }
            self.take(&records).map_err(at)?;
            if self.next_offset >= high_watermark {
                break;
            }
        }
        if self.next_value < acked {
            return Err(at(format!("{acked} records were acknowledged, {} are there", self.next_value)));
        }
        Ok(())
    }

    fn take(&mut self, records: &Bytes) -> Result<(), String> {
        for batch in batches(records) {
            let (header, range) = batch.map_err(|error| error.to_string())?;
            let batch = tidemark_protocol::batch::RecordBatch::parse(records.slice(range))
                .map_err(|e| e.to_string())?;
            batch.verify_crc().map_err(|error| format!("offset {}: {error}", header.base_offset))?;
            let set = batch.records(64 * 1024 * 1024).map_err(|error| error.to_string())?;
            for record in set.iter() {
                let record = record.map_err(|error| error.to_string())?;
                if record.offset < self.next_offset {
                    continue;
                }
                let value =
                    record.value.and_then(|value| value.get(..8)).ok_or("a record without a value")?;
                let value = u64::from_be_bytes(value.try_into().expect("eight bytes"));
                if record.offset != self.next_offset || value != self.next_value {
                    return Err(format!(
                        "expected value {} at offset {}, found {value} at {}",
                        self.next_value, self.next_offset, record.offset
                    ));
                }
                self.next_offset += 1;
                self.next_value += 1;
            }
        }
        Ok(())
    }
}
