use std::sync::Arc;

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::disk::OsDisk;

fn entry(n: i64) -> AbortedTransaction {
    AbortedTransaction {
        producer_id: n,
        first_offset: n * 10,
        last_offset: n * 10 + 5,
        last_stable_offset: n * 10 - 3,
    }
}

fn written(n: i64) -> (TempDir, std::path::PathBuf, Arc<dyn File>) {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("x.txnindex");
    let mut index = TransactionIndex::default();
    for i in 0..n {
        index.append(&OsDisk, &path, 7, entry(i)).unwrap();
    }
    let file = OsDisk.open(&path, OpenMode::Create).unwrap();
    (dir, path, file)
}

#[test]
fn appended_transactions_come_back() {
    let (_dir, path, _) = written(4);
    let (index, whole) = TransactionIndex::load(&OsDisk, &path, 7).unwrap();
    assert!(whole);
    assert_eq!(index.entries(), (0..4).map(entry).collect::<Vec<_>>());
}

#[test]
fn a_missing_file_is_an_index_without_entries() {
    let dir = TempDir::new().unwrap();
    let (index, whole) = TransactionIndex::load(&OsDisk, &dir.path().join("none"), 0).unwrap();
    assert!(whole && index.entries().is_empty());
}

#[test]
fn only_transactions_with_records_in_the_range_are_found() {
    let (_dir, path, _) = written(4);
    let (index, _) = TransactionIndex::load(&OsDisk, &path, 7).unwrap();
    let mut found = Vec::new();
    assert!(!index.collect(16, 35, &mut found));
    assert_eq!(found, [entry(2), entry(3)]);
    // Entry 2 was written when everything below 17 was stable: a range that ends there is complete.
    assert!(index.collect(0, 17, &mut found));
}

#[test]
fn an_index_of_another_segment_is_refused() {
    let (_dir, path, _) = written(2);
    let (index, whole) = TransactionIndex::load(&OsDisk, &path, 8).unwrap();
    assert!(!whole && index.entries().is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn a_flipped_bit_or_a_torn_end_is_noticed(at in 0usize..136, bit in 0u8..8, cut in 1u64..40) {
        let (_dir, path, file) = written(3);
        let mut byte = [0];
        file.read_at(&mut byte, at as u64).unwrap();
        byte[0] ^= 1 << bit;
        file.write_all_at(&[IoSlice::new(&byte)], at as u64).unwrap();
        let (index, whole) = TransactionIndex::load(&OsDisk, &path, 7).unwrap();
        prop_assert!(!whole && index.entries().len() < 3);
        byte[0] ^= 1 << bit;
        file.write_all_at(&[IoSlice::new(&byte)], at as u64).unwrap();
        file.set_len(136 - cut).unwrap();
        let (index, whole) = TransactionIndex::load(&OsDisk, &path, 7).unwrap();
        prop_assert!(!whole);
        prop_assert_eq!(index.entries(), &[entry(0), entry(1)]);
    }
}
