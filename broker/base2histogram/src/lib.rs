//! [`Histogram`]: counts of values in buckets that grow with the value, for openraft's statistics.
//!
//! openraft depends on a crate of this name, whose first use fills lookup tables for sixteen resolutions: 26 MiB of an
//! idle node and most of its time to start, for statistics that nobody asks for. This crate stands in for it through
//! `[patch.crates-io]`: our own code, with only what openraft calls without its feature `runtime-stats`; an openraft that
//! calls more does not compile. To be deleted, with the patch, once openraft or its crate builds no such tables.
//!
//! ```text
//!  bucket   0  1  2  3  4  5  6  7   8    9   10   11    12 …    251
//!  first    0  1  2  3  4  5  6  7   8   10   12   14    16 …   7<<61
//! ```
//! Values below 8 have their own bucket; above, four buckets share a power of two. No table: all of it is computed.

use std::fmt;
use std::marker::PhantomData;

/// Buckets of one power of two, as a shift.
const BUCKET_BITS: u32 = 2;
/// Buckets of one power of two.
const BUCKETS_PER_POWER: usize = 1 << BUCKET_BITS;

/// A histogram of `u64` values, exact below 8 and within a quarter of the value above. `T` is openraft's word for
/// "nothing besides the counts".
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Histogram<T = ()> {
    /// As many buckets as the largest value so far needs, so that one without values holds no memory.
    counts: Vec<u64>,
    total: u64,
    nothing: PhantomData<T>,
}

impl<T> Histogram<T> {
    /// A histogram without values.
    pub fn new() -> Histogram<T> {
        Histogram { counts: Vec::new(), total: 0, nothing: PhantomData }
    }

    /// Counts one value.
    pub fn record(&mut self, value: u64) {
        self.record_n(value, 1);
    }

    /// Counts a value `times` times.
    pub fn record_n(&mut self, value: u64, times: u64) {
        let bucket = bucket_of(value);
        if self.counts.len() <= bucket {
            self.counts.resize(bucket + 1, 0);
        }
        self.counts[bucket] += times;
        self.total += times;
    }

    /// Number of values.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// The start of the bucket that holds the value at `share` (0.0 to 1.0) of all values in order; 0 without values.
    pub fn percentile(&self, share: f64) -> u64 {
        let rank = (self.total as f64 * share).ceil().max(1.0) as u64;
        let mut below = 0;
        let found = self.counts.iter().position(|count| {
            below += count;
            below >= rank
        });
        found.map_or(0, first_of)
    }

    /// The usual percentiles.
    pub fn percentile_stats(&self) -> PercentileStats {
        PercentileStats {
            samples: self.total,
            p0_1: self.percentile(0.001),
            p1: self.percentile(0.01),
            p5: self.percentile(0.05),
            p10: self.percentile(0.1),
            p50: self.percentile(0.5),
            p90: self.percentile(0.9),
            p99: self.percentile(0.99),
            p99_9: self.percentile(0.999),
        }
    }
}

impl<T> Default for Histogram<T> {
    fn default() -> Histogram<T> {
        Histogram::new()
    }
}

/// The bucket of a value.
fn bucket_of(value: u64) -> usize {
    if value < BUCKETS_PER_POWER as u64 {
        return value as usize;
    }
    let power = value.ilog2();
    let within = (value >> (power - BUCKET_BITS)) as usize % BUCKETS_PER_POWER;
    (power - 1) as usize * BUCKETS_PER_POWER + within
}

/// The smallest value of a bucket.
fn first_of(bucket: usize) -> u64 {
    if bucket < BUCKETS_PER_POWER {
        return bucket as u64;
    }
    let power = bucket / BUCKETS_PER_POWER + 1;
    ((BUCKETS_PER_POWER + bucket % BUCKETS_PER_POWER) as u64) << (power - BUCKET_BITS as usize)
}

/// What a histogram says in a few numbers: each percentile is the start of its bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it: p99_9 is the 99.9th percentile")]
pub struct PercentileStats {
    /// Number of values.
    pub samples: u64,
    pub p0_1: u64,
    pub p1: u64,
    pub p5: u64,
    pub p10: u64,
    pub p50: u64,
    pub p90: u64,
    pub p99: u64,
    pub p99_9: u64,
}

impl fmt::Display for PercentileStats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let PercentileStats { samples, p0_1, p1, p5, p10, p50, p90, p99, p99_9 } = self;
        write!(f, "samples {samples}: p0.1 {p0_1} p1 {p1} p5 {p5} p10 {p10} p50 {p50} p90 {p90} p99 {p99} ")?;
        write!(f, "p99.9 {p99_9}")
    }
}

/// Histograms with names, as text: a line each.
#[derive(Clone, Debug)]
pub struct AsciiChart<T = ()> {
    series: Vec<(String, Histogram<T>)>,
}

impl<T> AsciiChart<T> {
    /// A chart without lines.
    pub fn new() -> AsciiChart<T> {
        AsciiChart { series: Vec::new() }
    }

    /// The chart with one line more.
    #[allow(clippy::should_implement_trait, reason = "openraft's name for it")]
    pub fn add(mut self, name: &str, histogram: Histogram<T>) -> AsciiChart<T> {
        self.series.push((name.to_owned(), histogram));
        self
    }
}

impl<T> Default for AsciiChart<T> {
    fn default() -> AsciiChart<T> {
        AsciiChart::new()
    }
}

impl<T> fmt::Display for AsciiChart<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.series.iter().try_for_each(|(name, line)| writeln!(f, "{name}: {}", line.percentile_stats()))
    }
}

#[cfg(test)]
mod tests;
