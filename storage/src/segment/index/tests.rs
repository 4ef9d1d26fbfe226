use tidemark_protocol::batch::{BatchBuilder, BuilderOptions};

use super::*;

fn header(offset: Offset, timestamp: TimestampMs) -> BatchHeader {
    let mut builder = BatchBuilder::new(BuilderOptions::default());
    builder.append(0, timestamp, None, Some(&[0; 100]), &[]);
    *builder.build().place(offset, 0).header()
}

fn filled(timestamps: &[TimestampMs], interval: u64) -> (SegmentIndex, Vec<u64>) {
    let mut index = SegmentIndex::new(50);
    let mut positions = Vec::new();
    let mut position = 0;
    for (offset, timestamp) in (50..).zip(timestamps) {
        let header = header(offset, *timestamp);
        index.on_batch(&header, position, interval);
        positions.push(position);
        position += header.total_len() as u64;
    }
    (index, positions)
}

#[test]
fn an_interval_of_nothing_indexes_every_batch_but_the_first() {
    let (index, positions) = filled(&[1, 2, 3, 4], 0);
    for (i, offset) in (50..54).enumerate() {
        assert_eq!(index.lookup(offset), (offset, positions[i]));
    }
    assert_eq!(index.lookup(99), (53, positions[3]));
    assert_eq!(index.lookup_position(positions[2] + 5, 99), (52, positions[2]));
    assert_eq!(index.lookup_position(positions[2] + 5, 51), (51, positions[1]));
}

#[test]
fn a_time_search_never_starts_behind_the_first_match() {
    let timestamps = [5, 3, 9, 9, 2, 7, 12, 1, 12, 20];
    let (index, _) = filled(&timestamps, 0);
    for asked in 0..22 {
        let start = index.lookup_time(asked);
        let first = (50..).zip(timestamps).find(|(_, t)| *t >= asked);
        assert!(first.is_none_or(|(offset, _)| start <= offset), "{asked}");
    }
    assert_eq!(index.lookup_time(10), 56, "everything up to 55 is older");
    assert_eq!(index.largest_before(56), (9, 56));
    let summary = index.summary();
    assert_eq!(
        (summary.first_timestamp, summary.largest_timestamp, summary.largest_timestamp_offset),
        (5, 20, 59)
    );
}
