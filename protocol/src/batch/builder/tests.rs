use super::*;
use crate::batch::tests::{fixture, owned};

#[test]
fn a_batch_copied_record_by_record_is_the_same_batch() {
    for name in ["none", "append-time", "transactional", "commit", "abort"] {
        let batch = fixture(name);
        let mut builder = BatchBuilder::new(BuilderOptions::like(batch.header()));
        for record in batch.records(0).unwrap().iter() {
            builder.append_record(&record.unwrap());
        }
        assert_eq!(builder.build().bytes(), batch.bytes(), "{name}");
    }
}

#[test]
fn compaction_keeps_the_offsets_and_the_sequences_of_the_batch() {
    let batch = fixture("transactional");
    let placed = batch.place(500, 4).to_batch();
    let mut builder = BatchBuilder::new(BuilderOptions::like(placed.header()));
    builder.append_record(&placed.records(0).unwrap().iter().nth(1).unwrap().unwrap());
    let compacted = builder.build();
    compacted.verify_crc().unwrap();
    let header = compacted.header();
    assert_eq!((header.base_offset, header.last_offset(), header.records_count), (500, 502, 1));
    assert_eq!((header.base_sequence, header.last_sequence()), (i32::MAX - 1, 0));
    assert_eq!(header.partition_leader_epoch, 4);
    assert_eq!(owned(&compacted)[0].offset, 501);
}

#[test]
fn an_empty_batch_keeps_its_place() {
    let like = BuilderOptions::like(fixture("transactional").header());
    let builder = BatchBuilder::new(BuilderOptions { compression: Compression::Zstd, ..like });
    assert!(builder.is_empty());
    let empty = builder.build();
    empty.verify_crc().unwrap();
    assert_eq!(empty.len(), HEADER_LEN);
    assert_eq!((empty.header().last_offset(), empty.header().records_count), (2, 0));
    assert_eq!(empty.header().compression(), Compression::None);
    assert_eq!(owned(&empty), []);
}

#[test]
fn a_delete_horizon_does_not_move_the_records_in_time() {
    let batch = fixture("none");
    let options =
        BuilderOptions { delete_horizon: Some(1_800_000_000_000), ..BuilderOptions::like(batch.header()) };
    let mut builder = BatchBuilder::new(options);
    for record in batch.records(0).unwrap().iter() {
        builder.append_record(&record.unwrap());
    }
    let marked = builder.build();
    assert_eq!(marked.header().delete_horizon(), Some(1_800_000_000_000));
    assert_eq!(marked.header().max_timestamp, batch.header().max_timestamp);
    assert_eq!(owned(&marked), owned(&batch));
}

#[test]
fn len_is_the_length_before_compression() {
    let mut builder = BatchBuilder::new(BuilderOptions::default());
    for offset in 0..10 {
        builder.append(offset, 1_000 + offset, Some(b"key"), Some(&[0; 100]), &[]);
    }
    assert_eq!(builder.records_count(), 10);
    let len = builder.len();
    assert_eq!(builder.build().len(), len);
}
