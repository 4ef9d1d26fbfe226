//! One run: create the topic, start everyone, wait for warm, measure between two readings, stop, report.

use std::process;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;
use std::time::Duration;

use crate::clock;
use crate::cluster;
use crate::connection::LoadError;
use crate::consumer::Consumer;
use crate::counters::{FlowCount, Shared};
use crate::options::Plan;
use crate::prepared::Payload;
use crate::process::{Usage, usage, usage_of_all};
use crate::producer::Producer;
use crate::report::{Cost, Latency, Report, Throughput};

/// How often a run in progress looks whether it has failed.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Time between connecting and the first batch.
const LEAD: Duration = Duration::from_millis(50);

/// Everything read at one instant.
struct Reading {
    produced: FlowCount,
    consumed: FlowCount,
    brokers: Option<Usage>,
    driver: Usage,
}

/// Runs a plan.
///
/// # Errors
/// The first thing that went wrong: a broker's error code counts as that.
pub fn run(plan: &Plan) -> Result<Report, LoadError> {
    let leaders = cluster::create(plan)?;
    let report = measure(plan, &leaders);
    if plan.keep {
        return report;
    }
    let deleted = cluster::delete(plan);
    report.and_then(|report| deleted.map(|()| report))
}

fn measure(plan: &Plan, leaders: &cluster::Leaders) -> Result<Report, LoadError> {
    let payload = Payload::new(plan, (-1, -1));
    let start = clock::now() + LEAD;
    let measured_from = start + plan.warmup;
    let shared = Arc::new(Shared::new(start, measured_from));
    let mut threads = Vec::new();
    for _ in 0..plan.consumers {
        for (address, partitions) in leaders {
            let stamp_at = payload.stamp_at;
            let consumer = Consumer::open(plan, Arc::clone(&shared), address, partitions, stamp_at)?;
            threads.push(thread::spawn(move || consumer.run()));
        }
    }
    let spread = cluster::spread(leaders, plan.connections);
    let producers = spread
        .iter()
        .enumerate()
        .map(|(index, to)| Producer::open(plan, Arc::clone(&shared), (index, spread.len()), to))
        .collect::<Result<Vec<_>, _>>();
    let producers = match producers {
        Ok(producers) => producers,
        Err(error) => {
            shared.stop.store(true, Relaxed);
            return Err(error);
        }
    };
    clock::sleep_until(start);
    threads.extend(producers.into_iter().map(|producer| thread::spawn(move || producer.run())));

    wait_until(&shared, measured_from);
    let (before, from) = (read(plan, &shared), clock::now());
    wait_until(&shared, from + plan.measured);
    let (after, to) = (read(plan, &shared), clock::now());
    shared.stop.store(true, Relaxed);
    for thread in threads {
        thread.join().expect("the threads of a run do not panic");
    }
    if let Some(error) = shared.error.lock().expect("no holder panics").take() {
        return Err(error);
    }
    Ok(report(plan, &payload, &shared, &before?, &after?, (to - from).as_secs_f64()))
}

fn wait_until(shared: &Shared, at: std::time::Instant) {
    while !shared.is_stopped() && clock::now() < at {
        clock::sleep_until(at.min(clock::now() + LOOK_EVERY));
    }
}

fn read(plan: &Plan, shared: &Shared) -> Result<Reading, LoadError> {
    Ok(Reading {
        brokers: usage_of_all(&plan.pids)?,
        driver: usage(process::id())?,
        produced: shared.produced.read(),
        consumed: shared.consumed.read(),
    })
}

fn report(
    plan: &Plan,
    payload: &Payload,
    shared: &Shared,
    before: &Reading,
    after: &Reading,
    seconds: f64,
) -> Report {
    let produced = after.produced - before.produced;
    let consumed = after.consumed - before.consumed;
    let broker = before.brokers.zip(after.brokers).map(|(before, after)| Cost {
        peak_rss_mib: after.peak_rss_bytes as f64 / 1024.0 / 1024.0,
        rss_mib: after.rss_bytes as f64 / 1024.0 / 1024.0,
        ..Cost::new(after.cpu_seconds - before.cpu_seconds, seconds, produced, consumed)
    });
    Report {
        plan: plan.clone(),
        seconds,
        records_per_batch: payload.records,
        batch_bytes_sent: payload.len(),
        produced: Throughput::new(produced, seconds),
        consumed: (plan.consumers > 0).then(|| Throughput::new(consumed, seconds)),
        acknowledged: Latency::new(&shared.acknowledged_us.lock().expect("no holder panics")),
        received: Latency::new(&shared.received_us.lock().expect("no holder panics")),
        broker,
        driver_cpu_seconds: after.driver.cpu_seconds - before.driver.cpu_seconds,
    }
}
