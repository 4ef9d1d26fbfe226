//! A segment over real files: lookups against the list of its batches, indexes that lie, files that go while being read.

use proptest::prelude::*;
use tempfile::TempDir;
use tidemark_protocol::batch::{BatchBuilder, BuilderOptions};

use super::*;
use crate::disk::{OsDisk, read_exact_at};

fn place(dir: &TempDir, open_max: usize) -> Arc<Place> {
    let metrics = Arc::new(LogMetrics::default());
    Arc::new(Place {
        disk: Arc::new(OsDisk),
        dir: dir.path().to_owned(),
        open_files: Arc::new(OpenFiles::new(open_max, metrics.clone())),
        metrics,
        index_interval: AtomicU64::new(200),
        preallocated_bytes: AtomicU64::new(0),
        room: RoomPolicy::default(),
    })
}

fn placed(offset: Offset, n: i64, bytes: usize) -> PlacedBatch {
    let mut builder = BatchBuilder::new(BuilderOptions::default());
    for i in 0..n {
        builder.append(i, offset + i, None, Some(&vec![1; bytes]), &[]);
    }
    builder.build().place(offset, 1)
}

/// A segment from offset 100 on with batches of two records and gaps as given.
fn filled(place: &Arc<Place>, base: Offset, gaps: &[i64]) -> (Arc<Segment>, Vec<(Offset, u64)>) {
    let segment = Segment::new(place.clone(), base, 0, false);
    segment.create().unwrap();
    let mut offset = base;
    let mut list = Vec::new();
    for gap in gaps {
        offset += gap;
        list.push((offset, segment.size()));
        segment.append(&[placed(offset, 2, 40)]).unwrap();
        offset += 2;
    }
    (segment, list)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn locating_equals_a_linear_search(gaps in prop::collection::vec(0i64..5, 1..50), asked in 90i64..400, settled: bool) {
        let dir = TempDir::new().unwrap();
        let place = place(&dir, 10);
        let (segment, list) = filled(&place, 100, &gaps);
        if settled {
            segment.seal();
            segment.settle();
        }
        let expected = list.iter().find(|(offset, _)| offset + 1 >= asked).map(|(_, position)| *position);
        prop_assert_eq!(segment.locate(asked).unwrap().map(|l| l.position), expected);
        let summary = segment.summary().unwrap();
        prop_assert_eq!(summary.covered_position, segment.size());
        prop_assert_eq!(summary.largest_timestamp_offset, list.last().unwrap().0);
        prop_assert_eq!(segment.first_timestamp().unwrap(), list[0].0 + 1);
    }
}

#[test]
fn an_index_that_points_elsewhere_is_found_out_and_rebuilt() {
    let dir = TempDir::new().unwrap();
    let place = place(&dir, 10);
    let (segment, list) = filled(&place, 100, &[0; 30]);
    segment.seal();
    // Whole and of the right size, but of other bytes.
    let mut index = SegmentIndex::new(100);
    let mut scan_position = 0;
    for i in 0..30 {
        let other = placed(100 + 3 * i, 3, 40);
        index.on_batch(other.header(), scan_position, 200);
        scan_position = segment.size() * (i.unsigned_abs() + 1) / 30;
    }
    segment.settle();
    let (offsets, summary) =
        crate::index::OffsetIndex::load(&OsDisk, &place.path(100, names::INDEX), 100, true).unwrap();
    drop(offsets);
    let mut wrong = crate::index::OffsetIndex::default();
    wrong.push(crate::index::OffsetEntry { relative: 10, position: 333 });
    wrong.push(crate::index::OffsetEntry { relative: 20, position: u32::try_from(list[3].1).unwrap() });
    wrong.write(&OsDisk, &place.path(100, names::INDEX), 100, &summary, true).unwrap();
    for (offset, position) in &list {
        assert_eq!(segment.locate(*offset).unwrap().unwrap().position, *position);
    }
    assert_eq!(place.metrics.rebuilt_indexes.get(), 1);
}

#[test]
fn only_so_many_segments_stay_open() {
    let dir = TempDir::new().unwrap();
    let place = place(&dir, 3);
    let segments: Vec<_> = (0..10)
        .map(|i| {
            let (segment, _) = filled(&place, i * 1000, &[0; 5]);
            segment.seal();
            segment.settle();
            segment
        })
        .collect();
    let open = || segments.iter().filter(|s| s.read_state().file.is_some()).count();
    assert_eq!(open(), 0);
    for _ in 0..3 {
        for segment in &segments {
            assert!(segment.locate(segment.base_offset() + 4).unwrap().is_some());
            assert!(open() <= 4, "the limit and the one being used");
        }
    }
    assert!(open() >= 3);
    assert_eq!(place.metrics.open_segments.get(), 3);
}

#[test]
fn a_removed_segment_is_readable_by_those_who_hold_it() {
    let dir = TempDir::new().unwrap();
    let place = place(&dir, 1);
    let (segment, list) = filled(&place, 100, &[0; 20]);
    segment.seal();
    segment.settle();
    let reader = segment.clone();
    segment.retire().unwrap();
    assert!(dir.path().join("00000000000000000100.log.deleted").exists());
    assert_eq!(reader.locate(110).unwrap().unwrap().position, list[5].1);
    segment.remove().unwrap();
    drop(segment);
    assert_eq!(OsDisk.read_dir(dir.path()).unwrap(), Vec::<String>::new());
    // Others that are opened do not push it out of the cache: it could not come back.
    for i in 1..4 {
        let (other, _) = filled(&place, i * 1000, &[0; 5]);
        other.seal();
        other.settle();
        other.locate(i * 1000).unwrap();
    }
    let mut bytes = vec![0; 61];
    read_exact_at(&*reader.file().unwrap(), &mut bytes, list[7].1).unwrap();
    assert_eq!(BatchHeader::parse(&bytes).unwrap().base_offset, list[7].0);
    assert_eq!(reader.locate(130).unwrap().unwrap().position, list[15].1);
}
