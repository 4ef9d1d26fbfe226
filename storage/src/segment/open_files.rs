//! The segments that have their file open or their index in memory for readers, of all logs of a broker, bounded.
//!
//! Segments being written are not counted: their number is that of the busy partitions.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::Segment;
use crate::metrics::LogMetrics;

/// A bounded set of open segments. The one not used for longest (roughly: second chance) is closed for a new one.
#[derive(Debug)]
pub struct OpenFiles {
    max: usize,
    queue: Mutex<VecDeque<Weak<Segment>>>,
    metrics: Arc<LogMetrics>,
}

impl OpenFiles {
    /// At most `max` segments stay open.
    pub fn new(max: usize, metrics: Arc<LogMetrics>) -> Self {
        OpenFiles { max, queue: Mutex::default(), metrics }
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
