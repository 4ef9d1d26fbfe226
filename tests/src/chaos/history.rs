//! [`Event`]: what clients asked and were told, and what was done to them, one JSON line each.
//!
//! Written by [`Recorder`] alone, which gives each event its time under one lock: the order of lines is the order of times.
//! An operation has two lines with one id. `Fail` is certain to have had no effect; what may or may not have had one is
//! `Info`.

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::Path;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tidemark_broker::clock::Clock;

/// A partition, as `topic/index`.
pub type Key = String;

/// A line of the history.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Nanoseconds since the run began.
    pub t: u64,
    /// Which client: one producer or consumer from its start to its end. 0 is the run itself.
    pub process: u32,
    /// What both lines of an operation share.
    pub id: u64,
    /// Which of the two.
    pub kind: Kind,
    /// What was asked, and once it is known, answered.
    pub op: Op,
    /// What an error said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// Where an operation stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// It begins.
    Invoke,
    /// It took effect.
    Ok,
    /// It took none.
    Fail,
    /// Nobody knows; or it is news rather than an operation.
    Info,
}

/// What clients do, and what is done to them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Op {
    /// A record with acks=all. Values are unique in a partition; those of one process grow.
    Send {
        /// Where to.
        key: Key,
        /// What.
        value: u64,
        /// Where it went, if the broker said so.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        offset: Option<i64>,
        /// Whether its producer is idempotent.
        idempotent: bool,
    },
    /// Records read, in the order they came.
    Poll {
        /// Where from.
        key: Key,
        /// Offset and value of each.
        records: Vec<(i64, u64)>,
        /// Whether this belongs to the reading of everything at the end.
        last: bool,
    },
    /// A consumer begins somewhere else: what follows is not compared with what it read before.
    Assign,
    /// The reading of everything ended here.
    ReadAll {
        /// What was read.
        key: Key,
        /// Its end, exclusive.
        end: i64,
    },
    /// A group's offset is written, by its only writer, who writes ever larger ones.
    Commit {
        /// The group.
        group: String,
        /// The partition.
        key: Key,
        /// What is committed.
        offset: i64,
    },
    /// A group's offset is read.
    FetchOffset {
        /// The group.
        group: String,
        /// The partition.
        key: Key,
        /// What was answered; none where nothing is committed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        offset: Option<i64>,
    },
    /// The end of a partition is asked for.
    ListLatest {
        /// The partition.
        key: Key,
        /// The end, exclusive.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        offset: Option<i64>,
    },
    /// A change of metadata.
    Admin {
        /// What was asked.
        what: String,
    },
    /// What is done to the cluster.
    Fault {
        /// In words.
        what: String,
        /// Its kind, for the summary.
        sort: String,
    },
    /// All faults have ended.
    Heal,
    /// A partition takes records again after [`Op::Heal`].
    Served {
        /// The partition.
        key: Key,
        /// Time since then.
        ms: u64,
    },
    /// Every replica of every partition is in sync again after [`Op::Heal`].
    Whole {
        /// Time since then.
        ms: u64,
    },
    /// What the run itself found wrong.
    Found {
        /// The check of which this is a violation.
        check: String,
        /// What was seen.
        text: String,
    },
}

/// Writes the history; shared by all that have something to say.
pub struct Recorder {
    clock: Clock,
    file: Mutex<BufWriter<File>>,
    next_id: AtomicU64,
    next_process: AtomicU32,
}

impl Recorder {
    /// A new history.
    ///
    /// # Errors
    /// Those of the file.
    #[allow(clippy::disallowed_methods, reason = "the history is a file of the run, not of a broker")]
    pub fn create(path: &Path, clock: Clock) -> io::Result<Recorder> {
        let file = Mutex::new(BufWriter::new(File::create(path)?));
        Ok(Recorder { clock, file, next_id: AtomicU64::new(1), next_process: AtomicU32::new(1) })
    }

    /// Time since the run began.
    pub fn now(&self) -> Duration {
        self.clock.now().mono
    }

    /// A number for a new client.
    pub fn process(&self) -> u32 {
        self.next_process.fetch_add(1, Ordering::Relaxed)
    }

    /// An operation begins; the id is for [`Recorder::end`].
    pub fn begin(&self, process: u32, op: Op) -> u64 {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        self.write(process, id, Kind::Invoke, op, None);
        id
    }

    /// It ends.
    pub fn end(&self, process: u32, id: u64, kind: Kind, op: Op, why: Option<String>) {
        self.write(process, id, kind, op, why);
    }

    /// Something without a beginning: what was read, what was done.
    pub fn note(&self, process: u32, kind: Kind, op: Op) {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        self.write(process, id, kind, op, None);
    }

    /// Something is wrong.
    pub fn found(&self, check: &str, text: String) {
        eprintln!("found {check}: {text}");
        self.note(0, Kind::Info, Op::Found { check: check.to_owned(), text });
    }

    /// Writes what is buffered.
    pub fn flush(&self) {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.flush().expect("the history can be written");
    }

    fn write(&self, process: u32, id: u64, kind: Kind, op: Op, why: Option<String>) {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let t = u64::try_from(self.now().as_nanos()).expect("a run is shorter than centuries");
        let event = Event { t, process, id, kind, op, why };
        serde_json::to_writer(&mut *file, &event).expect("the history can be written");
        file.write_all(b"\n").expect("the history can be written");
    }
}

/// Reads a history, event by event. A last line that was cut off is passed over.
///
/// # Errors
/// Those of the file, and a line that is no event.
#[allow(clippy::disallowed_methods, reason = "the history is a file of the run, not of a broker")]
pub fn read(path: &Path, mut each: impl FnMut(Event)) -> io::Result<()> {
    let mut lines = BufReader::new(File::open(path)?);
    let mut line = String::new();
    while lines.read_line(&mut line)? > 0 && line.ends_with('\n') {
        each(serde_json::from_str(&line)?);
        line.clear();
    }
    Ok(())
}
