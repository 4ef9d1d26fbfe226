use super::*;
use crate::batch::{BatchBuilder, BuilderOptions};

fn batch(value_len: usize) -> RecordBatch {
    let mut builder = BatchBuilder::new(BuilderOptions::default());
    builder.append(0, 5, None, Some(&vec![b'v'; value_len]), &[]);
    builder.append(1, 6, None, None, &[]);
    builder.build()
}

#[test]
fn a_place_changes_the_prefix_and_keeps_the_checksum() {
    for len in [0, 10_000] {
        let batch = batch(len);
        let placed = batch.clone().place(1_000_000_000_000, 7);
        let whole = RecordBatch::parse(placed.to_bytes()).unwrap();
        whole.verify_crc().unwrap();
        assert_eq!(
            (placed.base_offset(), placed.last_offset(), placed.next_offset()),
            (1_000_000_000_000, 1_000_000_000_001, 1_000_000_000_002)
        );
        assert_eq!(placed.leader_epoch(), 7);
        assert_eq!(whole.header(), placed.header());
        assert_eq!(whole.bytes()[16..], batch.bytes()[16..]);
        assert_eq!(placed.len(), batch.len());
        assert_eq!(placed.to_batch().placed().to_bytes(), placed.to_bytes());
    }
}

#[test]
fn records_carry_the_offsets_of_the_place() {
    let placed = batch(10).place(100, 0);
    let offsets: Vec<Offset> = placed.records(0).unwrap().iter().map(|r| r.unwrap().offset).collect();
    assert_eq!(offsets, [100, 101]);
}

#[test]
fn a_large_batch_is_shared_and_a_small_one_copied() {
    let shares = |batch: RecordBatch| {
        let placed = batch.clone().place(0, 0);
        placed.body().as_ptr() == batch.bytes()[PREFIX_LEN..].as_ptr()
    };
    assert!(shares(batch(2 * COPY_BELOW_BYTES)));
    assert!(!shares(batch(COPY_BELOW_BYTES / 2)));
}
