//! Appends of transactions: what the leader's log holds them to, row by row of Kafka's table, and what it does not when it
//! follows or loads.

use tidemark_protocol::batch::control::ControlType;
use tidemark_protocol::batch::{BatchBuilder, BuilderOptions};
use tidemark_protocol::types::ProducerEpoch;

use super::super::tests::{EPOCH, Fixture, at, bytes_of, flush};
use super::*;

const PRODUCER: i64 = 9;
const NEW_RULES: bool = true;

fn batch(epoch: ProducerEpoch, sequence: i32) -> RecordBatch {
    let options = BuilderOptions {
        producer_id: PRODUCER,
        producer_epoch: epoch,
        base_sequence: sequence,
        transactional: true,
        ..BuilderOptions::default()
    };
    let mut builder = BatchBuilder::new(options);
    builder.append(0, 50, None, Some(b"v"), &[]);
    builder.build()
}

/// Asks as a leader does, and appends as if the coordinator had agreed.
fn write(log: &mut Log, epoch: ProducerEpoch, sequence: i32, new: bool) -> Result<Appended, AppendError> {
    let batch = batch(epoch, sequence);
    let guard = log.begin_verification(batch.header(), at(1))?;
    log.append_admitted(batch, EPOCH, Admission::Transaction { guard, bumps_epoch: new }, at(1))
}

fn mark(
    log: &mut Log,
    epoch: ProducerEpoch,
    coordinator_epoch: i32,
    new: bool,
) -> Result<Appended, AppendError> {
    let marker = EndTransactionMarker { control_type: ControlType::Abort, coordinator_epoch };
    let batch = marker.batch(0, 60, PRODUCER, epoch);
    log.append_admitted(batch, EPOCH, Admission::Marker { bumps_epoch: new }, at(1))
}

/// First offset of the open transaction, −1 when none is.
fn open_since(log: &mut Log) -> Offset {
    log.producers(at(1)).first().map_or(-1, |producer| producer.current_txn_start_offset)
}

#[test]
fn a_transaction_opens_once_it_is_verified_and_ends_with_its_marker() {
    let mut log = Fixture::new(0, |_| {}).open(None);
    let unverified = Admission::Transaction { guard: None, bumps_epoch: false };
    let refused = log.append_admitted(batch(0, 0), EPOCH, unverified, at(1));
    assert!(matches!(refused, Err(AppendError::InvalidTxnState { producer_id: PRODUCER })));
    assert_eq!(log.log_end(), 0);
    write(&mut log, 0, 0, !NEW_RULES).unwrap();
    write(&mut log, 0, 1, !NEW_RULES).unwrap();
    assert_eq!(open_since(&mut log), 0);
    mark(&mut log, 0, 3, !NEW_RULES).unwrap();
    assert_eq!((open_since(&mut log), log.log_end()), (-1, 3));
    // The old rules: the epoch and the sequence go on.
    write(&mut log, 0, 2, !NEW_RULES).unwrap();
    assert_eq!(open_since(&mut log), 3);
}

#[test]
fn an_answer_of_the_coordinator_that_is_older_than_the_marker_opens_nothing() {
    let mut log = Fixture::new(0, |_| {}).open(None);
    let late = batch(0, 0);
    let guard = log.begin_verification(late.header(), at(1)).unwrap();
    mark(&mut log, 0, 3, !NEW_RULES).unwrap();
    let refused =
        log.append_admitted(late, EPOCH, Admission::Transaction { guard, bumps_epoch: false }, at(1));
    assert!(matches!(refused, Err(AppendError::InvalidTxnState { .. })));
}

#[test]
fn a_batch_outside_of_the_open_transaction_is_refused() {
    let mut log = Fixture::new(0, |_| {}).open(None);
    write(&mut log, 0, 0, !NEW_RULES).unwrap();
    let options = BuilderOptions {
        producer_id: PRODUCER,
        producer_epoch: 0,
        base_sequence: 1,
        ..BuilderOptions::default()
    };
    let mut builder = BatchBuilder::new(options);
    builder.append(0, 50, None, Some(b"v"), &[]);
    let refused = log.append_as_leader(builder.build(), EPOCH, at(1));
    assert!(matches!(refused, Err(AppendError::InvalidTxnState { .. })));
}

#[test]
fn by_the_new_rules_a_marker_brings_the_next_epoch_and_may_be_repeated() {
    let mut log = Fixture::new(0, |_| {}).open(None);
    write(&mut log, 0, 0, NEW_RULES).unwrap();
    assert!(matches!(mark(&mut log, 0, 3, NEW_RULES), Err(AppendError::InvalidProducerEpoch { .. })));
    mark(&mut log, 1, 3, NEW_RULES).unwrap();
    mark(&mut log, 1, 3, NEW_RULES).unwrap();
    assert!(matches!(mark(&mut log, 1, 2, NEW_RULES), Err(AppendError::CoordinatorFenced { .. })));
    assert!(matches!(write(&mut log, 0, 1, NEW_RULES), Err(AppendError::InvalidProducerEpoch { .. })));
    assert!(matches!(write(&mut log, 1, 1, NEW_RULES), Err(AppendError::OutOfOrderSequence { .. })));
    write(&mut log, 1, 0, NEW_RULES).unwrap();
    assert!(matches!(mark(&mut log, 1, 3, NEW_RULES), Err(AppendError::InvalidProducerEpoch { .. })));
}

#[test]
fn a_producer_of_the_new_rules_nobody_knows_starts_at_zero() {
    let mut log = Fixture::new(0, |_| {}).open(None);
    assert!(matches!(write(&mut log, 0, 4, NEW_RULES), Err(AppendError::OutOfOrderSequence { .. })));
    write(&mut log, 0, 4, !NEW_RULES).unwrap();
}

#[test]
fn a_follower_takes_what_its_leader_took() {
    let (leader, follower) = (Fixture::new(0, |_| {}), Fixture::new(0, |_| {}));
    let (mut leader, mut follower) = (leader.open(None), follower.open(None));
    write(&mut leader, 0, 0, NEW_RULES).unwrap();
    mark(&mut leader, 1, 3, NEW_RULES).unwrap();
    write(&mut leader, 1, 0, NEW_RULES).unwrap();
    let slice = leader.reader().read(0, leader.log_end(), 1 << 20, true).unwrap();
    follower.append_as_follower(bytes_of(&slice).into(), at(1)).unwrap();
    assert_eq!(follower.producers(at(1)), leader.producers(at(1)));
    assert_eq!(open_since(&mut follower), 2);
}

#[test]
fn an_open_transaction_and_the_coordinators_epoch_outlive_a_restart() {
    for closes in [true, false] {
        let fixture = Fixture::new(0, |_| {});
        let mut log = fixture.open(None);
        write(&mut log, 0, 0, NEW_RULES).unwrap();
        mark(&mut log, 1, 3, NEW_RULES).unwrap();
        write(&mut log, 1, 0, NEW_RULES).unwrap();
        let mark_of_journal = flush(&mut log);
        if closes {
            log.close();
        }
        drop(log);
        let mut log = fixture.open(Some(mark_of_journal));
        assert_eq!(open_since(&mut log), 2);
        assert!(matches!(mark(&mut log, 2, 2, NEW_RULES), Err(AppendError::CoordinatorFenced { .. })));
        // It is open: nobody is to be asked.
        assert_eq!(log.begin_verification(batch(1, 1).header(), at(1)).unwrap(), None);
        mark(&mut log, 2, 3, NEW_RULES).unwrap();
        assert_eq!(open_since(&mut log), -1);
    }
}

#[test]
fn a_marker_where_nothing_is_open_is_written_and_ends_nothing() {
    let mut log = Fixture::new(0, |_| {}).open(None);
    mark(&mut log, 5, 3, NEW_RULES).unwrap();
    assert_eq!((log.log_end(), open_since(&mut log)), (1, -1));
}
