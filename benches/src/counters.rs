//! What producers and consumers count while they run; read by the one who measures.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Instant;

use hdrhistogram::Histogram;

use crate::connection::LoadError;

/// Longest latency told apart, in microseconds.
const LATENCY_MAX_US: u64 = 600_000_000;

/// Requests, records and bytes of one direction.
#[derive(Debug, Default)]
pub struct Flow {
    requests: AtomicU64,
    records: AtomicU64,
    bytes: AtomicU64,
}

/// One reading of a flow.
#[derive(Clone, Copy, Debug, Default)]
pub struct FlowCount {
    /// Requests answered.
    pub requests: u64,
    /// Records in them.
    pub records: u64,
    /// Bytes of their batches.
    pub bytes: u64,
}

impl Flow {
    /// Counts one answered request.
    pub fn add(&self, records: u64, bytes: u64) {
        self.requests.fetch_add(1, Relaxed);
        self.records.fetch_add(records, Relaxed);
        self.bytes.fetch_add(bytes, Relaxed);
    }

    /// Reads the counts.
    pub fn read(&self) -> FlowCount {
        FlowCount {
            requests: self.requests.load(Relaxed),
            records: self.records.load(Relaxed),
            bytes: self.bytes.load(Relaxed),
        }
    }
}

impl std::ops::Sub for FlowCount {
    type Output = FlowCount;

    fn sub(self, earlier: FlowCount) -> FlowCount {
        FlowCount {
            requests: self.requests - earlier.requests,
            records: self.records - earlier.records,
            bytes: self.bytes - earlier.bytes,
        }
    }
}

/// What all threads of a run share.
#[derive(Debug)]
pub struct Shared {
    /// Start of the run: stamps and schedules count from here.
    pub start: Instant,
    /// Latencies of batches due before this are not kept.
    pub measured_from: Instant,
    /// Set when it is over.
    pub stop: AtomicBool,
    /// Acknowledged, or for acks=0 written.
    pub produced: Flow,
    /// Received by consumers.
    pub consumed: Flow,
    /// From due (at a rate) or sent (without) to acknowledged, in microseconds.
    pub acknowledged_us: Mutex<Histogram<u64>>,
    /// From due or sent to received by a consumer, in microseconds.
    pub received_us: Mutex<Histogram<u64>>,
    /// What went wrong first.
    pub error: Mutex<Option<LoadError>>,
}

impl Shared {
    /// A run that starts now and is measured from `measured_from`.
    pub fn new(start: Instant, measured_from: Instant) -> Self {
        Shared {
            start,
            measured_from,
            stop: AtomicBool::new(false),
            produced: Flow::default(),
            consumed: Flow::default(),
            acknowledged_us: Mutex::new(histogram()),
            received_us: Mutex::new(histogram()),
            error: Mutex::new(None),
        }
    }

    /// Whether the run is over.
    pub fn is_stopped(&self) -> bool {
        self.stop.load(Relaxed)
    }

    /// Ends the run because of an error; the first one is kept. Errors after the end are those of closing.
    pub fn fail(&self, error: LoadError) {
        if !self.stop.swap(true, Relaxed) {
            self.error.lock().expect("no holder panics").get_or_insert(error);
        }
    }
}

/// An empty histogram of microseconds, exact to three digits.
pub fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LATENCY_MAX_US, 3).expect("the bounds are sound")
}

/// Records the time from `from` to `to`.
pub fn record(histogram: &mut Histogram<u64>, from: Instant, to: Instant) {
    let micros = to.saturating_duration_since(from).as_micros();
    histogram.saturating_record(u64::try_from(micros).unwrap_or(u64::MAX).max(1));
}
