//! [`SyncTimes`]: how long syncs took, as a histogram that log threads add to and telemetry reads.

use tidemark_storage::metrics::Counter;

/// Upper bounds of the buckets in microseconds: from a disk with a battery behind its cache to one that is about to fail.
pub const BOUNDS_MICROS: [u64; 15] = [
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000,
    2_500_000, 10_000_000,
];

/// Syncs by how long they took.
#[derive(Debug, Default)]
pub struct SyncTimes {
    count: Counter,
    micros: Counter,
    /// Syncs of each bucket alone; longer ones than the last bound are in `count` only.
    buckets: [Counter; BOUNDS_MICROS.len()],
}

impl SyncTimes {
    /// One sync took so long.
    pub fn observe(&self, micros: u64) {
        self.count.add(1);
        self.micros.add(micros);
        if let Some(bucket) = self.buckets.get(BOUNDS_MICROS.partition_point(|bound| *bound < micros)) {
            bucket.add(1);
        }
    }

    /// Number of syncs.
    pub fn count(&self) -> u64 {
        self.count.get()
    }

    /// Time of all syncs.
    pub fn seconds(&self) -> f64 {
        self.micros.get() as f64 / 1e6
    }

    /// For each bound, in seconds, how many syncs took no longer.
    pub fn cumulative(&self) -> Vec<(f64, u64)> {
        let mut sum = 0;
        let bounds = BOUNDS_MICROS.iter().zip(&self.buckets);
        bounds
            .map(|(bound, bucket)| {
                sum += bucket.get();
                (*bound as f64 / 1e6, sum)
            })
            .collect()
    }
}

#[cfg(test)]
mod tests;
