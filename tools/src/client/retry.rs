//! Trying again: growing pauses until a deadline.

use std::time::Duration;

use tokio::time::Instant;

use super::error::ClientError;

/// First pause between two attempts.
const PAUSE_MIN: Duration = Duration::from_millis(50);
/// Longest pause between two attempts.
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// The attempts of one operation.
pub struct Retry {
    deadline: Instant,
    pause: Duration,
}

impl Retry {
    /// Attempts for at most `within` from now.
    pub fn new(within: Duration) -> Retry {
        Retry { deadline: Instant::now() + within, pause: PAUSE_MIN }
    }

    /// Waits before the next attempt; gives the error back when another attempt is useless or too late.
    pub async fn after(&mut self, error: ClientError) -> Result<(), ClientError> {
        if !error.is_retriable() || Instant::now() + self.pause >= self.deadline {
            return Err(error);
        }
        tokio::time::sleep(self.pause).await;
        self.pause = (self.pause * 2).min(PAUSE_MAX);
        Ok(())
    }
}
