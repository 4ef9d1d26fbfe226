//! [`Lease`]: until when this broker may serve what it leads, without having heard from the controller again.
//!
//! Written by the heartbeats (`liveness`) alone, read with each request. A controller fences a broker no sooner than one session
//! after it last heard of it, and only then do others lead its partitions: a broker that was cut off or stood still for so long
//! must not answer any more, since what it would tell may be out of date. Writes need no lease: without the others nothing is
//! committed.
//!
//! ```text
//!   beat sent ───────── lease ─────────▶│
//!        └─▶ heard ───────────── session ─────────────▶│ fenced, others lead
//! ```

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tidemark_protocol::types::Now;

/// A node that is a cluster by itself asks nobody.
const FOR_GOOD: u64 = u64::MAX;

/// The right to serve as a leader, for a while.
#[derive(Debug, Default)]
pub struct Lease {
    /// `Now::mono`, in microseconds.
    until: AtomicU64,
}

impl Lease {
    /// Whether what this broker leads may be served.
    pub fn is_held(&self, now: Now) -> bool {
        let until = self.until.load(Ordering::Relaxed);
        until == FOR_GOOD || micros(now.mono) < until
    }

    /// Nobody else could lead.
    pub(super) fn hold_for_good(&self) {
        self.until.store(FOR_GOOD, Ordering::Relaxed);
    }

    /// Somebody else could lead from `until` (`Now::mono`) on: the end of a lease that had none.
    pub(super) fn end_at(&self, until: Duration) {
        self.until.store(micros(until), Ordering::Relaxed);
    }

    /// The controller has heard of this broker. A lease is never shortened.
    pub(super) fn extend_to(&self, until: Duration) {
        self.until.fetch_max(micros(until), Ordering::Relaxed);
    }
}

fn micros(at: Duration) -> u64 {
    u64::try_from(at.as_micros()).unwrap_or(FOR_GOOD - 1).min(FOR_GOOD - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Now {
        Now { mono: Duration::from_millis(ms), wall_ms: 0 }
    }

    #[test]
    fn a_lease_ends_unless_it_is_extended() {
        let lease = Lease::default();
        assert!(!lease.is_held(at(0)), "nobody has heard of this broker yet");
        lease.extend_to(at(50).mono);
        assert!(lease.is_held(at(49)) && !lease.is_held(at(50)));
        lease.extend_to(at(40).mono);
        assert!(lease.is_held(at(49)), "an answer that comes late takes nothing back");
    }

    #[test]
    fn a_node_by_itself_serves_for_good_until_it_has_company() {
        let lease = Lease::default();
        lease.hold_for_good();
        assert!(lease.is_held(Now { mono: Duration::MAX, wall_ms: 0 }));
        lease.end_at(at(10).mono);
        assert!(lease.is_held(at(9)) && !lease.is_held(at(10)));
    }
}
