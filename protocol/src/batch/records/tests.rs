use super::*;
use crate::batch::tests::fixture;

/// A header for `count` uncompressed records.
fn header(count: i32) -> BatchHeader {
    BatchHeader { records_count: count, base_offset: 10, base_timestamp: 100, ..*fixture("none").header() }
}

fn read(count: i32, data: &[u8]) -> Vec<Result<Offset, &'static str>> {
    RecordIter::new(&header(count), data)
        .map(|record| match record {
            Ok(record) => Ok(record.offset),
            Err(BatchError::Record { reason, .. }) => Err(reason),
            Err(other) => panic!("{other}"),
        })
        .collect()
}

/// length 7 | attributes 0 | timestamp +1 | offset +2 | null key | value "v" | no headers
const RECORD: [u8; 8] = [14, 0, 2, 4, 1, 2, b'v', 0];

#[test]
fn a_record_is_read_field_by_field() {
    let header = header(1);
    let record = RecordIter::new(&header, &RECORD).next().unwrap().unwrap();
    assert_eq!((record.offset, record.offset_delta), (12, 2));
    assert_eq!((record.timestamp, record.timestamp_delta), (101, 1));
    assert_eq!((record.key, record.value), (None, Some(&b"v"[..])));
    assert_eq!(record.headers.len(), 0);
    assert_eq!(record.raw, RECORD);
}

#[test]
fn duplicate_header_keys_and_null_values_are_kept_in_order() {
    let batch = fixture("none");
    let records = batch.records(0).unwrap();
    let first = records.iter().next().unwrap().unwrap();
    let headers: Vec<_> = first.headers.map(|h| (h.key, h.value)).collect();
    let expected: [(&[u8], Option<&[u8]>); 3] = [(b"h", Some(b"1")), (b"h", None), (b"", Some(b"x"))];
    assert_eq!(headers, expected);
}

#[test]
fn the_count_must_be_the_number_of_records() {
    let two = [RECORD, RECORD].concat();
    assert_eq!(read(2, &two), [Ok(12), Ok(12)]);
    assert_eq!(read(1, &two), [Ok(12), Err("bytes follow the last record")]);
    assert_eq!(read(3, &two), [Ok(12), Ok(12), Err("length ends early")]);
    assert_eq!(read(i32::MAX, &RECORD), [Ok(12), Err("length ends early")]);
    assert_eq!(read(-1, &RECORD), [Err("bytes follow the last record")]);
    assert_eq!(read(0, &[]), []);
}

#[test]
fn every_cut_is_an_error() {
    for cut in 0..RECORD.len() {
        assert_eq!(read(1, &RECORD[..cut]).len(), 1);
        assert!(read(1, &RECORD[..cut])[0].is_err(), "cut at {cut}");
    }
}

#[test]
fn lengths_that_lie_are_refused() {
    let with = |at: usize, byte: u8| {
        let mut record = RECORD;
        record[at] = byte;
        read(1, &record)[0]
    };
    assert_eq!(with(0, 1), Err("negative length"));
    assert_eq!(with(0, 0), Err("empty"));
    assert_eq!(with(0, 12), Err("number of headers ends early"));
    assert_eq!(with(0, 16), Err("longer than the batch"));
    assert_eq!(with(4, 60), Err("key ends early"));
    assert_eq!(with(5, 60), Err("value ends early"));
    assert_eq!(with(5, 0), Err("more headers than bytes"));
    assert_eq!(with(7, 1), Err("negative number of headers"));
    assert_eq!(with(7, 2), Err("more headers than bytes"));
}

#[test]
fn a_header_without_a_key_is_refused() {
    // One header: null key, null value.
    let record = [18, 0, 2, 4, 1, 2, b'v', 2, 1, 1];
    assert_eq!(read(1, &record), [Err("null header key")]);
}

#[test]
fn deltas_that_overflow_wrap_and_do_not_panic() {
    let far = BatchHeader { base_offset: i64::MAX, base_timestamp: i64::MAX, ..header(1) };
    let record = RecordIter::new(&far, &RECORD).next().unwrap().unwrap();
    assert_eq!(record.timestamp, i64::MIN);
    assert_eq!(record.offset, i64::MIN + 1);
}

#[test]
fn an_uncompressed_batch_is_not_copied() {
    let batch = fixture("none");
    let records = batch.records(0).unwrap();
    assert_eq!(records.data().as_ptr(), batch.bytes()[61..].as_ptr());
}

#[test]
fn the_cap_holds_for_compressed_records() {
    for name in ["gzip", "snappy", "lz4", "zstd"] {
        assert!(matches!(fixture(name).records(100), Err(BatchError::Decompress(_))), "{name}");
    }
}
