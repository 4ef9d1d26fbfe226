//! The clock: the one place of the product that reads time.
//!
//! Everything else receives [`Now`] as an argument. A manual clock moves only when told to, so that tests of deadlines
//! need no sleeps. A `Clock` is cheap to clone; all clones show the same time.

use std::fmt;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tidemark_protocol::types::{Now, TimestampMs};

/// Where time comes from: the machine, or a test's hand.
#[derive(Clone)]
pub struct Clock {
    source: Source,
}

#[derive(Clone)]
enum Source {
    System { start: Instant },
    Skewed { start: Instant, by_ms: Arc<AtomicI64> },
    Manual(Arc<Mutex<Now>>),
}

impl Clock {
    /// The machine's clocks. Monotonic time counts from this call.
    #[allow(clippy::disallowed_methods, reason = "this file owns the clocks")]
    pub fn system() -> Clock {
        Clock { source: Source::System { start: Instant::now() } }
    }

    /// The machine's clocks, with a wall clock that is wrong by so many milliseconds at any time; for tests of brokers whose
    /// clocks do not agree.
    #[allow(clippy::disallowed_methods, reason = "this file owns the clocks")]
    pub fn skewed(by_ms: Arc<AtomicI64>) -> Clock {
        Clock { source: Source::Skewed { start: Instant::now(), by_ms } }
    }

    /// A clock that stands at `start` until [`Clock::advance`] moves it.
    pub fn manual(start: Now) -> Clock {
        Clock { source: Source::Manual(Arc::new(Mutex::new(start))) }
    }

    /// One reading of both clocks.
    #[allow(clippy::disallowed_methods, reason = "this file owns the clocks")]
    pub fn now(&self) -> Now {
        match &self.source {
            Source::System { start } => Now { mono: start.elapsed(), wall_ms: wall_ms(SystemTime::now()) },
            Source::Skewed { start, by_ms } => {
                let wall_ms = wall_ms(SystemTime::now()).saturating_add(by_ms.load(Ordering::Relaxed));
                Now { mono: start.elapsed(), wall_ms }
            }
            Source::Manual(now) => *now.lock().unwrap_or_else(PoisonError::into_inner),
        }
    }

    /// Moves a manual clock forward, both its readings; the system clock moves by itself and ignores this.
    pub fn advance(&self, by: Duration) {
        if let Source::Manual(now) = &self.source {
            let mut now = now.lock().unwrap_or_else(PoisonError::into_inner);
            now.mono += by;
            now.wall_ms = now.wall_ms.saturating_add(i64::try_from(by.as_millis()).unwrap_or(i64::MAX));
        }
    }

    /// Sets the wall clock of a manual clock, as an operator's clock step would.
    pub fn set_wall(&self, wall_ms: TimestampMs) {
        if let Source::Manual(now) = &self.source {
            now.lock().unwrap_or_else(PoisonError::into_inner).wall_ms = wall_ms;
        }
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match &self.source {
            Source::System { .. } => "system",
            Source::Skewed { .. } => "skewed",
            Source::Manual(_) => "manual",
        };
        f.debug_struct("Clock").field("kind", &kind).field("now", &self.now()).finish()
    }
}

/// Milliseconds since 1970; a clock before 1970 reads 0, one beyond the range of `i64` its end.
fn wall_ms(time: SystemTime) -> TimestampMs {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests;
