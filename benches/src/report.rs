//! What a run found out, as a table for people and as JSON for scripts.

use std::fmt;

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::counters::FlowCount;
use crate::options::Plan;

const MIB: f64 = 1024.0 * 1024.0;
const GIB: f64 = 1024.0 * MIB;

/// The report of a run.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// What was run.
    pub plan: Plan,
    /// Seconds measured.
    pub seconds: f64,
    /// Records in each batch.
    pub records_per_batch: i32,
    /// Bytes of each batch as sent.
    pub batch_bytes_sent: usize,
    /// What was acknowledged.
    pub produced: Throughput,
    /// What all consumers together received.
    pub consumed: Option<Throughput>,
    /// From due (at a rate) or sent (without) to acknowledged.
    pub acknowledged: Option<Latency>,
    /// From due or sent to received by a consumer.
    pub received: Option<Latency>,
    /// What the brokers used, added up.
    pub broker: Option<Cost>,
    /// CPU seconds of this driver.
    pub driver_cpu_seconds: f64,
}

/// Amounts per second.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Throughput {
    /// Requests answered; for consumers, fetches that brought records.
    pub requests_per_second: f64,
    /// Records.
    pub records_per_second: f64,
    /// MiB of batches.
    pub mib_per_second: f64,
    /// GiB of batches in all.
    pub gib: f64,
    /// Requests in all.
    pub requests: u64,
}

/// A distribution of latencies, in milliseconds.
#[derive(Clone, Copy, Debug, Serialize)]
#[allow(missing_docs, reason = "the names say it")]
pub struct Latency {
    pub count: u64,
    pub mean_ms: f64,
    pub p50_ms: f64,
    pub p90_ms: f64,
    pub p99_ms: f64,
    pub p999_ms: f64,
    pub max_ms: f64,
}

/// What a process used while it was measured.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Cost {
    /// User and system time.
    pub cpu_seconds: f64,
    /// Cores kept busy on average.
    pub cores: f64,
    /// CPU seconds per GiB produced.
    pub cpu_seconds_per_gib_produced: Option<f64>,
    /// CPU seconds per GiB consumed.
    pub cpu_seconds_per_gib_consumed: Option<f64>,
    /// CPU microseconds per Produce request.
    pub cpu_us_per_produce_request: Option<f64>,
    /// Largest resident set since the process began, in MiB.
    pub peak_rss_mib: f64,
    /// Resident set at the end, in MiB.
    pub rss_mib: f64,
}

impl Throughput {
    /// A count over a time.
    pub fn new(count: FlowCount, seconds: f64) -> Self {
        Throughput {
            requests_per_second: count.requests as f64 / seconds,
            records_per_second: count.records as f64 / seconds,
            mib_per_second: count.bytes as f64 / MIB / seconds,
            gib: count.bytes as f64 / GIB,
            requests: count.requests,
        }
    }
}

impl Latency {
    /// The distribution of a histogram of microseconds; `None` when it is empty.
    pub fn new(micros: &Histogram<u64>) -> Option<Self> {
        let at = |quantile| micros.value_at_quantile(quantile) as f64 / 1000.0;
        (!micros.is_empty()).then(|| Latency {
            count: micros.len(),
            mean_ms: micros.mean() / 1000.0,
            p50_ms: at(0.5),
            p90_ms: at(0.9),
            p99_ms: at(0.99),
            p999_ms: at(0.999),
            max_ms: micros.max() as f64 / 1000.0,
        })
    }
}

impl Cost {
    /// What CPU seconds mean for what was moved.
    pub fn new(cpu_seconds: f64, seconds: f64, produced: FlowCount, consumed: FlowCount) -> Self {
        let per = |amount: f64| (amount > 0.0).then(|| cpu_seconds / amount);
        Cost {
            cpu_seconds,
            cores: cpu_seconds / seconds,
            cpu_seconds_per_gib_produced: per(produced.bytes as f64 / GIB),
            cpu_seconds_per_gib_consumed: per(consumed.bytes as f64 / GIB),
            cpu_us_per_produce_request: per(produced.requests as f64 / 1e6),
            peak_rss_mib: 0.0,
            rss_mib: 0.0,
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plan = &self.plan;
        let acks = if plan.acks == -1 { "all".to_owned() } else { plan.acks.to_string() };
        writeln!(
            f,
            "{} against {}: {} partition(s), {} connection(s) × {} in flight, {} × {} B a batch ({} B, {:?}), acks={acks}",
            plan.mode,
            plan.bootstrap,
            plan.partitions,
            plan.connections,
            plan.pipeline,
            self.records_per_batch,
            plan.record_bytes,
            self.batch_bytes_sent,
            plan.codec,
        )?;
        throughput(f, "produced", &self.produced)?;
        if let Some(consumed) = &self.consumed {
            throughput(f, "consumed", consumed)?;
        }
        let from = if plan.rate > 0.0 { "due" } else { "sent" };
        for (what, latency) in [("acknowledged", &self.acknowledged), ("received", &self.received)] {
            if let Some(l) = latency {
                writeln!(
                    f,
                    "{what:<13}p50 {:.3}  p90 {:.3}  p99 {:.3}  p99.9 {:.3}  max {:.3} ms after it was {from} ({} batches)",
                    l.p50_ms, l.p90_ms, l.p99_ms, l.p999_ms, l.max_ms, l.count
                )?;
            }
        }
        if let Some(cost) = &self.broker {
            write!(f, "broker       {:.2} CPU s ({:.2} cores)", cost.cpu_seconds, cost.cores)?;
            let each = [
                ("CPU s/GiB produced", cost.cpu_seconds_per_gib_produced),
                ("CPU s/GiB consumed", cost.cpu_seconds_per_gib_consumed),
                ("CPU µs/request", cost.cpu_us_per_produce_request),
            ];
            for (unit, value) in each {
                if let Some(value) = value {
                    write!(f, ", {value:.3} {unit}")?;
                }
            }
            writeln!(f, ", peak {:.0} MiB (now {:.0})", cost.peak_rss_mib, cost.rss_mib)?;
        }
        write!(f, "driver       {:.2} CPU s in {:.1} s", self.driver_cpu_seconds, self.seconds)
    }
}

fn throughput(f: &mut fmt::Formatter<'_>, what: &str, t: &Throughput) -> fmt::Result {
    writeln!(
        f,
        "{what:<13}{:.0} requests/s  {:.0} records/s  {:.1} MiB/s  ({:.2} GiB)",
        t.requests_per_second, t.records_per_second, t.mib_per_second, t.gib
    )
}
