use super::*;
use crate::batch::tests::fixture;

fn header() -> BatchHeader {
    *fixture("transactional").header()
}

#[test]
fn the_header_of_kafka_says_what_kafka_was_told() {
    let header = header();
    assert_eq!(header.base_offset, 0);
    assert_eq!(header.partition_leader_epoch, -1);
    assert_eq!(header.crc, 0x29cb_95dd);
    assert_eq!((header.records_count, header.last_offset_delta), (3, 2));
    assert_eq!((header.base_timestamp, header.max_timestamp), (1_700_000_000_000, 1_700_000_000_005));
    assert_eq!((header.producer_id, header.producer_epoch, header.base_sequence), (4711, 7, i32::MAX - 1));
    assert!(header.is_transactional() && header.has_producer() && !header.is_control());
    assert_eq!(header.timestamp_type(), TimestampType::CreateTime);
    assert_eq!(header.total_len(), fixture("transactional").len());
}

#[test]
fn what_is_encoded_is_parsed() {
    let header = BatchHeader { base_offset: i64::MIN, attributes: Attributes(0x7c), ..header() };
    assert_eq!(BatchHeader::parse(&header.encode()), Ok(header));
    assert_eq!(header.encode()[..PREFIX_LEN], header.prefix());
}

#[test]
fn each_field_that_cannot_be_is_refused_by_name() {
    let with = |at: usize, bytes: &[u8]| {
        let mut raw = header().encode();
        raw[at..at + bytes.len()].copy_from_slice(bytes);
        BatchHeader::parse(&raw)
    };
    assert_eq!(with(16, &[0]), Err(BatchError::Magic { magic: 0 }));
    assert_eq!(with(16, &[0xff]), Err(BatchError::Magic { magic: -1 }));
    assert_eq!(with(8, &48i32.to_be_bytes()), Err(BatchError::Length { batch_length: 48 }));
    assert_eq!(with(8, &i32::MIN.to_be_bytes()), Err(BatchError::Length { batch_length: i32::MIN }));
    assert_eq!(with(21, &[0, 5]), Err(BatchError::UnknownCompression { id: 5 }));
    for have in 0..HEADER_LEN {
        let short = BatchHeader::parse(&header().encode()[..have]);
        assert_eq!(short, Err(BatchError::Short { have, need: HEADER_LEN }));
    }
}

#[test]
fn sequences_wrap_to_zero() {
    let last = |base_sequence, last_offset_delta| {
        BatchHeader { base_sequence, last_offset_delta, ..header() }.last_sequence()
    };
    assert_eq!(last(-1, 5), -1);
    assert_eq!(last(0, 0), 0);
    assert_eq!(last(i32::MAX, 0), i32::MAX);
    assert_eq!(last(i32::MAX, 1), 0);
    assert_eq!(last(i32::MAX, i32::MAX), i32::MAX - 1);
    assert_eq!(last(7, i32::MIN), 7);
}

#[test]
fn offsets_at_the_edge_do_not_panic() {
    let header = BatchHeader { base_offset: i64::MAX, last_offset_delta: i32::MAX, ..header() };
    assert!(header.next_offset() < 0);
}

#[test]
fn the_delete_horizon_is_the_base_timestamp_when_its_bit_is_set() {
    let mut header = header();
    assert_eq!(header.delete_horizon(), None);
    header.attributes = header.attributes.with(Attributes::DELETE_HORIZON, true);
    assert_eq!(header.delete_horizon(), Some(1_700_000_000_000));
}

#[test]
fn the_checksum_is_crc_32c() {
    let mut batch = [0; 21].to_vec();
    batch.extend_from_slice(b"123456789");
    assert_eq!(checksum(&batch), 0xe306_9283);
}
