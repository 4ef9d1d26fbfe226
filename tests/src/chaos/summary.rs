//! [`Summary`]: how much was done and how long clients had to wait, as a table.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::history::{Event, Kind, Op};

/// Counts while the history is read.
#[derive(Default)]
pub struct Summary {
    /// Operation → begun, ok, failed, unknown.
    operations: BTreeMap<&'static str, [u64; 4]>,
    records_read: u64,
    faults: BTreeMap<String, u64>,
    /// Partition → time of its last acknowledgement, and the longest time without one.
    waits: BTreeMap<String, (u64, u64)>,
    served: BTreeMap<String, u64>,
    whole: Vec<u64>,
    heals: u64,
    end: u64,
}

impl Summary {
    /// Takes the next event.
    pub fn take(&mut self, event: &Event) {
        self.end = event.t;
        let name = match &event.op {
            Op::Send { key, .. } => {
                if event.kind == Kind::Ok {
                    let (last, longest) = self.waits.entry(key.clone()).or_insert((event.t, 0));
                    *longest = (*longest).max(event.t - *last);
                    *last = event.t;
                }
                "send"
            }
            Op::Poll { records, .. } => {
                self.records_read += records.len() as u64;
                return;
            }
            Op::Commit { .. } => "commit",
            Op::FetchOffset { .. } => "fetch offset",
            Op::ListLatest { .. } => "list end",
            Op::Admin { .. } => "admin",
            Op::Fault { sort, .. } => {
                *self.faults.entry(sort.clone()).or_default() += 1;
                return;
            }
            Op::Heal => {
                self.heals += 1;
                return;
            }
            Op::Served { key, ms } => {
                let longest = self.served.entry(key.clone()).or_default();
                *longest = (*longest).max(*ms);
                return;
            }
            Op::Whole { ms } => return self.whole.push(*ms),
            Op::Assign | Op::ReadAll { .. } | Op::Found { .. } => return,
        };
        let at = match event.kind {
            Kind::Invoke => 0,
            Kind::Ok => 1,
            Kind::Fail => 2,
            Kind::Info => 3,
        };
        self.operations.entry(name).or_default()[at] += 1;
    }

    /// The table.
    pub fn text(&self) -> String {
        let mut text = String::new();
        let mut line = |words: String| writeln!(text, "{words}").expect("strings take all text");
        line(format!("{:<14}{:>10}{:>10}{:>10}{:>10}", "operation", "begun", "ok", "failed", "unknown"));
        for (name, [begun, ok, failed, unknown]) in &self.operations {
            line(format!("{name:<14}{begun:>10}{ok:>10}{failed:>10}{unknown:>10}"));
        }
        line(format!("records read: {}, in {} s", self.records_read, self.end / 1_000_000_000));
        let faults: Vec<String> = self.faults.iter().map(|(sort, count)| format!("{sort} {count}")).collect();
        line(format!("faults: {}", faults.join(", ")));
        line(format!("healed {} times; all replicas in sync after {} ms", self.heals, spread(&self.whole)));
        line(format!(
            "{:<14}{:>24}{:>34}",
            "partition", "longest wait, ms", "served after healing, at most ms"
        ));
        for (key, (_, longest)) in &self.waits {
            let served = self.served.get(key).map_or_else(|| "-".to_owned(), u64::to_string);
            line(format!("{key:<14}{:>24}{served:>34}", longest / 1_000_000));
        }
        text
    }
}

/// Least, middle and most.
fn spread(all: &[u64]) -> String {
    let mut sorted = all.to_vec();
    sorted.sort_unstable();
    match (sorted.first(), sorted.get(sorted.len() / 2), sorted.last()) {
        (Some(least), Some(middle), Some(most)) => {
            format!("{least} / {middle} / {most} (least / middle / most)")
        }
        _ => "-".to_owned(),
    }
}
