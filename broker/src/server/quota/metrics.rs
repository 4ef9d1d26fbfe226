//! How long clients were told to rest, by quota.

use std::time::Duration;

use prometheus::{Histogram, HistogramOpts, HistogramVec, Registry};
use tidemark_core::metadata::QuotaKey;

/// Upper bounds in seconds: from a breath to a window and beyond.
const REST_BUCKETS: [f64; 8] = [0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 60.0];

/// Rests by quota, in the order of [`QuotaKey::ALL`].
pub(super) struct QuotaMetrics {
    rests: Vec<(QuotaKey, Histogram)>,
}

impl QuotaMetrics {
    pub(super) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let options = HistogramOpts::new(
            "tidemark_quota_throttle_seconds",
            "How long clients over a quota were told to rest.",
        );
        let all = HistogramVec::new(options.buckets(REST_BUCKETS.to_vec()), &["quota"])?;
        registry.register(Box::new(all.clone()))?;
        let rests = QuotaKey::ALL.into_iter().map(|key| (key, all.with_label_values(&[key.name()])));
        Ok(QuotaMetrics { rests: rests.collect() })
    }

    /// A client was told to rest.
    pub(super) fn throttled(&self, key: QuotaKey, rest: Duration) {
        if let Some((_, rests)) = self.rests.iter().find(|(of, _)| *of == key) {
            rests.observe(rest.as_secs_f64());
        }
    }
}
