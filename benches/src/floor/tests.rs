//! The driver against the floor: both halves of a bench, for a moment each.

use clap::Parser;

use super::*;
use crate::clock;
use crate::options::{Cli, Plan};
use crate::report::Report;
use crate::run;

/// Starts a floor for one test; its thread ends with the process.
fn floor() -> (tempfile::TempDir, String) {
    let data = tempfile::tempdir().unwrap();
    let floor = Floor::bind("127.0.0.1:0", data.path().to_owned(), true).unwrap();
    let address = floor.address().to_string();
    thread::spawn(|| floor.run());
    (data, address)
}

fn report(arguments: &[&str]) -> (Plan, Report) {
    let (_data, address) = floor();
    let common = ["--bootstrap", &address, "--seconds", "0.3", "--warmup", "0.1"];
    let plan = Cli::parse_from([&["load"], arguments, &common].concat()).mode.plan(clock::wall_ms());
    let report = run::run(&plan).unwrap();
    (plan, report)
}

#[test]
fn what_is_produced_is_counted_and_timed() {
    let (_, report) =
        report(&["produce", "--partitions", "3", "--connections", "2", "--codec", "lz4", "--idempotent"]);
    assert!(report.produced.requests > 0);
    let records = report.produced.records_per_second * report.seconds;
    assert!((records - report.produced.requests as f64 * 15.0).abs() < 1.0, "15 records a batch");
    let latency = report.acknowledged.unwrap();
    assert!(latency.p50_ms > 0.0 && latency.p50_ms <= latency.max_ms);
    assert!(report.consumed.is_none());
}

#[test]
fn every_consumer_reads_everything_from_the_tail() {
    let (plan, report) = report(&["fetch", "--consumers", "3", "--rate", "3000", "--partitions", "2"]);
    assert_eq!(plan.consumers, 3);
    let (produced, consumed) =
        (report.produced.records_per_second, report.consumed.unwrap().records_per_second);
    // A busy machine shifts some of it out of the measured time, not all of it.
    assert!(consumed > produced * 1.5 && consumed < produced * 6.0, "{consumed} of three times {produced}");
    assert!(report.received.unwrap().count > 0);
}

#[test]
fn a_rate_is_kept() {
    let (_, report) = report(&["small", "--rate", "500", "--pipeline", "50"]);
    let rate = report.produced.records_per_second;
    // A stall before the measured time is made up for within it.
    assert!((100.0..1000.0).contains(&rate), "{rate} of 500 records a second");
}

#[test]
fn without_acknowledgement_bytes_still_arrive() {
    let (_, report) = report(&["produce", "--acks", "0", "--rate", "2000", "--consumers", "1"]);
    assert!(report.acknowledged.is_none());
    assert!(report.consumed.unwrap().records_per_second > 0.0);
}

#[test]
fn a_broker_error_ends_the_run() {
    let (_data, address) = floor();
    let plan =
        Cli::parse_from(["load", "produce", "--bootstrap", &address, "--partitions", "1"]).mode.plan(1);
    let leaders = crate::cluster::create(&plan).unwrap();
    crate::cluster::delete(&plan).unwrap();
    let missing = Plan { topic: "gone".to_owned(), ..plan };
    let shared = Arc::new(crate::counters::Shared::new(clock::now(), clock::now()));
    let to = crate::cluster::spread(&leaders, 1).remove(0);
    crate::producer::Producer::open(&missing, Arc::clone(&shared), (0, 1), &to).unwrap().run();
    let error = shared.error.lock().unwrap().take().unwrap();
    assert!(error.to_string().contains("UNKNOWN_TOPIC_OR_PARTITION"), "{error}");
}

#[test]
fn a_find_returns_whole_batches_within_the_limit_or_one() {
    use tidemark_protocol::batch::{BatchBuilder, BuilderOptions};
    let data = tempfile::tempdir().unwrap();
    let log = Log::create(&data.path().join("log")).unwrap();
    let mut ends = Vec::new();
    for len in [100, 1000, 10, 500] {
        let mut builder = BatchBuilder::new(BuilderOptions::default());
        builder.append(0, 0, None, Some(&vec![0; len]), &[]);
        builder.append(1, 0, None, None, &[]);
        ends.push(log.append(builder.build()).unwrap().1);
    }
    assert_eq!(log.find(0, 1 << 20).1, 0, "nothing is visible yet");
    log.publish(ends[2]);
    let position = |batch: usize| ends[batch].position;
    let range = |offset, max: u64| {
        let (start, len) = log.find(offset, max as usize);
        (start, start + len as u64)
    };
    assert_eq!(range(0, 1 << 20), (0, position(2)));
    assert_eq!(range(1, 1), (0, position(0)), "one batch, even over the limit");
    assert_eq!(range(2, 1 << 20), (position(0), position(2)));
    assert_eq!(range(0, position(1)), (0, position(1)));
    assert_eq!(range(0, position(1) - 1), (0, position(0)));
    assert_eq!(range(5, 1), (position(1), position(2)));
    assert_eq!(range(6, 1 << 20), (position(2), position(2)));
}
