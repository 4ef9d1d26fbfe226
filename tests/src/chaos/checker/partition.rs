//! What is known of one partition: who wrote what when, and what was seen where.

use std::collections::{BTreeMap, HashMap};

use super::{Kind, at};

/// An offset before all others.
const NOWHERE: i64 = -1;

/// A record somebody wanted to write.
struct Record {
    process: u32,
    outcome: Kind,
    idempotent: bool,
    /// The largest offset acknowledged before it was sent: it must come behind.
    floor: i64,
    polled: bool,
    read_last: bool,
}

/// Two records that a reader got one after the other, with room between.
struct Gap {
    process: u32,
    from: i64,
    to: i64,
}

/// See the module.
#[derive(Default)]
pub(super) struct Partition {
    records: HashMap<u64, Record>,
    /// What was seen at each offset first, in polls and answers to sends.
    log: BTreeMap<i64, u64>,
    acked_max: Option<i64>,
    polled_max: Option<i64>,
    /// Where each reader stands.
    readers: HashMap<u32, i64>,
    gaps: Vec<Gap>,
    /// Ends below which an answer to a question under way would be stale.
    lists: BTreeMap<u64, i64>,
    listed_max: i64,
    read_all: Option<i64>,
    pub(super) now: u64,
    violations: Vec<(&'static str, String)>,
}

impl Partition {
    pub(super) fn send_begins(&mut self, process: u32, value: u64, idempotent: bool) {
        let floor = self.acked_max.unwrap_or(NOWHERE);
        let outcome = Kind::Info;
        let record = Record { process, outcome, idempotent, floor, polled: false, read_last: false };
        self.records.insert(value, record);
    }

    pub(super) fn send_ends(&mut self, value: u64, kind: Kind, offset: Option<i64>) {
        if let Some(record) = self.records.get_mut(&value) {
            record.outcome = kind;
        }
        if let (Kind::Ok, Some(offset)) = (kind, offset) {
            self.see(offset, value, "acknowledged");
            self.acked_max = self.acked_max.max(Some(offset));
        }
    }

    pub(super) fn polled(&mut self, process: u32, records: &[(i64, u64)], last: bool) {
        for (offset, value) in records {
            self.see(*offset, *value, "read");
            if let Some(record) = self.records.get_mut(value) {
                record.polled = true;
                record.read_last |= last;
            } else {
                self.wrong("C3 phantom", format!("value {value} at {offset} was never sent"));
            }
            if let Some(before) = self.readers.insert(process, *offset) {
                if *offset <= before {
                    let text = format!("process {process} read {offset} after {before}");
                    self.wrong("C9 read goes back", text);
                } else if *offset > before + 1 {
                    self.gaps.push(Gap { process, from: before, to: *offset });
                }
            }
            self.polled_max = self.polled_max.max(Some(*offset));
        }
    }

    pub(super) fn reassigned(&mut self, process: u32) {
        self.readers.remove(&process);
    }

    pub(super) fn read_all(&mut self, end: i64) {
        self.read_all = Some(end);
    }

    pub(super) fn list_begins(&mut self, id: u64) {
        let behind = |max: Option<i64>| max.map_or(0, |offset| offset + 1);
        let floor = behind(self.acked_max).max(behind(self.polled_max)).max(self.listed_max);
        self.lists.insert(id, floor);
    }

    pub(super) fn list_lost(&mut self, id: u64) {
        self.lists.remove(&id);
    }

    pub(super) fn list_ends(&mut self, id: u64, end: i64) {
        let Some(floor) = self.lists.remove(&id) else { return };
        if end < floor {
            self.wrong("C13 stale end", format!("the end was {end} after it had been {floor}"));
        }
        self.listed_max = self.listed_max.max(end);
    }

    fn see(&mut self, offset: i64, value: u64, how: &str) {
        let first = *self.log.entry(offset).or_insert(value);
        if first != value {
            let text = format!("offset {offset} held {first} and then {value} ({how})");
            self.wrong("C1 two values at an offset", text);
        }
    }

    fn wrong(&mut self, check: &'static str, text: String) {
        self.violations.push((check, at(self.now) + &text));
    }

    pub(super) fn finish(mut self) -> Vec<(&'static str, String)> {
        self.check_places();
        self.check_gaps();
        self.check_losses();
        self.violations
    }

    /// C2, C3, C10, C12: each record beside its writer.
    fn check_places(&mut self) {
        let mut first_seen: HashMap<u64, i64> = HashMap::new();
        // The largest value of each process so far, of those that were acknowledged.
        let mut last_of: HashMap<u32, (u64, i64)> = HashMap::new();
        for (offset, value) in &self.log {
            let Some(record) = self.records.get(value) else { continue };
            if *offset <= record.floor {
                let text = format!(
                    "{value} is at {offset}, though {} was acknowledged before it was sent",
                    record.floor
                );
                self.violations.push(("C12 order in time", text));
            }
            if record.outcome == Kind::Fail {
                self.violations.push(("C3 failed and read", format!("{value} at {offset}")));
            }
            if let Some(first) = first_seen.insert(*value, *offset) {
                if record.idempotent {
                    self.violations.push(("C2 duplicate", format!("{value} is at {first} and at {offset}")));
                }
                continue;
            }
            // Without idempotence a record that is sent again may be overtaken.
            if record.outcome == Kind::Ok && record.idempotent {
                let last = last_of.entry(record.process).or_insert((*value, *offset));
                if *value < last.0 {
                    let text = format!(
                        "process {}: {value} at {offset} is behind {} at {}",
                        record.process, last.0, last.1
                    );
                    self.violations.push(("C10 order of a producer", text));
                } else {
                    *last = (*value, *offset);
                }
            }
        }
    }

    /// C9: what others saw where a reader saw nothing.
    fn check_gaps(&mut self) {
        for gap in &self.gaps {
            if let Some((offset, value)) = self.log.range(gap.from + 1..gap.to).next() {
                let Gap { process, from, to } = gap;
                let text = format!("process {process} read {to} after {from}; {offset} holds {value}");
                self.violations.push(("C9 read skips", text));
            }
        }
    }

    /// C4, C5: what is proven to be there, against the reading of everything.
    fn check_losses(&mut self) {
        let Some(end) = self.read_all else {
            if !self.records.is_empty() {
                self.violations
                    .push(("C5 unseen", "everything was to be read in the end, and was not".to_owned()));
            }
            return;
        };
        let mut lost: Vec<(u64, &Record)> = self
            .records
            .iter()
            .filter(|(_, record)| !record.read_last && (record.outcome == Kind::Ok || record.polled))
            .map(|(value, record)| (*value, record))
            .collect();
        lost.sort_by_key(|(value, _)| *value);
        for (value, record) in lost {
            let how = if record.outcome == Kind::Ok { "acknowledged" } else { "read" };
            let place = self.log.iter().find(|(_, seen)| **seen == value).map(|(offset, _)| *offset);
            let text = format!(
                "{value} of process {} was {how} (offset {place:?}); the log ends at {end}",
                record.process
            );
            let check = if place.is_some_and(|offset| offset >= end) { "C5 unseen" } else { "C4 lost" };
            self.violations.push((check, text));
        }
    }
}
