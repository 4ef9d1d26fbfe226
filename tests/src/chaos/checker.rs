//! [`Checker`]: reads a history event by event and says what in it must never happen.
//!
//! The names of the checks are those of the project's list: C1 one value at an offset, C2 no duplicates of idempotent
//! producers, C3 nothing that failed is read, C4 nothing proven is lost, C5 nothing acknowledged stays unseen, C8 and C9 reads
//! go on without gaps and never back, C10 a producer's records stay in order, C12 order in real time, C13 the end of a
//! partition is fresh, C14 committed offsets are registers, C18 replicas are equal, C21 sequences have neither gaps nor repeats.
//! C22 to C24 are seen by the run itself and come in as [`Op::Found`].

use std::collections::BTreeMap;

use super::history::{Event, Kind, Op};

mod partition;
mod register;
pub mod replicas;

use partition::Partition;
use register::Register;

/// What must not have happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which check.
    pub check: String,
    /// Partition, or what else it is about.
    pub about: String,
    /// What was seen.
    pub text: String,
}

/// Where in the history something was seen.
fn at(nanoseconds: u64) -> String {
    format!("at {}.{:03} s: ", nanoseconds / 1_000_000_000, nanoseconds / 1_000_000 % 1000)
}

impl Violation {
    fn new(check: &str, about: &str, text: String) -> Violation {
        Violation { check: check.to_owned(), about: about.to_owned(), text }
    }
}

/// Reads a history. See the module.
#[derive(Default)]
pub struct Checker {
    partitions: BTreeMap<String, Partition>,
    registers: BTreeMap<(String, String), Register>,
    violations: Vec<Violation>,
    /// Time of the event that is taken, nanoseconds.
    now: u64,
}

impl Checker {
    /// Takes the next event; events come in the order of their times.
    pub fn take(&mut self, event: &Event) {
        let Event { t, process, id, kind, op, .. } = event;
        self.now = *t;
        match op {
            Op::Send { key, value, offset, idempotent } => {
                let partition = self.partition(key);
                match kind {
                    Kind::Invoke => partition.send_begins(*process, *value, *idempotent),
                    kind => partition.send_ends(*value, *kind, *offset),
                }
            }
            Op::Poll { key, records, last } => self.partition(key).polled(*process, records, *last),
            Op::Assign => {
                for partition in self.partitions.values_mut() {
                    partition.reassigned(*process);
                }
            }
            Op::ReadAll { key, end } => self.partition(key).read_all(*end),
            Op::ListLatest { key, offset } => {
                let partition = self.partition(key);
                match (kind, offset) {
                    (Kind::Invoke, _) => partition.list_begins(*id),
                    (Kind::Ok, Some(end)) => partition.list_ends(*id, *end),
                    _ => partition.list_lost(*id),
                }
            }
            Op::Commit { group, key, offset } => self.register(group, key).commit(*kind, *offset),
            Op::FetchOffset { group, key, offset } => {
                let register = self.register(group, key);
                match kind {
                    Kind::Invoke => register.fetch_begins(*id),
                    Kind::Ok => register.fetch_ends(*id, *offset),
                    _ => register.fetch_lost(*id),
                }
            }
            Op::Found { check, text } => self.violations.push(Violation::new(check, "run", text.clone())),
            Op::Admin { .. } | Op::Fault { .. } | Op::Heal | Op::Served { .. } | Op::Whole { .. } => {}
        }
    }

    /// Everything that is wrong, once the whole history was taken.
    pub fn finish(mut self) -> Vec<Violation> {
        for (key, partition) in self.partitions {
            self.violations.extend(
                partition.finish().into_iter().map(|(check, text)| Violation::new(check, &key, text)),
            );
        }
        for ((group, key), register) in self.registers {
            let about = format!("group {group}, {key}");
            self.violations.extend(
                register
                    .violations
                    .into_iter()
                    .map(|text| Violation::new("C14 committed offsets", &about, text)),
            );
        }
        self.violations
    }

    fn partition(&mut self, key: &str) -> &mut Partition {
        if !self.partitions.contains_key(key) {
            self.partitions.insert(key.to_owned(), Partition::default());
        }
        let partition = self.partitions.get_mut(key).expect("it was just put there");
        partition.now = self.now;
        partition
    }

    fn register(&mut self, group: &str, key: &str) -> &mut Register {
        let register = self.registers.entry((group.to_owned(), key.to_owned())).or_default();
        register.now = self.now;
        register
    }
}

#[cfg(test)]
mod tests;
