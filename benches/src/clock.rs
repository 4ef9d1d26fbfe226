//! The only place that reads clocks and sleeps: a bench measures real time.
#![allow(clippy::disallowed_methods, reason = "this file owns the clocks of the benches")]

use std::time::{Duration, Instant, SystemTime};

/// Now, for durations.
pub fn now() -> Instant {
    Instant::now()
}

/// Now, in milliseconds since 1970, for record timestamps.
pub fn wall_ms() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// Sleeps; the kernel wakes within some 50 µs of the end.
pub fn sleep(time: Duration) {
    std::thread::sleep(time);
}

/// Sleeps until `at`, not at all when it has passed.
pub fn sleep_until(at: Instant) {
    let left = at.saturating_duration_since(now());
    if !left.is_zero() {
        sleep(left);
    }
}
