//! Recent batches kept in memory, so that readers near the end of a log cost no disk.

use std::sync::atomic::AtomicUsize;

/// Memory of all tails of a broker, in bytes. A log that pushes it over the limit lets go of its own oldest batches.
#[derive(Debug)]
pub struct TailBudget {
    #[allow(dead_code)]
    used: AtomicUsize,
    max: usize,
}

impl TailBudget {
    /// A budget of `max` bytes; 0 keeps nothing in memory.
    pub fn new(max: usize) -> Self {
        TailBudget { used: AtomicUsize::new(0), max }
    }

    /// The limit, bytes.
    pub fn max(&self) -> usize {
        self.max
    }
}
