//! One test per row of Kafka's producer-state table, and a random walk against a list of all batches.

use std::path::Path;

use proptest::prelude::*;
use tidemark_protocol::batch::Attributes;

use super::*;
use crate::checkpoint::Durability;
use crate::disk::{Disk, SimDisk};

const PRODUCER: ProducerId = 42;

/// A data batch of `count` records at `offset`.
fn batch(epoch: ProducerEpoch, sequence: i32, count: i32, offset: Offset) -> BatchHeader {
    BatchHeader {
        base_offset: offset,
        batch_length: 100,
        partition_leader_epoch: 0,
        crc: 0,
        attributes: Attributes(0),
        last_offset_delta: count - 1,
        base_timestamp: 1000 + offset,
        max_timestamp: 1000 + offset,
        producer_id: PRODUCER,
        producer_epoch: epoch,
        base_sequence: sequence,
        records_count: count,
    }
}

fn transactional(header: BatchHeader) -> BatchHeader {
    BatchHeader { attributes: header.attributes.with(Attributes::TRANSACTIONAL, true), ..header }
}

fn marker_batch(epoch: ProducerEpoch, offset: Offset) -> BatchHeader {
    let header = batch(epoch, -1, 1, offset);
    BatchHeader { attributes: Attributes(Attributes::TRANSACTIONAL | Attributes::CONTROL), ..header }
}

const COMMIT: EndTransactionMarker =
    EndTransactionMarker { control_type: ControlType::Commit, coordinator_epoch: 3 };
const ABORT: EndTransactionMarker =
    EndTransactionMarker { control_type: ControlType::Abort, coordinator_epoch: 3 };

/// State after five-plus batches of one record: sequences and offsets 0..count of epoch 1.
fn after(count: i32) -> ProducerStateManager {
    let mut state = ProducerStateManager::new();
    for i in 0..count {
        let header = batch(1, i, 1, i.into());
        assert_eq!(state.check(&header), Ok(Verdict::Append));
        state.update(&header, None, 0);
    }
    state
}

fn out_of_order(result: Result<Verdict, ProducerError>) -> bool {
    matches!(result, Err(ProducerError::OutOfOrderSequence { .. }))
}

#[test]
fn next_sequence_is_appended_and_a_gap_is_not() {
    let state = after(3);
    assert_eq!(state.check(&batch(1, 3, 10, -1)), Ok(Verdict::Append));
    assert!(out_of_order(state.check(&batch(1, 4, 1, -1))));
}

#[test]
fn duplicate_among_the_last_five_gets_the_original_answer() {
    let state = after(7);
    let original = |i| Ok(Verdict::Duplicate { base_offset: i, last_offset: i, timestamp: 1000 + i });
    for i in 2..7 {
        assert_eq!(state.check(&batch(1, i, 1, -1)), original(i.into()), "sequence {i}");
    }
    assert!(out_of_order(state.check(&batch(1, 1, 1, -1))), "fell out of the window");
}

#[test]
fn part_of_a_batch_is_no_duplicate() {
    let mut state = ProducerStateManager::new();
    state.update(&batch(1, 0, 10, 50), None, 0);
    assert!(out_of_order(state.check(&batch(1, 0, 5, -1))));
    assert!(out_of_order(state.check(&batch(1, 5, 5, -1))));
    let duplicate = Verdict::Duplicate { base_offset: 50, last_offset: 59, timestamp: 1050 };
    assert_eq!(state.check(&batch(1, 0, 10, -1)), Ok(duplicate));
}

#[test]
fn new_epoch_starts_at_zero() {
    let state = after(3);
    assert!(out_of_order(state.check(&batch(2, 3, 1, -1))));
    assert_eq!(state.check(&batch(2, 0, 1, -1)), Ok(Verdict::Append));
}

#[test]
fn older_epoch_is_fenced_but_first_looked_up_as_a_duplicate() {
    let mut state = after(3);
    state.update(&batch(2, 0, 1, 3), None, 0);
    let error = state.check(&batch(1, 2, 1, -1)).unwrap_err();
    assert_eq!(
        error,
        ProducerError::InvalidProducerEpoch { producer_id: PRODUCER, epoch: 1, known_epoch: 2 }
    );
}

#[test]
fn unknown_producer_may_start_anywhere() {
    assert_eq!(ProducerStateManager::new().check(&batch(1, 77, 1, -1)), Ok(Verdict::Append));
}

#[test]
fn sequences_wrap_to_zero() {
    let mut state = ProducerStateManager::new();
    state.update(&batch(1, i32::MAX - 1, 4, 10), None, 0);
    let entry = *state.get(PRODUCER).unwrap();
    assert_eq!((entry.last_sequence(), entry.last().unwrap().first_sequence()), (1, i32::MAX - 1));
    assert_eq!(state.check(&batch(1, 2, 1, -1)), Ok(Verdict::Append));
    assert!(matches!(state.check(&batch(1, i32::MAX - 1, 4, -1)), Ok(Verdict::Duplicate { .. })));
    state.update(&batch(1, i32::MAX, 1, 14), None, 0);
    assert_eq!(state.check(&batch(1, 0, 1, -1)), Ok(Verdict::Append), "after MAX comes 0");
}

#[test]
fn batches_without_a_producer_leave_no_trace() {
    let mut state = ProducerStateManager::new();
    let header = BatchHeader { producer_id: -1, producer_epoch: -1, base_sequence: -1, ..batch(0, 0, 1, 0) };
    assert_eq!(state.check(&header), Ok(Verdict::Append));
    state.update(&header, None, 0);
    assert!(state.is_empty());
}

#[test]
fn plain_batch_inside_an_open_transaction_is_refused() {
    let mut state = ProducerStateManager::new();
    state.update(&transactional(batch(1, 0, 1, 10)), None, 0);
    let error = state.check(&batch(1, 1, 1, -1)).unwrap_err();
    assert_eq!(error, ProducerError::InvalidTxnState { producer_id: PRODUCER, first_offset: 10 });
    assert_eq!(state.check(&transactional(batch(1, 1, 1, -1))), Ok(Verdict::Append));
}

#[test]
fn an_open_transaction_is_unstable_until_its_marker_is_below_the_high_watermark() {
    let mut state = ProducerStateManager::new();
    state.update(&transactional(batch(1, 0, 5, 10)), None, 0);
    state.update(&transactional(batch(1, 5, 5, 15)), None, 0);
    assert_eq!(state.first_unstable_offset(), Some(10));
    let ended = state.update(&marker_batch(1, 20), Some(ABORT), 0).unwrap();
    let expected = CompletedTransaction {
        producer_id: PRODUCER,
        first_offset: 10,
        last_offset: 20,
        aborted: true,
        last_stable_offset: 21,
    };
    assert_eq!(ended, expected);
    state.on_high_watermark(20);
    assert_eq!(state.first_unstable_offset(), Some(10));
    state.on_high_watermark(21);
    assert_eq!(state.first_unstable_offset(), None);
}

#[test]
fn a_transaction_that_ends_inside_another_is_stable_only_up_to_it() {
    let mut state = ProducerStateManager::new();
    let other = BatchHeader { producer_id: 7, ..transactional(batch(0, 0, 1, 5)) };
    state.update(&other, None, 0);
    state.update(&transactional(batch(1, 0, 1, 10)), None, 0);
    let ended = state.update(&marker_batch(1, 11), Some(COMMIT), 0).unwrap();
    assert_eq!((ended.aborted, ended.last_stable_offset), (false, 5));
}

#[test]
fn a_marker_without_a_transaction_ends_nothing_but_fences() {
    let mut state = after(2);
    assert_eq!(state.update(&marker_batch(2, 2), Some(COMMIT), 0), None);
    assert_eq!(state.first_unstable_offset(), None);
    assert!(state.check(&batch(1, 2, 1, -1)).is_err());
    assert_eq!(
        state.check(&batch(2, 0, 1, -1)),
        Ok(Verdict::Append),
        "no batch of the new epoch yet: 0 is next"
    );
    assert!(out_of_order(state.check(&batch(2, 1, 1, -1))));
}

#[test]
fn markers_are_fenced_by_coordinator_and_producer_epoch() {
    let mut state = ProducerStateManager::new();
    state.update(&transactional(batch(5, 0, 1, 0)), None, 0);
    let fenced = Err(ProducerError::InvalidProducerEpoch { producer_id: PRODUCER, epoch: 4, known_epoch: 5 });
    assert_eq!(state.check_marker(PRODUCER, 4, 3, false), fenced);
    assert_eq!(state.check_marker(PRODUCER, 5, 3, false), Ok(()));
    assert!(state.check_marker(PRODUCER, 5, 3, true).is_err(), "version 2 markers carry the next epoch");
    assert_eq!(state.check_marker(PRODUCER, 6, 3, true), Ok(()));
    state.update(&marker_batch(6, 1), Some(COMMIT), 0);
    assert_eq!(state.check_marker(PRODUCER, 6, 3, true), Ok(()), "a retry, nothing is open");
    let fenced =
        ProducerError::CoordinatorFenced { producer_id: PRODUCER, coordinator_epoch: 2, known_epoch: 3 };
    assert_eq!(state.check_marker(PRODUCER, 6, 2, true), Err(fenced));
}

#[test]
fn a_repeated_marker_of_version_2_is_taken_once_the_transaction_is_over() {
    // KAFKA-19999: refused, it was sent again for ever.
    let mut state = ProducerStateManager::new();
    state.update(&transactional(batch(5, 0, 1, 0)), None, 0);
    state.update(&marker_batch(6, 1), Some(COMMIT), 0);
    assert_eq!(state.check_marker(PRODUCER, 6, 3, true), Ok(()));
    // Once the next transaction is open that marker would end it.
    state.update(&transactional(batch(6, 0, 1, 2)), None, 0);
    assert!(state.check_marker(PRODUCER, 6, 3, true).is_err());
    assert_eq!(state.check_marker(PRODUCER, 7, 3, true), Ok(()));
}

#[test]
fn a_marker_for_a_producer_nobody_knows_is_taken() {
    assert_eq!(ProducerStateManager::new().check_marker(PRODUCER, 0, 0, true), Ok(()));
}

/// The verdict on the first batch of a transaction that the coordinator was asked about.
fn opens(
    state: &ProducerStateManager,
    header: &BatchHeader,
    guard: Option<VerificationGuard>,
) -> Result<Verdict, ProducerError> {
    state.check_transactional(&transactional(*header), guard, false)
}

const UNVERIFIED: Result<Verdict, ProducerError> = Err(ProducerError::Unverified { producer_id: PRODUCER });

#[test]
fn a_batch_that_opens_a_transaction_needs_the_guard_it_was_verified_under() {
    let mut state = ProducerStateManager::new();
    let first = batch(1, 0, 1, 10);
    assert_eq!(opens(&state, &first, None), UNVERIFIED);
    let guard = state.begin_verification(&first, 10).unwrap();
    assert!(guard.is_some());
    assert_eq!(opens(&state, &first, None), UNVERIFIED);
    assert_eq!(opens(&state, &first, guard), Ok(Verdict::Append));
    state.update(&transactional(first), None, 0);
    let next = batch(1, 1, 1, 11);
    assert_eq!(state.begin_verification(&next, 11), Ok(None), "it is open: there is nothing to ask");
    assert_eq!(opens(&state, &next, None), Ok(Verdict::Append));
}

#[test]
fn an_answer_that_comes_after_the_marker_lets_nothing_into_the_next_transaction() {
    // The old rules: asked, aborted meanwhile, and the next transaction has the same epoch.
    let mut state = ProducerStateManager::new();
    let late = batch(1, 0, 1, 10);
    let guard = state.begin_verification(&late, 10).unwrap();
    state.update(&marker_batch(1, 10), Some(ABORT), 0);
    assert_eq!(opens(&state, &late, guard), UNVERIFIED);
    let other = state.begin_verification(&late, 11).unwrap();
    assert_ne!(guard, other);
    assert_eq!(opens(&state, &late, guard), UNVERIFIED);
    assert_eq!(opens(&state, &late, other), Ok(Verdict::Append));
}

#[test]
fn a_guard_of_a_state_that_was_dropped_and_loaded_again_is_worth_nothing_after_a_marker() {
    let mut state = ProducerStateManager::new();
    let late = batch(1, 0, 1, 10);
    let guard = state.begin_verification(&late, 10).unwrap();
    let mut state = ProducerStateManager::new();
    state.update(&marker_batch(1, 10), Some(ABORT), 0);
    state.begin_verification(&late, 11).unwrap();
    assert_eq!(opens(&state, &late, guard), UNVERIFIED);
}

#[test]
fn requests_on_their_way_together_share_a_guard_and_keep_their_order() {
    let mut state = ProducerStateManager::new();
    let (second, first) = (batch(1, 1, 1, 10), batch(1, 0, 1, 10));
    let guard = state.begin_verification(&second, 10).unwrap();
    assert_eq!(opens(&state, &second, guard), Ok(Verdict::Append), "any sequence, as nobody is known");
    assert_eq!(state.begin_verification(&first, 10).unwrap(), guard);
    assert!(out_of_order(opens(&state, &second, guard)), "a lower sequence waits");
    assert_eq!(opens(&state, &first, guard), Ok(Verdict::Append));
    state.update(&transactional(first), None, 0);
    assert_eq!(opens(&state, &second, guard), Ok(Verdict::Append));
}

#[test]
fn the_next_epoch_is_verified_anew_and_the_one_before_not_at_all() {
    let mut state = ProducerStateManager::new();
    let old = state.begin_verification(&batch(1, 0, 1, 10), 10).unwrap();
    let new = state.begin_verification(&batch(2, 0, 1, 10), 10).unwrap();
    assert_ne!(old, new);
    let fenced = ProducerError::InvalidProducerEpoch { producer_id: PRODUCER, epoch: 1, known_epoch: 2 };
    assert_eq!(state.begin_verification(&batch(1, 0, 1, 10), 10), Err(fenced));
    assert_eq!(opens(&state, &batch(1, 0, 1, 10), old), UNVERIFIED);
    assert_eq!(opens(&state, &batch(2, 0, 1, 10), new), Ok(Verdict::Append));
}

#[test]
fn a_producer_of_the_new_rules_nobody_knows_starts_at_zero() {
    let mut state = ProducerStateManager::new();
    let header = batch(1, 3, 1, 10);
    let guard = state.begin_verification(&header, 10).unwrap();
    assert!(out_of_order(state.check_transactional(&transactional(header), guard, true)));
    assert_eq!(
        opens(&state, &header, guard),
        Ok(Verdict::Append),
        "by the old rules its state may have expired"
    );
}

#[test]
fn a_duplicate_is_answered_before_anybody_asks_for_its_guard() {
    let mut state = ProducerStateManager::new();
    let first = batch(1, 0, 1, 10);
    state.update(&transactional(first), None, 0);
    state.update(&marker_batch(1, 11), Some(COMMIT), 0);
    assert!(matches!(opens(&state, &first, None), Ok(Verdict::Duplicate { base_offset: 10, .. })));
}

#[test]
fn an_epoch_out_of_date_is_told_after_the_guard() {
    let mut state = after(1);
    let guard = state.begin_verification(&batch(1, 1, 1, 5), 5).unwrap();
    assert_eq!(opens(&state, &batch(0, 0, 1, 5), None), UNVERIFIED);
    let fenced = ProducerError::InvalidProducerEpoch { producer_id: PRODUCER, epoch: 0, known_epoch: 1 };
    assert_eq!(opens(&state, &batch(0, 0, 1, 5), guard), Err(fenced));
}

#[test]
fn silent_producers_expire_by_wall_time_but_never_inside_a_transaction() {
    let mut state = ProducerStateManager::new();
    state.update(&batch(0, 0, 1, 0), None, 1_000_000);
    let open = BatchHeader { producer_id: 7, ..transactional(batch(0, 0, 1, 1)) };
    state.update(&open, None, 1_000_000);
    assert_eq!(state.expire(1_000_999, 1_000), 0, "record timestamps lie long back, which does not count");
    assert_eq!(state.expire(1_001_000, 1_000), 1);
    assert!(state.get(PRODUCER).is_none() && state.get(7).is_some());
}

#[test]
fn description_says_what_admins_see() {
    let mut state = after(2);
    state.update(&transactional(batch(1, 2, 3, 10)), None, 0);
    let expected = ProducerDescription {
        producer_id: PRODUCER,
        producer_epoch: 1,
        last_sequence: 4,
        last_timestamp: 1010,
        coordinator_epoch: -1,
        current_txn_start_offset: 10,
    };
    assert_eq!(state.describe(), [expected]);
}

fn dir() -> &'static Path {
    Path::new("/log")
}

fn disk() -> SimDisk {
    let disk = SimDisk::new(9);
    disk.create_dir_all(dir()).unwrap();
    disk
}

#[test]
fn newest_good_snapshot_below_the_end_is_loaded() {
    let disk = disk();
    for count in [2, 4, 6] {
        after(count).take_snapshot(&disk, dir(), count.into(), Durability::Relaxed).unwrap();
    }
    let mut state = ProducerStateManager::new();
    assert_eq!(state.load(&disk, dir(), 0, 5).unwrap(), 4);
    assert_eq!(state, after(4));
    disk.flip(&dir().join(snapshot::file_name(4)), 200).unwrap();
    assert_eq!(state.load(&disk, dir(), 0, 5).unwrap(), 2, "a damaged one is passed over");
    assert_eq!(snapshot::list(&disk, dir()).unwrap(), [2, 6], "and removed");
    assert_eq!(
        state.load(&disk, dir(), 3, 5).unwrap(),
        3,
        "one from before the first segment misses batches"
    );
    assert!(state.is_empty());
}

#[test]
fn snapshots_above_the_end_and_old_ones_go() {
    let disk = disk();
    for count in [2, 4, 6] {
        after(count).take_snapshot(&disk, dir(), count.into(), Durability::Relaxed).unwrap();
    }
    assert!(snapshot::remove_above(&disk, dir(), 4).unwrap());
    assert!(!snapshot::remove_above(&disk, dir(), 4).unwrap());
    snapshot::remove_below(&disk, dir(), 4).unwrap();
    assert_eq!(snapshot::list(&disk, dir()).unwrap(), [4]);
}

#[test]
fn snapshot_names_are_kafkas() {
    assert_eq!(snapshot::file_name(123), "00000000000000000123.snapshot");
    assert_eq!(snapshot::parse_file_name("00000000000000000123.snapshot"), Some(123));
    for other in ["123.snapshot", "00000000000000000123.log", "+0000000000000000123.snapshot"] {
        assert_eq!(snapshot::parse_file_name(other), None, "{other}");
    }
}

/// The reference: every batch ever appended for one producer, and the rules read off the list.
#[derive(Debug, Default)]
struct Model {
    batches: Vec<BatchHeader>,
    end: Offset,
}

impl Model {
    fn check(&self, header: &BatchHeader) -> Result<Verdict, &'static str> {
        let Some(newest) = self.batches.last() else { return Ok(Verdict::Append) };
        let epoch = newest.producer_epoch;
        let recent = self.batches.iter().rev().take_while(|b| b.producer_epoch == epoch).take(5);
        if let Some(original) = recent
            .filter(|_| header.producer_epoch == epoch)
            .find(|b| (b.base_sequence, b.records_count) == (header.base_sequence, header.records_count))
        {
            return Ok(Verdict::Duplicate {
                base_offset: original.base_offset,
                last_offset: original.last_offset(),
                timestamp: original.max_timestamp,
            });
        }
        let after = (i64::from(newest.base_sequence) + i64::from(newest.records_count)) % (1 << 31);
        match header.producer_epoch {
            e if e < epoch => Err("epoch"),
            e if e > epoch && header.base_sequence != 0 => Err("sequence"),
            e if e == epoch && i64::from(header.base_sequence) != after => Err("sequence"),
            _ => Ok(Verdict::Append),
        }
    }
}

/// How the next batch of the walk relates to what was sent before.
#[derive(Clone, Debug)]
enum Send {
    Next(i32),
    Again(usize),
    Gap(i32),
    NewEpoch(i32, bool),
    OldEpoch,
    Restart,
}

fn sends() -> impl Strategy<Value = Vec<Send>> {
    let send = prop_oneof![
        6 => (1..6i32).prop_map(Send::Next),
        3 => (0..9usize).prop_map(Send::Again),
        1 => (1..9i32).prop_map(Send::Gap),
        1 => (1..4i32, any::<bool>()).prop_map(|(count, zero)| Send::NewEpoch(count, zero)),
        1 => Just(Send::OldEpoch),
        1 => Just(Send::Restart),
    ];
    prop::collection::vec(send, 1..60)
}

impl Model {
    fn next_header(&self, send: &Send, first_sequence: i32) -> BatchHeader {
        let Some(newest) = self.batches.last().copied() else { return batch(3, first_sequence, 2, self.end) };
        let after = newest.last_sequence().checked_add(1).unwrap_or(0);
        let epoch = newest.producer_epoch;
        match *send {
            Send::Next(count) => batch(epoch, after, count, self.end),
            Send::Again(back) => {
                let original = self.batches.iter().rev().nth(back).copied().unwrap_or(newest);
                BatchHeader { base_offset: self.end, ..original }
            }
            Send::Gap(gap) => batch(epoch, after.checked_add(gap).unwrap_or(gap), 1, self.end),
            Send::NewEpoch(count, zero) => batch(epoch + 1, if zero { 0 } else { after }, count, self.end),
            Send::OldEpoch => batch(epoch - 1, after, 1, self.end),
            Send::Restart => batch(epoch, after, 1, self.end),
        }
    }
}

proptest! {
    #[test]
    fn verdicts_agree_with_the_list_of_all_batches(sends in sends(), first in prop_oneof![Just(0), Just(i32::MAX - 5)]) {
        let disk = disk();
        let mut model = Model::default();
        let mut state = ProducerStateManager::new();
        for send in sends {
            if matches!(send, Send::Restart) {
                // Through a snapshot and back: nothing may be forgotten.
                state.take_snapshot(&disk, dir(), model.end, Durability::Relaxed).unwrap();
                let before = std::mem::take(&mut state);
                prop_assert_eq!(state.load(&disk, dir(), 0, model.end).unwrap(), model.end);
                prop_assert_eq!(&state, &before);
            }
            let header = model.next_header(&send, first);
            let (expected, found) = (model.check(&header), state.check(&header));
            match (expected, found) {
                (Ok(expected), Ok(found)) => prop_assert_eq!(expected, found),
                (Err("epoch"), Err(ProducerError::InvalidProducerEpoch { .. })) => {}
                (Err("sequence"), Err(ProducerError::OutOfOrderSequence { .. })) => {}
                pair => prop_assert!(false, "{:?}", pair),
            }
            if expected == Ok(Verdict::Append) {
                state.update(&header, None, 0);
                model.end = header.next_offset();
                model.batches.push(header);
            }
        }
        // A replay of the log gives the same state: what recovery and followers do.
        let mut replayed = ProducerStateManager::new();
        for header in &model.batches {
            replayed.update(header, None, 0);
        }
        prop_assert_eq!(replayed, state);
    }
}
