use tidemark_protocol::batch::{BatchBuilder, BatchHeader, BuilderOptions};

use super::replicas::{Batch, ReplicaLog, equality, order, sequences};
use super::*;

/// A history by hand: one partition, times by position.
#[derive(Default)]
struct History {
    checker: Checker,
    next_id: u64,
}

const KEY: &str = "t/0";

impl History {
    fn event(&mut self, process: u32, id: u64, kind: Kind, op: Op) {
        self.checker.take(&Event { t: 0, process, id, kind, op, why: None });
    }

    fn id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    fn begin(&mut self, process: u32, value: u64) -> u64 {
        let id = self.id();
        self.event(process, id, Kind::Invoke, send(value, None));
        id
    }

    fn end(&mut self, process: u32, id: u64, kind: Kind, value: u64, offset: Option<i64>) {
        self.event(process, id, kind, send(value, offset));
    }

    fn sent(&mut self, process: u32, value: u64, offset: i64) {
        let id = self.begin(process, value);
        self.end(process, id, Kind::Ok, value, Some(offset));
    }

    fn lost_sight_of(&mut self, process: u32, value: u64) {
        let id = self.begin(process, value);
        self.end(process, id, Kind::Info, value, None);
    }

    fn polled(&mut self, process: u32, records: &[(i64, u64)]) {
        let op = Op::Poll { key: KEY.to_owned(), records: records.to_vec(), last: false };
        self.event(process, 0, Kind::Ok, op);
    }

    fn all_read(&mut self, records: &[(i64, u64)]) {
        let op = Op::Poll { key: KEY.to_owned(), records: records.to_vec(), last: true };
        self.event(99, 0, Kind::Ok, op);
        let end = records.last().map_or(0, |(offset, _)| offset + 1);
        self.event(99, 0, Kind::Ok, Op::ReadAll { key: KEY.to_owned(), end });
    }

    fn list_begins(&mut self) -> u64 {
        let id = self.id();
        self.event(50, id, Kind::Invoke, Op::ListLatest { key: KEY.to_owned(), offset: None });
        id
    }

    fn list_ends(&mut self, id: u64, end: i64) {
        self.event(50, id, Kind::Ok, Op::ListLatest { key: KEY.to_owned(), offset: Some(end) });
    }

    fn commit(&mut self, kind: Kind, offset: i64) {
        self.event(60, 0, kind, Op::Commit { group: "g".to_owned(), key: KEY.to_owned(), offset });
    }

    fn fetched(&mut self, offset: Option<i64>) {
        let id = self.id();
        let op = |offset| Op::FetchOffset { group: "g".to_owned(), key: KEY.to_owned(), offset };
        self.event(61, id, Kind::Invoke, op(None));
        self.event(61, id, Kind::Ok, op(offset));
    }

    /// The checks that were violated, by the first word of their names.
    fn verdict(self) -> Vec<String> {
        let violations = self.checker.finish();
        let mut checks: Vec<String> =
            violations.iter().map(|v| v.check.split(' ').next().unwrap_or("").to_owned()).collect();
        checks.dedup();
        checks
    }
}

fn send(value: u64, offset: Option<i64>) -> Op {
    Op::Send { key: KEY.to_owned(), value, offset, idempotent: true }
}

#[test]
fn a_history_without_a_fault_is_accepted() {
    let mut history = History::default();
    history.sent(1, 10, 0);
    history.polled(2, &[(0, 10)]);
    history.sent(1, 11, 1);
    history.lost_sight_of(3, 20);
    history.polled(2, &[(1, 11), (2, 20)]);
    let list = history.list_begins();
    history.list_ends(list, 3);
    history.commit(Kind::Invoke, 5);
    history.commit(Kind::Ok, 5);
    history.fetched(Some(5));
    history.all_read(&[(0, 10), (1, 11), (2, 20)]);
    assert!(history.verdict().is_empty());
}

#[test]
fn what_nobody_knows_the_end_of_may_be_there_or_not() {
    for there in [true, false] {
        let mut history = History::default();
        history.lost_sight_of(1, 10);
        history.sent(1, 11, i64::from(there));
        history.all_read(if there { &[(0, 10), (1, 11)] } else { &[(0, 11)] });
        assert!(history.verdict().is_empty());
    }
}

#[test]
fn two_values_at_an_offset_are_seen() {
    let mut history = History::default();
    history.sent(1, 10, 0);
    history.lost_sight_of(1, 11);
    history.all_read(&[(0, 11)]);
    assert_eq!(history.verdict(), ["C1", "C4"]);
}

#[test]
fn a_record_that_is_there_twice_is_seen() {
    let mut history = History::default();
    history.sent(1, 10, 0);
    history.all_read(&[(0, 10), (1, 10)]);
    assert_eq!(history.verdict(), ["C2"]);
}

#[test]
fn a_producer_without_idempotence_may_write_twice() {
    let mut history = History::default();
    let op = |offset| Op::Send { key: KEY.to_owned(), value: 10, offset, idempotent: false };
    history.event(1, 1, Kind::Invoke, op(None));
    history.event(1, 1, Kind::Ok, op(Some(1)));
    history.all_read(&[(0, 10), (1, 10)]);
    assert!(history.verdict().is_empty());
}

#[test]
fn what_certainly_failed_must_not_be_read() {
    let mut history = History::default();
    let id = history.begin(1, 10);
    history.end(1, id, Kind::Fail, 10, None);
    history.all_read(&[(0, 10)]);
    assert_eq!(history.verdict(), ["C3"]);
}

#[test]
fn what_nobody_sent_must_not_be_read() {
    let mut history = History::default();
    history.all_read(&[(0, 10)]);
    assert_eq!(history.verdict(), ["C3"]);
}

#[test]
fn what_was_acknowledged_or_read_once_and_is_gone_is_lost() {
    let mut history = History::default();
    history.sent(1, 10, 0);
    history.sent(1, 11, 1);
    history.all_read(&[(1, 11)]);
    assert_eq!(history.verdict(), ["C4"]);

    let mut history = History::default();
    history.lost_sight_of(1, 10);
    history.polled(2, &[(0, 10)]);
    history.sent(1, 11, 1);
    history.all_read(&[(1, 11)]);
    assert_eq!(history.verdict(), ["C4"]);
}

#[test]
fn an_acknowledged_end_that_nobody_can_read_is_unseen() {
    let mut history = History::default();
    history.sent(1, 10, 0);
    history.sent(1, 11, 1);
    history.all_read(&[(0, 10)]);
    assert_eq!(history.verdict(), ["C5"]);
}

#[test]
fn a_partition_that_was_not_read_in_the_end_is_no_proof() {
    let mut history = History::default();
    history.sent(1, 10, 0);
    assert_eq!(history.verdict(), ["C5"]);
}

#[test]
fn a_reader_neither_skips_nor_goes_back() {
    let mut history = History::default();
    (0..3).for_each(|i| history.sent(1, 10 + i, i as i64));
    history.polled(2, &[(0, 10), (2, 12)]);
    history.all_read(&[(0, 10), (1, 11), (2, 12)]);
    assert_eq!(history.verdict(), ["C9"]);

    let mut history = History::default();
    (0..2).for_each(|i| history.sent(1, 10 + i, i as i64));
    history.polled(2, &[(1, 11)]);
    history.polled(2, &[(0, 10)]);
    history.all_read(&[(0, 10), (1, 11)]);
    assert_eq!(history.verdict(), ["C9"]);
}

#[test]
fn a_reader_that_was_assigned_anew_may_begin_anywhere() {
    let mut history = History::default();
    (0..3).for_each(|i| history.sent(1, 10 + i, i as i64));
    history.polled(2, &[(2, 12)]);
    history.event(2, 0, Kind::Info, Op::Assign);
    history.polled(2, &[(0, 10)]);
    history.all_read(&[(0, 10), (1, 11), (2, 12)]);
    assert!(history.verdict().is_empty());
}

#[test]
fn the_records_of_a_producer_stay_in_order() {
    let mut history = History::default();
    let first = history.begin(1, 10);
    let second = history.begin(1, 11);
    history.end(1, second, Kind::Ok, 11, Some(0));
    history.end(1, first, Kind::Ok, 10, Some(1));
    history.all_read(&[(0, 11), (1, 10)]);
    assert_eq!(history.verdict(), ["C10"]);
}

#[test]
fn without_idempotence_a_record_may_be_overtaken() {
    let mut history = History::default();
    let op = |value, offset| Op::Send { key: KEY.to_owned(), value, offset, idempotent: false };
    for value in [10, 11] {
        history.event(1, value, Kind::Invoke, op(value, None));
    }
    history.event(1, 11, Kind::Ok, op(11, Some(0)));
    history.event(1, 10, Kind::Ok, op(10, Some(1)));
    history.all_read(&[(0, 11), (1, 10)]);
    assert!(history.verdict().is_empty());
}

#[test]
fn what_is_sent_after_an_acknowledgement_stands_behind_it() {
    let mut history = History::default();
    history.sent(1, 10, 5);
    history.sent(2, 20, 4);
    history.all_read(&[(4, 20), (5, 10)]);
    assert_eq!(history.verdict(), ["C12"]);
}

#[test]
fn the_end_of_a_partition_lies_behind_all_that_was_acknowledged_read_or_listed() {
    let stale = |prepare: fn(&mut History)| {
        let mut history = History::default();
        history.lost_sight_of(1, 10);
        prepare(&mut history);
        let list = history.list_begins();
        history.list_ends(list, 0);
        history.all_read(&[(0, 10)]);
        history.verdict()
    };
    assert!(stale(|_| {}).is_empty());
    assert_eq!(stale(|history| history.sent(1, 10, 0)), ["C13"]);
    assert_eq!(stale(|history| history.polled(2, &[(0, 10)])), ["C13"]);
    let listed: fn(&mut History) = |history| {
        let list = history.list_begins();
        history.list_ends(list, 1);
    };
    assert_eq!(stale(listed), ["C13"]);
}

#[test]
fn an_end_asked_for_before_the_acknowledgement_may_lie_before_it() {
    let mut history = History::default();
    let list = history.list_begins();
    history.sent(1, 10, 0);
    history.list_ends(list, 0);
    history.all_read(&[(0, 10)]);
    assert!(history.verdict().is_empty());
}

#[test]
fn a_committed_offset_does_not_go_back() {
    for read in [Some(5), None] {
        let mut history = History::default();
        for offset in [5, 6] {
            history.commit(Kind::Invoke, offset);
            history.commit(Kind::Ok, offset);
        }
        history.fetched(read);
        assert_eq!(history.verdict(), ["C14"]);
    }
}

#[test]
fn a_commit_nobody_knows_the_end_of_may_come_late() {
    let mut history = History::default();
    history.commit(Kind::Invoke, 5);
    history.commit(Kind::Info, 5);
    history.commit(Kind::Invoke, 6);
    history.commit(Kind::Ok, 6);
    history.fetched(Some(5));
    history.fetched(Some(6));
    assert!(history.verdict().is_empty());
}

/// A batch of two records.
fn batch(base_offset: i64, epoch: i32, sequence: i32, digest: u64) -> Batch {
    let mut builder = BatchBuilder::new(BuilderOptions {
        base_offset,
        producer_id: 7,
        producer_epoch: 0,
        base_sequence: sequence,
        ..BuilderOptions::default()
    });
    for offset in base_offset..base_offset + 2 {
        builder.append(offset, 0, None, Some(b"value"), &[]);
    }
    let header = BatchHeader { partition_leader_epoch: epoch, ..*builder.build().header() };
    Batch { header, digest }
}

fn log(node: i32, batches: &[Batch]) -> ReplicaLog {
    ReplicaLog { node, batches: batches.to_vec() }
}

#[test]
fn equal_replicas_are_accepted() {
    let batches = [batch(0, 1, 0, 1), batch(2, 1, 2, 2)];
    let logs = [log(1, &batches), log(2, &batches)];
    assert!(equality(KEY, &logs).is_empty() && order(KEY, &logs[0]).is_empty());
    assert!(sequences(KEY, &logs[0]).is_empty());
}

#[test]
fn replicas_that_differ_in_a_byte_or_in_length_are_seen() {
    let whole = log(1, &[batch(0, 1, 0, 1), batch(2, 1, 2, 2)]);
    let other = log(2, &[batch(0, 1, 0, 1), batch(2, 1, 2, 3)]);
    let short = log(3, &[batch(0, 1, 0, 1)]);
    assert_eq!(equality(KEY, &[whole.clone(), other]).len(), 1);
    assert_eq!(equality(KEY, &[whole, short]).len(), 1);
}

#[test]
fn a_hole_and_an_epoch_that_falls_are_seen() {
    assert_eq!(order(KEY, &log(1, &[batch(0, 1, 0, 1), batch(4, 1, 2, 2)])).len(), 1);
    assert_eq!(order(KEY, &log(1, &[batch(0, 2, 0, 1), batch(2, 1, 2, 2)])).len(), 1);
}

#[test]
fn sequences_that_are_repeated_or_left_out_are_seen() {
    for second in [0, 1, 3] {
        assert_eq!(sequences(KEY, &log(1, &[batch(0, 1, 0, 1), batch(2, 1, second, 2)])).len(), 1);
    }
}
