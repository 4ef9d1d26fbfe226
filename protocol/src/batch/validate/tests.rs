//! Every reason to refuse a produced batch, with Kafka's code, and every way an accepted one is stored.

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::batch::tests::{Owned, any_codec, build, fixture, owned};
use crate::batch::{PREFIX_LEN, control};

/// Now, in the tests: after every timestamp of the records.
const NOW: i64 = 1_700_000_000_000;
const VERSION: i16 = 9;

fn rules() -> AppendRules {
    AppendRules {
        max_message_bytes: 1_048_588,
        segment_bytes: 1 << 30,
        timestamp_type: TimestampType::CreateTime,
        timestamp_before_max_ms: i64::MAX,
        timestamp_after_max_ms: 3_600_000,
        compacted: false,
        compression: TopicCompression::Producer,
    }
}

fn record(offset: i64, timestamp: i64, key: Option<&str>) -> Owned {
    Owned {
        offset,
        timestamp,
        key: key.map(|k| k.as_bytes().to_vec()),
        value: Some(b"value value value value".to_vec()),
        headers: vec![(b"twice".to_vec(), None), (b"twice".to_vec(), Some(b"2".to_vec()))],
    }
}

fn records() -> Vec<Owned> {
    vec![record(0, NOW - 10, Some("a")), record(1, NOW - 5, Some("b")), record(2, NOW - 7, Some("a"))]
}

fn batch(compression: Compression, records: &[Owned]) -> RecordBatch {
    build(BuilderOptions { compression, ..BuilderOptions::default() }, records)
}

fn plain() -> RecordBatch {
    batch(Compression::None, &records())
}

/// The batch with another header and a checksum that fits it.
fn with_header(batch: &RecordBatch, change: impl FnOnce(&mut BatchHeader)) -> Bytes {
    let mut header = *batch.header();
    change(&mut header);
    let mut bytes = batch.bytes().to_vec();
    bytes[..HEADER_LEN].copy_from_slice(&header.encode());
    header::seal(&mut bytes);
    Bytes::from(bytes)
}

fn refused(records: &Bytes, rules: &AppendRules) -> Rejected {
    validate(records.clone(), rules, VERSION, NOW).expect_err("the batch must be refused")
}

fn code(records: &Bytes) -> ErrorCode {
    refused(records, &rules()).code
}

fn accepted(batch: &RecordBatch, rules: &AppendRules) -> Validated {
    let validated = validate(batch.bytes().clone(), rules, VERSION, NOW).expect("the batch must pass");
    validated.batch.verify_crc().expect("what is stored has a checksum that fits");
    assert_eq!(
        RecordBatch::parse(validated.batch.bytes().clone()).unwrap().header(),
        validated.batch.header()
    );
    validated
}

#[test]
fn a_good_batch_passes_as_the_same_bytes() {
    for id in 0..5 {
        let batch = batch(Compression::from_id(id).unwrap(), &records());
        let validated = accepted(&batch, &rules());
        assert_eq!(validated.batch.bytes().as_ptr(), batch.bytes().as_ptr(), "not even copied");
        assert_eq!(validated.log_append_time, -1);
    }
}

#[test]
fn without_a_batch_there_is_nothing_to_append() {
    let text = "Produce requests with version 9 must have at least one record batch per partition";
    for bytes in [Bytes::new(), plain().bytes().slice(..11), plain().bytes().slice(..60)] {
        let rejected = refused(&bytes, &rules());
        assert_eq!((rejected.code, rejected.message.as_str()), (ErrorCode::InvalidRecord, text));
    }
}

#[test]
fn old_formats_are_invalid_and_unknown_ones_corrupt() {
    let with_magic = |magic: u8| {
        let mut bytes = plain().bytes().to_vec();
        bytes[16] = magic;
        code(&Bytes::from(bytes))
    };
    assert_eq!(with_magic(0), ErrorCode::InvalidRecord);
    assert_eq!(with_magic(1), ErrorCode::InvalidRecord);
    assert_eq!(with_magic(3), ErrorCode::CorruptMessage);
    assert_eq!(with_magic(255), ErrorCode::CorruptMessage);
}

#[test]
fn a_second_batch_is_invalid_the_beginning_of_one_is_cut_off_and_anything_else_is_corrupt() {
    let one = plain().bytes().clone();
    let followed_by = |rest: &[u8]| Bytes::from([&one[..], rest].concat());
    assert_eq!(code(&followed_by(&one)), ErrorCode::InvalidRecord);
    assert_eq!(code(&followed_by(&[0; 100])), ErrorCode::CorruptMessage);
    for beginning in [&b"x"[..], &one[..one.len() - 1]] {
        let validated = validate(followed_by(beginning), &rules(), VERSION, NOW).unwrap();
        assert_eq!(validated.batch.bytes(), &one);
    }
}

#[test]
fn a_length_below_a_header_is_corrupt() {
    let mut bytes = plain().bytes().to_vec();
    bytes[8..12].copy_from_slice(&48i32.to_be_bytes());
    assert_eq!(code(&Bytes::from(bytes)), ErrorCode::CorruptMessage);
}

#[test]
fn zstd_needs_version_seven() {
    let zstd = batch(Compression::Zstd, &records());
    let rejected = validate(zstd.bytes().clone(), &rules(), 6, NOW).unwrap_err();
    assert_eq!(rejected.code, ErrorCode::UnsupportedCompressionType);
    assert!(validate(zstd.bytes().clone(), &rules(), 7, NOW).is_ok());
    let lz4 = batch(Compression::Lz4, &records());
    assert!(validate(lz4.bytes().clone(), &rules(), 3, NOW).is_ok());
}

#[test]
fn a_codec_that_does_not_exist_is_unsupported() {
    let bytes = with_header(&plain(), |h| h.attributes.0 |= 7);
    assert_eq!(code(&bytes), ErrorCode::UnsupportedCompressionType);
}

#[test]
fn a_base_offset_other_than_zero_is_invalid() {
    assert_eq!(code(&plain().place(1, 0).to_bytes()), ErrorCode::InvalidRecord);
}

#[test]
fn a_batch_over_the_limit_is_too_large_and_one_at_the_limit_is_not() {
    let batch = plain();
    let limit = |max_message_bytes| AppendRules { max_message_bytes, ..rules() };
    assert_eq!(refused(batch.bytes(), &limit(batch.len() - 1)).code, ErrorCode::MessageTooLarge);
    accepted(&batch, &limit(batch.len()));
}

#[test]
fn a_batch_over_the_segment_size_is_refused() {
    let batch = plain();
    let limit = |segment_bytes| AppendRules { segment_bytes, ..rules() };
    assert_eq!(refused(batch.bytes(), &limit(batch.len() - 1)).code, ErrorCode::RecordListTooLarge);
    accepted(&batch, &limit(batch.len()));
}

#[test]
fn a_wrong_checksum_is_corrupt_and_checked_before_the_counts() {
    let mut bytes = with_header(&plain(), |h| h.records_count = 7).to_vec();
    bytes[PREFIX_LEN + 1] ^= 1;
    let rejected = refused(&Bytes::from(bytes), &rules());
    assert_eq!(rejected.code, ErrorCode::CorruptMessage);
}

#[test]
fn counts_that_disagree_are_invalid() {
    let with = |last_offset_delta, records_count| {
        let change =
            |h: &mut BatchHeader| (h.last_offset_delta, h.records_count) = (last_offset_delta, records_count);
        code(&with_header(&plain(), change))
    };
    for (last, count) in
        [(2, 2), (3, 3), (2, 4), (-1, 0), (i32::MAX, i32::MIN), (-1, -1), (i32::MAX, i32::MAX), (i32::MIN, 3)]
    {
        assert_eq!(with(last, count), ErrorCode::InvalidRecord, "{last} {count}");
    }
    // Header fields agree, the records do not.
    assert_eq!(with(3, 4), ErrorCode::InvalidRecord);
    assert_eq!(with(1, 2), ErrorCode::InvalidRecord);
    assert_eq!(with(i32::MAX - 1, i32::MAX), ErrorCode::InvalidRecord);
}

#[test]
fn clients_write_no_control_records() {
    let marker =
        control::EndTransactionMarker { control_type: control::ControlType::Commit, coordinator_epoch: 0 };
    assert_eq!(code(marker.batch(0, NOW, 5, 0).bytes()), ErrorCode::InvalidRecord);
}

#[test]
fn a_producer_needs_a_sequence() {
    let with = |producer_id, base_sequence| {
        with_header(&plain(), |h| (h.producer_id, h.base_sequence) = (producer_id, base_sequence))
    };
    let rejected = refused(&with(5, -1), &rules());
    assert_eq!(rejected.code, ErrorCode::InvalidRecord);
    assert_eq!(rejected.message, "Invalid sequence number -1 in record batch with producerId 5");
    assert!(validate(with(5, 0), &rules(), VERSION, NOW).is_ok());
    assert!(validate(with(-1, -1), &rules(), VERSION, NOW).is_ok());
}

#[test]
fn a_record_that_does_not_parse_is_invalid() {
    let mut bytes = plain().bytes().to_vec();
    bytes[HEADER_LEN] = 0xff;
    header::seal(&mut bytes);
    assert_eq!(code(&Bytes::from(bytes)), ErrorCode::InvalidRecord);
}

#[test]
fn a_compacted_topic_refuses_each_record_without_a_key() {
    let mut some = records();
    (some[0].key, some[2].key) = (None, None);
    let compacted = AppendRules { compacted: true, ..rules() };
    for id in 0..5 {
        let codec = Compression::from_id(id).unwrap();
        let rejected = refused(batch(codec, &some).bytes(), &compacted);
        assert_eq!(rejected.code, ErrorCode::InvalidRecord);
        let indexes: Vec<i32> = rejected.record_errors.iter().map(|e| e.0).collect();
        assert_eq!(indexes, [0, 2]);
        assert!(
            rejected.message.starts_with("One or more records have been rejected due to 2 record errors")
        );
        accepted(&batch(codec, &records()), &compacted);
        accepted(&batch(codec, &some), &rules());
    }
}

#[test]
fn an_empty_key_is_a_key() {
    let empty = batch(Compression::None, &[record(0, NOW, Some(""))]);
    accepted(&empty, &AppendRules { compacted: true, ..rules() });
}

#[test]
fn timestamps_out_of_bounds_are_refused_record_by_record() {
    let hour = 3_600_000;
    let bounded = AppendRules { timestamp_before_max_ms: 1000, ..rules() };
    let times = [NOW - 1001, NOW - 1000, NOW, NOW + hour, NOW + hour + 1, -1];
    let some: Vec<Owned> = (0..).zip(times).map(|(offset, time)| record(offset, time, Some("k"))).collect();
    for id in 0..5 {
        let batch = batch(Compression::from_id(id).unwrap(), &some);
        let rejected = refused(batch.bytes(), &bounded);
        assert_eq!(rejected.code, ErrorCode::InvalidTimestamp);
        assert_eq!(rejected.message, "One or more records have been rejected due to invalid timestamp");
        let indexes: Vec<i32> = rejected.record_errors.iter().map(|e| e.0).collect();
        assert_eq!(indexes, [0, 4]);
        assert_eq!(
            rejected.record_errors[1].1.as_deref(),
            Some(
                "Timestamp 1700003600001 of message with offset 4 is out of range. The timestamp should be within [1699999999000, 1700003600000]"
            )
        );
        // Without a lower bound the header's maximum alone tells that a compressed batch has to be opened.
        let indexes: Vec<i32> = refused(batch.bytes(), &rules()).record_errors.iter().map(|e| e.0).collect();
        assert_eq!(indexes, [4]);
        accepted(&batch, &AppendRules { timestamp_after_max_ms: i64::MAX, ..rules() });
    }
}

#[test]
fn a_wrong_timestamp_wins_over_a_missing_key() {
    let some = [record(0, NOW, None), record(1, NOW + 10_000_000, Some("k"))];
    let rejected =
        refused(batch(Compression::None, &some).bytes(), &AppendRules { compacted: true, ..rules() });
    assert_eq!(rejected.code, ErrorCode::InvalidTimestamp);
    assert_eq!(rejected.record_errors.len(), 2);
}

#[test]
fn append_times_are_not_the_producers_to_give() {
    for timestamp_type in [TimestampType::CreateTime, TimestampType::LogAppendTime] {
        for compression in [Compression::None, Compression::Lz4] {
            let given = BuilderOptions {
                compression,
                timestamp_type: TimestampType::LogAppendTime,
                max_timestamp: Some(NOW),
                ..BuilderOptions::default()
            };
            let rejected =
                refused(build(given, &records()).bytes(), &AppendRules { timestamp_type, ..rules() });
            assert_eq!(rejected.code, ErrorCode::InvalidTimestamp);
            assert_eq!(rejected.record_errors.len(), 3);
        }
    }
}

#[test]
fn the_list_of_bad_records_is_bounded() {
    let some: Vec<Owned> = (0..5000).map(|offset| record(offset, NOW, None)).collect();
    let rejected =
        refused(batch(Compression::None, &some).bytes(), &AppendRules { compacted: true, ..rules() });
    assert_eq!(rejected.record_errors.len(), RECORD_ERRORS_MAX);
    assert!(rejected.message.contains("due to 5000 record errors"));
}

#[test]
fn log_append_time_is_stamped_into_the_header_alone() {
    let rules = AppendRules { timestamp_type: TimestampType::LogAppendTime, ..rules() };
    for id in 0..5 {
        let future: Vec<Owned> = records().into_iter().map(|r| Owned { timestamp: NOW * 2, ..r }).collect();
        let batch = batch(Compression::from_id(id).unwrap(), &future);
        let validated = accepted(&batch, &rules);
        assert_eq!(validated.log_append_time, NOW);
        assert_eq!(validated.batch.header().timestamp_type(), TimestampType::LogAppendTime);
        assert_eq!(validated.batch.header().max_timestamp, NOW);
        assert_eq!(validated.batch.bytes()[HEADER_LEN..], batch.bytes()[HEADER_LEN..]);
        assert!(owned(&validated.batch).iter().all(|r| r.timestamp == NOW));
    }
}

#[test]
fn the_maximum_timestamp_is_that_of_the_records() {
    let lying = with_header(&plain(), |h| h.max_timestamp = 5);
    let validated = accepted(&RecordBatch::parse(lying).unwrap(), &rules());
    assert_eq!(validated.batch.header().max_timestamp, NOW - 5);
    assert_eq!(validated.batch.bytes(), plain().bytes());

    // A compressed batch that claims a time above the bound is opened, and its records decide.
    let lying = with_header(&batch(Compression::Zstd, &records()), |h| h.max_timestamp = i64::MAX);
    let validated = accepted(&RecordBatch::parse(lying).unwrap(), &rules());
    assert_eq!(validated.batch.header().max_timestamp, NOW - 5);
}

#[test]
fn another_codec_of_the_topic_packs_anew_and_keeps_everything() {
    let producer = BuilderOptions {
        producer_id: 5,
        producer_epoch: 1,
        base_sequence: 100,
        transactional: true,
        ..BuilderOptions::default()
    };
    for from in 0..5 {
        for to in 0..5 {
            let (from, to) = (Compression::from_id(from).unwrap(), Compression::from_id(to).unwrap());
            let sent = build(BuilderOptions { compression: from, ..producer }, &records());
            let fixed = AppendRules { compression: TopicCompression::Fixed(to, Some(1)), ..rules() };
            let stored = accepted(&sent, &fixed).batch;
            assert_eq!(stored.header().compression(), to);
            assert_eq!(owned(&stored), records(), "{from:?} to {to:?}");
            let header = stored.header();
            assert_eq!((header.producer_id, header.producer_epoch, header.base_sequence), (5, 1, 100));
            assert!(header.is_transactional());
            assert_eq!(header.max_timestamp, NOW - 5);
            if from == to {
                assert_eq!(stored.bytes().as_ptr(), sent.bytes().as_ptr(), "not opened");
            }
        }
    }
}

#[test]
fn recompression_under_log_append_time_carries_the_append_time() {
    let rules = AppendRules {
        timestamp_type: TimestampType::LogAppendTime,
        compression: TopicCompression::Fixed(Compression::Gzip, None),
        ..rules()
    };
    let stored = accepted(&plain(), &rules).batch;
    assert_eq!(stored.header().max_timestamp, NOW);
    assert!(owned(&stored).iter().all(|r| r.timestamp == NOW));
    assert_eq!(stored.header().base_timestamp, NOW - 10);
}

#[test]
fn a_batch_that_grows_over_the_limit_is_too_large() {
    let zeros = vec![Owned { value: Some(vec![0; 100_000]), ..record(0, NOW, None) }];
    let small = batch(Compression::Zstd, &zeros);
    let unpack = AppendRules {
        max_message_bytes: 50_000,
        compression: TopicCompression::Fixed(Compression::None, None),
        ..rules()
    };
    assert_eq!(refused(small.bytes(), &unpack).code, ErrorCode::MessageTooLarge);
    accepted(&small, &AppendRules { max_message_bytes: 50_000, ..rules() });
}

#[test]
fn wrong_inner_offsets_are_numbered_anew() {
    let opened = AppendRules { compacted: true, ..rules() };
    for id in 0..5 {
        let mut some = records();
        (some[0].offset, some[1].offset) = (2, 2);
        let sent = batch(Compression::from_id(id).unwrap(), &some);
        let stored = accepted(&sent, &opened).batch;
        assert_eq!(owned(&stored), records(), "codec {id}");
        assert_eq!(stored.header().compression().id(), id);
    }
}

#[test]
fn what_does_not_unfold_is_invalid_once_it_is_opened() {
    let sent = batch(Compression::Gzip, &records());
    let mut bytes = sent.bytes().to_vec();
    bytes[HEADER_LEN..].fill(7);
    header::seal(&mut bytes);
    let bytes = Bytes::from(bytes);
    assert_eq!(refused(&bytes, &AppendRules { compacted: true, ..rules() }).code, ErrorCode::InvalidRecord);
    let gzip = TopicCompression::Fixed(Compression::Zstd, None);
    assert_eq!(refused(&bytes, &AppendRules { compression: gzip, ..rules() }).code, ErrorCode::InvalidRecord);
}

#[test]
fn a_bomb_is_too_large_where_it_is_opened() {
    let zeros = vec![0; UNFOLDED_BYTES_MAX + 1];
    let packed = Compression::Zstd.compress(None, &zeros);
    let mut bytes = batch(Compression::Zstd, &records()).bytes()[..HEADER_LEN].to_vec();
    bytes.extend_from_slice(&packed);
    let length = (bytes.len() - 12) as i32;
    bytes[8..12].copy_from_slice(&length.to_be_bytes());
    header::seal(&mut bytes);
    let rejected = refused(&Bytes::from(bytes), &AppendRules { compacted: true, ..rules() });
    assert_eq!(rejected.code, ErrorCode::MessageTooLarge);
}

#[test]
fn batches_of_kafka_pass_under_every_rule() {
    for name in ["none", "gzip", "snappy", "lz4", "zstd", "transactional"] {
        let strict = AppendRules { timestamp_before_max_ms: 60_000, ..rules() };
        assert_eq!(accepted(&fixture(name), &strict).batch.bytes(), fixture(name).bytes(), "{name}");
    }
}

proptest! {
    #[test]
    fn hostile_bytes_are_refused_or_stored_whole(
        codec in any_codec(),
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        compacted in any::<bool>(),
        target in prop::option::of(any_codec()),
        sealed in any::<bool>(),
    ) {
        let mut bytes = batch(codec, &records()).bytes().to_vec();
        for (at, byte) in flips {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if sealed {
            header::seal(&mut bytes);
        }
        let compression = target.map_or(TopicCompression::Producer, |codec| TopicCompression::Fixed(codec, None));
        let rules = AppendRules { compacted, compression, ..rules() };
        if let Ok(validated) = validate(Bytes::from(bytes), &rules, VERSION, NOW) {
            validated.batch.verify_crc().unwrap();
            let header = validated.batch.header();
            prop_assert_eq!(i64::from(header.records_count), i64::from(header.last_offset_delta) + 1);
            if header.compression() == Compression::None || target.is_some_and(|to| to != codec) {
                let records = validated.batch.records(1 << 20).unwrap();
                for (expected, record) in (0..).zip(records.iter()) {
                    prop_assert_eq!(record.unwrap().offset, expected);
                }
            }
        }
    }
}
