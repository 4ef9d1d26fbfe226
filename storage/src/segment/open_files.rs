//! The segments that have their file open or their index in memory for readers, of all logs of a broker, bounded.
//!
//! Segments being written stay open: their number is that of the busy partitions. They are counted, so that those that
//! are idle are let go of sooner when there are many.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::Segment;
use crate::metrics::LogMetrics;

/// A bounded set of open segments. The one not used for longest (roughly: second chance) is closed for a new one.
#[derive(Debug)]
pub struct OpenFiles {
    max: usize,
    busy: AtomicUsize,
    queue: Mutex<VecDeque<Weak<Segment>>>,
    metrics: Arc<LogMetrics>,
}

impl OpenFiles {
    /// At most `max` segments stay open.
    pub fn new(max: usize, metrics: Arc<LogMetrics>) -> Self {
        OpenFiles { max, busy: AtomicUsize::new(0), queue: Mutex::default(), metrics }
    }

    /// A segment is being written from now on, or no longer.
    pub(super) fn on_busy(&self, busy: bool) {
        if busy {
            self.busy.fetch_add(1, Ordering::Relaxed);
        } else {
            self.busy.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Whether more segments are held open for their writers than readers may hold.
    pub fn is_crowded(&self) -> bool {
        self.busy.load(Ordering::Relaxed) > self.max
    }

    /// A segment that is not being written has been opened. Call without holding its lock.
    pub(super) fn on_opened(&self, segment: &Arc<Segment>) {
        let mut closing = Vec::new();
        {
            let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
            queue.push_back(Arc::downgrade(segment));
            self.metrics.open_segments.add(1);
            // Each entry gets one second chance, so that two turns always find one to close.
            let mut turns = 2 * queue.len();
            while queue.len() > self.max && turns > 0 {
                turns -= 1;
                let Some(weak) = queue.pop_front() else { break };
                match weak.upgrade() {
                    Some(other) if turns > 0 && other.was_used() => queue.push_back(weak),
                    other => {
                        self.metrics.open_segments.sub(1);
                        closing.extend(other);
                    }
                }
            }
        }
        for segment in closing {
            segment.close();
        }
    }
}
