//! Batches as Kafka 4.3.1 writes them (fixtures/kafka.txt, made by fixtures/Fixtures.java), ours against theirs, and
//! the properties that hold for any batch and any bytes.

use bytes::Bytes;
use proptest::prelude::*;

use super::*;

/// A batch that Kafka's own code built.
pub(super) fn fixture(name: &str) -> RecordBatch {
    let hex = include_str!("fixtures/kafka.txt")
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))
        .expect("a fixture of this name");
    let bytes: Vec<u8> =
        (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap()).collect();
    RecordBatch::parse(Bytes::from(bytes)).unwrap()
}

/// Owned form of a record, to compare.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Owned {
    pub(super) offset: Offset,
    pub(super) timestamp: i64,
    pub(super) key: Option<Vec<u8>>,
    pub(super) value: Option<Vec<u8>>,
    pub(super) headers: Vec<(Vec<u8>, Option<Vec<u8>>)>,
}

pub(super) fn owned(batch: &RecordBatch) -> Vec<Owned> {
    let records = batch.records(1 << 24).unwrap();
    records
        .iter()
        .map(|record| {
            let record = record.unwrap();
            Owned {
                offset: record.offset,
                timestamp: record.timestamp,
                key: record.key.map(<[u8]>::to_vec),
                value: record.value.map(<[u8]>::to_vec),
                headers: record.headers.map(|h| (h.key.to_vec(), h.value.map(<[u8]>::to_vec))).collect(),
            }
        })
        .collect()
}

pub(super) fn build(options: BuilderOptions, records: &[Owned]) -> RecordBatch {
    let mut builder = BatchBuilder::new(options);
    for record in records {
        let headers: Vec<RecordHeader<'_>> =
            record.headers.iter().map(|(key, value)| RecordHeader { key, value: value.as_deref() }).collect();
        builder.append(
            record.offset,
            record.timestamp,
            record.key.as_deref(),
            record.value.as_deref(),
            &headers,
        );
    }
    builder.build()
}

/// The three records of the fixtures.
fn fixture_records() -> Vec<Owned> {
    let bytes = |text: &str| Some(text.as_bytes().to_vec());
    let headers = vec![(b"h".to_vec(), bytes("1")), (b"h".to_vec(), None), (Vec::new(), bytes("x"))];
    let tide = "the tide comes in, the tide goes out; ".repeat(20);
    let plain = |offset, timestamp, key, value| Owned { offset, timestamp, key, value, headers: Vec::new() };
    vec![
        Owned { headers, ..plain(0, 1_700_000_000_000, bytes("a"), bytes("one")) },
        plain(1, 1_700_000_000_005, None, None),
        plain(2, 1_699_999_999_997, bytes("c"), bytes(&tide)),
    ]
}

#[test]
fn batches_of_kafka_are_read_with_every_codec() {
    for name in ["none", "gzip", "snappy", "lz4", "zstd"] {
        let batch = fixture(name);
        batch.verify_crc().unwrap();
        assert_eq!(batch.header().compression().name(), name);
        assert_eq!(batch.header().max_timestamp, 1_700_000_000_005, "{name}");
        assert_eq!(owned(&batch), fixture_records(), "{name}");
    }
}

#[test]
fn our_bytes_are_those_of_kafka() {
    let plain = BuilderOptions::default();
    assert_eq!(build(plain, &fixture_records()).bytes(), fixture("none").bytes());

    let append_time = BuilderOptions {
        timestamp_type: TimestampType::LogAppendTime,
        max_timestamp: Some(1_700_000_001_234),
        ..plain
    };
    assert_eq!(build(append_time, &fixture_records()).bytes(), fixture("append-time").bytes());

    let transactional = BuilderOptions {
        producer_id: 4711,
        producer_epoch: 7,
        base_sequence: i32::MAX - 1,
        transactional: true,
        ..plain
    };
    let batch = build(transactional, &fixture_records());
    assert_eq!(batch.bytes(), fixture("transactional").bytes());
    assert_eq!(batch.header().last_sequence(), 0, "2147483646, 2147483647, 0");
}

#[test]
fn append_time_is_the_timestamp_of_every_record() {
    let batch = fixture("append-time");
    let records = batch.records(0).unwrap();
    let times: Vec<(i64, i64)> =
        records.iter().map(|r| r.unwrap()).map(|r| (r.timestamp, r.timestamp_delta)).collect();
    assert_eq!(times, [(1_700_000_001_234, 0), (1_700_000_001_234, 5), (1_700_000_001_234, -3)]);
}

#[test]
fn batches_walks_whole_batches_and_stops_at_an_incomplete_one() {
    let parts = ["none", "zstd", "commit"].map(|name| fixture(name).bytes().clone());
    let whole = parts.concat();
    let ranges: Vec<_> = batches(&whole).map(|b| b.unwrap().1).collect();
    let ends: Vec<usize> = ranges.iter().map(|r| r.end).collect();
    assert_eq!(ends, [parts[0].len(), parts[0].len() + parts[1].len(), whole.len()]);
    for cut in 0..whole.len() {
        let mut walk = batches(&whole[..cut]);
        let seen = walk.by_ref().filter(Result::is_ok).count();
        assert_eq!(seen, ends.iter().filter(|&&end| end <= cut).count(), "cut at {cut}");
        assert!(walk.position() <= cut);
    }
}

#[test]
fn after_an_error_no_batch_follows() {
    let mut bytes = [fixture("none").bytes().clone(), fixture("none").bytes().clone()].concat();
    let second = bytes.len() / 2;
    bytes[second + 16] = 1;
    let found: Vec<_> = batches(&bytes).collect();
    assert_eq!(found.len(), 2);
    assert_eq!(found[1], Err(BatchError::Magic { magic: 1 }));
}

#[test]
fn parse_wants_exactly_one_batch() {
    let bytes = fixture("none").bytes().clone();
    let long = Bytes::from([&bytes[..], b"x"].concat());
    assert_eq!(RecordBatch::parse(long).err(), Some(BatchError::Trailing { extra: 1 }));
    let (have, need) = (bytes.len() - 1, bytes.len());
    assert_eq!(RecordBatch::parse(bytes.slice(..have)).err(), Some(BatchError::Short { have, need }));
    assert_eq!(RecordBatch::parse(Bytes::new()).err(), Some(BatchError::Short { have: 0, need: HEADER_LEN }));
}

#[test]
fn a_flipped_bit_fails_the_checksum() {
    let bytes = fixture("none").bytes().to_vec();
    for at in (17..bytes.len()).filter(|at| !(21..23).contains(at)) {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x10;
        let batch = RecordBatch::parse(Bytes::from(damaged)).unwrap();
        assert!(matches!(batch.verify_crc(), Err(BatchError::Crc { .. })), "byte {at}");
    }
}

fn any_owned() -> impl Strategy<Value = Vec<Owned>> {
    let bytes = || prop::option::of(prop::collection::vec(any::<u8>(), 0..40));
    let header = (prop::collection::vec(any::<u8>(), 0..6), bytes());
    let record =
        (1i64..50, -5_000_000_000i64..5_000_000_000, bytes(), bytes(), prop::collection::vec(header, 0..4));
    prop::collection::vec(record, 1..20).prop_map(|records| {
        let mut offset = 0;
        let place = |(gap, timestamp, key, value, headers)| {
            offset += gap;
            Owned { offset, timestamp, key, value, headers }
        };
        records.into_iter().map(place).collect()
    })
}

pub(super) fn any_codec() -> impl Strategy<Value = Compression> {
    (0u8..5).prop_map(|id| Compression::from_id(id).unwrap())
}

proptest! {
    #[test]
    fn what_is_built_is_read(records in any_owned(), compression in any_codec(), level in prop::option::of(-1..9)) {
        let batch = build(BuilderOptions { compression, level, ..BuilderOptions::default() }, &records);
        let parsed = RecordBatch::parse(batch.bytes().clone()).unwrap();
        parsed.verify_crc().unwrap();
        prop_assert_eq!(parsed.header(), batch.header());
        prop_assert!(batch.bytes().starts_with(&parsed.header().encode()));
        prop_assert_eq!(parsed.header().records_count as usize, records.len());
        prop_assert_eq!(parsed.header().last_offset(), records.last().unwrap().offset);
        prop_assert_eq!(owned(&parsed), records);
    }

    #[test]
    fn hostile_bytes_never_panic(
        mut bytes in prop::collection::vec(any::<u8>(), 0..300),
        codec in 0i16..5,
        honest in any::<bool>(),
    ) {
        // Random bytes seldom look like a batch: half of the cases get a header that passes.
        if honest && bytes.len() >= HEADER_LEN {
            let length = (bytes.len() - LENGTH_END) as i32;
            bytes[8..12].copy_from_slice(&length.to_be_bytes());
            bytes[16] = 2;
            bytes[21..23].copy_from_slice(&codec.to_be_bytes());
        }
        for found in batches(&bytes) {
            let Ok((_, range)) = found else { break };
            let batch = RecordBatch::parse(Bytes::copy_from_slice(&bytes[range])).unwrap();
            let _ = batch.verify_crc();
            let header = batch.header();
            let _ = (header.last_offset(), header.next_offset(), header.last_sequence(), header.delete_horizon());
            if let Ok(records) = batch.records(10_000) {
                for record in records.iter().map_while(Result::ok) {
                    prop_assert!(record.headers.count() <= 300);
                }
            }
        }
    }

    #[test]
    fn damaged_records_never_panic(
        records in any_owned(),
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        let batch = build(BuilderOptions::default(), &records);
        let mut bytes = batch.bytes().to_vec();
        for (at, byte) in flips {
            bytes[HEADER_LEN..][at.index(batch.len() - HEADER_LEN)] = byte;
        }
        let batch = RecordBatch::parse(Bytes::from(bytes)).unwrap();
        let read = batch.records(0).unwrap().iter().filter(Result::is_ok).count();
        prop_assert!(read <= records.len());
    }
}
