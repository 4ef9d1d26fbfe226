//! The bytes are those that Apache Kafka 4.3.1's own classes write.

use super::*;

const KAFKA_KEY: &str = "000000087061796d656e7473";
const KAFKA_V0: &str = "00000000011f71fb04cb00070000ea60020000000200125f5f636f6e73756d65725f6f66667365747300000001000000110001740000000200000000000000030000018bcfe5687b0000018bcfe56800";
const KAFKA_V1: &str = "00010000011f71fb04cb00070000ea600203135f5f636f6e73756d65725f6f6666736574730200000011000274030000000000000003000000018bcfe5687b0000018bcfe5680000";
const KAFKA_V1_TAGS: &str = "00010000011f71fb04cb00070000ea600203135f5f636f6e73756d65725f6f6666736574730200000011000274030000000000000003000000018bcfe5687b0000018bcfe5680003000800000000000000050108000000000000000602020002";
const KAFKA_V1_EMPTY: &str = "0001000000000000000900000000000100000000000000000002ffffffffffffffff00";

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hex")).collect()
}

fn transaction() -> Transaction {
    let mut transaction = Transaction::new(1_234_567_890_123, 60_000, 1_700_000_000_123);
    transaction.producer_epoch = 7;
    transaction.state = State::PrepareCommit;
    transaction.start_ms = 1_700_000_000_000;
    let partitions = [("__consumer_offsets", 17), ("t", 0), ("t", 3)];
    transaction.partitions = partitions.map(|(topic, index)| TopicPartition::new(topic, index)).into();
    transaction
}

fn with_tags() -> Transaction {
    Transaction {
        previous_producer_id: 5,
        next_producer_id: 6,
        client_version: TransactionVersion::V2,
        ..transaction()
    }
}

fn value(transaction: &Transaction) -> Vec<u8> {
    transaction_record("payments", transaction).value.expect("a value").to_vec()
}

#[test]
fn keys_are_kafkas() {
    let record = transaction_record("payments", &transaction());
    assert_eq!(record.key, bytes(KAFKA_KEY));
    assert_eq!(parse_key(&record.key).as_deref(), Ok("payments"));
    assert_eq!(tombstone("payments"), CoordinatorRecord { value: None, ..record });
}

#[test]
fn values_are_kafkas() {
    assert_eq!(value(&transaction()), bytes(KAFKA_V1));
    assert_eq!(value(&with_tags()), bytes(KAFKA_V1_TAGS));
    let empty = Transaction::new(9, 1, 2);
    assert_eq!(value(&empty), bytes(KAFKA_V1_EMPTY));
}

#[test]
fn every_version_kafka_writes_is_read() {
    assert_eq!(parse_value(&bytes(KAFKA_V0)), Ok(transaction()));
    assert_eq!(parse_value(&bytes(KAFKA_V1)), Ok(transaction()));
    assert_eq!(parse_value(&bytes(KAFKA_V1_TAGS)), Ok(with_tags()));
    assert_eq!(parse_value(&bytes(KAFKA_V1_EMPTY)), Ok(Transaction::new(9, 1, 2)));
}

#[test]
fn the_last_epoch_is_a_tag_of_its_own_and_unknown_tags_are_skipped() {
    let transaction = Transaction { last_producer_epoch: 32_766, ..with_tags() };
    let written = value(&transaction);
    assert!(written.ends_with(&[4, 2, 0x7f, 0xfe]), "tag 4, two bytes");
    assert_eq!(parse_value(&written), Ok(transaction));
    // One tag: 3, the next epoch of KIP-939.
    let mut foreign = bytes(KAFKA_V1);
    foreign.pop();
    foreign.extend([1, 3, 2, 0, 8]);
    assert_eq!(parse_value(&foreign), Ok(self::transaction()));
}

#[test]
fn all_states_come_back() {
    for id in 0..=5 {
        let state = State::from_id(id).expect("a state that is stored");
        let partitions = if state == State::Empty { BTreeSet::new() } else { transaction().partitions };
        let transaction = Transaction { state, partitions, ..with_tags() };
        assert_eq!(parse_value(&value(&transaction)), Ok(transaction));
    }
    assert_eq!((State::from_id(6), State::from_id(-1)), (None, None));
}

#[test]
fn bytes_that_do_not_fit_are_errors() {
    let good = value(&with_tags());
    for len in 0..good.len() {
        assert!(parse_value(&good[..len]).is_err(), "cut to {len}");
    }
    let mut newer = good.clone();
    newer[1] = 2;
    assert_eq!(parse_value(&newer), Err(RecordError::UnknownVersion { version: 2 }));
    let mut dead = good;
    dead[16] = 6;
    assert_eq!(parse_value(&dead), Err(RecordError::UnknownState { state: 6 }));
    assert_eq!(parse_key(&[0, 1, 0, 0]), Err(RecordError::UnknownKey { key_type: 1 }));
    for short in [&[0][..], &[0, 0], &[0, 0, 0, 3, b'a'], &[0, 0, 255, 255], &[0, 0, 0, 1, 0xff]] {
        assert_eq!(parse_key(short), Err(RecordError::Malformed));
    }
}
