//! [`events`]: what happened between two images, in words an operator reads; changes of partitions in bulk.

use std::collections::BTreeMap;

use imbl::ordmap::DiffItem;
use serde::Serialize;
use tidemark_protocol::types::BrokerId;

use super::image::{BrokerRegistration, ClusterImage, PartitionImage, TopicImage};

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Event {
    /// What, for scripts, as `broker_fenced`.
    pub kind: &'static str,
    /// The broker it is about, if it is about one.
    pub broker: Option<BrokerId>,
    /// Partitions it is about; 0 where it is about none.
    pub partitions: usize,
    /// What, for people.
    pub message: String,
}

/// What became of partitions.
#[derive(Default)]
struct Bulk {
    /// By leader before and leader after.
    leaders: BTreeMap<(BrokerId, BrokerId), usize>,
    began: usize,
    ended: usize,
    shrunk: usize,
    grown: usize,
}

/// What happened from `old` to `new`: brokers first, since the rest follows from them. Costs what changed.
pub fn events(old: &ClusterImage, new: &ClusterImage) -> Vec<Event> {
    let mut events = Vec::new();
    for change in old.brokers.diff(&new.brokers) {
        match change {
            DiffItem::Add(id, broker) => events.push(registered(*id, broker)),
            DiffItem::Remove(id, _) => {
                events.push(of(*id, "broker_unregistered", format!("broker {id} is forgotten")));
            }
            DiffItem::Update { old, new } => of_broker(old.1, new.1, &mut events),
        }
    }
    for change in old.drains.diff(&new.drains) {
        let (id, kind, what) = match change {
            DiffItem::Remove(id, _) if !new.brokers.contains_key(id) => continue,
            DiffItem::Remove(id, _) => (*id, "drain_ended", "may lead again"),
            DiffItem::Add(id, drain) | DiffItem::Update { new: (id, drain), .. } if drain.leaves => {
                (*id, "decommission_began", "is being decommissioned: its replicas move to others")
            }
            DiffItem::Add(id, _) | DiffItem::Update { new: (id, _), .. } => {
                (*id, "drain_began", "is drained: others lead")
            }
        };
        events.push(of(id, kind, format!("broker {id} {what}")));
    }
    let mut bulk = Bulk::default();
    for change in old.topics.diff(&new.topics) {
        match change {
            DiffItem::Add(_, topic) => {
                let message = format!("topic {} was created", topic.name);
                events.push(of_partitions("topic_created", topic.partitions.len(), message));
            }
            DiffItem::Remove(_, topic) => {
                let message = format!("topic {} was deleted", topic.name);
                events.push(of_partitions("topic_deleted", topic.partitions.len(), message));
            }
            DiffItem::Update { old, new } => bulk.compare(old.1, new.1),
        }
    }
    bulk.tell(&mut events);
    events
}

fn registered(id: BrokerId, broker: &BrokerRegistration) -> Event {
    of(id, "broker_registered", format!("broker {id} registered with epoch {}", broker.epoch))
}

fn of_broker(old: &BrokerRegistration, new: &BrokerRegistration, events: &mut Vec<Event>) {
    let id = new.id;
    if old.epoch != new.epoch {
        events.push(registered(id, new));
    }
    if new.in_controlled_shutdown && !old.in_controlled_shutdown {
        events.push(of(id, "broker_stopping", format!("broker {id} hands over to stop")));
    }
    match (old.fenced, new.fenced) {
        (false, true) => {
            let why =
                if new.in_controlled_shutdown || old.epoch != new.epoch { "" } else { ": it fell silent" };
            events.push(of(id, "broker_fenced", format!("broker {id} is fenced{why}")));
        }
        (true, false) => events.push(of(id, "broker_unfenced", format!("broker {id} serves"))),
        _ => {}
    }
}

impl Bulk {
    fn compare(&mut self, old: &TopicImage, new: &TopicImage) {
        for (old, new) in old.partitions.iter().zip(&new.partitions) {
            self.compare_one(old, new);
        }
    }

    fn compare_one(&mut self, old: &PartitionImage, new: &PartitionImage) {
        if old.leader != new.leader {
            *self.leaders.entry((old.leader, new.leader)).or_default() += 1;
        }
        self.began += usize::from(!old.is_moving() && new.is_moving());
        self.ended += usize::from(old.is_moving() && !new.is_moving());
        self.shrunk += usize::from(new.isr.len() < old.isr.len());
        self.grown += usize::from(new.isr.len() > old.isr.len());
    }

    fn tell(&self, events: &mut Vec<Event>) {
        for ((from, to), count) in &self.leaders {
            let partitions = counted(*count);
            let (kind, broker, message) = match (*from, *to) {
                (from, -1) => (
                    "partitions_offline",
                    from,
                    format!("no leader any more after broker {from}: {partitions}"),
                ),
                (-1, to) => {
                    ("partitions_online", to, format!("broker {to} leads what had no leader: {partitions}"))
                }
                (from, to) => {
                    ("leaders_moved", to, format!("leader moved from broker {from} to {to}: {partitions}"))
                }
            };
            events.push(Event { kind, broker: Some(broker), partitions: *count, message });
        }
        for (kind, count, what) in [
            ("isr_shrunk", self.shrunk, "fewer replicas in sync"),
            ("isr_grown", self.grown, "more replicas in sync"),
            ("reassignments_began", self.began, "reassignment began"),
            ("reassignments_ended", self.ended, "reassignment ended"),
        ] {
            if count > 0 {
                events.push(of_partitions(kind, count, format!("{what}: {}", counted(count))));
            }
        }
    }
}

fn counted(count: usize) -> String {
    if count == 1 { "1 partition".to_owned() } else { format!("{count} partitions") }
}

fn of(broker: BrokerId, kind: &'static str, message: String) -> Event {
    Event { kind, broker: Some(broker), partitions: 0, message }
}

fn of_partitions(kind: &'static str, partitions: usize, message: String) -> Event {
    Event { kind, broker: None, partitions, message }
}

#[cfg(test)]
mod tests;
