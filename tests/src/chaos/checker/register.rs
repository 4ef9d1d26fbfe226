//! A committed offset as a register with one writer, whose values only grow: C14.

use std::collections::{BTreeMap, BTreeSet};

use super::{Kind, at};

/// What is known of one group's offset of one partition.
#[derive(Default)]
pub(super) struct Register {
    /// The last commit that was acknowledged.
    settled: Option<i64>,
    /// Commits nobody knows the end of: each may take effect at any later time.
    unsettled: BTreeSet<i64>,
    /// What was settled when these fetches began.
    fetches: BTreeMap<u64, Option<i64>>,
    pub(super) now: u64,
    pub(super) violations: Vec<String>,
}

impl Register {
    pub(super) fn commit(&mut self, kind: Kind, offset: i64) {
        match kind {
            Kind::Invoke => {
                self.unsettled.insert(offset);
            }
            Kind::Ok => {
                self.unsettled.remove(&offset);
                self.settled = self.settled.max(Some(offset));
            }
            Kind::Fail => {
                self.unsettled.remove(&offset);
            }
            Kind::Info => {}
        }
    }

    pub(super) fn fetch_begins(&mut self, id: u64) {
        self.fetches.insert(id, self.settled);
    }

    pub(super) fn fetch_lost(&mut self, id: u64) {
        self.fetches.remove(&id);
    }

    pub(super) fn fetch_ends(&mut self, id: u64, offset: Option<i64>) {
        let Some(settled) = self.fetches.remove(&id) else { return };
        let late = offset.is_some_and(|offset| self.unsettled.contains(&offset));
        if offset < settled && !late {
            let text = format!("{settled:?} was committed before {offset:?} was read");
            self.violations.push(at(self.now) + &text);
        }
    }
}
