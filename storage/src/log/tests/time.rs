//! Searches by time against a walk over all records.

use super::*;

fn timed(compression: Compression, timestamps: &[i64]) -> RecordBatch {
    let mut builder = BatchBuilder::new(BuilderOptions { compression, ..BuilderOptions::default() });
    for (i, timestamp) in (0..).zip(timestamps) {
        builder.append(i, *timestamp, None, Some(b"some value"), &[]);
    }
    builder.build()
}

#[test]
fn the_record_is_found_inside_a_compressed_batch() {
    let fixture = Fixture::new(0, |_| {});
    let mut log = fixture.open(None);
    for compression in [Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd] {
        let start = log.log_end() * 10;
        let timestamps: Vec<_> = (0..10).map(|i| start + i * 10).collect();
        log.append_as_leader(timed(compression, &timestamps), EPOCH, at(0)).unwrap();
    }
    let reader = log.reader();
    for offset in 0..40 {
        let expected = Found { offset, timestamp: offset * 10, epoch: EPOCH };
        assert_eq!(reader.offset_for_timestamp(offset * 10, 40).unwrap(), Some(expected));
        assert_eq!(reader.offset_for_timestamp(offset * 10 - 9, 40).unwrap(), Some(expected));
    }
    assert_eq!(reader.offset_for_timestamp(391, 40).unwrap(), None);
    assert_eq!(reader.max_timestamp(40).unwrap().unwrap().offset, 39);
    assert_eq!(reader.max_timestamp(30).unwrap().unwrap().offset, 29);
}

#[test]
fn an_empty_log_has_no_record_at_any_time() {
    let fixture = Fixture::new(0, |_| {});
    let log = fixture.open(None);
    assert_eq!(log.reader().offset_for_timestamp(0, 0).unwrap(), None);
    assert_eq!(log.reader().max_timestamp(0).unwrap(), None);
}

#[test]
fn every_record_of_a_stamped_batch_has_the_time_of_the_append() {
    let fixture = Fixture::new(0, |_| {});
    let mut log = fixture.open(None);
    let options = BuilderOptions {
        timestamp_type: tidemark_protocol::batch::TimestampType::LogAppendTime,
        max_timestamp: Some(700),
        ..BuilderOptions::default()
    };
    let mut builder = BatchBuilder::new(options);
    builder.append(0, 1, None, None, &[]);
    builder.append(1, 2, None, None, &[]);
    let appended = log.append_as_leader(builder.build(), EPOCH, at(0)).unwrap();
    assert_eq!(appended.log_append_time, 700);
    let expected = Found { offset: 0, timestamp: 700, epoch: EPOCH };
    assert_eq!(log.reader().offset_for_timestamp(650, 2).unwrap(), Some(expected));
    assert_eq!(log.reader().max_timestamp(2).unwrap(), Some(expected));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    /// Clocks in any order, several segments, sparse entries, a moved start and a bound below the end.
    #[test]
    fn time_searches_equal_a_walk_over_all_records(
        times in prop::collection::vec(prop::collection::vec(0i64..100, 1..5), 1..40),
        segment_bytes in 300u64..3000,
        interval in 0u64..800,
        asked in prop::collection::vec(0i64..105, 10),
        start in 0i64..60,
        up_to in 0usize..40,
        restart: bool,
    ) {
        let fixture = Fixture::new(0, |c| {
            (c.segment_bytes, c.index_interval_bytes, c.segment_ms) = (segment_bytes, interval, i64::MAX);
        });
        let mut log = fixture.open(None);
        let mut records = Vec::new();
        let mut ends = Vec::new();
        for timestamps in &times {
            let placed = log.append_as_leader(timed(Compression::None, timestamps), EPOCH, at(0)).unwrap();
            records.extend((placed.base_offset..).zip(timestamps.iter().copied()));
            ends.push(placed.last_offset + 1);
        }
        log.advance_log_start(start.min(log.log_end())).unwrap();
        let mark = flush(&mut log);
        if restart {
            drop(log);
            log = fixture.open(Some(mark));
        }
        let up_to = ends[up_to.min(ends.len() - 1)];
        records.retain(|(offset, _)| *offset >= log.log_start() && *offset < up_to);
        let reader = log.reader();
        for asked in asked {
            let expected = records.iter().find(|(_, t)| *t >= asked).copied();
            let found = reader.offset_for_timestamp(asked, up_to).unwrap().map(|f| (f.offset, f.timestamp));
            prop_assert_eq!(found, expected);
        }
        let largest = records.iter().map(|(_, t)| *t).max();
        let expected = largest.and_then(|largest| records.iter().find(|(_, t)| *t == largest).copied());
        let found = reader.max_timestamp(up_to).unwrap().map(|f| (f.offset, f.timestamp));
        prop_assert_eq!(found, expected);
    }
}
