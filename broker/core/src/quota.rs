//! How much a client used lately and how long it must rest: Kafka's windowed rate (KIP-13) and its token bucket for
//! controller mutations (KIP-599), without a clock. Whoever holds one brings the time, which never goes back.

use std::collections::VecDeque;
use std::time::Duration;

/// How usage is sampled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuotaWindow {
    /// Samples kept, `quota.window.num`; at least 1.
    pub samples: u32,
    /// Length of a sample, `quota.window.size.seconds`; not zero.
    pub sample_time: Duration,
}

impl QuotaWindow {
    /// A window of `samples` samples of `seconds` each, both at least 1.
    pub fn new(samples: i32, seconds: i32) -> Self {
        let at_least_one = |value: i32| u32::try_from(value).unwrap_or(1).max(1);
        let sample_time = Duration::from_secs(at_least_one(seconds).into());
        QuotaWindow { samples: at_least_one(samples), sample_time }
    }

    /// What may pass at once where `quota` units may pass in a second.
    pub fn allowance(&self, quota: f64) -> f64 {
        quota * self.whole_samples().as_secs_f64()
    }

    /// All samples but the one that is filling.
    fn whole_samples(&self) -> Duration {
        self.sample_time.saturating_mul((self.samples - 1).max(1))
    }

    fn all_samples(&self) -> Duration {
        self.sample_time.saturating_mul(self.samples)
    }
}

/// Usage of one quota over a sliding window, in units: bytes, percent of a thread, connections.
///
/// A young window counts as if all its samples but one had passed, so that a first burst is not taken for a rate.
#[derive(Clone, Debug)]
pub struct WindowedRate {
    window: QuotaWindow,
    samples: VecDeque<Sample>,
}

#[derive(Clone, Copy, Debug)]
struct Sample {
    start: Duration,
    units: f64,
}

impl WindowedRate {
    /// Nothing used yet.
    pub fn new(window: QuotaWindow) -> Self {
        WindowedRate { window, samples: VecDeque::new() }
    }

    /// Counts usage; negative units take back what was counted.
    pub fn record(&mut self, units: f64, now: Duration) {
        self.expire(now);
        match self.samples.back_mut() {
            Some(sample) if now.saturating_sub(sample.start) < self.window.sample_time => {
                sample.units += units;
            }
            _ => self.samples.push_back(Sample { start: now, units }),
        }
    }

    /// Units a second.
    pub fn rate(&mut self, now: Duration) -> f64 {
        self.expire(now);
        let total: f64 = self.samples.iter().map(|sample| sample.units).sum();
        total / self.elapsed(now).as_secs_f64()
    }

    /// How long to rest until the rate is down to `quota` units a second; zero within it.
    pub fn rest(&mut self, quota: f64, now: Duration) -> Duration {
        let rate = self.rate(now);
        if rate <= quota {
            return Duration::ZERO;
        }
        let seconds = (rate - quota) / quota * self.elapsed(now).as_secs_f64();
        Duration::try_from_secs_f64(seconds).unwrap_or(REST_TIME_MAX).min(REST_TIME_MAX)
    }

    /// Whether nothing is counted any more.
    pub fn is_idle(&mut self, now: Duration) -> bool {
        self.expire(now);
        self.samples.iter().all(|sample| sample.units <= 0.0)
    }

    /// The time that the samples stand for.
    fn elapsed(&self, now: Duration) -> Duration {
        let elapsed = self.samples.front().map_or(Duration::ZERO, |oldest| now.saturating_sub(oldest.start));
        let full = elapsed.as_nanos() / self.window.sample_time.as_nanos();
        let missing = u128::from(self.window.samples - 1).saturating_sub(full);
        let missing = self.window.sample_time.saturating_mul(u32::try_from(missing).unwrap_or(u32::MAX));
        (elapsed + missing).max(self.window.sample_time)
    }

    fn expire(&mut self, now: Duration) {
        let span = self.window.all_samples();
        while self.samples.front().is_some_and(|sample| now.saturating_sub(sample.start) >= span) {
            self.samples.pop_front();
        }
    }
}

/// Tokens of one quota: refilled at its rate, spent by mutations, allowed to go below zero once.
#[derive(Clone, Copy, Debug)]
pub struct TokenBucket {
    window: QuotaWindow,
    /// Left after the last spending; `None` while full.
    left: Option<(f64, Duration)>,
}

impl TokenBucket {
    /// A full bucket.
    pub fn new(window: QuotaWindow) -> Self {
        TokenBucket { window, left: None }
    }

    /// Spends tokens, below zero if need be.
    pub fn spend(&mut self, tokens: f64, quota: f64, now: Duration) {
        self.left = Some((self.tokens(quota, now) - tokens, now));
    }

    /// How long to rest until no token is owed.
    pub fn rest(&self, quota: f64, now: Duration) -> Duration {
        let owed = -self.tokens(quota, now);
        if owed <= 0.0 {
            return Duration::ZERO;
        }
        Duration::try_from_secs_f64(owed / quota).unwrap_or(REST_TIME_MAX).min(REST_TIME_MAX)
    }

    /// Whether it is full again where `quota` tokens a second come in.
    pub fn is_full(&self, quota: f64, now: Duration) -> bool {
        self.tokens(quota, now) >= self.burst(quota)
    }

    fn tokens(&self, quota: f64, now: Duration) -> f64 {
        let burst = self.burst(quota);
        self.left.map_or(burst, |(left, at)| (left + quota * now.saturating_sub(at).as_secs_f64()).min(burst))
    }

    fn burst(&self, quota: f64) -> f64 {
        quota * self.window.all_samples().as_secs_f64()
    }
}

/// Longest rest: a client that overran its quota a thousand times is still served once an hour.
const REST_TIME_MAX: Duration = Duration::from_secs(3600);

#[cfg(test)]
mod tests;
