//! [`EventLog`]: the last things that happened in the cluster as this node saw them, for whoever asks on the admin port.
//!
//! Made from images: every node applies the same metadata, so each tells nearly the same story. Begins anew at each start.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;
use tidemark_core::metadata::events::{self, Event};
use tidemark_protocol::types::TimestampMs;

use crate::clock::Clock;
use crate::controller::ControllerHandle;

/// Events that are kept: some days of a quiet cluster, a few hundred KiB.
const EVENTS_MAX: usize = 1000;

/// An event and when this node heard of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Told {
    /// Wall clock.
    pub at_ms: TimestampMs,
    /// Index of the metadata log by which it had happened.
    pub index: u64,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
}

/// The last events, oldest first. Written by [`EventLog::follow`] alone.
#[derive(Default)]
pub struct EventLog {
    events: Mutex<VecDeque<Told>>,
}

impl EventLog {
    /// Events since then, oldest first, the last `limit` of them.
    pub fn since(&self, at_ms: TimestampMs, limit: usize) -> Vec<Told> {
        let events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        let told: Vec<Told> = events.iter().filter(|told| told.at_ms >= at_ms).cloned().collect();
        told[told.len().saturating_sub(limit)..].to_vec()
    }

    /// Notes what happens, until the controller stops.
    pub async fn follow(self: Arc<Self>, controller: ControllerHandle, clock: Clock) {
        let mut images = controller.watch();
        let mut seen = images.borrow_and_update().clone();
        let mut leader = None;
        while images.changed().await.is_ok() {
            let image = images.borrow_and_update().clone();
            let mut happened = Vec::new();
            let now = leader_of(&controller);
            if let Some(broker) = now.filter(|_| now != leader) {
                happened.push(elected(broker, controller.metrics().term));
                leader = now;
            }
            happened.extend(events::events(&seen, &image));
            self.push(happened, image.version, clock.now().wall_ms);
            seen = image;
        }
    }

    fn push(&self, happened: Vec<Event>, index: u64, at_ms: TimestampMs) {
        let mut events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        for event in happened {
            if events.len() == EVENTS_MAX {
                events.pop_front();
            }
            events.push_back(Told { at_ms, index, event });
        }
    }
}

/// The broker that leads the metadata quorum.
fn leader_of(controller: &ControllerHandle) -> Option<i32> {
    let leader = controller.metrics().leader?;
    controller.members().get(leader).map(|member| member.broker_id)
}

fn elected(broker: i32, term: u64) -> Event {
    let message = format!("broker {broker} is the controller, in term {term}");
    Event { kind: "controller_elected", broker: Some(broker), partitions: 0, message }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_events_are_kept_and_told() {
        let log = EventLog::default();
        for term in 0..1100 {
            log.push(vec![elected(1, term)], term, i64::try_from(term).expect("small"));
        }
        assert_eq!(log.since(0, usize::MAX).len(), EVENTS_MAX);
        assert_eq!(log.since(0, usize::MAX)[0].at_ms, 100);
        let last = log.since(1000, 10);
        assert_eq!((last.len(), last[0].at_ms, last[9].index), (10, 1090, 1099));
        assert!(log.since(5000, 10).is_empty());
    }
}
