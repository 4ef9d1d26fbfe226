use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::disk::{OsDisk, read_file};
use crate::index::{OffsetEntry, OffsetIndex, TimeEntry, TimeIndex};

fn summary() -> Summary {
    Summary {
        covered_end: 900,
        covered_position: 40_000,
        first_timestamp: 5,
        largest_timestamp: 77,
        largest_timestamp_offset: 123,
    }
}

fn offsets(steps: &[(u32, u32)]) -> OffsetIndex {
    let mut index = OffsetIndex::default();
    let (mut relative, mut position) = (0, 0);
    for (r, p) in steps {
        relative += r;
        position += p;
        index.push(OffsetEntry { relative, position });
    }
    index
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn lookups_equal_a_linear_search(
        steps in prop::collection::vec((1u32..50, 61u32..9000), 0..60),
        asked in 0u32..3000,
        position in 0u64..400_000,
        sealed: bool,
    ) {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("0.index");
        let grown = offsets(&steps);
        let all: Vec<_> = (0..grown.len()).map(|i| grown.get(i)).collect();
        grown.write(&OsDisk, &path, 40, &summary(), sealed).unwrap();
        let (loaded, found) = OffsetIndex::load(&OsDisk, &path, 40, sealed).unwrap();
        prop_assert_eq!(found, summary());
        for index in [&grown, &loaded] {
            prop_assert_eq!(index.len(), all.len());
            let floor = all.iter().rev().find(|e| e.relative <= asked).copied();
            prop_assert_eq!(index.floor(asked), floor);
            let both =
                all.iter().rev().find(|e| u64::from(e.position) <= position && e.relative <= asked).copied();
            prop_assert_eq!(index.floor_position(position, asked), both);
        }
    }

    #[test]
    fn a_changed_byte_is_noticed(steps in prop::collection::vec((1u32..50, 61u32..9000), 0..20), at: prop::sample::Index) {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("0.index");
        offsets(&steps).write(&OsDisk, &path, 40, &summary(), true).unwrap();
        let mut bytes = read_file(&OsDisk, &path, 1 << 20).unwrap();
        let at = at.index(bytes.len());
        bytes[at] ^= 0x10;
        let file = OsDisk.open(&path, OpenMode::Create).unwrap();
        file.write_all_at(&[IoSlice::new(&bytes)], 0).unwrap();
        let loaded = OffsetIndex::load(&OsDisk, &path, 40, true);
        prop_assert!(matches!(loaded, Err(IndexError::Damaged(_))));
    }
}

#[test]
fn an_index_grows_on_after_it_was_loaded() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("0.timeindex");
    let mut index = TimeIndex::default();
    index.push(TimeEntry { timestamp: 10, relative: 1 });
    index.push(TimeEntry { timestamp: 20, relative: 5 });
    index.write(&OsDisk, &path, 0, &summary(), false).unwrap();
    assert!(matches!(TimeIndex::load(&OsDisk, &path, 0, true), Err(IndexError::Damaged(_))));
    let (mut index, _) = TimeIndex::load(&OsDisk, &path, 0, false).unwrap();
    index.push(TimeEntry { timestamp: 30, relative: 9 });
    assert_eq!(index.search_start(30), Some(TimeEntry { timestamp: 20, relative: 5 }));
    assert_eq!(index.search_start(31), Some(TimeEntry { timestamp: 30, relative: 9 }));
    assert_eq!(index.search_start(10), None);
    assert_eq!(index.last(), Some(TimeEntry { timestamp: 30, relative: 9 }));
}

#[test]
fn an_index_of_another_kind_or_segment_is_refused() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("0.index");
    offsets(&[(1, 100)]).write(&OsDisk, &path, 40, &summary(), true).unwrap();
    assert!(TimeIndex::load(&OsDisk, &path, 40, true).is_err());
    assert!(OffsetIndex::load(&OsDisk, &path, 41, true).is_err());
    let missing = OffsetIndex::load(&OsDisk, &dir.path().join("none"), 40, true);
    assert!(matches!(missing, Err(IndexError::Io(_))));
}
