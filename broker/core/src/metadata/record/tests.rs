//! The stored form of records, as bytes that must not change.

use super::*;

#[test]
fn the_stored_form_is_stable() {
    let record = MetadataRecord::ProducerIds { next_producer_id: 1000 };
    // Version, variant, zigzag varint of 1000.
    assert_eq!(record.encode(), [1, 7, 0xd0, 0x0f]);
    let record = MetadataRecord::Cluster { cluster_id: "ab".to_owned() };
    assert_eq!(record.encode(), [1, 0, 2, b'a', b'b']);
}

#[test]
fn what_is_not_a_record_is_refused() {
    assert_eq!(MetadataRecord::decode(&[]), Err(DecodeError::Empty));
    assert_eq!(MetadataRecord::decode(&[2, 7, 0]), Err(DecodeError::Version { found: 2 }));
    for bytes in [&[1][..], &[1, 200], &[1, 7], &[1, 7, 0, 0], &[1, 0, 0xff, 0xff, 0xff, 0xff, 0x0f]] {
        assert!(matches!(MetadataRecord::decode(bytes), Err(DecodeError::Malformed(_))), "{bytes:?}");
    }
}
