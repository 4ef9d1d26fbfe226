//! [`FetchPace`]: keeps a consumer at the tail of a fast log from being answered for every few batches.
//!
//! At tens of MiB a second each round of the writer has something new, and a consumer that asks again at once gets an
//! answer for each round: thousands a second, and most of what they cost is not the bytes. Such a consumer is answered
//! at most about once a millisecond; its answers then carry what gathered. A slower log, a consumer that is behind (its
//! answers are large) and the first answer after a pause never wait.
//!
//! One connection has one pace; its requests are answered one after another.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Least time between two answers to a paced consumer. Timers fire on whole milliseconds: it is one to two.
const PACE: Duration = Duration::from_millis(1);
/// Consumers that take less need no pacing: their answers are few.
const PACED_FROM_BYTES_PER_SECOND: f64 = 16.0 * 1024.0 * 1024.0;
/// An answer of more is worth its cost: the consumer is catching up, or the batches are large.
const SMALL_BYTES_MAX: usize = 256 * 1024;
/// How far back the average of the consumer's speed looks.
const MEMORY: Duration = Duration::from_millis(100);

/// How fast one consumer is answered.
#[derive(Debug, Default)]
pub struct FetchPace(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// When the last answer with records was made.
    answered: Duration,
    /// It was small, and not because of the consumer's limits.
    was_small: bool,
    bytes_per_second: f64,
}

impl FetchPace {
    /// How long to let records gather before the log is read for a request that came at `now`.
    pub fn hold(&self, now: Duration) -> Duration {
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !state.was_small || state.bytes_per_second < PACED_FROM_BYTES_PER_SECOND {
            return Duration::ZERO;
        }
        (state.answered + PACE).saturating_sub(now)
    }

    /// An answer with `bytes` of records was made at `now`; `with_room` if its limits were far from reached.
    pub fn answered(&self, now: Duration, bytes: usize, with_room: bool) {
        if bytes == 0 {
            return;
        }
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let elapsed = now.saturating_sub(state.answered).max(Duration::from_micros(1)).as_secs_f64();
        let speed = bytes as f64 / elapsed;
        state.bytes_per_second +=
            (speed - state.bytes_per_second) * elapsed / (elapsed + MEMORY.as_secs_f64());
        state.was_small = with_room && bytes <= SMALL_BYTES_MAX;
        state.answered = now;
    }
}

#[cfg(test)]
mod tests;
