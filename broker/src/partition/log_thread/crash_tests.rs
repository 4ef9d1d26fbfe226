//! Random histories over a disk whose power fails: what was acknowledged, and what a reader saw, is there afterwards,
//! once, in order, byte for byte; what was deleted stays deleted.
//!
//! A failure prints its seed; `TIDEMARK_SEED=<seed> cargo test -p tidemark-broker power_loss` runs that one alone, and
//! `TIDEMARK_SEEDS=<count>` runs so many.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use tidemark_protocol::batch::BuilderOptions;
use tidemark_storage::disk::sim::Rng;

use crate::partition::testing::{Rig, ask, batch_with, committed_with_offsets, now_or_never, send_batch};
use crate::partition::{Acks, AppendWait, PartitionHandle, PartitionView};

const PARTITIONS: usize = 4;
const SEEDS: u64 = 150;

/// What an idempotent producer of one partition knows.
#[derive(Default)]
struct Producer {
    /// Offset and value of what was acknowledged or seen by a reader.
    known: BTreeMap<i64, String>,
    /// Records below this were deleted, durably.
    deleted_to: i64,
    /// Sent without an answer that helps, oldest first: sequence and value. Sent again after a restart, in order.
    unknown: VecDeque<(i32, String)>,
    next_sequence: i32,
    /// Largest sequence that was ever known to be stored, deleted ones included; −1 when none was.
    stored_sequence: i32,
}

impl Producer {
    fn knows(&mut self, offset: i64, value: String) -> Option<String> {
        let (_, rest) = value.split_once('/').expect("as it was sent");
        let (sequence, _) = rest.split_once(' ').expect("as it was sent");
        self.stored_sequence = self.stored_sequence.max(sequence.parse().expect("as it was sent"));
        self.known.insert(offset, value)
    }
}

struct History {
    seed: u64,
    rng: Rng,
    rig: Rig,
    handles: Vec<PartitionHandle>,
    producers: Vec<Producer>,
    /// Partition, sequence, value and answer of what is under way.
    sent: Vec<(usize, i32, String, AppendWait)>,
}

#[test]
fn nothing_acknowledged_is_lost_by_a_power_loss() {
    let number = |name| std::env::var(name).ok().map(|text| text.parse::<u64>().expect("a number"));
    let seeds = match number("TIDEMARK_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("TIDEMARK_SEEDS").unwrap_or(SEEDS),
    };
    for seed in seeds {
        println!("seed {seed}");
        History::new(seed).run();
    }
}

impl History {
    fn new(seed: u64) -> History {
        let rig = Rig::seeded(seed);
        let producers =
            (0..PARTITIONS).map(|_| Producer { stored_sequence: -1, ..Producer::default() }).collect();
        let mut history =
            History { seed, rng: Rng::new(seed), rig, handles: Vec::new(), producers, sent: Vec::new() };
        history.open();
        history
    }

    fn run(mut self) {
        for _ in 0..4 {
            let calls = 1 + self.rng.below(400);
            self.rig.disk.power_off_at(calls);
            for _ in 0..60 {
                self.step();
                if self.rig.disk.is_off() {
                    break;
                }
            }
            self.look();
            self.restart();
        }
    }

    fn open(&mut self) {
        let overrides = [("internal.segment.bytes", "1500"), ("segment.index.bytes", "1024")];
        self.handles = (0..PARTITIONS)
            .map(|index| self.rig.partition(i32::try_from(index).expect("few partitions"), &overrides))
            .collect();
    }

    fn step(&mut self) {
        match self.rng.below(10) {
            0..=4 => {
                for _ in 0..=self.rng.below(6) {
                    self.send();
                }
                if self.rng.below(2) == 0 {
                    self.rig.round();
                }
            }
            5..=7 => self.rig.settle(),
            8 => self.rig.advance(Duration::from_millis(self.rng.below(1_500))),
            _ => self.delete(),
        }
        self.collect();
        if self.rng.below(4) == 0 {
            self.look();
        }
    }

    /// Sends the next record of a random partition.
    fn send(&mut self) {
        let at = self.index();
        let sequence = self.producers[at].next_sequence;
        self.producers[at].next_sequence += 1;
        let filler = "x".repeat(usize::try_from(self.rng.below(300)).expect("small"));
        self.send_as(at, sequence, format!("{at}/{sequence} {filler}"));
    }

    fn send_as(&mut self, at: usize, sequence: i32, value: String) {
        let acks = if self.rng.below(4) == 0 { Acks::Leader } else { Acks::All };
        let producer_id = i64::try_from(at).expect("few partitions");
        let options = BuilderOptions {
            producer_id,
            producer_epoch: 0,
            base_sequence: sequence,
            ..BuilderOptions::default()
        };
        let wait = send_batch(&self.handles[at], acks, batch_with(options, &value));
        // acks=1 promises nothing that survives; only readers make it known.
        let value = if acks == Acks::All { value } else { format!("?{value}") };
        self.sent.push((at, sequence, value, wait));
    }

    fn index(&mut self) -> usize {
        usize::try_from(self.rng.below(PARTITIONS as u64)).expect("few partitions")
    }

    /// Takes in the answers that came.
    fn collect(&mut self) {
        for (at, sequence, value, wait) in std::mem::take(&mut self.sent) {
            if !wait.is_complete() {
                self.sent.push((at, sequence, value, wait));
                continue;
            }
            let producer = &mut self.producers[at];
            let plain = value.trim_start_matches('?').to_owned();
            match now_or_never(wait.one()).expect("it is complete") {
                Ok(appended) if !value.starts_with('?') => {
                    if appended.base_offset >= producer.deleted_to {
                        producer.knows(appended.base_offset, plain);
                    }
                }
                Ok(_) | Err(_) => producer.unknown.push_back((sequence, plain)),
            }
        }
    }

    /// Whatever a reader sees now must stay.
    fn look(&mut self) {
        for at in 0..PARTITIONS {
            let Some(view) = self.handles[at].view() else { continue };
            self.saw(at, &view);
        }
    }

    fn saw(&mut self, at: usize, view: &PartitionView) {
        // The disk may be off already; then only memory can be read.
        let Some(records) = committed_with_offsets(view) else { return };
        let producer = &mut self.producers[at];
        for (offset, value) in records {
            if offset < producer.deleted_to {
                continue;
            }
            let old = producer.knows(offset, value.clone());
            assert!(old.is_none_or(|old| old == value), "seed {}: offset {offset} changed", self.seed);
        }
    }

    fn delete(&mut self) {
        let at = self.index();
        let Some(view) = self.handles[at].view() else { return };
        self.saw(at, &view);
        let span = u64::try_from(view.high_watermark - view.log_start).expect("the chain holds");
        let before = view.log_start + i64::try_from(self.rng.below(span + 1)).expect("small");
        let answer = ask(&mut self.rig, self.handles[at].delete_records(Some(before)));
        let producer = &mut self.producers[at];
        // Without an answer the deletion may or may not have happened: nobody may rely on those records.
        producer.known = producer.known.split_off(&before);
        if let Ok(log_start) = answer {
            assert!(log_start >= before);
            producer.deleted_to = producer.deleted_to.max(log_start);
        }
    }

    /// The power fails and comes back; then everything is checked, and what was not answered is sent again.
    fn restart(&mut self) {
        let rig = std::mem::replace(&mut self.rig, Rig::new());
        self.rig = rig.crash();
        for (at, sequence, value, _) in std::mem::take(&mut self.sent) {
            let plain = value.trim_start_matches('?').to_owned();
            self.producers[at].unknown.push_back((sequence, plain));
        }
        self.open();
        for at in 0..PARTITIONS {
            self.check(at);
        }
        for at in 0..PARTITIONS {
            self.resend(at);
        }
    }

    fn check(&mut self, at: usize) {
        let seed = self.seed;
        let view = ask(&mut self.rig, self.handles[at].ready_view())
            .unwrap_or_else(|error| panic!("seed {seed}: partition {at} does not open: {error}"));
        let producer = &self.producers[at];
        assert!(
            view.log_start >= producer.deleted_to,
            "seed {seed}: partition {at} starts at {} though {} was deleted",
            view.log_start,
            producer.deleted_to
        );
        assert_eq!(view.high_watermark, view.log_end, "seed {seed}: alone, all that is left is committed");
        let found: BTreeMap<_, _> =
            committed_with_offsets(&view).expect("the disk is on").into_iter().collect();
        for (offset, value) in producer.known.range(view.log_start..) {
            assert_eq!(found.get(offset), Some(value), "seed {seed}: partition {at} offset {offset}");
        }
        let lost = producer.known.range(..view.log_start).next();
        assert_eq!(lost, None, "seed {seed}: partition {at} starts at {}", view.log_start);
        let mut values: Vec<_> = found.values().collect();
        values.sort();
        values.dedup();
        assert_eq!(values.len(), found.len(), "seed {seed}: partition {at} has a record twice");
        self.saw(at, &view);
    }

    /// As a client's library does: everything that was not acknowledged goes again, in order, with its old sequence.
    fn resend(&mut self, at: usize) {
        let mut unknown: Vec<_> = self.producers[at].unknown.drain(..).collect();
        unknown.sort();
        // A producer stores in order, so whatever is below a stored record was stored, too.
        let stored_sequence = self.producers[at].stored_sequence;
        unknown.retain(|(sequence, _)| *sequence > stored_sequence);
        for (sequence, value) in unknown {
            let before = self.sent.len();
            self.send_as(at, sequence, value);
            self.rig.settle();
            let (_, _, value, wait) = self.sent.remove(before);
            let appended = now_or_never(wait.one())
                .expect("the thread has settled")
                .unwrap_or_else(|error| panic!("seed {}: partition {at}: {error}", self.seed));
            let plain = value.trim_start_matches('?').to_owned();
            self.producers[at].knows(appended.base_offset, plain);
        }
    }
}
