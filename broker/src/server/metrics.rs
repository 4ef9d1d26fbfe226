//! Counters and timers of the Kafka port. Handles are made once and kept: counting a request looks nothing up.

use std::time::Duration;

use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, Opts, Registry,
};
use tidemark_protocol::api::{APIS, ApiKey};
use tidemark_protocol::error_code::ErrorCode;
use tidemark_protocol::types::Now;

/// Upper bounds of the latency histogram in seconds: from a cached answer to a long poll.
const LATENCY_BUCKETS: [f64; 14] =
    [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0];

/// What the port counts.
pub struct ServerMetrics {
    apis: Vec<ApiMetrics>,
    connections: IntGauge,
    connections_opened: IntCounter,
    connections_closed: IntCounterVec,
    bytes_in: IntCounter,
    bytes_out: IntCounter,
    read_failures: IntCounter,
    errors: IntCounterVec,
}

struct ApiMetrics {
    key: ApiKey,
    min: i16,
    /// By version, from the lowest served.
    requests: Vec<IntCounter>,
    seconds: Histogram,
}

/// A request that was started.
#[derive(Clone, Copy, Debug)]
pub struct Timer {
    api: usize,
    started: Duration,
}

impl ServerMetrics {
    /// Registers the port's metrics.
    pub fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let requests = IntCounterVec::new(
            Opts::new("tidemark_requests_total", "Requests by API and version."),
            &["api", "version"],
        )?;
        let buckets = HistogramOpts::new(
            "tidemark_request_duration_seconds",
            "Time from a request's start to its answer, waiting for data or replicas included.",
        )
        .buckets(LATENCY_BUCKETS.to_vec());
        let seconds = HistogramVec::new(buckets, &["api"])?;
        let counter = |name, help| IntCounter::new(name, help);
        let metrics = ServerMetrics {
            apis: APIS
                .iter()
                .map(|api| ApiMetrics {
                    key: api.key,
                    min: api.min,
                    requests: (api.min..=api.max)
                        .map(|version| requests.with_label_values(&[api.name, &version.to_string()]))
                        .collect(),
                    seconds: seconds.with_label_values(&[api.name]),
                })
                .collect(),
            connections: IntGauge::new("tidemark_connections", "Open client connections.")?,
            connections_opened: counter("tidemark_connections_opened_total", "Connections accepted.")?,
            connections_closed: IntCounterVec::new(
                Opts::new("tidemark_connections_closed_total", "Connections that ended, by reason."),
                &["reason"],
            )?,
            bytes_in: counter(
                "tidemark_produce_bytes_total",
                "Bytes of record batches taken in for append.",
            )?,
            bytes_out: counter("tidemark_fetch_bytes_total", "Bytes of record batches given out.")?,
            read_failures: counter("tidemark_log_read_failures_total", "Reads of a log that failed.")?,
            errors: IntCounterVec::new(
                Opts::new(
                    "tidemark_partition_errors_total",
                    "Partitions of a produce, fetch or offset request that were answered with an error, by API and error.",
                ),
                &["api", "error"],
            )?,
        };
        registry.register(Box::new(requests))?;
        registry.register(Box::new(seconds))?;
        registry.register(Box::new(metrics.connections.clone()))?;
        registry.register(Box::new(metrics.connections_opened.clone()))?;
        registry.register(Box::new(metrics.connections_closed.clone()))?;
        registry.register(Box::new(metrics.bytes_in.clone()))?;
        registry.register(Box::new(metrics.bytes_out.clone()))?;
        registry.register(Box::new(metrics.read_failures.clone()))?;
        registry.register(Box::new(metrics.errors.clone()))?;
        Ok(metrics)
    }

    /// A connection was accepted.
    pub fn connection_opened(&self) {
        self.connections.inc();
        self.connections_opened.inc();
    }

    /// A connection ended.
    pub fn connection_closed(&self, reason: &str) {
        self.connections.dec();
        self.connections_closed.with_label_values(&[reason]).inc();
    }

    /// A request was started.
    pub fn request_started(&self, key: ApiKey, version: i16, now: Now) -> Timer {
        let api = self.apis.iter().position(|api| api.key == key).expect("every served API is in the table");
        let counters = &self.apis[api];
        if let Some(counter) = counters.requests.get((version - counters.min) as usize) {
            counter.inc();
        }
        Timer { api, started: now.mono }
    }

    /// Its answer is made.
    pub fn request_finished(&self, timer: Timer, now: Now) {
        self.apis[timer.api].seconds.observe(now.mono.saturating_sub(timer.started).as_secs_f64());
    }

    /// Batches came in.
    pub fn bytes_in(&self, bytes: usize) {
        self.bytes_in.inc_by(bytes as u64);
    }

    /// Batches went out.
    pub fn bytes_out(&self, bytes: usize) {
        self.bytes_out.inc_by(bytes as u64);
    }

    /// A partition was answered with this code; errors are counted. The names are those of Kafka's table, so there is a
    /// bounded number of them.
    pub fn partition_answered(&self, key: ApiKey, code: i16) {
        if code != ErrorCode::None.code() {
            let error = ErrorCode::from_code(code).map_or("UNKNOWN", ErrorCode::name);
            self.errors.with_label_values(&[key.api().name, error]).inc();
        }
    }

    /// A read of a log failed.
    pub fn read_failed(&self) {
        self.read_failures.inc();
    }
}

#[cfg(test)]
mod tests;
