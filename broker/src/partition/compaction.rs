//! [`CompactionState`]: the compaction of one partition as its writer keeps it. The log thread starts and ends runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// The compaction of one partition.
#[derive(Debug, Default)]
pub(super) struct CompactionState {
    /// Set to stop the run on another thread; `None` when none runs.
    pub(super) running: Option<Arc<AtomicBool>>,
    /// Not looked at before this.
    pub(super) not_before: Duration,
}

impl CompactionState {
    /// Stops a run; its result is not wanted any more.
    pub(super) fn cancel(&self) {
        if let Some(running) = &self.running {
            running.store(true, Ordering::Relaxed);
        }
    }
}
