use proptest::prelude::*;

use super::*;

#[test]
fn the_bytes_are_those_of_kafka() {
    let cases: [(i64, &[u8]); 6] = [
        (0, &[0x00]),
        (-1, &[0x01]),
        (63, &[0x7e]),
        (64, &[0x80, 0x01]),
        (i64::from(i32::MAX), &[0xfe, 0xff, 0xff, 0xff, 0x0f]),
        (i64::from(i32::MIN), &[0xff, 0xff, 0xff, 0xff, 0x0f]),
    ];
    for (value, bytes) in cases {
        let mut out = Vec::new();
        write_i64(&mut out, value);
        assert_eq!(out, bytes, "{value}");
        assert_eq!(read_i32(&mut &out[..]), i32::try_from(value).ok(), "{value}");
    }
}

#[test]
fn an_endless_varint_is_refused() {
    assert_eq!(read_i32(&mut &[0x80; 6][..]), None);
    assert_eq!(read_i64(&mut &[0x80; 11][..]), None);
    assert_eq!(read_i32(&mut &[0x80][..]), None);
    assert_eq!(read_i32(&mut &[][..]), None);
}

#[test]
fn a_length_beyond_the_slice_is_refused() {
    let mut out = Vec::new();
    write_i32(&mut out, i32::MAX);
    out.extend_from_slice(b"abc");
    assert_eq!(read_bytes(&mut &out[..]), None);
}

proptest! {
    #[test]
    fn every_value_comes_back(value: i64, small: i32) {
        let mut out = Vec::new();
        write_i64(&mut out, value);
        prop_assert_eq!(out.len(), len_i64(value));
        write_i32(&mut out, small);
        let mut rest = &out[..];
        prop_assert_eq!(read_i64(&mut rest), Some(value));
        prop_assert_eq!(read_i32(&mut rest), Some(small));
        prop_assert!(rest.is_empty());
    }
}
