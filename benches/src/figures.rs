//! What is measured of a cluster, and what is made of several rounds of it: a table, and which aims were missed.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde::Serialize;

/// One thing that is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[allow(missing_docs, reason = "their texts say it")]
pub enum Figure {
    StartWhole,
    StartWrites,
    RestartKilled,
    RestartStopped,
    LeaderKilled,
    LeaderStopped,
    ControllerCreates,
    ControllerLeaders,
    NodeMemory,
    IdleCpu,
    OneThroughput,
    OneCpu,
    OneLatencyHalf,
    OneLatencyMost,
    OneRateCpu,
    ManyThroughput,
    ManyCpu,
    ManyLatencyHalf,
    ManyLatencyMost,
    ManyRateCpu,
}

use Figure::{
    ControllerCreates, ControllerLeaders, IdleCpu, LeaderKilled, LeaderStopped, ManyCpu, ManyLatencyHalf,
    ManyLatencyMost, ManyRateCpu, ManyThroughput, NodeMemory, OneCpu, OneLatencyHalf, OneLatencyMost,
    OneRateCpu, OneThroughput, RestartKilled, RestartStopped, StartWhole, StartWrites,
};

/// Everything, as the table has it: what it is called, and whether Tidemark's must not be larger than Kafka's.
const FIGURES: [(Figure, &str, bool); 20] = [
    (StartWhole, "start of all nodes, until all partitions have leader and full ISR, ms", true),
    (StartWrites, "… until each has taken a write, acks=all, ms", true),
    (RestartKilled, "one node killed and started again, until full ISR, ms", false),
    (RestartStopped, "one node stopped and started again, until full ISR, ms", false),
    (LeaderKilled, "kill -9 of the leader of a third, until each of those takes writes, ms", true),
    (LeaderStopped, "SIGTERM of the leader of a third, until each of those takes writes, ms", true),
    (ControllerCreates, "kill -9 of the controller, until a topic is created, ms", true),
    (ControllerLeaders, "… until all it led are led by others, ms", true),
    (NodeMemory, "memory of the largest node, idle, MiB", false),
    (IdleCpu, "CPU of all nodes, idle, ms per s", false),
    (OneThroughput, "1 partition: MiB/s", false),
    (OneCpu, "… CPU seconds per GiB, all nodes", false),
    (OneLatencyHalf, "1 partition at 4 MiB/s: p50, ms", false),
    (OneLatencyMost, "… p99, ms", false),
    (OneRateCpu, "… CPU seconds per GiB, all nodes", false),
    (ManyThroughput, "100 partitions: MiB/s", false),
    (ManyCpu, "… CPU seconds per GiB, all nodes", false),
    (ManyLatencyHalf, "100 partitions at 4 MiB/s: p50, ms", false),
    (ManyLatencyMost, "… p99, ms", false),
    (ManyRateCpu, "… CPU seconds per GiB, all nodes", false),
];

/// What rounds of one system found.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Findings {
    /// What is compared.
    pub name: String,
    /// A value a round.
    pub values: BTreeMap<Figure, Vec<f64>>,
}

/// Smallest, middle and largest of some values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// Smallest.
    pub min: f64,
    /// Middle; of an even number the mean of both.
    pub median: f64,
    /// Largest.
    pub max: f64,
}

impl Findings {
    /// Takes a value of a round.
    pub fn add(&mut self, figure: Figure, value: f64) {
        self.values.entry(figure).or_default().push(value);
    }

    fn spread(&self, figure: Figure) -> Option<Spread> {
        self.values.get(&figure).and_then(|values| Spread::of(values))
    }
}

impl Spread {
    /// `None` of none.
    pub fn of(values: &[f64]) -> Option<Spread> {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let (min, max) = (*sorted.first()?, *sorted.last()?);
        let middle = sorted.len() / 2;
        let median =
            if sorted.len() % 2 == 1 { sorted[middle] } else { (sorted[middle - 1] + sorted[middle]) / 2.0 };
        Some(Spread { min, median, max })
    }

    fn text(self) -> String {
        let digits = usize::from(self.median < 100.0);
        let Spread { min, median, max } = self;
        format!("{median:.digits$} ({min:.digits$}–{max:.digits$})")
    }
}

/// A Markdown table of all that was measured: the median, and the smallest and the largest of the rounds. Ratios are those of
/// the first one's medians to each other's.
pub fn table(all: &[Findings]) -> String {
    let mut text = String::from("|");
    let others = all.get(1..).unwrap_or_default();
    // Writing to a String does not fail, here and below.
    for found in all {
        let _ = write!(text, " | {}", found.name);
    }
    for found in others {
        let _ = write!(text, " | of {}", found.name);
    }
    text += " |\n|---";
    text += &"|---".repeat(all.len() + others.len());
    text += "|\n";
    for (figure, name, _) in FIGURES {
        if all.iter().all(|found| found.spread(figure).is_none()) {
            continue;
        }
        let _ = write!(text, "| {name}");
        for found in all {
            let cell = found.spread(figure).map_or_else(String::new, Spread::text);
            let _ = write!(text, " | {cell}");
        }
        for found in others {
            let cell = ratio(&all[0], found, figure).map_or_else(String::new, |r| format!("{r:.2}"));
            let _ = write!(text, " | {cell}");
        }
        text += " |\n";
    }
    text
}

/// What took longer with `ours` than with `theirs` although it must not.
pub fn missed(ours: &Findings, theirs: &Findings) -> Vec<String> {
    let aims = FIGURES.iter().filter(|(_, _, is_aim)| *is_aim);
    aims.filter_map(|(figure, name, _)| {
        let ratio = ratio(ours, theirs, *figure).filter(|ratio| *ratio > 1.0)?;
        Some(format!("{name}: {ratio:.2} of {}", theirs.name))
    })
    .collect()
}

fn ratio(ours: &Findings, theirs: &Findings, figure: Figure) -> Option<f64> {
    let (ours, theirs) = ours.spread(figure).zip(theirs.spread(figure))?;
    (theirs.median > 0.0).then(|| ours.median / theirs.median)
}

#[cfg(test)]
mod tests;
